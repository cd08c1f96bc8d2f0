"""The store in memory: the rule of `commit` in plain Python, for tests, for rehearsal, and for the file store."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from incident.journal import REGISTER, Bell, Listed
from incident.journals.store import (
    Answer,
    Batch,
    EpochOld,
    HeadMoved,
    HoldTaken,
    PairClaimed,
    Stored,
)
from incident.record import GENESIS

BELLS_KEPT: Final = 10_000


@dataclass
class Tables:
    """Everything beside the lines: heads, epochs, claims, holds, what is open, bells."""

    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    bells: list[tuple[int, str, int]] = field(default_factory=list)
    rung: int = 0

    @classmethod
    def of(cls, data: dict[str, Any]) -> Tables:
        """The tables as `data` gave them out."""
        tables = cls(**data)
        tables.heads = {name: (seq, h) for name, (seq, h) in tables.heads.items()}
        tables.bells = [(n, name, seq) for n, name, seq in tables.bells]
        return tables

    def data(self) -> dict[str, Any]:
        """The tables as JSON values."""
        return asdict(self)

    def refuse(self, batch: Batch) -> Answer | None:
        """Compares everything; None means that `take_in` may follow. Heads come first: see the Redis store."""
        for part in batch.parts:
            seq, h = self.heads.get(part.incident, (0, GENESIS))
            if (seq, h) != (part.seq, part.h):
                return HeadMoved(part.incident, seq)
        incident = batch.parts[0].incident
        if batch.epoch is not None:
            now = self.epochs.get(incident, 0)
            if batch.epoch != (now + 1 if batch.raises_epoch else now):
                return EpochOld(now)
        if batch.opens and batch.pair is not None:
            by = self.pairs.get(batch.pair)
            if by is not None and by != batch.pair_from:
                return PairClaimed(by)
        for hold in batch.take:
            if self.held.get(hold, incident) != incident:
                return HoldTaken(hold, self.held[hold])
        return None

    def take_in(self, batch: Batch) -> None:
        """Writes everything but the lines."""
        incident = batch.parts[0].incident
        for part in batch.parts:
            self.heads[part.incident] = (part.new_seq, part.new_h)
            self.rung += 1
            self.bells.append((self.rung, part.incident, part.new_seq))
        del self.bells[:-BELLS_KEPT]
        if batch.epoch is not None:
            self.epochs[incident] = batch.epoch
        if batch.opens:
            self.open.append(incident)
            if batch.pair is not None:
                self.pairs[batch.pair] = incident
        for hold in batch.take:
            self.held[hold] = incident
        for hold in batch.give:
            if self.held.get(hold) == incident:
                del self.held[hold]
        for ended in batch.closes:
            self.open = [name for name in self.open if name != ended]
            self.pairs = {pair: by for pair, by in self.pairs.items() if by != ended}
            self.held = {hold: by for hold, by in self.held.items() if by != ended}

    def listed(self) -> list[Listed]:
        """One line for each incident."""
        pair_of = {incident: pair for pair, incident in self.pairs.items()}
        return [
            Listed(name, seq, h, self.epochs.get(name, 0), name in self.open, pair_of.get(name))
            for name, (seq, h) in sorted(self.heads.items())
            if name != REGISTER
        ]

    def bells_after(self, after: str) -> list[Bell]:
        """The bells kept after that one."""
        start = int(after or 0)
        return [Bell(str(n), name, seq) for n, name, seq in self.bells if n > start]


@dataclass
class Lease:
    """Who looks after an incident, and until when by this host's monotonic clock in seconds."""

    owner: str
    until: float


class MemoryStore:
    """A store that ends with its process. Threads may share it."""

    def __init__(self) -> None:
        self._tables = Tables()
        self._lines: dict[str, list[bytes]] = {}
        self._leases: dict[str, Lease] = {}
        self._rung = threading.Condition()

    def commit(self, batch: Batch) -> Answer:
        """Compares all, writes all."""
        with self._rung:
            refused = self._tables.refuse(batch)
            if refused is not None:
                return refused
            for part in batch.parts:
                self._lines.setdefault(part.incident, []).extend(part.lines)
            self._tables.take_in(batch)
            self._rung.notify_all()
        return Stored()

    def lines(self, incident: str, after: int) -> Sequence[bytes]:
        """The lines after number `after`."""
        with self._rung:
            return tuple(self._lines.get(incident, ())[after:])

    def listed(self) -> Sequence[Listed]:
        """Every incident."""
        with self._rung:
            return self._tables.listed()

    def holds(self) -> Mapping[str, str]:
        """Hold -> incident."""
        with self._rung:
            return dict(self._tables.held)

    def bells(self, after: str, wait_s: float) -> Sequence[Bell]:
        """Waits for a bell after `after`."""
        with self._rung:
            self._rung.wait_for(lambda: bool(self._tables.bells_after(after)), timeout=wait_s)
            return self._tables.bells_after(after)

    def last_bell(self) -> str:
        """The newest bell's id."""
        with self._rung:
            return str(self._tables.rung)

    def lease(self, incident: str, owner: str, ttl_s: float) -> bool:
        """Takes or renews."""
        with self._rung:
            if self.leased_by(incident) not in (None, owner):
                return False
            self._leases[incident] = Lease(owner, time.monotonic() + ttl_s)
            return True

    def leased_by(self, incident: str) -> str | None:
        """The owner whose lease has not run out."""
        with self._rung:
            lease = self._leases.get(incident)
            return lease.owner if lease is not None and lease.until > time.monotonic() else None

    def release(self, incident: str, owner: str) -> None:
        """Lets go."""
        with self._rung:
            if self.leased_by(incident) == owner:
                del self._leases[incident]

    def clock_offset_ms(self) -> int:
        """It is this host's own clock."""
        return 0

    def put_raw(self, incident: str, lines: Sequence[bytes]) -> None:
        """Replaces what stands there, as somebody with a hand in the store would. For tests of what is then said."""
        with self._rung:
            self._lines[incident] = list(lines)
