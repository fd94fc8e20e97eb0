"""A terminal: a command under a pty, and what a person would see on the screen."""

import os
import pty
import re
import select
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyte

from tests.support.waiting import wait_until


class Terminal:
    """A command that runs in a terminal of its own.

    Args:
        line: The command line.
        env: Its whole environment; `TERM` is set here, and what says how large another terminal is doesn't count.
        folder: Its working directory.
        columns: The terminal's width.
        rows: The terminal's height.
    """

    def __init__(
        self, line: Sequence[str | bytes], env: Mapping[str, str], folder: Path, *, columns: int = 80, rows: int = 24
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (rows, columns))
        #: All that was printed, steering included.
        self.printed = b""
        own = {name: value for name, value in env.items() if name not in ("LINES", "COLUMNS")}
        self.process = subprocess.Popen(
            line,
            cwd=folder,
            env={**own, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    @property
    def lines(self) -> list[str]:
        """What the screen shows."""
        self._read()
        return [line.rstrip() for line in self._screen.display]

    def wait_for(self, *patterns: str) -> str:
        """Waits until the screen shows all of these at one moment, and returns it; `^` and `$` are a line's."""

        def shown() -> str:
            screen = "\n".join(self.lines)
            return screen if all(re.search(each, screen, re.MULTILINE) for each in patterns) else ""

        try:
            return wait_until(shown, what=f"the screen shows {patterns}")
        except AssertionError as error:
            error.add_note("\n".join(self.lines))
            raise

    def wait_gone(self, words: str) -> None:
        """Waits until the screen doesn't show these words any more."""
        wait_until(lambda: words not in "\n".join(self.lines), what=f"the screen shows {words} no more")

    def type(self, keys: str) -> None:
        """Types keys."""
        os.write(self._ours, keys.encode())

    def wait(self) -> int:
        """Waits for the command's end, and returns its exit code."""

        def ended() -> bool:
            self._read()
            return self.process.poll() is not None

        wait_until(ended, what="the command ends")
        self._read()
        return self.process.returncode

    def close(self) -> None:
        """Ends the command, if it runs, and the terminal."""
        self.process.kill()
        self.process.wait(20)
        os.close(self._ours)

    def _read(self) -> None:
        while select.select([self._ours], [], [], 0)[0]:
            try:
                found = os.read(self._ours, 65536)
            except OSError:  # nobody has it open any more
                return
            self.printed += found
            self._stream.feed(found)
