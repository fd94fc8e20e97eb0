"""Processes that a program starts for its own time: watched while it runs, stopped in order when it ends."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

_POLL = 0.1
_LINES = 20
_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):  # noqa: N818 - not an error
    """The program was told to stop (SIGINT, SIGTERM, SIGHUP)."""


class ChildEnded(Exception):  # noqa: N818 - what happened
    """A child ended by itself. The text says which, and its last lines."""


class Children:
    """Children, each with a log of its own. As a context, it takes over the signals and stops all at its end.

    They are in sessions of their own: Ctrl-C reaches this program alone, which stops them one after the other, the
    last started first. A second signal kills them. If this program is killed itself, Linux kills them with it.

    Args:
        logs: The folder of their logs.
        grace: Seconds that each has to stop before it is killed.
    """

    def __init__(self, logs: Path, *, grace: float = 40.0) -> None:
        self._logs = logs
        self._grace = grace
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._interrupted = False

    def __enter__(self) -> Self:
        """Takes over the signals."""
        self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stops all children and gives the signals back."""
        self.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        # Only noted: an exception from here could come between a child's start and its entry in our list.
        if self._interrupted:
            for child in self._running.values():
                _kill(child)
        self._interrupted = True

    def log_of(self, name: str) -> Path:
        """Returns the file that a child's output goes to."""
        return self._logs / f"{name}.log"

    def start(self, name: str, command: Sequence[str], *, env: Mapping[str, str], folder: Path) -> None:
        """Starts a child.

        Args:
            name: What it is called, and its log.
            command: The program and its arguments.
            env: Its whole environment.
            folder: Its working directory.
        """
        with self.log_of(name).open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - this program's own command lines
                command,
                env=env,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(_die_with, os.getpid()),  # noqa: PLW1509 - of a program without threads
            )

    def check(self) -> None:
        """Looks whether everything still runs.

        Raises:
            Interrupted: The program was told to stop.
            ChildEnded: A child has ended.
        """
        if self._interrupted:
            raise Interrupted
        for name, child in self._running.items():
            code = child.poll()
            if code is not None:
                lines = self.log_of(name).read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:]
                raise ChildEnded("\n  ".join([f"{name} ended by itself (exit code {code}); its last lines:", *lines]))

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout: float) -> None:
        """Waits for a condition while everything runs.

        Args:
            condition: Called again and again until it is true.
            what: What is waited for.
            timeout: Seconds after which it is given up.

        Raises:
            Interrupted: The program was told to stop.
            ChildEnded: A child has ended.
            TimeoutError: It didn't happen in time.
        """
        deadline = time.monotonic() + timeout
        self.check()
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout:.0f} s in vain: {what}")
            time.sleep(_POLL)
            self.check()

    def stay(self) -> None:
        """Stays until the program is told to stop.

        Raises:
            ChildEnded: A child has ended.
        """
        with contextlib.suppress(Interrupted):
            while True:
                self.check()
                time.sleep(_POLL)

    def stop(self) -> None:
        """Stops all, the last started first: those that use the others end before them."""
        while self._running:
            name, child = next(reversed(self._running.items()))
            child.terminate()
            try:
                child.wait(self._grace)
            except subprocess.TimeoutExpired:
                _kill(child)
                child.wait()
            del self._running[name]


def _die_with(parent: int) -> None:
    """Runs in a child before its program: it is killed when whoever started it dies, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it had died before
            os.kill(os.getpid(), signal.SIGKILL)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
