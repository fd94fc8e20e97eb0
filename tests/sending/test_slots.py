"""Slots and batches: how the loop shares calls and round trips."""

import asyncio
from collections.abc import Sequence

import pytest

from smsq.lanes import LANES, Lane
from tasks.batching import Batcher
from tasks.slots import Slots


async def _turns() -> None:
    """Lets everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_higher_lanes_are_served_first() -> None:
    """F44: of those who wait for a slot the urgent one gets it, however late it came."""

    async def story() -> list[str]:
        slots, order = Slots(10), []

        async def job(name: str, lane: Lane) -> None:
            assert await slots.acquire(lane)
            order.append(name)
            await _turns()
            slots.release(lane)

        shared: list[Lane] = ["bulk"] * 10
        for lane in [*shared, *LANES[:2]]:  # all that is shared, and what is theirs alone
            assert await slots.acquire(lane)
        jobs = [job("bulk", "bulk"), job("normal", "normal"), job("urgent", "urgent")]
        waiting = asyncio.gather(*jobs)
        await _turns()
        assert order == []
        for _ in range(3):
            slots.release("bulk")
        await waiting
        return order

    assert asyncio.run(story()) == ["urgent", "normal", "bulk"]


@pytest.mark.parametrize("limit", [1, 5, 100])
@pytest.mark.parametrize("hanging", LANES)
def test_no_lanes_calls_keep_anothers_waiting(limit: int, hanging: Lane) -> None:
    """A lane whose calls hang fills what is shared, and no more; each other one still has a tenth, or one at least."""

    async def fill(slots: Slots, lane: Lane) -> int:
        before = slots.used
        waiting = [asyncio.create_task(slots.acquire(lane)) for _ in range(2 * limit)]
        await _turns()
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return slots.used - before

    async def story() -> dict[Lane, int]:
        slots = Slots(limit)
        return {lane: await fill(slots, lane) for lane in sorted(LANES, key=lambda lane: lane != hanging)}

    own = max(1, limit // 10)
    assert asyncio.run(story()) == {lane: limit if lane == hanging else own for lane in LANES}


def test_never_more_than_the_limit_and_a_new_limit_counts_at_once() -> None:
    """Growing serves those who wait; shrinking lets those who are out end, and no more in than the new limit."""

    async def story() -> list[int]:
        slots, used = Slots(2), []

        async def job() -> None:
            assert await slots.acquire("normal")
            await _turns()
            used.append(slots.used)
            slots.release("normal")

        jobs = [asyncio.create_task(job()) for _ in range(20)]
        await asyncio.sleep(0)
        assert slots.used == 2
        slots.limit = 5
        assert slots.used == 5
        slots.limit = 1
        await asyncio.gather(*jobs)
        assert slots.used == 0
        return used

    used = asyncio.run(story())
    assert max(used) == 5
    assert set(used[5:]) == {1}


def test_closing_sends_everyone_home() -> None:
    """Who waits when the worker stops is told at once that there is no slot, and so is who comes later."""

    async def story() -> list[bool]:
        slots = Slots(1)
        assert await slots.acquire("normal")
        waiting = [asyncio.create_task(slots.acquire("normal")) for _ in range(3)]
        await asyncio.sleep(0)
        slots.close()
        return [*(await asyncio.gather(*waiting)), await slots.acquire("urgent")]

    assert asyncio.run(story()) == [False] * 4


def test_what_comes_together_goes_together() -> None:
    """Items of one turn are one batch; what comes while it is out is the next, within the limit; order is kept."""

    async def story() -> list[list[int]]:
        batches: list[list[int]] = []

        async def run(items: Sequence[int]) -> list[int]:
            batches.append(list(items))
            await _turns()
            return [item * 10 for item in items]

        batcher = Batcher(run, limit=4)
        first = [asyncio.create_task(batcher(n)) for n in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second = [asyncio.create_task(batcher(n)) for n in range(3, 9)]
        answers = await asyncio.gather(*first, *second)
        assert answers == [n * 10 for n in range(9)]
        return batches

    assert asyncio.run(story()) == [[0, 1, 2], [3, 4, 5, 6], [7, 8]]


def test_a_failed_batch_fails_its_own_and_no_other() -> None:
    """An error goes to each caller of that batch; the next batch runs."""

    async def story() -> None:
        async def run(items: Sequence[int]) -> list[int]:
            if 0 in items:
                raise ValueError("this one")
            return list(items)

        batcher = Batcher(run, limit=1)
        bad, good = asyncio.create_task(batcher(0)), asyncio.create_task(batcher(1))
        with pytest.raises(ValueError, match="this one"):
            await bad
        assert await good == 1

    asyncio.run(story())
