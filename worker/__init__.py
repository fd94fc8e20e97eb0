"""The Celery application, `celery -A worker worker`, and the programs beside it (sandbox, demo).

The application is imported when it is asked for: the sandbox gateway is a program of its own and needs none of it.
"""

import sys
from pathlib import Path
from typing import Any

_ROOT = str(Path(__file__).resolve().parent.parent)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute
    """Gives `worker.app`, the Celery application, and hides the submodule of the same name behind it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _ROOT not in sys.path:
        # The `celery` command has the checkout on its path only while it imports this package.
        sys.path.insert(0, _ROOT)
    from worker.app import app

    globals()["app"] = app
    return app
