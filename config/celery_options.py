"""Celery's options, each with its why. What Celery may not do beside the ledger is refused in `worker.refusals`."""

from typing import Any
from urllib.parse import quote

from kombu import Exchange, Queue
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.settings import WorkerSettings
from smsq.address import Address
from smsq.lanes import LANES, TASK_NAME, queue_name

TRANSPORTS = {"redis": "worker.transport:Transport", "sentinel": "worker.transport:SentinelTransport"}
POOL = "worker.pool:TaskPool"
RESULT_BACKEND = "smsq.celery_backend:LedgerBackend"

#: Calls in flight for each worker. A call waits for the gateway nearly all its time, so a process holds many.
CONCURRENCY = 100
#: The window is larger than the slots: `begin` runs ahead of the calls and `settle` behind them; at 1.0 slots idle.
PREFETCH = 2.0
#: How the broker's connection asks a sentinel. By redis-py's own ways, one that is frozen would be asked for a minute
#: before the next one is (F51).
_SENTINEL: dict[str, Any] = {
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    "retry": Retry(NoBackoff(), 0),
    "client_name": "smsq-broker",
}


def options(settings: WorkerSettings) -> dict[str, Any]:
    """Returns Celery's configuration for these settings."""
    address = settings.address
    return {
        "broker_url": broker_url(address),
        "broker_transport": TRANSPORTS["sentinel" if address.scheme == "sentinel" else "redis"],
        "broker_transport_options": _transport_options(address),
        "broker_use_ssl": _tls(address),
        "result_backend": f"{RESULT_BACKEND}+{settings.redis_url}",
        "worker_pool": POOL,
        "worker_concurrency": CONCURRENCY,
        "worker_prefetch_multiplier": PREFETCH,
        "task_queues": [Queue(queue_name(lane), Exchange("sms"), routing_key=queue_name(lane)) for lane in LANES],
        # `-Q urgent` for `-Q sms.urgent` would be a worker that never sends anything.
        "task_create_missing_queues": False,
        "task_default_queue": queue_name("normal"),
        "task_default_exchange": "sms",
        "task_default_routing_key": queue_name("normal"),
        "imports": ["tasks.send"],
        # Exchanges of our own: another Celery application on the same Redis neither shows in our Flower nor obeys our
        # `control shutdown`.
        "control_exchange": "smsq",
        "event_exchange": "smsqev",
        # Acknowledged when the task has ended, so that the prefetch window counts what the pool holds. It has no part
        # in not losing jobs: that is the ledger's.
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        # A call that is out is never cut by a lost connection: its outcome would be unknown.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # The window must not shrink for what the pool still holds: acks of an old connection don't come back to it.
        "worker_enable_prefetch_count_reduction": False,
        # Redis may be away for as long as it likes: no number of tries after which a worker gives up for good.
        "broker_connection_max_retries": None,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        # An error reply of Redis (read-only, MISCONF, full memory) in a start-up step is worth another try, no exit.
        "broker_channel_error_retry": True,
        # Only JSON, in and out: nothing on the wire is unpickled.
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        # The ledger keeps a result as long as its job.
        "result_expires": None,
        # Nothing of the message is in a task's arguments, and nothing of the environment in its errors.
        "task_send_sent_event": False,
        "task_remote_tracebacks": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_proc_alive_timeout": 20,
        # The job's tries are the ledger's business; Celery has no schedule here.
        "task_annotations": {TASK_NAME: {"max_retries": None}},
        "enable_utc": True,
        "timezone": "UTC",
    }


def broker_url(address: Address) -> str:
    """Spells the address as kombu, Celery and Flower read it."""
    login = ""
    if address.username or address.password:
        login = f"{quote(address.username or '', safe='')}:{quote(address.password or '', safe='')}@"
    if address.scheme == "unix":
        return f"redis+socket://{login}{address.path}?virtual_host={address.db}"
    return ";".join(f"{address.scheme}://{login}{host}:{port}/{address.db}" for host, port in address.hosts)


def _transport_options(address: Address) -> dict[str, Any]:
    options: dict[str, Any] = {
        # What a frozen server may hold the worker's main thread for, each time. Stopping speaks to it some ten times,
        # and all of that must fit into a supervisor's grace (F28).
        "socket_timeout": 2.0,
        "socket_connect_timeout": 2.0,
        "socket_keepalive": True,
        # How often kombu looks for connections that no longer answer, and how long an answer may be overdue: together
        # what a half-open connection costs (F26).
        "health_check_interval": 3,
        "retry_on_timeout": False,
        "client_name": "smsq-broker",
        "fanout_prefix": True,
        "fanout_patterns": True,
    }
    if address.scheme == "sentinel":
        options |= {"master_name": address.master_name, "sentinel_kwargs": _SENTINEL | address.sentinel_auth}
    return options


def _tls(address: Address) -> dict[str, Any] | None:
    if not address.tls:
        return None
    return dict(address.tls)
