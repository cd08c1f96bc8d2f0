"""The approval judged again, by whoever is about to act or to believe: each vote from its own signed record.

Nothing here asks Slack. A worker calls `judge` and `judge_words` with its own policy before it acts; `verify_approval`
calls them for every change of a record, with the policy of the day, or without one where only the record is at hand
(then persons and their rights are taken as recorded). An empty answer means: two different people, at least one of
them not the asker, had the right and approved exactly this plan in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from incident.events import Actor
from incident.persons import LOOK_KEPT, account_trouble, person_of
from incident.policy import Policy, Role
from incident.rulings import quorum
from incident.state import Incident, Request, Vote

FRESH: Final = timedelta(seconds=60)
"""No older look at an account counts for an approval that came through Slack."""
WRITING: Final = timedelta(seconds=2)
"""From the decision, which compares with the expiry, until the record that has its own time."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and whose record shows it."""

    key: str
    text: str
    seq: int = 0


def judge(state: Incident, policy: Policy | None, request: Request) -> tuple[Finding, ...]:
    """What is wrong with this request's approval by `policy`; empty where it holds."""
    found = [*_asker(state, policy, request), *_shown(state, request), *_red(state, policy, request)]
    good: set[str] = set()
    for vote in request.votes:
        wrong = _vote(state, policy, request, vote)
        if wrong:
            found.extend(wrong)
        else:
            good.add(vote.person)
    found.extend(_count(policy, request, good))
    found.extend(_times(state, policy, request))
    return tuple(found)


def _asker(state: Incident, policy: Policy | None, request: Request) -> list[Finding]:
    actor = state.declared.actor
    if actor is None or not actor.person:
        return [Finding("asker", "The declaration names no person.", state.declared_seq)]
    if request.asker != actor.person:
        return [Finding("asker", "The question names another asker than the declaration.", request.seq)]
    return _holds(policy, actor, "declare", state.declared_seq)


def _holds(policy: Policy | None, actor: Actor, role: Role, seq: int) -> list[Finding]:
    """Whether the actor of a record is the person it names, and holds the role, by this policy."""
    if policy is None:
        return [] if actor.person else [Finding("nobody", f"Record {seq}: {actor.name} is no person.", seq)]
    person = person_of(policy, actor)
    if person is None or person.id != actor.person:
        return [Finding("nobody", f"Record {seq}: {actor.name} is nobody in this policy.", seq)]
    if not person.may(role):
        return [Finding("role", f"Record {seq}: {person.name} does not hold {role} in this policy.", seq)]
    if actor.account is not None:
        trouble = account_trouble(policy, actor.account, team=actor.via == "slack")
        if trouble is not None:
            return [Finding(trouble[0], f"Record {seq}: the account of {person.name} may not act ({trouble[0]}).", seq)]
    elif actor.via == "slack":
        return [Finding("unseen", f"Record {seq}: the account of {person.name} was not looked at.", seq)]
    if actor.via == "cli" and actor.code_step is None:
        return [Finding("unproven", f"Record {seq}: {person.name} did not prove who they are in the terminal.", seq)]
    return []


def _shown(state: Incident, request: Request) -> list[Finding]:
    """The card's colour and warnings, which no digest covers, are those of the plan itself, which its digest covers."""
    planned = state.planned
    if planned is None or planned.digest != request.digest or "warnings" not in planned.plan:
        return []
    warnings = [dict(w) for w in planned.plan["warnings"]]
    levels = {str(w.get("level")) for w in warnings}
    due = "red" if "red" in levels else "amber" if levels else "green"
    if {planned.level, request.level} != {due}:
        text = f"The card was {request.level}, and the plan under it is {due}."
        return [Finding("level", text, request.seq)]
    if [(w["level"], w["why"], w["do"]) for w in warnings] != [
        (w.get("level"), w.get("text"), w.get("todo")) for w in planned.warnings
    ]:
        return [Finding("warnings", "The warnings on the card are not those of the plan under it.", request.seq)]
    return []


def _red(state: Incident, policy: Policy | None, request: Request) -> list[Finding]:
    if request.level != "red":
        return []
    if not request.still_disaster or request.still_by is None:
        return [Finding("not_insisted", "Under the red warning the asker did not insist.", request.seq)]
    if request.still_by.person != request.asker:
        return [Finding("not_asker", "Somebody else than the asker insisted under the red warning.", request.still_seq)]
    return _holds(policy, request.still_by, "declare", request.still_seq)


def _vote(state: Incident, policy: Policy | None, request: Request, vote: Vote) -> list[Finding]:
    """One vote from its own record: person, role, distinctness, question, plan, card, time, friction."""

    def wrong(key: str, text: str) -> list[Finding]:
        return [Finding(key, f"Record {vote.seq}: {text}", vote.seq)]

    holds = _holds(policy, vote.actor, "approve", vote.seq)
    if holds:
        return holds
    if vote.person == request.asker:
        return wrong("self", "the asker approved their own request.")
    if vote.nonce != request.nonce or vote.digest != request.digest:
        return wrong("stale", "the vote is about another question or another plan.")
    if vote.seq <= request.seq or vote.at >= request.expires + WRITING or vote.at < request.at:
        return wrong("expired", "the vote was not given while the question was open.")
    if vote.card is None and vote.actor.via != "cli":
        return wrong("card", "the vote names no card.")
    places = {(c.team, c.channel, c.ts) for c in request.cards}
    if vote.card is not None and (vote.card.team, vote.card.channel, vote.card.ts) not in places:
        return wrong("card", "the vote was given on no card of this question.")
    if _locked(state, vote.actor, vote.seq):
        return wrong("locked", "too many wrong codes had locked this person out.")
    account = vote.actor.account
    looked_at = account.looked_at if account is not None else None
    limit, words = (LOOK_KEPT, "24 hours") if vote.actor.via == "cli" else (FRESH, "60 s")
    if looked_at is None and vote.actor.via == "slack":
        return wrong("unseen", "nothing says when the account was looked at.")
    if looked_at is not None and vote.at - looked_at > limit + WRITING:
        return wrong("unseen", f"the account had not been looked at for more than {words}.")
    if (
        policy is not None
        and policy.approver_group
        and vote.actor.via == "slack"
        and (account is None or account.in_group is not True)
    ):
        return wrong("group", "the account was not in the group that may approve.")
    return _friction(state, policy, request, vote)


