"""The two-person rule: asking, insisting under red, approving, declining, lapsing, asking Slack again.

Everything that can make a click worthless is looked at here, at the moment of the click, on the recorded state:
who it is, which card, which question, which plan, whether in time, whether counted already. Nothing outside the
record is believed but the account as Slack described it just now.
"""

from __future__ import annotations

import hmac
from typing import Final

from incident.commands import Approve, AskApproval, Decline, Recheck, Refusal, SayStillDisaster, Tick
from incident.decide.case import Case, Result, no
from incident.decide.requests import as_person, open_or_refusal
from incident.decide.who import authorise, locked, wrong_code
from incident.events import (
    Account,
    Actor,
    Asked,
    CardRef,
    Declined,
    Event,
    Lapsed,
    Rechecked,
    Revoked,
    StillDisaster,
    Voted,
)
from incident.persons import account_trouble
from incident.plans import changes
from incident.policy import Person, Policy
from incident.state import Incident, Request

CLOCK_LIMIT_S: Final = 30
"""A host whose clock is off by more takes no approval."""
LEAST_DIGEST: Final = 16
"""Characters of the digest that a button must carry at least."""


def others_needed(policy: Policy, asker: str) -> tuple[int, bool]:
    """(persons beside the asker, whether the asker's request counts): the asker counts where they may approve.

    At least one other is always needed: a quorum below two cannot be configured.
    """
    person = policy.person(asker)
    counts = person is not None and person.may("approve")
    return (policy.quorum - 1 if counts else policy.quorum), counts


def ask(case: Case, command: AskApproval) -> Result:
    """Opens the question for the last plan. The asker is whoever declared, whoever taps "ask again"."""
    state, actor, planned = case.incident, command.actor, case.incident.planned
    if actor is not None:
        who = authorise(case, actor, "ask", ("declare", "approve", "operate"))
        if isinstance(who, Refusal):
            return who
        actor = as_person(actor, who)
    if closed := open_or_refusal(case, "ask", actor):
        return closed
    if state.hard_stop is not None or planned is None:
        why = state.hard_stop.text if state.hard_stop else "No plan has been made yet."
        return no(case, "no_plan", "ask", f"There is nothing to approve. {why}", actor)
    if state.run_request is not None:
        return no(case, "asked", "ask", "The run has begun already.", actor)
    last = state.request
    if last is not None:
        if last.state == "approved" or (last.state == "open" and case.now < last.expires):
            return no(case, "asked", "ask", f"The question is {last.state} already.", actor)
        unanswered = last.digest == planned.digest and not command.again and not state.ask_due
        if unanswered or any(r.nonce == command.nonce for r in state.requests):
            return no(case, "asked", "ask", "This plan was asked about. It can be asked again with one tap.", actor)
    asker = state.declared.actor.person if state.declared.actor else None
    if asker is None:
        return no(case, "nobody", "ask", "Nobody known to the policy has asked for this.", actor)
    needed, counts = others_needed(case.rules.policy, asker)
    lapse: tuple[Event, ...] = (Lapsed(request=last.number),) if last is not None and last.state == "open" else ()
    asked = Asked(
        actor=actor,
        cause=(state.seq,),
        request=len(state.requests) + 1,
        digest=planned.digest,
        nonce=command.nonce,
        short=planned.short,
        expires=case.now + case.rules.policy.open_for(state.declared.playbook),
        start_at=state.declared.start_at,
        quorum=case.rules.policy.quorum,
        others_needed=needed,
        asker=asker,
        asker_counts=counts,
        level=planned.level,
        again=command.again,
        differs=_differs(case),
    )
    return (*lapse, asked)


def _differs(case: Case) -> tuple[str, ...]:
    """Which files of the worker that looked are not this process's own: people see it before they approve."""
    mine, survey = case.rules.digests.get(case.pool), case.incident.survey
    return mine.differences(survey.digests) if mine is not None and survey is not None else ()


