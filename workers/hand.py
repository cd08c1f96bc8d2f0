"""One hand on one run: what this worker believes, what it may still write, and when it must let go.

A hand owns an epoch. Whoever takes the run over raises it, and from then on the journal refuses this hand; the
servers cannot, so before every call the hand also asks whether its lease and its parent are still there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from incident.codes import reason_code
from incident.commands import Command, EndCall, Refusal, TakeHand
from incident.events import Event, HandTaken, Outcome
from incident.journal import Fenced, JournalError, NotStored, Unconfirmed, Unreachable
from incident.state import Incident, StepState
from playbooks.plan import Plan
from workers.lease import Lease
from workers.tools import Tools

OTHER_HAND: Final = reason_code("epoch", "run")
BUSY: Final = frozenset({"running", "verifying", "failed", "unknown"})
"""States of a step in which what it holds must not pass to another incident."""


class LetGo(Exception):
    """This hand must stop at once. The text says why, for the log and the next hand."""


class SaidNo(Exception):
    """A rule refused what this hand wanted to write."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


class Hand:
    """The worker's grip on one run. Everything it writes goes through `do`."""

    def __init__(self, tools: Tools, incident: str, lease: Lease) -> None:
        self.tools, self.incident, self._lease = tools, incident, lease
        self.epoch = 0
        self.state: Incident = tools.desk.state(incident)
        self._plan: Plan | None = None

    @property
    def plan(self) -> Plan:
        """The approved plan, as the record has it."""
        if self._plan is None:
            planned = self.state.planned
            if planned is None:
                raise LetGo(f"{self.incident} has no plan.")
            self._plan = Plan.from_data(planned.plan)
        return self._plan

    def step(self, key: str) -> StepState:
        """The step of that id, as it stands. Raises `LetGo` for a step the record does not have."""
        found = self.state.step(key)
        if found is None:
            raise LetGo(f"The record of {self.incident} has no step {key}.")
        return found

    def take(self) -> None:
        """Takes the run over: epoch + 1, written down. Holds that no step in hand needs are let go of."""
        for event in self.do(TakeHand(self.tools.host, self.tools.name), give=self._idle_holds()):
            if isinstance(event, HandTaken):
                # Its own record says which epoch is ours; the state may already show the next hand's.
                self.epoch = event.epoch

    def _idle_holds(self) -> tuple[str, ...]:
        needed = {h for s in self.state.steps if s.status in BUSY for h in s.plan.get("holds", ())}
        return tuple(sorted(self._held() - needed))

    def _held(self) -> set[str]:
        return {hold for hold, by in self.tools.journal.holds().items() if by == self.incident}

    def refresh(self) -> Incident:
        """Reads what others wrote: stops, rulings, confirmations."""
        self.state = self.tools.desk.state(self.incident)
        return self.state

    def must_be_mine(self) -> None:
        """The last question before a call. Raises `LetGo` unless the lease, the worker and the epoch stand."""
        if not self._lease.held:
            raise LetGo(f"The lease on {self.incident} ran out; another hand will look at what was begun.")
        if not self.tools.alive():
            raise LetGo("The worker process that this hand belongs to is gone.")
        if self.state.epoch != self.epoch:
            raise LetGo(f"Another hand has taken over {self.incident}.")

    def why_not_send(self) -> str:
        """Asked when the last byte of a call is due, up to half a minute after `must_be_mine`: why it must not be sent
        any more, or nothing. Reads the record anew, and asks for the lease last: it may run out while one reads.

        A record that cannot be read is no reason: the intent stands in it, and while the lease stands no other hand
        has taken over. Called in another thread; changes nothing here.
        """
        try:
            now = self.tools.desk.state(self.incident)
        except (NotStored, Unconfirmed, Unreachable):
            now = None
        except JournalError as strange:
            return f"The record could not be believed when this was about to be sent: {strange}"
        if now is not None and now.epoch != self.epoch:
            return f"Another hand had taken over {self.incident} before this was sent."
        if now is not None and now.stop is not None:
            return "A stop was given before this was sent."
        if not self.tools.alive():
            return "The worker that this hand belongs to was gone before this was sent."
        return "" if self._lease.held else f"The lease on {self.incident} had run out before this was sent."

    def pause(self, seconds: float) -> None:
        """Waits between two looks, unless this hand is lost meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            threading.Event().wait(min(left, 0.5))
            if not self.tools.alive():
                raise LetGo("The worker process that this hand belongs to is gone.")

    def do(self, command: Command, *, take: Sequence[str] = (), give: Sequence[str] = ()) -> tuple[Event, ...]:
        """Decides and appends. Returns what was written.

        Raises `SaidNo` where a rule refuses, `LetGo` where another hand has the run, `HeldBy`, `NotStored`,
        `Unconfirmed`, `Unreachable`.
        """
        letting_go = tuple(sorted(self._held() & set(give))) if give else ()
        try:
            answer = self.tools.desk.do(self.incident, command, take=take, give=letting_go)
        except Fenced as fenced:
            raise LetGo(str(fenced)) from None
        if answer.state is not None:
            self.state = answer.state
        if answer.refusal is not None:
            if answer.refusal.code == OTHER_HAND:
                raise LetGo(answer.refusal.text)
            raise SaidNo(answer.refusal)
        if letting_go:
            self.tools.ring_others(self.incident)
        return answer.events

    def settle(self, end: EndCall) -> Outcome:
        """Writes the one outcome of an attempt, and goes on trying while the store is away.

        Raises `LetGo` when that took longer than the patience: the next hand then finds an intent without outcome,
        and looks at the servers instead of believing anybody.
        """
        until = time.monotonic() + self.tools.patience_s
        while True:
            try:
                self.do(end)
            except SaidNo as no:
                # An append whose acknowledgement was lost may have been stored after all.
                self.refresh()
                if self._outcome(end) is None:
                    raise LetGo(f"The outcome of {end.step} could not be recorded: {no}") from None
            except (NotStored, Unconfirmed, Unreachable) as away:
                if time.monotonic() >= until:
                    raise LetGo(f"The outcome of {end.step} could not be recorded. {away}") from None
                self.pause(0.5)
                self._try_refresh()
            found = self._outcome(end)
            if found is not None:
                return found

    def _try_refresh(self) -> None:
        try:
            self.refresh()
        except (NotStored, Unconfirmed, Unreachable):
            return

    def _outcome(self, end: EndCall) -> Outcome | None:
        for attempt in self.step(end.step).attempts:
            if (attempt.number, attempt.call_no) == (end.attempt, end.call_no):
                return attempt.outcome
        return None
