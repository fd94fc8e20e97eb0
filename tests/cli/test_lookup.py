"""`smsq status`, `smsq find` and `smsq cancel`: what they show, and what their exit codes say."""

import pytest

from smsq import Sms, SmsQueue, State
from smsq.job import JobError
from tests.cli.conftest import NUMBER, TEXT, Command
from tests.cli.stand_in import StandIn

SMS = Sms(recipient=NUMBER, text=TEXT)


def test_not_known(smsq: Command) -> None:
    """What isn't known ends with 1, one line and no result."""
    what = {
        ("status", "nosuchjob"): "job",
        ("status", NUMBER): "job",
        ("status", ""): "job",
        ("status", "--batch", "nosuchbatch"): "batch",
        ("find", "--message-id", "9223372036854775807"): "job",
        ("find", "--campaign-id", "1", "--json"): "job",
        ("cancel", "nosuchjob", "--json"): "job",
        ("cancel", "--batch", "nosuchbatch"): "batch",
    }
    for ended, name in zip(smsq.each(what), what.values(), strict=True):
        assert (ended.code, ended.out) == (1, "")
        assert ended.errors == [f"the {name} isn't known: it never was, or is older than SMSQ_RETENTION_DAYS"]


def test_status_of_a_waiting_job(smsq: Command, queue: SmsQueue) -> None:
    """A job that is under way is shown with 0, before or after `--json`."""
    job = queue.enqueue(SMS)
    ended = smsq("status", job.id)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [f"job         {job.id}", "state       queued", "attempts    0"]
    ended = smsq("status", "--json", job.id)
    assert (ended.code, ended.result) == (0, job.as_dict())


def test_find_a_sent_job(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """A sent job is found by either of the gateway's ids and by its own, and shown alike."""
    job = queue.enqueue(SMS)
    stand_in.send(501, 601, 1)
    shown = smsq("status", job.id)
    assert shown.code == 0
    assert shown.rows["status"] == "1 (waits for moderation)"
    *same, found = smsq.each(
        [("find", "--message-id", "501"), ("find", "--campaign-id=601"), ("find", "--message-id", "501", "--json")]
    )
    assert same == [shown, shown]
    assert (found.result["id"], found.result["messageId"], found.result["campaignId"]) == (job.id, 501, 601)
    assert (found.result["state"], found.result["status"]) == ("sent", 1)


@pytest.mark.parametrize("state", [State.FAILED, State.UNKNOWN])
def test_status_of_a_job_that_was_not_sent(smsq: Command, queue: SmsQueue, stand_in: StandIn, state: State) -> None:
    """A job that ended otherwise than sent is shown with 1 and the reason, on one line whatever the gateway said."""
    job = queue.enqueue(SMS)
    stand_in.refuse(state, JobError("no\n answer\x1b[2J"))
    ended = smsq("status", job.id)
    assert ended.code == 1
    assert ended.rows == {"job": job.id, "state": str(state), "attempts": "1", "error": "no answer\ufffd[2J"}
    assert ended.errors == [f"the job ended as {state}: no answer\ufffd[2J"]


def test_status_of_a_batch(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """A batch is counted by state, with 0 whatever became of its jobs."""
    assert len(list(queue.enqueue_many([SMS] * 3, batch_id="autumn"))) == 3
    stand_in.refuse(State.FAILED, JobError("refused"))
    ended = smsq("status", "--batch", "autumn")
    assert (ended.code, ended.err) == (0, "")
    batch = queue.batch("autumn")
    assert batch is not None
    assert ended.rows == {
        "batch": "autumn",
        "jobs": "3",
        "queued": "2",
        "failed": "1",
        "first": batch.first.isoformat(timespec="seconds"),
        "last": batch.last.isoformat(timespec="seconds"),
    }
    assert smsq("status", "--batch", "autumn", "--json").result == batch.as_dict()


def test_cancel(smsq: Command, queue: SmsQueue) -> None:
    """A waiting job is stopped; asking again says the same."""
    job = queue.enqueue(SMS)
    ended = smsq("cancel", job.id)
    assert (ended.code, ended.err) == (0, "")
    assert ended.rows["state"] == "cancelled"
    assert smsq("cancel", job.id) == ended
    now = queue.lookup(job.id)
    assert now is not None
    assert now.state is State.CANCELLED
    assert smsq("cancel", job.id, "--json").result == now.as_dict()


def test_cancel_too_late(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """A job whose call has begun, or that has ended, can't be stopped, and its state says why."""
    job = queue.enqueue(SMS)
    stand_in.begin()
    ended = smsq("cancel", job.id, "--json")
    assert (ended.code, ended.result["state"]) == (1, "sending")
    assert ended.errors == ["the job couldn't be stopped: sending"]


def test_cancel_a_batch(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """All waiting jobs of a batch are stopped at once, and counted."""
    assert len(list(queue.enqueue_many([SMS] * 3, batch_id="autumn"))) == 3
    stand_in.send(501, 601, 2)
    ended = smsq("cancel", "--batch", "autumn")
    assert (ended.code, ended.err) == (0, "")
    assert (ended.rows["sent"], ended.rows["cancelled"], ended.rows["stopped"]) == ("1", "2", "2")
    assert smsq("cancel", "--batch", "autumn", "--json").result["stopped"] == 2
