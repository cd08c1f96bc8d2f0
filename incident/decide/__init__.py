"""Every rule there is: `decide` turns a command into events, or says no with a code and a sentence.

Pure and total: the same state, command, rules and moment give the same answer, and nothing outside is asked. No
rule lives in a Slack handler or in a job. Each module tells one story: `requests` (declaring, the clock, notes),
`approval` (the two-person rule), `running` (what people may do about a run), `hands` (what a worker may write),
`watching` (what is watched in the background), `closing` (the end).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from incident import commands as c
from incident.commands import Command, Refusal
from incident.decide import approval, closing, hands, requests, running, watching
from incident.decide.case import Case, hand_no, no
from incident.events import Event
from incident.persons import person_of
from incident.policy import Rules
from incident.state import Incident

_STORIES: Final[dict[type, Callable[[Case, Any], tuple[Event, ...] | Refusal]]] = {
    c.Declare: requests.declare,
    c.SetOutage: requests.set_outage,
    c.AddNote: requests.add_note,
    c.TakeLead: requests.take_lead,
    c.SettleFollowUp: requests.settle_follow_up,
    c.OpenFollowUp: requests.open_follow_up,
    c.RecordCard: requests.record_card,
    c.RecordTold: requests.record_told,
    c.AskApproval: approval.ask,
    c.SayStillDisaster: approval.say_still_disaster,
    c.Approve: approval.approve,
    c.Decline: approval.decline,
    c.Tick: approval.tick,
    c.Recheck: approval.recheck,
    c.Rule: running.rule,
    c.Stop: running.stop,
    c.GoOn: running.go_on,
    c.Confirm: running.confirm,
    c.Cancel: closing.cancel,
    c.Close: closing.close,
    c.RecordSurvey: hands.record_survey,
    c.TakeHand: hands.take_hand,
    c.StartRun: hands.start_run,
    c.WaitFor: hands.wait_for,
    c.SkipStep: hands.skip_step,
    c.BeginCall: hands.begin_call,
    c.RecordOutput: hands.record_output,
    c.EndCall: hands.end_call,
    c.VerifyStep: hands.verify_step,
    c.FailStep: hands.fail_step,
    c.SaySlow: hands.say_slow,
    c.Prove: hands.prove,
    c.EndRun: hands.end_run,
    c.RecordReplicas: watching.record_replicas,
}


def decide(
    state: Incident | None, command: Command, rules: Rules, now: datetime, *, pair_with: str = "", halted: str = ""
) -> tuple[Event, ...] | Refusal:
    """Events to append (perhaps none), or the refusal. `state` is None where there is no incident yet.

    `pair_with` names the open incident to which the pair has passed, which no incident's own record tells;
    `halted` says who has seen that records of this journal are lost or changed, which stands in the register.
    """
    moment = max(now, state.at) if state is not None else now
    case = Case(state, rules, moment, pair_with)
    if state is None and not isinstance(command, c.Declare):
        return no(case, "no_incident", "find", "There is no such incident. Nothing happened.")
    if halted and isinstance(command, c.TakeHand | c.StartRun | c.BeginCall):
        return hand_no("not_believed", f"{halted} Nothing more is sent for {case.incident.id}.")
    return _STORIES[type(command)](case, _known_as(command, rules))


def _known_as(command: Command, rules: Rules) -> Command:
    """The command with its actor as the policy knows them: ids decide, whatever name or person came along."""
    actor = getattr(command, "actor", None)
    if actor is None:
        return command
    person = person_of(rules.policy, actor)
    known = {"person": None} if person is None else {"person": person.id, "name": person.name}
    return replace(command, actor=actor.model_copy(update=known))


__all__ = ["decide"]
