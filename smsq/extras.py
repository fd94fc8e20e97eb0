"""What an extra of the package brings, and what is said where it isn't installed."""

import sys
from importlib.util import find_spec

_WRONG_INPUT = 2


def missing(library: str, extra: str) -> str:
    """Returns what a setting's line says of a library that isn't installed.

    Args:
        library: Its name for pip.
        extra: The extra of smsq that brings it.
    """
    return f"needs the library {library}: pip install 'smsq[{extra}]'"


def require(package: str, library: str, extra: str) -> None:
    """Refuses to import a package of ours without the library that it is for.

    Where Python is looking for what `-m` names, a person at a terminal reads it: the process ends with the line alone.

    Args:
        package: Ours.
        library: The library, as it is imported.
        extra: The extra of smsq that brings it.

    Raises:
        ModuleNotFoundError: It isn't installed.
    """
    if find_spec(library):
        return
    line = f"{package} {missing(library, extra)}"
    if sys.argv[:1] == ["-m"]:
        sys.stderr.write(f"{line}\n")
        raise SystemExit(_WRONG_INPUT)
    raise ModuleNotFoundError(line, name=library)
