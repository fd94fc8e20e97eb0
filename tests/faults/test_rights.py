"""A caller that lacks a right on the ledger's keys: it is told so, and the ledger isn't taken for damaged."""

from collections.abc import Callable
from typing import Final

import pytest

from smsq import Settings, Sms, SmsQueue
from smsq.errors import QueueUnavailable
from smsq.operate import Operator
from tests.support.server import Server

_SMS: Final = Sms(recipient="77010000001", text="Код: 4711")

#: Which right each call can't do without, beside those that all have; a call on what is there, and on what isn't.
_READS: Final[dict[str, Callable[[str, str], object]]] = {
    "smsq:message": lambda url, _: SmsQueue(url).lookup(message_id=501),
    "smsq:campaign": lambda url, _: SmsQueue(url).lookup(campaign_id=601),
    "smsq:job": lambda url, job_id: SmsQueue(url).cancel(job_id),
    "smsq:batch": lambda url, job_id: SmsQueue(url).lookup(job_id),
    "smsq:key": lambda url, _: SmsQueue(url).enqueue(_SMS, idempotency_key="order:42"),
    "smsq:pause": lambda url, _: Operator(Settings(redis_url=url)).overview(),
    "smsq:workers": lambda url, _: Operator(Settings(redis_url=url)).overview(),
    "smsq:gate": lambda url, _: Operator(Settings(redis_url=url)).overview(),
}


def _without(server: Server, right: str) -> str:
    """Makes a user that may do all but read these keys, and returns its URL."""
    kept = {"smsq:epoch", "smsq:due", "smsq:counters", "smsq:parked", "smsq:pace", *_READS} - {right}
    with server.client() as client:
        patterns = [f"~{each}*" for each in sorted(kept)] + ["~smsq:lane*", "~smsq:ended*", "~smsq:bell*", "~sms.*"]
        client.execute_command("ACL", "SETUSER", "half", "reset", "on", "nopass", "+@all", f"%W~{right}*", *patterns)
    return server.url.replace("redis://", "redis://half:any@")


@pytest.mark.parametrize("right", _READS)
def test_who_lacks_a_right_hears_which(server: Server, right: str) -> None:
    """No call answers that nothing is there because it may not look."""
    job_id = SmsQueue(server.url).enqueue(_SMS, batch_id="autumn").id
    with pytest.raises(QueueUnavailable, match=rf"a right is missing in the user's ACL: [A-Z]+ {right}"):
        _READS[right](_without(server, right), job_id)
    assert SmsQueue(server.url).cancel(job_id)


def test_a_caller_that_may_not_read_the_epoch_starts_no_other(server: Server) -> None:
    """Everything fails with that word, and the epoch stays what it was."""
    with server.client() as client:
        SmsQueue(server.url).lookup("nobody")
        SmsQueue(server.url).cancel("nobody")
        before = client.hgetall("smsq:epoch")
        rights = ("on", "nopass", "+@all", "~smsq:job:*", "~smsq:due", "%W~smsq:epoch")
        client.execute_command("ACL", "SETUSER", "half", "reset", *rights)
        url = server.url.replace("redis://", "redis://half:any@")
        for call in (SmsQueue(url).lookup, SmsQueue(url).cancel):
            with pytest.raises(QueueUnavailable, match=r"access refused.*HMGET smsq:epoch"):
                call("nobody")
        assert before
        assert client.hgetall("smsq:epoch") == before
