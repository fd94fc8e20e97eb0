"""A soak's worker without one of its mechanisms: ``python -m tests.soak.mutant NAME -A worker worker …``."""

import sys

from tests.soak.mutants import MUTANTS


def main() -> None:
    """Takes the mechanism out and becomes the `celery` command."""
    name, *arguments = sys.argv[1:]
    MUTANTS[name].apply()
    from celery.__main__ import main as celery

    sys.argv = ["celery", *arguments]
    celery()


if __name__ == "__main__":
    main()
