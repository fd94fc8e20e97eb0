"""One run through everything, for all tests that look at what was said."""

import pytest

from tests.privacy.everything import Run
from tests.support.sandbox import Sandbox
from tests.support.server import Server


@pytest.fixture(scope="session")
def run(shared_server: Server, shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Workers that went through everything with all logs at DEBUG."""
    with shared_server.client() as client:
        client.flushall()
    shared_sandbox.post("/sandbox/reset")
    made = Run(shared_server, shared_sandbox, tmp_path_factory.mktemp("everything"))
    made.go_through()
    return made
