"""A web application with OpenTelemetry and both outboxes, all its loggers at DEBUG: `python -m tests.privacy.web`.

Its input is a line of JSON: messages by what becomes of them. It commits one, rolls one back, bursts in the middle of a
transaction, and leaves one to the relay, for Django and for SQLAlchemy; `waiting` says that one waits, a line goes on.
Then it sends some that fail.
"""

import json
import logging
import os
import sys
from contextlib import suppress
from typing import Any

import django
import sqlalchemy as sa
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from sqlalchemy.orm import Session

from smsq import Sms, SmsQueue
from smsq.contrib.sqlalchemy import Outbox
from smsq.contrib.sqlalchemy.__main__ import main as command

_log = logging.getLogger("shop")

Messages = dict[str, dict[str, str]]


def _arguments(of: dict[str, str]) -> tuple[Sms, str]:
    return Sms(recipient=of["number"], text=of["text"], name=of["name"]), of["once"]


def use_django(messages: Messages) -> None:
    """Everything with Django's; the row that waits was written where no commit is heard of."""
    from django.core.management import call_command
    from django.db import connection, transaction

    from smsq.contrib.django.outbox import enqueue_on_commit

    connection.force_debug_cursor = True  # as with DEBUG = True: each statement is logged with its values

    def promise(name: str) -> None:
        sms, once = _arguments(messages[f"django {name}"])
        enqueue_on_commit(sms, idempotency_key=once)

    with transaction.atomic():
        promise("committed")
    for name, failing in (("rolled back", False), ("burst", True)):
        try:
            with transaction.atomic():
                promise(name)
                transaction.set_rollback(True)
                if failing:
                    raise ZeroDivisionError  # noqa: TRY301 - of the application's own
        except ZeroDivisionError:
            _log.exception("the view burst")
    transaction.set_autocommit(False)
    promise("waiting")
    transaction.commit()
    transaction.set_autocommit(True)
    pause()
    call_command("smsq_relay")


def use_sqlalchemy(messages: Messages, url: str) -> None:
    """Everything with SQLAlchemy's; its engine logs each statement with its values."""
    engine = sa.create_engine(url, echo="debug")
    metadata = sa.MetaData()
    outbox = Outbox(metadata, SmsQueue.from_env)
    metadata.create_all(engine)

    def promise(session: Any, name: str) -> None:  # noqa: ANN401 - a session or a connection
        sms, once = _arguments(messages[f"sqlalchemy {name}"])
        print(outbox.enqueue(session, sms, idempotency_key=once))

    with Session(engine) as session, session.begin():
        promise(session, "committed")
    with Session(engine) as session:
        promise(session, "rolled back")
        session.rollback()
    try:
        with Session(engine) as session, session.begin():
            promise(session, "burst")
            session.execute(sa.text("nonsense"))
    except sa.exc.OperationalError:
        _log.exception("the handler burst")
    with engine.begin() as connection:
        promise(connection, "waiting")
    pause()
    command(["relay", "--url", url])
    command(["refused", "--url", url])
    engine.dispose()


def meet_trouble(messages: list[dict[str, str]]) -> None:
    """Sends what the gateway refuses, or doesn't answer: what is traced of that is heard as well."""
    queue = SmsQueue.from_env()
    for of in messages:
        sms, once = _arguments(of)
        job = queue.wait(queue.enqueue(sms, idempotency_key=once).id, timeout=30)
        print(job)
        assert job
        assert job.state.final
    queue.close()


def pause() -> None:
    """Lets others look at what waits."""
    print("waiting", flush=True)
    sys.stdin.readline()


def main() -> None:
    """Does it all."""
    messages: Messages = json.loads(sys.stdin.readline())
    provider = TracerProvider(resource=Resource.create({"service.name": "web"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    django.setup()
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    logging.getLogger("django.db.backends").setLevel(logging.DEBUG)
    with trace.get_tracer("web").start_as_current_span("POST /orders"), suppress(BrokenPipeError):
        use_django(messages)
        use_sqlalchemy(messages, os.environ["DATABASE_URL"])
        meet_trouble([of for name, of in messages.items() if name.startswith("traced ")])
    provider.shutdown()


if __name__ == "__main__":
    main()
