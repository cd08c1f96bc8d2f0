"""What people may do about a run: stop it, let it go on, rule about a failed step, confirm service."""

from __future__ import annotations

from incident import rulings
from incident.commands import Confirm, GoOn, Refusal, Rule, Stop
from incident.decide.case import Case, Result, no
from incident.decide.requests import as_person, open_or_refusal
from incident.decide.who import authorise, identify, unproven
from incident.events import Actor, CardRef, Confirmed, Event, Ruling, RulingVoted, StopOrdered, WentOn
from incident.plans import changes, is_task
from incident.policy import Person
from incident.state import Failure, StepState


def stop(case: Case, command: Stop) -> Result:
    """Anybody in the policy may stop, also where Slack cannot be asked about the account: stopping is safe.

    In a terminal also without a one-time code, for a disaster finds people without their phone. The record then names
    nobody: it says at which terminal somebody stopped the run, and who they said they were.
    """
    who = identify(case, command.actor, "stop", need_account=False)
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, "stop", command.actor):
        return closed
    state, actor = case.incident, as_person(command.actor, who)
    if actor.via == "cli" and unproven(case, actor, who, "stop") is not None:
        where = f"the terminal of {command.host}" if command.host else "a terminal"
        name = f"somebody at {where}, who says to be {who.name} (not proven)"
        actor = Actor(person=None, name=name, via="cli")
    if state.run_ended:
        return no(case, "not_running", "stop", "The run has ended; nothing is left to stop.", command.actor)
    if state.stop is not None:
        by = state.stop.by.name if state.stop.by else "the system"
        return no(case, "stopped", "stop", f"Stopped already by {by} at {case.time(state.stop.at)}.", command.actor)
    return (StopOrdered(actor=actor, why=command.why),)


def go_on(case: Case, command: GoOn) -> Result:
    """One person with `operate` lifts the stop. It is no ruling and no approval."""
    who = authorise(case, command.actor, "go_on", ("operate",))
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, "go_on", command.actor):
        return closed
    if command.copy:
        return _copied(case, "go_on", command.actor)
    if case.incident.stop is None:
        return no(case, "not_stopped", "go_on", "No stop is standing.", command.actor)
    if case.pair_with:
        text = f"The pair is in the hands of {case.pair_with} now, so this run does not go on. Nothing was sent."
        return no(case, "pair_busy", "go_on", text, command.actor)
    return (WentOn(actor=as_person(command.actor, who)),)


def rule(case: Case, command: Rule) -> Result:
    """One person's word; with the last one needed, the ruling."""
    who = authorise(case, command.actor, "ruling", ("operate",), card=command.card)
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, "ruling", command.actor):
        return closed
    if command.copy:
        return _copied(case, "ruling", command.actor, command.card)
    step = _waiting(case, command.step)
    if step is None or step.failure is None:
        title = _title(case.incident.step(command.step), command.step)
        text = f"{title} waits for nobody's word now. Nothing happened."
        return no(case, "no_failure", "ruling", text, command.actor, card=command.card)
    failure = step.failure
    if failure.attempt != command.attempt:
        text = f"Attempt {command.attempt} of {step.title} is over; the newest is {failure.attempt}. Nothing happened."
        return no(case, "other_attempt", "ruling", text, command.actor, card=command.card)
    if any(person == who.id and said == command.verdict for person, said, _ in failure.votes):
        missing = rulings.quorum(step, command.verdict) - len(rulings.votes_for(step, command.verdict))
        text = f"You have said so already. {_more(missing)} must say the same."
        return no(case, "said", "ruling", text, command.actor, card=command.card)
    return _ruled(case, command, who, step, failure)


def _copied(case: Case, what: str, actor: Actor, card: CardRef | None = None) -> Refusal:
    """A button with these words could be drawn on anything; only what the bot posted says truly what it does."""
    text = (
        "This message is not one of the bot's for this incident, so the button does nothing. Nothing happened. Use the "
        "board or the newest message about it, or type the command: /lync help"
    )
    return no(case, "card", what, text, actor, card=card)


def _waiting(case: Case, key: str) -> StepState | None:
    """The step, unless it is settled, is to run again by an earlier ruling, or the run was given up."""
    step = case.incident.step(key)
    if step is None or step.settled or step.retry or case.incident.aborted:
        return None
    return step


def _ruled(case: Case, command: Rule, who: Person, step: StepState, failure: Failure) -> tuple[Event, ...]:
    persons = (*rulings.votes_for(step, command.verdict), who.id)
    voted = RulingVoted(
        actor=as_person(command.actor, who),
        cause=(failure.seq,),
        step=command.step,
        attempt=command.attempt,
        verdict=command.verdict,
        reason=command.reason,
        card=command.card,
    )
    policy = case.rules.policy
    standing = tuple(p for p in persons if (known := policy.person(p)) is not None and known.may("operate"))
    if len(set(standing)) < rulings.quorum(step, command.verdict):
        return (voted,)
    reasons = [reason for person, _, reason in failure.votes if person in standing and reason]
    ruling = Ruling(
        cause=(failure.seq,),
        step=command.step,
        attempt=command.attempt,
        verdict=command.verdict,
        persons=standing,
        reason="; ".join(dict.fromkeys([*reasons, *([command.reason] if command.reason else [])])),
        against_probe=command.verdict == "done" and rulings.against_probe(step),
    )
    return (voted, ruling)


def _title(step: StepState | None, key: str) -> str:
    return step.title if step is not None else f"Step {key}"


def _more(missing: int) -> str:
    return "One more person" if missing <= 1 else f"{missing} more persons"


def confirm(case: Case, command: Confirm) -> Result:
    """A person saw service work on the surviving pool, once everything is moved, or when it is their turn."""
    who = authorise(case, command.actor, "confirm", ("operate",))
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, "confirm", command.actor):
        return closed
    if command.copy:
        return _copied(case, "confirm", command.actor)
    state = case.incident
    first = next((s for s in state.steps if not s.settled), None)
    moving = next((s for s in state.steps if changes(s) and not s.settled), None)
    theirs = first is not None and is_task(first)
    if state.run_request is None or (moving is not None and not theirs):
        still = f"{moving.title} is not done yet" if moving and state.run_request else "Nothing has been moved yet"
        text = f"{still}, so there is nothing to confirm."
        return no(case, "nothing_to_confirm", "confirm", text, command.actor)
    return (Confirmed(actor=as_person(command.actor, who), text=command.text),)
