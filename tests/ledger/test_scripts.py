"""The scripts as files: their contracts, what Python knows of them, and that Redis has them when they are needed."""

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from typing import Literal

import pytest

from smsq import SmsQueue, keys, ledger
from smsq.async_connection import AsyncRunner
from smsq.connection import SyncRunner
from smsq.durability import Durability
from smsq.job import RECORD_VERSION
from smsq.lanes import LANES
from smsq.ledger import BEGIN_WORDS, CANCEL_WORDS, MARK_WORDS, RETRY_WORDS, SETTLE_WORDS, NewJob, Options, Settlement
from smsq.ledger.asking import ANSWER_WORDS
from smsq.ledger.following import FOLLOWED_WORDS
from smsq.scripts import script
from smsq.settings import Settings
from smsq.sms import Sms
from smsq.states import State
from tests.ledger.actor import APART, IDS, NONCE, POLICY, RETENTION, SETTLING, Actor, message, outcome, told
from tests.ledger.snapshot import JOB_ID
from tests.support.server import Server

FOLDER = files("smsq") / "lua"
NAMES = sorted(each.name.removesuffix(".lua") for each in FOLDER.iterdir() if not each.name.startswith("_"))
#: What adds something that must be kept is refused when memory is full. All else lets a full server drain.
REFUSED_WHEN_FULL = {"enqueue", "watch"}
READS_ONLY = {"batch", "lookup", "overview", "health", "ended", "story", "parked"}


