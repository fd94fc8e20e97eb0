"""Every Redis key of the ledger, once. The Lua prelude builds the same names; a test compares the two.

======================== ===== =========================================================================================
key                      type  meaning
======================== ===== =========================================================================================
smsq:job:<id>            hash  the job's record (fields: `smsq.job`)
smsq:due                 zset  job id -> Redis time in ms at which someone must look at the job again
sms.<lane>               list  one byte a waiting job: what Flower and `LLEN` count
smsq:lane:<lane>         list  the ring: batches that have waiting jobs, next one first ('' = jobs without a batch)
smsq:lane:<lane>:<batch> list  the ids of a batch's waiting jobs
smsq:bell:<lane>         list  one entry at most: ids are waiting, wake up
smsq:batch:<batch>       hash  jobs by state, `first` and `last` time, `stopped` when it was cancelled as a whole, with
                               `stopped_jobs` waiting
smsq:key:<hash>          str   idempotency key -> "<job id> <content hash>"
smsq:message:<n>         hash  messageId = n*100 + field -> job id
smsq:campaign:<n>        hash  campaignId = n*100 + field -> job id
smsq:wake:<id>           list  one entry for each one who waits for the job's end
smsq:parked              hash  job id -> why nobody can do anything with its record
smsq:counters            hash  ids dropped from lanes, by reason
======================== ===== =========================================================================================
"""

DUE = "smsq:due"
PARKED = "smsq:parked"
COUNTERS = "smsq:counters"


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
