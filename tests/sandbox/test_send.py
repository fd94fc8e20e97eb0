"""sendSmsMessage as it answers when all is well, and what every method asks for: key, module, method, format."""

import json
from http.client import HTTPConnection
from urllib.parse import quote, quote_plus, urlencode

import pytest

from tests.sandbox.calls import KEY, RECIPIENT, SEND, accepted, http, post, send
from tests.support.sandbox import Sandbox

PATH = "/service/message/sendsmsmessage"
FORM = {"recipient": RECIPIENT, "text": "Hello"}


def test_an_accepted_message_is_answered_as_live_servers_answer(sandbox: Sandbox) -> None:
    """Both ids are JSON strings of digits, the status is the number 2, and the message is empty."""
    answer = http(f"{sandbox.url}{PATH}?output=json&api=v1", urlencode({"apiKey": KEY, **FORM}).encode())
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    envelope = answer.envelope
    assert (envelope["code"], envelope["message"]) == (0, "")
    campaign, message, status = (envelope["data"][name] for name in ("campaignId", "messageId", "status"))
    assert (campaign.isdecimal(), message.isdecimal(), status) == (True, True, 2)
    assert campaign != message


def test_what_was_accepted_can_be_seen(sandbox: Sandbox) -> None:
    """The book shows ids, number, text, signature, name, parameters as received and the calls for the number."""
    data = send(sandbox, sender="Brand", name="otp", mclass="0", validity="60")["data"]
    seen = sandbox.get("/sandbox/messages")
    assert seen["callsByRecipient"] == {RECIPIENT: 1}
    [message] = seen["messages"]
    assert message.pop("acceptedTs")
    assert message == {
        "messageId": int(data["messageId"]),
        "campaignId": int(data["campaignId"]),
        "recipient": RECIPIENT,
        "text": "Код: 4711",
        "from": "Brand",
        "name": "otp",
        "segNum": 1,
        "params": {
            "recipient": RECIPIENT,
            "text": "Код: 4711",
            "from": "Brand",
            "params[name]": "otp",
            "params[mclass]": "0",
            "params[validity]": "60",
        },
    }


@pytest.mark.parametrize("text", ["a+b & c=%d ? / \\ #", "Сәлем 👋🏽", "e\u0301\r\n\t~*", "%2B+%20"])
def test_the_text_arrives_character_by_character(sandbox: Sandbox, text: str) -> None:
    """Reserved characters, Cyrillic, emoji, decomposed letters and line ends are stored as they were meant."""
    assert send(sandbox, text=text)["code"] == 0
    assert accepted(sandbox, RECIPIENT)[0]["text"] == text


def test_each_message_has_ids_of_its_own(sandbox: Sandbox) -> None:
    """There is no duplicate filter: the same call again is another message, with higher ids."""
    first, second = send(sandbox)["data"], send(sandbox)["data"]
    assert int(first["messageId"]) < int(second["messageId"])
    assert int(first["campaignId"]) < int(second["campaignId"])
    assert len(accepted(sandbox, RECIPIENT)) == 2


def test_a_get_does_too(sandbox: Sandbox) -> None:
    """A GET with everything in the query is accepted, in the encoding of browsers (%20) as in that of forms (+)."""
    text = "Код: 47/11 & more"
    for encode in (quote, quote_plus):
        query = f"apiKey={KEY}&recipient=%2B{RECIPIENT}&text={encode(text, safe='')}&output=json&api=v1"
        assert http(f"{sandbox.url}{PATH}?{query}").envelope["code"] == 0
    assert [message["text"] for message in accepted(sandbox, RECIPIENT)] == [text, text]


@pytest.mark.parametrize("text", ["what?", "47/11", "a&b", "a\\b"])
def test_a_get_with_reserved_characters_as_they_are_returns_no_message(sandbox: Sandbox, text: str) -> None:
    """The source document warns of exactly this; a client that doesn't encode is told."""
    answer = http(f"{sandbox.url}{PATH}?apiKey={KEY}&recipient={RECIPIENT}&text={text}")
    assert answer.envelope["code"] in {1, 11}
    assert sandbox.messages() == []


@pytest.mark.parametrize("path", [PATH, "/service/Message/SendSmsMessage", "/SERVICE/MESSAGE/SENDSMSMESSAGE/"])
def test_the_case_of_the_path_does_not_matter(sandbox: Sandbox, path: str) -> None:
    """Module and method are found in any case."""
    assert http(f"{sandbox.url}{path}", urlencode({"apiKey": KEY, **FORM}).encode()).envelope["code"] == 0


