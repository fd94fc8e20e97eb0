"""The diagrams of the pages, drawn from the code: `python -m docs.diagrams`, which needs Graphviz's `dot`.

They are pictures in `docs/images`, each with the source it was drawn from, so that only who changes one needs `dot`. A
page marks the place of a table with ``<!-- table: NAME -->`` and ``<!-- end of table -->``. What the code doesn't know,
what an arrow means to a reader, is here; a state or a script without its words, or words for one that is gone, is an
error.
"""

import ast
import html
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

from smsq.states import TRANSITIONS, State

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ROOT / "docs"
IMAGES: Final = PAGES / "images"
_PLACE: Final = re.compile(r"(<!-- table: steps -->\n).*?(<!-- end of table -->)", re.DOTALL)
_SOURCE: Final = re.compile(r"<metadata>\n(.*?)\n</metadata>", re.DOTALL)
_STYLE: Final = """    bgcolor=white
    fontname="Helvetica,Arial,sans-serif"
    node [fontname="Helvetica,Arial,sans-serif" fontsize=12 shape=box style="rounded,filled" fillcolor="#eef3fb"]
    edge [fontname="Helvetica,Arial,sans-serif" fontsize=10 color="#555566"]"""

S = State
#: The states in which nobody has begun: what may follow each of them is drawn from `queued` alone.
_WAITING: Final = tuple(state for state in State if not state.final and state is not S.SENDING)
#: What makes a job go on from them all. The ways into `sent` by a truth that comes late aren't drawn.
_FROM_WAITING: Final = {
    S.SENDING: "a worker begins, or asks",
    S.EXPIRED: "its time is over",
    S.CANCELLED: "cancel",
    S.FAILED: "can't be sent, or given up",
}
#: What makes it go from one state to another.
_WHY: Final[dict[tuple[State, State], str]] = {
    (S.SCHEDULED, S.QUEUED): "its moment",
    (S.RETRYING, S.QUEUED): "its moment",
    (S.SENDING, S.SENT): "accepted, or found",
    (S.SENDING, S.FAILED): "refused",
    (S.SENDING, S.UNKNOWN): "nobody can say",
    (S.SENDING, S.RETRYING): "certainly not sent",
    (S.SENDING, S.QUEUED): "handed back uncalled, or surely absent",
    (S.SENDING, S.SCHEDULED): "its deferral came due",
    (S.SENDING, S.EXPIRED): "surely absent, too late",
    (S.SENDING, S.CANCELLED): "surely absent, cancelled",
    (S.SENT, S.FAILED): "a moderator declined it",
    (S.FAILED, S.QUEUED): "--retry",
    (S.FAILED, S.SENDING): "--retry, asked first",
    (S.UNKNOWN, S.QUEUED): "--retry",
    (S.UNKNOWN, S.SENDING): "--retry, asked first",
    (S.UNKNOWN, S.SENT): "--mark-sent, or found",
}

#: A job's way, in the order in which it goes it: the script that takes each step, and what the step is.
_STEPS: Final = {
    "enqueue": "accepts it: record and lane in one write",
    "take": "takes ids off the lanes, by priority and pace",
    "begin": "gives a lease and the message",
    "renew": "keeps the lease while the call is out",
    "settle": "writes the outcome and wakes who waits",
    "take_due": "finds what is due: retries, schedules, lost workers, questions",
    "answer": "settles what the gateway was asked",
    "lookup": "reads it",
}
_PACKAGES: Final = {"smsq": "web application", "worker": "worker: process", "tasks": "worker: one job"}


def states() -> str:
    """Draws the states of a job and what leads from one to another, from `smsq.states.TRANSITIONS`.

    Raises:
        ValueError: A transition has no words here, or words have no transition.
    """
    late = {(old, S.SENT) for old in State if old is not S.SENDING}
    known = {(old, new) for old, following in TRANSITIONS.items() for new in following}
    told = _WHY.keys() | {(old, new) for old in _WAITING for new in _FROM_WAITING}
    if wrong := ((known - late) ^ (told - late)) | (told - known):
        raise ValueError(f"the words here and TRANSITIONS differ: {sorted(wrong)}")
    lines = ["digraph states {", _STYLE, '    begin [label="" shape=circle width=0.15 fillcolor=black]']
    lines += [f"    {state} [penwidth={2 if state.final else 1}]" for state in State]
    lines += [_arrow("begin", S.QUEUED, "enqueue"), _arrow("begin", S.SCHEDULED, "send_at")]
    lines += [_arrow(S.QUEUED, new, why) for new, why in _FROM_WAITING.items()]
    lines += [_arrow(old, new, why) for (old, new), why in _WHY.items()]
    return "\n".join([*lines, "}"])