def contract(name: str, start: str, end: str) -> str:
    """Returns a part of the comment on top of a script."""
    head = re.match(r"(?:#!.*\n)?((?:--.*\n)*)", (FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
    assert head
    found = re.search(rf"^-- {start}(.*?)(?=^-- {end}|\Z)", head[1], re.MULTILINE | re.DOTALL)
    assert found, f"{name}.lua doesn't say what it {start}"
    return found[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_says_what_happens_when_memory_is_full(name: str) -> None:
    """F04: each script states its policy, and that it isn't for clusters."""
    first = (FOLDER / f"{name}.lua").read_text(encoding="utf-8").splitlines()[0]
    flags = set(first.removeprefix("#!lua flags=").split(","))
    if name in READS_ONLY:
        assert flags == {"no-cluster", "no-writes"}
    else:
        assert flags == {"no-cluster"} | (set() if name in REFUSED_WHEN_FULL else {"allow-oom"})


@pytest.mark.parametrize("name", NAMES)
def test_each_script_has_its_contract_and_its_function(name: str) -> None:
    """The head says what it takes and returns; the ledger calls it by its name."""
    assert contract(name, "ARGV", "Returns")
    assert contract(name, "Returns", "Keeps")
    assert callable(getattr(ledger, name))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("begin", BEGIN_WORDS), ("settle", SETTLE_WORDS), ("cancel", CANCEL_WORDS), ("answer", ANSWER_WORDS),
        ("retry", RETRY_WORDS), ("mark_sent", MARK_WORDS), ("followed", FOLLOWED_WORDS),
    ],
)  # fmt: skip
def test_the_contract_names_the_words_that_python_knows(name: str, words: frozenset[str]) -> None:
    """No answer is written down on one side only."""
    assert set(re.findall(r"'([a-z]+)'", contract(name, "Returns", "Keeps"))) == words


def hear_begin(act: Actor) -> set[str]:
    """Begins one job for each word that it can answer with."""
    act.enqueue(batch_id="b")
    ids = {
        "begun": act.enqueue(),
        "expired": act.enqueue(expires_in=1000),
        "cancelled": act.enqueue(batch_id="b"),
        "newer": act.enqueue(),
        "malformed": act.enqueue(),
        "taken": act.enqueue(),
        "final": act.in_state(State.SENT),
        "gone": act.new_id(),
        "paused": act.enqueue(lane="bulk"),
        "asking": act.enqueue(),
    }
    act.take()
    act.client.hset(keys.PAUSE, "bulk", "1 a reason")
    act.client.hset(keys.job(ids["asking"]), "epoch", 1)
    ids["waiting"] = act.enqueue()
    act.run(ledger.cancel_batch("b"))
    act.begin(ids["taken"], "another's")
    act.client.hset(keys.job(ids["newer"]), "v", RECORD_VERSION + 1)
    act.client.hset(keys.job(ids["malformed"]), "at", "abc")
    act.pass_time(1000)
    heard = {word: act.begin(job_id).word for word, job_id in ids.items()}
    assert heard == {word: word for word in ids}
    return {*heard, act.begin(ids["paused"], epoch=1).word}


def hear_settle(act: Actor) -> set[str]:
    """Settles one job for each word that it can answer with."""
    first, second = act.in_state(State.SENT), act.in_state(State.SENDING)
    return {
        act.settle(outcome(first, State.SENT)),
        act.settle(Settlement(first, NONCE, State.SENT, ids=(1, 2, 2))),
        act.settle(outcome(second, State.SENT)),
        act.settle(outcome(second, State.FAILED, token="a stranger's")),
        act.settle(outcome(act.new_id(), State.FAILED)),
    }


#: What an asker says for a job to come to these.
ANSWERS: dict[str, Literal["found", "cant_tell"]] = {"sent": "found", "later": "cant_tell", "unknown": "cant_tell"}


def hear_answer(act: Actor) -> set[str]:
    """Answers questions about one job for each word that they can come to."""
    ids = {
        "sent": act.lose(act.enqueue()),
        "later": act.lose(act.enqueue()),
        "unknown": act.lose(act.enqueue()),
        "again": act.lose(act.enqueue()),
        "expired": act.lose(act.enqueue(expires_in=1000)),
        "cancelled": act.lose(act.enqueue(batch_id="b")),
        "failed": act.lose(act.enqueue()),
    }
    act.run(ledger.cancel_batch("b"))
    act.pass_time(SETTLING)
    act.send_another()
    for word in ("again", "expired", "cancelled", "failed"):
        assert act.absent(ids[word]) == "later"
    act.pass_time(APART)
    policies = {"unknown": replace(POLICY, limit=0), "failed": replace(POLICY, losses=0)}
    for word, job_id in ids.items():
        policy = policies.get(word, POLICY)
        assert act.question(job_id, policy=policy) is not None
        given: Literal["found", "cant_tell", "absent"] = ANSWERS.get(word, "absent")
        assert act.answer(told(job_id, given), policy) == word
    return {*ids, act.answer(told(act.new_id(), "absent"))}


def hear_cancel(act: Actor) -> set[str]:
    """Cancels one job for each word that it can answer with."""
    newer, malformed = act.enqueue(), act.enqueue()
    act.client.hset(keys.job(newer), "v", RECORD_VERSION + 1)
    act.client.hset(keys.job(malformed), "at", "abc")
    ids = [act.enqueue(), act.in_state(State.SENT), act.new_id(), newer, malformed]
    return {act.cancel(job_id) for job_id in ids}


def _erase(act: Actor, ids: dict[str, str]) -> None:
    """Has the jobs of these two words lose their messages for that reason."""
    for word in ("forgotten", "erased"):
        act.client.hdel(keys.job(ids[word]), "m0")
        act.client.hset(keys.job(ids[word]), "erased", word)


def hear_retry(act: Actor) -> set[str]:
    """Retries one job for each word that it can answer with."""
    ids = {
        "queued": act.in_state(State.FAILED),
        "asking": act.in_state(State.FAILED),
        "expired": act.in_state(State.FAILED),
        "cancelled": act.in_state(State.FAILED, batch_id="b"),
        "other": act.in_state(State.SENT),
        "declined": act.in_state(State.FAILED),
        "forgotten": act.in_state(State.FAILED),
        "erased": act.in_state(State.FAILED),
        "gone": act.new_id(),
        "malformed": act.in_state(State.FAILED),
        "newer": act.in_state(State.FAILED),
    }
    act.run(ledger.cancel_batch("b"))
    changes = {"asking": ("epoch", "1"), "expired": ("expires", "1"), "malformed": ("at", "abc"), "newer": ("v", "9")}
    changes["declined"] = ("message_id", "1")
    for word, (field, value) in changes.items():
        act.client.hset(keys.job(ids[word]), field, value)
    _erase(act, ids)
    words = act.run(ledger.retry(list(ids.values()), "failed", "n"))
    heard = dict(zip(ids, map(str, words), strict=True))
    assert heard == {word: word for word in ids}
    return set(heard)


def hear_mark_sent(act: Actor) -> set[str]:
    """Marks one job as sent for each word that it can come to."""
    ids = {
        "owned": act.in_state(State.UNKNOWN),
        "other": act.in_state(State.FAILED),
        "forgotten": act.in_state(State.UNKNOWN),
        "erased": act.in_state(State.UNKNOWN),
        "gone": act.new_id(),
        "malformed": act.in_state(State.UNKNOWN),
        "newer": act.in_state(State.UNKNOWN),
        "sent": act.in_state(State.UNKNOWN),
    }
    act.in_state(State.SENT)
    act.client.hset(keys.job(ids["malformed"]), "at", "abc")
    act.client.hset(keys.job(ids["newer"]), "v", RECORD_VERSION + 1)
    _erase(act, ids)
    message_ids = dict.fromkeys(ids, 77) | {"owned": IDS[0]}
    heard = {
        word: act.run(
            ledger.mark_sent(job_id, message_id=message_ids[word], campaign_id=1, status=2, retention=RETENTION)
        ).word
        for word, job_id in ids.items()
    }
    assert heard == {word: word for word in ids}
    return set(heard)


@pytest.mark.parametrize(
    ("hear", "words"),
    [
        (hear_begin, BEGIN_WORDS), (hear_settle, SETTLE_WORDS), (hear_cancel, CANCEL_WORDS),
        (hear_answer, ANSWER_WORDS), (hear_retry, RETRY_WORDS), (hear_mark_sent, MARK_WORDS),
    ],
)  # fmt: skip
def test_every_word_is_heard(act: Actor, hear: Callable[[Actor], set[str]], words: frozenset[str]) -> None:
    """What Python knows is what the scripts say."""
    assert hear(act) == words


def test_ids_have_the_documented_form(queue: SmsQueue) -> None:
    """20 letters and digits, whoever makes them."""
    jobs = queue.enqueue_many(Sms(recipient="+77010000001", text="Код") for _ in range(100))
    assert all(JOB_ID.fullmatch(job.id) for job in jobs)


@pytest.mark.parametrize("durability", [Durability.MEMORY, Durability.DISK])
def test_scripts_survive_a_flush_in_mid_run(act: Actor, server: Server, durability: Durability) -> None:
    """Redis may forget its scripts between any two calls: they are loaded again, also in front of a confirmation."""
    runner = SyncRunner(Settings.load(redis_url=server.url).address, durability)
    for number in range(3):
        act.client.script_flush()
        new = NewJob(act.new_id(), message())
        [job] = runner.run(ledger.enqueue([new], Options("normal"), 1), 5)
        act.client.script_flush()
        assert runner.run(ledger.lookup("job", new.id), 5) == job
        assert len(act.look().jobs) == number + 1
    runner.close()


def test_scripts_survive_a_flush_in_a_loop(act: Actor, server: Server) -> None:
    """The same in an event loop, with many calls at once."""

    async def scenario() -> None:
        runner = AsyncRunner(Settings.load(redis_url=server.url).address, Durability.DISK)
        for _ in range(3):
            act.client.script_flush()
            calls = [ledger.enqueue([NewJob(act.new_id(), message())], Options("normal"), 1) for _ in range(50)]
            await asyncio.gather(*(runner.run(call, 10) for call in calls))
        await runner.close()

    asyncio.run(scenario())
    assert len(act.look().jobs) == 150


def test_scripts_survive_flushes_under_threads(act: Actor, server: Server) -> None:
    """However often Redis forgets, each job is accepted once."""
    runner = SyncRunner(Settings.load(redis_url=server.url).address)
    stop = threading.Event()
    calls = [ledger.enqueue([NewJob(act.new_id(), message())], Options("normal"), 1) for _ in range(400)]

    def forget() -> None:
        with server.client() as client:
            while not stop.is_set():
                client.script_flush()

    forgetting = threading.Thread(target=forget)
    forgetting.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda call: runner.run(call, 10), calls))
    finally:
        stop.set()
        forgetting.join()
        runner.close()
    assert len(act.look().lists[keys.waiting("normal", "")]) == 400


