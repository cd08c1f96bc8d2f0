"""A real hand at a real store, and somebody who can write to that store rings the bell: with other functions, with
callbacks, with pickles, for incidents that nobody approved; and who empties or rewrites the register.

The practised servers see no call that changes anything, nothing that was planted beside the worker is even imported,
and the same worker process answers the next honest ring.
"""

from __future__ import annotations

import json
import os
import pickle
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue
from rq.registry import FailedJobRegistry

from incident import commands as c
from incident.desk import Desk
from incident.doorbell import ADVANCE, SURVEY
from incident.events import RunRefused
from incident.journal import REGISTER, BadJournal, JournalDiffers, JournalShorter
from incident.journals.opening import open_journal
from incident.keys import Keys, Writer, load_keys, load_writer
from incident.policy import Policy, Rules
from incident.register import Register
from tests.conftest import ROOT
from tests.waiting import wait_for
from tests.workers.house import House, house
from tests.workers.world import CARD, person, who

PLANTED = """
import os, pathlib
pathlib.Path(os.environ["PLANTED_PROOF"]).mkdir(exist_ok=True)
def anything(*_, **__):
    pathlib.Path(os.environ["PLANTED_PROOF"]).mkdir(exist_ok=True)
class Serializer:
    dumps = loads = staticmethod(anything)
"""
NOT_DONE = "something this worker does not do; it was not run"
STRANGE = "carried arguments that no lync-dr process sends; it was not run"
NO_JOB = "is not written as lync-dr writes them; it was not run"


AGAIN = "a9" * 16


class Bomb:
    """Makes a directory where it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.proof),)


@dataclass
class Bell:
    """The house, and a hand in its store."""

    home: House
    client: Any
    proof: Path
    keys: Keys
    writer: Writer
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def log(self) -> str:
        """What the hand has said so far."""
        return (self.home.out / "act1.log").read_text("utf-8", errors="replace")

    def put(self, data: bytes, **fields: str | bytes) -> None:
        """A job as it lies in Redis (rq 3, `Job.to_dict`), and its name on the hands' queue."""
        name = f"forged-{next(self.numbers)}"
        kept = {"data": zlib.compress(data), "created_at": "2026-11-22T02:00:00.000000Z", "origin": "act",
                "status": "queued", "timeout": "60", **fields}  # fmt: skip
        self.client.hset(f"rq:job:{name}", mapping=kept)
        self.client.rpush("rq:queue:act", name)

    def call(self, function: str, *args: Any, instance: Any = None, **more: Any) -> None:
        """A job for this function, serialized as the worker expects it."""
        self.put(json.dumps([function, instance, args, more.pop("kwargs", {})]).encode(), **more)

    def honest_ring(self) -> None:
        """One ring as the bot sends it; returns when the hand has answered it."""
        queue = Queue("act", connection=self.client, serializer="json")
        name = f"honest-{next(self.numbers)}"
        queue.enqueue(ADVANCE, self.home.incident, job_id=name, result_ttl=0)
        wait_for(lambda: not self.client.exists(f"rq:job:{name}"), "the hand to answer an honest ring", 20)
        assert name not in FailedJobRegistry(queue=queue).get_job_ids()


@pytest.fixture(scope="module")
def bell(store_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bell]:
    """London is lost, Rita has asked, nobody has answered; one hand listens."""
    out = tmp_path_factory.mktemp("bell")
    (out / "planted").mkdir()
    (out / "planted" / "planted.py").write_text(PLANTED, "utf-8")
    proof = out / "was-run"
    beside = {"PYTHONPATH": f"{ROOT}{os.pathsep}{out / 'planted'}", "PLANTED_PROOF": str(proof)}
    client = redis.Redis.from_url(store_server)
    client.flushall()
    with house(out, store_server) as home, client:
        keys = load_keys(out / "keys")
        writer = load_writer("bot", state_dir=out / "state", keys=keys)
        home.start("look", "act1", **beside)
        home.pull_the_plug()
        home.asked()
        Register(home.bot.journal).state_policy(home.config.policy)
        yield Bell(home, client, proof, keys, writer)


