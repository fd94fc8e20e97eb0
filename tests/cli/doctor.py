"""`smsq doctor` as its tests run it: where a worker and a gateway are well."""

import json
from typing import TYPE_CHECKING

from smsq import Settings, ledger
from smsq.connection import SyncRunner
from smsq.ledger import Look
from tests.ledger.actor import POLICY
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.worker import KEY

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Ended

Findings = dict[str, tuple[str, str]]


def found(ended: "Ended") -> Findings:
    """Reads the findings of ``--json``: verdict and text by check; of a check that comes twice, the last."""
    lines = [json.loads(line) for line in ended.out.splitlines()]
    return {each["check"]: (each["verdict"], each["text"]) for each in lines}


def failing(findings: Findings, verdict: str = "fail") -> set[str]:
    """Returns the checks with that verdict."""
    return {name for name, (given, _) in findings.items() if given == verdict}


class Doctor:
    """The command, where a worker and a gateway are well.

    Args:
        smsq: The command line.
        sandbox: The gateway.
    """

    def __init__(self, smsq: "Command", sandbox: Sandbox) -> None:
        self._smsq = smsq
        self._env = {"MOBIZON_API_URL": sandbox.url}

    def __call__(self, code: int, **settings: str) -> Findings:
        """Runs it, checks its exit code and that nothing but findings is printed, and returns them."""
        ended = self._smsq("doctor", "--json", stdin=b"", **{**self._env, **settings})
        assert (ended.code, ended.err) == (code, ""), ended
        assert KEY not in ended.out
        return found(ended)

    def plain(self, **settings: str) -> "Ended":
        """Runs it for people."""
        return self._smsq("doctor", stdin=b"", **{**self._env, **settings})


def beat(server: Server, name: str = "celery@one", **said: object) -> None:
    """Gives a worker's heartbeat as its dispatcher does."""
    runner = SyncRunner(Settings.load(redis_url=server.url).address)
    state = {"host": "here", "stalled": 0, "slots": 100, "in_use": 3, "lanes": ["urgent", "normal", "bulk"], **said}
    runner.run(ledger.take_due(Look(1, 0, 1, "n", name, json.dumps(state)), POLICY), 5)
    runner.close()
