"""A worker with one mechanism taken out, to prove that the soak would notice: ``python -m tests.soak.mutant NAME …``.

What follows NAME is Celery's command line. A mutant whose place in the code has changed fails at its start: one that
changed nothing would prove nothing.
"""

import hashlib
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from smsq import scripts
from smsq.scripts import Script


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the scripts' text.

    Attributes:
        scripts: The scripts it is made in, by name; none for all, as in what they share.
        old: What is there, exactly once.
        new: What takes its place.
    """

    scripts: frozenset[str]
    old: str
    new: str

    def apply(self, script: Script) -> Script:
        """Returns the changed script."""
        if self.scripts and script.name not in self.scripts:
            return script
        if script.text.count(self.old) != 1:
            raise SystemExit(f"the mutant no longer fits: {script.name}.lua has not exactly one {self.old!r}")
        text = script.text.replace(self.old, self.new)
        return replace(script, text=text, sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _edit_scripts(*edits: Edit) -> None:
    """Has the ledger load changed scripts. It must not have been imported with the true ones in a module's hands."""
    load = scripts.script

    def changed(name: str) -> Script:
        script = load(name)
        for edit in edits:
            script = edit.apply(script)
        return script

    from smsq.ledger import asking, holding, producing

    for module in (asking, holding, producing):
        module.script = changed  # type: ignore[attr-defined]


def _without_fencing() -> None:
    """`begin` begins what another one has begun, and `settle` believes any token."""
    _edit_scripts(
        Edit(
            frozenset({"begin"}),
            "elseif job.state ~= 'queued' or job.token == nonce then",
            "elseif job.state ~= 'queued' and job.state ~= 'sending' then",
        ),
        Edit(frozenset({"settle"}), "if job.token ~= s.token or s.epoch ~= EPOCH.number then return 'stale' end", ""),
    )


def _without_lease() -> None:
    """A call starts however long ago the lease was over (and in whatever epoch)."""
    from tasks.hold import Hold

    Hold.start_by = lambda self: math.inf  # type: ignore[method-assign]


def _without_state_at_hand_back() -> None:
    """A stopping worker hands back whatever it had taken, whoever has begun or ended it meanwhile."""
    _edit_scripts(
        Edit(
            frozenset({"untake"}),
            "if job and job.state == 'queued' and redis.call('ZSCORE', DUE, job.id) then",
            "if job then set_state(job, 'queued', NOW)",
        )
    )


def _without_asking() -> None:
    """What is not settled is called again, unasked."""
    _edit_scripts(
        Edit(
            frozenset(),
            "local function start_asking(job, now, first, last, becomes, why)",
            """local function start_asking(job, now, first, last, becomes, why)
  if becomes == 'queued' then
    redis.call('HDEL', job_key(job.id), 'ask')
    redis.call('HSET', job_key(job.id), 'epoch', EPOCH.number)
    job.ask, job.doubt = nil, false
    set_state(job, 'queued', now)
    return to_lane(job.lane, job.batch, {job.id}, true)
  end""",
        )
    )


MUTANTS: Final[Mapping[str, Callable[[], None]]] = {
    "fencing": _without_fencing,
    "lease": _without_lease,
    "untake_state": _without_state_at_hand_back,
    "asking": _without_asking,
}


def main() -> None:
    """Takes the mechanism out and runs Celery's command line."""
    name = sys.argv.pop(1)
    MUTANTS[name]()
    from celery.__main__ import main as celery

    celery()


if __name__ == "__main__":
    main()
