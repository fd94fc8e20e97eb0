"""What a user can get wrong: one line that names the argument and the rule, never what was typed, and code 2 or 3."""

from collections.abc import Mapping

import pytest

from tests.cli.conftest import NUMBER, TEXT, Command
from tests.support.server import Server

COMMANDS = "send, status, find, cancel, queues, pause, resume, failed, unknown, why, parked, forget, top, doctor, probe"
SEND_HELP = " (see smsq send --help)"
SPAN = "must be a number of seconds, or one with its unit such as 90s, 3m or 2h" + SEND_HELP
MOMENT = (
    "--send-at: must be a date and time such as 2026-12-01T10:00:00+05:00; without an offset it is in SMSQ_TIMEZONE"
    + SEND_HELP
)
NO_MOMENT = "--send-at: isn't a date and time that the calendar has, or has a wrong offset" + SEND_HELP
GATEWAY_ID = "must be a whole number above 0, as the gateway gave it (see smsq find --help)"


def check(command: Command, expected: Mapping[tuple[str | bytes, ...], str], **settings: str) -> None:
    """Runs commands and checks that each ends with code 2, no result and this error."""
    for given, ended in zip(expected, command.each(expected, **settings), strict=True):
        assert (ended.code, ended.out, ended.err) == (2, "", expected[given] + "\n"), given


def test_no_command(offline: Command) -> None:
    """Without a command, or with another word in its place, the commands are named."""
    check(
        offline,
        {
            (): "the following arguments are required: COMMAND (see smsq --help)",
            (NUMBER, TEXT): f"COMMAND: invalid choice, must be one of {COMMANDS} (see smsq --help)",
            (f"{NUMBER}' (choose from x)",): f"COMMAND: invalid choice, must be one of {COMMANDS} (see smsq --help)",
            ("--vers",): "the following arguments are required: COMMAND (see smsq --help)",
        },
    )


def test_arguments_that_do_not_fit(offline: Command) -> None:
    """Missing, surplus, unknown, abbreviated and contradictory arguments are told by name or number."""
    many = "one too many; a text in several words needs quotes"
    check(
        offline,
        {
            ("send", NUMBER): "the following arguments are required: TEXT" + SEND_HELP,
            ("send", NUMBER, "--", "--wait", TEXT): f"argument 5: {many}" + SEND_HELP,
            ("send", NUMBER, NUMBER, NUMBER): f"argument 4: {many}" + SEND_HELP,
            ("send", NUMBER, TEXT, f"--{NUMBER}"): "argument 4: no such option" + SEND_HELP,
            ("send", NUMBER, TEXT, "--dry"): "argument 4: no such option" + SEND_HELP,
            ("send", NUMBER, "--from"): "--from: expected one argument" + SEND_HELP,
            ("send", NUMBER, TEXT, f"--json={TEXT}"): "--json: ignored explicit argument" + SEND_HELP,
            ("send", NUMBER, TEXT, "--dry-run", "--wait"): "--wait: not allowed with argument --dry-run" + SEND_HELP,
            ("status",): "one of the arguments JOB_ID --batch is required (see smsq status --help)",
            ("cancel", "x", "--batch", "y"): "--batch: not allowed with argument JOB_ID (see smsq cancel --help)",
            ("find",): "one of the arguments --message-id --campaign-id is required (see smsq find --help)",
        },
    )


def test_values_that_cannot_be_read(offline: Command) -> None:
    """Times, time spans and ids have their forms, and bytes that aren't UTF-8 are no text."""
    check(
        offline,
        {
            ("send", NUMBER, TEXT, f"--wait={NUMBER}"): f"--wait: {SPAN}",
            ("send", NUMBER, TEXT, "--expires-in", "٣"): f"--expires-in: {SPAN}",
            ("send", NUMBER, TEXT, "--expires-in", "1d"): f"--expires-in: {SPAN}",
            ("send", NUMBER, TEXT, "--send-at", "2037-12-01"): MOMENT,
            ("send", NUMBER, TEXT, "--send-at", "2037-02-29T10:00"): NO_MOMENT,
            ("send", NUMBER, TEXT, "--send-at", "2037-12-01T10:00+25:00"): NO_MOMENT,
            ("find", "--message-id", "0"): f"--message-id: {GATEWAY_ID}",
            ("find", "--campaign-id", "1" * 20): f"--campaign-id: {GATEWAY_ID}",
            ("status", b"\xff"): "JOB_ID: isn't UTF-8 (see smsq status --help)",
            ("send", NUMBER, b"\xff"): "text: holds half a surrogate pair (U+DCFF), which isn't a character",
        },
    )


