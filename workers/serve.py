"""`lync-dr worker look|act`: one RQ worker process that hears exactly one bell.

RQ only rings and forks here. Facts about it come from the source of rq 3.0.0: a worker on one queue moves a job
over an intermediate list and loses none, one on several queues can (`Queue.dequeue_any`); a fork whose parent is
killed runs on; the heartbeat's time is fixed at a minute more than needed (`BaseWorker.get_heartbeat_ttl`); a
client without an explicit retry makes the parent end at the first lost connection.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as Late
from redis.retry import Retry
from rq import Queue, Worker
from rq.job import Job

from workers.guard import GuardedJob

Bell = Literal["look", "act"]
"""The two shared queues."""

_PR_SET_PDEATHSIG: Final = 1
WORKER_TTL_S: Final = 20
MONITOR_S: Final = 2
MAINTENANCE_S: Final = 5


class SafeWorker(Worker):
    """RQ's forking worker, whose horses die with it and which is called dead within seconds."""

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Runs in the fork: asks the kernel to end this process when the worker does, then works."""
        die_with_parent(self.pid)
        super().main_work_horse(job, queue)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Five monitoring rounds instead of RQ's extra minute."""
        return 5 * int(self.job_monitoring_interval)


def die_with_parent(parent: int | None) -> None:
    """Ends this process with its parent, also when the parent is killed (prctl(2), PR_SET_PDEATHSIG; Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have gone between the fork and the line above; then nobody will send the signal.
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def rq_client(url: str) -> redis.Redis:
    """The client for RQ's own book-keeping: patient, because a lost bell costs time and a dead worker costs more.

    Repeating its commands is harmless: rings are unique, and nothing in RQ's keys is evidence of anything.
    """
    return redis.Redis.from_url(
        url,
        retry=Retry(ExponentialBackoff(cap=2, base=0.1), 60),
        retry_on_error=[Disconnected, Late],
        socket_keepalive=True,
        health_check_interval=10,
    )


def worker_name(name: str) -> str:
    """A name that no other start has had: a reused one is refused until the old one's key has run out."""
    return f"{name}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def serve(bell: Bell, url: str, name: str, allowed: Mapping[str, Callable[..., object]], ready: Path | None) -> None:
    """Listens to `bell` until told to stop. `ready` is written once this worker hears it."""
    GuardedJob.allowed = dict(allowed)
    client = rq_client(url)
    queue = Queue(bell, connection=client, job_class=GuardedJob, serializer="json")
    worker = SafeWorker(
        [queue],
        name=worker_name(name),
        connection=client,
        job_class=GuardedJob,
        serializer="json",
        worker_ttl=WORKER_TTL_S,
        job_monitoring_interval=MONITOR_S,
        maintenance_interval=MAINTENANCE_S,
        log_job_description=False,
    )
    if ready is not None:
        _say_ready(ready)
    worker.work(with_scheduler=False, logging_level="WARNING")


def _say_ready(ready: Path) -> None:
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.write_text(f"{os.getpid()}\n", "utf-8")
