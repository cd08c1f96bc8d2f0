"""Who is it, and may they: every check on a person and their account, at the moment of the act.

Every refusal here has its own code and its own sentence, and is written down.
"""

from __future__ import annotations

from typing import Final

from incident.commands import Refusal
from incident.decide.case import Case, no
from incident.events import Actor, CardRef, LockedOut
from incident.persons import account_trouble, person_of
from incident.policy import Person, Role

_DEEDS: Final = {
    "declare": "declare a disaster",
    "ask": "ask for approval",
    "still_disaster": "say that it is still a disaster",
    "outage": "say when the outage began",
    "lead": "take the lead",
    "follow_up": "settle a follow-up",
    "go_on": "lift a stop",
    "ruling": "decide about a step",
    "confirm": "confirm that it works",
    "cancel": "cancel a declaration",
    "close": "close an incident",
}
"""What somebody without the role wanted to do, in words."""
_ACT_WORDS: Final = {"approve": "your tap", "decline": "your tap", "still_disaster": "your tap"}


def identify(
    case: Case,
    actor: Actor,
    what: str,
    *,
    request: int | None = None,
    card: CardRef | None = None,
    need_account: bool = True,
) -> Person | Refusal:
    """The person, or why this account may not act, whatever the role."""

    def refuse(key: str, words: str) -> Refusal:
        return no(case, key, what, words, actor, request=request, card=card)

    policy = case.rules.policy
    record = f"Nothing happened; {_ACT_WORDS.get(what, 'it')} is on record."
    if actor.via == "slack" and actor.team not in {policy.team, policy.enterprise} - {""}:
        return refuse("foreign", f"Your account belongs to another workspace. {record}")
    if actor.account is not None:
        trouble = account_trouble(policy, actor.account, team=actor.via == "slack")
        if trouble is not None:
            return refuse(trouble[0], f"{trouble[1]}, so you may not do this. {record}")
    person = person_of(policy, actor)
    if person is None:
        sentence = (
            f"You are not an approver for {case.pool}. {record}"
            if what == "approve"
            else f"You are not in the policy of this installation, so you may not do this. {record}"
        )
        return refuse("nobody", sentence)
    seen = actor.account
    if actor.via == "slack" and need_account and (seen is None or (what == "approve" and seen.looked_at is None)):
        # Without the moment of the look at it, a worker would not believe the vote.
        return refuse("unseen", "Slack could not say just now who you are. Nothing happened. Try again in a moment.")
    return person


def authorise(
    case: Case,
    actor: Actor,
    what: str,
    roles: tuple[Role, ...],
    *,
    request: int | None = None,
    card: CardRef | None = None,
    pool: str = "",
) -> Person | Refusal:
    """The person, where they hold one of `roles` and the account may act; else the refusal that says why not."""
    person = identify(case, actor, what, request=request, card=card)
    if isinstance(person, Refusal):
        return person

    def refuse(key: str, words: str) -> Refusal:
        return no(case, key, what, words, actor, request=request, card=card)

    pool = pool or case.pool
    if person.shared and roles != ("watch",):
        return refuse("shared", f"{person.name} is a shared account and may only watch. Use your own account.")
    if not any(person.may(role) for role in roles):
        return refuse("role", _lacks(case, person, what, roles, pool))
    if roles == ("operate",) and case.state is not None and person.id in case.state.locked:
        # Their account may be in other hands, also where this decision itself asks for no code.
        return locked(case, actor, what, request, card)
    if actor.via == "cli":
        wrong = unproven(case, actor, person, what, request)
        if wrong is not None:
            return wrong
    if roles == ("approve",) and case.rules.policy.approver_group and not _in_group(actor):
        return refuse("group", f"You are not in the Slack group that may approve for {pool}. Nothing happened.")
    return person


def _lacks(case: Case, person: Person, what: str, roles: tuple[Role, ...], pool: str) -> str:
    if roles == ("approve",):
        return f"You are not an approver for {pool}. Nothing happened; your tap is on record."
    call = case.call_list(roles[0], but=person.id)
    return f"You may not {_DEEDS.get(what, 'do this')} for {pool}. Nothing happened. Call: {call}."


def _in_group(actor: Actor) -> bool:
    """A group narrows what Slack can be asked about; a terminal has proved the person otherwise."""
    return actor.via == "cli" or (actor.account is not None and actor.account.in_group is True)


def unproven(case: Case, actor: Actor, person: Person, what: str, request: int | None = None) -> Refusal | None:
    """In a terminal a person is proved by a one-time code: right, not spent, and not too often wrong before.

    Asked also where no role is needed: nobody may stop a run, or write a note, in another person's name.
    """
    if case.state is not None and person.id in case.state.locked:
        return locked(case, actor, what, request)
    if actor.code_step is None and case.state is not None:
        return wrong_code(case, actor, person, what, request)
    if actor.code_step is None:
        text = "The one-time code is missing or wrong. Nothing happened."
        return no(case, "unproven", what, text, actor, request=request)
    if actor.code_step <= case.spent(person.id):
        text = "This one-time code was used before. Nothing happened. Wait for the next one."
        return no(case, "code_replayed", what, text, actor, request=request)
    return None


def locked(case: Case, actor: Actor, what: str, request: int | None, card: CardRef | None = None) -> Refusal:
    """Too many wrong codes before."""
    limit = case.rules.policy.wrong_codes
    text = f"{limit} wrong codes: you may not do this in this incident any more. Nothing happened. Ask another person."
    return no(case, "locked", what, text, actor, request=request, card=card)


def wrong_code(
    case: Case, actor: Actor, person: Person, what: str, request: int | None, card: CardRef | None = None
) -> Refusal:
    """One more wrong code; the last one allowed locks the person for this incident."""
    limit = case.rules.policy.wrong_codes
    wrong = case.incident.wrong_codes.get(person.id, 0) + 1
    if wrong < limit:
        text = f"Wrong code, {wrong} of {limit}. Nothing was run."
        return no(case, "code_wrong", what, text, actor, request=request, card=card)
    text = f"Wrong code, {wrong} of {limit}. You may no longer approve or decide here; the channel is told."
    lock = (LockedOut(actor=actor, person=person.id),)
    return no(case, "code_wrong", what, text, actor, request=request, card=card, events=lock)
