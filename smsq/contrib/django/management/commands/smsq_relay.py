"""`manage.py smsq_relay`: hands over what requests left in the outbox."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections

from smsq import QueueUnavailable
from smsq.contrib.django.outbox import relay

_UNREACHABLE = 3


class Command(BaseCommand):
    """Hands over what waits in the outbox; exit code 3 if Redis is away."""

    help = "Hands the messages of committed transactions that still wait in the outbox to the queue."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the options."""
        parser.add_argument("--database", help="the database's alias")
        parser.add_argument("--forever", action="store_true", help="goes on, for a service beside the web processes")
        parser.add_argument("--interval", type=float, default=1.0, help="seconds between two looks with --forever")

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
                if not options["forever"]:
                    raise
                self.stderr.write(type(error).__name__)
            if not options["forever"]:
                return
            close_old_connections()
            time.sleep(max(0.1, options["interval"]))