def approve(case: Case, command: Approve) -> Result:
    """One person's yes. The order of the checks is the order in which the answers help most."""
    request = case.request(command.request)
    at = {"request": command.request, "card": command.card}
    who = authorise(case, command.actor, "approve", ("approve",), **at)  # type: ignore[arg-type]
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, "approve", command.actor):
        return closed
    if request is None:
        return _unknown_request(case, command.actor, "approve", command.card)
    wrong = (
        _clock(case, command)
        or _authentic(case, request, command.actor, "approve", command.nonce, command.card)
        or _same_plan(case, command, request)
        or _still_open(case, request, command.actor, who, "approve", command.card)
        or _not_self(case, request, command, who)
        or _asker_may(case, request, command)
        or _insisted(case, request, command)
        or _friction(case, request, command, who)
    )
    return wrong or (_vote(case, request, command, who),)


def _clock(case: Case, command: Approve) -> Refusal | None:
    """Where the clocks disagree, nobody can say whether the question is still open."""
    if abs(command.clock_off_s) <= CLOCK_LIMIT_S:
        return None
    text = (
        f"The clock of the host that took this is off by {command.clock_off_s} s, so it takes no approval. Nothing was "
        "run. Set its clock, or approve from another host."
    )
    return no(case, "clock_here", "approve", text, command.actor, request=command.request, card=command.card)


def _vote(case: Case, request: Request, command: Approve, who: Person) -> Voted:
    """The vote, and whether it is the last one needed by the policy as it is now."""
    policy = case.rules.policy
    needed = max(request.others_needed, others_needed(policy, request.asker)[0])
    standing = {v.person for v in request.votes if (p := policy.person(v.person)) is not None and p.may("approve")}
    completes = len(standing | {who.id}) >= needed
    step = command.code.step if command.code else command.actor.code_step
    return Voted(
        actor=as_person(command.actor, who).model_copy(update={"code_step": step}),
        cause=(request.seq,),
        request=request.number,
        digest=request.digest,
        nonce=request.nonce,
        card=command.card,
        typed=command.typed,
        completes=completes,
        window_ends=max(case.now, request.start_at or case.now) + policy.execution_window if completes else None,
    )


def _unknown_request(case: Case, actor: Actor, what: str, card: CardRef | None) -> Refusal:
    text = "This button belongs to no open question here. Nothing was run."
    return no(case, "nonce", what, text, actor, card=card)


def _authentic(
    case: Case, request: Request, actor: Actor, what: str, nonce: str, card: CardRef | None
) -> Refusal | None:
    """The click belongs to this question and comes from one of its own cards, not from a copy."""
    if not hmac.compare_digest(nonce.encode(), request.nonce.encode()):
        return _unknown_request(case, actor, what, card)
    if actor.via == "cli":
        text = "A terminal has no card."
        return None if card is None else no(case, "card", what, text, actor, request=request.number, card=card)
    places = {(c.team, c.channel, c.ts) for c in request.cards}
    if card is None or (card.team, card.channel, card.ts) not in places:
        text = "This is a copy of the card, so the button does nothing. Use the card itself, in the channel or your DM."
        return no(case, "card", what, text, actor, request=request.number, card=card)
    return None


def _same_plan(case: Case, command: Approve, request: Request) -> Refusal | None:
    given = command.digest
    long_enough = len(given) >= LEAST_DIGEST
    if not long_enough or not request.digest.startswith(given):
        text = "This card shows another plan than the one asked about. Nothing was run. Look at the newest card."
        return no(case, "stale", "approve", text, command.actor, request=request.number, card=command.card)
    if command.short is not None and command.short.strip().upper() != request.short.upper():
        text = "These are not the six characters on the card. Nothing was run. Read them from the card again."
        return no(case, "short", "approve", text, command.actor, request=request.number, card=command.card)
    return None


