"""What became of messages after they were sent: who is asked about when, and what may be written down."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsq import keys, ledger
from smsq.job import RECORD_VERSION, JobError
from smsq.ledger import Decision, Delivery, Followed, FollowedWord, Following, Heard
from smsq.ledger.following import FIRST_LOOK, FOLLOWED_WORDS
from smsq.states import State
from tests.ledger.actor import DAY, IDS, RETENTION, WORKER, Actor, outcome, told

MESSAGE, CAMPAIGN, _ = IDS
LEASE = 120_000
#: Between two questions at least; until the first one about a moderator; ms.
HINTED, MODERATOR = 10_000, 30_000
WHY = JobError("declined by a moderator", fields={"globalComment": "no"})
PLAN = Following.of(60, 0)


def sent(act: Actor, *, status: int = 2, plan: Following | None = PLAN, message_id: int = MESSAGE) -> str:
    """Sends a job of batch ``b``; its delivery is wanted if there is a plan."""
    job_id = act.start(act.enqueue(batch_id="b"))
    given = replace(outcome(job_id, State.SENT), ids=(message_id, CAMPAIGN, status), following=plan)
    assert act.settle(given) == "settled"
    return job_id


def due(act: Actor, *, delivery: bool = True, campaigns: int = 10, messages: int = 10, entries: int = 100) -> Followed:
    """Takes what is due to be asked about."""
    return act.run(
        ledger.follow(entries, campaigns=campaigns, messages=messages, lease=LEASE, delivery=delivery, worker=WORKER)
    )


def tell(act: Actor, what: Decision | Delivery, *, delivery: bool = True) -> FollowedWord:
    """Writes down what the gateway said."""
    [word] = act.run(ledger.followed([what], retention=RETENTION, delivery=delivery))
    return word


def decide(job_id: str, word: Literal["waits", "passed", "declined"], campaign_id: int = CAMPAIGN) -> Decision:
    """A moderator's decision."""
    return Decision(job_id, campaign_id, word, WHY if word == "declined" else None)


def status(job_id: str, word: str, *, final: bool = False, message_id: int = MESSAGE) -> Delivery:
    """A message's status."""
    return Delivery(job_id, message_id, word, final)


def asked(found: Followed) -> list[str]:
    """The jobs that are asked about."""
    return [each.job_id for each in found.moderated] + [each.job_id for each in found.underway]


def test_nothing_is_kept_of_what_nobody_follows(act: Actor) -> None:
    """A job that was sent without moderation, and whose delivery nobody wants, costs nothing more."""
    job_id = sent(act, plan=None)
    taken = act.look()
    assert not taken.follow
    assert "follow" not in taken.jobs[job_id]
    assert act.run(ledger.ask_delivery(str(MESSAGE))) is False


def test_a_declined_message_has_failed(act: Actor) -> None:
    """Its ids stay, it is listed with the moderator's words, its batch counts it as failed, and nobody retries it."""
    job_id = sent(act, status=1, plan=None)
    batch = act.run(ledger.batch("b"))
    assert (batch["sent"], batch["moderation"]) == (1, 1)
    act.pass_time(MODERATOR)
    [moderated] = due(act, delivery=False).moderated
    assert moderated == (job_id, CAMPAIGN, "77010000001")
    act.pass_time(RETENTION - DAY)
    assert tell(act, decide(job_id, "declined", CAMPAIGN + 1)) == "stale"
    assert tell(act, decide(job_id, "declined"), delivery=False) == "declined"
    job = act.lookup(job_id)
    assert (job.state, job.error, job.message_id, job.campaign_id) == (State.FAILED, WHY, MESSAGE, CAMPAIGN)
    batch = act.run(ledger.batch("b"))
    assert (batch["sent"], batch["failed"], batch["moderation"], batch["declined"]) == (0, 1, 0, 1)
    taken = act.look()
    assert (taken.ended["failed"], taken.follow) == ({job_id}, {})
    assert [*act.run(ledger.retry([job_id], "failed", "n"))] == ["declined"]
    assert act.settle(outcome(job_id, State.SENT)) == "settled"  # a worker whose answer was lost says it again
    assert act.answer(told(job_id, "found")) == "stale"
    assert act.lookup(job_id) == job
    act.pass_time(RETENTION - DAY)
    assert act.run(ledger.lookup("message", str(MESSAGE))) == act.lookup(job_id)
    act.look()


