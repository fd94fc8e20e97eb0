"""What a behaviour is, and the answers that the table of recipients (`worker.sandbox.recipients`) is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from aiohttp import web

from worker.sandbox.envelope import DONE, Data, body_of_json, done_data, encoded, envelope
from worker.sandbox.message import Fate

BLOCK: Final = "7700000"
"""What all of the table's recipients begin with."""


class Acceptance(Enum):
    """Whether the gateway takes the message, whatever it answers."""

    NEVER = "never"
    AT_ONCE = "at once"
    LATE = "late"


class Taken(NamedTuple):
    """What an answer can be made of.

    Attributes:
        message_id: The message's id; of a message that isn't accepted, one that nobody has.
        campaign_id: The campaign's id, likewise.
        status: The status to answer.
        recipient: The number that was called for; empty for a method that sends nothing.
        text: The text that was sent, likewise.
    """

    message_id: int
    campaign_id: int
    status: int
    recipient: str
    text: str


Answer = Callable[[Taken], web.StreamResponse]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A row of the table.

    Attributes:
        digits: The last four digits of its recipient.
        name: What ``POST /sandbox/fail`` calls it.
        sentence: What it does.
        acceptance: Whether and when the message is accepted.
        answer: Makes the answer.
        calls: How many calls of its recipient behave so; later ones are simply accepted. None for all.
        delay_seconds: How long the answer takes, after the acceptance.
        fate: What becomes of an accepted message.
    """

    digits: str
    name: str
    sentence: str
    acceptance: Acceptance
    answer: Answer
    calls: int | None = None
    delay_seconds: float = 0.0
    fate: Fate = Fate.DELIVERED

    @property
    def recipient(self) -> str:
        """The number that brings it on."""
        return BLOCK + self.digits

    def as_json(self) -> dict[str, str | int | None]:
        """Returns the row as ``GET /sandbox/recipients`` shows it."""
        return {
            "recipient": self.recipient,
            "name": self.name,
            "accepted": self.acceptance.value,
            "calls": self.calls,
            "sentence": self.sentence,
        }


def accepted(taken: Taken) -> web.StreamResponse:
    """Answers as live servers do: ids as strings, the status as a number."""
    return envelope(DONE, done_data(taken.message_id, taken.campaign_id, taken.status))


def accepted_body(taken: Taken) -> bytes:
    """Returns the body of that answer."""
    return encoded(DONE, done_data(taken.message_id, taken.campaign_id, taken.status))


def accepted_whole(taken: Taken) -> bytes:
    """Returns that answer with its status line and headers, for those that spoil it."""
    body = accepted_body(taken)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def refused(code: int, data: Data = None, message: str | None = None) -> Answer:
    """Makes an answer of a code of the API.

    Args:
        code: The code.
        data: The envelope's data. In the values of an object, `{recipient}` and `{text}` stand for what was sent: real
            servers quote what they were given, so a client that logs their words logs a number or a text.
        message: A sentence in place of the code's general one, filled in the same way.

    Returns:
        What makes the answer.
    """

    def fill(words: str, taken: Taken) -> str:
        return words.replace("{recipient}", taken.recipient).replace("{text}", taken.text)

    def answer(taken: Taken) -> web.StreamResponse:
        filled = {name: fill(words, taken) for name, words in data.items()} if isinstance(data, dict) else data
        return envelope(code, filled, None if message is None else fill(message, taken))

    return answer


def http_status(status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """Makes an answer with a status of HTTP and a page for people, as a proxy before the gateway sends it."""

    def answer(taken: Taken) -> web.StreamResponse:  # noqa: ARG001 - an Answer
        page = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
        return web.Response(status=status, text=page, content_type="text/html", headers=headers)

    return answer


def spoiled(body: str | bytes) -> Answer:
    """Makes an answer with HTTP status 200 and a body of one's own, said to be JSON."""
    return lambda taken: body_of_json(body)  # noqa: ARG005 - an Answer
