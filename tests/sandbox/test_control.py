"""The sandbox's own pages: what it saw, its clock, its latency, failures on demand, flags, reset."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sandbox.calls import KEY, RECIPIENT, accepted, http, items, line, post, send
from tests.support.sandbox import Sandbox
from tests.support.waiting import wait_until


def test_health_counts(sandbox: Sandbox) -> None:
    """Messages and calls are counted without listing them."""
    assert sandbox.get("/sandbox/health") == {"status": "ok", "messages": 0, "calls": 0, "pending": 0}
    send(sandbox)
    send(sandbox, "87010000001")
    assert sandbox.get("/sandbox/health") == {"status": "ok", "messages": 1, "calls": 2, "pending": 0}


def test_calls_are_listed_with_their_outcome(sandbox: Sandbox) -> None:
    """Method, recipient, outcome, time on the machine's monotonic clock, and the names of the parameters only."""
    before = time.monotonic()
    send(sandbox, name="otp")
    send(sandbox, "77000000030")
    send(sandbox, "1")
    post(sandbox, "message/list", {"pagination[pageSize]": "1"})
    post(sandbox, "user/getOwnBalance", {})
    post(sandbox, "user/getOwnBalance", {}, key="")
    listed = sandbox.get("/sandbox/calls")
    assert listed["total"] == 6
    assert [(call["method"], call["recipient"], call["outcome"]) for call in listed["calls"]] == [
        ("message/sendsmsmessage", RECIPIENT, "accepted"),
        ("message/sendsmsmessage", "77000000030", "code-30"),
        ("message/sendsmsmessage", "1", "code 1"),
        ("message/list", "", "code 12"),
        ("user/getownbalance", "", "ok"),
        ("user/getownbalance", "", "code 8"),
    ]
    assert listed["calls"][0]["parameters"] == ["api", "apiKey", "output", "params[name]", "recipient", "text"]
    times = [call["monotonic"] for call in listed["calls"]]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.monotonic()


def test_messages_of_one_number_can_be_asked_for(sandbox: Sandbox) -> None:
    """The others are left out; calls are counted for every number, accepted or not."""
    send(sandbox)
    send(sandbox, "77010000002")
    send(sandbox, "77000000030")
    seen = sandbox.get("/sandbox/messages?recipient=77010000002")
    assert [message["recipient"] for message in seen["messages"]] == ["77010000002"]
    assert seen["callsByRecipient"] == {RECIPIENT: 1, "77010000002": 1, "77000000030": 1}


def test_neither_key_nor_envelope_parameters_are_kept(sandbox: Sandbox) -> None:
    """What was received is shown without them."""
    send(sandbox)
    assert set(accepted(sandbox, RECIPIENT)[0]["params"]) == {"recipient", "text"}
    assert KEY not in str(sandbox.get("/sandbox/messages")) + str(sandbox.get("/sandbox/calls"))


def test_the_clock_moves_ahead(sandbox: Sandbox) -> None:
    """By what is asked for; the answer says what time it is now, on the account's clock."""
    now = sandbox.post("/sandbox/clock", advance=86_400)["now"]
    moved = datetime.strptime(now, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) - timedelta(hours=5)
    assert timedelta(hours=23) < moved - datetime.now(UTC) < timedelta(hours=25)


def test_latency_delays_answers_to_sends_after_they_were_accepted(sandbox: Sandbox) -> None:
    """The message is in the book while its call is still waiting; asking isn't delayed."""
    sandbox.post("/sandbox/latency", seconds=3600)
    with line(sandbox.port, RECIPIENT) as call:
        wait_until(lambda: accepted(sandbox, RECIPIENT))
        assert len(items(sandbox)) == 1
        assert call.is_silent()


def test_after_the_latency_the_answer_comes(sandbox: Sandbox) -> None:
    """Nothing is lost by waiting."""
    sandbox.post("/sandbox/latency", seconds=0.2)
    assert send(sandbox)["code"] == 0


def test_the_next_calls_fail_as_told(sandbox: Sandbox) -> None:
    """That many calls of any method behave so, whoever they are for; later ones are as ever."""
    sandbox.post("/sandbox/fail", **{"next": 2, "as": "code-8"})
    assert [send(sandbox)["code"], post(sandbox, "user/getOwnBalance", {})["code"], send(sandbox)["code"]] == [8, 8, 0]
    assert len(sandbox.messages()) == 1


def test_failures_can_be_for_one_method(sandbox: Sandbox) -> None:
    """Calls of other methods neither fail nor count."""
    sandbox.post("/sandbox/fail", **{"next": 1, "as": "503", "method": "message/List"})
    assert send(sandbox)["code"] == 0
    failed = http(f"{sandbox.url}/service/message/list?apiKey={KEY}")
    assert (failed.status, failed.headers["Retry-After"]) == (503, "1")
    assert len(items(sandbox)) == 1


