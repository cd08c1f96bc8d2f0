"""The journal over any store: signs what is appended, believes nothing it reads, and keeps this host's copy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from incident.believe import NotBelieved, believe
from incident.copies import Copies
from incident.events import Closed, Event, HandTaken, IncidentClosed, IncidentOpened
from incident.journal import (
    REGISTER,
    BadJournal,
    Bell,
    Fenced,
    Head,
    HeldBy,
    IncidentExists,
    JournalDiffers,
    JournalShorter,
    Listed,
    Moved,
    NoSuchIncident,
    NotStored,
    Over,
    PairBusy,
    WrongWriter,
)
from incident.journals.store import Batch, EpochOld, HeadMoved, HoldTaken, PairClaimed, Part, Store
from incident.keys import Keys, Writer
from incident.record import Record, is_name, write_record

COMPARE_ALL_EVERY_S: Final = 5.0
"""How often a reading compares the whole journal with the copy; between, only what is new and the last record."""
_REGISTER_TRIES: Final = 50


@dataclass
class Book:
    """What this process has verified of one journal."""

    records: list[Record] = field(default_factory=list)
    compared_at: float = float("-inf")
    """When the whole was last compared with the copy, by the monotonic clock in seconds."""
    copied: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def head(self, incident: str) -> Head:
        """The last verified record."""
        if not self.records:
            return Head.before_first(incident)
        last = self.records[-1]
        return Head(incident, last.seq, last.h, last.at)


@dataclass(frozen=True)
class _Written:
    """Records made for one journal, not yet stored."""

    at: Head
    records: tuple[Record, ...]

    @property
    def part(self) -> Part:
        lines = tuple(record.line for record in self.records)
        new_h = self.records[-1].h if self.records else self.at.h
        return Part(self.at.incident, self.at.seq, self.at.h, lines, new_h)


class SignedJournal:
    """See `incident.journal.Journal`. Threads may share it; a forked process may go on with it.

    `writer` None makes a reader. `copies` None keeps no copy on disk (tests, rehearsal in memory); what this
    process has verified itself is still compared. `known` is what it has verified already, journal -> records from the
    first on: compared like everything else, and not judged again.
    """

    def __init__(
        self,
        store: Store,
        *,
        keys: Keys,
        writer: Writer | None,
        copies: Copies | None,
        known: Mapping[str, Sequence[Record]] = MappingProxyType({}),
    ) -> None:
        self._store = store
        self._keys = keys
        self._writer = writer
        self._copies = copies
        self._books = {name: Book(records=list(records)) for name, records in known.items()}
        self._books_lock = threading.Lock()

    # --- writing -------------------------------------------------------------------------------------------

    def open(
        self,
        incident: str,
        pair: str | None,
        first: Sequence[Event] | Callable[[int], Sequence[Event]],
        *,
        over: Over | None = None,
    ) -> Head:
        """See `Journal.open`."""
        touched = (incident, REGISTER) if over is None else (incident, over.at.incident, REGISTER)
        with self._locked(*touched):
            for _ in range(_REGISTER_TRIES):
                number = self._last_number() + 1
                events = tuple(first(number)) if callable(first) else tuple(first)
                written = [self._write(Head.before_first(incident), events)]
                head = written[0].records[-1].h
                opened = IncidentOpened(number=number, incident=incident, head=head, actor=events[0].actor)
                entries: list[Event] = [opened]
                closes: tuple[str, ...] = ()
                if over is not None and over.events:
                    self._known_up_to(over.at)
                    written.append(self._write(over.at, over.events))
                    if _closes(over.events):
                        closes = (over.at.incident,)
                        entries.append(self._closing(written[-1]))
                written.append(self._write(self._book(REGISTER).head(REGISTER), entries))
                from_ = None if over is None else over.at.incident
                batch = Batch(tuple(w.part for w in written), opens=True, pair=pair, pair_from=from_, closes=closes)
                if self._commit(batch, written):
                    return self._book(incident).head(incident)
            raise _register_busy()

    def append(
        self,
        at: Head,
        events: Sequence[Event],
        *,
        epoch: int | None = None,
        take: Sequence[str] = (),
        give: Sequence[str] = (),
    ) -> Head:
        """See `Journal.append`."""
        if not events and not take and not give:
            return at
        closing = _closes(events)
        with self._locked(at.incident, *((REGISTER,) if closing else ())):
            self._known_up_to(at)
            main = self._write(at, events)
            for _ in range(_REGISTER_TRIES):
                written = [main]
                if closing:
                    self._sync(REGISTER)
                    written.append(self._write(self._book(REGISTER).head(REGISTER), [self._closing(main)]))
                batch = Batch(
                    tuple(w.part for w in written),
                    epoch=epoch,
                    raises_epoch=any(isinstance(e, HandTaken) and e.epoch == epoch for e in events),
                    take=tuple(take),
                    give=tuple(give),
                    closes=(at.incident,) if closing else (),
                )
                if self._commit(batch, written):
                    return self._book(at.incident).head(at.incident)
            raise _register_busy()

    def _write(self, at: Head, events: Sequence[Event]) -> _Written:
        """Makes and signs the records that follow `at`."""
        if self._writer is None:
            raise WrongWriter("This process only reads the journal; it has no key to sign with.")
        records: list[Record] = []
        for event in events:
            if self._writer.kind not in event.WRITERS:
                raise WrongWriter(f"A {self._writer.kind} may not write {type(event).__name__}. Nothing was stored.")
            last = records[-1] if records else at
            record = write_record(
                event,
                incident=at.incident,
                seq=last.seq + 1,
                prev=last.h,
                not_before=last.at,
                now=self._writer.now(),
                mono_ms=self._writer.mono_ms(),
                boot=self._writer.boot,
                by=self._writer.name,
                sign=self._writer.sign,
            )
            records.append(record)
        return _Written(at, tuple(records))

    def _commit(self, batch: Batch, written: Sequence[_Written]) -> bool:
        """True: stored and copied. False: only the register had moved; make its entry anew and try again."""
        incident = batch.parts[0].incident
        answer = self._store.commit(batch)
        if isinstance(answer, HeadMoved):
            if answer.incident == REGISTER and incident != REGISTER:
                return False
            if answer.incident == incident and batch.opens:
                raise IncidentExists(incident)
            raise Moved(answer.incident, answer.seq)
        if isinstance(answer, EpochOld):
            raise Fenced(incident, batch.epoch or 0, answer.now)
        if isinstance(answer, PairClaimed):
            raise PairBusy(batch.pair or "", answer.by)
        if isinstance(answer, HoldTaken):
            raise HeldBy(answer.hold, answer.by)
        for new in written:
            book = self._book(new.at.incident)
            book.records.extend(new.records)
            if new.at.seq == 0 and self._copies is not None:
                book.copied = True
            self._copy(new.at.incident, new.at.seq, new.part.lines)
        return True

    def _closing(self, closed: _Written) -> IncidentClosed:
        incident = closed.at.incident
        for record in self._book(REGISTER).records:
            if isinstance(record.event, IncidentOpened) and record.event.incident == incident:
                actor = closed.records[-1].event.actor
                return IncidentClosed(
                    number=record.event.number, incident=incident, head=closed.records[-1].h, actor=actor
                )
        raise BadJournal(
            REGISTER,
            len(self._book(REGISTER).records),
            f"It does not know {incident}, which is open all the same.",
        )

    def _last_number(self) -> int:
        for record in reversed(self._sync(REGISTER)):
            if isinstance(record.event, IncidentOpened):
                return record.event.number
        return 0

    def _known_up_to(self, at: Head) -> None:
        """Makes sure that `at` is the head this process has verified; raises `Moved` if it is not."""
        book = self._book(at.incident)
        if len(book.records) < at.seq or not book.records:
            self._sync(at.incident)
        if not book.records and at.incident != REGISTER:
            raise NoSuchIncident(at.incident)
        head = book.head(at.incident)
        if (head.seq, head.h) != (at.seq, at.h):
            raise Moved(at.incident, head.seq)

    # --- reading -------------------------------------------------------------------------------------------

    def read(self, incident: str, after: int = 0) -> Sequence[Record]:
        """See `Journal.read`."""
        if not is_name(incident):
            # It would go into a path and into a key of the store.
            raise NoSuchIncident(incident)
        with self._locked(incident):
            records = self._sync(incident)
            if not records and incident != REGISTER:
                raise NoSuchIncident(incident)
            return tuple(records[after:])

    def lines(self, incident: str) -> Sequence[bytes]:
        """See `Journal.lines`."""
        return self._store.lines(incident, 0)

    def head(self, incident: str) -> Head:
        """See `Journal.head`."""
        with self._locked(incident):
            self.read(incident)
            return self._book(incident).head(incident)

    def _sync(self, incident: str) -> list[Record]:
        """Brings this process's book up to the store, believing only what may be believed."""
        book = self._book(incident)
        if book.records and time.monotonic() - book.compared_at < COMPARE_ALL_EVERY_S:
            have = len(book.records)
            lines = self._store.lines(incident, have - 1)
            if lines and lines[0] == book.records[-1].line:
                self._take_in(incident, book, lines[1:])
                self._copy(incident, have, lines[1:])
                return book.records
        self._compare_all(incident, book)
        return book.records

    def _compare_all(self, incident: str, book: Book) -> None:
        # The copy is read before the store: another process of this host copies only what is stored already, so
        # a copy that is longer than a later look at the store proves that the store lost something.
        copied = [] if self._copies is None else self._copies.lines(incident)
        known = [record.line for record in book.records]
        lines = self._store.lines(incident, 0)
        for witness in (copied, known):
            for number, (old, now) in enumerate(zip(witness, lines, strict=False), 1):
                if old != now:
                    raise JournalDiffers(incident, number)
            if len(lines) < len(witness):
                raise JournalShorter(incident, len(lines), len(witness))
        self._take_in(incident, book, lines[len(known) :])
        open_still = not any(record.kind == "closed" for record in book.records)
        book.copied = self._copies is not None and (bool(copied) or open_still)
        self._copy(incident, len(copied), lines[len(copied) :])
        book.compared_at = time.monotonic()

    def _take_in(self, incident: str, book: Book, lines: Sequence[bytes]) -> None:
        for line in lines:
            previous = book.records[-1] if book.records else None
            try:
                book.records.append(believe(line, incident, previous, self._keys))
            except NotBelieved as bad:
                raise BadJournal(incident, len(book.records) + 1, str(bad)) from None

    def _copy(self, incident: str, after: int, lines: Sequence[bytes]) -> None:
        if self._copies is not None and self._book(incident).copied:
            self._copies.add(incident, after, lines)

    # --- the rest is the store's -----------------------------------------------------------------------------

    def incidents(self) -> Sequence[Listed]:
        """See `Journal.incidents`."""
        return self._store.listed()

    def holds(self) -> Mapping[str, str]:
        """See `Journal.holds`."""
        return self._store.holds()

    def bells(self, after: str, wait_s: float) -> Sequence[Bell]:
        """See `Journal.bells`."""
        return self._store.bells(after, wait_s)

    def last_bell(self) -> str:
        """See `Journal.last_bell`."""
        return self._store.last_bell()

    def lease(self, incident: str, owner: str, ttl_s: float) -> bool:
        """See `Journal.lease`."""
        return self._store.lease(incident, owner, ttl_s)

    def leased_by(self, incident: str) -> str | None:
        """See `Journal.leased_by`."""
        return self._store.leased_by(incident)

    def release(self, incident: str, owner: str) -> None:
        """See `Journal.release`."""
        self._store.release(incident, owner)

    def clock_offset_ms(self) -> int:
        """See `Journal.clock_offset_ms`."""
        return self._store.clock_offset_ms()

    def _book(self, incident: str) -> Book:
        with self._books_lock:
            return self._books.setdefault(incident, Book())

    @contextmanager
    def _locked(self, *incidents: str) -> Iterator[None]:
        """One thread at a time on each of these journals; always in the same order, the register last."""
        with ExitStack() as held:
            for name in sorted(set(incidents), key=lambda name: (name == REGISTER, name)):
                held.enter_context(self._book(name).lock)
            yield


def _closes(events: Sequence[Event]) -> bool:
    return any(isinstance(event, Closed) for event in events)


def _register_busy() -> NotStored:
    return NotStored(
        f"Others wrote the register {_REGISTER_TRIES} times while this incident was being opened or closed. "
        f"Nothing was stored; try again."
    )
