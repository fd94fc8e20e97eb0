"""The command `top`: the ledger at a glance, again each second.

The screen is curses', as `celery events`' is: it is there wherever `smsq` runs, a container's shell included.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from smsq.cli_arguments import Parser, UsageError
from smsq.cli_output import Exit, one_line, print_json, print_line
from smsq.errors import QueueUnavailable
from smsq.operate import Operator
from smsq.settings import Settings
from smsq.top import Line, Rates, frame

if TYPE_CHECKING:
    import curses

#: Seconds between two looks, and between the two that a single frame's rates are made of: workers give a heartbeat a
#: second, so that one lies between them.
_REFRESH: Final = 1.0
_APART: Final = 2.0
_QUIT: Final = (ord("q"), ord("Q"))


def add(command: Callable[[str, str], Parser]) -> None:
    """Adds the command.

    Args:
        command: Makes a command's parser, of its name and what it does.
    """
    parser = command("top", "Shows lanes, rates, states and workers, again each second; q quits")
    parser.set_defaults(run=_top)
    parser.add_argument(
        "--once",
        action="store_true",
        help=f"print one frame, after {_APART:.0f} seconds of measuring; so do --json and a pipe",
    )


def _top(args: argparse.Namespace) -> Exit:
    operator = Operator(Settings.load())
    if args.once or args.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _print_frame(operator, as_json=args.json)
    try:
        import curses  # not on every system, and nothing that other commands should wait for
    except ImportError:
        raise UsageError("there is no curses here, so no live view: --once prints one frame") from None
    try:
        curses.wrapper(_watch, operator)
    except KeyboardInterrupt:
        pass  # another way to quit; the terminal is as it was
    except curses.error:
        raise UsageError("TERM: this terminal can't show a live view; --once prints one frame") from None
    return Exit.DONE


def _print_frame(operator: Operator, *, as_json: bool) -> Exit:
    rates = Rates()
    rates.add(operator.overview())
    time.sleep(_APART)
    overview = operator.overview()
    measured = rates.add(overview)
    if as_json:
        print_json(overview.as_dict() | {"perSecond": measured.as_dict()})
        return Exit.DONE
    for line in frame(overview, measured):
        print_line(line.text)
    return Exit.DONE


def _watch(screen: "curses.window", operator: Operator) -> None:
    """Looks and draws, until somebody quits."""
    draw = _drawer(screen)
    screen.timeout(round(_REFRESH * 1000))
    rates, shown, away = Rates(), [Line("smsq top", "title")], None
    while True:
        try:
            overview = operator.overview()
            shown, away = frame(overview, rates.add(overview)), None
        except QueueUnavailable as error:
            away = Line(f"{one_line(str(error))}; what is below is old, the next look is in a second", "warning")
        draw(([away] if away else []) + shown)
        while (key := screen.getch()) != -1:  # a resize is a key too: drawn at once
            if key in _QUIT:
                return
            draw(([away] if away else []) + shown)


def _drawer(screen: "curses.window") -> Callable[[Sequence[Line]], None]:
    """Returns what draws a frame, as much of it as there is room for."""
    import curses

    if colours := curses.has_colors():
        curses.use_default_colors()
        curses.init_pair(1, curses.COLOR_RED, -1)
    styles = {
        "plain": curses.A_NORMAL,
        "title": curses.A_REVERSE,
        "heading": curses.A_BOLD,
        "warning": curses.A_BOLD | (curses.color_pair(1) if colours else 0),
    }
    with suppress(curses.error):  # some can't hide their cursor
        curses.curs_set(0)

    def draw(lines: Sequence[Line]) -> None:
        height, width = screen.getmaxyx()
        room = height - 1
        fitting = list(lines[:room])
        if hidden := len(lines) - len(fitting):
            fitting[-1:] = [Line(f"… and {hidden + 1} lines more: make the terminal higher")]
        screen.erase()
        for row, line in enumerate([*fitting, Line("q quits")] if room > 0 else []):
            # The last column stays empty: a character in the last corner scrolls.
            text = f"{line.text:<{width - 1}}" if line.style == "title" else line.text
            with suppress(curses.error):  # it has just become smaller than it said
                screen.addnstr(row, 0, text, max(0, width - 1), styles[line.style])
        screen.refresh()

    return draw
