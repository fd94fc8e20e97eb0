"""For the tests of applications that use smsq: an outbox in the place of Redis, workers and gateway.

With pytest the fixture `sms_outbox` is there as soon as smsq is installed; `outbox()` is the same for any other runner.
"""

from smsq.testing.outbox import Outbox, OutboxMessage, outbox

__all__ = ["Outbox", "OutboxMessage", "outbox"]
