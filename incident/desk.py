"""The desk: the one way to do something about an incident. Read, fold, decide, append; again where somebody was
faster.

Bot, command line and workers each have a desk over their own journal, with their own policy. Refusals are written
too: once for each person, card and reason, then counted at 10, 100, … and, where anything is left uncounted, when
the question ends.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from string import ascii_lowercase
from typing import Final

from incident.commands import (
    AddNote,
    Approve,
    BeginCall,
    Cancel,
    Command,
    Declare,
    Decline,
    GoOn,
    Refusal,
    StartRun,
    Stop,
    TakeHand,
    Tick,
)
from incident.decide import decide
from incident.decide.case import Case, no
from incident.events import (
    Closed,
    Declined,
    Event,
    HandTaken,
    Lapsed,
    Noted,
    Refused,
    Revoked,
    StopOrdered,
    Voided,
    Voted,
)
from incident.fold import apply, refusal_key
from incident.journal import (
    REGISTER,
    BadJournal,
    Head,
    IncidentExists,
    Journal,
    JournalDiffers,
    JournalError,
    JournalShorter,
    Listed,
    Moved,
    NoSuchIncident,
    Over,
    PairBusy,
)
from incident.policy import Rules
from incident.record import Record, is_name
from incident.register import Register
from incident.state import Incident

TRIES: Final = 200
"""Races lost before giving up; each loss means that somebody else's append went through."""
HOLDING_BACK: Final = (Stop, Decline, Cancel, AddNote, Tick)
"""Commands that can start nothing."""
CODE_LIVES: Final = timedelta(minutes=10)
"""Far longer than a one-time code can be used (RFC 6238 steps of 30 s, one early or late) with clocks that are off."""
NEEDS_PAIR: Final = (GoOn, StartRun, BeginCall)
"""Commands that only the incident with the claim on the pair may give."""
NEEDS_BELIEF: Final = (TakeHand, StartRun, BeginCall)
"""Commands that no hand may give while one of them has seen that the journal is not what it was."""
LETTERS: Final = (*ascii_lowercase, *(a + b for a in ascii_lowercase for b in ascii_lowercase))


@dataclass(frozen=True)
class Answer:
    """What became of one command."""

    incident: str
    state: Incident | None
    """The incident afterwards; None where there is none."""
    events: tuple[Event, ...] = ()
    """What was appended for the command itself; empty where nothing was due."""
    refusal: Refusal | None = None
    opened: bool = False
    joined: bool = False

    @property
    def ok(self) -> bool:
        """The command was not refused."""
        return self.refusal is None


@dataclass(frozen=True)
class Around:
    """The open incidents that can be read, and for each other one why it cannot."""

    incidents: tuple[Incident, ...]
    unreadable: Mapping[str, JournalError]


class NoRules(JournalError):
    """The policy cannot be used now, so nothing is decided by it. `last` is the policy that was good before, if any."""

    def __init__(self, text: str, last: Rules | None = None) -> None:
        super().__init__(text)
        self.last = last


class TooBusy(Exception):
    """Somebody else was faster every time. Nothing of this was stored."""


@dataclass
class _Folded:
    """One incident as far as this process has folded it."""

    state: Incident
    head: Head


@dataclass
class _Seen:
    """A refusal that was seen again, and how often it has been seen in all."""

    event: Refused
    count: int


