"""What each answer of the gateway means, row by row of the contract."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsq.gateway.answers import CODES, Fault, Kind, Outcome, classify, classify_fault
from smsq.gateway.envelope import MAX_RETRY_AFTER
from smsq.privacy import redact

DATA = {"campaignId": "7", "messageId": "12", "status": 2}
NOT_SENT = {Kind.REFUSED, Kind.TRY_AGAIN, Kind.ACCOUNT}

CONTRACT = {
    0: Kind.ACCEPTED,
    1: Kind.REFUSED,
    2: Kind.REFUSED,
    3: Kind.UNKNOWN,
    4: Kind.ACCOUNT,
    5: Kind.ACCOUNT,
    6: Kind.ACCOUNT,
    8: Kind.ACCOUNT,
    9: Kind.ACCOUNT,
    10: Kind.UNKNOWN,
    11: Kind.REFUSED,
    12: Kind.REFUSED,
    13: Kind.ACCOUNT,
    14: Kind.ACCOUNT,
    15: Kind.UNKNOWN,
    30: Kind.TRY_AGAIN,
    98: Kind.UNKNOWN,
    99: Kind.TRY_AGAIN,
    100: Kind.UNKNOWN,
    999: Kind.UNKNOWN,
}


def clean(words: str) -> str:
    """Takes out what the client takes out."""
    return redact(words, recipient="77010000001", text="Код: 4711", secrets=("thekey",))


def answer(
    envelope: object, *, status: int = 200, headers: dict[str, str] | None = None, body: bytes | None = None
) -> Outcome:
    """Classifies an answer, given as JSON or as a body."""
    return classify(status, headers or {}, json.dumps(envelope).encode() if body is None else body, clean=clean)


@pytest.mark.parametrize("written", [int, str], ids=["number", "string"])
@pytest.mark.parametrize(("code", "kind"), CONTRACT.items())
def test_each_code_means_what_the_contract_says(code: int, kind: Kind, written: type) -> None:
    """A code, as a number or as a string of digits, gives its row's kind and the row's words."""
    outcome = answer({"code": written(code), "data": DATA, "message": ""})
    assert (outcome.kind, outcome.code, outcome.http_status) == (kind, code, 200)
    assert outcome.reason == CODES[code].meaning


def test_the_table_has_the_contracts_codes_in_its_order() -> None:
    """No row is missing, and none was added that the contract doesn't know."""
    assert list(CODES) == list(CONTRACT)


@pytest.mark.parametrize("code", [7, 16, 29, 31, 97, 101, 998, 1000, 2**63 - 1])
def test_a_code_that_nobody_documented_leaves_the_outcome_open(code: int) -> None:
    """Any other code is unknown, even with ids beside it."""
    outcome = answer({"code": code, "data": DATA})
    assert (outcome.kind, outcome.code, outcome.message_id) == (Kind.UNKNOWN, code, None)


@pytest.mark.parametrize(
    "code",
    [None, True, False, "", " 0", "0 ", "+0", "-0", "00", "01", "0x0", "٠", 0.0, 1.0, "0.0", -1, [], [0], {}, 2**63],
    ids=repr,
)
def test_a_code_that_only_looks_like_a_number_is_none(code: object) -> None:
    """F67: what isn't 0 or a positive integer in plain digits never counts as success, nor as a refusal."""
    outcome = answer({"code": code, "data": DATA})
    assert (outcome.kind, outcome.code) == (Kind.UNKNOWN, None)


ID_FIELDS = ("messageId", "campaignId")
GOOD_IDS: list[Any] = [1, "1", 12, "12", 2**63 - 1, str(2**63 - 1), "1000000000000000000"]
BAD_IDS: list[Any] = [
    *(0, "0", -1, "-1", True, False, None, "", 12.0, 1e18, "12.0", "1e3", " 12", "12 ", "+12", "012", "1_000"),
    *("١٢", "²", "１２", "0x12", "twelve", 2**63, str(2**63), "9" * 30, [12], ["12"], {"id": 12}, [], {}),
]


