"""What `smsq doctor` looks at: Redis, the gateway, clocks, workers, and what waits too long. One finding a check.

It changes nothing. What Redis and the gateway don't say within seconds is a finding too.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator

from smsq import ledger
from smsq.connection import SyncRunner
from smsq.errors import QueueUnavailable
from smsq.gateway.answers import Fault
from smsq.gateway_checks import ask_balance, check_account, check_clock, distance, skew
from smsq.lanes import LANES
from smsq.overview import Overview, Worker
from smsq.probe import LATE, Health
from smsq.queue import DEADLINE
from smsq.scripts import boot_time
from smsq.server_checks import Finding, check_server, read_server
from smsq.settings import Settings

#: Milliseconds for which a worker that isn't heard of any more is still told of.
_REMEMBERED: Final = 3_600_000
#: What a worker may live with, and a doctor not: jobs get lost, or none is accepted.
_MENDED_FIRST: Final = frozenset({"persistence", "replicas"})
#: Kazakhstan has had one offset since 2024-03-01: time-zone data that don't know it are older than that.
_ALMATY: Final = ("Asia/Almaty", datetime(2024, 6, 1, tzinfo=UTC), timedelta(hours=5))


class DoctorSettings(Settings):
    """What workers know and producers don't need to, as far as it is checked here."""

    api_url: AnyHttpUrl = Field(
        default=AnyHttpUrl("https://api.mobizon.kz"),
        validation_alias="MOBIZON_API_URL",
        description="The account's API server",
    )
    api_key: SecretStr = Field(
        default=SecretStr(""), validation_alias="MOBIZON_API_KEY", description="The account's API key"
    )
    allow_eviction: bool = Field(default=False, description="Whether Redis may evict keys when its memory is full")

    @field_validator("api_key")
    @classmethod
    def _without_white_space(cls, key: SecretStr) -> SecretStr:
        return SecretStr(key.get_secret_value().strip())


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found, in the order in which it is told, and whether Redis or the gateway couldn't be reached."""

    findings: list[Finding]
    unreachable: bool


def examine(settings: DoctorSettings) -> Examined:
    """Looks at everything.

    Args:
        settings: Where Redis and the gateway are.
    """
    findings: list[Finding] = []
    unreachable = False
    for look in (_redis, _ledger):
        try:
            findings += look(settings)
        except QueueUnavailable as error:
            findings.append(Finding("redis", "fail", f"{error}; look whether it runs, and at SMSQ_REDIS_URL"))
            unreachable = True
            break
    findings += _time_zones()
    answered, found = _gateway(settings)
    return Examined(findings + found, unreachable or not answered)


# -- Redis


def _redis(settings: DoctorSettings) -> list[Finding]:
    server = read_server(settings.address, DEADLINE)
    findings = check_server(server, durability=settings.durability, allow_eviction=settings.allow_eviction)
    strict = [
        replace(each, verdict="fail") if each.name in _MENDED_FIRST and each.verdict == "warn" else each
        for each in findings
    ]
    return [Finding("redis", "ok", f"{settings.address} answers"), *strict]


def _ledger(settings: DoctorSettings) -> list[Finding]:
    runner = SyncRunner(settings.address)
    try:
        sent, started = datetime.now(UTC).timestamp(), boot_time()
        health = Health.read(runner.run(ledger.health(LATE), DEADLINE))
        received = sent + boot_time() - started
        overview = Overview.read(runner.run(ledger.overview(), DEADLINE))
    finally:
        runner.close()
    theirs = health.now / 1000
    clock = skew("redis clock", "this machine's clock", "Redis's", distance(theirs, theirs, sent, received))
    return [clock, *check_workers(health), *check_jobs(health, overview)]


# -- workers and jobs


def check_workers(health: Health) -> list[Finding]:
    """Judges all workers together, and each that was heard of in the last hour.

    Args:
        health: What the ledger says of them.
    """
    live = [each for each in health.workers if each.live]
    known = [each for each in health.workers if each.heard < _REMEMBERED]
    return [_workers(health, live), *(_worker(health, each) for each in known)]


