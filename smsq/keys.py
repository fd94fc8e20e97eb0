"""Every Redis key of the ledger, once. The scripts build the same names; a test compares the two.

======================== ===== =========================================================================================
key                      type  meaning
======================== ===== =========================================================================================
smsq:job:<id>            hash  the job's record (fields: `smsq.job`)
smsq:due                 zset  job id -> Redis time in ms at which someone must look at the job again
sms.<lane>               list  one byte a waiting job: what Flower and `LLEN` count
smsq:lane:<lane>         list  the ring: batches that have waiting jobs, next one first ('' = jobs without a batch)
smsq:lane:<lane>:<batch> list  the ids of a batch's waiting jobs
smsq:bell:<lane>         list  one entry at most: ids are waiting, wake up
smsq:passed              hash  lane -> ids of higher lanes that were taken past it while it waited: it is owed a part
smsq:batch:<batch>       hash  jobs by state, `first` and `last` time, `stopped` when it was cancelled as a whole, with
                               `stopped_jobs` waiting
smsq:key:<hash>          str   idempotency key -> "<job id> <content hash>"
smsq:message:<n>         hash  messageId = n*100 + field -> job id
smsq:campaign:<n>        hash  campaignId = n*100 + field -> job id
smsq:wake:<id>           list  one entry for each one who waits for the job's end
smsq:epoch               hash  the time in which this ledger certainly didn't go back: `number`, the `server`,
                               `started` (ms)
smsq:canary              str   a message that the gateway's lists must show: "<job id> <called, ms> <epoch>"
smsq:canary:next         str   the one that will be it: the same, and when it was settled (ms)
smsq:ended:<state>       zset  job id -> when it ended (ms), of those that are `failed` or `unknown`
smsq:follow              zset  job id -> Redis time in ms at which the gateway is asked what became of its message: a
                               moderator's decision, its delivery
smsq:twins:<hash>        set   unsettled jobs of one number and text; only without tokens in campaign names
smsq:pause               hash  lane or `all` -> "<ms> <reason>": operators hold it back
smsq:pause:past          list  the last pauses that are over: "<until, ms> <lane or all> <since, ms> <reason>"
smsq:gate:circuit        hash  the gateway fails, for all workers: `failures` in a row, and while it is closed `since`,
                               `reason`, `pause` (ms), `probe_at` (ms), `permit` (the probe's job id)
smsq:gate:well           str   when a call was answered last (ms), by a refusal too: one that began before and fails is
                               no sign that the gateway does
smsq:gate:worker:<name>  hash  the gateway refuses one worker's account; the same fields
smsq:pace                hash  the common pace: the `next` free moment (ms), `hold` (ms: nobody calls before), `factor`
                               of the interval until `factor_until` (ms), `reason`; `share:<name>` (ms): no question
                               of that share goes out before; `asker`, the worker whose round of questions
                               it is, until `asker_until` (ms)
smsq:workers             hash  worker's name -> "<its last heartbeat, ms> <what it says of itself, JSON>"
smsq:parked              hash  job id -> why nobody can do anything with its record
smsq:counters            hash  ids dropped from lanes, by reason; jobs that were repaired; messages of others
smsq:aside:<key>         any   what a foreign hand had made of a key of ours
======================== ===== =========================================================================================
"""

DUE = "smsq:due"
PARKED = "smsq:parked"
COUNTERS = "smsq:counters"
EPOCH = "smsq:epoch"
PASSED = "smsq:passed"
CANARY = "smsq:canary"
NEXT_CANARY = "smsq:canary:next"
PAUSE = "smsq:pause"
CIRCUIT = "smsq:gate:circuit"
WELL = "smsq:gate:well"
PACE = "smsq:pace"
WORKERS = "smsq:workers"
FOLLOW = "smsq:follow"


def job(job_id: str) -> str:
    """Returns the key of a job's record."""
    return f"smsq:job:{job_id}"


def ring(lane: str) -> str:
    """Returns the key of a lane's ring of batches."""
    return f"smsq:lane:{lane}"


def waiting(lane: str, batch: str) -> str:
    """Returns the key of the ids that wait in a lane for a batch ('' for jobs without one)."""
    return f"smsq:lane:{lane}:{batch}"


def bell(lane: str) -> str:
    """Returns the key of a lane's doorbell."""
    return f"smsq:bell:{lane}"


def batch(batch_id: str) -> str:
    """Returns the key of a batch's counts."""
    return f"smsq:batch:{batch_id}"


def idempotency(key_hash: str) -> str:
    """Returns the key that an idempotency key's hash is stored under."""
    return f"smsq:key:{key_hash}"


def wake(job_id: str) -> str:
    """Returns the key that those block on who wait for a job's end."""
    return f"smsq:wake:{job_id}"


def ended(state: str) -> str:
    """Returns the key of the jobs that failed, or are unknown."""
    return f"smsq:ended:{state}"


def worker_gate(worker: str) -> str:
    """Returns the key of the gate that one worker's account closes."""
    return f"smsq:gate:worker:{worker}"


def twins(content_hash: str) -> str:
    """Returns the key of the unsettled jobs of one number and text."""
    return f"smsq:twins:{content_hash}"