@pytest.mark.parametrize("field", ID_FIELDS)
@pytest.mark.parametrize("value", GOOD_IDS, ids=repr)
def test_an_id_is_a_positive_integer_or_its_digits(field: str, value: int | str) -> None:
    """Both forms that were seen live are accepted and stored as integers (F67)."""
    outcome = answer({"code": 0, "data": DATA | {field: value}})
    ids = {"messageId": outcome.message_id, "campaignId": outcome.campaign_id}
    assert outcome.kind is Kind.ACCEPTED
    assert ids[field] == int(value)


@pytest.mark.parametrize("field", ID_FIELDS)
@pytest.mark.parametrize("value", BAD_IDS, ids=repr)
def test_an_id_that_only_looks_like_a_number_leaves_the_outcome_open(field: str, value: object) -> None:
    """A code 0 answer without ids that can be asked about later isn't a success (F67)."""
    outcome = answer({"code": 0, "data": DATA | {field: value}})
    assert (outcome.kind, outcome.code, outcome.message_id, outcome.campaign_id) == (Kind.UNKNOWN, 0, None, None)


@pytest.mark.parametrize(("status", "stored"), [(1, 1), (2, 2), ("1", 1), ("2", 2)])
def test_the_campaigns_status_is_kept(status: int | str, stored: int) -> None:
    """1 (waits for moderation) and 2 (sent without) are told apart."""
    assert answer({"code": 0, "data": DATA | {"status": status}}).campaign_status == stored


@pytest.mark.parametrize(
    "data",
    [
        *(DATA | {"status": status} for status in (0, 3, -1, True, 2.0, "", None, "READY", [1])),
        *({name: DATA[name] for name in DATA if name != missing} for missing in DATA),
        *(None, [], [DATA], {}, "", "12", 12, True),
    ],
    ids=repr,
)
def test_anything_wrong_in_an_accepting_answer_leaves_the_outcome_open(data: object) -> None:
    """Code 0 with data of any other shape is neither a success nor a failure."""
    assert answer({"code": 0, "data": data}).kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"0", b"[]", b'"ok"', b"true", b"{}", b"<html>OK</html>", b'{"code":0', b"\xff\xfe", b"\x00"),
        *(b'{"code":0,"data":{"messageId":"12","campaignId":"7","status":2}} trailing', b"[" * 60_000),
        *(b'{"code":' + b"9" * 5000 + b"}", b'{"code":NaN}', b'{"Code":0}', b'{"data":{"messageId":12}}'),
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_isnt_the_apis_answer_leaves_the_outcome_open(body: bytes) -> None:
    """Garbage with status 200 is unknown, and never an exception."""
    assert answer(None, body=body).kind is Kind.UNKNOWN


STATUSES = {
    **dict.fromkeys([100, 101, 199, 201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308], Kind.UNKNOWN),
    **dict.fromkeys([400, 402, 403, 406, 407, 408, 409, 410, 411, 414, 415, 418, 421, 422, 425, 431, 451, 499]),
    **dict.fromkeys([500, 501, 502, 503, 504, 505, 507, 520, 522, 524, 599, 600, 999]),
    401: Kind.ACCOUNT,
    404: Kind.ACCOUNT,
    405: Kind.ACCOUNT,
    413: Kind.REFUSED,
    429: Kind.TRY_AGAIN,
}


@pytest.mark.parametrize("body", [b"", b"<html></html>", b'{"error":"no"}'])
@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_a_status_without_the_apis_envelope_is_trusted_only_where_it_is_sure(
    status: int, kind: Kind | None, body: bytes
) -> None:
    """Another server spoke in the API's place: only five statuses say that nothing was done."""
    outcome = answer(None, status=status, body=body)
    assert (outcome.kind, outcome.http_status) == (kind or Kind.UNKNOWN, status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 422, 429, 451])
