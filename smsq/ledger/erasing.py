"""Erasing a person: the jobs of one number lose what they know of it."""

from typing import NamedTuple

from smsq.encryption import NO_MARKS, Marks
from smsq.scripts import Call, script, text


class Erased(NamedTuple):
    """What a step, or all of them, came to; counts of jobs.

    Attributes:
        erased: Number, text and all that either could be guessed from are gone.
        cancelled: Of these, those that waited and were cancelled for it.
        waiting: Left alone: they wait to be sent.
        under_way: Left alone: a call may be out, or the gateway is being asked about one.
        unusable: Left alone: records that can't be used, or a newer version's.
        locked: Left alone: encrypted with a key that isn't known here, whoever they belong to.
    """

    erased: int = 0
    cancelled: int = 0
    waiting: int = 0
    under_way: int = 0
    unusable: int = 0
    locked: int = 0

    @property
    def left(self) -> int:
        """Jobs that have the number still, or may have it."""
        return self.waiting + self.under_way + self.unusable + self.locked

    def plus(self, other: "Erased") -> "Erased":
        """Returns the sum of both."""
        return Erased(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class EraseStep(NamedTuple):
    """What a step came to, and the next one's cursor; '0' after the last."""

    cursor: str
    erased: Erased


def erase(
    cursor: str, count: int, recipient: str, *, cancel_waiting: bool, retention: int, marks: Marks = NO_MARKS
) -> Call[EraseStep]:
    """Looks through about ``count`` keys for jobs of a number, and erases it where the job has ended (`erase.lua`).

    Args:
        cursor: '0' to begin, then the last step's.
        count: Keys to look at: five hundred hold Redis for a few milliseconds.
        recipient: The number in the gateway's form.
        cancel_waiting: Whether jobs that wait are cancelled, to be erased as well.
        retention: How long a job that ends here is kept, ms.
        marks: By what it is found in what is encrypted.
    """

    def parse(answer: tuple[bytes, int, int, int, int, int, int]) -> EraseStep:
        return EraseStep(text(answer[0]), Erased(*answer[1:]))

    args: list[str | bytes | int | float] = [cursor, count, recipient, int(cancel_waiting), retention]
    for head, text_ in zip(marks.heads, marks.texts, strict=True):
        args += [head, text_]
    return Call(script("erase"), args, parse, confirm=True)
