"""What producers do follows from the seed, and their books outlive them."""

from pathlib import Path

from tests.soak import promises
from tests.soak.promises import Book
from tests.soak.traffic import Traffic


def test_the_same_seed_gives_the_same_messages() -> None:
    """A process that takes over must offer the same content under the same key; another seed gives others."""
    first, same, other = Traffic(1, 1000), Traffic(1, 1000), Traffic(2, 1000)
    numbers = range(1010)
    assert [first.message(number) for number in numbers] == [same.message(number) for number in numbers]
    assert [first.message(number) for number in numbers] != [other.message(number) for number in numbers]


def test_each_text_tells_its_message() -> None:
    """The gateway's book is read by the texts; those of another soak aren't this one's."""
    traffic = Traffic(1, 1000)
    assert [traffic.number_of(traffic.message(number).text) for number in range(1010)] == list(range(1010))
    assert Traffic(2, 1000).number_of(traffic.message(0).text) is None


def test_all_ways_lanes_and_troubles_occur() -> None:
    """A thousand messages have every lane, way and option in them."""
    traffic = Traffic(1, 1000)
    groups = list(traffic.groups(0, 1000))
    messages = [traffic.message(number) for number in range(1000)]
    assert {group.lane for group in groups} == {"urgent", "normal", "bulk"}
    assert {group.way for group in groups} == {"one", "many", "async"}
    assert {group.on_unknown for group in groups} == {"ask", "resend"}
    assert any(group.batch for group in groups)
    assert any(group.cancels_batch for group in groups)
    assert any(group.delay for group in groups)
    assert any(group.vanishing and group.expires_in for group in groups)
    assert any(message.refused for message in messages)
    assert any(message.repeated for message in messages)
    assert any(message.cancel_after is not None for message in messages)
    assert any(message.key is None for message in messages)


def test_books_are_read_process_by_process(tmp_path: Path) -> None:
    """An offer without an answer, and one that another process made again: both are in the promise, in their order."""
    traffic = Traffic(1, 1000)
    with Book(tmp_path / "p1.jsonl") as book:
        book.offered([1, 2])
        book.accepted({1: "a", 2: "b"})
        book.offered([3])
    with Book(tmp_path / "p2.jsonl") as book:
        book.offered([3])
        book.maybe([3])
        book.offered([3])
        book.accepted({3: "c"})
        book.cancelling(3)
        book.cancelled(3, stopped=False)
    found = promises.read([tmp_path / "p1.jsonl", tmp_path / "p2.jsonl"], traffic)
    assert {number: promise.job_ids for number, promise in found.items()} == {1: ["a"], 2: ["b"], 3: ["c"]}
    offers = found[3].offers
    assert [(offer.process, offer.job_id, offer.answered is None) for offer in offers] == [
        ("p1", None, True),
        ("p2", None, False),
        ("p2", "c", False),
    ]
    assert [cancelling.stopped for cancelling in found[3].cancellings] == [False]


def test_a_line_that_a_kill_cut_is_left_out(tmp_path: Path) -> None:
    """What was being written when the process died promised nothing yet."""
    path = tmp_path / "p1.jsonl"
    with Book(path) as book:
        book.offered([1])
        book.accepted({1: "a"})
    path.write_bytes(path.read_bytes()[:-5])
    [promise] = promises.read([path], Traffic(1, 1000)).values()
    assert promise.job_ids == []


def test_a_cancelled_batch_is_in_the_promises_of_its_messages(tmp_path: Path) -> None:
    """Each message of the batch may end cancelled; those of others may not."""
    traffic = Traffic(1, 1000)
    batch, numbers = next((group.batch, group.numbers) for group in traffic.groups(0, 1000) if group.batch)
    other = next(group.numbers[0] for group in traffic.groups(0, 1000) if group.batch != batch)
    with Book(tmp_path / "p1.jsonl") as book:
        book.offered([*numbers, other])
        book.cancelling_batch(batch or "")
    found = promises.read([tmp_path / "p1.jsonl"], traffic)
    assert {number for number, promise in found.items() if promise.cancellings} == set(numbers)
