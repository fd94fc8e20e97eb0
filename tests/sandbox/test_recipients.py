"""Every row of the table of recipients, seen byte by byte, and whether its message was accepted."""

import gzip
import json
import re
from typing import Any

import pytest

from tests.sandbox.calls import Line, accepted, items, line, post, send
from tests.support.sandbox import Sandbox
from tests.support.waiting import wait_until

BLOCK = "7700000"
ID = r"[1-9][0-9]+"
OK = rb'{"code":0,"data":{"campaignId":"%b","messageId":"%b","status":2},"message":""}' % (ID.encode(), ID.encode())
PLAIN = re.compile(rb"HTTP/1\.1 200 OK\r\n.*\r\n\r\n" + OK, re.DOTALL)

# The last four digits, the code, and the data of the answers of the API.
CODES: dict[str, tuple[int, object]] = {
    "0001": (1, {"recipient": "Номер 77000000001 неверен"}),
    "0002": (2, ""),
    "0003": (3, None),
    "0004": (4, None),
    "0005": (5, []),
    "0006": (6, []),
    "0008": (8, []),
    "0009": (9, []),
    "0010": (10, []),
    "0011": (11, None),
    "0012": (12, None),
    "0013": (13, "api.other-server.example"),
    "0014": (14, []),
    "0015": (15, None),
    "0030": (30, []),
    "0077": (77, []),
    "0098": (98, {"errors": ""}),
    "0099": (99, []),
    "0100": (100, 4711),
    "0999": (999, None),
    "1003": (3, None),
    "1010": (10, []),
    "1015": (15, None),
    "1077": (77, []),
    "1098": (98, {"errors": ""}),
    "1100": (100, 4711),
    "1999": (999, None),
    "6010": (1, {"recipient": "Отправка на номер 77000006010 невозможна"}),
    "6011": (1, {"recipient": "Номер +77000006011 в стоп-листе"}),
    "6012": (15, None),
    "6020": (1, {"from": "Подпись не зарегистрирована"}),
    "6030": (15, None),
    "6031": (1, {"balance": "Недостаточно средств"}),
    "6032": (77, []),
    "6040": (1, {"text": "Недопустимый текст: Hello"}),
    "6041": (1, ["Неверно", "Нельзя"]),
    "6042": (1, [{"params": {"validity": ["Неверно", "Нельзя"]}}]),
    "6043": (1, "Неверные данные"),
    "6044": (1, None),
    "6045": (1, []),
}

# The last four digits and the status of HTTP, and what its headers must have.
STATUSES: dict[str, tuple[int, dict[str, str]]] = {
    "2307": (307, {"Location": "/service/message/sendsmsmessage?output=json&api=v1"}),
    "2403": (403, {}),
    "2404": (404, {}),
    "2408": (408, {}),
    "2429": (429, {"Retry-After": "1"}),
    "2500": (500, {}),
    "2502": (502, {}),
    "2503": (503, {"Retry-After": "1"}),
    "2504": (504, {}),
    "3307": (307, {"Location": "/service/message/sendsmsmessage?output=json&api=v1"}),
    "3408": (408, {}),
    "3500": (500, {}),
    "3502": (502, {}),
    "3503": (503, {"Retry-After": "1"}),
    "3504": (504, {}),
    "7503": (200, {}),
}

