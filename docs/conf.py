"""How the site is made from these pages: `make docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

project = "smsq"
author = "the smsq authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs.commands"]
exclude_patterns = ["_build"]
nitpicky = True
# A name of Python's own, or of pydantic's, that a signature mentions: the site has no page for it, nor the network.
nitpick_ignore_regex = [("py:.*", r"(?!smsq\.).*")]

# Docstrings name code between single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

myst_heading_anchors = 3

html_theme = "furo"
html_title = "smsq"
html_show_sphinx = False
html_copy_source = False
