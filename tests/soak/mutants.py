"""Mechanisms that a soak's workers and producers can be run without, to see that the soak would notice.

Each is taken out by replacing lines of a Lua script, or a method; and comes with the faults and pools under which it
matters, so that a short run shows the harm.
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final
from unittest.mock import patch

from smsq import scripts


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a Lua file, and what stands in their place."""

    file: str
    old: str
    new: str

    def replace(self, text: str) -> str:
        """Returns the file's text without the mechanism.

        Raises:
            ValueError: The lines aren't there, once: the mutant must follow the script.
        """
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}.lua: the lines to replace must be there once: {self.old!r}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mechanism that is taken out.

    Attributes:
        what: What is missing.
        lines: In the scripts.
        change: In Python, run in each process before anything else.
        faults: Kinds of faults that the mechanism is there for.
        pools: The workers' pools, as Celery's options; empty for the soak's own.
        settings: Of the workers, in which it matters.
        latency: Seconds that each answer of the gateway takes: so long are calls out.
    """

    what: str
    lines: tuple[Lines, ...] = ()
    change: Callable[[], None] | None = None
    faults: tuple[str, ...] = ()
    pools: tuple[tuple[str, ...], ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    latency: float = 0.0

    def apply(self) -> None:
        """Takes the mechanism out of this process, before it loads a script."""
        if self.lines:
            _use_scripts(self.lines)
        if self.change:
            self.change()


def _use_scripts(lines: tuple[Lines, ...]) -> None:
    """Has `smsq.scripts` read its Lua files from a folder of ours."""
    package = Path(tempfile.mkdtemp(prefix="smsq-mutant-"))
    shutil.copytree(str(files("smsq") / "lua"), package / "lua")
    for each in lines:
        file = package / "lua" / f"{each.file}.lua"
        file.write_text(each.replace(file.read_text(encoding="utf-8")), encoding="utf-8")

    patch.object(scripts, "files", lambda _: package).start()
    scripts.script.cache_clear()


def _no_lease() -> None:
    from tasks.hold import Hold

    patch.object(Hold, "start_by", lambda _: math.inf).start()


def _no_look_for_the_canary() -> None:
    from smsq.gateway.questions import _Round

    patch.object(_Round, "_shows_canary", lambda *_: True).start()


#: With half a second a call, jobs wait on their lanes when a copy of the ledger is made, and are called after that.
_BACKLOG: Final = (("-c", "2"),) * 3

MUTANTS: Final[Mapping[str, Mutant]] = {
    "fencing": Mutant(
        "begin doesn't look whether another worker has the job (rules 6, 7)",
        lines=(
            Lines(
                "begin",
                "elseif job.state ~= 'queued' or job.token == nonce then",
                "elseif job.asking then",
            ),
        ),
        # Pools whose jobs wait in the worker before they are begun, for longer than they are reserved.
        faults=("freeze_worker",),
        latency=2.0,
        pools=(("-P", "threads", "-c", "8"), ("-P", "prefork", "-c", "4"), ("-P", "threads", "-c", "8")),
    ),
    "lease": Mutant(
        "nobody looks in the last moment whether the lease still runs (rule 8)",
        change=_no_lease,
        # Jobs that are begun and wait for a slot while their worker is frozen.
        faults=("freeze_worker", "slow_answers"),
        pools=(("-c", "2"), ("-c", "2"), ("-c", "2")),
    ),
    "untake_state": Mutant(
        "a stopping worker hands back what it has begun (rule 4)",
        lines=(
            Lines(
                "untake",
                "if job and job.state == 'queued' and in_due('ZSCORE', job.id) then\n",
                "if job and not FINAL[job.state] then\n    set_state(job, 'queued', NOW)\n",
            ),
        ),
        # Calls that last longer than the shutdown waits for them.
        faults=("rolling_restart",),
        settings={"SMSQ_SHUTDOWN_GRACE": "1"},
        latency=2.5,
    ),
    "asking": Mutant(
        "a job whose worker died is called again, and the gateway isn't asked",
        lines=(
            Lines(
                "take_due",
                "  start_asking(job, now, due - lease, due, 'queued', LOST)\n",
                "  set_state(job, 'queued', now)\n  to_lane(job.lane, job.batch, {job.id}, true)\n",
            ),
        ),
        faults=("kill_worker", "kill_child", "slow_answers"),
    ),
    "canary": Mutant(
        "absence is believed although the list isn't seen to be current (rule 14)",
        lines=(
            Lines(
                "take_due",
                "local proof = canary_called and canary_called >= last + bound",
                "local proof = canary_called",
            ),
        ),
        change=_no_look_for_the_canary,
        faults=("stale_list", "lose_answers"),
    ),
    "epoch": Mutant(
        "nobody looks whether Redis went back in time (rules 17, 18)",
        lines=(
            Lines(
                "_epoch",
                "if found[2] == server and number >= known then",
                "if found[2] then",
            ),
        ),
        faults=("restore_copy", "promote_replica"),
        pools=_BACKLOG,
        latency=0.5,
    ),
    "settling": Mutant(
        "the first absence is believed, while the call can still act (rule 13)",
        lines=(
            Lines("take_due", "local over = now >= last + settling", "local over = true"),
            Lines("take_due", "local proof = canary_called and canary_called >= last + bound", "local proof = true"),
            Lines("answer", "  if ask.absent and now - ask.absent >= apart then return", "  do return"),
        ),
        change=_no_look_for_the_canary,
        faults=("late_acceptance", "slow_answers"),
    ),
    "doubt": Mutant(
        "what Redis may have forgotten is called without asking (rule 18)",
        lines=(Lines("begin", "    if job.doubt then", "    if false then"),),
        faults=("restore_copy", "promote_replica"),
        pools=_BACKLOG,
        latency=0.5,
    ),
    "keys": Mutant(
        "a key that comes again after Redis forgot it makes a new job, with no doubt about it (rule 21)",
        lines=(
            Lines(
                "enqueue",
                "now - math.max(tonumber(tried) or 0, TRIED) < EPOCH.started",
                "false",
            ),
        ),
        faults=("restore_copy", "promote_replica"),
    ),
    "holder": Mutant(
        "what anyone says of a call is believed, not only its holder (rule 11)",
        lines=(
            Lines(
                "settle",
                "  if job.token ~= s.token or s.epoch ~= EPOCH.number then return 'stale' end\n",
                "",
            ),
        ),
        # A frozen worker's jobs are called by others when it wakes and hands them back.
        faults=("freeze_worker",),
        pools=(("-c", "6"),) * 3,
        latency=2.5,
    ),
}
