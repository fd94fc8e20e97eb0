"""Every command of the README's section for operators works as it stands there."""

import re
import shlex

from smsq import Sms, SmsQueue, State
from smsq.job import JobError
from tests.cli.conftest import NUMBER, TEXT, Command
from tests.cli.stand_in import StandIn
from tests.support.worker import ROOT

SMS = Sms(recipient=NUMBER, text=TEXT)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_commands_for_operators(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """In the order in which they stand, each on a job that is unknown when it begins."""
    block = re.search(r"^## Operating$.*?```sh\n(.*?)```", README, re.MULTILINE | re.DOTALL)
    assert block
    commands = [shlex.split(line, comments=True) for line in block[1].splitlines()]
    assert {words[1] for words in commands} >= {"queues", "pause", "resume", "failed", "unknown", "why", "parked"}
    queue.enqueue(SMS)
    failed = stand_in.refuse(State.FAILED, JobError("refused", 12))
    for program, *words in commands:
        assert program == "smsq"
        queue.enqueue(SMS, lane="urgent")
        job_id = stand_in.refuse(State.UNKNOWN, JobError("no answer"))
        ended = smsq(*(job_id if word == "JOB_ID" else word for word in words))
        assert (ended.code, ended.err) == (0, ""), words
    job = queue.lookup(failed)
    assert job is not None
    assert job.attempts == 1
    assert job.state is State.QUEUED
    assert queue.lookup(message_id=501) is not None
