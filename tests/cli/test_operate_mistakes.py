"""What an operator can get wrong: one line that names the argument and the rule, and nothing is done."""

from smsq import Sms, SmsQueue, State
from smsq.job import JobError
from tests.cli.conftest import NUMBER, TEXT, Command
from tests.cli.stand_in import StandIn
from tests.cli.test_mistakes import check

REASON = "--reason: must be one line of 1 to 200 characters (see smsq pause --help)"
FAILED, UNKNOWN = " (see smsq failed --help)", " (see smsq unknown --help)"


def test_pauses_that_do_not_fit(offline: Command) -> None:
    """A lane or all, and a reason: one line, that everyone may read."""
    check(
        offline,
        {
            ("pause", "bulk"): "the following arguments are required: --reason (see smsq pause --help)",
            ("pause", "--reason", "x"): "one of the arguments LANE --all is required (see smsq pause --help)",
            ("pause", "bulk", "--all", "--reason", "x"): (
                "--all: not allowed with argument LANE (see smsq pause --help)"
            ),
            ("pause", "fast", "--reason", "x"): (
                "LANE: invalid choice, must be one of urgent, normal, bulk (see smsq pause --help)"
            ),
            ("pause", "bulk", "--reason", ""): REASON,
            ("pause", "bulk", "--reason", " "): REASON,
            ("pause", "bulk", "--reason", "a\nb"): REASON,
            ("pause", "bulk", "--reason", "a" * 201): REASON,
            ("pause", "bulk", "--reason", b"\xff"): REASON,
            ("resume",): "one of the arguments LANE --all is required (see smsq resume --help)",
        },
    )


def test_actions_that_do_not_fit(offline: Command) -> None:
    """An action says on which jobs; ids of the gateway come in pairs, for one job."""
    which = "--retry: needs a JOB_ID, a filter or --all"
    pair = "--mark-sent and --campaign-id: each needs the other"
    check(
        offline,
        {
            ("failed", "--retry"): which + FAILED,
            ("unknown", "--retry", "--limit", "5"): which + UNKNOWN,
            ("failed", "--retry", "--older-than", "0"): which + FAILED,
            ("failed", "--retry", "--reason", ""): "--reason: must not be empty" + FAILED,
            ("unknown", "--retry", "--batch", ""): "--batch: must not be empty" + UNKNOWN,
            ("unknown", "x", "--mark-sent", str(2**63), "--campaign-id", "1"): (
                "--mark-sent: must be a whole number above 0, as the gateway gave it" + UNKNOWN
            ),
            ("failed", "x", "--batch", "y"): "--batch: not allowed with argument JOB_ID" + FAILED,
            ("failed", "x", "--all", "--retry"): "--all: not allowed with argument JOB_ID" + FAILED,
            ("failed", "--all", "--reason", TEXT): "--all: not allowed with argument --reason" + FAILED,
            ("failed", "x", "--mark-sent", "1"): "argument 3: no such option" + FAILED,
            ("unknown", "--mark-sent", "1", "--campaign-id", "2"): "--mark-sent: needs a JOB_ID" + UNKNOWN,
            ("unknown", "x", "--mark-sent", "1"): pair + UNKNOWN,
            ("unknown", "x", "--campaign-id", "1"): pair + UNKNOWN,
            ("unknown", "x", "--retry", "--mark-sent", "1"): "--mark-sent: not allowed with argument --retry" + UNKNOWN,
            ("unknown", "x", "--mark-sent", "0", "--campaign-id", "1"): (
                "--mark-sent: must be a whole number above 0, as the gateway gave it" + UNKNOWN
            ),
            ("failed", "--older-than", NUMBER): (
                "--older-than: must be a number of seconds, or one with its unit such as 90s, 3m or 2h" + FAILED
            ),
            ("failed", "--limit", "0"): "--limit: must be a whole number above 0" + FAILED,
            ("why",): "the following arguments are required: JOB_ID (see smsq why --help)",
            ("parked", "--limit", "x"): "--limit: must be a whole number above 0 (see smsq parked --help)",
        },
    )


def test_redis_down(offline: Command) -> None:
    """Every command ends with 3 and says where it looked and what it met."""
    commands = [
        ("queues",),
        ("pause", "bulk", "--reason", "x"),
        ("resume", "--all"),
        ("failed", "--json"),
        ("unknown", "x"),
        ("failed", "--all", "--retry"),
        ("unknown", "x", "--mark-sent", "1", "--campaign-id", "2"),
        ("why", "x"),
        ("parked",),
        ("parked", "--forget", "x"),
    ]
    where = offline.env["SMSQ_REDIS_URL"]
    for ended in offline.each(commands):
        assert (ended.code, ended.out, ended.errors) == (3, "", [f"Redis at {where}: connection refused"])


def test_a_retry_that_cannot_be_confirmed(smsq: Command, queue: SmsQueue, stand_in: StandIn) -> None:
    """Rule 23: with a durability that Redis can't give, nobody is told that a job is on its way again."""
    queue.enqueue(Sms(recipient=NUMBER, text=TEXT))
    job_id = stand_in.refuse(State.FAILED, JobError("a reason"))
    ended = smsq("failed", job_id, "--retry", SMSQ_DURABILITY="replica")
    assert (ended.code, ended.out) == (3, "")
    assert len(ended.errors) == 1
