"""`manage.py smsq_relay`: hands over what requests left in the outbox."""

import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections, connections

from smsq import QueueUnavailable
from smsq.contrib.django.outbox import relay

_UNREACHABLE = 3
_SOONEST, _DAY = 0.1, 86_400.0


def _seconds(written: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        seconds = 0.0
    if not _SOONEST <= seconds <= _DAY:
        raise ArgumentTypeError("must be a number of seconds, at least 0.1 and at most a day")
    return seconds


class Command(BaseCommand):
    """Hands over what waits in the outbox; exit code 3 if Redis or the database is away."""

    help = "Hands the messages of committed transactions that still wait in the outbox to the queue."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the options."""
        parser.add_argument("--database", choices=tuple(connections), help="the database's alias")
        parser.add_argument("--forever", action="store_true", help="goes on, for a service beside the web processes")
        parser.add_argument("--interval", type=_seconds, default=1.0, help="seconds between two looks with --forever")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - Django's interface
        """Runs once, or for ever."""
        while True:
            try:
                relayed = relay(options["database"])
                if relayed or not options["forever"]:
                    self.stdout.write(f"relayed {relayed}")
            except QueueUnavailable as error:
                if not options["forever"]:
                    raise CommandError(str(error), returncode=_UNREACHABLE) from None
                self.stderr.write(str(error))
            except DatabaseError as error:
                # The driver's first line: what follows it may repeat values.
                wrong = f"the database can't be used: {str(error).partition(chr(10))[0] or type(error).__name__}"
                if not options["forever"]:
                    raise CommandError(wrong, returncode=_UNREACHABLE) from None
                self.stderr.write(wrong)
            if not options["forever"]:
                return
            close_old_connections()
            time.sleep(options["interval"])
