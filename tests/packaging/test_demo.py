"""`make run`: the demonstration, as a process."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.environment import ROOT
from tests.support.waiting import wait_until

#: What a checkout in use may have set; a demonstration that took it would end badly.
_PRODUCTION = {"SMSQ_REDIS_URL": "redis://127.0.0.1:1/0", "SMSQ_DURABILITY": "replica", "MOBIZON_API_KEY": "live"}


def processes(temporary: Path) -> dict[int, str]:
    """Returns the command lines of the processes whose temporary files go to a folder: a demonstration and its own."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={temporary}\0".encode() in (path / "environ").read_bytes():
                found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has ended meanwhile, or is another user's
            continue
    return found


class Demo:
    """A running demonstration. Its temporary files are in a folder of the test's, which also marks its processes."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._output = folder / "output"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in _PRODUCTION.items()))
        with self._output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker.demo", *arguments],
                cwd=folder,
                env={**os.environ, **_PRODUCTION, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def text(self) -> str:
        """Returns all that it printed."""
        return self._output.read_text(encoding="utf-8")

    def wait_for(self, line: str) -> None:
        """Waits until it has printed something."""

        def printed() -> bool:
            assert self.process.poll() is None, self.text()
            return line in self.text()

        wait_until(printed, what=line, timeout=60)

    def left(self) -> tuple[dict[int, str], list[Path]]:
        """Returns the processes and temporary files that there are."""
        return processes(self.temporary), list(self.temporary.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a demonstration, no process of which outlives the test."""
    yield tmp_path
    for pid in processes(tmp_path / "tmp"):
        os.kill(pid, signal.SIGKILL)


def test_once_prints_what_became_of_each_message(folder: Path) -> None:
    """With `--once` it shows each job's ids and status, or why it was refused, ends with 0 and leaves nothing."""
    demo = Demo(folder, "--once")
    assert demo.process.wait(90) == 0, demo.text()
    rows = re.findall(r"^.{20,}?  ([a-z2-7]{20})  (sent|failed) +(\d+|-) +(\d+|-) +(.+)$", demo.text(), re.MULTILINE)
    sent = [row for row in rows if row[1] == "sent"]
    (refused,) = (row for row in rows if row[1] == "failed")
    assert len({row[0] for row in rows}) == len(rows) == 6
    assert all(row[2].isdigit() and row[3].isdigit() and row[4] == "2" for row in sent)
    assert refused[4].startswith("code 1:")
    assert demo.left() == ({}, [])


def test_it_stays_until_ctrl_c(folder: Path) -> None:
    """Without `--once` it shows where to look and stays; Ctrl-C, as a terminal sends it, ends it with 0."""
    demo = Demo(folder)
    demo.wait_for("Ctrl-C stops everything")
    for address in (
        r"Flower +http://127\.0\.0\.1:\d+/ \(user demo, password .+\)",
        r"Redis +redis://",
        r"smsq send \+7",
    ):
        assert re.search(address, demo.text())
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(60) == 0, demo.text()
    assert demo.left() == ({}, [])


def test_a_child_that_ends_is_named_and_ends_the_rest(folder: Path) -> None:
    """When one of its processes dies, it says which one, stops the others and ends with 1."""
    demo = Demo(folder)
    demo.wait_for("Ctrl-C stops everything")
    (sandbox,) = (pid for pid, command in processes(demo.temporary).items() if "worker.sandbox" in command)
    os.kill(sandbox, signal.SIGKILL)
    assert demo.process.wait(60) == 1
    assert "sandbox ended by itself (exit code -9)" in demo.text()
    assert demo.left() == ({}, [])


def test_it_can_be_stopped_while_it_starts(folder: Path) -> None:
    """SIGTERM before the samples are sent stops what was started, with the exit code of an interruption."""
    demo = Demo(folder)
    demo.wait_for("starting a Celery worker")
    demo.process.terminate()
    assert demo.process.wait(60) == 130
    assert demo.left() == ({}, [])


def test_who_is_killed_takes_its_children_along(folder: Path) -> None:
    """`kill -9` of a program, which can't stop them any more, leaves none of its processes behind."""
    program = """
import sys, time
from pathlib import Path
from worker.children import Children
folder = Path(sys.argv[1])
with Children(folder) as children:
    children.start("child", ["/bin/sleep", "1000"], env={"TMPDIR": str(folder / "tmp")}, folder=folder)
    print("started", flush=True)
    time.sleep(1000)
"""
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as started:
        assert started.stdout
        assert started.stdout.readline() == b"started\n"
        assert len(processes(folder / "tmp")) == 1
        started.kill()
    wait_until(lambda: not processes(folder / "tmp"), what="the child has gone")