def _still_open(
    case: Case, request: Request, actor: Actor, who: Person, what: str, card: CardRef | None
) -> Refusal | None:
    """Decided by the record and by the time now, whatever the card on somebody's phone still shows."""

    def refuse(key: str, text: str, events: tuple[Event, ...] = (), offer: str | None = None) -> Refusal:
        return no(case, key, what, text, actor, request=request.number, card=card, events=events, offer=offer)

    mine = next((v for v in request.votes if v.person == who.id), None)
    if mine is not None and request.state in ("open", "approved", "used") and what == "approve":
        return refuse("counted", f"Your approval counted already, at {case.time(mine.at)}. Nothing was started twice.")
    if request.state in ("approved", "used"):
        last = request.votes[-1]
        now = "Running." if request.state == "used" else "Starting."
        return refuse("late", f"Already approved by {case.name(last.person)} at {case.time(last.at)}. {now}")
    if request.state == "declined":
        return refuse("declined", f"Declined by {request.ended_by} at {case.time(request.ended_at)}. Nothing was run.")
    if request.state == "void":
        why = f" {'; '.join(request.why)}." if request.why else ""
        return refuse("void", f"This card no longer holds.{why} Nothing was run. Look at the newest card.")
    if request.state == "lapsed" and request.why == ("window",):
        over = case.time(request.window_ends)
        return refuse("window", f"Approved, but not begun by {over}. Nothing was run.", offer="ask_again")
    if request.state == "lapsed" or case.now >= request.expires:
        lapse: tuple[Event, ...] = (Lapsed(request=request.number),) if request.state == "open" else ()
        return refuse("expired", f"Expired {case.time(request.expires)}. Nothing was run.", lapse, "ask_again")
    return None


def _not_self(case: Case, request: Request, command: Approve, who: Person) -> Refusal | None:
    if who.id != request.asker:
        return None
    paged = case.approvers_but(who.id)
    text = f"You asked for this, so another person must approve. Paged: {paged}."
    return no(case, "self", "approve", text, command.actor, request=request.number, card=command.card)


def _asker_may(case: Case, request: Request, command: Approve) -> Refusal | None:
    """A worker would not begin what somebody asked for who may ask no more: said here, before anybody waits for it."""
    asker = case.rules.policy.person(request.asker)
    if asker is not None and asker.may("declare"):
        return None
    text = (
        f"{case.name(request.asker)} asked for this and may no longer declare, so it cannot be approved. Nothing was "
        f"run. Somebody else: /lync cancel {case.pool}, then declare it again."
    )
    return no(case, "asker_gone", "approve", text, command.actor, request=request.number, card=command.card)


def _insisted(case: Case, request: Request, command: Approve) -> Refusal | None:
    if request.level != "red" or request.still_disaster:
        return None
    asker = case.name(request.asker)
    text = f"{case.pool} may not be lost. {asker} must first tap “Still a disaster”. Nothing was run."
    return no(case, "not_insisted", "approve", text, command.actor, request=request.number, card=command.card)


def _friction(case: Case, request: Request, command: Approve, who: Person) -> Refusal | None:
    """Under red the pool's name; else, where the policy asks for it, a one-time code. Never both.

    Who is locked out stays so, whichever of the two is asked for now: the account may be in other hands.
    """
    if who.id in case.incident.locked:
        return locked(case, command.actor, "approve", request.number, command.card)
    if request.level == "red":
        typed = (command.typed or "").strip().casefold()
        if typed == case.pool.casefold():
            return None
        text = f"Type {case.pool} to approve: it answers, so this may be the wrong cure. Nothing was run."
        return no(case, "typed", "approve", text, command.actor, request=request.number, card=command.card)
    if case.rules.policy.one_time_code and command.actor.via == "slack":
        return _code(case, request, command, who)
    return None


def _code(case: Case, request: Request, command: Approve, who: Person) -> Refusal | None:
    """A one-time code (RFC 6238): right, never seen before, and not too often wrong."""

    def refuse(key: str, text: str) -> Refusal:
        return no(case, key, "approve", text, command.actor, request=request.number, card=command.card)

    if command.code is None:
        return refuse("code_missing", "Your one-time code is needed. Nothing was run.")
    if command.code.step is None:
        return wrong_code(case, command.actor, who, "approve", request.number, command.card)
    if command.code.step <= case.spent(who.id):
        return refuse("code_replayed", "This one-time code was used before. Wait for the next one. Nothing was run.")
    return None


