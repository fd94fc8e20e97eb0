"""The text of a result in Celery's events, made in a twentieth of the time.

Celery's tracer makes it for each task, whether events are sent or not, and walks through the result for it: as long as
all the rest that it does. Our task's result is always three short numbers by name, for which `repr` gives the same.
"""

from typing import Any

from celery.app import trace

_walk_through = trace.saferepr


def _text(result: Any, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - whatever a task returned
    if type(result) is dict and all(type(each) is int for each in result.values()):
        return repr(result)
    return str(_walk_through(result, *args, **kwargs))


trace.saferepr = _text