def method(bell: Bell) -> None:
    bell.call(ADVANCE, bell.home.incident, instance="a worker")


def callbacks(bell: Bell) -> None:
    more = {f"{when}_callback_name": "planted.anything" for when in ("success", "failure", "stopped")}
    bell.call(ADVANCE, bell.home.incident, **more)


def failing_with_callback(bell: Bell) -> None:
    bell.call("planted.anything", failure_callback_name="planted.anything", failure_callback_timeout="60")


def pickled(bell: Bell) -> None:
    bomb = pickle.dumps(Bomb(bell.proof))
    bell.put(bomb, meta=bomb, result=bomb)


def pickled_beside(bell: Bell) -> None:
    """An honest function, with pickles wherever a job may carry more."""
    bomb = pickle.dumps(Bomb(bell.proof))
    bell.call(ADVANCE, bell.home.incident, meta=bomb, result=bomb, exc_info=bomb)


def serializer(bell: Bell) -> None:
    bell.put(b"\x84\xa4func\xa8anything", serializer="planted.Serializer", serializer_class="planted.Serializer")


FORGED: dict[str, tuple[Callable[[Bell], None], str]] = {
    "os.system": (lambda b: b.call("os.system", f"mkdir {b.proof}"), NOT_DONE),
    "a builtin": (lambda b: b.call("eval", f"__import__('os').mkdir({str(b.proof)!r})"), NOT_DONE),
    "a module that would be imported": (lambda b: b.call("planted.anything"), NOT_DONE),
    "a function of the house": (lambda b: b.call("workers.advance.advance", b.home.incident), NOT_DONE),
    "the other bell's work": (lambda b: b.call(SURVEY, b.home.incident), NOT_DONE),
    "a method": (method, NOT_DONE),
    "keywords": (lambda b: b.call(ADVANCE, kwargs={"incident": b.home.incident}), STRANGE),
    "a list for a name": (lambda b: b.call(ADVANCE, [b.home.incident]), STRANGE),
    "a path for a name": (lambda b: b.call(ADVANCE, "../keys"), STRANGE),
    "callbacks": (callbacks, ""),
    "a callback of a failure": (failing_with_callback, NOT_DONE),
    "a pickle": (pickled, NO_JOB),
    "pickles beside": (pickled_beside, ""),
    "another serializer": (serializer, NO_JOB),
    "no job at all": (lambda b: b.client.rpush("rq:queue:act", "nothing") and None, ""),
    "a torn job": (lambda b: b.put(b"x", created_at="yesterday", status="hungry"), ""),
    "no such incident": (lambda b: b.call(ADVANCE, "20991231-fe1-a"), "no incident 20991231-fe1-a"),
    "the register": (lambda b: b.call(ADVANCE, REGISTER), "no incident register"),
    "nobody approved": (lambda b: b.call(ADVANCE, b.home.incident), ""),
}


@pytest.mark.parametrize("ring", FORGED)
def test_a_forged_ring_runs_nothing(bell: Bell, ring: str) -> None:
    forge, says = FORGED[ring]
    before, heard = bell.home.state.seq, len(bell.log)
    forge(bell)
    bell.honest_ring()
    assert says in bell.log[heard:]
    assert not bell.proof.exists()
    assert bell.home.state.seq == before
    assert bell.home.calls() == []
    assert bell.home.processes["act1"].poll() is None