def _workers(health: Health, live: list[Worker]) -> Finding:
    if not live:
        return Finding("workers", "fail", "none is alive, so nothing is sent: start one (celery -A worker worker)")
    well = [each for each in live if health.complaint(each) is None]
    if not well:
        return Finding("workers", "fail", f"{len(live)} alive, and none consumes: restart them")
    if all(each.gate for each in well):
        reasons = "; ".join(dict.fromkeys(each.gate.reason for each in well if each.gate))
        keyless = all(each.gate.keyless for each in well if each.gate)
        what = (
            "no live worker can read what waits" if keyless else "the gateway refuses the account of every live worker"
        )
        return Finding("workers", "fail", f"{what}: {reasons}")
    return Finding("workers", "ok", f"{len(live)} alive, {len(well)} of them consuming")


def _worker(health: Health, worker: Worker) -> Finding:
    complaint = health.complaint(worker)
    if worker.leaving:
        return Finding("worker", "warn", f"{worker.name}: {complaint}; {worker.in_use} calls")
    if not worker.live:
        return Finding("worker", "warn", f"{worker.name}: {complaint}; unless it was stopped, start it again")
    if complaint:
        return Finding("worker", "fail", f"{worker.name}: {complaint}; look at its log, and restart it")
    if worker.gate:
        what = "it lacks a key" if worker.gate.keyless else "the gateway refuses its account"
        return Finding("worker", "warn", f"{worker.name}: {what}, so its jobs wait: {worker.gate.reason}")
    return Finding("worker", "ok", f"{worker.name}: {worker.in_use} of {worker.said.get('slots', '?')} calls")


def check_jobs(health: Health, overview: Overview) -> list[Finding]:
    """Judges what holds jobs back, whether each lane is read, what is late and what was put aside.

    Args:
        health: What the ledger says of its workers.
        overview: What it says of jobs.
    """
    findings = []
    if overview.circuit:
        findings.append(Finding("circuit", "fail", f"only probes go out, the gateway fails: {overview.circuit.reason}"))
    findings += [
        Finding("pause", "warn", f"{each.lane}: operators hold it back: {each.reason}; smsq resume ends it")
        for each in overview.pauses.values()
    ]
    return [*findings, _lanes(health, overview), _due(health), _parked(overview)]


def _lanes(health: Health, overview: Overview) -> Finding:
    read = {lane for each in health.workers if each.live for lane in each.said.get("lanes", [])}
    unread = [lane for lane in LANES if lane not in read]
    if not unread:
        return Finding("lanes", "ok", "each is read by a live worker")
    text = f"no live worker reads {', '.join(unread)}"
    waiting = sum(overview.lanes[lane].jobs for lane in unread)
    if waiting:
        return Finding("lanes", "fail", f"{text}, where {waiting} jobs wait: start one for it (-Q)")
    return Finding("lanes", "warn", f"{text}: jobs on it would wait")


def _due(health: Health) -> Finding:
    if not health.late:
        return Finding("due", "ok", f"no job's moment has passed for more than {LATE // 1000} s")
    text = f"{health.late} jobs are late, the first by {health.latest // 1000} s: no worker looks at what is due"
    return Finding("due", "fail", f"{text}; start one, or look at their logs for dispatcher.unavailable")


def _parked(overview: Overview) -> Finding:
    if not overview.parked:
        return Finding("parked", "ok", "nothing was put aside")
    return Finding("parked", "warn", f"{overview.parked} put aside that can't be used: see smsq parked")


# -- this machine, the gateway


def _time_zones() -> list[Finding]:
    name, moment, offset = _ALMATY
    try:
        found = moment.astimezone(ZoneInfo(name)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return [Finding("time zones", "fail", f"{name} isn't known here: install tzdata")]
    if found != offset:
        text = f"{name} isn't UTC+5 here, as it is since 2024-03-01: times would be an hour off; update tzdata"
        return [Finding("time zones", "fail", text)]
    return [Finding("time zones", "ok", "the data know that Kazakhstan is at UTC+5 since 2024-03-01")]


def _gateway(settings: DoctorSettings) -> tuple[bool, list[Finding]]:
    """Asks the gateway; says whether it could be reached, or needn't be, and what was found."""
    if not settings.api_key.get_secret_value():
        text = "MOBIZON_API_KEY isn't set here, so the account can't be checked: run doctor where the workers run"
        return True, [Finding("gateway", "fail", text)]
    answer = ask_balance(settings.api_url, settings.api_key)
    if isinstance(answer, Fault):
        text = f"{answer} (MOBIZON_API_URL is at {settings.api_url.host}): look at the network and the URL"
        return False, [Finding("gateway", "fail", text)]
    return True, [check_account(answer, settings.api_key), check_clock(answer)]