def test_a_server_that_was_started_again_has_jobs_and_scripts(own_server: Callable[..., Server]) -> None:
    """The jobs come from its append-only file, the scripts from us."""
    server = own_server("--appendfsync", "always")
    queue = SmsQueue(server.url)
    job = queue.enqueue(Sms(recipient="+77010000001", text="Код"))
    server.kill()
    server.start()
    assert queue.lookup(job.id) == job
    queue.close()


def test_each_script_is_a_file_of_the_package() -> None:
    """Found as a resource, as from an installed wheel, with its flags on the first line and what all share inside."""
    for name in NAMES:
        assert script(name).text.startswith("#!lua flags=")
        assert "local NOW, EPOCH, TRIED" in script(name).text


def test_a_script_has_those_shared_functions_that_it_uses() -> None:
    """Also those that they use; and no others, which Redis would make anew for each run."""
    enqueue, settle = script("enqueue").text, script("settle").text
    assert "local function to_lane" in settle
    assert "local function enter_lane" in settle
    assert "local function enter_lane" in enqueue
    assert "local function to_lane" not in enqueue
    assert "local function finish" not in enqueue


@pytest.mark.parametrize("step", ["accepted", "taken", "ended"])
@pytest.mark.parametrize("key", ["smsq:due", "smsq:lane:normal", "smsq:lane:normal:", "sms.normal", "smsq:bell:normal"])
def test_a_key_of_another_kind_stops_no_script_half_way(act: Actor, key: str, step: str) -> None:
    """Scripts meet it after they wrote to a job's record: it is set aside, and the job goes on."""
    first = act.start(act.enqueue()) if step == "ended" else act.enqueue()
    act.client.delete(key)
    act.client.set(key, "foreign")
    if step == "accepted":
        assert act.enqueue() in act.take()
    elif step == "taken":
        assert act.take() in ([first], [])  # what waited in that key is found by the sweep
        assert act.enqueue() in act.take()
    else:
        assert act.settle(outcome(first, State.QUEUED)) == "settled"
        assert first in act.take()
    assert act.client.get(f"smsq:aside:{key}") == "foreign"


def test_lanes_are_emptied_in_the_order_of_their_priority(act: Actor) -> None:
    """Whatever batches their jobs are in."""
    for lane in LANES:
        for batch in ("", "b1", "b2"):
            for _ in range(3):
                act.enqueue(lane=lane, batch_id=batch)
    taken = act.look()
    order = [taken.jobs[job_id]["lane"] for job_id in act.take(27)]
    assert order == [lane for lane in LANES for _ in range(9)]
    act.look()


def test_a_share_of_a_lane_goes_to_each_batch(act: Actor) -> None:
    """A thousand jobs of one batch don't keep one job of another waiting."""
    for _ in range(50):
        act.enqueue(batch_id="big")
    small = act.enqueue(batch_id="small")
    assert small in act.take(4)
