"""`smsq probe`: what it makes of heartbeats, its exit codes and its one line."""

import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from smsq import Settings, keys, ledger
from smsq.connection import SyncRunner
from smsq.ledger import Look
from tests.cli.conftest import Command
from tests.ledger.actor import POLICY
from tests.support.server import Server

if TYPE_CHECKING:
    import redis

HERE = socket.gethostname()
Beat = Callable[..., None]


@pytest.fixture
def beat(server: Server, client: "redis.Redis") -> Beat:
    """Gives a worker's heartbeat as its dispatcher does, and makes it older."""

    def give(name: str = "celery@one", *, ago: int = 0, host: str = HERE, **said: object) -> None:
        runner = SyncRunner(Settings.load(redis_url=server.url).address)
        state = {"host": host, "stalled": 0, "slots": 100, "in_use": 0, "lanes": ["urgent", "normal", "bulk"], **said}
        runner.run(ledger.take_due(Look(1, 0, 1, "n", name, json.dumps(state)), POLICY), 5)
        runner.close()
        moment, _, stored = str(client.hget(keys.WORKERS, name)).partition(" ")
        client.hset(keys.WORKERS, name, f"{int(moment) - ago} {stored}")

    return give


def test_a_worker_that_consumes_passes(smsq: Command, beat: Beat) -> None:
    """F92: exit 0 and one line; as JSON the worker, that it consumes, and no reason."""
    beat(ago=20_000, stalled=50)
    plain, as_json = smsq.each([("probe",), ("probe", "--worker", "celery@one", "--json")])
    assert (plain.code, plain.out, plain.err) == (0, "celery@one: it consumes\n", "")
    assert (as_json.code, as_json.err) == (0, "")
    assert as_json.result == {"worker": "celery@one", "consumes": True, "reason": None}


@pytest.mark.parametrize(
    ("ago", "said", "told"),
    [
        (31_000, {}, "it was last heard of 3"),
        (0, {"stalled": 61}, "it has taken no job, or ended none of those it took, for 61 s though it should"),
        (0, {"stalled": 3600.5}, "for 3600 s though it should"),
    ],
)
def test_a_worker_that_does_not_consume_fails(
    smsq: Command, beat: Beat, ago: int, said: dict[str, float], told: str
) -> None:
    """F92: exit 1, and one line that says why, on standard error; as JSON on standard output too."""
    beat(ago=ago, **said)
    plain, as_json = smsq.each([("probe",), ("probe", "--json")])
    assert (plain.code, as_json.code) == (1, 1)
    (line,) = plain.errors
    assert line.startswith("celery@one: ")
    assert told in line
    assert as_json.result["consumes"] is False
    assert told in as_json.result["reason"]


def test_the_limit_can_be_given(smsq: Command, beat: Beat) -> None:
    """`--stalled` says how long a worker may do nothing though it should."""
    beat(stalled=10)
    found = smsq.each([("probe", "--stalled", "5"), ("probe", "--stalled", "1m"), ("probe", "--stalled", "soon")])
    assert [each.code for each in found] == [1, 0, 2]


def test_a_worker_whose_gateway_wants_no_calls_is_well(smsq: Command, beat: Beat, client: "redis.Redis") -> None:
    """F92: what it has in hand can't end while a code 30 holds all calls back, nor in the minute after."""
    beat(stalled=600)
    now = int(client.time()[0]) * 1000
    codes = []
    for hold in (now + 60_000, now - 30_000, now - 120_000):
        client.hset(keys.PACE, "hold", hold)
        codes.append(smsq("probe").code)
    assert codes == [0, 0, 1]


def test_any_worker_of_this_host_will_do(smsq: Command, beat: Beat) -> None:
    """Without a name the best of this host's workers is judged; those of other hosts only by their names."""
    beat("celery@elsewhere", host="another")
    alone, named = smsq.each([("probe",), ("probe", "--worker", "celery@elsewhere")])
    assert (alone.code, named.code) == (1, 0)
    assert alone.errors == [f"no worker on this host ({HERE}) is known"]
    beat("celery@lost", ago=600_000)
    beat("celery@stalled", stalled=90)
    assert smsq("probe").errors[0].startswith("celery@stalled: ")
    beat("celery@well")
    assert smsq("probe").out == "celery@well: it consumes\n"


def test_nobody_was_ever_heard_of(smsq: Command) -> None:
    """Exit 1, also by a name that no worker has."""
    found = smsq.each([("probe",), ("probe", "--worker", "celery@one")])
    assert [each.code for each in found] == [1, 1]
    assert found[1].errors == ["celery@one: no worker of that name is known"]


@pytest.mark.parametrize("stored", ["", "x", "soon {}", "1e9 []", '99999999999999 {"host": 5, "stalled": "x"}'])
def test_a_heartbeat_that_is_none_is_no_sign_of_life(smsq: Command, client: "redis.Redis", stored: str) -> None:
    """What a foreign hand wrote is judged without a traceback, and isn't this host's worker."""
    client.hset(keys.WORKERS, "celery@one", stored)
    assert smsq("probe").code == 1


@pytest.mark.parametrize("key", [keys.WORKERS, keys.DUE, keys.PACE, keys.worker_gate("celery@one")])
def test_a_key_that_is_none_of_ours_is_passed_over(smsq: Command, beat: Beat, client: "redis.Redis", key: str) -> None:
    """The rest is judged all the same."""
    beat()
    client.delete(key)
    client.set(key, "x")
    assert smsq("probe").code == int(key == keys.WORKERS)


def test_redis_is_away(offline: Command) -> None:
    """Exit 3, and one line: it isn't known whether the worker consumes."""
    ended = offline("probe")
    assert ended.code == 3
    assert len(ended.errors) == 1
    assert "connection refused" in ended.err