def test_an_emptied_register_begins_nothing_anew(bell: Bell) -> None:
    """No number is given twice, no process starts over an emptied register, and nothing is done in the meantime."""
    home, stream = bell.home, f"lync-dr:journal:{REGISTER}"
    lines, head = bell.client.xrange(stream), bell.client.hget("lync-dr:heads", REGISTER)
    bell.client.delete(stream)
    bell.client.hdel("lync-dr:heads", REGISTER)
    try:
        declared = home.state.declared
        other = c.Declare(
            actor=who("rita"), playbook="declare-disaster", pool="fe2", pool_fqdn=declared.partner_fqdn, site="Leeds",
            partner="fe1", partner_fqdn=declared.pool_fqdn, partner_site="London", users=0, reason="",
            raw="/lync declare-disaster fe2", channel="C0INC",
        )  # fmt: skip
        # A process that has read nothing yet, as after a restart, on a host with its copy.
        fresh = open_journal(home.env["LYNC_DR_REDIS_URL"], bell.writer, bell.keys, Path(home.env["LYNC_DR_STATE"]))
        with pytest.raises(JournalShorter, match="register"):
            Desk(fresh, home.bot.rules, home.bot.clock).declare(other)
        home.kill("look")
        with pytest.raises(AssertionError, match="look ended") as ended:
            home.start("look")
        assert "The journal of register ends at record 0" in str(ended.value)
        bell.honest_ring()
        assert [i.incident for i in home.bot.journal.incidents()] == [home.incident]
        assert home.calls() == []
    finally:
        for number, fields in lines:
            bell.client.xadd(stream, fields, id=number)
        bell.client.hset("lync-dr:heads", REGISTER, head)
    assert home.bot.journal.head(REGISTER).seq == len(lines)


def test_a_policy_rewritten_in_the_register_is_nobodys_policy(bell: Bell) -> None:
    """The text of the policy in the register is for those who read it later. It is signed; no process obeys it."""
    home, stream = bell.home, f"lync-dr:journal:{REGISTER}"
    lines = bell.client.xrange(stream)

    def put(edit: Callable[[bytes], bytes]) -> None:
        bell.client.delete(stream)
        for number, fields in lines:
            bell.client.xadd(stream, {b"l": edit(fields[b"l"])}, id=number)

    try:
        put(lambda line: line.replace(b"URITA", b"UOLAF"))
        here = open_journal(home.env["LYNC_DR_REDIS_URL"], bell.writer, bell.keys, Path(home.env["LYNC_DR_STATE"]))
        with pytest.raises(JournalDiffers, match="register"):
            Register(here).records()
        elsewhere = open_journal(home.env["LYNC_DR_REDIS_URL"], None, bell.keys, home.out / "another-host")
        with pytest.raises(BadJournal, match="does not match its hash"):
            Register(elsewhere).records()
        bell.honest_ring()
        assert home.calls() == []
    finally:
        put(lambda line: line)


def test_an_approval_by_an_older_policy_starts_nothing(bell: Bell) -> None:
    """A bot that was given an older policy, in which Olaf might approve, counts his tap; the hand does not."""
    home = bell.home
    older: Policy = home.config.policy.model_copy(
        update={"persons": (*home.config.policy.persons, person("olaf", "approve"))}
    )
    behind = Desk(home.bot.journal, Rules(policy=older), home.bot.clock)
    Register(home.bot.journal).state_policy(older)
    answer = behind.do(home.incident, home.approve("olaf"))
    assert answer.state is not None
    assert answer.state.phase == "approved"
    bell.honest_ring()
    said = home.events(RunRefused)
    assert [(one.why, "Olaf is nobody in this policy" in one.text) for one in said] == [("RUN025E", True)]
    assert home.codes()[-2:] == ["RUN003E", "APR013W"]
    assert home.calls() == []


def test_the_same_hand_does_what_two_persons_ordered(bell: Bell) -> None:
    """After all that: asked again, approved by Bo, and the worker that was rung for all of it sends the first call."""
    home = bell.home
    if home.state.request is None or home.state.request.state != "open":
        home.do(c.AskApproval(actor=who("rita"), nonce=AGAIN, again=True))
        home.do(c.RecordCard(request=len(home.state.requests), card=CARD))
    asked = home.state.request
    assert asked is not None
    home.do(c.Approve(actor=who("bo"), request=asked.number, nonce=asked.nonce, digest=asked.digest[:16], card=CARD))
    home.ring()
    wait_for(lambda: home.state.clocks.t3, "the first call", 20)
    assert home.processes["act1"].poll() is None
