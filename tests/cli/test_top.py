"""`smsq top`: under a real terminal beside a real worker, into a pipe, and while Redis is away."""

import re
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from smsq import Sms, SmsQueue, State, keys
from smsq.overview import Overview
from smsq.top import WIDTH, Rates
from tests.cli.conftest import NUMBER, TEXT, Command, Ended, checked
from tests.support.jobs import end_of
from tests.support.server import Server
from tests.support.terminal import Terminal
from tests.support.worker import Worker

if TYPE_CHECKING:
    import subprocess

    import redis

SMS = Sms(recipient=NUMBER, text=TEXT)


def finished(process: "subprocess.Popen[bytes]") -> Ended:
    """Waits for a command's end."""
    out, err = process.communicate(timeout=60)
    return checked(process.returncode, out, err)


@pytest.fixture
def terminal() -> Iterator[Callable[[Command], Terminal]]:
    """Opens terminals in which `smsq top` runs."""
    opened: list[Terminal] = []

    def start(command: Command, **size: int) -> Terminal:
        opened.append(Terminal(command.line("top"), command.env, command.folder, **size))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_a_live_view_of_lanes_rates_states_and_workers(
    smsq: Command, terminal: Callable[..., Terminal], queue: SmsQueue, worker: Callable[..., Worker]
) -> None:
    """What waits, why, who works and how fast, in eighty columns; it keeps up, shows nothing personal, and q quits."""
    worker("-n", "one@here", "-c", "8")
    assert smsq("pause", "bulk", "--reason", "wrong price").code == 0
    top = terminal(smsq)
    top.wait_for(
        r"^smsq top  \d\d:\d\d:\d\d UTC   1 worker   \S+ jobs/s   0 of 11 calls$",
        r"^bulk +0 +\S+ +0 +- +paused: wrong price$",
        r"^one@here +\S+  \.{10} 0/11 +0  all$",
    )
    held_back = [queue.enqueue(SMS, lane="bulk").id for _ in range(3)]
    assert end_of(queue, queue.enqueue(SMS, lane="urgent").id).state is State.SENT
    top.wait_for(r"^bulk +3 +\+\d\.\d +1 ", r"^one@here +\d+\.\d  \.{10} 0/11 +0  all$")
    assert smsq("resume", "bulk").code == 0
    assert [end_of(queue, job_id).state for job_id in held_back] == [State.SENT] * 3
    top.wait_for(r"^bulk +0 +\S+ +0 +-$")
    assert not [secret for secret in (NUMBER, TEXT, NUMBER[-7:]) if secret in top.printed.decode()]
    top.type("q")
    assert top.wait() == 0
    assert top.printed.rstrip().rfind(b"\x1b[?1049l") > top.printed.rfind(b"q quits"), "the screen isn't given back"


def test_redis_away(own_server: Callable[..., Server], smsq: Command, terminal: Callable[..., Terminal]) -> None:
    """A line says so, above what was seen last; when Redis is back, the view goes on by itself."""
    server = own_server()
    smsq.env["SMSQ_REDIS_URL"] = server.url
    top = terminal(smsq)
    top.wait_for("urgent", "0 workers")
    server.kill()
    shown = top.wait_for("what is below is old")
    assert shown.index("Redis") < shown.index("urgent")
    server.start()
    top.wait_for("smsq top")
    top.wait_gone("what is below is old")
    top.process.send_signal(signal.SIGINT)  # Ctrl-C is another way to quit
    assert top.wait() == 0
    assert b"Traceback" not in top.printed


def test_a_small_terminal_says_what_it_leaves_out(
    smsq: Command, client: "redis.Redis", terminal: Callable[..., Terminal]
) -> None:
    """Lines that don't fit are counted."""
    now = int(client.time()[0]) * 1000
    for number in range(30):
        client.hset(keys.WORKERS, f"w{number}@here", f'{now} {{"slots": 5, "in_use": 5, "lanes": []}}')
    shown = terminal(smsq, rows=20, columns=50).wait_for("make the terminal higher$", "^q quits$").splitlines()
    assert (shown[-2].startswith("… and "), shown[-1]) == (True, "q quits")
    assert max(map(len, shown)) < 50


