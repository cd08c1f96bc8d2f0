"""The journal: the only truth about an incident, and what can go wrong with it.

Appending is *compare and append*: the caller says which head it decided upon, and the store refuses if the head
has moved or the caller's epoch is old. A decision that lost the race is decided again on the new state. Opening
and closing an incident write the register in the same stroke. *Acknowledged* means: the store accepted it, this
host's own copy is on the disk, and only then the caller is told.

No type, id or exception of a particular store crosses this line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from incident.events import Event
from incident.record import GENESIS, Record, is_name

REGISTER: Final = "register"
"""The journal of the installation: incident numbers, and what belongs to no incident."""


@dataclass(frozen=True)
class Head:
    """The end of a journal as somebody saw it: how many records, the last one's hash and time."""

    incident: str
    seq: int
    h: str
    at: str

    @classmethod
    def before_first(cls, incident: str) -> Head:
        """The head of a journal in which nothing stands yet."""
        return cls(incident, 0, GENESIS, "")


@dataclass(frozen=True)
class Bell:
    """Something was appended: look at this incident. `id` is what to wait after; its inside means nothing."""

    id: str
    incident: str
    seq: int


@dataclass(frozen=True)
class Listed:
    """One line of the list of incidents. `pair` is None when the incident holds no claim any more."""

    incident: str
    seq: int
    h: str
    epoch: int
    open: bool
    pair: str | None


@dataclass(frozen=True)
class Over:
    """The incident a declaration ends or stops, and what is written there in the same stroke.

    Its claim on the pair passes to the new incident.
    """

    at: Head
    events: tuple[Event, ...]


class JournalError(Exception):
    """Something about the journal. The text is for a tired person: what, where, what is certain, what next."""


class Moved(JournalError):
    """Somebody else appended first. Nothing of this append was stored; decide again on the new state."""

    def __init__(self, incident: str, seq: int) -> None:
        super().__init__(
            f"Somebody else wrote record {seq} of {incident} first; nothing of this was stored. Look again and decide."
        )
        self.incident, self.seq = incident, seq


class Fenced(JournalError):
    """Another hand took the run over. This hand may append nothing more and must stop."""

    def __init__(self, incident: str, mine: int, now: int) -> None:
        super().__init__(
            f"Another hand has taken over {incident} (epoch {now}, this hand had {mine}). Nothing was stored; "
            f"this hand stops."
        )
        self.incident, self.mine, self.now = incident, mine, now


class NotStored(JournalError):
    """Certainly not stored. Whatever was to follow must not happen."""


class Unconfirmed(JournalError):
    """It cannot be known whether this was stored, or a copy is missing. Whatever was to follow must not happen."""


class PairBusy(JournalError):
    """The pair of pools is claimed by another incident."""

    def __init__(self, pair: str, by: str) -> None:
        super().__init__(f"The pair {pair} is already in the hands of incident {by}. Nothing was opened.")
        self.pair, self.by = pair, by


class HeldBy(JournalError):
    """Something this step needs is held by another incident. Nothing was stored."""

    def __init__(self, hold: str, by: str) -> None:
        super().__init__(f"{hold} is held by incident {by}. Nothing was stored.")
        self.hold, self.by = hold, by


class NoSuchIncident(JournalError):
    """There is no journal of that name."""

    def __init__(self, incident: str) -> None:
        # A button or a command line may name anything; what is no name at all is not repeated.
        shown = incident if is_name(incident) else "of that name"
        super().__init__(f"There is no incident {shown} in this journal. See: lync-dr audit list")
        self.incident = incident


class IncidentExists(JournalError):
    """An incident of that name was opened before."""

    def __init__(self, incident: str) -> None:
        super().__init__(f"Incident {incident} exists already. Nothing was opened; choose the next letter.")
        self.incident = incident


class WrongWriter(JournalError):
    """This process may not write such an event; a fault in the program, not in the journal."""


class Unreachable(JournalError):
    """The store does not answer, or refuses. Nothing was learned and nothing was changed."""


class WeakStore(JournalError):
    """The store would forget what it acknowledged."""


class BadJournal(JournalError):
    """A record that cannot be believed: chain, signature, writer or content."""

    def __init__(self, incident: str, seq: int, why: str) -> None:
        super().__init__(
            f"Record {seq} of {incident} cannot be believed. {why} Nothing will be done on this journal. "
            f"Keep the store as it is, and compare: lync-dr audit verify {incident}"
        )
        self.incident, self.seq, self.why = incident, seq, why


