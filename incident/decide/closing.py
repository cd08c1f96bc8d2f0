"""The end: called off before anything was changed, or closed with the result that the record supports."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from incident.clocks import figures, minutes
from incident.commands import Cancel, Close, Refusal
from incident.decide.case import Case, Result, no
from incident.decide.requests import as_person, open_or_refusal
from incident.decide.watching import left_behind
from incident.decide.who import authorise
from incident.ending import but
from incident.events import Cancelled, Closed
from incident.state import Incident

ClosedAs = Literal["recovered", "recovered_late", "aborted", "cancelled", "hard_stopped", "false_alarm", "incomplete"]


def cancel(case: Case, command: Cancel) -> Result:
    """Before the first state-changing call a person with `declare` may call it off; the incident is closed with it."""
    who = authorise(case, command.actor, "cancel", ("declare",))
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, "cancel", command.actor):
        return closed
    t3 = case.incident.clocks.t3
    if t3 is not None:
        text = f"Too late to cancel: the first change was sent at {case.time(t3)}. You can stop: /lync stop"
        return no(case, "too_late", "cancel", text, command.actor)
    actor = as_person(command.actor, who)
    result: ClosedAs = "false_alarm" if command.false_alarm else "cancelled"
    word = "Closed as a false alarm" if command.false_alarm else "Cancelled"
    sentence = f"{word} by {who.name} at {case.time(case.now)}. Nothing was changed."
    return (Cancelled(actor=actor, why=command.why), Closed(actor=actor, result=result, sentence=sentence))


def close(case: Case, command: Close) -> Result:
    """The bot closes what has come to its end; a person may also close what will not."""
    actor = command.actor
    if actor is not None:
        who = authorise(case, actor, "close", ("declare", "operate"))
        if isinstance(who, Refusal):
            return who
        actor = as_person(actor, who)
    if closed := open_or_refusal(case, "close", command.actor):
        return closed
    result = result_of(case.incident, by_person=actor is not None, confirm=_must_confirm(case))
    if result is None:
        return no(case, "not_over", "close", _why_not(case), command.actor)
    sentence = command.sentence or sentence_of(case, result)
    return (
        *left_behind(case),
        Closed(actor=actor, cause=(case.incident.seq,), result=result, sentence=sentence),
    )


def _must_confirm(case: Case) -> bool:
    declared = case.incident.declared
    return case.rules.policy.pair(declared.pool, declared.partner).confirm_by_person


def result_of(state: Incident, *, by_person: bool, confirm: bool) -> ClosedAs | None:
    """The result the record supports; None while it is not over.

    Recovered needs proof: the automatic one or a person's confirmation (both where the policy asks for the person).
    A step that people left out although it can only be done once makes it incomplete.
    """
    if state.run_ended == "aborted":
        return "aborted"
    if state.run_ended == "complete":
        proven = state.clocks.t5 is not None and (state.confirmed is not None or not confirm)
        left_out = any(s.status == "ruled_skip" and not s.id.startswith("dns") for s in state.steps)
        if proven and not left_out:
            return "recovered_late" if figures(state, state.at).late else "recovered"
        return "incomplete" if by_person or proven else None
    if state.run_request is None:
        if state.hard_stop is not None:
            return "hard_stopped" if by_person else None
        return "cancelled" if by_person else None
    stands = (state.stop is not None or state.waiting_step is not None) and state.open_attempt is None
    return "aborted" if by_person and stands else None


def sentence_of(case: Case, result: ClosedAs) -> str:
    """The result in one sentence, with the figure where there is one."""
    state = case.incident
    figure = figures(state, case.now)
    took = minutes(figure.rto_s or 0)
    target = minutes(figure.rto_target_s)
    there = f"{state.declared.pool} {state.declared.site} on {state.declared.partner} {state.declared.partner_site}"
    longest = f" Longest: {figure.longest.text}." if figure.longest else ""
    missing = but(replace(state, closed=result))
    return {
        "recovered": f"Recovered{missing}: {there} in {took}, target {target}.",
        "recovered_late": f"Recovered late{missing}: {there} in {took}, target {target}.{longest}",
        "aborted": f"Ended by people after {took}. What was done before stays done.",
        "cancelled": "Closed before anything was changed.",
        "hard_stopped": "Closed: no plan could be made. Nothing was changed.",
        "false_alarm": "Closed as a false alarm. Nothing was changed.",
        "incomplete": f"Closed incomplete after {took}: service is not proven or a step was left out.",
    }[result]


def _why_not(case: Case) -> str:
    state = case.incident
    if state.open_attempt is not None:
        return f"Not yet: {state.open_attempt[0].title} is in flight. Stop first: /lync stop"
    if state.run_ended:
        return "Not yet: service is not proven. A person can confirm it."
    if state.run_request is not None:
        return "Not yet: the run is going on. Stop it first: /lync stop"
    return "Not yet: nothing has come to an end."
