"""The approval rule judged from the records alone, for `verify`: who asked, who agreed, when, and exactly to what.

`from_record` needs nothing but the record and shares no code with the place that decides, so that a mistake there is
seen here. `by_policy` also asks whether those persons had the right by a policy that is handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from incident.approvals_check import judge
from incident.events import Asked, Declared, Declined, Intent, Lapsed, Planned, Revoked, RunStarted, Voided, Voted
from incident.fold import apply
from incident.policy import Policy
from incident.record import Record
from incident.state import Incident
from incident.verify import CheckApprovals

_WRITING: Final = timedelta(seconds=2)
"""From a decision, which looks at the clock, until its record has a time of its own."""

Breaches = list[tuple[int, str]]


@dataclass
class _SoFar:
    """What has been asked, answered and begun, up to one record."""

    declarer: str | None = None
    plans: dict[str, Any] = field(default_factory=dict)
    asked: dict[int, Asked] = field(default_factory=dict)
    votes: dict[int, list[tuple[Record, Voted]]] = field(default_factory=dict)
    over: dict[int, str] = field(default_factory=dict)
    started: RunStarted | None = None


def from_record(records: Sequence[Record]) -> Breaches:
    """Every change without a valid approval of two different persons before it; every call that was not in the plan."""
    so_far = _SoFar()
    found: Breaches = []
    for record in records:
        event = record.event
        if isinstance(event, Declared):
            so_far.declarer = event.actor.person if event.actor else None
        elif isinstance(event, Planned):
            so_far.plans[event.digest] = _plain(event.plan)
        elif isinstance(event, Asked):
            so_far.asked[event.request] = event
        elif isinstance(event, Voted):
            so_far.votes.setdefault(event.request, []).append((record, event))
        elif isinstance(event, Declined | Lapsed | Voided | Revoked):
            so_far.over.setdefault(event.request, event.kind)
        elif isinstance(event, RunStarted):
            found += [(record.seq, why) for why in _start(so_far, record, event)]
            so_far.started = event
        elif isinstance(event, Intent) and event.effect != "observe":
            found += [(record.seq, why) for why in _change(so_far, event)]
    return found


def by_policy(policy: Policy) -> CheckApprovals:
    """`from_record`, and at every start the same judgement a worker makes, by this policy."""

    def check(records: Sequence[Record]) -> Breaches:
        found = from_record(records)
        state: Incident | None = None
        for record in records:
            state = apply(state, record)
            event = record.event
            if isinstance(event, RunStarted):
                for request in state.requests:
                    if request.number == event.request:
                        found += [(wrong.seq or record.seq, wrong.text) for wrong in judge(state, policy, request)]
        return sorted(set(found))

    return check


def _start(so_far: _SoFar, record: Record, event: RunStarted) -> list[str]:
    """What is wrong with beginning under this question."""
    asked = so_far.asked.get(event.request)
    if asked is None:
        return [f"The run begins under question {event.request}, which was never asked."]
    wrong = []
    if asked.digest != event.digest:
        wrong.append("The run begins with another plan than the one that was asked about.")
    if event.request in so_far.over:
        wrong.append(
            f"The run begins under question {event.request}, which was over by then ({so_far.over[event.request]})."
        )
    if not asked.asker or asked.asker != so_far.declarer:
        wrong.append("The question names another asker than the declaration.")
    counted = [(at, vote) for at, vote in so_far.votes.get(event.request, ()) if _counts(asked, at, vote)]
    persons = {vote.actor.person for _, vote in counted if vote.actor}
    others = persons - {asked.asker}
    due = max(1, asked.others_needed, max(2, asked.quorum) - (1 if asked.asker_counts else 0))
    if len(others) < due:
        names = ", ".join(sorted(str(person) for person in others)) or "nobody"
        wrong.append(
            f"The run begins with too few approvals: beside the asker {names} approved this plan, due are {due}."
        )
    ends = max((vote.window_ends for _, vote in counted if vote.window_ends is not None), default=None)
    if ends is not None and record.when > ends + _WRITING:
        wrong.append("The run begins after the time for its first act was over.")
    return wrong


def _counts(asked: Asked, at: Record, vote: Voted) -> bool:
    in_time = at.when <= asked.expires + _WRITING
    return (
        vote.digest == asked.digest
        and vote.nonce == asked.nonce
        and in_time
        and vote.actor is not None
        and bool(vote.actor.person)
    )


def _change(so_far: _SoFar, event: Intent) -> list[str]:
    """What is wrong with sending this call."""
    if so_far.started is None:
        return [f"A change was sent before any run had begun under an approval: {event.literal}"]
    if not _holds(so_far.plans.get(so_far.started.digest), _plain(event.call)):
        return [f"A call was sent that the approved plan does not hold: {event.literal}"]
    return []


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _holds(plan: Any, call: Any) -> bool:
    """Whether the call stands in the plan as it is, at whatever depth."""
    if plan == call:
        return True
    inside = plan.values() if isinstance(plan, dict) else plan if isinstance(plan, list) else ()
    return any(_holds(inner, call) for inner in inside)
