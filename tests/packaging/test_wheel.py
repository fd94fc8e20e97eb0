"""The wheel: what web applications install."""

import json
import subprocess
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from smsq import SmsQueue, State
from tests.packaging.environment import ROOT, Environment, needed
from tests.support.server import Server

_ENQUEUE = """
import json, sys
from smsq import Sms, SmsQueue
job = SmsQueue(sys.argv[1]).enqueue(Sms(recipient="+77010000001", text="Код: 4711"))
print(json.dumps({"id": job.id, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def requires(wheel: Path) -> list[Requirement]:
    """What the wheel declares to need."""
    metadata = zipfile.Path(wheel) / f"{'-'.join(wheel.name.split('-')[:2])}.dist-info" / ""
    return [Requirement(line) for line in PathDistribution(metadata).requires or []]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, wheel: Path, requires: list[Requirement]) -> Environment:
    """A web application's environment: the wheel and its dependencies without extras."""
    plain = [each for each in requires if each.marker is None or each.marker.evaluate({"extra": ""})]
    return Environment(tmp_path_factory.mktemp("web"), needed(plain).values(), wheel)


def test_it_holds_smsq_alone_and_all_of_it(wheel: Path) -> None:
    """The wheel has every file of `smsq/`, scripts and `py.typed` too, and no other name for site-packages."""
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "smsq").rglob("*") if path.is_file()}
    assert files == {name for name in sources if "__pycache__" not in name}
    assert "smsq/py.typed" in files
    assert {name for name in files if name.endswith(".lua")}


def test_a_web_application_enqueues_with_it_alone(
    web: Environment, server: Server, queue: SmsQueue, tmp_path: Path
) -> None:
    """With the wheel's own dependencies a job is accepted; neither Celery nor an HTTP client is even installed."""
    done = subprocess.run(
        [str(web.python), "-c", _ENQUEUE, server.url],
        cwd=tmp_path,
        env=web.variables(),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    job = queue.lookup(answer["id"])
    assert job is not None
    assert job.state is State.QUEUED
    installed = {path.name.partition("-")[0].lower() for path in web.folder.rglob("*.dist-info")}
    assert "smsq" in installed
    assert not installed & {"celery", "kombu", "aiohttp", "tenacity", "structlog", "flower"}


def test_its_command_works_with_it_alone(web: Environment, server: Server, queue: SmsQueue, tmp_path: Path) -> None:
    """`smsq send` needs nothing but the wheel."""
    done = subprocess.run(
        ["smsq", "send", "+77010000001", "Код: 4711", "--json"],
        cwd=tmp_path,
        env=web.variables({"SMSQ_REDIS_URL": server.url}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert queue.lookup(json.loads(done.stdout)["id"]) is not None


def test_the_worker_extra_asks_for_the_redis_extras(requires: list[Requirement]) -> None:
    """Celery and kombu are asked for with their `redis` extra, which brings what kombu's transport imports (F46)."""
    worker = {each.name: each for each in requires if each.marker and each.marker.evaluate({"extra": "worker"})}
    assert worker["celery"].extras == {"redis"}
    assert worker["kombu"].extras == {"redis"}
