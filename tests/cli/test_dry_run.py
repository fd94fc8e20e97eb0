"""`smsq send --dry-run`: every rule and the price, without Redis."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests.cli.conftest import NUMBER, Command
from tests.support.server import Server


def test_prints_the_size_without_redis(offline: Command) -> None:
    """Encoding, units and billed segments come without a server."""
    ended = offline("send", NUMBER, "a" * 161, "--dry-run")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == ["encoding  GSM-7", "units     161", "segments  2"]


def test_names_what_forces_ucs2(offline: Command) -> None:
    """Where GSM-7 would cost less, the characters that rule it out are named, also those that nobody sees."""
    ended = offline("send", NUMBER, "a" * 70 + "’\u200cи\u0306😎", "--dry-run")
    assert ended.rows == {
        "encoding": "UCS-2",
        "units": "76",
        "segments": "2",
        "forced": "by  U+2019 ’, U+200C ZERO WIDTH NON-JOINER, U+0438 и, U+0306 COMBINING BREVE, U+1F60E 😎",
        "in": "GSM-7   1 segment",
    }


def test_names_the_first_of_many(offline: Command) -> None:
    """Of a long list of characters the first are named and the others counted."""
    ended = offline("send", NUMBER, "абвгдежзийк" * 15, "--dry-run")
    assert ended.out.splitlines()[2:] == [
        "segments   3",
        "forced by  U+0430 а, U+0431 б, U+0432 в, U+0433 г, U+0434 д, U+0435 е, U+0436 ж, U+0437 з and 3 more",
        "in GSM-7   2 segments",
    ]


def test_is_silent_where_ucs2_costs_nothing(offline: Command) -> None:
    """A text that fits into one segment either way names no characters."""
    ended = offline("send", NUMBER, "a" * 69 + "’", "--dry-run")
    assert ended.rows == {"encoding": "UCS-2", "units": "70", "segments": "1"}


def test_prints_json(offline: Command) -> None:
    """The JSON names every character that isn't in the GSM alphabet, whatever it costs."""
    ended = offline("send", NUMBER, "Привет 🌍", "--dry-run", "--json")
    assert ended.code == 0
    assert ended.result == {
        "encoding": "UCS-2",
        "units": 9,
        "billed": 1,
        "forcing": ["П", "р", "и", "в", "е", "т", "🌍"],
    }


def test_applies_the_rules_of_the_moment(offline: Command) -> None:
    """What `enqueue` would refuse, a dry run refuses: the account's settings, the clock, the options, the key."""
    soon = datetime.now(ZoneInfo("Asia/Almaty")) + timedelta(minutes=59)
    ended = offline(
        "send", NUMBER, "a" * 200, "--dry-run", f"--deferred-to-ts={soon:%Y-%m-%d %H:%M:%S}", SMSQ_MAX_SEGMENTS="1"
    )
    assert (ended.code, ended.out) == (2, "")
    assert ended.errors == [
        "text: takes 2 segments in GSM-7, and at most 1 are allowed",
        "deferredToTs: must be at least one hour and at most 14 days from now",
    ]
    for option, rule in (
        ("--lane=fast", "must be one of urgent, normal, bulk"),
        ("--key=", "must be 1 to 255 characters"),
    ):
        ended = offline("send", NUMBER, "a", "--dry-run", option)
        assert (ended.code, ended.out) == (2, "")
        assert ended.errors == [f"{option.partition('=')[0]}: {rule}"]


def test_enqueues_nothing(smsq: Command, server: Server) -> None:
    """With a server at hand, a dry run leaves no trace on it."""
    assert smsq("send", NUMBER, "a", "--dry-run", "--key", "k", "--batch", "b").code == 0
    with server.client() as client:
        assert client.dbsize() == 0