class JournalDiffers(JournalError):
    """The store shows another record than this host saw before."""

    def __init__(self, incident: str, seq: int) -> None:
        super().__init__(
            f"Record {seq} of {incident} in the store is not the one this host saw and copied. Somebody rewrote the "
            f"journal, or it is another store. Nothing will be done; keep both, and compare them with audit verify."
        )
        self.incident, self.seq = incident, seq


class JournalShorter(JournalError):
    """The store has lost its end: it is a true prefix of this host's copy."""

    def __init__(self, incident: str, store_seq: int, copy_seq: int) -> None:
        super().__init__(
            f"The journal of {incident} ends at record {store_seq}, but this host has acknowledged records up to "
            f"{copy_seq}. The store lost its end, or somebody cut it. Nothing will be done until the missing records "
            f"are put back from the copy."
        )
        self.incident, self.store_seq, self.copy_seq = incident, store_seq, copy_seq


class CopyTrouble(JournalError):
    """This host's own copy cannot be read or written."""


@dataclass(frozen=True)
class Halt:
    """Why nothing is done about one incident any more, until people have looked: a record that cannot be believed."""

    incident: str
    kind: Literal["shorter", "differs", "unbelievable", "copy"]
    """Said once for each incident and kind."""
    text: str


def halt_of(trouble: BaseException, incident: str = "") -> Halt | None:
    """The halt that a journal's exception means; None where the store is merely away or somebody was faster.

    `incident` is what was asked for, where the exception does not say.
    """
    if isinstance(trouble, JournalShorter):
        return Halt(trouble.incident, "shorter", str(trouble))
    if isinstance(trouble, JournalDiffers):
        return Halt(trouble.incident, "differs", str(trouble))
    if isinstance(trouble, BadJournal):
        return Halt(trouble.incident, "unbelievable", str(trouble))
    return Halt(incident, "copy", str(trouble)) if isinstance(trouble, CopyTrouble) else None


class Journal(Protocol):
    """One installation's journals. Every method may raise `Unreachable`; reading may raise `BadJournal`,
    `JournalDiffers`, `JournalShorter` and `CopyTrouble`."""

    def open(
        self,
        incident: str,
        pair: str | None,
        first: Sequence[Event] | Callable[[int], Sequence[Event]],
        *,
        over: Over | None = None,
    ) -> Head:
        """Opens an incident, claims its pair and gives it the next number in the register, all or nothing.

        `first` may be a function of that number. With `over`, the claim passes from that incident.
        Raises `PairBusy`, `IncidentExists`, `Moved` (of `over`), `NotStored`, `Unconfirmed`.
        """
        ...

    def append(
        self,
        at: Head,
        events: Sequence[Event],
        *,
        epoch: int | None = None,
        take: Sequence[str] = (),
        give: Sequence[str] = (),
    ) -> Head:
        """Appends all events or none, if the head is still `at`. Without events it only takes and gives holds.

        `epoch` is the hand's: with a `HandTaken` among the events it must be the next one, otherwise the present
        one, or `Fenced`. `take` claims estate-wide holds for this incident in the same stroke, or `HeldBy`;
        `give` lets go of holds it has. A `Closed` event also writes the register, frees the pair and lets go of
        every hold. Raises `Moved`, `Fenced`, `HeldBy`, `NotStored`, `Unconfirmed`.
        """
        ...

    def read(self, incident: str, after: int = 0) -> Sequence[Record]:
        """The verified records after number `after`, checked against this host's copy. Raises `NoSuchIncident`."""
        ...

    def lines(self, incident: str) -> Sequence[bytes]:
        """The lines as they stand in the store, believed or not: for verify, and for nothing else."""
        ...

    def head(self, incident: str) -> Head:
        """The verified head. For the register before its first record: `Head.before_first`."""
        ...

    def incidents(self) -> Sequence[Listed]:
        """Every incident, oldest name first, without the register and without checking their records."""
        ...

    def holds(self) -> Mapping[str, str]:
        """Hold -> the incident that has it."""
        ...

    def bells(self, after: str, wait_s: float) -> Sequence[Bell]:
        """The bells after that one, waiting up to `wait_s` seconds for the first. "" means from the oldest kept."""
        ...

    def last_bell(self) -> str:
        """The id to wait after in order to hear only what is yet to come."""
        ...

    def lease(self, incident: str, owner: str, ttl_s: float) -> bool:
        """Takes or renews the advisory lease; False if another owner has it. It only says when to look."""
        ...

    def leased_by(self, incident: str) -> str | None:
        """Who holds the lease now."""
        ...

    def release(self, incident: str, owner: str) -> None:
        """Lets the lease go, if it is this owner's."""
        ...

    def clock_offset_ms(self) -> int:
        """The store's clock minus this host's, in milliseconds."""
        ...
