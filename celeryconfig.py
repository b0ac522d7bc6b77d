"""Celery's settings. Values only; what crosses the queue is named in sync_worker.contract.

Each odd value has its reason beside it; the measurements are the project's notes on Celery 5.7 (docs/operations.md).
"""

from __future__ import annotations

from kombu import Exchange, Queue

from sync_worker.contract import (
    ALERT_TASK,
    BROKER_KEY_PREFIX,
    DEAD_EXCHANGE,
    DEAD_QUEUE,
    EXCHANGE,
    OFFLINE_TASK,
    RABBITMQ_DEAD_QUEUE,
    RABBITMQ_QUEUE,
    RELEASE_TASK,
    REPLAY_TASK,
    REQUEUE_TASK,
    STOCK_TASK,
    SWEEP_TASK,
    UPKEEP_QUEUE,
    all_queues,
)
from sync_worker.settings import broker_url_from_environment, broker_visibility_seconds

broker_url = broker_url_from_environment()
_is_redis = broker_url.startswith(("redis", "rediss"))

# On Redis kombu imitates exchanges with a set of bindings, and a message is dropped without a word when that set is
# gone. A list by its queue's name is always there. On RabbitMQ native delays need a topic exchange.
_exchange = Exchange("", type="direct") if _is_redis else Exchange(EXCHANGE, type="topic", durable=True)
_arguments = {} if _is_redis else dict(RABBITMQ_QUEUE)
task_queues = [
    Queue(name, _exchange, routing_key=name, durable=True, queue_arguments=_arguments) for name in all_queues()
]
if not _is_redis:  # every worker takes from it, whatever its -Q (tasks/consumer.py)
    # A fanout, and a key of its own: Celery binds each queue's exchange, by the queue's key, to where its native delays
    # come out, so with "#" every delayed message would come here as well.
    _dead_exchange = Exchange(DEAD_EXCHANGE, type="fanout", durable=True)
    _dead_arguments = dict(RABBITMQ_DEAD_QUEUE)
    task_queues.append(
        Queue(DEAD_QUEUE, _dead_exchange, routing_key=DEAD_QUEUE, durable=True, queue_arguments=_dead_arguments)
    )
task_default_queue = UPKEEP_QUEUE
task_default_exchange = _exchange.name
task_default_exchange_type = _exchange.type
task_default_routing_key = UPKEEP_QUEUE
task_create_missing_queues = False  # a typo in a queue's name must fail and not vanish
task_default_queue_type = "classic" if _is_redis else "quorum"

task_serializer = result_serializer = event_serializer = "json"
accept_content = result_accept_content = ["json"]  # never pickle: whoever reaches the broker would run code

task_acks_late = True  # a killed worker loses nothing
task_reject_on_worker_lost = True
task_acks_on_failure_or_timeout = True  # failures are filed by us, then acknowledged
worker_prefetch_multiplier = 1
worker_pool = "threads"  # the work is waiting for two HTTP services; one process shares client and budget
worker_consumer = "sync_worker.tasks.consumer:CarefulConsumer"  # what no task can take becomes a dead letter
worker_concurrency = 32  # threads cost little, and calls that wait together leave together (benchmarks.contact_events)
worker_cancel_long_running_tasks_on_connection_loss = False  # threads cannot be cancelled; upserts may run twice
worker_hijack_root_logger = False  # our own structured logs
worker_send_task_events = True  # for Flower
task_send_sent_event = True
worker_soft_shutdown_timeout = 10.0  # with REMAP_SIGTERM=SIGQUIT: a bounded stop
worker_eta_task_limit = 1000  # bounds what is held in memory for delays

task_ignore_result = True  # outcomes belong in our own records
result_backend = None
enable_utc = True
timezone = "UTC"

broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # the default stops after 100
# A Redis that refuses to write (a full disk: MISCONF) would else end every worker. On RabbitMQ such an error is a queue
# that is refused: it does not pass (tasks/consumer.py).
broker_channel_error_retry = _is_redis
broker_transport_options = (
    {
        "global_keyprefix": BROKER_KEY_PREFIX,
        # A killed worker's messages come back after this. A living one renews what it holds (tasks/holding.py), so a
        # task or a countdown may take longer.
        "visibility_timeout": broker_visibility_seconds(),
        "unacked_restore_interval": 1,  # the default sweeps every 100 s
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 10,  # a worker that is killed amid a sweep would stop all sweeps for 300 s
        "socket_timeout": 30,  # the default waits for ever
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }
    if _is_redis
    else {"confirm_publish": True}  # how long that is waited for is said with each publish: contract.CONFIRM_SECONDS
)
broker_heartbeat = 0 if _is_redis else 10

beat_schedule = {
    "release-parked": {
        "task": RELEASE_TASK,
        # A record's doorbells are gathered for a second. An idle run costs one short script in Redis and one task,
        # some 3 ms of processor time.
        "schedule": 1.0,
        # an outage must not leave a pile of them; not below what the clocks of two machines may be apart
        "options": {"queue": UPKEEP_QUEUE, "expires": 5},
    },
    "requeue-lost": {
        "task": REQUEUE_TASK,
        "schedule": 15.0,
        "options": {"queue": UPKEEP_QUEUE, "expires": 15},
    },
    "advance-replays": {
        "task": REPLAY_TASK,
        "schedule": 1.0,  # a replay of many letters sends at most so many at once, and more when those have come back
        "options": {"queue": UPKEEP_QUEUE, "expires": 5},
    },
    "send-alerts": {
        "task": ALERT_TASK,
        "schedule": 30.0,
        "options": {"queue": UPKEEP_QUEUE, "expires": 30},
    },
    "take-stock": {
        "task": STOCK_TASK,
        "schedule": 10.0,
        "options": {"queue": UPKEEP_QUEUE, "expires": 10},
    },
    "reconcile": {
        "task": SWEEP_TASK,
        "schedule": 60.0,  # it looks whether reconcile.every_minutes are over: one question to Redis
        "options": {"queue": UPKEEP_QUEUE, "expires": 60},
    },
    "read-offline-queue": {
        "task": OFFLINE_TASK,
        # With a local application one request each time, a tenth of the standard plan's rate; without one nothing.
        "schedule": 5.0,
        "options": {"queue": UPKEEP_QUEUE, "expires": 5},
    },
}