# The last four digits and all of the body; M and C stand for ids.
BODIES = {
    "7001": '{"code":0,"data":{"campaignId":C,"messageId":M,"status":2},"message":""}',
    "7002": '{"code":"0","data":{"campaignId":"C","messageId":"M","status":2},"message":""}',
    "7003": '{"code":0,"data":{"campaignId":"C","messageId":"M","status":2},"message":"","extra":{"messageId":"1"}}',
    "7101": '{"code":0,"data":{"status":2},"message":""}',
    "7102": '{"code":0,"data":{"campaignId":"C","status":2},"message":""}',
    "7103": '{"code":0,"data":{"messageId":"M","status":2},"message":""}',
    "7126": '{"code":0,"data":{"campaignId":"0","messageId":"M","status":2},"message":""}',
    "7127": '{"code":0,"data":{"campaignId":true,"messageId":"M","status":2},"message":""}',
    "7201": '{"code":0,"data":{"campaignId":"C","messageId":"M"},"message":""}',
    "7305": '{"data":{"campaignId":"C","messageId":"M","status":2},"message":""}',
    "7401": '{"code":0,"data":null,"message":""}',
    "7402": '{"code":0,"data":[],"message":""}',
    "7403": '{"code":0,"data":[{"campaignId":"C","messageId":"M","status":2}],"message":""}',
    "7404": '{"code":0,"data":"M","message":""}',
    "7405": '{"code":0,"data":M,"message":""}',
    "7406": '{"code":0,"message":""}',
    "7501": "",
    "7504": '[{"code":0,"data":{"campaignId":"C","messageId":"M","status":2},"message":""}]',
    "7505": '"OK"',
    "7506": "0",
    "7507": "null",
    "7509": '{"code":0,"data":{"campaignId":"C","messageId":"M","status":2},"message":""}'
    "\n<b>Warning</b>: Undefined index",
    "7510": '<br />\n<b>Notice</b>: {"code":0,"data":{"campaignId":"C","messageId":"M","status":2},"message":""}',
    "7511": '{"code":0}{"code":0,"data":{"campaignId":"C","messageId":"M","status":2},"message":""}',
    "7512": '<?xml version="1.0"?><response><code>0</code></response>',
    "7513": "[" * 100_000,
    "7514": '{"code":0,"data":{"campaignId":"C","messageId":' + "1" * 10_000 + ',"status":2},"message":""}',
    "7515": '{"code":0,"code":8,"data":{"campaignId":"C","messageId":"M","status":2},"message":""}',
}
BODIES |= {
    digits: f'{{"code":0,"data":{{"campaignId":"C","messageId":{written},"status":2}},"message":""}}'
    for digits, written in {
        "7104": "null",
        "7105": '""',
        "7106": "true",
        "7107": "M.0",
        "7108": "1e18",
        "7109": '" M "',
        "7110": '"1_000"',
        "7111": '"\\u0661\\u0662"',
        "7112": '"+M"',
        "7113": '"-M"',
        "7114": '"0"',
        "7115": "0",
        "7116": '"00M"',
        "7117": '"9223372036854775808"',
        "7118": "9223372036854775808",
        "7119": '"0x1F"',
        "7120": '"M.0"',
        "7121": '"Ma"',
        "7122": '"M\\n"',
        "7123": '["M"]',
        "7124": '{"id":"M"}',
        "7125": "NaN",
    }.items()
}
BODIES |= {
    digits: f'{{"code":0,"data":{{"campaignId":"C","messageId":"M","status":{written}}},"message":""}}'
    for digits, written in {
        "7202": "null",
        "7203": "3",
        "7204": "0",
        "7205": '"sent"',
        "7206": "true",
        "7207": "2.0",
    }.items()
}
BODIES |= {
    digits: f'{{"code":{written},"data":{{"campaignId":"C","messageId":"M","status":2}},"message":""}}'
    for digits, written in {
        "7301": "false",
        "7302": "null",
        "7303": '""',
        "7304": "0.0",
        "7306": '"00"',
        "7307": '" 0 "',
        "7308": "[]",
        "7309": '"OK"',
        "7310": "true",
        "7311": "-1",
    }.items()
}

# What comes over the connection, all of it, as a pattern; None for a reset.
RAW: dict[str, bytes | None] = {
    "4004": b"",
    "4005": None,
    "4006": b"",
    "4007": None,
    "4008": rb"HTTP/1\.1 2",
    "4009": rb'HTTP/1\.1 200 OK\r\n.*Length: [0-9]{3}\r\n\r\n\{"code":0,"data":\{"campaignId":"[0-9]+","mess[^}]*',
    "7502": rb'HTTP/1\.1 200 OK\r\n.*\r\n\r\n\{"code":0,"data":[^}]*',
    "7508": rb"HTTP/1\.1 200 OK\r\n.*\r\n\r\n\{[ -~]*\}\xff\xfe",
    "7516": rb"HTTP/1\.1 204 No Content\r\n.*\r\n\r\n",
    "7517": rb"HTTP/1\.1 500 Internal Server Error\r\n.*\r\n\r\n" + OK,
    "7601": rb"SSH-2\.0-OpenSSH_9\.6\r\n",
    "7602": OK,
    "7603": rb"HTTP/1\.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "7604": rb"HTTP/1\.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "7605": rb"HTTP/1\.1 200 OK\r\nX-Long: x{1000000}\r\nContent-Length: 2\r\n\r\n\{\}",
}
TWICE = ("5005", "5030", "5099", "5429", "5503")
DELIVERED = {"6001": "DELIVRD", "6003": "UNDELIV", "6004": "EXPIRED", "6005": "REJECTD"}
TOLD_APART = {"4001", "4002", "4003", "4010", "4011", "4012", "4013", "4014", "6002", "7518"}
"""Rows that have a test of their own."""

