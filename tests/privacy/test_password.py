"""The password in `SMSQ_REDIS_URL` isn't shown: not in the banner, not in a log, not by what Celery can be asked."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import redis
from celery import Celery

from smsq import Settings, Sms, SmsQueue
from smsq.celery_backend import LedgerBackend
from smsq.states import State
from tests.support.commands import celery_all
from tests.support.jobs import end_of
from tests.support.sandbox import Sandbox, ordinary
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.worker import Worker, environment

PASSWORD = 'p@ss/w#rd%41"\\0123456789'
SPELLINGS = (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), json.dumps(PASSWORD)[1:-1], "0123456789")


def test_a_password_is_shown_to_nobody(own_server: Callable[..., Server], sandbox: Sandbox, tmp_path: Path) -> None:
    """A worker at its loudest sends a job, loses its connections, answers `inspect conf` and `report`, and stops."""
    server = own_server()
    with server.client() as client:
        client.config_set("requirepass", PASSWORD)
    url = server.url.replace("redis://", f"redis://:{quote(PASSWORD, safe='')}@")
    env = environment(url, sandbox.url, SMSQ_LOG_LEVEL="debug")
    worker = Worker(tmp_path / "log", env, "-l", "debug").wait_ready()
    try:
        queue = SmsQueue(url, settings=Settings.load(redis_url=url))
        assert end_of(queue, queue.enqueue(Sms(recipient=ordinary(1), text="Код")).id).state is State.SENT
        with redis.Redis(host="127.0.0.1", port=server.port, password=PASSWORD) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        assert end_of(queue, queue.enqueue(Sms(recipient=ordinary(2), text="Код")).id).state is State.SENT
        wait_until(lambda: "Connection" in worker.text(), what="the worker has noticed")
        answers = celery_all(env, [(("inspect", name, "--timeout", "2"), {}) for name in ("conf", "report")])
        queue.close()
    finally:
        worker.stop()
    said = worker.text() + "".join(each.stdout + each.stderr for each in answers)
    assert "smsq.send" in said
    for spelling in SPELLINGS:
        assert spelling not in said


def test_the_result_backend_names_itself_without_it() -> None:
    """Celery prints a backend's address, in the banner and elsewhere."""
    app = Celery(set_as_current=False)
    backend = LedgerBackend(app, url="redis://user:0123456789@example.com:6380/2")
    assert backend.as_uri() == "smsq.celery_backend:LedgerBackend+redis://example.com:6380/2"
    assert "0123456789" not in backend.as_uri(include_password=True)
