"""Which messages an incident has: from its records, in order, each with a key that never changes.

Pure. The same records give the same keys, so a narrator that was killed asks for the same posts again and the
outbox knows which of them stand already. What a message shows is drawn from the newest state when it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bot.draw import board, card, declare, log, red, story, summary, task, warn
from bot.draw.post import Post
from bot.draw.reader import Reader
from bot.outbox import APPROVAL, PROGRESS, RECEIPT, RED, STATE
from incident import events as ev
from incident.fold import Folded, apply
from incident.state import Attempt, Incident, Request, StepState

Where = Literal["origin", "home", "dm", "thread"]
Draw = Callable[[Incident, datetime], Post | None]


@dataclass(frozen=True)
class Message:
    """One message that should stand in Slack."""

    key: str
    kind: str
    where: Where
    priority: int
    draw: Draw
    person: str = ""
    line: str = ""
    """For the log: its line, with its own time."""
    live: bool = False
    """The drawing follows the state."""
    request: int | None = None
    """The approval question whose card this is."""


@dataclass
class Tale:
    """One incident as far as it has been heard."""

    reader: Reader
    notices: Callable[[str], tuple[str, ...]] = lambda incident: ()
    state: Incident | None = None
    looked: datetime | None = None
    """When the estate was last looked at, also where that look said nothing new."""
    messages: dict[str, Message] = field(default_factory=dict)
    _failures: dict[str, Incident] = field(default_factory=dict)
    _stops: dict[str, Incident] = field(default_factory=dict)

    def hear(self, record: Folded) -> list[Message]:
        """Take in one more record; the messages that it adds."""
        before, event = self.state, record.event
        self.state = apply(before, record)
        added = [
            *self._of(event, record, self.state, before),
            *self._task(record.seq, self.state, before),
            *self._line(event, record, self.state),
        ]
        self.messages.update({m.key: m for m in added})
        self._keep_failures(self.state)
        return added

    def newcomers(self) -> list[Message]:
        """Cards of the open question for whoever got the right to approve after it was asked."""
        request = self.state.request if self.state else None
        if request is None or request.state != "open":
            return []
        added = [m for m in self._cards(request.seq, request.number, request.asker) if m.key not in self.messages]
        self.messages.update({m.key: m for m in added})
        return added

    @property
    def seq(self) -> int:
        """The last record heard."""
        return self.state.seq if self.state else 0

    # --- by event -----------------------------------------------------------------------------------------

    def _of(self, event: ev.Event, record: Folded, state: Incident, before: Incident | None) -> Iterator[Message]:
        seq = record.seq
        match event:
            case ev.Declared():
                yield from self._declared(seq, state)
            case ev.HardStopped():
                yield Message(
                    f"{seq}:hard_stop", "hard_stop", "origin", RED,
                    lambda s, now: declare.stop(s, self.reader) if s.hard_stop else None, live=True,
                )  # fmt: skip
            case ev.Asked():
                yield from self._cards(seq, event.request, event.asker)
            case ev.Voted():
                yield from self._receipts(event, record, state)
            case ev.Declined() | ev.Lapsed() | ev.Voided() | ev.Revoked():
                yield Message(f"{seq}:card_over", "card_over", "origin", RED,
                              self._for_request(event.request, card.short_outcome), live=True)  # fmt: skip
            case ev.RunRefused():
                yield Message(f"{seq}:run_refused", "run_refused", "origin", RED,
                              lambda s, now: red.run_refused(state, self.reader, s))  # fmt: skip
            case ev.LockedOut():
                yield Message(f"{seq}:locked", "locked", "origin", RED,
                              lambda s, now: warn.locked_out(s, event.person, self.reader))  # fmt: skip
            case ev.Closed():
                yield from self._closed(seq, state)
            case _:
                yield from self._run(event, seq, state)

    def _declared(self, seq: int, state: Incident) -> Iterator[Message]:
        reader = self.reader
        yield Message(
            f"{seq}:declared", "declared", "origin", APPROVAL, lambda s, now: declare.ack(s, reader), live=True
        )
        asker = state.declared.actor.person if state.declared.actor else ""
        for person in reader.approvers(asker or ""):
            yield Message(
                f"{seq}:page:{person.id}", "page", "dm", APPROVAL, lambda s, now: declare.page(s, reader), person.id
            )
        for where in ("origin", "home"):
            yield Message(
                f"{seq}:board:{where}", "board", "home" if where == "home" else "origin", STATE,
                lambda s, now: board.board(s, now, reader, self.notices(s.id)), live=True,
            )  # fmt: skip

    def _cards(self, seq: int, number: int, asker: str) -> Iterator[Message]:
        def draw(state: Incident, now: datetime) -> Post | None:
            request = next((r for r in state.requests if r.number == number), None)
            return card.card(state, request, self.reader, self.looked) if request else None

        yield Message(f"{seq}:card", "card", "origin", APPROVAL, draw, live=True, request=number)
        for person in self.reader.approvers(asker):
            yield Message(f"{seq}:card:{person.id}", "card", "dm", APPROVAL, draw, person.id, live=True, request=number)

    def _receipts(self, event: ev.Voted, record: Folded, state: Incident) -> Iterator[Message]:
        request = next(r for r in state.requests if r.number == event.request)
        people = {event.actor.person if event.actor else None} | ({request.asker} if event.completes else set())
        for person in sorted(p for p in people if p):
            made = summary.receipt(state, request, person, record.seq, record.h, record.when, self.reader)
            yield Message(f"{record.seq}:receipt:{person}", "receipt", "dm", RECEIPT, _always(made), person)

    def _closed(self, seq: int, state: Incident) -> Iterator[Message]:
        for where in ("origin", "home"):
            yield Message(f"{seq}:summary:{where}", "summary", "home" if where == "home" else "origin", STATE,
                          lambda s, now: summary.summary(s, self.reader), live=True)  # fmt: skip
        voters = [v.person for r in state.requests if r.state in ("approved", "used") for v in r.votes]
        if not voters:
            return
        asker = state.declared.actor.person if state.declared.actor else None
        made = summary.closing_receipt(state, self.reader)
        for person in sorted({p for p in (asker, *voters) if p}):
            yield Message(f"{seq}:closing:{person}", "receipt", "dm", RECEIPT, _always(made), person)

    def _run(self, event: ev.Event, seq: int, state: Incident) -> Iterator[Message]:
        match event:
            case ev.Outcome() if event.result in ("red", "refused", "unknown"):
                step = state.step(event.step)
                attempt = next((a for a in reversed(step.attempts) if a.outcome is not None), None) if step else None
                if step is None or attempt is None:
                    return
                if event.result == "unknown":
                    made = red.unknown(state, step, attempt, self.reader)
                    yield Message(f"{seq}:unknown", "unknown", "origin", RED, _always(made))
                else:
                    yield Message(f"{seq}:red", "red", "origin", RED, self._red(state, step, attempt), live=True)
            case ev.StepFailed():
                key = f"{seq}:failed"
                self._failures[key] = state
                yield Message(key, "failed", "origin", RED, self._failed(key, event), live=True)
            case ev.StopOrdered():
                key = f"{seq}:stopped"
                self._stops[key] = state
                yield Message(key, "stopped", "origin", RED, self._stopped(key), live=True)
            case _:
                return

    def _task(self, seq: int, state: Incident, before: Incident | None) -> Iterator[Message]:
        """A step has become due that only a person can do: an edited board wakes nobody."""
        step = story.human_task(state)
        if step is not None and (before is None or story.human_task(before) is None):
            key = step.id
            yield Message(f"{seq}:task", "task", "origin", RED,
                          lambda s, now: task.asked(s, key, now, self.reader), live=True)  # fmt: skip

    def _line(self, event: ev.Event, record: Folded, state: Incident) -> Iterator[Message]:
        said = log.line(event, state, self.reader)
        if said:
            text = f"{self.reader.clock(record.when)} {said}"
            yield Message(f"{record.seq}:log", "log", "thread", PROGRESS, lambda s, now: None, line=text)

    # --- drawings that remember ---------------------------------------------------------------------------

    def _for_request(self, number: int, how: Callable[[Incident, Request, Reader], Post]) -> Draw:
        def draw(state: Incident, now: datetime) -> Post | None:
            request = next((r for r in state.requests if r.number == number), None)
            return how(state, request, self.reader) if request else None

        return draw

    def _keep_failures(self, state: Incident) -> None:
        """A retry clears the failure from the state; its message keeps showing what it showed last, decided."""
        for key, seen in self._failures.items():
            for step in state.steps:
                was = seen.step(step.id)
                if was and was.failure and step.failure and step.failure.seq == was.failure.seq:
                    self._failures[key] = state

    def _red(self, seen: Incident, step: StepState, attempt: Attempt) -> Draw:
        return lambda state, now: red.red_text(seen, step, attempt, self.reader, state.step(step.id))

    def _failed(self, key: str, event: ev.StepFailed) -> Draw:
        def draw(state: Incident, now: datetime) -> Post | None:
            seen = self._failures[key]
            step: StepState | None = seen.step(event.step)
            return red.failed(seen, step, self.reader) if step is not None else None

        return draw

    def _stopped(self, key: str) -> Draw:
        def draw(state: Incident, now: datetime) -> Post | None:
            seen = self._stops[key]
            lifted = state.stop is None or (seen.stop is not None and state.stop.at != seen.stop.at)
            return red.lifted(seen, state, self.reader) if lifted or state.closed else red.stopped(seen, self.reader)

        return draw


def _always(made: Post) -> Draw:
    return lambda state, now: made
