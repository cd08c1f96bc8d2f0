"""Ringing for a worker: the only place that puts a job on a queue, and the only thing a job ever is.

RQ is a doorbell, never a truth. A ring carries an incident's name and nothing else; it may be lost (the
reconciler rings again), doubled (the journal decides) or forged (the worker believes only the journal). Hence:
no retry, no callbacks, no dependencies, no results kept, JSON instead of pickle, and a job id that makes the
same ring within five seconds one ring. RQ allows letters, digits, ``_`` and ``-`` in a job id.

Beside it, the short-lived answers to looks that belong to no incident (``plan``, ``status``), and what is sampled
while all is well, so that it is still known when a site is lost.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as Late
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError

from incident.journal import Unreachable
from incident.journals.redis import place, trouble

QueueName = Literal["look", "act"]
ADVANCE: Final = "workers.jobs.advance"
"""advance(incident): carry the incident on until it waits for a person or is done. Queue act."""
SURVEY: Final = "workers.jobs.survey"
"""survey(incident): look at the estate for this incident. Queue look."""
LOOK_NOW: Final = "workers.jobs.look_now"
"""look_now(key, question): look without an incident, and post the answer under the key. Queue look."""
SAMPLE: Final = "workers.jobs.sample"
"""sample(): ask every paired pool how its backup is, and keep what was good. Queue look."""
REPLICAS: Final = "workers.jobs.watch_replicas"
"""watch_replicas(incident): read whether the replicas of the CMS have caught up. Queue look."""
ALLOWED_JOBS: Final = frozenset({ADVANCE, SURVEY, LOOK_NOW, SAMPLE, REPLICAS})

RING_EVERY_S: Final = 5
"""Rings for the same incident at the same head within this time are one ring."""
JOB_LIMIT_S: Final = 6 * 3600
"""The longest `advance` may run before RQ ends it; steps have limits of their own, far shorter."""
FAILED_KEPT_S: Final = 60
ANSWER_KEPT_S: Final = 120
SAMPLES_KEPT_S: Final = 24 * 3600


class Doorbell(Protocol):
    """Rings for workers. Every method may raise `Unreachable`: then nothing rang, and the reconciler rings later."""

    def ring_act(self, incident: str, head: str) -> bool:
        """Asks a hand to carry this incident on. `head` is the head's hash. False: it rang already just now."""
        ...

    def ring_look(self, incident: str, head: str) -> bool:
        """Asks for a survey for this incident. False: it rang already just now."""
        ...

    def ring_look_now(self, key: str, question: Mapping[str, Any]) -> None:
        """Asks for a look that belongs to no incident; the answer comes to `wait_answer(key)`."""
        ...

    def ring_replicas(self, incident: str) -> bool:
        """Asks for a reading of the replicas of the CMS. False: an earlier ring still waits for a worker."""
        ...

    def ring_sample(self) -> bool:
        """Asks for a sample of every pair's backup. False: an earlier ring still waits for a worker."""
        ...

    def keep_samples(self, samples: Mapping[str, Any]) -> None:
        """Keeps what was sampled, for a day, in place of what was kept before."""
        ...

    def kept_samples(self) -> Mapping[str, Any]:
        """What was sampled last; empty where nothing is kept, or nothing readable."""
        ...

    def post_answer(self, key: str, answer: Mapping[str, Any]) -> None:
        """Leaves an answer for whoever waits under this key. It is kept two minutes and given once."""
        ...

    def wait_answer(self, key: str, limit_s: float) -> Mapping[str, Any] | None:
        """Waits for that answer; None when there was none in time."""
        ...


def job_id(incident: str, head: str, unix_s: float) -> str:
    """The id that makes repeated rings one: incident, head, and the time in steps of five seconds."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"{incident}-{head}-{int(unix_s) // RING_EVERY_S}")


def _object(text: str | bytes | None) -> Mapping[str, Any]:
    """A JSON object, or nothing: what lies in the store may have been written by anybody."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def connect_rq(url: str) -> redis.Redis:
    """A client for RQ. It waits out a restart of the server, as a ring may be repeated without harm.

    `Queue` and `Worker` want replies as bytes. Raises `Unreachable` for an address that is none.
    """
    only_tcp: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        return redis.Redis.from_url(
            url,
            retry=Retry(ExponentialBackoff(cap=2, base=0.1), 60),
            retry_on_error=[Disconnected, Late],
            socket_connect_timeout=2,
            health_check_interval=10,
            **only_tcp,
        )
    except (ValueError, TypeError):
        raise Unreachable("The address of Redis is not one. Expected redis://…, rediss://… or unix://…") from None