def test_an_accepting_failure_accepts(sandbox: Sandbox) -> None:
    """The behaviour decides, not the number."""
    sandbox.post("/sandbox/fail", **{"next": 1, "as": "502-accepted"})
    assert http(f"{sandbox.url}/service/message/sendsmsmessage?apiKey={KEY}&recipient={RECIPIENT}&text=x").status == 502
    assert len(accepted(sandbox, RECIPIENT)) == 1


def test_a_behaviour_that_answers_well_leaves_other_methods_their_own_answer(sandbox: Sandbox) -> None:
    """A list isn't answered with ids of a message."""
    sandbox.post("/sandbox/fail", **{"next": 1, "as": "moderated"})
    assert items(sandbox) == []


def test_failures_can_be_called_off(sandbox: Sandbox) -> None:
    """By asking for none."""
    sandbox.post("/sandbox/fail", **{"next": 5, "as": "hang"})
    sandbox.post("/sandbox/fail", next=0)
    assert send(sandbox)["code"] == 0


@pytest.mark.parametrize(
    ("page", "body", "named"),
    [
        ("fail", {"next": 1, "as": "nothing"}, "as"),
        ("fail", {"next": 1}, "as"),
        ("fail", {"next": -1, "as": "503"}, "next"),
        ("fail", {"next": 1, "as": "503", "method": "no/no"}, "method"),
        ("fail", {"as": "503"}, "next"),
        ("clock", {"advance": -1}, "advance"),
        ("clock", {"advance": "1"}, "advance"),
        ("clock", {}, "advance"),
        ("clock", {"advance": 1, "back": 1}, "back"),
        ("latency", {"seconds": -0.1}, "seconds"),
        ("flags", {"balance": "much"}, "balance"),
        ("flags", {"timezone": "Asia/Nowhere"}, "timezone"),
        ("flags", {"timezone": "../etc"}, "timezone"),
        ("flags", {"text_changes": ["upper"]}, "text_changes"),
        ("flags", {"late_seconds": -1}, "late_seconds"),
        ("flags", {"unheard_of": True}, "unheard_of"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(sandbox: Sandbox, page: str, body: dict[str, Any], named: str) -> None:
    """HTTP 400 with the field's name, and nothing is changed."""
    before = sandbox.get("/sandbox/flags")
    answer = http(f"{sandbox.url}/sandbox/{page}", json.dumps(body).encode())
    assert answer.status == 400
    assert json.loads(answer.body)["error"].startswith(f"{named}: ") or f"{named}.0: " in answer.body.decode()
    assert sandbox.get("/sandbox/flags") == before
    assert send(sandbox)["code"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1"])
def test_a_body_that_is_no_object_is_refused(sandbox: Sandbox, body: bytes) -> None:
    """HTTP 400 with a sentence."""
    answer = http(f"{sandbox.url}/sandbox/clock", body)
    assert (answer.status, b"JSON" in answer.body) == (400, True)


def test_reset_forgets_everything_but_ids(sandbox: Sandbox) -> None:
    """Messages, calls, clock, latency, failures, flags and counts; ids go on, so none is ever given twice."""
    before = send(sandbox)["data"]["messageId"]
    for page, body in (
        ("clock", {"advance": 86_400 * 3}),
        ("latency", {"seconds": 3600}),
        ("fail", {"next": 5, "as": "hang"}),
        ("flags", {"balance": "0.0000", "timezone": "UTC"}),
    ):
        sandbox.post(f"/sandbox/{page}", **body)
    sandbox.post("/sandbox/reset")
    assert sandbox.get("/sandbox/health") == {"status": "ok", "messages": 0, "calls": 0, "pending": 0}
    assert sandbox.get("/sandbox/messages") == {"messages": [], "callsByRecipient": {}}
    assert int(send(sandbox)["data"]["messageId"]) > int(before)
    assert items(sandbox)[0]["campaign"]["createTs"] > (datetime.now(UTC) + timedelta(hours=4)).strftime("%Y-%m-%d %H")
    assert items(sandbox)[0]["campaign"]["createTs"] < (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d %H")


def test_a_call_from_before_a_reset_leaves_nothing_behind(sandbox: Sandbox) -> None:
    """Of two late messages, the one that was called for before the reset isn't accepted in what comes after."""
    with line(sandbox.port, "77000004003"):
        wait_until(lambda: sandbox.get("/sandbox/health")["calls"] == 1)
        sandbox.post("/sandbox/reset")
    with line(sandbox.port, "77000004003"):
        wait_until(lambda: sandbox.get("/sandbox/health")["calls"] == 1)
    # The second caller hung up later, so when that is noticed, the first one's has been.
    wait_until(lambda: sandbox.get("/sandbox/health")["pending"])
    sandbox.post("/sandbox/clock", advance=3600)
    assert sandbox.get("/sandbox/health") == {"status": "ok", "messages": 1, "calls": 1, "pending": 0}


@pytest.mark.parametrize(
    ("change", "sent", "stored"),
    [
        ("trim", " \n Hello \t", "Hello"),
        ("crlf", "a\nb\r\nc\rd", "a\r\nb\r\nc\r\nd"),
        ("fold-quotes", "«Сәлем» “a” ‘b’ it’s", '"Сәлем" "a" \'b\' it\'s'),
        ("drop-emoji", "Сәлем 👋❤️!", "Сәлем !"),
    ],
)
def test_text_changes_are_made_to_what_is_stored(sandbox: Sandbox, change: str, sent: str, stored: str) -> None:
    """Lists and pages show the changed text, the parameters what was received."""
    sandbox.post("/sandbox/flags", text_changes=[change])
    send(sandbox, text=sent)
    assert items(sandbox)[0]["text"] == stored
    [message] = accepted(sandbox, RECIPIENT)
    assert (message["text"], message["params"]["text"]) == (stored, sent)


@pytest.mark.parametrize(("zone", "hours"), [("UTC", 0), ("Etc/GMT-6", 6), ("Etc/GMT+3", -3)])
def test_the_zone_of_all_times_can_be_changed(sandbox: Sandbox, zone: str, hours: int) -> None:
    """Answers and criteria follow."""
    sandbox.post("/sandbox/flags", timezone=zone)
    send(sandbox)
    moment = datetime.now(UTC) + timedelta(hours=hours)
    written = [(moment + timedelta(minutes=m)).strftime("%Y-%m-%d %H:%M:%S") for m in (-5, 5)]
    assert written[0] <= items(sandbox)[0]["campaign"]["createTs"] <= written[1]
    assert len(items(sandbox, campaignCreateTsFrom=written[0], campaignCreateTsTo=written[1])) == 1


@pytest.mark.parametrize(
    ("mode", "untyped", "single", "mass"), [("mass", 0, 1, 0), ("off", 1, 1, 0), ("nothing", 0, 0, 0)]
)
def test_the_type_filter_of_campaign_list_can_be_changed(
    sandbox: Sandbox, mode: str, untyped: int, single: int, mass: int
) -> None:
    """Mass mailings by default, all without a type, or nothing ever."""
    sandbox.post("/sandbox/flags", campaign_type_filter=mode)
    send(sandbox)
    found = [items(sandbox, "campaign/list", **criteria) for criteria in ({}, {"type": "1"}, {"type": "2"})]
    assert [len(each) for each in found] == [untyped, single, mass]


def test_the_nested_campaign_can_be_left_out(sandbox: Sandbox) -> None:
    """It is undocumented, so a client must do without; campaign/get still tells."""
    sandbox.post("/sandbox/flags", nested_campaign=False)
    send(sandbox, name="otp")
    [item] = items(sandbox)
    assert "campaign" not in item
    assert post(sandbox, "campaign/get", {"id": item["campaignId"]})["data"]["name"] == "otp"


def test_lists_can_be_late(sandbox: Sandbox) -> None:
    """A message shows in lists only after the delay; the sandbox's own page has it at once."""
    sandbox.post("/sandbox/flags", list_delay_seconds=600)
    send(sandbox)
    assert (items(sandbox), len(accepted(sandbox, RECIPIENT))) == ([], 1)
    sandbox.post("/sandbox/clock", advance=600)
    assert len(items(sandbox)) == 1


def test_without_money_nothing_is_accepted(sandbox: Sandbox) -> None:
    """The balance is shown, and sending is code 15 until there is money again."""
    sandbox.post("/sandbox/flags", balance="0.0000")
    assert post(sandbox, "user/getOwnBalance", {})["data"]["balance"] == "0.0000"
    assert (send(sandbox)["code"], sandbox.messages()) == (15, [])
    sandbox.post("/sandbox/flags", balance="0.0001")
    assert send(sandbox)["code"] == 0


def test_flags_not_named_stay(sandbox: Sandbox) -> None:
    """Only what is given changes."""
    sandbox.post("/sandbox/flags", late_seconds=5.0)
    assert sandbox.post("/sandbox/flags", nested_campaign=False) == {
        "campaign_type_filter": "mass",
        "text_changes": [],
        "timezone": None,
        "nested_campaign": False,
        "late_seconds": 5.0,
        "list_delay_seconds": 0.0,
        "balance": "1000.0000",
    }
