"""Short ways to events, writers and journals for the tests of the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from incident.copies import Copies
from incident.events import (
    Actor,
    Closed,
    Declared,
    Event,
    HandTaken,
    Intent,
    Noted,
    Outcome,
    Output,
    Verified,
)
from incident.journals.file import FileStore
from incident.journals.memory import MemoryStore
from incident.journals.redis import RedisStore, connect
from incident.journals.signed import SignedJournal
from incident.keys import Keys, Writer

NOON = datetime(2026, 11, 22, 3, 7, 12, 345678, UTC)
RITA = Actor(person="rita", name="Rita Berg", via="slack", user="URITA", team="TPRACTICE")
PAIR = "fe1+fe2"


class Clock:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def writer(name: str, kind: Any = "bot", clock: Callable[[], datetime] | None = None) -> Writer:
    return Writer(name, kind, Ed25519PrivateKey.generate(), "0a1b2c3d", clock or Clock(), lambda: 1000)


BOT, CLI, HAND = writer("bot", "bot"), writer("cli", "cli"), writer("act1", "worker")
KEYS = Keys([BOT.public, CLI.public, HAND.public])


def declared(pool: str = "fe1") -> Declared:
    return Declared(
        actor=RITA,
        playbook="declare-disaster",
        pool=pool,
        pool_fqdn=f"{pool}.ocsguy.local",
        site="London",
        partner="fe2",
        partner_fqdn="fe2.ocsguy.local",
        partner_site="Leeds",
        users=4212,
        reason="dc1 power – “all dark” ⚡",
        raw="/lync declare-disaster fe1",
        channel="C0INC",
        rto_s=900,
    )


def note(text: str = "carrier called") -> Noted:
    return Noted(actor=RITA, text=text, cause=(1,))


def closed() -> Closed:
    return Closed(result="recovered", sentence="fe1 London recovered on fe2 Leeds.")


def intent(attempt: int = 1, epoch: int = 1) -> Intent:
    call: dict[str, Any] = {"cmdlet": "Invoke-CsPoolFailOver", "params": [["PoolFqdn", "fe1.ocsguy.local"]]}
    return Intent(
        step="pool",
        attempt=attempt,
        call_no=1,
        host="fe2.ocsguy.local",
        literal="Invoke-CsPoolFailOver …",
        call=call,
        effect="once",
        epoch=epoch,
    )


def outcome(attempt: int = 1) -> Outcome:
    return Outcome(step="pool", attempt=attempt, call_no=1, result="done", sentence="Done.")


def output(text: str = "hydrate 4 of 6") -> Output:
    return Output(step="pool", attempt=1, lines=(("verbose", text),))


def hand_taken(epoch: int = 1) -> HandTaken:
    return HandTaken(epoch=epoch, host="ops-leeds", worker="act1")


def verified() -> Verified:
    return Verified(step="pool", attempt=1, text="PoolState is FailedOver", took_ms=362000)


Make = Callable[..., SignedJournal]


def memory_journals(tmp: Path, url: str | None = None) -> tuple[Any, Make]:
    """One store and a way to open it as several processes would."""
    return _over(MemoryStore(), tmp)


def file_journals(tmp: Path, url: str | None = None) -> tuple[Any, Make]:
    return _over(FileStore(tmp / "store"), tmp)


def redis_journals(tmp: Path, url: str | None = None) -> tuple[Any, Make]:
    assert url is not None
    return _over(RedisStore(connect(url), where="the test's store"), tmp)


def _over(store: Any, tmp: Path) -> tuple[Any, Make]:
    def make(who: Writer | None = BOT, host: str = "host") -> SignedJournal:
        copies = Copies(tmp / host / (who.name if who else "reader"))
        return SignedJournal(store, keys=KEYS, writer=who, copies=copies)

    return store, make


def a_short_incident(make: Make, incident: str = "20261122-fe1-a") -> Sequence[bytes]:
    """Declaration, hand, intent, output, outcome, note, end: the lines as they stand in the store."""
    bot, hand = make(BOT), make(HAND)
    bot.open(incident, PAIR, [declared()])
    at = hand.append(bot.head(incident), [hand_taken()], epoch=1)
    at = hand.append(at, [intent()], epoch=1)
    at = hand.append(at, [output(), outcome(), verified()], epoch=1)
    at = bot.append(at, [note()])
    bot.append(at, [closed()])
    return [record.line for record in bot.read(incident)]


def events_of(journal: SignedJournal, incident: str) -> list[Event]:
    return [record.event for record in journal.read(incident)]
