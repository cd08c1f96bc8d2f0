"""Rings: one within five seconds, nothing kept, nothing decided; and answers that are given once."""

from __future__ import annotations

import json
import threading
import zlib
from typing import Any

import pytest
import redis
from rq import Queue

from incident.doorbell import ADVANCE, LOOK_NOW, SURVEY, Doorbell, MemoryDoorbell, RqDoorbell, connect_rq, job_id
from incident.journal import Unreachable

A, HEAD = "20261122-fe1-a", "7c" * 32


@pytest.fixture(params=["memory", "rq"])
def bell(request: pytest.FixtureRequest) -> Doorbell:
    if request.param == "memory":
        return MemoryDoorbell(now_s=lambda: 1000.0)
    return RqDoorbell(request.getfixturevalue("store"), now_s=lambda: 1000.0)


def test_the_same_ring_within_five_seconds_is_one(bell: Doorbell) -> None:
    assert bell.ring_act(A, HEAD)
    assert not bell.ring_act(A, HEAD)
    assert bell.ring_act(A, "8a" * 32)
    assert bell.ring_look(A, HEAD)
    assert not bell.ring_look(A, HEAD)


def test_an_answer_is_given_once_to_who_waits(bell: Doorbell) -> None:
    assert bell.wait_answer("k1", 0.1) is None
    threading.Thread(target=bell.post_answer, args=("k1", {"plan": [1, "–"]})).start()
    assert bell.wait_answer("k1", 10) == {"plan": [1, "–"]}
    assert bell.wait_answer("k1", 0.1) is None


def test_samples_are_kept_until_others_take_their_place(bell: Doorbell) -> None:
    bell.keep_samples({})
    assert bell.kept_samples() == {}
    bell.keep_samples({"samples": {"fe1": None}})
    assert bell.kept_samples() == bell.kept_samples() == {"samples": {"fe1": None}}
    assert bell.ring_sample()
    assert not bell.ring_sample()


def test_a_ring_is_a_bare_job_of_a_known_name(store: str) -> None:
    bell = RqDoorbell(store, now_s=lambda: 1003.9)
    bell.ring_act(A, HEAD)
    bell.ring_look(A, HEAD)
    bell.ring_look_now("k2", {"pool": "fe1"})
    client = connect_rq(store)
    act, look = (Queue(name, connection=client, serializer="json") for name in ("act", "look"))
    (job,) = act.jobs
    assert job.id == f"{A}-{HEAD}-200" == job_id(A, HEAD, 1003.9)
    assert (job.func_name, job.args, job.kwargs) == (ADVANCE, [A], {})
    assert (job.result_ttl, job.failure_ttl, job.retries_left, job.dependency) == (0, 60, None, None)
    assert [(j.func_name, j.args) for j in look.jobs] == [(SURVEY, [A]), (LOOK_NOW, ["k2", {"pool": "fe1"}])]
    raw: Any = client.hget(f"rq:job:{job.id}", "data")
    assert json.loads(zlib.decompress(raw)) == [ADVANCE, None, [A], {}]
    assert not any(
        "callback" in key.decode() for key in client.hkeys(f"rq:job:{job.id}") if client.hget(f"rq:job:{job.id}", key)
    )


def test_an_answer_does_not_stay(store: str) -> None:
    RqDoorbell(store).post_answer("k3", {})
    with redis.Redis.from_url(store) as client:
        assert 0 < client.ttl("lync-dr:answer:k3") <= 120


def test_a_bell_without_a_wire_says_so() -> None:
    bell = RqDoorbell("unix:///nowhere/store.sock")
    with pytest.raises(Unreachable, match=r"No worker could be rung for\. Redis at the socket /nowhere"):
        bell.ring_act(A, HEAD)
    with pytest.raises(Unreachable, match="cannot be reached"):
        bell.wait_answer("k4", 1)
    with pytest.raises(Unreachable, match="is not one"):
        RqDoorbell("hunter2")
