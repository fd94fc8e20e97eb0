"""What those who only read know of an epoch that nobody has started yet."""

from collections.abc import Callable

from smsq import Settings, Sms, SmsQueue
from tests.support.sandbox import ordinary
from tests.support.server import Server


def test_a_look_after_a_restart_starts_no_epoch_of_its_own(own_server: Callable[..., Server]) -> None:
    """One restart is one epoch, whoever looked first and however often: a second one would put all in doubt again."""
    server = own_server()
    reader, writer = (SmsQueue(server.url, settings=Settings.load(redis_url=server.url)) for _ in range(2))
    job = writer.enqueue(Sms(recipient=ordinary(0), text="Код"))
    assert reader.lookup(job.id)
    server.stop()
    server.start()

    def epoch() -> tuple[str | None, ...]:
        with server.client() as client:
            return tuple(client.hmget("smsq:epoch", "number", "started"))

    before = epoch()
    for _ in range(2000):
        reader.lookup(job.id)
    assert epoch() == before, "a look writes nothing"
    writer.enqueue(Sms(recipient=ordinary(1), text="Код"))
    begun = epoch()
    assert begun != before
    reader.enqueue(Sms(recipient=ordinary(2), text="Код"))
    assert epoch() == begun
