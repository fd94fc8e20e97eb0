"""`SMSQ_ENCRYPTION_KEY`: Redis has neither number nor text, nothing is lost or doubled, and keys can be changed."""

import base64
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from config.settings import WorkerSettings
from smsq import ConfigurationError, IdempotencyConflict, InvalidSms, Job, Settings, Sms, SmsQueue, keys
from smsq.encryption import NO_KEY, NONCE, Cipher
from smsq.gateway.questions import Canary
from smsq.operate import Operator
from smsq.states import State
from smsq.testing import outbox
from tasks.asking import _canary
from tests.cli.conftest import Command
from tests.sending.conftest import StartWorker
from tests.sending.conftest import standing as standing  # noqa: PLC0414 - a fixture
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

#: No other test has these: the shared server's file still has what others wrote.
NUMBERS: Final = [ordinary(81_201 + number) for number in range(4)]
PLAIN: Final = ordinary(81_300)
TEXT: Final = "Ячейка 8812 открыта до полуночи"
MakeQueue = Callable[[str | None], SmsQueue]


def new_key() -> str:
    """Makes a key."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


OLD, NEW, FOREIGN = new_key(), new_key(), new_key()
BOTH: Final = f"{NEW}, {OLD}"
QUICK: Final[dict[str, Any]] = {"SMSQ_DISPATCH_INTERVAL": "0.05", "SMSQ_SWEEP_INTERVAL": "0.1"}


@pytest.fixture
def queue_with(shared_server: Server) -> Iterator[MakeQueue]:
    """Makes queues on the shared server with a key each, or without."""
    made: list[SmsQueue] = []

    def make(key: str | None) -> SmsQueue:
        made.append(SmsQueue(settings=_settings(shared_server, key)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def _settings(server: Server, key: str | None) -> Settings:
    return Settings.load(redis_url=server.url, encryption_key=key)


def _written(server: Server) -> dict[str, int]:
    """The sizes of the files that are Redis's append-only file: what other tests have written is in them."""
    return {each.name: each.stat().st_size for each in (server.folder / "appendonlydir").iterdir()}


def _kept(server: Server, before: dict[str, int]) -> bytes:
    """Everything that Redis has: keys and values, and what its append-only file got since."""
    files = [each.read_bytes()[before.get(each.name, 0) :] for each in (server.folder / "appendonlydir").iterdir()]
    return server.contents() + b"".join(files)


def test_redis_has_neither_number_nor_text(
    standing: StartWorker, shared_server: Server, sandbox: Sandbox, queue_with: MakeQueue, tmp_path: Path
) -> None:
    """While jobs wait, are asked about, failed or are sent, in the middle of a change of keys; the gateway has both."""
    standing(SMSQ_ENCRYPTION_KEY=BOTH, **QUICK)
    old, both, before = queue_with(OLD), queue_with(BOTH), _written(shared_server)
    operator = Operator(_settings(shared_server, BOTH))
    operator.pause("normal", "to look at what waits")
    lost, refused = sandbox.recipient("reset-accepted"), sandbox.recipient("stop-listed")
    first = old.enqueue(Sms(recipient=NUMBERS[0], text=TEXT), idempotency_key="a")
    second = both.enqueue(Sms(recipient=NUMBERS[1], text=TEXT, name="Ячейка"))
    readable = queue_with(None).enqueue(Sms(recipient=PLAIN, text="plain"))
    [asked, failed] = both.enqueue_many([Sms(recipient=number, text=TEXT) for number in (lost, refused)])
    personal = {word.encode() for number in (*NUMBERS, lost, refused) for word in (number, number[-7:])}
    personal |= {TEXT.encode(), "Ячейка".encode()}

    waiting = _kept(shared_server, before)
    assert all(waiting.count(job.id.encode()) > 1 for job in (first, second)), "its file was read"
    assert not {word for word in personal if word in waiting}

    operator.resume("normal")
    assert [end_of(both, job.id).state for job in (first, second, asked, readable)] == [State.SENT] * 4
    assert end_of(both, failed.id).state is State.FAILED
    assert {message["recipient"]: message["text"] for message in sandbox.messages()} == {
        **dict.fromkeys((NUMBERS[0], NUMBERS[1], lost), TEXT),
        PLAIN: "plain",
    }
    ended = _kept(shared_server, before)
    assert not {word for word in personal if word in ended}

    smsq = Command(shared_server.url, tmp_path)
    assert smsq("failed", failed.id, "--retry", SMSQ_ENCRYPTION_KEY=OLD).code == 0
    wait_until(lambda: sandbox.called(refused) == 2 and end_of(both, failed.id), what="it was called again")
    as_foreign, as_old, as_both = (
        smsq("forget", NUMBERS[0], "--json", SMSQ_ENCRYPTION_KEY=key) for key in (FOREIGN, OLD, BOTH)
    )
    assert (as_foreign.code, as_foreign.result["erased"], as_foreign.result["locked"]) == (1, 0, 5)
    assert (as_old.code, as_old.result["erased"], as_old.result["locked"]) == (1, 0, 5), (
        "a worker sealed its number anew"
    )
    assert (as_both.code, as_both.result["erased"], as_both.result["locked"]) == (0, 1, 0)
    assert smsq("forget", refused, "--json", SMSQ_ENCRYPTION_KEY=BOTH).result["erased"] == 1
    with shared_server.client() as client:
        assert PLAIN not in str(client.hgetall(keys.job(readable.id))), "what it stores itself, it seals"
        assert not client.hexists(keys.job(first.id), "recipient")
        assert client.hexists(keys.job(second.id), "recipient")
    assert smsq("failed", failed.id, "--retry").errors == [
        "1 job was left alone: its number and text were erased by smsq forget"
    ]
    operator.close()


