"""A soak's process without one of its mechanisms: ``python -m tests.soak.mutant NAME MODULE …``, else as the module."""

import runpy
import sys

from tests.soak.mutants import MUTANTS


def main() -> None:
    """Takes the mechanism out and runs the module."""
    name, module, *arguments = sys.argv[1:]
    MUTANTS[name].apply()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
