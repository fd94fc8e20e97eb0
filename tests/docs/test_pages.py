"""Each command and each piece of code in the pages works as it stands there."""

import itertools
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import WorkerSettings
from docs import diagrams
from smsq import JobError, Sms, SmsQueue, State
from smsq.settings import variable
from tests.cli.stand_in import StandIn
from tests.docs.blocks import DOCS, Reader, blocks, pages, path_of_venv, read, runs
from tests.support.sandbox import ROOT, Sandbox
from tests.support.server import Server, free_port
from tests.support.worker import Worker, environment

#: Pages of measurements and records: what they run takes minutes (`make soak`), so they are only read.
_LONG = ("reliability.md", "performance.md", "scaling.md", "faults.md")


@pytest.fixture(scope="module")
def site(
    shared_server: Server, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """One worker for all pages, and the environment of somebody who follows them."""
    with shared_server.client() as client:
        client.flushall()
    shared_sandbox.post("/sandbox/reset")
    _leave_to_operators(shared_server.url)
    env = environment(shared_server.url, shared_sandbox.url) | {
        "PATH": path_of_venv(),
        "CHECKOUT": str(ROOT),
        "SMSQ_METRICS_PORT": str(free_port()),
    }
    worker = Worker(tmp_path_factory.mktemp("worker") / "log", env).wait_ready()
    yield env
    worker.kill()


def _leave_to_operators(url: str) -> None:
    """Leaves two jobs that are unknown and one that failed, for the pages that say what to do about them."""
    queue, stand_in = SmsQueue(url), StandIn(url)
    for state, error in (
        (State.UNKNOWN, JobError("no answer")),
        (State.UNKNOWN, JobError("no answer")),
        (State.FAILED, JobError("refused", 12)),
    ):
        queue.enqueue(Sms(recipient="77010000001", text="Hello"))
        stand_in.refuse(state, error)
    stand_in.close()
    queue.close()


@pytest.mark.parametrize("page", [page for page in pages() if page not in _LONG and runs(page)])
def test_what_a_page_says_works(
    page: str, site: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page, in order, in one session."""
    for name in ("SMSQ_REDIS_URL", "MOBIZON_API_URL", "MOBIZON_API_KEY"):
        monkeypatch.setenv(name, site[name])
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path, site)
    for block in runs(page):
        reader.run(block)


def test_the_table_of_metrics_is_what_a_worker_shows(site: dict[str, str]) -> None:
    """Each metric of ours is there once, with the words of its HELP; and expressions name no other."""
    with urllib.request.urlopen(f"http://127.0.0.1:{site['SMSQ_METRICS_PORT']}/metrics", timeout=10) as answer:
        shown = re.findall(r"^# HELP (smsq_\w+) (.*)$", answer.read().decode(), re.MULTILINE)
    page = (DOCS / "how-to" / "read-the-metrics.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(smsq_\w+)` \| (?:worker|ledger) \| (.*) \|$", page, re.MULTILINE) == shown
    used = {each.removesuffix("_bucket") for each in re.findall(r"\bsmsq_\w+", page)}
    assert used == {name for name, _ in shown}


def test_blocks_that_are_not_run_can_be_read() -> None:
    """Every block of every page is well formed in the language that it names."""
    for block in itertools.chain.from_iterable(map(blocks, pages())):
        read(block)


def test_settings_that_are_named_exist() -> None:
    """No page names a variable that the code doesn't read."""
    known = {variable(WorkerSettings, name) for name in WorkerSettings.model_fields}
    for page in pages():
        named = re.findall(r"\b(?:SMSQ|MOBIZON)_[A-Z_]+\b", (DOCS / page).read_text(encoding="utf-8"))
        assert set(named) <= known, f"docs/{page}"


def test_diagrams_are_what_the_code_says() -> None:
    """Each picture was drawn from what the code says now, and making the table anew changes no page."""
    for name, source in diagrams.PICTURES.items():
        picture = (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8")
        assert diagrams.source_of(picture) == source(), f"docs/images/{name}.svg: run python -m docs.diagrams"
    for page in pages():
        text = (DOCS / page).read_text(encoding="utf-8")
        assert diagrams.drawn(text) == text, f"docs/{page}: run python -m docs.diagrams"
