"""What one decision looks at, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from incident.clocks import clock_time
from incident.codes import reason_code
from incident.commands import Refusal
from incident.events import Actor, CardRef, Event, Refused
from incident.policy import Person, Role, Rules
from incident.state import Incident, Request

Result = tuple[Event, ...] | Refusal


@dataclass(frozen=True)
class Case:
    """The state, the rules and the moment of one decision; `state` is None before a declaration."""

    state: Incident | None
    rules: Rules
    now: datetime
    pair_with: str = ""
    """The other open incident to which the pair of pools has passed; empty where it is this one's."""

    @property
    def incident(self) -> Incident:
        """The incident; every act but a declaration has one."""
        if self.state is None:
            raise LookupError("There is no incident to act on.")
        return self.state

    @property
    def pool(self) -> str:
        """The short name of the pool this is about."""
        return self.state.declared.pool if self.state else ""

    def spent(self, person: str) -> int:
        """The step of the last one-time code that proved this person, in this incident or elsewhere; 0 for none."""
        here = self.state.code_steps.get(person, 0) if self.state else 0
        return max(here, self.rules.spent.get(person, 0))

    def time(self, moment: datetime | None) -> str:
        """A time of day as the policy's zone has it."""
        return clock_time(moment, self.rules.policy.zone) if moment else "an unknown time"

    def name(self, person: str) -> str:
        """The person's name as the policy has it, else the id."""
        known = self.rules.policy.person(person)
        return known.name if known else person

    def request(self, number: int) -> Request | None:
        """The approval question with this number."""
        return next((r for r in self.incident.requests if r.number == number), None)

    def approvers_but(self, person: str | None) -> str:
        """First names of everybody else who may approve, as in `Bo, Chen, Dana`."""
        names = [p.name.split()[0] for p in self.rules.policy.holders("approve") if p.id != person]
        return ", ".join(names) or "nobody (the policy names no other approver)"

    def call_list(self, role: Role, but: str | None = None) -> str:
        """Whom to call, with mobile numbers where the policy has them."""
        holders = [p for p in self.rules.policy.holders(role) if p.id != but]
        return ", ".join(f"{p.name} {p.mobile}".strip() for p in holders[:4]) or "nobody in the policy"


def no(
    case: Case,
    key: str,
    what: str,
    text: str,
    actor: Actor | None = None,
    *,
    request: int | None = None,
    card: CardRef | None = None,
    offer: str | None = None,
    events: tuple[Event, ...] = (),
) -> Refusal:
    """A refusal of a person's act: its code, its sentence for the phone, and its record."""
    code = reason_code(key, what)
    record = None
    if actor is not None:
        record = Refused(actor=actor, why=code, what=what, text=text, request=request, card=card)
    return Refusal(code=code, text=text, record=record, offer=offer, events=events)


def hand_no(key: str, text: str, events: tuple[Event, ...] = ()) -> Refusal:
    """A refusal of a worker's act. It is told to the worker and recorded only where `events` say so."""
    return Refusal(code=reason_code(key, "run"), text=text, events=events)


def only(person: Person | Refusal) -> Refusal | None:
    """The refusal, where it is one."""
    return person if isinstance(person, Refusal) else None
