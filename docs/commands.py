"""The reference of the command line, from its own parser: the directive ``smsq-commands``."""

import argparse
import os
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from smsq.cli import _parser

_WIDTH = "86"


def commands() -> dict[str, str]:
    """Returns what each command's ``--help`` prints, by its name; the empty name is `smsq` itself."""
    width, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), _WIDTH
    try:
        parser = _parser()
        [sub] = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
        return {"": parser.format_help()} | {name: each.format_help() for name, each in sub.choices.items()}
    finally:
        if width is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = width


class Commands(SphinxDirective):
    """A section for each command, with its help."""

    def run(self) -> list[nodes.Node]:
        """Returns the sections."""
        made: list[nodes.Node] = []
        for name, text in commands().items():
            title = f"smsq {name}".strip()
            section = nodes.section(ids=[nodes.make_id(title)])
            section += nodes.title(text=title)
            section += nodes.literal_block(text, text, language="text")
            made.append(section)
        return made


def setup(app: Sphinx) -> dict[str, Any]:
    """Makes the directive known to Sphinx."""
    app.add_directive("smsq-commands", Commands)
    return {"parallel_read_safe": True}
