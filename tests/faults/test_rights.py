"""A caller that lacks a right on the ledger's keys: it is told so, and the ledger isn't taken for damaged."""

import pytest

from smsq import SmsQueue
from smsq.errors import QueueUnavailable
from tests.support.server import Server


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
            with pytest.raises(QueueUnavailable, match="access refused"):
                call("nobody")
        assert before
        assert client.hgetall("smsq:epoch") == before