def test_one_frame_into_a_pipe(smsq: Command, client: "redis.Redis") -> None:
    """Without a terminal: one frame of plain lines that fit; as JSON, what `queues` has and the rates."""
    now = int(client.time()[0]) * 1000
    client.hset(keys.WORKERS, "old@here", f"{now - 600_000} {{}}")
    client.hset(keys.WORKERS, "odd@here", f'{now} {{"slots": "many", "in_use": null, "begun": "x", "lanes": 5}}')
    client.hset(keys.WORKERS, "x" * 90 + "@here", f'{now} {{"slots": 100, "in_use": 1, "lanes": ["urgent"]}}')
    client.hset(keys.PAUSE, "all", f"{now} " + "because " * 20)
    beside = [smsq.start(*words) for words in (["top"], ["top", "--once", "--json"])]  # each measures for two seconds
    plain, as_json = (finished(each) for each in beside)
    assert (plain.code, plain.err) == (0, "")
    assert "\x1b" not in plain.out
    assert max(map(len, plain.out.splitlines())) <= WIDTH
    assert re.search(r"^x{20}… +-  #\.{9} 1/100", plain.out, re.MULTILINE)
    assert re.search(r"^old@here +-  not heard of for 10(\.\d)? min$", plain.out, re.MULTILINE)
    assert as_json.result["perSecond"]["lanes"] == {"urgent": 0.0, "normal": 0.0, "bulk": 0.0}
    assert as_json.result["lanes"].keys() == {"urgent", "normal", "bulk"}


def test_no_redis_no_frame(offline: Command) -> None:
    """One frame needs Redis: one line, exit code 3."""
    ended = offline("top", "--once")
    assert (ended.code, ended.out, len(ended.errors)) == (3, "", 1)


def test_a_terminal_that_nobody_knows(smsq: Command) -> None:
    """A line that names TERM, no traceback."""
    made = Terminal(["env", "TERM=none", *smsq.line("top")], smsq.env, smsq.folder)
    try:
        assert made.wait() == 2
        assert "TERM: this terminal can't show a live view" in "\n".join(made.lines)
    finally:
        made.close()


def seen(now: int, waiting: int, begun: int, started: int = 1) -> Overview:
    """A look at a lane and a worker that has just been heard of."""
    lane = {"waiting": 0, "batches": 0}
    return Overview.read(
        {
            "now": now,
            "lanes": {"urgent": lane, "normal": lane | {"waiting": waiting}, "bulk": lane},
            "due": {"entries": 0, "come": 0, "states": {}, "looked": 0},
            "ended": {"failed": 0, "unknown": 0},
            "parked": 0,
            "counters": {},
            "pauses": {},
            "pace": {},
            "workers": {"one@here": {"said": f'{now} {{"begun": {begun}, "started": {started}}}'}},
        }
    )


def test_rates() -> None:
    """The mean of ten seconds; a restarted worker and a clock that went back begin anew instead of lying."""
    rates = Rates()
    assert rates.add(seen(1_000, 50, 7)).jobs is None
    found = rates.add(seen(3_000, 40, 27))
    assert (found.jobs, found.lanes["normal"], found.workers) == (10.0, -5.0, {"one@here": 10.0})
    assert rates.add(seen(13_000, 40, 127)).jobs == 10.0
    assert rates.add(seen(23_000, 40, 127)).jobs == 0.0
    assert rates.add(seen(24_000, 40, 3, started=2)).jobs is None
    assert rates.add(seen(25_000, 40, 5, started=2)).jobs == 2.0
    assert rates.add(seen(9_000, 40, 6, started=2)).lanes["normal"] is None
