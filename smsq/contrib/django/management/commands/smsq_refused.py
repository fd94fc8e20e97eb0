"""`manage.py smsq_refused`: the rows of the outbox that wait for a person's decision."""

import json
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from smsq.contrib.django.outbox import discard, refused, release

_NOT_DONE = 1


class Command(BaseCommand):
    """Lists, releases or discards refused rows; exit code 1 if one that was named isn't refused."""

    help = "Lists what the relay put aside in the outbox, without numbers and texts; --release, --discard decide."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the options."""
        parser.add_argument("ids", metavar="ID", nargs="*", type=uuid.UUID, help="only these rows")
        parser.add_argument("--database", choices=tuple(connections), help="the database's alias")
        parser.add_argument("--all", action="store_true", help="decide about all of them")
        parser.add_argument("--json", action="store_true", help="print one line of JSON per row")
        decision = parser.add_mutually_exclusive_group()
        decision.add_argument("--release", action="store_true", help="have the relay take them, whatever their age")
        decision.add_argument("--discard", action="store_true", help="delete them, with number and text")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - Django's interface
        """Lists, or decides."""
        using, ids = options["database"], options["ids"]
        rows = refused(using).filter(id__in=ids) if ids else refused(using)
        if not (options["release"] or options["discard"]):
            for row in rows:
                self._show(str(row.id), row.created_at.isoformat(timespec="seconds"), row.error, options["json"])
            found = len(rows)
        elif not (ids or options["all"]):
            raise CommandError("name the rows by their ids, or all of them by --all", returncode=2)
        else:
            decide, done = (release, "released") if options["release"] else (discard, "discarded")
            found = len(decide(ids or [row.id for row in rows], using))
            self.stdout.write(json.dumps({done: found}) if options["json"] else f"{done} {found}")
        if found < len(set(ids)):
            raise CommandError(f"{len(set(ids)) - found} of the rows aren't refused", returncode=_NOT_DONE)

    def _show(self, row_id: str, created: str, error: str, as_json: bool) -> None:
        shown = {"id": row_id, "createdAt": created, "error": error}
        self.stdout.write(json.dumps(shown) if as_json else "  ".join(shown.values()))
