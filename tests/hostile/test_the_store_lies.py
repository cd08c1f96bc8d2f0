"""Whoever can write to the store can stop a run at worst: the journal, its index and its bells are written to
directly, behind the product's back, and the hands are rung. No server sees a call that changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from incident.commands import Cancel, Declare, TakeHand
from incident.copies import Copies
from incident.desk import Desk
from incident.events import Event, Planned, Rechecked, RunStarted, Voted
from incident.journal import REGISTER
from incident.journals.redis import RedisStore, connect
from incident.journals.signed import SignedJournal
from incident.keys import Writer
from incident.policy import Policy, Rules
from incident.record import write_record
from incident.register import Register
from tests.waiting import wait_for
from tests.workers.world import ACT1, ACT2, BOT, CARD, CLI, KEYS, NONCE, World, who, writer
from workers.results import WaitingForPerson


@dataclass
class Redis(World):
    """The scripted sites, with the record in a real store and a copy of it on each host."""

    url: str = ""
    folder: Path = Path()

    def desk(self, who: Writer, policy: Policy | None = None) -> Desk:
        store = RedisStore(connect(self.url), where="the test's store")
        journal = SignedJournal(store, keys=KEYS, writer=who, copies=Copies(self.folder / who.name))
        return Desk(journal, Rules(policy=policy or self.own.policy), self.clock)

    @staticmethod
    def clock() -> Any:
        return datetime.now(UTC)

    @property
    def raw(self) -> Any:
        return redis.Redis.from_url(self.url)

    @property
    def stream(self) -> str:
        return f"lync-dr:journal:{self.incident}"

    def lines(self) -> list[bytes]:
        return [fields[b"l"] for _, fields in self.raw.xrange(self.stream)]

    def put(self, lines: list[bytes], incident: str = "") -> None:
        """Writes these lines as the journal, with an index that agrees."""
        name = incident or self.incident
        raw, stream = self.raw, f"lync-dr:journal:{name}"
        raw.delete(stream)
        for number, line in enumerate(lines, 1):
            raw.xadd(stream, {"l": line}, id=f"{number}-0")
        head = lines[-1].split(b'"h":"')[1][:64].decode() if lines else "0" * 64
        raw.hset("lync-dr:heads", name, f"{len(lines)} {head}")

    def forge(self, event: Event, by: Writer, key: Writer | None = None) -> None:
        """One more record, well formed, in `by`'s name."""
        head = self.bot.journal.head(self.incident)
        record = write_record(
            event, incident=self.incident, seq=head.seq + 1, prev=head.h, not_before=head.at, now=by.now(),
            mono_ms=1, boot="0a1b2c3d", by=by.name, sign=(key or by).sign,
        )  # fmt: skip
        self.put([*self.lines(), record.line])


@pytest.fixture
def night(store: str, tmp_path: Path) -> Redis:
    return Redis(url=store, folder=tmp_path)


def approval(night: Redis) -> Event:
    planned = night.state.planned
    assert isinstance(planned, Planned)
    ends = night.clock() + night.own.policy.execution_window
    return Voted(actor=who("bo"), request=1, digest=planned.digest, nonce=NONCE, card=CARD, completes=True,
                 window_ends=ends)  # fmt: skip


def edit(night: Redis) -> None:
    night.put([line.replace(b"fe1.ocsguy.local", b"fe2.ocsguy.local") for line in night.lines()])


def replay(night: Redis) -> None:
    """Another incident's journal, which was approved, under this one's name."""
    lines = night.lines()
    night.incident = night.incident[:-1] + "z"
    night.put(lines)


