"""The site can be made, strictly: a reference or a link that leads nowhere is an error."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

import smsq
from docs.commands import commands
from tests.docs.blocks import DOCS, pages
from tests.support.sandbox import ROOT


def test_the_site_is_made_without_a_warning(tmp_path: Path) -> None:
    """As `make docs` makes it; each page is in it, each command in the reference, and each public name.

    Who reads it is known to nobody else: no script, style or picture is another site's.
    """
    made = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stderr) == (0, "")
    for page in pages():
        page_made = (tmp_path / page).with_suffix(".html").read_text(encoding="utf-8")
        assert (
            re.findall(r"""<(?:script|img|link)\b[^>]*(?:src|href)=["'](?:https?:)?//|from ["']https?:""", page_made)
            == []
        )
    listed = (tmp_path / "reference" / "commands.html").read_text(encoding="utf-8")
    assert {f"smsq-{name}" for name in commands() if name} <= set(re.findall(r'id="(smsq-\w+)"', listed))
    python = (tmp_path / "reference" / "python.html").read_text(encoding="utf-8")
    assert {f"smsq.{name}" for name in smsq.__all__} <= set(re.findall(r'id="(smsq\.\w+)"', python))


def test_the_site_is_published_as_make_docs_makes_it() -> None:
    """The workflow runs the Makefile's target, and uploads the folder that it names."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "docs.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["build"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["make docs LINKS=1"]
    assert [step["with"]["path"] for step in steps if "path" in step.get("with", {})] == ["site"]
    said = subprocess.run(
        ["make", "-n", "docs", "LINKS=1"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert " docs site\n" in said
    assert "-b linkcheck" in said


def test_the_readmes_links_lead_somewhere() -> None:
    """Each file, folder and picture of the checkout that it names is there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", readme) + re.findall(r'src="([^"]+)"', readme)
    assert [each for each in links if "://" not in each and not (ROOT / each).exists()] == []