def decline(case: Case, command: Decline) -> Result:
    """One person's no ends the question."""
    request = case.request(command.request)
    at = {"request": command.request, "card": command.card}
    who = authorise(case, command.actor, "decline", ("approve",), **at)  # type: ignore[arg-type]
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, "decline", command.actor):
        return closed
    if request is None:
        return _unknown_request(case, command.actor, "decline", command.card)
    wrong = _authentic(case, request, command.actor, "decline", command.nonce, command.card) or _still_open(
        case, request, command.actor, who, "decline", command.card
    )
    actor = as_person(command.actor, who)
    return wrong or (Declined(actor=actor, cause=(request.seq,), request=request.number, why=command.why),)


def say_still_disaster(case: Case, command: SayStillDisaster) -> Result:
    """Under red, the asker insists; nobody else can do it for them."""
    request = case.request(command.request)
    what = "still_disaster"
    who = authorise(case, command.actor, what, ("declare",), request=command.request, card=command.card)
    if isinstance(who, Refusal):
        return who
    if closed := open_or_refusal(case, what, command.actor):
        return closed
    if request is None:
        return _unknown_request(case, command.actor, what, command.card)
    wrong = _authentic(case, request, command.actor, what, command.nonce, command.card) or _still_open(
        case, request, command.actor, who, what, command.card
    )
    if wrong is not None:
        return wrong
    if who.id != request.asker:
        text = f"{case.name(request.asker)} asked for this and must say so. Nothing happened."
        return no(case, "not_asker", what, text, command.actor, request=request.number, card=command.card)
    if request.level != "red":
        return no(case, "not_red", what, "There is no red warning to answer.", command.actor, request=request.number)
    if request.still_disaster:
        return ()
    return (StillDisaster(actor=as_person(command.actor, who), cause=(request.seq,), request=request.number),)


def tick(case: Case, command: Tick) -> Result:
    """Time has passed: an open question expires, an approval not begun in time lapses. Neither is a no."""
    request = case.incident.request
    if case.incident.closed or request is None:
        return ()
    if request.state == "open" and case.now >= request.expires:
        return (Lapsed(cause=(request.seq,), request=request.number),)
    over = request.window_ends is not None and case.now >= request.window_ends
    if over and (request.state == "approved" or _begun_and_idle(case.incident, request)):
        return (Lapsed(cause=(request.seq,), request=request.number, which="window"),)
    return ()


def _begun_and_idle(state: Incident, request: Request) -> bool:
    """The run has begun, nothing was sent, and something is still to be sent."""
    unsent = request.state == "used" and state.clocks.t3 is None and state.open_attempt is None
    return unsent and any(changes(step) and not step.settled for step in state.steps)


def recheck(case: Case, command: Recheck) -> Result:
    """Slack was asked again. Whoever may no longer approve takes their approval with them, before the first act."""
    request = case.request(command.request)
    unsent = case.incident.clocks.t3 is None
    if request is None or case.incident.closed or request.state not in ("open", "approved", "used") or not unsent:
        return ()
    lost = tuple(
        (person, why)
        for person in dict.fromkeys((request.asker, *(v.person for v in request.votes)))
        if (why := lost_right(case.rules.policy, case.incident, request, person, command.accounts.get(person)))
    )
    checked = Rechecked(request=request.number, accounts=dict(command.accounts), lost=tuple(p for p, _ in lost))
    return (checked, *(Revoked(request=request.number, person=p, why=why) for p, why in lost))


def lost_right(policy: Policy, state: Incident, request: Request, person: str, account: Account | None) -> str:
    """Why this person's part in the request no longer holds, as a sentence; empty where it does."""
    known = policy.person(person)
    name = known.name if known else person
    role = "declare" if person == request.asker else "approve"
    if known is None or known.shared or role not in known.roles:
        return f"{name} may no longer {role} for {state.declared.pool}"
    if account is not None:
        trouble = account_trouble(policy, account)
        if trouble is not None:
            return f"{name}: the account may no longer act ({trouble[0]})"
        if role == "approve" and policy.approver_group and account.in_group is False:
            return f"{name} is no longer in the group that may approve"
    return ""
