"""Everything the ledger has stored, read in one step; what must hold of it at any moment; and a clock to turn."""

import json
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smsq import keys
from smsq.job import Job, read_job
from smsq.lanes import LANES, Lane, queue_name
from smsq.states import FINAL, State

if TYPE_CHECKING:
    import redis

#: The documented form of a job's id.
JOB_ID = re.compile(r"[a-z2-7]{20}")

_READ = """#!lua flags=no-writes
local t = redis.call('TIME')
local found = {t[1] * 1000 + math.floor(t[2] / 1000)}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local content
  if kind == 'hash' then content = redis.call('HGETALL', key)
  elseif kind == 'list' then content = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'zset' then content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'set' then content = redis.call('SMEMBERS', key)
  else content = redis.call('GET', key) end
  found[#found + 1] = {key, kind, redis.call('PTTL', key), content}
end
return found
"""

_ADVANCE = (Path(__file__).parent / "advance.lua").read_text(encoding="utf-8")


def advance(client: "redis.Redis", milliseconds: int) -> None:
    """Lets time pass for the ledger: every moment and every TTL it has stored comes nearer, or lies further back."""
    client.eval(_ADVANCE, 0, milliseconds)


@dataclass(frozen=True)
class Snapshot:
    """All keys of the ledger at one moment.

    Attributes:
        now: Redis's time, ms.
        jobs: Every record, by job id.
        due: When each job is due, ms; in the order of the set.
        follow: When each message is asked about, ms.
        lists: Every list, by key.
        batches: Every batch's record.
        idempotency: Idempotency keys' hashes and whose they are.
        ended: The jobs that are listed as failed and as unknown.
        paused: What operators hold back.
        epoch: The ledger's epoch, 0 for none.
        canary: The canary's job, '' for none, and when it was called, ms.
        next_canary: The same of the one that will be it.
        ttl: Each key's TTL in ms, -1 for none.
        kinds: Each key's type.
    """

    now: int
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    follow: dict[str, int] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    batches: dict[str, dict[str, int]] = field(default_factory=dict)
    idempotency: dict[str, str] = field(default_factory=dict)
    ended: dict[str, set[str]] = field(default_factory=lambda: {"failed": set(), "unknown": set()})
    paused: set[str] = field(default_factory=set)
    epoch: int = 0
    canary: tuple[str, int] = ("", 0)
    next_canary: tuple[str, int] = ("", 0)
    ttl: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, client: "redis.Redis") -> "Snapshot":
        """Reads everything in one step."""
        # A piece of a message may end in the middle of a character: the client must not decode it.
        answer = client.execute_command("EVAL", _READ, 0, NEVER_DECODE=True)  # type: ignore[no-untyped-call]
        entries = _text(answer[1:])
        named: dict[str, Any] = {key: content for key, _, _, content in entries}
        epoch = dict(zip(named.get(keys.EPOCH, [])[::2], named.get(keys.EPOCH, [])[1::2], strict=True))
        paused = set(named.get(keys.PAUSE, [])[::2])
        taken = cls(
            int(answer[0]),
            paused=paused,
            epoch=int(epoch.get("number", 0)),
            canary=_canary(named.get(keys.CANARY, "")),
            next_canary=_canary(named.get(keys.NEXT_CANARY, "")),
        )
        for key, kind, ttl, content in entries:
            taken.ttl[key], taken.kinds[key] = ttl, kind
            name = key.split(":", 2)[-1]
            if kind == "list":
                taken.lists[key] = content
            elif key == keys.DUE and kind == "zset":
                taken.due.update(zip(content[::2], map(int, content[1::2]), strict=True))
            elif key == keys.FOLLOW and kind == "zset":
                taken.follow.update(zip(content[::2], map(int, content[1::2]), strict=True))
            elif key == keys.ended(name) and kind == "zset":
                taken.ended[name] = set(content[::2])
            elif key == keys.job(name) and kind == "hash":
                taken.jobs[name] = dict(zip(content[::2], content[1::2], strict=True))
            elif key == keys.batch(name) and kind == "hash":
                taken.batches[name] = dict(zip(content[::2], map(int, content[1::2]), strict=True))
            elif key == keys.idempotency(name) and kind == "string":
                taken.idempotency[name] = content
        return taken

    def job(self, job_id: str, *, doubted: bool = False) -> Job:
        """Returns a job as a lookup shows it.

        Args:
            job_id: Which.
            doubted: Whether the next script will meet another server, and doubt everything.
        """
        record = self.jobs[job_id]
        doubt = doubted or record.get("epoch") != str(self.epoch)
        stopped = self.batches.get(record.get("batch", ""), {}).get("stopped", 0)
        fields = [each.encode(errors="surrogateescape") for item in record.items() for each in item]
        return read_job(job_id, self.now, stopped=stopped, doubt=doubt, fields=fields)

    def waiting(self, lane: Lane) -> dict[str, list[str]]:
        """Returns the ids that wait on a lane, by batch."""
        prefix = keys.waiting(lane, "")
        return {key.removeprefix(prefix): ids for key, ids in self.lists.items() if key.startswith(prefix)}

    def ring(self, lane: Lane) -> list[str]:
        """Returns the batches whose turn it is, in order."""
        return self.lists.get(keys.ring(lane), [])

    def on_its_lane(self, job_id: str) -> int:
        """Returns how often a job's id is on its own lane's list."""
        record = self.jobs[job_id]
        own = keys.waiting(record["lane"], record.get("batch", ""))
        return self.lists.get(own, []).count(job_id)


