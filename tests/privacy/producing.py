"""What producers do in a run: the commands of `smsq`, a web application's objects and exceptions, and its outboxes."""

import json
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from smsq import IdempotencyConflict, InvalidSms, QueueUnavailable, Sms, SmsQueue
from tests.cli.conftest import Command
from tests.privacy.markers import TRACED, WEB
from tests.support.server import free_port
from tests.support.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.privacy.everything import Run


def run_commands(run: "Run") -> None:
    """Runs each command of `smsq`, with `--json` and without, rightly and wrongly."""
    typed, wrong = run.markers.of["cli"], run.markers.of["mistyped"]
    job = run.jobs
    commands: list[list[str]] = [
        ["send", typed.number, typed.text, "--key", typed.once, "--name", typed.name, "--wait"],
        ["send", f"+{typed.number}", typed.text, "--dry-run"],
        ["send", wrong.number, typed.text, "--key", typed.once],  # the key has another message
        ["send", f"{wrong.number}x", wrong.text],
        ["send", wrong.text, wrong.number],
        ["send", wrong.number, wrong.text, "--lane", wrong.text],
        ["send", wrong.number, wrong.text, "--from", wrong.text, "--deferred-to-ts", wrong.text],
        ["send", wrong.number, wrong.text, wrong.text],
        ["status", wrong.number],
        ["cancel", job["sent"]],
        ["queues"],
        ["failed"],
        ["unknown"],
        ["parked"],
        ["top", "--once"],
        ["doctor"],
        ["probe"],
        *(["why", job[name]] for name in ("sent", "text-quoted", "hang", "crashed", "unreadable", "client")),
        *(["status", job[name]] for name in ("sent", "text-quoted", "no-route", "cancelled", "redirected")),
    ]
    commands.append(["forget", run.markers.of["no-route"].number])
    with ThreadPoolExecutor() as both:
        for ended in both.map(
            partial(_run_each, run), ("plain", "json"), (commands, [[*c, "--json"] for c in commands])
        ):
            run.heard += ended


def _run_each(run: "Run", folder: str, commands: list[list[str]]) -> list[tuple[str, str]]:
    where = run.folder / folder
    where.mkdir()
    smsq = Command(run.server.url, where)
    smsq.env |= run.env | {"PYTHONPATH": smsq.env["PYTHONPATH"]}
    ended = zip(commands, smsq.each(commands), strict=True)
    return [(f"smsq {words[0]}, {folder}", each.out + each.err) for words, each in ended]


def be_a_producer(run: "Run") -> None:
    """What a web application's log, or its error page, may show: objects and exceptions."""
    mark, other = run.markers.of["away"], run.markers.of["sent"]
    away = SmsQueue(f"redis://127.0.0.1:{free_port()}/0")
    acts: list[tuple[type[Exception], Callable[[], object]]] = [
        (InvalidSms, lambda: Sms(recipient=f"{mark.number}000000", text=mark.text, mclass=7)),
        (InvalidSms, lambda: Sms.model_validate({"recipient": mark.number, "text": 5, "name": [mark.text]})),
        (IdempotencyConflict, lambda: run.queue.enqueue(mark.sms, idempotency_key=other.once)),
        (QueueUnavailable, lambda: away.enqueue(mark.sms, idempotency_key=mark.once)),
    ]
    for expected, act in acts:
        try:
            act()
        except expected as error:
            run.heard.append((f"{expected.__name__}", "".join(traceback.format_exception(error)) + repr(error)))
        else:
            raise AssertionError(f"no {expected.__name__}")
    away.close()
    sms = Sms(recipient=mark.number, text=mark.text)  # a campaign's name is shown
    run.heard.append(("a message's repr", repr(sms) + str(sms)))


def use_outboxes(run: "Run") -> None:
    """Runs a web application that sends from transactions (`tests.privacy.web`), where everything is on.

    Its databases are heard: with encryption no row holds a number or a text in a form that can be read.
    """
    if not run.encryption_key:
        return
    files = [run.folder / name for name in ("django.sqlite", "sqlalchemy.sqlite")]
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(files[0])}
    env = {"DJANGO_SETTINGS_MODULE": "tests.contrib.django_settings", "DJANGO_DATABASE": json.dumps(database)}
    env |= {"DATABASE_URL": f"sqlite:///{files[1]}"}
    said = (run.folder / "web.log").open("w+b")
    web = subprocess.Popen(
        [sys.executable, "-m", "tests.privacy.web"],
        cwd=ROOT,
        env=run.env | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
    )
    assert web.stdin
    assert web.stdout
    printed, names = "", [*WEB, *(f"traced {name}" for name in TRACED)]
    try:
        web.stdin.write(json.dumps({name: run.markers.of[name]._asdict() for name in names}) + "\n")
        for file in files:
            web.stdin.flush()
            while (line := web.stdout.readline()) not in ("waiting\n", ""):
                printed += line
            assert line, (run.folder / "web.log").read_text()
            assert b"waiting" in file.read_bytes(), "a row waits"
            beside = sorted(run.folder.glob(f"{file.name}*"))
            run.heard += [(f"{each.name}, while a row waits", each.read_bytes()) for each in beside]
            web.stdin.write("\n")
        out, _ = web.communicate(timeout=60)
    finally:
        web.kill()
        web.wait()
        said.close()
    printed += out
    assert web.returncode == 0, printed + (run.folder / "web.log").read_text()
    assert printed.count("relayed 1\n") == 2, printed
    run.heard += [("a web application's output", printed), ("its log", (run.folder / "web.log").read_bytes())]
    run.heard += [(f"{file.name}, afterwards", file.read_bytes()) for file in files]
