"""The register: what belongs to the installation and not to one incident.

Gapless incident numbers with opening and closing heads are written by the journal itself; here stand refusals
outside incidents, the texts of policy and estate as processes were given them, starts, exports, reviews, and the
last look at everybody's account, kept for the day Slack is gone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final, Literal

from incident.events import (
    Account,
    Actor,
    Event,
    Exported,
    Halted,
    HaltOver,
    IncidentClosed,
    IncidentOpened,
    PeopleLooked,
    Reviewed,
    Started,
    TextStated,
)
from incident.journal import REGISTER, Halt, Journal, Moved, NoSuchIncident
from incident.persons import LOOK_KEPT
from incident.policy import Person, Policy
from incident.record import Record, canonical, digest

_TRIES: Final = 100


@dataclass(frozen=True)
class Numbered:
    """One incident as the register has it."""

    number: int
    incident: str
    opened_at: datetime
    opening_head: str
    closed_at: datetime | None = None
    closing_head: str = ""


@dataclass(frozen=True)
class StandingHalt:
    """A worker that does nothing on an incident because it cannot believe, or cannot keep, its journal."""

    incident: str
    what: Literal["shorter", "differs", "unbelievable", "copy"]
    text: str
    by: str
    """The writer that said so, by its own signature."""
    host: str
    at: datetime
    seq: int

    @property
    def for_all(self) -> bool:
        """Whether no hand may go on: a store that lost records or shows other ones is no matter of one host, while a
        key that is missing or a full disk is."""
        return self.what in ("shorter", "differs")


def policy_text(policy: Policy) -> str:
    """The policy as canonical JSON: the same policy is always the same text, whatever file it came from."""
    data = policy.model_dump(mode="json")
    for person in data["persons"]:
        person["roles"] = sorted(person["roles"])
    return canonical(data).decode("utf-8")


class Register:
    """The register of one installation, over its journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def records(self) -> tuple[Record, ...]:
        """Every verified record; none where nothing was written yet."""
        try:
            return tuple(self._journal.read(REGISTER))
        except NoSuchIncident:
            return ()

    # --- writing -------------------------------------------------------------------------------------------

    def write(self, *events: Event) -> None:
        """Appends, again where somebody was faster."""
        self._write(lambda _: events)

    def _write(self, make: Callable[[tuple[Record, ...]], Iterable[Event]]) -> None:
        for _ in range(_TRIES):
            head = self._journal.head(REGISTER)
            events = tuple(make(self.records()))
            if not events:
                return
            try:
                self._journal.append(head, events)
                return
            except Moved:
                continue
        raise Moved(REGISTER, 0)

    def started(self, what: str, version: str, host: str) -> None:
        """A process came up."""
        self.write(Started(what=what, version=version, host=host))

    def state_text(self, what: Literal["policy", "estate"], text: str, text_digest: str = "") -> None:
        """Writes the text down where it is new: the last text of this kind has another digest."""
        seal = text_digest or digest(text)

        def fresh(records: tuple[Record, ...]) -> Iterable[Event]:
            last = _last_text(records, what)
            known = last is not None and last.digest == seal
            return () if known else (TextStated(what=what, digest=seal, text=text),)

        self._write(fresh)

    def state_policy(self, policy: Policy) -> None:
        """Writes the policy down where it is new."""
        self.state_text("policy", policy_text(policy))

    def exported(self, incident: str, head: str, actor: Actor | None = None) -> None:
        """A record left the house."""
        self.write(Exported(actor=actor, incident=incident, head=head))

    def reviewed(self, actor: Actor, incident: str, text: str = "") -> None:
        """Somebody looked at a record afterwards and signs it off."""
        self.write(Reviewed(actor=actor, incident=incident, text=text))

    def looked(self, accounts: dict[str, Account]) -> None:
        """What Slack said of everybody (`TEAM/USER` -> account)."""
        self.write(PeopleLooked(accounts=accounts))

    def halted(self, by: str, halt: Halt, host: str) -> bool:
        """A worker, which writes as `by`, does nothing on an incident any more. True: that is new."""
        new = Halted(incident=halt.incident, what=halt.kind, text=halt.text[:600], host=host)
        written: list[Event] = []

        def fresh(records: tuple[Record, ...]) -> Iterable[Event]:
            stands = [(h.by, h.what) for h in halts_in(records) if h.incident == halt.incident]
            written[:] = [] if (by, halt.kind) in stands else [new]
            return tuple(written)

        self._write(fresh)
        return bool(written)

    def believed_again(self, by: str, incident: str, host: str) -> None:
        """The same worker reads the journal as it should be."""

        def over(records: tuple[Record, ...]) -> Iterable[Event]:
            mine = any(h.by == by and h.incident == incident for h in halts_in(records))
            return (HaltOver(incident=incident, host=host),) if mine else ()

        self._write(over)

    # --- reading -------------------------------------------------------------------------------------------

    def halts(self, incident: str = "") -> tuple[StandingHalt, ...]:
        """Where a worker stands still because of a journal, for one incident or for all."""
        return tuple(h for h in halts_in(self.records()) if incident in ("", h.incident))

    def numbers(self) -> tuple[Numbered, ...]:
        """Every incident with its number, in order."""
        return numbers_in(self.records())

    def number_of(self, incident: str) -> Numbered | None:
        """The incident's own entry."""
        return next((n for n in self.numbers() if n.incident == incident), None)

    def reviews(self, incident: str) -> tuple[tuple[datetime, str, str], ...]:
        """(when, who, what they wrote) of each review."""
        found = []
        for record in self.records():
            event = record.event
            if isinstance(event, Reviewed) and event.incident == incident:
                found.append((record.when, event.actor.name if event.actor else "", event.text))
        return tuple(found)

    def text_on(self, what: Literal["policy", "estate"], moment: datetime) -> str | None:
        """The text in force at that moment, as last stated; None where none was."""
        last = _last_text((r for r in self.records() if r.when <= moment), what)
        return last.text if last else None

    def people_on(self, day: date, end: datetime | None = None) -> tuple[Person, ...]:
        """Everybody of the policy in force at the end of that day (UTC, unless `end` is given), in contact order.

        Raises LookupError where no policy had been stated by then.
        """
        moment = end or _end_of(day)
        text = self.text_on("policy", moment)
        if text is None:
            raise LookupError(
                f"The register holds no policy from {day} or before, so it cannot say who could do what then. The bot "
                "writes the policy into it when it starts, and after each change."
            )
        policy = Policy.model_validate(json.loads(text))
        return tuple(sorted(policy.persons, key=lambda p: (p.order, p.name)))

    def last_look(self, now: datetime) -> dict[str, Account]:
        """What Slack last said of everybody, not older than 24 h; empty where there is none."""
        for record in reversed(self.records()):
            event = record.event
            if isinstance(event, PeopleLooked):
                return {k: a for k, a in event.accounts.items() if now - (a.looked_at or record.when) <= LOOK_KEPT}
        return {}


