"""Declaring, joining, the clock, notes, the lead, and what the bot writes down for the record."""

from __future__ import annotations

from incident.commands import (
    AddNote,
    Declare,
    OpenFollowUp,
    RecordCard,
    RecordTold,
    Refusal,
    SetOutage,
    SettleFollowUp,
    TakeLead,
)
from incident.decide.case import Case, Result, no
from incident.decide.who import authorise, identify, unproven
from incident.events import (
    Actor,
    CardPosted,
    Declared,
    FollowUp,
    FollowUpSettled,
    Joined,
    LeadTaken,
    Noted,
    OutageSet,
    Told,
)
from incident.policy import AT_ONCE, Person


def declare(case: Case, command: Declare) -> Result:
    """A declaration opens the incident; over an open one of the same pool it joins."""
    who = authorise(case, command.actor, "declare", ("declare",), pool=command.pool)
    if isinstance(who, Refusal):
        return who
    if command.since is not None and command.since > case.now:
        return no(case, "impossible_time", "declare", "The outage cannot begin in the future.", command.actor)
    if command.start_at is not None and (command.playbook in AT_ONCE or command.start_at <= case.now):
        text = "A disaster begins at once, and planned work at an hour that is still to come. Nothing was opened."
        return no(case, "impossible_time", "declare", text, command.actor)
    actor = as_person(command.actor, who)
    if case.state is not None:
        if case.state.closed:
            return _closed(case, "declare", command.actor)
        return (Joined(actor=actor, raw=command.raw),)
    pair = case.rules.policy.pair(command.pool, command.partner)
    return (
        Declared(
            actor=actor,
            playbook=command.playbook,
            pool=command.pool,
            pool_fqdn=command.pool_fqdn,
            site=command.site,
            partner=command.partner,
            partner_fqdn=command.partner_fqdn,
            partner_site=command.partner_site,
            users=command.users,
            reason=command.reason,
            raw=command.raw,
            channel=command.channel,
            rto_s=pair.rto_s,
            practice=case.rules.practice,
            digests=case.rules.digests.get(command.pool),
            said_since=command.since,
            kept_t1=command.t1,
            linked=command.linked,
            start_at=command.start_at,
        ),
    )


def _closed(case: Case, what: str, actor: Actor | None) -> Refusal:
    at = case.time(case.incident.closed_at)
    return no(case, "closed", what, f"{case.incident.id} was closed at {at}. Nothing happened.", actor)


def open_or_refusal(case: Case, what: str, actor: Actor | None) -> Refusal | None:
    """The refusal where the incident is closed."""
    return _closed(case, what, actor) if case.incident.closed else None


def set_outage(case: Case, command: SetOutage) -> Result:
    """T0 as a person knows it: not after the declaration, and so not in the future."""
    who = authorise(case, command.actor, "outage", ("declare", "operate"))
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, "outage", command.actor):
        return closed
    t1 = case.incident.clocks.t1
    if t1 is not None and command.since > t1:
        text = f"The outage cannot have begun after it was declared at {case.time(t1)}. Nothing was changed."
        return no(case, "impossible_time", "outage", text, command.actor)
    return (OutageSet(actor=as_person(command.actor, who), since=command.since),)


def add_note(case: Case, command: AddNote) -> Result:
    """Anybody of the policy may leave a note, also after the end."""
    who = identify(case, command.actor, "note", need_account=False)
    if isinstance(who, Refusal):
        return who
    if command.actor.via == "cli" and (wrong := unproven(case, command.actor, who, "note")):
        return wrong
    return (Noted(actor=as_person(command.actor, who), text=command.text),)


def take_lead(case: Case, command: TakeLead) -> Result:
    """Who leads is a word for the others, no right."""
    who = authorise(case, command.actor, "lead", ("operate", "declare"))
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, "lead", command.actor):
        return closed
    return (LeadTaken(actor=as_person(command.actor, who)),)


def settle_follow_up(case: Case, command: SettleFollowUp) -> Result:
    """A follow-up that is open can be done."""
    who = authorise(case, command.actor, "follow_up", ("operate", "declare", "approve"))
    if isinstance(who, Refusal):
        return who
    if not any(key == command.key and not done for key, _, done in case.incident.follow_ups):
        return no(case, "no_follow_up", "follow_up", f"No open follow-up is called {command.key}.", command.actor)
    return (FollowUpSettled(actor=as_person(command.actor, who), key=command.key, text=command.text),)


def open_follow_up(case: Case, command: OpenFollowUp) -> Result:
    """Written once under each key."""
    if any(key == command.key for key, _, _ in case.incident.follow_ups):
        return ()
    return (FollowUp(key=command.key, text=command.text),)


def record_card(case: Case, command: RecordCard) -> Result:
    """Where a card stands; written once."""
    request = case.request(command.request)
    if request is None:
        return no(case, "no_request", "card", f"There is no approval question {command.request}.")
    return () if command.card in request.cards else (CardPosted(request=command.request, card=command.card),)


def record_told(case: Case, command: RecordTold) -> Result:
    """Whether somebody could be reached."""
    return (
        Told(
            person=command.person, how=command.how, ok=command.ok, what=command.what, sentence=command.sentence
        ),
    )  # fmt: skip


def as_person(actor: Actor, person: Person) -> Actor:
    """The actor as the policy knows them: its id and its name, whatever the account calls itself."""
    return actor.model_copy(update={"person": person.id, "name": person.name})