@pytest.mark.parametrize("code", CONTRACT)
def test_an_envelope_under_a_status_of_refusal_counts_if_both_agree(status: int, code: int) -> None:
    """A 4xx with a code of "not sent" is that code; with any other code, success too, it is unknown."""
    expected = CONTRACT[code] if CONTRACT[code] in NOT_SENT else Kind.UNKNOWN
    assert answer({"code": code, "data": DATA}, status=status).kind is expected


@pytest.mark.parametrize("status", [201, 202, 301, 307, 500, 502, 503, 504])
@pytest.mark.parametrize("code", CONTRACT)
def test_an_envelope_under_any_other_status_leaves_the_outcome_open(status: int, code: int) -> None:
    """The API answers with 200; under a redirect or a server's error nobody knows whose words these are."""
    assert answer({"code": code, "data": DATA}, status=status).kind is Kind.UNKNOWN


DATE = "Tue, 25 Nov 2025 12:00:00 GMT"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        *(("0", 0), ("20", 20), (" 20 ", 20), ("3600", 3600), ("3601", MAX_RETRY_AFTER), ("9" * 400, MAX_RETRY_AFTER)),
        ("Tue, 25 Nov 2025 12:00:30 GMT", 30),
        ("Tue, 25 Nov 2025 12:00:30 -0000", 30),
        ("Tuesday, 25-Nov-25 12:00:30 GMT", 30),
        ("Tue, 25 Nov 2025 11:00:00 GMT", 0),
        ("Tue, 25 Nov 2031 12:00:00 GMT", MAX_RETRY_AFTER),
        *(
            ("", None),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("٢٠", None),
            ("Tue, 99 Nov 2025 12:00:30 GMT", None),
        ),
        ("Tue, 25 Nov 999999999999 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(given: str, seconds: float | None) -> None:
    """Both forms are read, the date against the server's own clock; the wait is bounded, nonsense is none."""
    outcome = answer(None, status=429, headers={"Retry-After": given, "Date": DATE}, body=b"")
    assert (outcome.kind, outcome.retry_after) == (Kind.TRY_AGAIN, seconds)


@pytest.mark.parametrize("date", [None, "garbage"])
def test_a_date_without_a_usable_date_header_is_compared_with_our_clock(date: str | None) -> None:
    """A moment long past is no wait, one far ahead the longest."""
    for year, seconds in ((2001, 0), (2999, MAX_RETRY_AFTER)):
        headers = {"Retry-After": f"Mon, 01 Jan {year} 12:00:30 GMT"} | ({"Date": date} if date else {})
        assert answer(None, status=429, headers=headers, body=b"").retry_after == seconds


def test_advice_to_wait_doesnt_make_an_open_outcome_safe() -> None:
    """503 with Retry-After stays unknown, and code 30 takes the header's advice."""
    assert answer(None, status=503, headers={"Retry-After": "1"}, body=b"").kind is Kind.UNKNOWN
    assert answer({"code": 30}, headers={"Retry-After": "7"}).retry_after == 7


WITHOUT_SENTENCES: list[Any] = [None, [], {}, "", 0, 12, True, {"text": None}, [[]], [[[[[["deep"]]]]]]]


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        ({"text": "is empty"}, {"text": "is empty"}),
        ({"text": ["is empty", "is bad"], "from": []}, {"text": "is empty; is bad"}),
        (
            {"params": {"validity": "too long", "mclass": ["no"]}},
            {"params.validity": "too long", "params.mclass": "no"},
        ),
        ({"text": {"0": ["a"], "1": {"deep": "b"}}}, {"text.0": "a", "text.1.deep": "b"}),
        (["one", "two"], "one; two"),
        ("api.mobizon.uz", "api.mobizon.uz"),
        *((without, "Sorry") for without in WITHOUT_SENTENCES),
    ],
    ids=repr,
)
def test_the_gateways_sentences_are_kept_in_each_of_their_shapes(data: object, detail: object) -> None:
    """`data` maps fields to sentences or lists of them, or is one, or nothing: then the general message stands in."""
    assert answer({"code": 1, "data": data, "message": "Sorry"}).detail == detail