class Desk:
    """Threads may share one desk. `rules` may be a function, so that a policy read afresh counts at once."""

    def __init__(
        self,
        journal: Journal,
        rules: Rules | Callable[[], Rules],
        clock: Callable[[], datetime],
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.journal = journal
        self.clock = clock
        self._rules = rules
        self._pause = pause
        self._folded: dict[str, _Folded] = {}
        self._seen: dict[tuple[str, tuple[str, str, str]], _Seen] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()

    @property
    def rules(self) -> Rules:
        """The rules as they are now."""
        given = self._rules
        return given() if callable(given) else given

    def _rules_for(self, command: Command) -> Rules:
        """The rules now, with the codes that are spent elsewhere. What only holds a run back is also decided by the
        last good policy: a typing error in the file must not take anybody's stop away."""
        try:
            rules = self.rules
        except NoRules as unusable:
            if unusable.last is None or not isinstance(command, HOLDING_BACK):
                raise
            rules = unusable.last
        if not _carries_code(command):
            return rules
        try:
            return rules.model_copy(update={"spent": self.spent()})
        except JournalError:
            if not isinstance(command, HOLDING_BACK):
                raise
            return rules

    def spent(self) -> Mapping[str, int]:
        """Person -> the step of the last one-time code that proved them lately, anywhere in this installation.

        Looked at are the register (reviews), every open incident, and those closed since a code could have been given.
        An incident that cannot be believed is passed over: it must not take the others' voice away.
        """
        since = self.clock() - CODE_LIVES
        found: dict[str, int] = {}
        lately = self._since(REGISTER, since)
        closed = {str(r.body["incident"]) for r in lately if r.kind == "incident_closed"}
        names = {line.incident for line in self.journal.incidents() if line.open} | closed
        records = list(lately)
        for name in sorted(names):
            with suppress(BadJournal, JournalDiffers, JournalShorter, NoSuchIncident):
                records += self._since(name, since)
        for record in records:
            actor, step = record.actor or {}, (record.actor or {}).get("code_step")
            if step is not None and actor.get("person") and record.kind != "refused":
                found[actor["person"]] = max(found.get(actor["person"], 0), int(step))
        return found

    def _since(self, name: str, since: datetime) -> list[Record]:
        """The records of one journal that are not older, the newest first."""
        return list(takewhile(lambda record: record.when >= since, reversed(self.journal.read(name))))

    # --- reading -------------------------------------------------------------------------------------------

    def state(self, incident: str) -> Incident:
        """The incident as the journal has it now. Raises `NoSuchIncident` and what reading raises."""
        with self._one(incident):
            return self._look(incident).state

    def records(self, incident: str, after: int = 0) -> Sequence[Record]:
        """The verified records after number `after`."""
        return self.journal.read(incident, after)

    def look_around(self) -> Around:
        """Every open incident. One whose journal cannot be believed hides no other; a store that is away is raised."""
        found: list[Incident] = []
        unreadable: dict[str, JournalError] = {}
        for line in self.journal.incidents():
            if not line.open:
                continue
            try:
                found.append(self.state(line.incident))
            except (BadJournal, JournalDiffers, JournalShorter, NoSuchIncident) as bad:
                # None of that name: the store's index lists what stands nowhere.
                unreadable[line.incident] = bad
            except (KeyError, ValueError, TypeError, AssertionError) as bad:
                why = f"This version cannot make sense of it ({type(bad).__name__})."
                unreadable[line.incident] = BadJournal(line.incident, line.seq, why)
        return Around(tuple(found), unreadable)

    def open_incidents(self) -> tuple[Incident, ...]:
        """Every open incident that can be read, oldest name first."""
        return self.look_around().incidents

    def find(self, pool: str) -> Incident | None:
        """The open incident whose pool, or whose partner, has this name; the pool's own first."""
        found = self.open_incidents()
        return next((i for i in found if i.declared.pool == pool), None) or next(
            (i for i in found if i.declared.partner == pool), None
        )

    def _one(self, incident: str) -> threading.RLock:
        with self._lock:
            return self._locks.setdefault(incident, threading.RLock())

    def _look(self, incident: str) -> _Folded:
        if incident == REGISTER:
            # The register tells no incident, whatever a button or a command line names.
            raise NoSuchIncident(incident)
        known = self._folded.get(incident)
        records = self.journal.read(incident, known.head.seq if known else 0)
        if not records:
            if known is None:
                raise NoSuchIncident(incident)
            return known
        state = known.state if known else None
        for record in records:
            state = apply(state, record)
        last = records[-1]
        assert state is not None
        folded = _Folded(state, Head(incident, last.seq, last.h, last.at))
        self._folded[incident] = folded
        return folded

    # --- doing ---------------------------------------------------------------------------------------------

    def do(self, incident: str, command: Command, *, take: Sequence[str] = (), give: Sequence[str] = ()) -> Answer:
        """Decides the command on the newest state and appends what follows. `take` and `give` are estate-wide holds.

        Raises what appending raises (`Fenced`, `HeldBy`, `NotStored`, `Unconfirmed`, …); `Moved` never comes out.
        """
        if isinstance(command, Declare):
            return self.declare(command)
        if isinstance(command, Approve):
            # Whoever takes approvals, bot or terminal, is judged by the same clock as the worker that will act.
            command = replace(command, clock_off_s=round(self.journal.clock_offset_ms() / 1000))
        for attempt in range(TRIES):
            with self._one(incident):
                try:
                    folded = self._look(incident)
                except NoSuchIncident:
                    return self._unknown(incident, command)
                answer = self._try(folded, command, take, give)
            if answer is not None:
                return answer
            self._pause(random.uniform(0, min(0.05, 0.002 * 2 ** min(attempt, 5))))
        raise TooBusy(f"{incident} changed {TRIES} times while this was decided. Nothing was stored. Try again.")

    def _try(self, folded: _Folded, command: Command, take: Sequence[str], give: Sequence[str]) -> Answer | None:
        """One round; None where somebody else was faster."""
        state, incident = folded.state, folded.state.id
        pair_with = self._pair_with(state) if isinstance(command, NEEDS_PAIR) else ""
        halted = self._halted(state) if isinstance(command, NEEDS_BELIEF) else ""
        decided = decide(state, command, self._rules_for(command), self.clock(), pair_with=pair_with, halted=halted)
        refusal = decided if isinstance(decided, Refusal) else None
        if refusal is not None:
            events = self._to_record(state, refusal)
        else:
            assert not isinstance(decided, Refusal)
            events = (*decided, *self._last_counts(state, decided))
        if not events and not take and not give:
            return Answer(incident, state, refusal=refusal)
        epoch = next((e.epoch for e in events if isinstance(e, HandTaken)), getattr(command, "epoch", None))
        try:
            held = (take, give) if refusal is None else ((), ())
            self.journal.append(folded.head, events, epoch=epoch, take=held[0], give=held[1])
        except Moved:
            return None
        self._count(incident, events)
        after = self._look(incident).state
        return Answer(incident, after, () if refusal else tuple(decided), refusal)  # type: ignore[arg-type]

    def _pair_with(self, state: Incident) -> str:
        """The other open incident that has this one's pair. That it passed is also written in this incident's record,
        so an append decided on an older answer is refused and decided again."""
        pair = pair_of(state.declared.pool, state.declared.partner)
        return next(
            (i.incident for i in self.journal.incidents() if i.open and i.pair == pair and i.incident != state.id), ""
        )

    def _halted(self, state: Incident) -> str:
        """Which worker has seen that this journal is not what it was, and what it saw; empty for none."""
        seen = [halt for halt in Register(self.journal).halts(state.id) if halt.for_all]
        return f"{seen[0].by} on {seen[0].host} stands still: {seen[0].text}" if seen else ""

    # --- declaring -----------------------------------------------------------------------------------------

    def declare(self, command: Declare) -> Answer:
        """Opens an incident, joins the one that is open for this pool, or takes over from the pair's other one."""
        pair = pair_of(command.pool, command.partner)
        claimed = ""
        for attempt in range(TRIES):
            busy = next((i for i in self.journal.incidents() if i.open and i.pair == pair), None)
            # Looked at before the store is asked again: an incident that ends frees its claim in the same stroke.
            ended = bool(claimed) and self._ended(claimed)
            try:
                answer = self._declared_over(command, busy) if busy else self._open(command, pair, None)
            except NoSuchIncident as none:
                return self._claimed_by_none(command, pair, none.incident)
            except PairBusy as other:
                if ended and other.by == claimed:
                    return self._claimed_by_none(command, pair, claimed)
                claimed, answer = other.by, None
            if answer is not None:
                return answer
            self._pause(random.uniform(0, min(0.05, 0.002 * 2 ** min(attempt, 5))))
        raise TooBusy(f"The pair {pair} changed hands {TRIES} times while this was decided. Nothing was stored.")

    def _declared_over(self, command: Declare, busy: Listed) -> Answer | None:
        """The same declaration joins; any other one links: the old incident ends, or stops after its step."""
        with self._one(busy.incident):
            folded = self._look(busy.incident)
            old = folded.state
            if old.declared.pool == command.pool and old.declared.playbook == command.playbook:
                answer = self._try(folded, command, (), ())
                return None if answer is None else replace(answer, joined=answer.ok)
            if command.playbook != "declare-disaster":
                text = f"{pair_of(command.pool, command.partner)} is in the hands of {old.id}. Nothing happened."
                refusal = no(self._case(old), "pair_busy", "declare", text, command.actor)
                return self._outside(refusal, old.id)
            started = old.run_request is not None
            kept = old.clocks.t1 if not started and old.declared.playbook == command.playbook else None
            linked = replace(command, linked=old.id, t1=command.t1 or kept)
            events = self._ending(old, linked)
            return self._open(linked, pair_of(command.pool, command.partner), Over(folded.head, events))

    def _ended(self, incident: str) -> bool:
        """Whether no record says that this incident is open."""
        try:
            return bool(self.state(incident).closed)
        except NoSuchIncident:
            return True

    def _claimed_by_none(self, command: Declare, pair: str, by: str) -> Answer:
        """The store has a claim that no open incident made. It is not overruled here: whoever could write it could
        also have written over a true one."""
        decided = decide(None, command, self._rules_for(command), self.clock())
        if isinstance(decided, Refusal):
            return self._outside(decided, "")
        name = by if is_name(by) else "something that is no incident"
        text = (
            f"The store says that {name} has {pair}, and no such incident is open: somebody wrote into the store by "
            "hand. Nothing happened. Whoever runs the store must delete this claim (docs/security.md, “A false "
            "claim”). Until then follow the printed runbook."
        )
        return self._outside(no(self._case(None), "false_claim", "declare", text, command.actor), "")

    def _ending(self, old: Incident, command: Declare) -> tuple[Event, ...]:
        """What is written in the incident whose pair is taken over."""
        why = f"{command.pool} was declared instead"
        if old.run_request is None:
            result = "hard_stopped" if old.hard_stop else "cancelled"
            sentence = f"Closed before anything was changed: {why}."
            return (Closed(actor=command.actor, result=result, sentence=sentence),)
        if old.run_ended or old.stop is not None:
            return (Noted(actor=command.actor, text=f"The pair passes to another incident: {why}."),)
        return (StopOrdered(actor=command.actor, why=why),)

    def _open(self, command: Declare, pair: str, over: Over | None) -> Answer | None:
        decided = decide(None, command, self._rules_for(command), self.clock())
        if isinstance(decided, Refusal):
            return self._outside(decided, "")
        day = self.clock().strftime("%Y%m%d")
        for letters in LETTERS:
            incident = f"{day}-{command.pool}-{letters}"
            try:
                self.journal.open(incident, pair, decided, over=over)
            except IncidentExists:
                continue
            except PairBusy:
                if over is None:
                    raise
                return None
            except Moved:
                return None
            return Answer(incident, self.state(incident), decided, opened=True)
        raise TooBusy(f"Every name for {day}-{command.pool} is taken.")

    # --- refusals ------------------------------------------------------------------------------------------

    def _case(self, state: Incident | None) -> Case:
        return Case(state, self.rules, self.clock())

    def _unknown(self, incident: str, command: Command) -> Answer:
        actor = getattr(command, "actor", None)
        what = type(command).__name__.lower()
        text = f"There is no incident {incident if is_name(incident) else 'of that name'}. Nothing happened."
        return self._outside(no(self._case(None), "no_incident", what, text, actor), incident)

    def _to_record(self, state: Incident, refusal: Refusal) -> tuple[Event, ...]:
        """What of a refusal is due in the record: the first of its kind, every tenth power, every wrong code."""
        record = refusal.record
        if record is None:
            return refusal.events
        key = refusal_key(record)
        known = state.refusals.get(key)
        if known is None or record.why[3:6] == "031":
            return (record.model_copy(update={"count": known.count + 1 if known else 1}), *refusal.events)
        with self._lock:
            seen = self._seen.setdefault((state.id, key), _Seen(record, known.count))
            seen.count = max(seen.count, known.count) + 1
            due = _power_of_ten(seen.count)
        return (record.model_copy(update={"count": seen.count}), *refusal.events) if due else refusal.events

    def _last_counts(self, state: Incident, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """When a question ends: what has been counted here and not yet written."""
        if not any(_ends_question(event) for event in events):
            return ()
        with self._lock:
            mine = [seen for (incident, _), seen in self._seen.items() if incident == state.id]
        due = []
        for seen in mine:
            known = state.refusals.get(refusal_key(seen.event))
            if known is not None and seen.count > known.count:
                due.append(seen.event.model_copy(update={"count": seen.count}))
        return tuple(due)

    def _count(self, incident: str, events: tuple[Event, ...]) -> None:
        """Keeps the counters at what is written."""
        with self._lock:
            for event in events:
                seen = self._seen.get((incident, refusal_key(event))) if isinstance(event, Refused) else None
                if seen is not None and isinstance(event, Refused):
                    seen.count = max(seen.count, event.count)

    def _outside(self, refusal: Refusal, incident: str) -> Answer:
        """A refusal that belongs to no incident stands in the register, once and then counted."""
        answer = Answer(incident, None, refusal=refusal)
        record = refusal.record
        if record is None:
            return answer
        with self._lock:
            seen = self._seen.setdefault((REGISTER, refusal_key(record)), _Seen(record, 0))
            seen.count += 1
            count = seen.count
        if not _power_of_ten(count):
            return answer
        for _ in range(TRIES):
            try:
                self.journal.append(self.journal.head(REGISTER), [record.model_copy(update={"count": count})])
                return answer
            except Moved:
                self._pause(random.uniform(0, 0.01))
        return answer


def pair_of(pool: str, partner: str) -> str:
    """The pair's name: both short names in order, so that either pool of it claims the same."""
    return "+".join(sorted((pool, partner)))


def _carries_code(command: Command) -> bool:
    """Whether somebody proved themselves by a one-time code with this command."""
    actor, code = getattr(command, "actor", None), getattr(command, "code", None)
    return getattr(actor, "code_step", None) is not None or getattr(code, "step", None) is not None


def _power_of_ten(count: int) -> bool:
    return count == 1 or (str(count).rstrip("0") == "1")


def _ends_question(event: Event) -> bool:
    return isinstance(event, Declined | Lapsed | Voided | Revoked | Closed) or (
        isinstance(event, Voted) and event.completes
    )