def test_a_worker_without_the_key_leaves_a_job_to_one_that_has_it(
    own_server: Callable[..., Server], sandbox: Sandbox, tmp_path: Path
) -> None:
    """It sends what is plain, closes its own gate and says why; a worker with the key sends the rest, once.

    That one erases numbers soon after a job's end. Not the canary's, the first job's here.
    """
    server = own_server()
    plain, sealing = (SmsQueue(settings=_settings(server, key)) for key in (None, NEW))
    started = [Worker(tmp_path / "without", environment(server.url, sandbox.url, **QUICK)).wait_ready()]
    try:
        readable = plain.enqueue(Sms(recipient=NUMBERS[2], text="plain"))
        assert end_of(plain, readable.id).state is State.SENT
        job = sealing.enqueue(Sms(recipient=NUMBERS[3], text=TEXT))

        def handed_back() -> Job | None:
            found = plain.lookup(job.id)
            return found if found and found.error and found.state is State.QUEUED else None

        found = wait_until(handed_back, what="it is on its lane again")
        assert found is not None
        assert (found.attempts, str(found.error)) == (0, NO_KEY)
        started[0].wait_lines("gate.closed")
        doctor = Command(server.url, tmp_path)("doctor")
        assert f"no live worker can read what waits: {NO_KEY}" in doctor.out
        assert len(started[0].lines("job.queued")) < 5, "it waits for a probe's turn"

        soon = {"SMSQ_ENCRYPTION_KEY": NEW, "SMSQ_ERASE_AFTER_DAYS": "0.000001"}
        started.append(
            Worker(tmp_path / "with", environment(server.url, sandbox.url, **QUICK, **soon), "-n", "w2@%h").wait_ready()
        )
        assert end_of(plain, job.id).state is State.SENT
        assert sandbox.called(NUMBERS[3]) == 1
        with server.client() as client:
            wait_until(lambda: client.hget(keys.job(job.id), "erased"), what="its number's time has come")
            assert client.hmget(keys.job(job.id), "recipient", "state") == [None, "sent"]
            assert client.hget(keys.job(readable.id), "recipient") == NUMBERS[2]
        assert [line["count"] for line in started[1].wait_lines("recipients.erased")] == [1]
    finally:
        for each in started:
            each.kill()
        plain.close()
        sealing.close()


