"""The producer: ``python -m bench.peers.produce PEER MODE COUNT FIRST``; prints what it measured as JSON.

Modes: ``each`` enqueues one by one as fast as it can, ``spaced`` with pauses, ``many`` by the library's own way for
many. Options after these are passed on to the peer's function (``lane=urgent``); ``text=`` and ``pause=`` (seconds,
`spaced`) are the producer's own.
"""

import asyncio
import importlib
import inspect
import json
import random
import resource
import sys
import time
from types import ModuleType
from typing import Any

#: Enqueued before anything is measured: connections are made, scripts loaded.
WARM_UP = 20


async def _maybe(value: Any) -> None:  # noqa: ANN401 - a coroutine or nothing
    if inspect.isawaitable(value):
        await value


async def _each(peer: ModuleType, count: int, first: int, text: str, **options: str) -> dict[str, Any]:
    awaited = inspect.iscoroutinefunction(peer.enqueue)
    taken: list[float] = []
    for number in range(-WARM_UP, count):
        before = time.perf_counter()
        if awaited:
            await peer.enqueue(str(first + number), text, **options)
        else:
            peer.enqueue(str(first + number), text, **options)
        taken.append(time.perf_counter() - before)
    taken = sorted(taken[WARM_UP:])
    middle, late = taken[count // 2], taken[int(count * 0.99)]
    return {"per_second": count / sum(taken), "p50": middle * 1000, "p99": late * 1000}


async def _spaced(
    peer: ModuleType, count: int, first: int, text: str, pause: str = "0.04", **options: str
) -> dict[str, Any]:
    # Uneven pauses: even ones would meet a worker that looks now and then always at the same moment.
    uneven = random.Random(first)  # noqa: S311
    begun: dict[str, float] = {}
    for number in range(first, first + count):
        await asyncio.sleep(float(pause) * uneven.uniform(0.5, 1.5))
        begun[str(number)] = time.monotonic()
        await _maybe(peer.enqueue(str(number), text, **options))
    return {"begun": begun}


async def _many(peer: ModuleType, count: int, first: int, text: str, **options: str) -> dict[str, Any]:
    messages = ((str(number), text) for number in range(first, first + count))
    before = time.perf_counter()
    await _maybe(peer.enqueue_many(messages, **options))
    took = time.perf_counter() - before
    return {"per_second": count / took, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


async def main(peer_name: str, mode: str, count: int, first: int, **options: str) -> None:
    """Enqueues and prints what was measured."""
    peer = importlib.import_module(f"bench.peers.{peer_name}")
    if hasattr(peer, "start"):
        await peer.start()
    text = options.pop("text", "Hello")
    measured = await {"each": _each, "spaced": _spaced, "many": _many}[mode](peer, count, first, text, **options)
    if hasattr(peer, "stop"):
        await peer.stop()
    print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    name, mode, count, first, *rest = sys.argv[1:]
    asyncio.run(main(name, mode, int(count), int(first), **dict(each.split("=", 1) for each in rest)))