STARTED = RunStarted(request=1, digest="0" * 64)
ASKED_AGAIN = Rechecked(request=1, accounts={})
ASKED: dict[str, tuple[Callable[[Redis], None], str]] = {
    "no key": (lambda n: n.forge(approval(n), BOT, writer("bot", "bot")), "HALT"),
    "an unknown writer": (lambda n: n.forge(approval(n), writer("bot-9", "bot")), "HALT"),
    "a worker's true key under the people's event": (lambda n: n.forge(approval(n), ACT2), "HALT"),
    "a worker's true key under what only the bot can know": (lambda n: n.forge(ASKED_AGAIN, ACT2), "HALT"),
    "a bot's true key under the worker's event": (lambda n: n.forge(STARTED, BOT), "HALT"),
    "a terminal's true key under the worker's event": (lambda n: n.forge(STARTED, CLI), "HALT"),
    "a terminal's true key under what only the bot can know": (lambda n: n.forge(ASKED_AGAIN, CLI), "HALT"),
}  # fmt: skip
APPROVED: dict[str, tuple[Callable[[Redis], None], str]] = {
    "an edited plan": (edit, "HALT"),
    "a replayed journal": (replay, "HALT"),
    "a cut tail": (lambda n: n.put(n.lines()[:-1]), "HALT"),
    "an emptied journal": (lambda n: n.raw.delete(n.stream) and None, ""),
    "an index that lies": (lambda n: n.raw.hset("lync-dr:heads", n.incident, "3 " + "0" * 64) and None, ""),
    "a raised epoch": (lambda n: n.raw.hset("lync-dr:epochs", n.incident, "9") and None, ""),
}


def reaches_nothing(night: Redis, says: str) -> None:
    before = night.lines()
    ending = night.advance()
    assert says in ending.sentence, ending
    assert not isinstance(ending, WaitingForPerson)
    assert night.sites.told == []
    if says == "HALT":
        # Nothing is written to it; that it is so stands in the register, once, for the bot to say.
        night.advance()
        assert night.lines() == before
        (seen,) = Register(night.bot.journal).halts(night.incident)
        assert (seen.by, seen.host) == ("act1", "ops-leeds")


@pytest.mark.parametrize("lie", ASKED)
def test_a_forged_record_starts_nothing(night: Redis, lie: str) -> None:
    night.asked()
    # This host has seen the record, as every host that looks at it has.
    assert isinstance(night.advance(), WaitingForPerson)
    write, says = ASKED[lie]
    write(night)
    reaches_nothing(night, says)


@pytest.mark.parametrize("lie", APPROVED)
def test_a_journal_that_was_tampered_with_starts_nothing(night: Redis, lie: str) -> None:
    night.approved()
    night.desk(ACT1).state(night.incident)
    write, says = APPROVED[lie]
    write(night)
    reaches_nothing(night, says)


def test_a_stolen_lease_only_delays(night: Redis) -> None:
    """Whoever holds the lease key holds the run back and gains nothing: when it is gone, the run goes its way."""
    night.approved()
    night.raw.set(f"lync-dr:lease:{night.incident}", "a thief", px=400)
    ending = night.advance()
    assert "another hand" in ending.sentence
    assert night.sites.told == []
    wait_for(lambda: not night.raw.exists(f"lync-dr:lease:{night.incident}"), "the lease to run out", 5)
    night.advance()
    assert night.sent("Invoke-CsPoolFailOver") == ["Invoke-CsPoolFailOver"]


def test_stolen_holds_and_flooded_bells_only_delay(night: Redis) -> None:
    night.approved()
    holds = [h for step in night.state.planned.plan["steps"] for h in step["holds"]]  # type: ignore[union-attr]
    night.raw.hset("lync-dr:holds", mapping=dict.fromkeys(holds, "20261122-fe9-a"))
    for _ in range(50):
        night.raw.xadd("lync-dr:bells", {"i": night.incident, "s": "1"})
    ending = night.advance()
    assert "holds" in ending.sentence or "hold" in type(ending).__name__.lower()
    assert night.sites.told == []


