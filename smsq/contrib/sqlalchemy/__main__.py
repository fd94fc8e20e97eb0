"""`python -m smsq.contrib.sqlalchemy`: relays what sessions left in the outbox, and decides about refused rows.

The queue is that of the environment (`SMSQ_REDIS_URL` and the others), as for the command `smsq`.
"""

import argparse
import asyncio
import importlib
import os
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.util import greenlet_spawn

from smsq import ConfigurationError, QueueUnavailable, SmsQueue
from smsq.cli_arguments import Parser, UsageError, seconds
from smsq.cli_output import Exit, complain, print_anything, print_json, print_line
from smsq.contrib.sqlalchemy import table as rows
from smsq.contrib.sqlalchemy.outbox import Outbox

_CODES: Final = """\
exit codes: 0 done; 1 a row that was named isn't refused; 2 the input is wrong; 3 Redis or the database is away."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments; None takes the process's own.

    Returns:
        The process's exit code.
    """
    print_anything()
    try:
        args = _parser().parse_args(argv)
        queue = SmsQueue.from_env()
        outbox = Outbox(sa.MetaData(), queue, table_name=args.table, schema=args.schema)
        engine = _engine(args.url)
        if engine.dialect.is_async:
            return asyncio.run(_arun(args, outbox, engine))
        try:
            return int(args.run(args, outbox, engine))
        finally:
            engine.dispose()
            queue.close()
    except UsageError as error:
        complain(str(error))
    except ConfigurationError as error:
        for problem in error.problems:
            complain(problem)
    except QueueUnavailable as error:
        complain(str(error))
        return Exit.UNREACHABLE
    except (sa.exc.SQLAlchemyError, OSError) as error:  # drivers may raise the network's own
        complain(_database(error))
        return Exit.UNREACHABLE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return Exit.WRONG_INPUT


async def _arun(args: argparse.Namespace, outbox: Outbox, engine: sa.Engine) -> int:
    """Runs a command on an async driver."""
    from sqlalchemy.ext.asyncio import AsyncEngine

    try:
        return int(await greenlet_spawn(args.run, args, outbox, engine))
    finally:
        await AsyncEngine(engine).dispose()
        await outbox.queue.aclose()


def _parser() -> Parser:
    parser = Parser(prog="python -m smsq.contrib.sqlalchemy", description=__doc__, epilog=_CODES, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    every = Parser(add_help=False)
    every.add_argument("--url", help="the database, as SQLAlchemy writes it; without it, DATABASE_URL is taken")
    every.add_argument("--table", default="smsq_outbox", help="the outbox's table (smsq_outbox)")
    every.add_argument("--schema", help="the table's schema")
    every.add_argument("--json", action="store_true", help="print one line of JSON per result")

    def command(name: str, purpose: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, parents=[every], help=purpose, description=f"{purpose}.", epilog=_CODES, allow_abbrev=False
        )

    relay = command("relay", "Hands the messages of committed transactions that still wait to the queue")
    relay.set_defaults(run=_relay)
    relay.add_argument("--forever", action="store_true", help="go on, for a service beside the web processes")
    relay.add_argument("--interval", type=seconds, default=1.0, help="seconds between two looks with --forever (1)")
    refused = command("refused", "Lists what the relay put aside, without numbers and texts, or decides about it")
    refused.set_defaults(run=_refused)
    refused.add_argument("ids", metavar="ID", nargs="*", type=_row_id, help="only these rows")
    refused.add_argument("--all", action="store_true", help="decide about all of them")
    decision = refused.add_mutually_exclusive_group()
    decision.add_argument("--release", action="store_true", help="have the relay take them, whatever their age")
    decision.add_argument("--discard", action="store_true", help="delete them, with number and text")
    return parser


def _row_id(word: str) -> uuid.UUID:
    try:
        return uuid.UUID(word)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a row's id, as the list shows it") from None


def _engine(url: str | None) -> sa.Engine:
    """Makes an engine, for an async driver too.

    Raises:
        UsageError: No database is named, or its driver isn't there. The URL, which may hold a password, isn't repeated.
    """
    given = url or os.environ.get("DATABASE_URL")
    if not given:
        raise UsageError("--url, or DATABASE_URL, must name the database, such as postgresql+psycopg://user@host/name")
    try:
        engine = sa.create_engine(given)
        if engine.dialect.is_async:
            importlib.import_module("greenlet")
    except sa.exc.NoSuchModuleError:
        raise UsageError("--url: SQLAlchemy doesn't know this dialect or driver") from None
    except sa.exc.ArgumentError:
        raise UsageError("--url: isn't a database's URL, such as postgresql+psycopg://user@host/name") from None
    except ImportError as error:
        raise UsageError(f"--url: the driver isn't installed ({error.name})") from None
    return engine


def _database(error: Exception) -> str:
    """Says what is wrong with the database; the driver's own first line, which names neither values nor passwords."""
    original = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
    return f"the database can't be used: {str(original).strip().partition(chr(10))[0] or type(original).__name__}"


def _relay(args: argparse.Namespace, outbox: Outbox, engine: sa.Engine) -> Exit:
    """Runs once, or for ever."""
    while True:
        try:
            relayed = outbox.relay(engine)
            if relayed or not args.forever:
                _say(args, "relayed", relayed)
        except (QueueUnavailable, sa.exc.SQLAlchemyError, OSError) as error:
            if not args.forever:
                raise
            complain(str(error) if isinstance(error, QueueUnavailable) else _database(error))
        if not args.forever:
            return Exit.DONE
        time.sleep(max(0.1, args.interval))


def _refused(args: argparse.Namespace, outbox: Outbox, engine: sa.Engine) -> Exit:
    """Lists, or decides about, what was put aside."""
    if (args.release or args.discard) and not (args.ids or args.all):
        raise UsageError("name the rows by their ids, or all of them by --all")
    with engine.begin() as connection:
        found = [row for row in rows.refused(connection, outbox.table) if not args.ids or row.id in args.ids]
        if args.release:
            _say(args, "released", sum(rows.release(connection, outbox.table, row) for row in found))
        elif args.discard:
            _say(args, "discarded", sum(rows.discard(connection, outbox.table, row) for row in found))
        else:
            for row in found:
                _show(row, as_json=args.json)
    if missing := len(set(args.ids) - {row.id for row in found}):
        complain(f"{missing} of the rows aren't refused")
        return Exit.FAILED
    return Exit.DONE


def _show(row: rows.Row, *, as_json: bool) -> None:
    shown = {"id": str(row.id), "createdAt": row.written.isoformat(timespec="seconds"), "error": row.error}
    if as_json:
        print_json(shown)
    else:
        print_line("  ".join(shown.values()))


def _say(args: argparse.Namespace, what: str, count: int) -> None:
    if args.json:
        print_json({what: count})
    else:
        print_line(f"{what} {count}")


if __name__ == "__main__":
    sys.exit(main())
