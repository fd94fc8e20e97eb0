"""Who is measured: smsq, plain Celery with the same task body, the peers, and the bare HTTP call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from bench.processes import ROOT, Process, Stage

#: What every one of them may have in flight.
SLOTS: Final = 100
#: Processes of Celery's prefork pool: what two cores carry; a hundred would only fight for them.
PREFORK: Final = 8

_URLLIB3, _AIOHTTP, _UVLOOP = "urllib3==2.8.0", "aiohttp==3.14.5", "uvloop==0.23.0"
#: The C parser of replies, which smsq's worker has too.
_REDIS = "redis[hiredis]==8.1.0"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the job.

    Attributes:
        name: Its name on the command line and in results.
        label: Its name in tables.
        module: Its program, in `bench.peers`.
        packages: What is installed into its environment; none: it runs in the checkout's own.
        worker: The worker's command line, after the Python executable; ``{redis}`` stands for the broker's address.
        variables: Further variables of the worker's environment.
        environment: Its environment's name, shared by contenders with the same packages.
        queued: Whether there is a queue at all.
        bulk: Whether it has a way to enqueue many at once.
    """

    name: str
    label: str
    module: str
    worker: tuple[str, ...]
    packages: tuple[str, ...] = ()
    environment: str = ""
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    queued: bool = True
    bulk: bool = False

    def start(self, stage: Stage, python: str, *arguments: str, name: str = "worker", **settings: str) -> Process:
        """Starts a worker.

        Args:
            stage: Where.
            python: The executable of its environment.
            arguments: Further arguments of its command line.
            name: What the process is called.
            settings: Further variables of its environment.
        """
        command = [each.replace("{redis}", stage.broker.url) for each in self.worker]
        return stage.start(name, [python, *command, *arguments], **self.variables, **settings)


def _celery(pool: str, slots: int) -> tuple[str, ...]:
    quiet = ("--without-gossip", "--without-mingle", "-l", "WARNING")
    return ("-m", "celery", "-A", "bench.peers.celery", "worker", "-P", pool, "-c", str(slots), *quiet)


def _pins() -> tuple[str, ...]:
    """What the worker's image has installed, Flower with it, and the project itself."""
    lines = (ROOT / "requirements" / "worker.txt").read_text(encoding="utf-8").splitlines()
    return *(line for line in lines if line and not line.startswith("#")), str(ROOT)


_CELERY = ("celery[redis]==5.7.0", "hiredis==3.5.0", _URLLIB3)
_SAQ = ("saq==0.26.4", _REDIS, _AIOHTTP, _UVLOOP)
_ON_UVLOOP = "import uvloop; uvloop.install(); from saq.worker import start; start('bench.peers.saq.settings')"

SMSQ: Final = Contender(
    "smsq",
    "smsq",
    "smsq",
    ("-m", "celery", "-A", "worker", "worker", "-c", str(SLOTS)),  # no -l: default logging is part of the figure
    _pins(),
    "smsq",
    bulk=True,
)
BARE: Final = Contender("bare", "bare aiohttp call", "bare", ("-m", "bench.peers.bare", str(SLOTS)), queued=False)
SAQ_UVLOOP: Final = Contender("saq-uvloop", "SAQ on uvloop", "saq", ("-c", _ON_UVLOOP), _SAQ, "saq")

CONTENDERS: Final = (
    SMSQ,
    BARE,
    Contender("celery-threads", "Celery, threads", "celery", _celery("threads", SLOTS), _CELERY, "celery"),
    Contender("celery-prefork", f"Celery, prefork {PREFORK}", "celery", _celery("prefork", PREFORK), _CELERY, "celery"),
    Contender(
        "dramatiq",
        "dramatiq",
        "dramatiq",
        ("-m", "dramatiq", "bench.peers.dramatiq", "--processes", "1", "--threads", str(SLOTS)),
        ("dramatiq==2.2.1", _REDIS, _URLLIB3),
        "dramatiq",
    ),
    Contender(
        "huey",
        "huey",
        "huey",
        ("-m", "huey.bin.huey_consumer", "bench.peers.huey.huey", "-k", "thread", "-w", str(SLOTS), "-q"),
        ("huey==3.5.4", _REDIS, _URLLIB3),
        "huey",
    ),
    Contender(
        "rq",
        "RQ, one job at a time",
        "rq",
        ("-m", "rq.cli", "worker", "-w", "rq.worker.SimpleWorker", "--url", "{redis}/0", "-q", "bench"),
        ("rq==3.0.0", _REDIS, _URLLIB3),
        "rq",
    ),
    Contender(
        "arq",
        "arq",
        "arq",
        ("-m", "arq", "bench.peers.arq.WorkerSettings"),
        ("arq==0.28.0", "hiredis==3.5.0", _AIOHTTP),
        "arq",
    ),
    Contender(
        "taskiq",
        "taskiq",
        "taskiq",
        ("-m", "taskiq", "worker", "bench.peers.taskiq:broker", "--workers", "1", "--max-async-tasks", str(SLOTS)),
        ("taskiq==0.13.0", "taskiq-redis==1.2.4", _REDIS, _AIOHTTP),
        "taskiq",
    ),
    Contender(
        "streaq",
        "streaQ",
        "streaq",
        ("-m", "streaq", "run", "bench.peers.streaq:worker"),
        ("streaq==7.2.0", _AIOHTTP),
        "streaq",
    ),
    Contender("saq", "SAQ", "saq", ("-m", "saq", "bench.peers.saq.settings"), _SAQ, "saq"),
    SAQ_UVLOOP,
)
BY_NAME: Final = {each.name: each for each in CONTENDERS}
