"""What a store must do for a journal. It knows lines and heads; it never looks into a record.

The whole difficulty is in `commit`: everything is compared first, then everything is written, and nothing can
come in between. The Lua script beside this file and `Tables` in ``memory.py`` say the same in two languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from incident.journal import Bell, Listed


@dataclass(frozen=True)
class Part:
    """Lines for one journal, to follow record `seq` with hash `h`; afterwards the head has hash `new_h`."""

    incident: str
    seq: int
    h: str
    lines: tuple[bytes, ...]
    new_h: str

    @property
    def new_seq(self) -> int:
        """The number of the last line."""
        return self.seq + len(self.lines)


@dataclass(frozen=True)
class Batch:
    """One stroke. `parts[0]` is the journal that epoch, claims and holds belong to."""

    parts: tuple[Part, ...]
    opens: bool = False
    """The first part begins a new incident."""
    pair: str | None = None
    """The pair to claim when opening."""
    pair_from: str | None = None
    """The incident from which the claim may pass."""
    epoch: int | None = None
    raises_epoch: bool = False
    """`epoch` must be one more than the present one, and becomes it; otherwise it must be the present one."""
    take: tuple[str, ...] = ()
    give: tuple[str, ...] = ()
    closes: tuple[str, ...] = ()
    """Incidents that end here: their claims and holds are let go."""


@dataclass(frozen=True)
class Stored:
    """All of it is written."""


@dataclass(frozen=True)
class HeadMoved:
    """This journal's head is another one; nothing is written."""

    incident: str
    seq: int


@dataclass(frozen=True)
class EpochOld:
    """The epoch is not the one it must be; nothing is written."""

    now: int


@dataclass(frozen=True)
class PairClaimed:
    """Another incident has the pair; nothing is written."""

    by: str


@dataclass(frozen=True)
class HoldTaken:
    """Another incident has this hold; nothing is written."""

    hold: str
    by: str


Answer = Stored | HeadMoved | EpochOld | PairClaimed | HoldTaken


class Store(Protocol):
    """Raises `Unreachable` where it cannot answer; `commit` raises `NotStored` or `Unconfirmed` instead."""

    def commit(self, batch: Batch) -> Answer: ...

    def lines(self, incident: str, after: int) -> Sequence[bytes]: ...

    def listed(self) -> Sequence[Listed]: ...

    def holds(self) -> Mapping[str, str]: ...

    def bells(self, after: str, wait_s: float) -> Sequence[Bell]: ...

    def last_bell(self) -> str: ...

    def lease(self, incident: str, owner: str, ttl_s: float) -> bool: ...

    def leased_by(self, incident: str) -> str | None: ...

    def release(self, incident: str, owner: str) -> None: ...

    def clock_offset_ms(self) -> int: ...