def test_a_moderator_is_asked_ever_less_often_and_for_two_days(act: Actor) -> None:
    """30 s, doubled up to ten minutes; then nobody asks any more, and the job is still `sent`."""
    job_id = sent(act, status=1, plan=None)
    pauses = []
    for _ in range(7):
        taken = act.look()
        pauses.append(round((taken.follow[job_id] - taken.now) / 1000))
        act.pass_time(taken.follow[job_id] - taken.now)
        assert asked(due(act)) == [job_id]
        assert tell(act, decide(job_id, "waits")) == "later"
    assert pauses == pytest.approx([30, 60, 120, 240, 480, 600, 600], abs=1)
    act.pass_time(2 * DAY)
    assert due(act).entries == 1
    assert not act.look().follow
    assert act.lookup(job_id).state is State.SENT


@pytest.mark.parametrize("delivery", [True, False])
def test_what_a_moderator_let_pass_is_sent(act: Actor, delivery: bool) -> None:
    """Its status becomes 2; its delivery is asked about from then on, if anyone wants to know."""
    job_id = sent(act, status=1, plan=PLAN if delivery else None)
    act.pass_time(MODERATOR)
    assert asked(due(act, delivery=delivery)) == [job_id]
    assert tell(act, decide(job_id, "passed"), delivery=delivery) == "passed"
    job, taken = act.lookup(job_id), act.look()
    assert (job.state, job.campaign_status) == (State.SENT, 2)
    assert (job_id in taken.follow) == delivery
    act.pass_time(FIRST_LOOK)
    assert [each.message_id for each in due(act, delivery=delivery).underway] == [MESSAGE] * delivery
    assert tell(act, decide(job_id, "declined"), delivery=delivery) == "stale"


def test_a_delivery_is_asked_about_until_it_is_final(act: Actor) -> None:
    """Each status is kept and counted; the last one stays, whoever says what afterwards."""
    job_id = sent(act)
    for word in ("ACCEPTD", "", "PDLIVRD"):
        act.pass_time(FIRST_LOOK * 8)
        assert asked(due(act)) == [job_id]
        assert tell(act, status(job_id, word)) == "later"
        assert act.lookup(job_id).delivery == (word or "ACCEPTD")
        act.look()
    act.pass_time(FIRST_LOOK * 8)
    assert asked(due(act)) == [job_id]
    assert tell(act, status(job_id, "DELIVRD", final=True)) == "delivery"
    for late in (status(job_id, "ACCEPTD"), status(job_id, "UNDELIV", final=True)):
        assert tell(act, late) == "stale"
    assert act.lookup(job_id).delivery == "DELIVRD"
    counts = {name: number for name, number in act.run(ledger.batch("b")).items() if number and ":" in name}
    assert counts == {"delivery:DELIVRD": 1}
    assert not act.look().follow
    assert act.run(ledger.ask_delivery(str(MESSAGE))) is False


def test_what_was_found_by_asking_is_followed_too(act: Actor) -> None:
    """A lost answer costs nobody the news of its message."""
    job_id = act.lose(act.enqueue())
    assert act.answer(replace(told(job_id, "found"), following=PLAN)) == "sent"
    taken = act.look()
    assert taken.follow[job_id] - taken.now == pytest.approx(FIRST_LOOK, abs=1000)
    moderated = act.lose(act.enqueue())
    assert act.answer(replace(told(moderated, "found"), ids=((MESSAGE + 1, CAMPAIGN + 1, 1),))) == "sent"
    assert moderated in act.look().follow


def test_erasing_a_person_takes_the_moderator_s_words_along(act: Actor) -> None:
    """They may quote what was sent; that it was declined stays."""
    job_id = sent(act, status=1, plan=None)
    assert tell(act, decide(job_id, "declined")) == "declined"
    assert forget(act) == 1
    assert act.lookup(job_id).error == replace(WHY, fields=None)


def test_who_was_forgotten_is_not_named_by_a_moderator(act: Actor) -> None:
    """The decision comes later than `smsq forget`: that it was declined is known, and nothing else."""
    job_id = sent(act, status=1, plan=None)
    assert forget(act) == 1
    act.pass_time(MODERATOR)
    [asked_about] = due(act).moderated
    assert asked_about.recipient == ""
    assert tell(act, decide(job_id, "declined")) == "declined"
    assert act.lookup(job_id).error == replace(WHY, fields=None)