DECLARE = Declare(
    actor=who("rita"), playbook="declare-disaster", pool="fe1", pool_fqdn="fe1.x", site="London", partner="fe2",
    partner_fqdn="fe2.x", partner_site="Leeds", users=4212, reason="dc1 power", raw="", channel="C0INC",
)  # fmt: skip
NOBODYS = ("20000101-fe9-a", "../keys *everyone*")


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("by", NOBODYS)
def test_a_planted_claim_on_the_pair_is_refused_as_what_it_is_until_it_is_deleted(
    night: Redis, by: str, listed: bool
) -> None:
    """Not overruled: whoever plants one could also have written over a true one. Whoever declares learns what to do."""
    night.raw.hset("lync-dr:pairs", "fe1+fe2", by)
    if listed:
        night.raw.hset("lync-dr:heads", by, "3 " + "0" * 64)
        night.raw.hset("lync-dr:open", by, "1")
    answer = night.bot.declare(DECLARE)
    assert answer.refusal is not None
    assert answer.refusal.code == "REF074E"
    for words in (
        "fe1+fe2",
        "no such incident is open",
        "Nothing happened",
        "must delete this claim",
        "printed runbook",
    ):
        assert words in answer.refusal.text
    assert (by in answer.refusal.text) == (by == NOBODYS[0]), "what is no name is not repeated"
    assert [r.code for r in night.bot.records(REGISTER)][-1] == "REF074E"
    outsider = night.bot.declare(replace(DECLARE, actor=who("olaf")))
    assert outsider.refusal is not None
    assert outsider.refusal.code == "REF021E"
    night.raw.hdel("lync-dr:pairs", "fe1+fe2")
    assert night.bot.declare(DECLARE).opened


def test_a_claim_in_the_name_of_an_incident_that_has_ended_is_refused_too(night: Redis) -> None:
    first = night.bot.declare(DECLARE)
    assert first.state is not None
    assert night.bot.do(first.incident, Cancel(who("rita"))).ok
    night.raw.hset("lync-dr:pairs", "fe1+fe2", first.incident)
    answer = night.bot.declare(DECLARE)
    assert answer.refusal is not None
    assert answer.refusal.code == "REF074E"
    assert first.incident in answer.refusal.text


class ClockOff:
    """A journal whose store tells another time."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def clock_offset_ms(self) -> int:
        return 31_000


def test_a_host_whose_clock_is_off_takes_no_approval(night: Redis) -> None:
    night.asked()
    night.bot.journal = ClockOff(night.bot.journal)
    answer = night.bot.do(night.incident, night.approve("bo"))
    assert answer.refusal is not None
    assert "off by 31 s" in answer.refusal.text
    assert "APR010I" not in night.codes()


@pytest.mark.parametrize("name", ["20991231-fe9-a", "../keys", "\u00b2"])
def test_an_index_that_lists_what_stands_nowhere_hides_no_incident(night: Redis, name: str) -> None:
    night.approved()
    night.raw.hset("lync-dr:heads", name, "3 " + "0" * 64)
    night.raw.hset("lync-dr:open", name, "1")
    around = night.bot.look_around()
    assert [one.id for one in around.incidents] == [night.incident]
    assert list(around.unreadable) == [name]
    night.advance()
    assert night.sent("Invoke-CsPoolFailOver") == ["Invoke-CsPoolFailOver"]


def test_what_one_host_cannot_keep_holds_up_no_other_and_is_taken_back(night: Redis) -> None:
    night.approved()
    # A copy of this one incident that can be neither read nor written: a directory lies in its place.
    copy = night.folder / ACT1.name / f"{night.incident}.jsonl"
    copy.mkdir(parents=True)
    assert "HALT" in night.advance().sentence
    (seen,) = Register(night.bot.journal).halts()
    assert (seen.by, seen.what, seen.for_all) == ("act1", "copy", False)
    assert night.desk(ACT2).do(night.incident, TakeHand("ops-london", "act2")).ok
    copy.rmdir()
    night.advance()
    assert Register(night.bot.journal).halts() == ()
    assert night.state.run_ended == "complete"