def _friction(state: Incident, policy: Policy | None, request: Request, vote: Vote) -> list[Finding]:
    if request.level == "red":
        if (vote.typed or "").strip().casefold() != state.declared.pool.casefold():
            return [Finding("typed", f"Record {vote.seq}: under red the pool's name was not typed.", vote.seq)]
        if request.still_seq > vote.seq:
            return [Finding("not_insisted", f"Record {vote.seq}: approved before the asker insisted.", vote.seq)]
    step = vote.actor.code_step
    if step is None:
        if request.level != "red" and policy is not None and policy.one_time_code:
            return [Finding("code_missing", f"Record {vote.seq}: approved without a one-time code.", vote.seq)]
        return []
    earlier = [
        v.actor.code_step
        for r in state.requests
        for v in r.votes
        if v.person == vote.person and v.seq < vote.seq and v.actor.code_step is not None
    ]
    if any(step <= before for before in earlier):
        return [Finding("code_replayed", f"Record {vote.seq}: the one-time code was used before.", vote.seq)]
    return []


def _count(policy: Policy | None, request: Request, good: set[str]) -> list[Finding]:
    person = policy.person(request.asker) if policy is not None else None
    counts = request.asker_counts if policy is None else person is not None and person.may("approve")
    quorum_now = policy.quorum if policy is not None else 2
    needed = max(max(quorum_now, request.quorum) - (1 if counts else 0), 1)
    if len(good) >= needed:
        return []
    return [Finding("quorum", f"{len(good)} of {needed} approvals beside the asker hold.", request.seq)]


def _times(state: Incident, policy: Policy | None, request: Request) -> list[Finding]:
    if request.approved_at is None or request.window_ends is None:
        return [Finding("not_approved", "The question was not approved.", request.seq)]
    found: list[Finding] = []
    if policy is None:
        return found
    if request.expires - request.at > policy.open_for(state.declared.playbook) + WRITING:
        found.append(Finding("expired", "The question stood open longer than this policy allows.", request.seq))
    begins = max(request.approved_at, state.declared.start_at or request.approved_at)
    if request.start_at != state.declared.start_at:
        found.append(Finding("window", "The question names another hour than was asked for.", request.seq))
    if request.window_ends - begins > policy.execution_window + WRITING:
        found.append(Finding("window", "The time to begin is longer than this policy allows.", request.seq))
    return found


def recheck_due(policy: Policy, request: Request, at: datetime) -> bool:
    """Whether Slack must have been asked again about everybody before a run begins at `at`, and was not.

    So it is where more than `recheck_after_s` lies between the last approval given in Slack and the start. A
    `Rechecked` of no accounts says that Slack was away: then what was seen at the click counts. An approval from a
    terminal rests on a one-time code and needs none.
    """
    last = max((v.at for v in request.votes if v.actor.via == "slack"), default=None)
    if last is None or at - last <= timedelta(seconds=policy.recheck_after_s) + WRITING:
        return False
    seen = request.rechecked_at
    return seen is None or seen < last or at - seen > policy.execution_window


def _locked(state: Incident, actor: Actor, seq: int) -> bool:
    """Whether too many wrong codes had locked the person out before they said this."""
    return state.locked.get(actor.person or "", seq) < seq


def judge_words(state: Incident, policy: Policy | None) -> tuple[Finding, ...]:
    """What is wrong with what people said during the run: stops that were lifted, and rulings."""
    found: list[Finding] = []
    for actor, _, seq in state.went_on:
        if actor is None:
            found.append(Finding("nobody", "A stop was lifted by nobody."))
        elif _locked(state, actor, seq):
            found.append(Finding("locked", "A stop was lifted by somebody whom too many wrong codes had locked out."))
        else:
            found += _holds(policy, actor, "operate", 0)
    for key, attempt, verdict, persons, _, _ in state.rulings:
        said = {v.actor.person: v for v in state.ruling_votes if (v.step, v.attempt) == (key, attempt)}
        agreed = {
            person
            for person, vote in said.items()
            if vote.verdict == verdict
            and not _holds(policy, vote.actor, "operate", vote.seq)
            and not _locked(state, vote.actor, vote.seq)
        }
        if not set(persons) <= agreed:
            found.append(Finding("role", f"The ruling {verdict} about {key} does not hold by this policy."))
        step = state.step(key)
        failure = step.failure if step is not None else None
        if step is None or failure is None or failure.attempt != attempt:
            continue
        if len(set(persons)) < (due := quorum(step, verdict)):
            text = f"The ruling {verdict} about {key} was made by {len(set(persons))} of {due} persons."
            found.append(Finding("quorum", text))
    return tuple(found)
