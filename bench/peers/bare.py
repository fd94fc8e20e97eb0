"""The HTTP call alone: ``python -m bench.peers.bare SLOTS COUNT``, on uvloop; what no queue can be faster than."""

import asyncio
import sys
from collections.abc import Iterator

import uvloop

from bench.peers import job


async def _call_all(numbers: Iterator[int]) -> None:
    for number in numbers:
        await job.asend(str(number), "Hello")


async def main(slots: int, count: int) -> None:
    """Makes the calls, as many at once as there are slots, and stays until it is ended."""
    numbers = iter(range(77010000000, 77010000000 + count))
    await asyncio.gather(*(_call_all(numbers) for _ in range(slots)))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