def ask_of(record: dict[str, str]) -> dict[str, Any]:
    """Returns what a record says of calls that aren't settled; empty if there are none."""
    return dict(json.loads(record.get("ask", "{}")))


def _canary(stored: str) -> tuple[str, int]:
    job_id, called, *_ = [*stored.split(" "), "0"]
    return job_id, int(called)


def _text(answer: Any) -> Any:  # noqa: ANN401 - a Redis reply
    if isinstance(answer, list):
        return [_text(each) for each in answer]
    return answer.decode(errors="surrogateescape") if isinstance(answer, bytes) else answer


def problems(taken: Snapshot, *, strays: Collection[str] = (), touched: Collection[Lane] = ()) -> list[str]:
    """Returns what is wrong with the ledger: rule 1, F13, rule 21's TTLs, and what lanes and batches consist of.

    Args:
        taken: The ledger.
        strays: Ids that a foreign hand has pushed somewhere: they may be on lists more often than they should.
        touched: Lanes whose lists a foreign hand has changed: there the display may be wrong.
    """
    return [
        *_job_problems(taken, strays),
        *(f"due holds {job_id!r}, which isn't a job's id" for job_id in taken.due if not JOB_ID.fullmatch(job_id)),
        *(f"due holds {job_id} without a record" for job_id in taken.due if job_id not in taken.jobs),
        *(problem for lane in LANES for problem in _lane_problems(taken, lane, lane in touched)),
        *_batch_problems(taken),
        *_asking_problems(taken),
        *_ended_problems(taken),
        *_follow_problems(taken),
    ]


def _job_problems(taken: Snapshot, strays: Collection[str]) -> list[str]:
    found: list[str] = []
    for job_id, record in taken.jobs.items():
        on_lane, in_due = taken.on_its_lane(job_id), job_id in taken.due
        final = record["state"] in FINAL
        if final:
            sound = not in_due and (on_lane <= 1 or job_id in strays)
        elif job_id in strays:
            sound = in_due or on_lane > 0
        elif ask_of(record).get("becomes", "queued") != "queued":  # cancelled on its lane, and asked about first
            sound = in_due and on_lane <= 1
        else:
            sound = in_due + on_lane == 1
        if not sound:
            found.append(f"{job_id} ({record['state']}) is {on_lane} times on its lane and {int(in_due)} times in due")
        if on_lane and not in_due and not final and record["state"] != State.QUEUED:
            found.append(f"{job_id} is on a lane, but {record['state']}")
        found += [
            f"{key} of a job in state {record['state']} has the TTL {taken.ttl.get(key)}"
            for key in [keys.job(job_id)] + ([keys.idempotency(record["key"])] if "key" in record else [])
            if (taken.ttl.get(key, -2) >= 0) != final
        ]
    return found