def _arrow(old: str, new: str, label: str) -> str:
    """One line of a source."""
    return f'    {old} -> {new} [label="{label}"]'


def house() -> str:
    """Draws a job's way through the house: which module calls which script, as the source has it.

    Raises:
        ValueError: Nobody calls a script of the way any more.
    """
    callers = {name: _callers(name) for name in _STEPS}
    if unused := [name for name, modules in callers.items() if not modules]:
        raise ValueError(f"nobody calls {unused}")
    lines = ["digraph house {", _STYLE, "    rankdir=LR"]
    for package, title in _PACKAGES.items():
        mine = sorted({module for modules in callers.values() for module in modules if module.startswith(package)})
        lines += [_frame(package, title, [f'"{module}"' for module in mine])]
    lines += [_frame("redis", "Redis: the ledger", [f'{name} [label="{name}.lua"]' for name in _STEPS])]
    lines += ['    gateway [label="the gateway" shape=ellipse]']
    for number, (name, modules) in enumerate(callers.items(), start=1):
        lines += [_arrow(f'"{module}"', name, str(number)) for module in modules]
    return "\n".join([*lines, _arrow('"tasks.runtime"', "gateway", "calls, asks"), "}"])


def _frame(name: str, title: str, content: list[str]) -> str:
    """A box with a title around what stands in it."""
    return f'    subgraph cluster_{name} {{ label="{title}" {"; ".join(content)} }}'


def steps() -> str:
    """Lists the steps of the way that `house` draws, each with its script's callers."""
    rows = [
        f"| {number} | `{name}.lua` | {what} | {', '.join(f'`{each}`' for each in _callers(name))} |"
        for number, (name, what) in enumerate(_STEPS.items(), start=1)
    ]
    return "\n".join(["| step | script | what it does | called by |", "|---|---|---|---|", *rows])


@cache
def _calls() -> dict[str, set[str]]:
    """The names of all that is called in each module of ours, as they stand there: ``ledger.take``."""
    found = {}
    for package in _PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            found[module] = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    return found


@cache
def _makers() -> dict[str, str]:
    """The function of `smsq.ledger` that loads each script, as callers name it."""
    found = {}
    for file in (ROOT / "smsq" / "ledger").glob("*.py"):
        for function in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(function, ast.FunctionDef):
                for script in re.findall(r"script\('(\w+)'\)", ast.unparse(function)):
                    found[script] = f"ledger.{function.name}"
    return found


def _callers(script: str) -> list[str]:
    """The modules that run a script: those that call the function of `smsq.ledger` which loads it."""
    return sorted(module for module, called in _calls().items() if _makers().get(script) in called)


def drawn(page: str) -> str:
    """Returns a page with its table made anew."""
    return _PLACE.sub(lambda place: f"{place[1]}{steps()}\n{place[2]}", page)


#: What each picture in `docs/images` is drawn from.
PICTURES: Final = {"states": states, "house": house}


def source_of(picture: str) -> str:
    """Returns what an SVG of ours was drawn from, or '' for another.

    Args:
        picture: The file's text.
    """
    found = _SOURCE.search(picture)
    return html.unescape(found[1]) if found else ""


def picture_of(source: str) -> str:
    """Has `dot` draw a source.

    Returns:
        The SVG, with its source in it.
    """
    ran = subprocess.run(["dot", "-Tsvg"], input=source, capture_output=True, text=True, check=True)
    start, end, rest = ran.stdout[ran.stdout.index("<svg") :].partition(">")
    return f"{start}{end}\n<metadata>\n{html.escape(source, quote=False)}\n</metadata>{rest}"


def main() -> int:
    """Draws the pictures, and writes the table into its page."""
    for name, source in PICTURES.items():
        (IMAGES / f"{name}.svg").write_text(picture_of(source()), encoding="utf-8")
    for page in sorted(PAGES.rglob("*.md")):
        old = page.read_text(encoding="utf-8")
        if (new := drawn(old)) != old:
            page.write_text(new, encoding="utf-8")
            print(f"drawn: {page.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