@pytest.mark.parametrize("wanted", [None, "Brand", "Other", "x" * 40, "Имя"])
def test_an_unusable_signature_is_replaced_in_silence(sandbox: Sandbox, wanted: str | None) -> None:
    """The registered signature, or none, gives the account's own; any other gives a shared one, and code 0."""
    answer = send(sandbox) if wanted is None else send(sandbox, sender=wanted)
    assert answer["code"] == 0
    assert accepted(sandbox, RECIPIENT)[0]["from"] == ("Brand" if wanted in {None, "Brand"} else "SharedName")


@pytest.mark.parametrize("method", [SEND, "message/list", "campaign/get", "user/getOwnBalance", "message/no", "no/no"])
def test_without_a_key_nothing_is_answered_but_code_8(sandbox: Sandbox, method: str) -> None:
    """A missing, empty or repeated key is code 8 with an empty list, before anything else is looked at."""
    for query, body in (("", b"x=1"), ("?apiKey=", b"x=1"), ("?apiKey=a", b"apiKey=a")):
        envelope = http(f"{sandbox.url}/service/{method}{query}", body).envelope
        assert (envelope["code"], envelope["data"]) == (8, [])


def test_the_key_is_taken_from_the_query_or_the_form(sandbox: Sandbox) -> None:
    """Both places do, as at the provider's."""
    assert http(f"{sandbox.url}{PATH}?apiKey={KEY}", urlencode(FORM).encode()).envelope["code"] == 0
    assert http(f"{sandbox.url}{PATH}", urlencode({**FORM, "apiKey": KEY}).encode()).envelope["code"] == 0


def test_a_body_that_is_no_form_is_not_read(sandbox: Sandbox) -> None:
    """The parameters in it are missing, be it JSON or a form that isn't said to be one."""
    for content_type, body in (("application/json", json.dumps(FORM)), ("text/plain", urlencode(FORM))):
        answer = http(f"{sandbox.url}{PATH}?apiKey={KEY}", body.encode(), content_type=content_type)
        assert answer.envelope["code"] == 11


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("no/list", 4),
        ("", 4),
        ("message/no", 5),
        ("message", 5),
        ("message/list/more", 5),
        ("message/list?output=xml", 6),
        ("message/list?api=v2", 6),
    ],
)
def test_a_wrong_module_method_or_format_is_told_apart(sandbox: Sandbox, path: str, code: int) -> None:
    """Codes 4, 5 and 6, each with null."""
    envelope = http(f"{sandbox.url}/service/{path}", urlencode({"apiKey": KEY}).encode()).envelope
    assert (envelope["code"], envelope["data"]) == (code, None)


def test_other_addresses_and_verbs_are_errors_of_http(sandbox: Sandbox) -> None:
    """An address outside the API is 404, a verb that the API doesn't know 405."""
    assert http(f"{sandbox.url}/message/list").status == 404
    assert http(f"{sandbox.url}{PATH}", verb="PUT").status == 405


def test_a_connection_serves_many_calls(sandbox: Sandbox) -> None:
    """The answer to an ordinary call leaves the connection open."""
    connection = HTTPConnection("127.0.0.1", sandbox.port, timeout=20)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        sockets = set()
        for _ in range(3):
            connection.request("POST", PATH, urlencode({"apiKey": KEY, **FORM}), headers)
            assert json.loads(connection.getresponse().read())["code"] == 0
            sockets.add(connection.sock)
        assert len(sockets) == 1
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("a" * 152 + "€" + "a" * 152, 3),  # the euro sign doesn't fit into the first one's last septet
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("👋" * 35, 1),
        ("ж" * 66 + "👋" + "ж" * 66, 3),
    ],
)
def test_segments_are_counted_as_operators_bill_them(sandbox: Sandbox, text: str, segments: int) -> None:
    """GSM 03.38: 160 or 153 septets; UCS-2: 70 or 67 units; what takes two isn't split."""
    assert send(sandbox, text=text)["code"] == 0
    assert accepted(sandbox, RECIPIENT)[0]["segNum"] == segments


def test_links_are_shortened_on_demand(sandbox: Sandbox) -> None:
    """With shortenLinks=1 the stored text has other links; with 0 and without it the text stays."""
    text = "Order https://shop.example/a/very/long/path?x=1 now"
    for value in ("1", "0"):
        assert send(sandbox, text=text, shortenLinks=value)["code"] == 0
    shortened, untouched = (message["text"] for message in accepted(sandbox, RECIPIENT))
    assert untouched == text
    assert shortened.startswith("Order https://short.example/")
    assert shortened.endswith(" now")


def test_a_message_text_of_any_length_is_taken(sandbox: Sandbox) -> None:
    """No limit is published, so none is kept."""
    assert post(sandbox, SEND, {"recipient": RECIPIENT, "text": "ж" * 5000})["code"] == 0