def halts_in(records: Iterable[Record]) -> tuple[StandingHalt, ...]:
    """The halts that these records of the register leave standing: each ends by a word of the worker that said it."""
    found: dict[tuple[str, str, str], StandingHalt] = {}
    for record in records:
        if record.kind not in ("halted", "halt_over"):
            continue
        event = record.event
        if isinstance(event, Halted):
            found[record.by, event.incident, event.what] = StandingHalt(
                event.incident, event.what, event.text, record.by, event.host, record.when, record.seq
            )
        elif isinstance(event, HaltOver):
            found = {k: h for k, h in found.items() if k[:2] != (record.by, event.incident)}
    return tuple(found.values())


def numbers_in(records: Iterable[Record]) -> tuple[Numbered, ...]:
    """The incidents that these records of the register name."""
    found: dict[str, Numbered] = {}
    for record in records:
        event = record.event
        if isinstance(event, IncidentOpened):
            found[event.incident] = Numbered(event.number, event.incident, record.when, event.head)
        elif isinstance(event, IncidentClosed) and event.incident in found:
            first = found[event.incident]
            found[event.incident] = Numbered(
                first.number, first.incident, first.opened_at, first.opening_head, record.when, event.head
            )
    return tuple(sorted(found.values(), key=lambda n: n.number))


def gaps(numbers: Iterable[Numbered]) -> tuple[str, ...]:
    """What is wrong with the numbers, in words; empty where they run from 1 without gap or repeat."""
    given = [n.number for n in numbers]
    wrong = [f"number {n} is missing" for n in range(1, max(given, default=0) + 1) if n not in given]
    return (*wrong, *(f"number {n} was given twice" for n in sorted({n for n in given if given.count(n) > 1})))


def _last_text(records: Iterable[Record], what: str) -> TextStated | None:
    last = None
    for record in records:
        event = record.event
        if isinstance(event, TextStated) and event.what == what:
            last = event
    return last


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time.max, tzinfo=UTC)