@pytest.mark.parametrize("campaign_status", [1, 2])
def test_who_was_forgotten_is_not_written_again(act: Actor, campaign_status: int) -> None:
    """A late settle knows the number; so does an answer about a job that was given up meanwhile."""
    job_id = act.start(act.enqueue(), "n")
    assert act.settle(outcome(job_id, State.UNKNOWN, token="n")) == "settled"
    assert forget(act) == 1
    late = replace(outcome(job_id, State.SENT, token="n"), ids=(MESSAGE, CAMPAIGN, campaign_status))
    assert act.settle(late) == "settled"
    assert (act.lookup(job_id).state, act.lookup(job_id).message_id) == (State.SENT, MESSAGE)
    assert act.client.hget(keys.job(job_id), "recipient") is None
    act.look()


def forget(act: Actor) -> int:
    """Erases whose all these jobs are; returns how many were."""
    step = act.run(ledger.erase("0", 10_000, "77010000001", cancel_waiting=False, retention=RETENTION))
    return step[1].erased


def test_a_delivery_that_never_ends_is_given_up(act: Actor) -> None:
    """When the operator has stopped trying, and two hours more are over; with a deferral that much later."""
    assert Following.of(None, 3600.0) == (FIRST_LOOK + 3_600_000, 3_600_000 + DAY + 7_200_000)
    job_id = sent(act)
    act.pass_time(PLAN.until - 1000)
    assert asked(due(act)) == [job_id]
    act.pass_time(LEASE)
    assert due(act) == (1, [], [])
    assert not act.look().follow


def test_a_lost_asker_s_messages_are_asked_about_by_another(act: Actor) -> None:
    """What was taken comes again when its time is over, and is given to one at a time."""
    job_id = sent(act)
    act.pass_time(FIRST_LOOK)
    assert asked(due(act)) == [job_id]
    assert due(act).entries == 0
    act.pass_time(LEASE)
    assert asked(due(act)) == [job_id]
    act.look()


def test_only_what_is_due_is_looked_at_and_only_so_many_are_given(act: Actor) -> None:
    """There is no room for all: the rest comes a little later, and none is lost."""
    ids = [sent(act, message_id=100 + number) for number in range(5)]
    sent(act, message_id=200, plan=Following(DAY, 2 * DAY))
    act.pass_time(FIRST_LOOK)
    first = due(act, messages=2, entries=4)
    assert (first.entries, len(first.underway)) == (4, 2)
    act.pass_time(LEASE)
    assert sorted(asked(due(act))) == sorted(ids)
    act.look()


def test_nobody_asks_while_the_gateway_fails_or_refuses_the_worker(act: Actor) -> None:
    """Who waits at a gate asks nothing either."""
    sent(act)
    act.pass_time(FIRST_LOOK)
    failing, refused = (act.start(act.enqueue(), nonce) for nonce in ("f", "r"))
    assert act.settle(
        replace(outcome(refused, State.QUEUED, token="r"), heard=Heard("account", "code 8"))
    ) == "settled"  # fmt: skip
    assert due(act) == (0, [], [])
    act.client.delete(keys.worker_gate(WORKER))
    assert act.settle(
        replace(outcome(failing, State.RETRYING, token="f"), heard=Heard("failing", "down")), circuit_after=1
    ) == "settled"  # fmt: skip
    assert due(act) == (0, [], [])
    act.client.delete(keys.CIRCUIT)
    assert due(act).entries == 1


def test_f68_a_hint_only_has_it_asked_about_sooner(act: Actor) -> None:
    """Not more often than each ten seconds, and not later than it would be; another's message is none of ours."""
    job_id = sent(act)
    assert act.run(ledger.ask_delivery("999")) is False
    before = act.look()
    assert act.run(ledger.ask_delivery(str(MESSAGE))) is True
    taken = act.look()
    assert taken.jobs == before.jobs
    assert asked(due(act)) == [job_id]
    assert act.run(ledger.ask_delivery(str(MESSAGE))) is True
    assert due(act).entries == 0
    assert tell(act, status(job_id, "ACCEPTD")) == "later"  # the hint came while the question was out, and stays
    act.pass_time(HINTED)
    assert asked(due(act)) == [job_id]


def test_entries_of_records_that_are_gone_are_dropped(act: Actor) -> None:
    """Forgotten, expired, or with ids that nobody can use."""
    gone, damaged, senseless, off, newer = (sent(act, message_id=100 + number) for number in range(5))
    act.client.delete(keys.job(gone))
    act.client.hset(keys.job(damaged), "follow", "x")
    act.client.hset(keys.job(senseless), "campaign_id", "12; DROP")
    act.client.hset(keys.job(newer), "v", RECORD_VERSION + 1)
    act.pass_time(FIRST_LOOK)
    assert due(act, delivery=False) == (5, [], [])
    taken = act.look()
    assert taken.follow.keys() == {newer}, "what only a newer worker understands is left to it"
    assert "follow" not in taken.jobs[off]