def test_moments_that_do_not_exist(offline: Command) -> None:
    """A time that a clock change skips is refused, for our own schedule as for the gateway's."""
    check(
        offline,
        {
            ("send", NUMBER, TEXT, "--send-at", "2037-03-29T02:30"): (
                "--send-at: doesn't exist: a clock change skips this time, so give an earlier or later one"
            ),
            ("send", NUMBER, TEXT, "--send-at", "0001-01-01T00:00"): "--send-at: is out of the calendar's range",
        },
        SMSQ_TIMEZONE="Europe/Berlin",
    )


def test_every_broken_rule_at_once(offline: Command) -> None:
    """A message that breaks several rules is told them all, a line a field, by the API's names."""
    options = ("--from=", "--name= ", "--deferred-to-ts=tomorrow", "--mclass=2", "--validity=59")
    ended = offline("send", "87010000001", " ", *options)
    assert (ended.code, ended.out) == (2, "")
    fields = [line.partition(": ")[0] for line in ended.errors]
    assert sorted(fields) == ["deferredToTs", "from", "mclass", "name", "recipient", "text", "validity"]
    assert "87010000001" not in ended.err


def test_every_broken_option_at_once(offline: Command) -> None:
    """Options of the job that break a rule are named as they were typed."""
    ended = offline("send", NUMBER, TEXT, "--lane=fast", "--batch=", "--expires-in=0", "--on-unknown=hope")
    assert (ended.code, ended.out) == (2, "")
    fields = [line.partition(": ")[0] for line in ended.errors]
    assert sorted(fields) == ["--batch", "--expires-in", "--lane", "--on-unknown"]


def test_standard_input_that_is_no_text(offline: Command) -> None:
    """A text from standard input must be there, be UTF-8 and say something."""
    unreadable = "text: can't be read from standard input, which must be UTF-8"
    assert offline("send", NUMBER, "-", stdin=b"\xff").errors == [unreadable]
    assert offline.shell('"$@" <&-', "send", NUMBER, "-").errors == [unreadable]
    ended = offline("send", NUMBER, "-")
    assert (ended.code, ended.out) == (2, "")
    assert ended.errors == ["text: is empty: give at least one character that isn't white space"]


def test_wrong_settings(offline: Command) -> None:
    """A wrong variable is named, each on its line, without its value."""
    ended = offline(
        "status", "x", SMSQ_TIMEZONE="Mars/Base", SMSQ_REDIS_URL="redis://u:secret/5@h", SMSQ_DURABILITY="no"
    )
    assert (ended.code, ended.out) == (2, "")
    assert sorted(line.partition(": ")[0] for line in ended.errors) == [
        "SMSQ_DURABILITY",
        "SMSQ_REDIS_URL",
        "SMSQ_TIMEZONE",
    ]
    for value in ("Mars", "secret"):
        assert value not in ended.err


def test_settings_from_a_file(offline: Command) -> None:
    """A `.env` file in the working directory is read, and the environment comes first."""
    (offline.folder / ".env").write_text("SMSQ_MAX_SEGMENTS=0\n")
    command = ("send", NUMBER, "a", "--dry-run")
    assert [line.partition(": ")[0] for line in offline(*command).errors] == ["SMSQ_MAX_SEGMENTS"]
    assert offline(*command, SMSQ_MAX_SEGMENTS="1").code == 0


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("SMSQ_MAX_SEGMENTS=1\n".encode("utf-16"), ".env: isn't UTF-8 text"),
        ("# Алматы\n".encode("cp1251"), ".env: isn't UTF-8 text"),
        (b"SMSQ_MAX_SEGMENTS=1\nSMSQ_REDIS_URL redis://there\n", ".env: line 2 isn't NAME=value"),
    ],
)
def test_a_file_of_settings_that_cannot_be_read(offline: Command, content: bytes, line: str) -> None:
    """It ends the program; passed over, the defaults would stand in silence."""
    (offline.folder / ".env").write_bytes(content)
    ended = offline("send", NUMBER, "a", "--dry-run")
    assert (ended.code, ended.errors) == (2, [line])


def test_redis_down(offline: Command) -> None:
    """Every command that needs Redis ends with 3 and says where it looked and what it met."""
    commands = [
        ("send", NUMBER, TEXT),
        ("status", "--batch", "x"),
        ("find", "--message-id", "1"),
        ("cancel", "x", "--json"),
    ]
    where = offline.env["SMSQ_REDIS_URL"]
    for ended in offline.each(commands):
        assert (ended.code, ended.out, ended.errors) == (3, "", [f"Redis at {where}: connection refused"])


def test_redis_refuses(smsq: Command, server: Server) -> None:
    """A password that is wrong is an error of the service too, and isn't shown."""
    url = server.url.replace("//", "//nobody:s3cret@")
    ended = smsq("status", "x", SMSQ_REDIS_URL=url)
    assert (ended.code, ended.out) == (3, "")
    assert ended.errors == [f"Redis at {server.url}: access refused: check the user name, the password and the ACL"]
