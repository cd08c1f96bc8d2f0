"""Real RQ workers, a real store, and WinRM and DNS over real sockets: a ring, a forged ring, and dead workers."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest
import redis
from rq import Callback, Queue

from cli.store import Launcher
from incident.doorbell import ADVANCE
from tests.waiting import wait_for
from tests.workers.house import House, house

ONCE = ("Invoke-CsManagementServerFailover", "Invoke-CsPoolFailOver")


def rung_until_ended(home: House, limit_s: float = 60) -> None:
    """Rings again and again, as the reconciler does; where a call left no trace, two people let it run again."""

    def ended() -> bool:
        state = home.state
        waiting = state.waiting_step
        if waiting is not None and waiting.failure is not None:
            assert waiting.failure.begun == "not_begun", waiting.failure
            for person in ("bo", "chen"):
                home.rule(person, "retry", waiting.id, waiting.failure.attempt)
        if not state.run_ended:
            home.ring()
        return bool(state.run_ended)

    wait_for(ended, "the run to end", limit_s, every_s=0.3)


def test_a_ring_runs_the_approved_plan_and_a_forged_one_runs_nothing(tmp_path: Path, store: str) -> None:
    with house(tmp_path, store) as home:
        home.start("look", "act1", "act2")
        home.pull_the_plug()
        home.asked()
        forged(home, store, tmp_path)
        home.do(home.approve("bo"))
        approved_at = time.monotonic()
        home.ring()
        # The same bell again and again, under other names: one hand has the run.
        again = Queue("act", connection=redis.Redis.from_url(store), serializer="json")
        for _ in range(6):
            again.enqueue(ADVANCE, home.incident, result_ttl=0)
        wait_for(lambda: home.state.clocks.t3, "the first call", 20, every_s=0.01)
        took = time.monotonic() - approved_at
        wait_for(lambda: home.state.run_ended, "the run to end", 60)
        assert home.state.run_ended == "complete"
        assert home.state.epoch == 1
        assert home.state.clocks.t5
        calls = home.calls()
        assert [call for call in calls if call in ONCE] == list(ONCE)
        assert calls[:3] == [ONCE[0], "Set-CsEdgeServer", ONCE[1]]
        assert calls[3:] == ["Add-DnsServerResourceRecordA", "Remove-DnsServerResourceRecord"] * 5
        assert took < 5, f"{took:.1f} s from the last approval to the first call"


def forged(home: House, store: str, tmp_path: Path) -> None:
    """What somebody who can write to Redis may ring for: it is not run, and the worker lives on."""
    client = redis.Redis.from_url(store)
    queue = Queue("act", connection=client, serializer="json")
    proof = tmp_path / "was-run"
    queue.enqueue("os.mkdir", str(proof))
    queue.enqueue("eval", f"__import__('os').mkdir({str(proof)!r})")
    queue.enqueue(ADVANCE, home.incident, on_success=Callback("os.getcwd"), on_failure=Callback("os.getcwd"))
    queue.enqueue(ADVANCE, kwargs={"incident": home.incident})
    queue.enqueue("workers.jobs.survey", home.incident)
    queue.enqueue(ADVANCE, "20261122-no-such")
    client.hset("rq:job:torn", mapping={"data": "x", "created_at": "yesterday", "status": "hungry"})
    client.rpush("rq:queue:act", "torn")
    wait_for(lambda: queue.count == 0, "the forged rings to be taken", 20)
    before = home.state.seq
    home.ring()
    wait_for(lambda: queue.count == 0, "the worker to go on listening", 20)
    assert not proof.exists()
    # Nobody has approved: a ring, however often, writes nothing and sends nothing.
    assert home.state.seq == before
    assert home.calls() == []
    assert home.processes["act1"].poll() is None


BOUNDARIES = {
    "before the first intent": "RUN002I",
    "after the intent": "STP002I",
    "after the outcome": "STP003I",
    "after the read-back": "STP007I",
}


def one_kill(home: House, code: str, nth: int = 1) -> None:
    """The worker is killed the moment that record appears; another one finishes, and nothing is sent twice."""
    home.start("look", "act1")
    home.pull_the_plug()
    home.approved()
    home.ring()
    wait_for(lambda: home.codes().count(code) >= nth, f"record {code}", 30, every_s=0.005)
    home.kill("act1")
    killed_at = time.monotonic()
    home.start("act2")
    epoch = home.state.epoch
    wait_for(lambda: (home.ring(), home.state.epoch > epoch or home.state.run_ended)[1], "another hand", 20)
    assert time.monotonic() - killed_at < 20
    rung_until_ended(home)
    assert home.state.run_ended == "complete"
    calls = home.calls()
    for cmdlet in ONCE:
        assert calls.count(cmdlet) == 1, calls
    sent = [s for s in home.state.steps if s.attempts]
    assert all(a.outcome is not None for s in sent for a in s.attempts)


def test_a_worker_killed_in_mid_cmdlet(tmp_path: Path, store: str) -> None:
    with house(tmp_path, store, "zero,pool_failover=3", LYNC_DR_LEASE_S="2") as home:
        one_kill(home, "OUT001I")
        outcome = next(r.body for r in home.bot.records(home.incident) if r.code == "STP004I" or r.code == "STP003W")
        assert outcome["step"] == "pool"


@pytest.mark.all
def test_a_store_that_restarts_in_mid_cmdlet(tmp_path: Path) -> None:
    place = Path(tempfile.mkdtemp(prefix="ld-"))
    first = Launcher(place)
    first.start()
    try:
        with house(tmp_path, first.url, "zero,pool_failover=4") as home:
            home.start("look", "act1")
            home.pull_the_plug()
            home.approved()
            home.ring()
            wait_for(lambda: "OUT001I" in home.codes(), "the cmdlet to speak", 30)
            first.stop()
            first = Launcher(place)
            first.start()
            wait_for(lambda: home.state.run_ended, "the run to end", 60)
            calls = home.calls()
            assert [calls.count(cmdlet) for cmdlet in ONCE] == [1, 1]
            assert home.state.epoch == 1, "the same hand went on"
    finally:
        first.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.all
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("nth", [1, 3])
def test_a_worker_killed_at_every_boundary(tmp_path: Path, store: str, boundary: str, nth: int) -> None:
    code = BOUNDARIES[boundary]
    with house(tmp_path, store, "zero,cms_failover=1,pool_failover=1", LYNC_DR_LEASE_S="2") as home:
        one_kill(home, code, 1 if code == "RUN002I" else nth)
