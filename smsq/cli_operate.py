"""The operators' commands: `queues`, `pause`, `resume`, `failed`, `unknown`, `why` and `parked`."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Final, Literal

from smsq.cli_arguments import Parser, UsageError, gateway_id, identifier, number, one_line_text, seconds, wanted
from smsq.cli_output import Exit, complain, not_known, print_job, print_json, print_line
from smsq.cli_overview import show_overview, show_timeline
from smsq.job import Job
from smsq.lanes import LANES, Lane
from smsq.ledger import EndedState, Pause, RetryWord
from smsq.operate import Filter, Operator
from smsq.queue import SmsQueue
from smsq.settings import Settings

#: Results of a list, if no `--limit` is given.
_LIMIT: Final = 100
_BECAME: Final = {"queued": "is on its lane again", "asking": "is asked about first: Redis may have forgotten a call"}
_FORGOTTEN: Final = "its number and text were erased by smsq forget"
_ERASED: Final = "its number and text were erased after SMSQ_ERASE_AFTER_DAYS"
_LEFT_ALONE: Final[dict[RetryWord, str]] = {
    "expired": "its time is over (expires_in)",
    "cancelled": "its batch was cancelled",
    "other": "it is in another state by now",
    "declined": "a moderator declined it, and its text isn't kept; send a changed one as a new job",
    "forgotten": _FORGOTTEN,
    "erased": _ERASED,
    "gone": "it isn't known: it never was, or is older than SMSQ_RETENTION_DAYS",
    "malformed": "its record can't be used",
    "newer": "its record is of a newer version of smsq",
}


def add(command: Callable[[str, str], Parser]) -> None:
    """Adds the commands.

    Args:
        command: Makes a command's parser, of its name and its purpose.
    """
    command("queues", "Shows lanes, pauses, gates and workers at a glance").set_defaults(run=_queues)
    _add_pause(command("pause", "Has workers take nothing more from a lane, or from all"))
    _add_resume(command("resume", "Lets a lane that was paused go on, or what was paused by --all"))
    _add_ended(command("failed", "Lists jobs that failed, and calls again for them"), "failed")
    _add_ended(command("unknown", "Lists jobs that the gateway may have, and decides about them"), "unknown")
    _add_why(command("why", "Tells what happened to a job, and what it waits for"))
    _add_parked(command("parked", "Lists what was put aside because nobody can do anything with it"))


# -- arguments


def _add_pause(parser: Parser) -> None:
    parser.set_defaults(run=_pause)
    _add_lane_or_all(parser)
    parser.add_argument(
        "--reason",
        type=one_line_text,
        required=True,
        metavar="TEXT",
        help="why, for those who look: one line of 200 characters at most",
    )


def _add_resume(parser: Parser) -> None:
    parser.set_defaults(run=_resume)
    _add_lane_or_all(parser)


def _add_lane_or_all(parser: Parser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("lane", nargs="?", choices=LANES, metavar="LANE", help="urgent, normal or bulk")
    which.add_argument("--all", action="store_true", help="all lanes")


def _add_ended(parser: Parser, state: EndedState) -> None:
    parser.set_defaults(run=partial(_ended, state=state))
    parser.add_argument("job_id", nargs="?", type=identifier, metavar="JOB_ID", help="this job alone")
    which = parser.add_argument_group("which jobs").add_argument
    which("--reason", type=wanted, metavar="TEXT", help="whose error's code or reason has this in it")
    which("--older-than", type=seconds, metavar="SPAN", help="that ended so long ago at least: seconds, 90s, 3m, 2h")
    which("--newer-than", type=seconds, metavar="SPAN", help="that ended so long ago at most")
    which("--batch", type=wanted, metavar="NAME", help="of this batch")
    which("--limit", type=number, metavar="N", help=f"so many at most (default: {_LIMIT} to list, all to act on)")
    which("--all", action="store_true", help="act on all of them")
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--retry", action="store_true", help="call again for them; attempts stay counted")
    parser.set_defaults(mark_sent=None, campaign_id=None)
    if state == "unknown":
        act.add_argument(
            "--mark-sent",
            type=gateway_id,
            metavar="MESSAGE_ID",
            help="JOB_ID was sent, under this messageId of the gateway's list; needs --campaign-id",
        )
        parser.add_argument("--campaign-id", type=gateway_id, metavar="N", help="the campaignId beside it")


def _add_why(parser: Parser) -> None:
    parser.set_defaults(run=_why)
    parser.add_argument("job_id", type=identifier, metavar="JOB_ID", help="the job's id")


def _add_parked(parser: Parser) -> None:
    parser.set_defaults(run=_parked)
    parser.add_argument(
        "--limit", type=number, default=_LIMIT, metavar="N", help=f"so many at most (default: {_LIMIT})"
    )
    parser.add_argument(
        "--forget", type=identifier, metavar="ID", help="forget this one, with its record if that can't be used"
    )


def _check_choice(args: argparse.Namespace, state: EndedState) -> None:
    """Checks what argparse can't: which jobs are meant, and that an action says so.

    Raises:
        UsageError: The arguments contradict each other, or an action doesn't say on which jobs.
    """
    see = f" (see smsq {state} --help)"
    filters = {
        "--reason": args.reason,
        "--older-than": args.older_than,
        "--newer-than": args.newer_than,
        "--batch": args.batch,
    }
    given = [name for name, value in filters.items() if value is not None]
    listed = given + ["--limit"] * (args.limit is not None) + ["--all"] * args.all
    if args.job_id is not None and listed:
        raise UsageError(f"{listed[0]}: not allowed with argument JOB_ID{see}")
    if args.all and given:
        raise UsageError(f"--all: not allowed with argument {given[0]}{see}")
    if args.mark_sent is not None and args.job_id is None:
        raise UsageError(f"--mark-sent: needs a JOB_ID{see}")
    if (args.mark_sent is None) != (args.campaign_id is None):
        raise UsageError(f"--mark-sent and --campaign-id: each needs the other{see}")
    fits_all = given == ["--older-than"] and not args.older_than
    if args.retry and args.job_id is None and (not given or fits_all) and not args.all:
        raise UsageError(f"--retry: needs a JOB_ID, a filter or --all{see}")


# -- commands


def _operator() -> Operator:
    return Operator(Settings.load())


def _queues(args: argparse.Namespace) -> Exit:
    return show_overview(_operator().overview(), as_json=args.json)


def _pause(args: argparse.Namespace) -> Exit:
    lane: Lane | Literal["all"] = args.lane or "all"
    held_back = {each.lane: each for each in _operator().pause(lane, args.reason)}
    return _show_pause(lane, held_back.get(lane), as_json=args.json)


def _resume(args: argparse.Namespace) -> Exit:
    lane: Lane | Literal["all"] = args.lane or "all"
    held_back = [still for still in _operator().resume(lane) if "all" in (lane, still.lane)]
    for still in held_back:
        complain(f"note: {_lanes(still.lane)} still paused: {still.reason}")
    if args.json:
        still_paused = next((still.reason for still in held_back if still.lane == "all"), None)
        print_json({"lane": lane, "paused": still_paused})
        return Exit.DONE
    if held_back:
        print_line("the pause of all lanes together is over" if lane == "all" else f"the pause of {lane} is over")
        return Exit.DONE
    return _show_pause(lane, None, as_json=False)


def _show_pause(lane: str, pause: Pause | None, *, as_json: bool) -> Exit:
    if as_json:
        print_json({"lane": lane, "paused": pause.reason if pause else None})
    else:
        print_line(f"{_lanes(lane)} paused: {pause.reason}" if pause else f"{_lanes(lane)} resumed")
    return Exit.DONE


def _lanes(lane: str) -> str:
    return "all lanes are" if lane == "all" else f"{lane} is"


def _ended(args: argparse.Namespace, state: EndedState) -> Exit:
    _check_choice(args, state)
    operator = _operator()
    if args.mark_sent is not None:
        return _mark_sent(operator, args)
    if args.job_id is not None:
        return _retry(operator, state, [args.job_id], args) if args.retry else _show_one(args, state)
    which = Filter(args.reason, args.older_than, args.newer_than, args.batch)
    jobs = operator.ended(state, which)
    if args.retry:
        return _retry(operator, state, [job.id for job in islice(jobs, args.limit)], args)
    limit = _LIMIT if args.limit is None else args.limit
    for job in islice(jobs, limit):
        _print_ended(job, as_json=args.json)
    if args.limit is None and next(jobs, None) is not None:
        complain(f"note: there are more than {limit}; --limit shows as many as it says")
    return Exit.DONE


def _show_one(args: argparse.Namespace, state: EndedState) -> Exit:
    job = SmsQueue.from_env().lookup(args.job_id)
    if job is None:
        return not_known("job")
    if job.state != state:
        complain(f"the job isn't {state}: {job.state}")
        return Exit.FAILED
    print_job(job, as_json=args.json)
    return Exit.DONE


def _print_ended(job: Job, *, as_json: bool) -> None:
    if as_json:
        return print_json(job.as_dict())
    ended = job.done_at.isoformat(timespec="seconds") if job.done_at else "-"
    batch = f"batch {job.batch_id}  " if job.batch_id else ""
    calls = f"{job.attempts} attempt{'s' if job.attempts != 1 else ''}"
    return print_line(f"{job.id}  {ended}  {calls}  {batch}{job.error or ''}")


def _retry(operator: Operator, state: EndedState, job_ids: Iterable[str], args: argparse.Namespace) -> Exit:
    left_alone: Counter[RetryWord] = Counter()
    for job_id, word in operator.retry(state, list(job_ids)):
        if args.json:
            print_json({"id": job_id, "retried": word in _BECAME, "became": word})
        elif word in _BECAME:
            print_line(f"{job_id}  {_BECAME[word]}")
        left_alone[word] += word not in _BECAME
    for word, count in left_alone.items():
        if count:
            jobs = "1 job was" if count == 1 else f"{count} jobs were"
            complain(f"{jobs} left alone: {_LEFT_ALONE[word]}")
    return Exit.FAILED if any(left_alone.values()) else Exit.DONE


def _mark_sent(operator: Operator, args: argparse.Namespace) -> Exit:
    word, owner = operator.mark_sent(args.job_id, message_id=args.mark_sent, campaign_id=args.campaign_id)
    job = SmsQueue.from_env().lookup(args.job_id)
    if word == "gone" or job is None:
        return not_known("job")
    if word == "sent":
        print_job(job, as_json=args.json)
        return Exit.DONE
    reasons = {
        "owned": f"the message is job {owner}'s",
        "forgotten": _FORGOTTEN,
        "erased": _ERASED,
        "malformed": "its record can't be used",
        "newer": "its record is of a newer version of smsq",
    }
    complain(f"the job was left alone: {reasons.get(word, f'it is {job.state}')}")
    return Exit.FAILED


def _why(args: argparse.Namespace) -> Exit:
    timeline = _operator().why(args.job_id)
    return show_timeline(timeline, as_json=args.json) if timeline else not_known("job")


def _parked(args: argparse.Namespace) -> Exit:
    operator = _operator()
    if args.forget is not None:
        if operator.forget(args.forget):
            print_json({"id": args.forget, "forgotten": True}) if args.json else print_line("forgotten")
            return Exit.DONE
        complain("nothing was put aside under this id")
        return Exit.FAILED
    entries = operator.parked()
    for name, reason in islice(entries, args.limit):
        print_json({"id": name, "reason": reason}) if args.json else print_line(f"{name}  {reason}")
    if next(entries, None) is not None:
        complain(f"note: there are more than {args.limit}; --limit shows as many as it says")
    return Exit.DONE
