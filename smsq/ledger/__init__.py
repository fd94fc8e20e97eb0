"""The job ledger: one function a script, same name. Each returns the call; a runner of threads or of asyncio runs it.

The scripts are the protocol (`smsq/lua`, each with its contract on top); here their arguments get names and types, and
their answers too. Nothing else reads or writes the ledger's keys.

- `producing`: accepting jobs, looking them up, cancelling them;
- `holding`: what a worker does with a job of its lanes, from take to settle;
- `asking`: what is due, and the questions to the gateway;
- `operating`: what operators see and do.
"""

from smsq.ledger.asking import Look, Looked, Policy, Question, Swept, Told, answer, hear, sweep, take_due
from smsq.ledger.holding import (
    BEGIN_WORDS,
    SETTLE_WORDS,
    BeginWord,
    Begun,
    Heard,
    Purged,
    Settlement,
    SettleWord,
    Taken,
    TakenJob,
    begin,
    purge,
    renew,
    reserve,
    settle,
    take,
    untake,
)
from smsq.ledger.producing import (
    CANCEL_WORDS,
    Accepted,
    CancelWord,
    Conflict,
    NewJob,
    NotKnown,
    Options,
    batch,
    cancel,
    cancel_batch,
    enqueue,
    lookup,
    watch,
)

__all__ = [
    "BEGIN_WORDS",
    "CANCEL_WORDS",
    "SETTLE_WORDS",
    "Accepted",
    "BeginWord",
    "Begun",
    "CancelWord",
    "Conflict",
    "Heard",
    "Look",
    "Looked",
    "NewJob",
    "NotKnown",
    "Options",
    "Policy",
    "Purged",
    "Question",
    "SettleWord",
    "Settlement",
    "Swept",
    "Taken",
    "TakenJob",
    "Told",
    "answer",
    "batch",
    "begin",
    "cancel",
    "cancel_batch",
    "enqueue",
    "hear",
    "lookup",
    "purge",
    "renew",
    "reserve",
    "settle",
    "sweep",
    "take",
    "take_due",
    "untake",
    "watch",
]
