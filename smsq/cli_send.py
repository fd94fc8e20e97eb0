"""The commands of those who send: `send`, `status`, `find` and `cancel`. Each calls a method of `SmsQueue`."""

import argparse
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal, TypedDict

from smsq.cli_arguments import Parser, gateway_id, identifier, in_zone, moment, seconds, standard_input
from smsq.cli_output import (
    Exit,
    complain,
    not_known,
    outcome,
    print_job,
    show_batch,
    show_job,
    show_size,
    warn_of_size,
)
from smsq.lanes import Lane
from smsq.message import Sms
from smsq.queue import SmsQueue

#: Seconds that a bare `--wait` waits at most: a call has ended by then, unless its outcome is being asked for.
_WAIT: Final = 60
#: What a bare `--wait` takes from the next argument. No phone number is so short.
_WAIT_SECONDS: Final = re.compile(r"[0-9]{1,5}(\.[0-9]+)?[smh]?")


class _Options(TypedDict):
    lane: Lane
    batch_id: str | None
    send_at: datetime | None
    expires_in: float | None
    on_unknown: Literal["ask", "resend"]


def add(command: Callable[[str, str], Parser]) -> None:
    """Adds the commands.

    Args:
        command: Makes a command's parser, of its name and its purpose.
    """
    _add_send(command("send", "Enqueues one message and prints the job's id"))
    _add_status(command("status", "Shows a job, or counts the jobs of a batch by state"))
    _add_find(command("find", "Finds the job of one of the gateway's ids"))
    _add_cancel(command("cancel", "Stops a job, or all waiting jobs of a batch, if the gateway hasn't been called"))


def with_wait(argv: Sequence[str]) -> list[str]:
    """Writes the seconds of a bare `--wait` out: argparse would take a recipient that follows it for them."""
    end = list(argv).index("--") if "--" in argv else len(argv)
    words = list(argv)
    for number, (word, following) in enumerate(pairwise([*argv[:end], ""])):
        if word == "--wait" and not _WAIT_SECONDS.fullmatch(following):
            words[number] = f"--wait={_WAIT}"
    return words


# -- arguments


def _add_send(parser: Parser) -> None:
    parser.set_defaults(run=_send)
    add = parser.add_argument
    add("recipient", metavar="RECIPIENT", help="the phone number with its country code, such as +77010000001")
    add(
        "text",
        metavar="TEXT",
        help="the message, after -- if it starts with a -; a - alone reads it from standard input",
    )
    message = parser.add_argument_group("the gateway's parameters").add_argument
    message("--from", dest="sender", metavar="NAME", help="the sender's signature (default: the account's)")
    message("--name", metavar="NAME", help="the campaign's name")
    message(
        "--deferred-to-ts",
        dest="deferred_to",
        metavar="TIME",
        help="when the gateway is to send it, one hour to 14 days ahead: 2026-12-01 10:00:00 in SMSQ_TIMEZONE, or ISO"
        " 8601 with an offset",
    )
    message("--mclass", metavar="0|1", help="0: flash, shown and stored nowhere; 1: to the phone's inbox (default)")
    message("--validity", metavar="MINUTES", help="how long the operator keeps trying, 60 to 1440 (default: 1440)")
    message("--shorten-links", action="store_const", const=True, help="have the service shorten links in the text")
    job = parser.add_argument_group("the job").add_argument
    job("--lane", default="normal", metavar="LANE", help="urgent, normal (default) or bulk")
    job(
        "--key",
        metavar="KEY",
        help="an idempotency key: given again with the same message it gives the same job, so that a command that"
        " ended with 3 can be repeated and never sends twice",
    )
    job(
        "--send-at",
        type=moment,
        metavar="TIME",
        help="our own schedule, any moment: ISO 8601 such as 2026-12-01T10:00; without an offset in SMSQ_TIMEZONE",
    )
    job("--expires-in", type=seconds, metavar="SECONDS", help="don't call the gateway after that; also 90s, 3m, 2h")
    job("--batch", metavar="NAME", help="a name to count and cancel jobs by")
    job(
        "--on-unknown",
        default="ask",
        metavar="WHAT",
        help="when an answer is lost: ask the gateway (default), or resend, which may send twice",
    )
    outcome = parser.add_mutually_exclusive_group()
    outcome.add_argument(
        "--dry-run", action="store_true", help="check every rule, print encoding and billed segments, enqueue nothing"
    )
    outcome.add_argument(
        "--wait",
        nargs="?",
        type=seconds,
        metavar="SECONDS",
        help=f"wait for the outcome, {_WAIT} seconds if none are given, and print it",
    )


def _add_status(parser: Parser) -> None:
    parser.set_defaults(run=_status)
    _add_job_or_batch(parser)


def _add_find(parser: Parser) -> None:
    parser.set_defaults(run=_find)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--message-id", type=gateway_id, metavar="N", help="the gateway's messageId")
    what.add_argument("--campaign-id", type=gateway_id, metavar="N", help="the gateway's campaignId")


def _add_cancel(parser: Parser) -> None:
    parser.set_defaults(run=_cancel)
    _add_job_or_batch(parser)


def _add_job_or_batch(parser: Parser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("job_id", nargs="?", type=identifier, metavar="JOB_ID", help="the job's id")
    what.add_argument("--batch", type=identifier, metavar="NAME", help="the batch's name")


# -- commands


def _send(args: argparse.Namespace) -> Exit:
    queue = SmsQueue.from_env()
    text = standard_input() if args.text == "-" else args.text
    given = {name: getattr(args, name) for name in Sms.model_fields} | {"text": text}
    sms = Sms.model_validate(given)
    options: _Options = {
        "lane": args.lane,
        "batch_id": args.batch,
        "send_at": args.send_at and in_zone(args.send_at, queue.settings.zone),
        "expires_in": args.expires_in,
        "on_unknown": args.on_unknown,
    }
    if args.dry_run:
        queue.check(sms, **options, idempotency_key=args.key)
        return show_size(sms.segments, sms.text, as_json=args.json)
    job = queue.enqueue(sms, **options, idempotency_key=args.key)
    warn_of_size(sms.segments, sms.text)
    try:
        if args.wait is not None:
            job = queue.wait(job.id, args.wait) or job
    finally:  # an accepted job's id must come out, also when Redis or the user ends the waiting
        if args.wait is None and not args.json:
            print(job.id, flush=True)
        else:
            print_job(job, as_json=args.json)
    if args.wait is not None and not job.state.final:
        complain(f"the job isn't final yet: {job.state}")
        return Exit.FAILED
    return outcome(job)


def _status(args: argparse.Namespace) -> Exit:
    queue = SmsQueue.from_env()
    if args.batch is not None:
        return show_batch(queue.batch(args.batch), as_json=args.json)
    return show_job(queue.lookup(args.job_id), as_json=args.json)


def _find(args: argparse.Namespace) -> Exit:
    queue = SmsQueue.from_env()
    return show_job(queue.lookup(message_id=args.message_id, campaign_id=args.campaign_id), as_json=args.json)


def _cancel(args: argparse.Namespace) -> Exit:
    queue = SmsQueue.from_env()
    if args.batch is not None:
        number = queue.cancel(batch_id=args.batch)
        return show_batch(queue.batch(args.batch), as_json=args.json, stopped=number)
    stopped = queue.cancel(args.job_id)
    job = queue.lookup(args.job_id)
    if job is None:
        return not_known("job")
    print_job(job, as_json=args.json)
    if not stopped:
        complain(f"the job couldn't be stopped: {job.state}")
    return Exit.DONE if stopped else Exit.FAILED