def _lane_problems(taken: Snapshot, lane: Lane, touched: bool) -> list[str]:
    found: list[str] = []
    waiting, ring = taken.waiting(lane), Counter(taken.ring(lane))
    bells = len(taken.lists.get(keys.bell(lane), []))
    real = {batch for batch, ids in waiting.items() if any(_waits(taken, each, lane, batch) for each in ids)}
    if not touched and (set(ring) != set(waiting) or any(number != 1 for number in ring.values())):
        found.append(f"the ring of {lane} is {dict(ring)}, and ids wait for {sorted(waiting)}")
    if not real <= set(ring):
        found.append(f"the ring of {lane} lacks {sorted(real - set(ring))}, which has waiting jobs")
    held_back = taken.paused & {"all", lane}  # who resumes it rings
    if bells > 1 or (real and not bells and not held_back):
        found.append(f"the bell of {lane} has {bells} entries, and jobs wait for {sorted(real)}")
    turns, ids = len(taken.lists.get(queue_name(lane), [])), sum(map(len, waiting.values()))
    if not touched and turns != ids:
        found.append(f"{queue_name(lane)} shows {turns}, and {ids} wait")
    return found


def _waits(taken: Snapshot, job_id: str, lane: Lane, batch: str) -> bool:
    record = taken.jobs.get(job_id, {})
    own = (record.get("lane"), record.get("batch", "")) == (lane, batch)
    return own and record["state"] == State.QUEUED and job_id not in taken.due


def _batch_problems(taken: Snapshot) -> list[str]:
    found: list[str] = []
    for batch, record in taken.batches.items():
        states = Counter(each["state"] for each in taken.jobs.values() if each.get("batch") == batch)
        for state in State:
            counted = record.get(state, 0)
            # Final jobs that are older than the retention are counted, but gone.
            if counted < states[state] or (state not in FINAL and counted != states[state]):
                found.append(f"the batch {batch} counts {counted} {state}, and there are {states[state]}")
    return found


def _asking_problems(taken: Snapshot) -> list[str]:
    """Calls that aren't settled belong to jobs that haven't ended, and questions to those that are being sent."""
    found: list[str] = []
    for job_id, record in taken.jobs.items():
        ask = ask_of(record)
        if ask and record["state"] in FINAL:
            found.append(f"{job_id} has ended as {record['state']}, and has calls that aren't settled")
        if ask and not ask["first"] <= ask["last"]:
            found.append(f"{job_id}'s unsettled calls end before they begin")
    return found


def _ended_problems(taken: Snapshot) -> list[str]:
    """Who failed, or is unknown, is listed for people; an entry outlives its record until the next one is added."""
    found: list[str] = []
    for state, listed in taken.ended.items():
        there = {job_id for job_id, record in taken.jobs.items() if record["state"] == state}
        if there != listed & set(taken.jobs):
            found.append(f"{sorted(there)} are {state}, and {sorted(listed)} are listed")
    return found


def _follow_problems(taken: Snapshot) -> list[str]:
    """What was sent is followed if its record says so; an entry may outlive its record."""
    says = {job_id for job_id, record in taken.jobs.items() if "follow" in record}
    found = [f"{job_id} is followed as {taken.jobs[job_id]['state']}" for job_id in says
             if taken.jobs[job_id]["state"] != State.SENT]  # fmt: skip
    if says != (listed := set(taken.follow) & set(taken.jobs)):
        found.append(f"{sorted(says)} say that they are followed, and {sorted(listed)} are listed")
    return found