@pytest.mark.parametrize(("before", "after"), [(None, NEW), (OLD, BOTH), (OLD, OLD)], ids=["first", "next", "same"])
def test_an_idempotency_key_stays_its_jobs(
    server: Server, queue_with: MakeQueue, before: str | None, after: str
) -> None:
    """Through a change of keys the same content is the same job, and another content is noticed."""
    sms, another = Sms(recipient=NUMBERS[0], text=TEXT), Sms(recipient=NUMBERS[0], text=TEXT + "!")
    job = queue_with(before).enqueue(sms, idempotency_key="k")
    for key in (before, after):
        assert queue_with(key).enqueue(sms, idempotency_key="k").id == job.id
        with pytest.raises(IdempotencyConflict):
            queue_with(key).enqueue(another, idempotency_key="k")


@pytest.mark.parametrize("key", [None, FOREIGN], ids=["none", "foreign"])
def test_who_cannot_compare_contents_is_given_the_keys_job(
    server: Server, queue_with: MakeQueue, key: str | None
) -> None:
    """Rather than a conflict that may be none; nothing is enqueued."""
    job = queue_with(OLD).enqueue(Sms(recipient=NUMBERS[0], text=TEXT), idempotency_key="k")
    assert queue_with(key).enqueue(Sms(recipient=NUMBERS[0], text=TEXT), idempotency_key="k").id == job.id
    assert b"k" not in server.contents().split()


def test_a_sealed_message_is_one_jobs_alone() -> None:
    """Cut, changed, or in another job's record, it isn't sent; under another key it is nobody's."""
    cipher, foreign = Cipher.parse(NEW), Cipher.parse(FOREIGN)
    sealed = cipher.seal_message(f'{{"recipient":"{NUMBERS[0]}"}}', "a" * 20, NUMBERS[0], bytes(NONCE))
    for damaged, job_id in ((sealed, "b" * 20), (sealed[:-1], "a" * 20), (sealed[:20], "a" * 20)):
        with pytest.raises(InvalidSms) as caught:
            cipher.open_message(damaged, job_id)
        assert NUMBERS[0] not in str(caught.value)
    number = cipher.seal_number("1" * 15)
    assert len(number) <= 64, "a longer value would turn the record into a table"
    assert (cipher.open_number(number), cipher.seal_number("1" * 15)) == ("1" * 15, number)
    assert foreign.marks(NUMBERS[0]) != cipher.marks(NUMBERS[0])


def test_the_gateway_is_asked_by_the_canarys_number() -> None:
    """As the worker that sent it stored it; one without the key asks as if there were no canary."""
    sealed = Cipher.parse(OLD).seal_number(NUMBERS[0])
    assert _canary(Cipher.parse(BOTH), (1, sealed)) == Canary(1, NUMBERS[0])
    assert _canary(None, (1, NUMBERS[0])) == Canary(1, NUMBERS[0])
    assert _canary(None, (1, sealed)) is _canary(Cipher.parse(FOREIGN), (1, sealed)) is None


def test_messages_can_be_read_in_a_test_of_ones_own() -> None:
    """`sms_outbox` needs no key, whatever the environment sets."""
    with outbox() as box:
        SmsQueue(settings=Settings.load(encryption_key=NEW)).enqueue(Sms(recipient=NUMBERS[0], text=TEXT))
    assert [message.text for message in box] == [TEXT]


@pytest.mark.parametrize("key", ["x", f"{NEW},", NEW[:-8], f"{NEW};{OLD}", "ключ"], ids=range(5))
def test_a_malformed_key_is_named_and_not_repeated(key: str) -> None:
    """One line says what a key looks like, and how to make one."""
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(encryption_key=key)
    [line] = caught.value.problems
    assert line.startswith("SMSQ_ENCRYPTION_KEY: must be keys of 32 bytes each in base64")
    assert key.strip(",") not in line.removeprefix("SMSQ_ENCRYPTION_KEY: must") or key == "x"


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, not with the first job."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigurationError, match=r"SMSQ_ENCRYPTION_KEY: .*pip install 'smsq\[encryption\]'"):
        Settings.load(encryption_key=NEW)
    assert Settings.load(encryption_key="").cipher is Settings.load(encryption_key="none").cipher is None


def test_encrypted_messages_need_tokens() -> None:
    """Without them only number and text tell jobs apart, which nobody can compare."""
    with pytest.raises(ConfigurationError, match="SMSQ_ENCRYPTION_KEY needs SMSQ_CAMPAIGN_TOKEN"):
        WorkerSettings.load(encryption_key=NEW, campaign_token=False)
