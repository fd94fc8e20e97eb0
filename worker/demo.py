"""`make run`: everything on this machine alone, and messages through all of it.

Starts a Redis-protocol server, the sandbox gateway, a Celery worker and Flower on loopback, sends samples, prints what
became of each and where to look, and stays until Ctrl-C. ``--once`` ends after the samples.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from smsq import Job, QueueUnavailable, Settings, Sms, SmsQueue, State
from worker.children import ChildEnded, Children, Interrupted
from worker.stack import Stack

_SEND_TIMEOUT: Final = 60.0
_DONE, _FAILED, _INTERRUPTED = 0, 1, 130
#: The sandbox's recipient that the gateway refuses: a number without a route (`worker.sandbox.recipients`).
_NO_ROUTE: Final = "+7 700 000 6010"


@dataclass(frozen=True, slots=True)
class _Sample:
    """A message that was enqueued, and how it should end."""

    about: str
    job: Job
    should_be: State = State.SENT

    def as_it_should(self) -> bool:
        """Returns whether it was sent and has its ids, or was refused with the gateway's code."""
        job = self.job
        if self.should_be is State.SENT:
            return job.state is State.SENT and None not in (job.message_id, job.campaign_id, job.campaign_status)
        return job.state is self.should_be and job.error is not None and job.error.code is not None


def _enqueue(queue: SmsQueue) -> Iterator[_Sample]:
    """Enqueues one of each kind."""
    code = Sms(recipient="+7 701 000 00 01", text="Код: 4711. Никому не сообщайте его.", validity=60)
    yield _Sample("a code, urgent", queue.enqueue(code, lane="urgent", expires_in=180, idempotency_key="otp:42"))

    order = Sms(recipient="+7 701 000 00 02", text="Your order 1815 is on its way.", sender="Brand", name="orders")
    yield _Sample("a notice, with sender", queue.enqueue(order))

    pair = [Sms(recipient=f"+7 701 000 01 0{n}", text="Күзгі жеңілдік: −20 %") for n in (1, 2)]
    for n, job in enumerate(queue.enqueue_many(pair, lane="bulk", batch_id="autumn"), start=1):
        yield _Sample(f"campaign, {n} of {len(pair)}", job)

    refused = Sms(recipient=_NO_ROUTE, text="This one is refused.")
    yield _Sample("a number without a route", queue.enqueue(refused), State.FAILED)

    later = datetime.now(UTC) + timedelta(hours=2)
    reminder = Sms(recipient="+7 701 000 00 03", text="Ваша запись завтра в 10:00.", deferred_to=later)
    yield _Sample("a reminder, in two hours", queue.enqueue(reminder))


def _settle(queue: SmsQueue, sample: _Sample, children: Children) -> _Sample:
    """Waits for a sample's end, while everything runs."""
    jobs = [sample.job]

    def ended() -> bool:
        jobs.append(queue.wait(sample.job.id, timeout=0.5) or sample.job)
        return jobs[-1].state.final

    children.wait_until(ended, what=f"the end of job {sample.job.id}", timeout=_SEND_TIMEOUT)
    return replace(sample, job=jobs[-1])


def _table(samples: Sequence[_Sample]) -> str:
    """Returns what became of each sample, a line each."""
    rows: list[tuple[str, ...]] = [("message", "job id", "state", "messageId", "campaignId", "status")]
    for sample in samples:
        job = sample.job
        ids = [str(value) if value is not None else "-" for value in (job.message_id, job.campaign_id)]
        rows.append((sample.about, job.id, job.state, *ids, str(job.campaign_status or job.error or "-")))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([*map(str.ljust, row[:-1], widths), row[-1]]) for row in rows)


def _addresses(stack: Stack) -> str:
    """Returns where to look, and what to try."""
    environment = " ".join(f"{name}={value}" for name, value in stack.environment.items())
    return "\n".join(
        [
            f"Flower             {stack.flower_url} (user {stack.flower_user}, password {stack.flower_password})",
            f"sandbox's messages {stack.sandbox_url}/sandbox/messages",
            f"Redis              {stack.redis_url}",
            f"logs               {stack.folder}",
            f"environment        export {environment}",
            'try, with that     .venv/bin/smsq send +77010000009 "Сәлем!" --wait',
        ]
    )


def _run(children: Children, folder: Path, *, once: bool) -> int:
    """Starts everything, sends the samples, shows them, and stays unless it is to end at once."""
    stack = Stack(children, folder)
    stack.start(say=_say)
    queue = SmsQueue(stack.redis_url, settings=Settings.load(redis_url=stack.redis_url))
    _say("sending samples")
    samples = [_settle(queue, sample, children) for sample in list(_enqueue(queue))]
    queue.close()
    print(f"\n{_table(samples)}\n", flush=True)
    wrong = [sample.about for sample in samples if not sample.as_it_should()]
    if wrong:
        raise RuntimeError(f"did not end as they should: {', '.join(wrong)}")
    if not once:
        print(f"{_addresses(stack)}\n\nCtrl-C stops everything.", flush=True)
        children.stay()
    _say("stopping")
    return _DONE


def _forget_settings(folder: Path) -> None:
    """Leaves the environment's settings and the checkout's `.env`: they may be production's."""
    for variable in [each for each in os.environ if each.startswith(("SMSQ_", "MOBIZON_", "FLOWER_", "CELERY_"))]:
        del os.environ[variable]
    os.chdir(folder)


def _say(line: str) -> None:
    print(f"demo: {line}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demonstration.

    Args:
        arguments: The command line's, without the program's name.

    Returns:
        The exit code: 0 when every sample ended as it should, 1 when not, 130 when interrupted before.
    """
    parser = argparse.ArgumentParser(prog="python -m worker.demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--once", action="store_true", help="end when the samples' ids are printed")
    once = parser.parse_args(arguments).once
    with tempfile.TemporaryDirectory(prefix="smsq-demo-") as name:
        folder = Path(name)
        _forget_settings(folder)
        try:
            with Children(folder) as children:
                return _run(children, folder, once=once)
        except Interrupted:
            print("demo: interrupted", file=sys.stderr)
            return _INTERRUPTED
        except (ChildEnded, TimeoutError, QueueUnavailable, RuntimeError) as error:
            print(f"demo: {error}", file=sys.stderr)
            return _FAILED


if __name__ == "__main__":
    sys.exit(main())
