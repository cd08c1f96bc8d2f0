"""Of a job that lies in Redis nothing is believed but which bell was rung and for what: each field by itself."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
import redis
from rq.exceptions import NoSuchJobError

from workers.guard import GuardedJob, NotAllowed


class Ours(GuardedJob):
    """What a worker's root makes of it."""

    allowed = {"ring": len}  # noqa: RUF012


def stored(name: str = "ring", instance: Any = None, args: Any = ("20261122-fe1-a",), kwargs: Any = None, **more: Any):
    """A job read from a hash in which somebody put these things. No server is asked."""
    job = Ours("j1", connection=redis.Redis(), serializer="json")
    data = zlib.compress(json.dumps([name, instance, list(args), kwargs or {}]).encode())
    job.restore({b"data": data, **{key.encode(): value for key, value in more.items()}})
    return job


def test_a_bare_ring_is_run_by_its_name_alone() -> None:
    job = stored(result_ttl=b"0", failure_ttl=b"60", origin=b"act")
    assert job.func is len
    assert (job.result_ttl, job.failure_ttl, job.origin, job.timeout) == (0, 60, "act", Ours.limit_s)
    assert stored(args=("k2", {"pool": "fe1"})).func is len


@pytest.mark.parametrize(
    "change",
    [
        {"name": "os.system"},
        {"name": "len"},
        {"instance": "x"},
        {"kwargs": {"a": "b"}},
        {"args": (1,)},
        {"args": (None,)},
        {"args": ("",)},
        {"args": ("rm -rf /",)},
        {"args": ("a" * 129,)},
        {"args": (["a"],)},
        {"args": ({str(n): "x" for n in range(9)},)},
        {"args": ({"pool": 1},)},
        {"args": ({"pool": {"x": "y"}},)},
        {"args": ({"pool": "f" * 200},)},
    ],
)
def test_whatever_no_process_of_ours_sends_is_not_run(change: dict[str, Any]) -> None:
    with pytest.raises(NotAllowed):
        _ = stored(**change).func


def test_what_a_stored_job_carries_beside_its_ring_is_dropped() -> None:
    job = stored(
        success_callback_name=b"os.system", failure_callback_name=b"os.system", stopped_callback_name=b"os.system",
        timeout=b"1", meta=b"{}", retries_left=b"9", description=b"x", result_ttl=b"soon", failure_ttl=b"x",
        status=b"queued",
    )  # fmt: skip
    assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)
    assert (job._success_callback_name, job._failure_callback_name, job._stopped_callback_name) == (None, None, None)
    assert (job.retries_left, job.timeout, job.result_ttl, job.failure_ttl) == (None, Ours.limit_s, None, None)
    assert job.description is None


def test_a_callback_that_got_in_all_the_same_is_none() -> None:
    job = stored()
    for name in ("success", "failure", "stopped"):
        setattr(job, f"_{name}_callback_name", "builtins.len")
        assert getattr(job, f"{name}_callback") is None


@pytest.mark.parametrize("broken", [{"created_at": b"yesterday"}, {"status": b"happy"}])
def test_a_hash_that_is_no_job_is_passed_over(broken: dict[str, bytes]) -> None:
    with pytest.raises(NoSuchJobError):
        stored(**broken)
