"""One run through everything, for all tests that look at what was said."""

from pathlib import Path

import pytest

from tests.privacy.everything import Run
from tests.support.sandbox import Sandbox
from tests.support.server import Server


@pytest.fixture(scope="session")
def run(shared_server: Server, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Workers that went through everything with all logs at DEBUG."""
    return _gone_through(shared_server, shared_sandbox, tmp_path_factory.mktemp("everything"), everything_on=False)


@pytest.fixture(scope="session")
def run_with_everything_on(
    shared_server: Server, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """The same with encryption, delivery following, Sentry, OpenTelemetry, and both outboxes."""
    return _gone_through(shared_server, shared_sandbox, tmp_path_factory.mktemp("all_on"), everything_on=True)


def _gone_through(server: Server, sandbox: Sandbox, folder: Path, *, everything_on: bool) -> Run:
    with server.client() as client:
        client.flushall()
    sandbox.post("/sandbox/reset")
    made = Run(server, sandbox, folder, everything_on=everything_on)
    made.go_through()
    return made