def test_the_gateways_sentences_are_kept_without_the_message() -> None:
    """Number, text and key are taken out of fields and sentences before anything is cut off."""
    said = {"recipient 77010000001": "+7 701 000-00-01 has no route", "text": "Код: 4711 is bad", "key": "thekey?"}
    detail = str(answer({"code": 1, "data": said}).detail) + str(answer({"code": 8, "message": "thekey"}).detail)
    assert not [secret for secret in ("77010000001", "000-00-01", "4711", "thekey") if secret in detail]
    assert "has no route" in detail


def test_only_the_beginning_of_a_sentence_is_cleaned() -> None:
    """A gateway that says a megabyte doesn't keep all other calls waiting while it is searched."""
    seen: list[str] = []

    def clean(words: str) -> str:
        seen.append(words)
        return words

    body = json.dumps({"code": 1, "data": {"f" * 60_000: "x" * 60_000}, "message": "y" * 60_000}).encode()
    assert classify(200, {}, body, clean=clean).kind is Kind.REFUSED
    assert seen
    assert max(map(len, seen)) <= 2000


def test_the_gateways_sentences_are_bounded_and_printable() -> None:
    """However much it says, what is kept fits a line: no line breaks, no lone surrogates, a few thousand characters."""
    wild = {f"{number}{'n' * 90}": ["a\r\nb\ud800\x00" + "x" * 5000] * 9 for number in range(99)}
    detail = answer({"code": 1, "data": wild, "message": "m" * 9999}).detail
    assert isinstance(detail, dict)
    assert all(name.isprintable() and sentence.isprintable() for name, sentence in detail.items())
    assert sum(len(name) + len(sentence) for name, sentence in detail.items()) < 5000
    assert all("\n" not in sentence and sentence.startswith("a  b") for sentence in detail.values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
LOOSE_DATA = st.fixed_dictionaries(
    {}, optional={name: JSON | st.integers(0, 3) | st.sampled_from("0123") for name in DATA}
)


@given(
    status=st.just(200) | st.integers(100, 999),
    code=JSON | st.sampled_from([*CONTRACT, *map(str, CONTRACT)]),
    data=JSON | LOOSE_DATA,
)
def test_no_answer_is_taken_for_more_than_it_is(status: int, code: object, data: object) -> None:
    """Whatever JSON comes: no exception, and accepted means status 200, code 0 and ids that can be asked about."""
    outcome = answer({"code": code, "data": data, "message": ""}, status=status)
    if outcome.kind is Kind.ACCEPTED:
        assert (status, outcome.code) == (200, 0)
        assert (outcome.message_id or 0) > 0
        assert (outcome.campaign_id or 0) > 0
        assert outcome.campaign_status in (1, 2)
    else:
        assert (outcome.message_id, outcome.campaign_id, outcome.campaign_status) == (None, None, None)


@given(status=st.integers(100, 999), body=st.binary(max_size=200))
def test_no_body_makes_it_raise(status: int, body: bytes) -> None:
    """Bytes of any kind are an outcome that isn't a success."""
    assert answer(None, status=status, body=body).kind is not Kind.ACCEPTED


@pytest.mark.parametrize("fault", Fault)
def test_only_whether_a_byte_was_written_decides_about_a_fault(fault: Fault) -> None:
    """The same fault is certainly not sent before the first byte, and unknown after it."""
    assert classify_fault(fault, written=False).kind is Kind.TRY_AGAIN
    assert classify_fault(fault, written=True).kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        b'{"code":0,"code":8,"data":{"campaignId":"1","messageId":"2","status":2},"message":""}',
        b'{"code":8,"code":0,"data":{"campaignId":"1","messageId":"2","status":2},"message":""}',
        b'{"code":0,"data":{"campaignId":"1","messageId":"2","messageId":"3","status":2},"message":""}',
    ],
)
def test_an_answer_that_says_two_things_is_unknown(body: bytes) -> None:
    """A name that comes twice: a parser that keeps the last would take "accepted" for "refused", or one id for two."""
    assert classify(200, {}, body, clean=str).kind is Kind.UNKNOWN