def test_what_a_foreign_hand_took_away_is_followed_again(act: Actor) -> None:
    """The slow sweep finds it by its record, also where the key was made something else."""
    first = sent(act)
    act.client.delete(keys.FOLLOW)
    act.client.set(keys.FOLLOW, "x")
    second = sent(act, message_id=MESSAGE + 1)
    assert act.run(ledger.sweep("0", 10_000)).events == []
    assert act.look().follow.keys() == {first, second}


@pytest.mark.parametrize("word", sorted(FOLLOWED_WORDS))
def test_every_word_is_heard(act: Actor, word: FollowedWord) -> None:
    """What Python knows is what the script says."""
    job_id = sent(act, status=1 if word in ("declined", "passed") else 2)
    said: dict[FollowedWord, Decision | Delivery] = {
        "declined": decide(job_id, "declined"),
        "passed": decide(job_id, "passed"),
        "delivery": status(job_id, "DELIVRD", final=True),
        "later": status(job_id, "ACCEPTD"),
        "stale": status(job_id, "DELIVRD", final=True, message_id=1),
    }
    assert tell(act, said[word]) == word


Step = Callable[[Actor, str], object]
STEPS: dict[str, Step] = {
    "look": lambda act, _: due(act),
    "look without delivery": lambda act, _: due(act, delivery=False),
    "waits": lambda act, job_id: tell(act, decide(job_id, "waits")),
    "passed": lambda act, job_id: tell(act, decide(job_id, "passed")),
    "declined": lambda act, job_id: tell(act, decide(job_id, "declined")),
    "another's passed": lambda act, job_id: tell(act, decide(job_id, "passed", 9)),
    "another's declined": lambda act, job_id: tell(act, decide(job_id, "declined", 9)),
    "ACCEPTD": lambda act, job_id: tell(act, status(job_id, "ACCEPTD")),
    "unknown id": lambda act, job_id: tell(act, status(job_id, "")),
    "DELIVRD": lambda act, job_id: tell(act, status(job_id, "DELIVRD", final=True)),
    "UNDELIV": lambda act, job_id: tell(act, status(job_id, "UNDELIV", final=True)),
    "another's EXPIRED": lambda act, job_id: tell(act, status(job_id, "EXPIRED", final=True, message_id=9)),
    "hint": lambda act, _: act.run(ledger.ask_delivery(str(MESSAGE))),
    "a minute": lambda act, _: act.pass_time(60_000),
    "an hour": lambda act, _: act.pass_time(3_600_000),
    "a day": lambda act, _: act.pass_time(DAY),
    "sent again": lambda act, job_id: act.settle(outcome(job_id, State.SENT)),
    "retry": lambda act, job_id: act.run(ledger.retry([job_id], "failed", "n")),
    "foreign hand": lambda act, _: (act.client.delete(keys.FOLLOW), act.run(ledger.sweep("0", 10_000))),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moderated=st.booleans(), wanted=st.booleans(), steps=st.lists(st.sampled_from([*STEPS]), min_size=5, max_size=25)
)
def test_nothing_moves_back_whatever_happens(act: Actor, *, moderated: bool, wanted: bool, steps: list[str]) -> None:
    """A decision and a final delivery stay; the batch counts what the record says; nothing is followed for ever."""
    act.client.flushall()
    job_id = sent(act, status=1 if moderated else 2, plan=PLAN if wanted else None)
    before = act.lookup(job_id)
    for step in steps:
        STEPS[step](act, job_id)
        taken = act.look()
        if job_id not in taken.jobs:
            return
        job = act.lookup(job_id)
        assert job.message_id == MESSAGE
        if step.startswith("another's") or before.state is State.FAILED or before.delivery in ("DELIVRD", "UNDELIV"):
            assert replace(job, accepted_at=before.accepted_at, done_at=before.done_at) == before
        if job.state is State.FAILED:
            assert job.campaign_status == 1
            assert moderated
        assert job.delivery != "EXPIRED"
        assert not (before.campaign_status == 2 and job.campaign_status == 1)
        counts = taken.batches["b"]
        assert counts["sent"] + counts.get("failed", 0) == 1
        assert counts.get("declined", 0) == counts.get("failed", 0)
        assert counts.get("moderation", 0) == (job.state is State.SENT and job.campaign_status == 1)
        told_of = {name.removeprefix("delivery:"): number for name, number in counts.items() if ":" in name and number}
        assert told_of == ({job.delivery: 1} if job.delivery else {})
        before = job
    act.pass_time(3 * DAY)
    due(act)
    assert not act.look().follow
