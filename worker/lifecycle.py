"""Whether this worker is on its way out."""

import threading

#: Set when the worker begins to stop, for good: nothing is taken and no call starts after it.
stopping = threading.Event()