NOT_ACCEPTED = {*(d for d in CODES if d[0] in "06"), *(d for d in STATUSES if d[0] == "2"), "4001", "4004", "4005"}
NOT_ACCEPTED |= {*(d for d in BODIES if d.startswith("73")), *TWICE}


def took(sandbox: Sandbox, digits: str) -> bool:
    """Whether the message to a number of the table was accepted; more than one is wrong for every row."""
    messages = accepted(sandbox, BLOCK + digits)
    assert len(messages) <= 1
    return len(messages) == 1


def read_all(sandbox: Sandbox, digits: str) -> bytes:
    """Calls for a number of the table and returns all that comes."""
    with line(sandbox.port, BLOCK + digits) as call:
        return call.until_closed()


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Returns status, headers and body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.decode("ascii").split("\r\n")
    return int(status.split(" ")[1]), dict(header.split(": ", 1) for header in headers), body


def table(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Returns the table as the sandbox shows it."""
    return list(sandbox.get("/sandbox/recipients"))


def test_every_row_is_tested(sandbox: Sandbox) -> None:
    """The rows that the tests below know are those of the table, with the acceptance that the table states."""
    known = {*CODES, *STATUSES, *BODIES, *RAW, *TWICE, *DELIVERED, *TOLD_APART}
    rows = table(sandbox)
    assert {row["recipient"] for row in rows} == {BLOCK + digits for digits in known}
    assert {row["recipient"] for row in rows if row["accepted"] == "never"} == {BLOCK + each for each in NOT_ACCEPTED}
    assert {row["recipient"] for row in rows if row["accepted"] == "late"} == {"77000004003"}
    assert {row["recipient"] for row in rows if row["calls"] == 2} == {BLOCK + digits for digits in TWICE}


def test_rows_are_in_order_and_told_apart(sandbox: Sandbox) -> None:
    """Numbers ascend, names and sentences are unique, and each number is an ordinary Kazakh mobile number."""
    rows = table(sandbox)
    numbers = [row["recipient"] for row in rows]
    assert numbers == sorted(set(numbers))
    assert all(re.fullmatch(r"7700000[0-9]{4}", number) for number in numbers)
    for column in ("name", "sentence"):
        assert len({row[column] for row in rows}) == len(rows)


@pytest.mark.parametrize("digits", CODES)
def test_answers_of_the_api(sandbox: Sandbox, digits: str) -> None:
    """HTTP 200 around the row's code and data."""
    status, headers, body = split(read_all(sandbox, digits))
    envelope = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert (envelope["code"], envelope["data"]) == CODES[digits]
    assert envelope["message"]
    assert took(sandbox, digits) is (digits not in NOT_ACCEPTED)


def test_a_reason_may_stand_in_the_message_only(sandbox: Sandbox) -> None:
    """Code 15 with null: the number and the reason are in the sentence."""
    assert send(sandbox, "77000006012")["message"] == "Номер 77000006012 в стоп-листе"
    assert send(sandbox, "77000006030")["message"] == "Недостаточно средств на балансе"


@pytest.mark.parametrize("digits", STATUSES)
def test_answers_of_http(sandbox: Sandbox, digits: str) -> None:
    """The row's status and headers around a page of HTML."""
    status, headers, body = split(read_all(sandbox, digits))
    wanted_status, wanted_headers = STATUSES[digits]
    assert status == wanted_status
    assert wanted_headers.items() <= headers.items()
    assert body.startswith(b"<html>")
    assert ("Retry-After" in headers) is ("Retry-After" in wanted_headers)
    assert took(sandbox, digits) is (digits not in NOT_ACCEPTED)


@pytest.mark.parametrize("digits", BODIES)
def test_garbage_bodies(sandbox: Sandbox, digits: str) -> None:
    """HTTP 200 and exactly the row's body."""
    status, headers, body = split(read_all(sandbox, digits))
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    escaped = re.escape(BODIES[digits])
    pattern = escaped.replace('"M', f'"{ID}').replace("M", ID).replace('"C"', f'"{ID}"').replace(":C,", f":{ID},")
    assert re.fullmatch(pattern, body.decode("ascii"))
    assert took(sandbox, digits) is (digits not in NOT_ACCEPTED)


@pytest.mark.parametrize("digits", ["7301", "7310"])
def test_ids_that_are_given_without_acceptance_are_nobodys(sandbox: Sandbox, digits: str) -> None:
    """Who believes them loses the message: neither id is known."""
    _, _, body = split(read_all(sandbox, digits))
    data = json.loads(body)["data"]
    assert post(sandbox, "message/getSMSStatus", {"ids": data["messageId"]})["data"] == []
    assert post(sandbox, "campaign/get", {"id": data["campaignId"]})["code"] == 2


@pytest.mark.parametrize("digits", RAW)
def test_broken_connections(sandbox: Sandbox, digits: str) -> None:
    """Exactly the row's bytes and then the end of the connection, or a reset without a byte."""
    wanted = RAW[digits]
    if wanted is None:
        with line(sandbox.port, BLOCK + digits) as call:
            with pytest.raises(ConnectionResetError):
                call.until_closed()
            assert call.received == b""
    else:
        assert re.fullmatch(wanted, read_all(sandbox, digits), re.DOTALL)
    assert took(sandbox, digits) is (digits not in NOT_ACCEPTED)


def waiting(sandbox: Sandbox, call: Line, outcome: str) -> None:
    """Waits until a call has come to its behaviour, and makes sure that nothing was answered."""
    wait_until(lambda: [each["outcome"] for each in sandbox.calls()] == [outcome])
    assert call.is_silent()


def test_a_hang_never_answers_and_accepts_nothing(sandbox: Sandbox) -> None:
    """Neither while the caller waits nor after it hung up."""
    with line(sandbox.port, "77000004001") as call:
        waiting(sandbox, call, "hang")
    sandbox.post("/sandbox/clock", advance=3600)
    assert not took(sandbox, "4001")
    assert sandbox.get("/sandbox/health")["pending"] == 0


def test_a_hang_after_acceptance_has_accepted(sandbox: Sandbox) -> None:
    """While the caller still waits."""
    with line(sandbox.port, "77000004002") as call:
        waiting(sandbox, call, "hang-accepted")
        assert took(sandbox, "4002")


def test_a_late_message_is_accepted_after_the_caller_hung_up(sandbox: Sandbox) -> None:
    """Twenty seconds of the sandbox's clock later, with the time it has then."""
    with line(sandbox.port, "77000004003") as call:
        waiting(sandbox, call, "late")
        sandbox.post("/sandbox/clock", advance=3600)
        assert not took(sandbox, "4003")
    wait_until(lambda: sandbox.get("/sandbox/health")["pending"] == 1)
    sandbox.post("/sandbox/clock", advance=10)
    assert items(sandbox) == []
    sandbox.post("/sandbox/clock", advance=10)
    assert len(items(sandbox)) == 1
    assert took(sandbox, "4003")


def test_how_late_it_is_can_be_set(sandbox: Sandbox) -> None:
    """Minutes too; what is accepted meanwhile comes before it, and it keeps the time it was due at."""
    sandbox.post("/sandbox/flags", late_seconds=600)
    with line(sandbox.port, "77000004003") as call:
        waiting(sandbox, call, "late")
    wait_until(lambda: sandbox.get("/sandbox/health")["pending"] == 1)
    sandbox.post("/sandbox/clock", advance=300)
    send(sandbox)
    sandbox.post("/sandbox/clock", advance=3600)
    send(sandbox)
    messages = sandbox.messages()
    assert [message["recipient"] for message in messages] == ["77010000001", "77000004003", "77010000001"]
    assert messages[0]["acceptedTs"] < messages[1]["acceptedTs"] < messages[2]["acceptedTs"]


@pytest.mark.parametrize("digits", ["4010", "4011"])
def test_a_drip_comes_byte_by_byte(sandbox: Sandbox, digits: str) -> None:
    """What came so far is a beginning of a good answer, which isn't finished."""
    with line(sandbox.port, BLOCK + digits) as call:
        while not call.received.endswith((b"HT", b'{"')):
            assert call.more()
        assert call.received == b"HT" if digits == "4010" else call.received.endswith(b'\r\n\r\n{"')
        assert took(sandbox, digits)


def test_an_endless_body_goes_on_until_the_caller_hangs_up(sandbox: Sandbox) -> None:
    """Megabytes come, and the sandbox serves others meanwhile and afterwards."""
    with line(sandbox.port, "77000004012") as call:
        while len(call.received) < 5_000_000:
            assert call.more()
        assert took(sandbox, "4012")
    assert send(sandbox)["code"] == 0


def test_a_huge_body_has_200_megabytes(sandbox: Sandbox) -> None:
    """It ends with a good answer, for those who read it all."""
    with line(sandbox.port, "77000004013") as call:
        size, tail = 0, b""
        while call.more():
            size, tail, call.received = size + len(call.received), (tail + call.received)[-200:], b""
    assert size > 200 * 1024 * 1024
    assert re.search(OK + rb"\Z", tail)
    assert took(sandbox, "4013")


def test_a_slow_answer_comes_after_its_acceptance(sandbox: Sandbox) -> None:
    """The message is there while the caller still waits; then the answer comes."""
    with line(sandbox.port, "77000004014") as call:
        wait_until(lambda: took(sandbox, "4014"))
        assert call.is_silent()
        assert PLAIN.fullmatch(call.until_closed())


@pytest.mark.parametrize("digits", TWICE)
def test_the_first_two_calls_fail(sandbox: Sandbox, digits: str) -> None:
    """As the row of the same ending does, nothing accepted; the third and later ones are simply accepted."""
    for _ in range(2):
        if digits == "5005":
            with pytest.raises(ConnectionResetError):
                read_all(sandbox, digits)
            continue
        status, headers, body = split(read_all(sandbox, digits))
        if digits in {"5030", "5099"}:
            assert (status, json.loads(body)["code"]) == (200, int(digits[1:]))
        else:
            assert (status, headers["Retry-After"]) == (int(digits[1:]), "1")
    assert accepted(sandbox, BLOCK + digits) == []
    assert PLAIN.fullmatch(read_all(sandbox, digits))
    assert PLAIN.fullmatch(read_all(sandbox, digits))
    assert len(accepted(sandbox, BLOCK + digits)) == 2


def test_a_refused_call_does_not_use_up_a_failure_of_another_number(sandbox: Sandbox) -> None:
    """Each number counts its own calls."""
    for _ in range(3):
        send(sandbox, "77000005030")
    assert send(sandbox, "77000005099")["code"] == 99


@pytest.mark.parametrize("digits", DELIVERED)
def test_fates_of_accepted_messages(sandbox: Sandbox, digits: str) -> None:
    """The row's final status, once moderation and validity are over."""
    answer = send(sandbox, BLOCK + digits, validity="60")
    assert answer["data"]["status"] == (1 if digits == "6001" else 2)
    sandbox.post("/sandbox/clock", advance=3610)
    [delivery] = post(sandbox, "message/getSMSStatus", {"ids": answer["data"]["messageId"]})["data"]
    assert delivery["status"] == DELIVERED[digits]
    assert took(sandbox, digits)


@pytest.mark.parametrize(
    ("digits", "moderation", "common", "delivery"),
    [("6001", "READY_FOR_SEND", "DONE", "DELIVRD"), ("6002", "DECLINED", "DECLINED", "NEW")],
)
def test_moderation_takes_15_minutes(
    sandbox: Sandbox, digits: str, moderation: str, common: str, delivery: str
) -> None:
    """Status 1, waiting at first; then approved and sent, or declined, with a comment, and never sent."""
    data = send(sandbox, BLOCK + digits)["data"]

    def state() -> tuple[str, str, str]:
        [item] = items(sandbox, to=BLOCK + digits)
        return item["campaign"]["moderationStatus"], item["campaign"]["commonStatus"], item["status"]

    assert data["status"] == 1
    assert state() == ("MODERATION", "MODERATION", "NEW")
    sandbox.post("/sandbox/clock", advance=14 * 60)
    assert state() == ("MODERATION", "MODERATION", "NEW")
    sandbox.post("/sandbox/clock", advance=2 * 60)
    assert state() == (moderation, common, delivery)
    campaign = post(sandbox, "campaign/get", {"id": data["campaignId"]})["data"]
    assert bool(campaign["globalComment"]) is (digits == "6002")
    assert took(sandbox, digits)


def test_a_compressed_body_unfolds_to_much_more(sandbox: Sandbox) -> None:
    """Small on the wire and 100 MB when unpacked, though nobody asked for compression."""
    _, headers, body = split(read_all(sandbox, "7518"))
    assert (headers["Content-Encoding"], len(body) < 200_000) == ("gzip", True)
    assert gzip.decompress(body).strip() == b"{}"
    assert took(sandbox, "7518")


def test_rules_come_before_behaviours(sandbox: Sandbox) -> None:
    """A call that breaks a rule is refused, whatever its number is known for."""
    assert send(sandbox, "77000004001", text="")["code"] == 1
    assert send(sandbox, "77000003502", validity="1")["code"] == 1
    assert sandbox.messages() == []


def test_numbers_beside_the_table_are_ordinary(sandbox: Sandbox) -> None:
    """Also in the same block."""
    assert send(sandbox, "77000000007")["code"] == 0
    assert send(sandbox, "77000009999")["code"] == 0
