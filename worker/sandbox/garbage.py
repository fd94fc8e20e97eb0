"""Answers that look like an answer and aren't: the recipients ``7700 000 7xxx``.

Most are a success with something wrong in it, after the message was accepted: who takes such an answer for a refusal
sends twice. Where the code is wrong and the ids are fine (73xx) the message isn't accepted and nobody has those ids:
who takes it for a success loses the message.
"""

import gzip
from collections.abc import Iterator
from functools import cache
from typing import Final

from aiohttp import web

from worker.sandbox import wire
from worker.sandbox.behaviours import Acceptance, Answer, Behaviour, Taken, accepted_body, http_status, spoiled
from worker.sandbox.envelope import body_of_json

_NEVER, _AT_ONCE = Acceptance.NEVER, Acceptance.AT_ONCE


def _with(**fragments: str) -> Answer:
    """Makes an accepted message's answer with other JSON in some places; an empty fragment leaves the field out.

    In a fragment, `<m>` and `<c>` stand for the message's and the campaign's id.
    """

    def member(name: str, usual: str) -> list[str]:
        value = fragments.get(name, usual)
        return [f'"{name}":{value}'] if value else []

    def answer(taken: Taken) -> web.StreamResponse:
        ids = [*member("campaignId", '"<c>"'), *member("messageId", '"<m>"'), *member("status", str(taken.status))]
        fields = [*member("code", "0"), *member("data", f"{{{','.join(ids)}}}"), *member("message", '""')]
        body = f"{{{','.join(fields)}}}"
        return body_of_json(body.replace("<m>", str(taken.message_id)).replace("<c>", str(taken.campaign_id)))

    return answer


def _around(before: bytes, after: bytes) -> Answer:
    """Makes an accepted message's answer with bytes before and after its body."""
    return lambda taken: body_of_json(before + accepted_body(taken) + after)


def _not_http(sent: bytes) -> Answer:
    return lambda taken: wire.Broken(sent)  # noqa: ARG005 - an Answer


def _unfolding() -> web.Response:
    return web.Response(body=_unfolding_body(), content_type="application/json", headers={"Content-Encoding": "gzip"})


@cache
def _unfolding_body() -> bytes:
    return gzip.compress(b" " * 100_000_000 + b"{}")


_ODD_YET_WELL: Final = (
    ("7001", "ids-numbers", "ids as JSON numbers", _with(campaignId="<c>", messageId="<m>")),
    ("7002", "code-string", 'code as the string "0"', _with(code='"0"')),
    ("7003", "more-fields", "fields that nobody documented", _with(message='"","extra":{"messageId":"1"}')),
)

_IDS: Final = (
    ("7101", "ids-missing", "neither id", _with(campaignId="", messageId="")),
    ("7102", "message-id-missing", "no messageId", _with(messageId="")),
    ("7103", "campaign-id-missing", "no campaignId", _with(campaignId="")),
    ("7104", "id-null", "messageId null", _with(messageId="null")),
    ("7105", "id-empty", "messageId an empty string", _with(messageId='""')),
    ("7106", "id-true", "messageId true", _with(messageId="true")),
    ("7107", "id-fraction", "messageId with .0", _with(messageId="<m>.0")),
    ("7108", "id-exponent", "messageId as 1e18", _with(messageId="1e18")),
    ("7109", "id-spaces", "messageId between spaces", _with(messageId='" <m> "')),
    ("7110", "id-underscore", 'messageId "1_000"', _with(messageId='"1_000"')),
    ("7111", "id-arabic", "messageId in Arabic-Indic digits", _with(messageId='"\\u0661\\u0662"')),
    ("7112", "id-plus", "messageId with a plus", _with(messageId='"+<m>"')),
    ("7113", "id-negative", "messageId below 0", _with(messageId='"-<m>"')),
    ("7114", "id-zero", 'messageId "0"', _with(messageId='"0"')),
    ("7115", "id-number-zero", "messageId the number 0", _with(messageId="0")),
    ("7116", "id-leading-zeros", "messageId with leading zeros", _with(messageId='"00<m>"')),
    ("7117", "id-too-large", "messageId 2 to the 63rd, a string", _with(messageId='"9223372036854775808"')),
    ("7118", "id-number-too-large", "messageId 2 to the 63rd, a number", _with(messageId="9223372036854775808")),
    ("7119", "id-hexadecimal", 'messageId "0x1F"', _with(messageId='"0x1F"')),
    ("7120", "id-fraction-string", 'messageId as a string with ".0"', _with(messageId='"<m>.0"')),
    ("7121", "id-letters", "messageId with a letter after it", _with(messageId='"<m>a"')),
    ("7122", "id-line-end", "messageId with a line end after it", _with(messageId='"<m>\\n"')),
    ("7123", "id-list", "messageId in a list", _with(messageId='["<m>"]')),
    ("7124", "id-object", "messageId an object", _with(messageId='{"id":"<m>"}')),
    ("7125", "id-nan", "messageId NaN, which isn't JSON", _with(messageId="NaN")),
    ("7126", "campaign-id-zero", 'campaignId "0"', _with(campaignId='"0"')),
    ("7127", "campaign-id-true", "campaignId true", _with(campaignId="true")),
)

