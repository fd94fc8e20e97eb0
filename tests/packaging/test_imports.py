"""What a web application or a person at a terminal loads: neither Celery nor an HTTP client."""

import subprocess
import sys

import pytest

from tests.support.server import Server
from tests.support.worker import ROOT, environment

THE_WORKERS = {"celery", "kombu", "aiohttp", "tenacity", "structlog"}

IMPORT = "from smsq import *"
SEND = "import smsq.cli\nassert smsq.cli.main(['send', '77010000001', 'text', '--wait=0']) == 1"


@pytest.mark.parametrize("script", [IMPORT, SEND], ids=["all of smsq", "smsq send"])
def test_loads_nothing_of_the_workers(server: Server, script: str) -> None:
    """Of the packages that the worker needs, none is loaded."""
    report = "\nimport sys\nprint(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    ended = subprocess.run(
        [sys.executable, "-c", script + report],
        cwd=ROOT,
        env=environment(server.url, "http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(ended.stderr.splitlines()[-1].split())
    assert "smsq" in loaded
    assert not loaded & THE_WORKERS