class RqDoorbell:
    """Rings through RQ. The client does not repeat by itself here: somebody in a channel waits for the answer."""

    def __init__(
        self,
        url: str,
        *,
        now_s: Callable[[], float] = time.time,
        prefix: str = "lync-dr:",
        queues: Mapping[QueueName, str] | None = None,
    ) -> None:
        self._where = place(url)
        self._prefix = prefix
        self._now_s = now_s
        names = queues or {"look": "look", "act": "act"}
        try:
            self._client = redis.Redis.from_url(
                url, retry=Retry(NoBackoff(), 1), socket_timeout=3, socket_connect_timeout=2
            )
        except (ValueError, TypeError):
            raise Unreachable("The address of Redis is not one. Expected redis://…, rediss://… or unix://…") from None
        self._queues = {
            queue: Queue(names[queue], connection=self._client, serializer="json") for queue in ("look", "act")
        }

    def ring_act(self, incident: str, head: str) -> bool:
        """See `Doorbell`."""
        return self._ring("act", ADVANCE, (incident,), job_id(incident, head, self._now_s()))

    def ring_look(self, incident: str, head: str) -> bool:
        """See `Doorbell`."""
        return self._ring("look", SURVEY, (incident,), job_id(f"look-{incident}", head, self._now_s()))

    def ring_look_now(self, key: str, question: Mapping[str, Any]) -> None:
        """See `Doorbell`."""
        self._ring("look", LOOK_NOW, (key, dict(question)), job_id("now", key, self._now_s()))

    def ring_replicas(self, incident: str) -> bool:
        """See `Doorbell`."""
        return self._ring("look", REPLICAS, (incident,), re.sub(r"[^A-Za-z0-9_-]", "-", f"replicas-{incident}"))

    def ring_sample(self) -> bool:
        """See `Doorbell`."""
        # One name for all: where no look worker runs, a night of rings must not lie in front of a survey.
        return self._ring("look", SAMPLE, (), "sample")

    def keep_samples(self, samples: Mapping[str, Any]) -> None:
        """See `Doorbell`."""
        try:
            self._client.set(f"{self._prefix}samples", json.dumps(samples), ex=SAMPLES_KEPT_S)
        except RedisError as bad:
            raise Unreachable(trouble(bad, self._where)) from None

    def kept_samples(self) -> Mapping[str, Any]:
        """See `Doorbell`."""
        try:
            found: Any = self._client.get(f"{self._prefix}samples")
        except RedisError as bad:
            raise Unreachable(trouble(bad, self._where)) from None
        return _object(found)

    def post_answer(self, key: str, answer: Mapping[str, Any]) -> None:
        """See `Doorbell`."""
        name = f"{self._prefix}answer:{key}"
        try:
            pipe = self._client.pipeline(transaction=True)
            pipe.delete(name)
            pipe.rpush(name, json.dumps(answer))
            pipe.expire(name, ANSWER_KEPT_S)
            pipe.execute()
        except RedisError as bad:
            raise Unreachable(trouble(bad, self._where)) from None

    def wait_answer(self, key: str, limit_s: float) -> Mapping[str, Any] | None:
        """See `Doorbell`. Waits a second at a time, so that a dead connection is noticed."""
        until = time.monotonic() + limit_s
        while (left := until - time.monotonic()) > 0:
            try:
                found: Any = self._client.blpop([f"{self._prefix}answer:{key}"], timeout=max(0.05, min(1.0, left)))
            except RedisError as bad:
                raise Unreachable(trouble(bad, self._where)) from None
            if found:
                answer = json.loads(found[1])
                return answer if isinstance(answer, dict) else None
        return None

    def _ring(self, queue: QueueName, job: str, args: tuple[Any, ...], ring: str) -> bool:
        try:
            self._queues[queue].enqueue_call(
                job,
                args=args,
                timeout=JOB_LIMIT_S,
                result_ttl=0,
                failure_ttl=FAILED_KEPT_S,
                job_id=ring,
                unique=True,
            )
        except DuplicateJobError:
            return False
        except RedisError as bad:
            raise Unreachable(f"No worker could be rung for. {trouble(bad, self._where)}") from None
        return True


class MemoryDoorbell:
    """Keeps the rings in a list, for tests and for rehearsal in one process."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._ids: set[str] = set()
        self._answers: dict[str, Mapping[str, Any]] = {}
        self._samples = ""
        self._changed = threading.Condition()
        self.rung: list[tuple[str, tuple[Any, ...]]] = []
        """(job, arguments) of every ring that was not the same as one before."""

    def ring_act(self, incident: str, head: str) -> bool:
        """See `Doorbell`."""
        return self._ring(ADVANCE, (incident,), job_id(incident, head, self._now_s()))

    def ring_look(self, incident: str, head: str) -> bool:
        """See `Doorbell`."""
        return self._ring(SURVEY, (incident,), job_id(f"look-{incident}", head, self._now_s()))

    def ring_look_now(self, key: str, question: Mapping[str, Any]) -> None:
        """See `Doorbell`."""
        self._ring(LOOK_NOW, (key, dict(question)), job_id("now", key, self._now_s()))

    def ring_replicas(self, incident: str) -> bool:
        """See `Doorbell`."""
        return self._ring(REPLICAS, (incident,), job_id("replicas", incident, self._now_s()))

    def ring_sample(self) -> bool:
        """See `Doorbell`."""
        return self._ring(SAMPLE, (), job_id("sample", "all", self._now_s()))

    def keep_samples(self, samples: Mapping[str, Any]) -> None:
        """See `Doorbell`."""
        self._samples = json.dumps(samples)

    def kept_samples(self) -> Mapping[str, Any]:
        """See `Doorbell`."""
        return _object(self._samples)

    def post_answer(self, key: str, answer: Mapping[str, Any]) -> None:
        """See `Doorbell`."""
        with self._changed:
            self._answers[key] = answer
            self._changed.notify_all()

    def wait_answer(self, key: str, limit_s: float) -> Mapping[str, Any] | None:
        """See `Doorbell`."""
        with self._changed:
            self._changed.wait_for(lambda: key in self._answers, timeout=limit_s)
            return self._answers.pop(key, None)

    def _ring(self, job: str, args: tuple[Any, ...], ring: str) -> bool:
        with self._changed:
            if ring in self._ids:
                return False
            self._ids.add(ring)
            self.rung.append((job, args))
            return True