_STATUS: Final = (
    ("7201", "status-missing", "no status", _with(status="")),
    ("7202", "status-null", "status null", _with(status="null")),
    ("7203", "status-3", "status 3", _with(status="3")),
    ("7204", "status-0", "status 0", _with(status="0")),
    ("7205", "status-word", 'status "sent"', _with(status='"sent"')),
    ("7206", "status-true", "status true", _with(status="true")),
    ("7207", "status-fraction", "status 2.0", _with(status="2.0")),
)

_CODE: Final = (
    ("7301", "code-false", "code false", _with(code="false")),
    ("7302", "code-null", "code null", _with(code="null")),
    ("7303", "code-empty", "code an empty string", _with(code='""')),
    ("7304", "code-fraction", "code 0.0", _with(code="0.0")),
    ("7305", "code-missing", "no code", _with(code="")),
    ("7306", "code-zeros", 'code "00"', _with(code='"00"')),
    ("7307", "code-spaces", 'code " 0 "', _with(code='" 0 "')),
    ("7308", "code-list", "code an empty list", _with(code="[]")),
    ("7309", "code-word", 'code "OK"', _with(code='"OK"')),
    ("7310", "code-true", "code true", _with(code="true")),
    ("7311", "code-negative", "code -1", _with(code="-1")),
)

_DATA: Final = (
    ("7401", "code-0-data-null", "code 0, data null", _with(data="null")),
    ("7402", "code-0-data-empty", "code 0, data an empty list", _with(data="[]")),
    (
        "7403",
        "code-0-data-list",
        "code 0, the ids in a list of one",
        _with(data='[{"campaignId":"<c>","messageId":"<m>","status":2}]'),
    ),
    ("7404", "code-0-data-string", "code 0, data the messageId alone", _with(data='"<m>"')),
    ("7405", "code-0-data-number", "code 0, data a number", _with(data="<m>")),
    ("7406", "code-0-data-missing", "code 0, no data", _with(data="")),
)

_BODY: Final = (
    ("7501", "body-empty", "an empty body", spoiled("")),
    ("7502", "json-cut", "JSON cut in the middle", lambda taken: body_of_json(accepted_body(taken)[:-20])),
    ("7503", "html-200", "an HTML page with HTTP 200", http_status(200)),
    ("7504", "json-list", "a JSON list", _around(b"[", b"]")),
    ("7505", "json-string", "a JSON string", spoiled('"OK"')),
    ("7506", "json-zero", "the JSON number 0", spoiled("0")),
    ("7507", "json-null", "JSON null", spoiled("null")),
    ("7508", "not-utf-8", "bytes that aren't UTF-8", _around(b"", b"\xff\xfe")),
    ("7509", "json-and-more", "JSON and a PHP warning after it", _around(b"", b"\n<b>Warning</b>: Undefined index")),
    ("7510", "more-and-json", "a PHP warning, and JSON after it", _around(b"<br />\n<b>Notice</b>: ", b"")),
    ("7511", "json-twice", "two answers in one body", _around(b'{"code":0}', b"")),
    ("7512", "xml", "XML", spoiled('<?xml version="1.0"?><response><code>0</code></response>')),
    ("7513", "json-deep", "lists nested 100,000 deep", spoiled("[" * 100_000)),
    ("7514", "json-long-number", "a messageId of 10,000 digits", _with(messageId="1" * 10_000)),
    ("7515", "code-twice", "code 0 and then code 8", _with(code='0,"code":8')),
    ("7516", "no-content", "HTTP 204 without a body", lambda _: web.Response(status=204)),
    (
        "7517",
        "500-and-code-0",
        "HTTP 500 around a success",
        lambda taken: web.Response(status=500, body=accepted_body(taken), content_type="application/json"),
    ),
    ("7518", "gzip", "100 KB of gzip, asked for or not, that unfold to 100 MB", lambda _: _unfolding()),
)

_NOT_HTTP: Final = (
    ("7601", "not-http", "a greeting of SSH", _not_http(b"SSH-2.0-OpenSSH_9.6\r\n")),
    ("7602", "http-0.9", "a body without headers", lambda taken: wire.Broken(accepted_body(taken))),
    (
        "7603",
        "bad-chunk",
        "a chunk whose size isn't a number",
        _not_http(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    ),
    (
        "7604",
        "bad-length",
        "a Content-Length below 0",
        _not_http(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    ),
    (
        "7605",
        "long-header",
        "a header of 1 MB",
        _not_http(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1_000_000 + b"\r\nContent-Length: 2\r\n\r\n{}"),
    ),
)


def _rows() -> Iterator[Behaviour]:
    for group, acceptance, told in (
        (_ODD_YET_WELL, _AT_ONCE, "accepted; a success with "),
        (_IDS, _AT_ONCE, "accepted; code 0 with "),
        (_STATUS, _AT_ONCE, "accepted; code 0 with "),
        (_CODE, _NEVER, "not accepted; good ids with "),
        (_DATA, _AT_ONCE, "accepted; "),
        (_BODY, _AT_ONCE, "accepted; "),
        (_NOT_HTTP, _AT_ONCE, "accepted; "),
    ):
        for digits, name, sentence, answer in group:
            yield Behaviour(digits, name, told + sentence, acceptance, answer)


GARBAGE: Final = tuple(_rows())
"""All rows, in order of their numbers."""
