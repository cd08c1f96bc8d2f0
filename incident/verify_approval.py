"""The approval rule judged from the records alone, for `verify` and the report: who asked, who agreed, and whether
every call that changed something was theirs to send.

The records of one incident are folded from the first on, and each start and each call is judged by the state just
before it: by the policy of the day, or without one where only the record is at hand (then persons and their rights
are taken as recorded). What an intent says of itself is not believed: the approved plan's step says what its call is
and whether it changes something. `standalone_verify` asks the same of a file, and shares no code with this.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import ValidationError

from incident.approvals_check import WRITING, judge, judge_words, recheck_due
from incident.events import Declared, Intent, Ruling, RunStarted
from incident.fold import Folded, apply
from incident.plans import departs, effect_of
from incident.policy import Policy
from incident.rulings import is_once
from incident.state import Incident, Request, StepState
from incident.verify import CheckApprovals

Breaches = tuple[tuple[int, str], ...]


def by_policy(policy: Policy | None) -> CheckApprovals:
    """`breaches` by this policy, in the form `verify` asks for."""
    return lambda records: breaches(records, policy)


def breaches(records: Iterable[Folded], policy: Policy | None = None) -> Breaches:
    """(record number, sentence) for everything that was begun, sent or decided without a valid approval.

    For verified records: chain and signatures are checked already. The register holds no calls and so no breach.
    """
    found: dict[tuple[int, str], None] = {}
    state: Incident | None = None
    for record in records:
        event = record.event
        if state is None and not isinstance(event, Declared):
            return ()
        wrong: list[str] = []
        if state is not None and isinstance(event, RunStarted):
            wrong = _start(state, event, policy, record.when)
        elif state is not None and isinstance(event, Intent):
            wrong = _call(state, event, policy, record.when)
        try:
            state = apply(state, record)
        except (ValueError, KeyError, TypeError, ValidationError) as strange:
            # Signed, and yet no story: whatever comes after it cannot be judged.
            return (*found, (record.seq, f"Nothing after this can be judged: {strange}"))
        if isinstance(event, Ruling):
            wrong = [finding.text for finding in judge_words(state, policy)]
        found |= {(record.seq, text): None for text in wrong}
    return tuple(found)


def _start(state: Incident, event: RunStarted, policy: Policy | None, at: datetime) -> list[str]:
    """What is wrong with beginning under this question."""
    request = next((r for r in state.requests if r.number == event.request), None)
    if request is None:
        return [f"The run begins under question {event.request}, which was never asked."]
    wrong = [f"The run begins though: {finding.text}" for finding in judge(state, policy, request)]
    if request.state not in ("open", "approved"):
        wrong.append(f"The run begins under question {event.request}, which was over by then ({request.state}).")
    if event.digest != request.digest or state.planned is None or state.planned.digest != request.digest:
        wrong.append("The run begins with another plan than the one that was asked about.")
    if request.window_ends is not None and at > request.window_ends + WRITING:
        wrong.append("The run begins after the time for its first act was over.")
    if policy is not None and recheck_due(policy, request, at - WRITING):
        wrong.append("The run begins long after the last approval, and nobody was looked at again.")
    return wrong


def _call(state: Incident, intent: Intent, policy: Policy | None, at: datetime) -> list[str]:
    """What is wrong with sending this call, judged by the state just before it."""
    request = next((r for r in state.requests if r.number == state.run_request), None)
    what = f"the call of step {intent.step} was sent"
    step = state.step(intent.step)
    if request is None:
        return [f"{what} without an approval."]
    if step is None:
        return [f"{what} although the approved plan has no such step."]
    other = departs(step, intent)
    wrong = [f"{what} although the approved plan's step {other}."] if other else []
    if state.planned is not None and request.digest != state.planned.digest:
        wrong.append(f"{what} under an approval of another plan.")
    if effect_of(step) != "observe":
        wrong += [f"{what} though: {finding.text}" for finding in judge(state, policy, request)]
        wrong += _change(state, step, intent, policy, request, at)
    return wrong


def _change(
    state: Incident, step: StepState, intent: Intent, policy: Policy | None, request: Request, at: datetime
) -> list[str]:
    """What the run itself forbade: too late a first act, a stop, a ruling that was not made, another step's turn."""
    what = f"the call of step {step.id} was sent"
    wrong = [f"{what} though: {finding.text}" for finding in judge_words(state, policy)]
    if state.clocks.t3 is None and request.window_ends is not None and at >= request.window_ends + WRITING:
        wrong.append(f"{what} first, after the time to begin had ended.")
    if state.aborted:
        wrong.append(f"{what} after people had ended the run.")
    continues = step.continues(intent.call_no)
    if state.stop is not None and not continues:
        wrong.append(f"{what} while a stop was standing.")
    waits = step.status in ("failed", "unknown") or not step.repeats_by_itself(is_once(step))
    if waits and not step.retry and not continues:
        wrong.append(f"{what} a second time, and people had not ruled that it may be.")
    if step.settled:
        wrong.append(f"{what} although the step was settled.")
    if state.open_attempt is not None:
        wrong.append(f"{what} while a call of step {state.open_attempt[0].id} was in flight.")
    if any(before.index < step.index and not before.settled for before in state.steps):
        wrong.append(f"{what} before its turn.")
    return wrong
