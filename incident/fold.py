"""From records to the incident: pure, total on verified records, and the only maker of states.

`apply` asks no questions: what may happen was decided before it was written. A record of an unknown kind or of
another journal is a programming error and raises; every prefix of a valid journal folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import reduce
from types import MappingProxyType
from typing import Any, Protocol

from incident import events as ev
from incident.events import Event, Json
from incident.plans import changes, is_task, proves_itself
from incident.restraint import counted
from incident.state import (
    Attempt,
    Failure,
    Hand,
    Incident,
    RefusalCount,
    Request,
    RulingVote,
    StepState,
    Stopped,
    Vote,
)


class Folded(Protocol):
    """What the fold reads of a record."""

    @property
    def incident(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def h(self) -> str: ...
    @property
    def when(self) -> datetime: ...
    @property
    def event(self) -> Event: ...


def fold(records: Iterable[Folded], state: Incident | None = None) -> Incident | None:
    """The incident after all `records`; None for no records."""
    return reduce(apply, records, state)


def apply(state: Incident | None, record: Folded) -> Incident:
    """The incident after one more record."""
    event = record.event
    if state is None:
        if not isinstance(event, ev.Declared):
            raise ValueError(f"Record {record.seq} of {record.incident} comes before any declaration.")
        return _declared(event, record)
    if isinstance(event, ev.Declared):
        raise ValueError(f"Record {record.seq} of {record.incident} declares the incident a second time.")
    vain = counted(state.hands_in_vain, event)
    state = replace(state, seq=record.seq, head=record.h, at=record.when, hands_in_vain=vain)
    state = _spend_code(state, event)
    change = _CHANGES.get(type(event))
    return state if change is None else change(state, event, record)


def _spend_code(state: Incident, event: Event) -> Incident:
    """A one-time code that proved somebody is spent, whatever it was given for."""
    actor = event.actor
    if actor is None or actor.code_step is None or not actor.person or isinstance(event, ev.Refused):
        return state
    return replace(state, code_steps=MappingProxyType({**state.code_steps, actor.person: actor.code_step}))


def _declared(event: ev.Declared, record: Folded) -> Incident:
    at = record.when
    state = Incident(
        id=record.incident,
        seq=record.seq,
        head=record.h,
        at=at,
        declared=event,
        declared_seq=record.seq,
        activity=((at, "checks"),),
        lead=_name(event),
    )
    clocks = replace(state.clocks, t1=event.kept_t1 or at, t0=event.said_since)
    state = _spend_code(state, event)
    return replace(state, clocks=replace(clocks, t0_by=_name(event) if event.said_since else ""))


def _name(event: Event) -> str:
    return event.actor.name if event.actor else ""


def _who(event: Event) -> str:
    """The key under which somebody is counted: the person, else the account."""
    actor = event.actor
    if actor is None:
        return ""
    return actor.person or f"{actor.team}/{actor.user}"


def _doing(state: Incident, at: datetime, what: str) -> Incident:
    """From `at` on, time is spent on `what`; after the end nothing is counted any more."""
    if state.activity and state.activity[-1][1] in (what, "end"):
        return state
    return replace(state, activity=(*state.activity, (at, what)))


# --- people: notes, the clock, the end ---------------------------------------------------------------------


def _joined(state: Incident, event: ev.Joined, record: Folded) -> Incident:
    return state if event.actor is None else replace(state, joined=(*state.joined, (event.actor, record.when)))


def _outage_set(state: Incident, event: ev.OutageSet, record: Folded) -> Incident:
    return replace(state, clocks=replace(state.clocks, t0=event.since, t0_by=_name(event), t0_proposed=False))


def _noted(state: Incident, event: ev.Noted, record: Folded) -> Incident:
    return replace(state, notes=(*state.notes, (record.when, _name(event), event.text)))


def _lead(state: Incident, event: ev.LeadTaken, record: Folded) -> Incident:
    return replace(state, lead=_name(event))


def _cancelled(state: Incident, event: ev.Cancelled, record: Folded) -> Incident:
    state = _end_request(state, record, "void", _name(event), ("cancelled",))
    return _doing(state, record.when, "end")


def _closed(state: Incident, event: ev.Closed, record: Folded) -> Incident:
    state = replace(state, closed=event.result, closed_at=record.when, closing=event.sentence)
    return _doing(state, record.when, "end")


def _follow_up(state: Incident, event: ev.FollowUp, record: Folded) -> Incident:
    kept = tuple(f for f in state.follow_ups if f[0] != event.key)
    return replace(state, follow_ups=(*kept, (event.key, event.text, False)))


def _settled(state: Incident, event: ev.FollowUpSettled, record: Folded) -> Incident:
    ups = tuple((k, text, done or k == event.key) for k, text, done in state.follow_ups)
    return replace(state, follow_ups=ups)


# --- the look and the plan ---------------------------------------------------------------------------------


def _surveyed(state: Incident, event: ev.Surveyed, record: Folded) -> Incident:
    clocks, began = state.clocks, event.outage_from
    if began is not None and clocks.t0 is None and clocks.t1 is not None and began <= clocks.t1:
        clocks = replace(clocks, t0=began, t0_proposed=True)
    return replace(state, survey=event, surveys=state.surveys + 1, clocks=clocks)


def _planned(state: Incident, event: ev.Planned, record: Folded) -> Incident:
    steps = state.steps if state.run_request is not None else steps_of(event.plan)
    return replace(state, planned=event, planned_seq=record.seq, hard_stop=None, steps=steps)


def steps_of(plan: Json) -> tuple[StepState, ...]:
    """The plan's steps, none of them begun; `index` counts from 1 as people do."""
    steps = plan.get("steps", ())
    return tuple(
        StepState(id=str(s["id"]), title=str(s.get("title", s["id"])), host=str(s.get("host") or ""), index=n, plan=s)
        for n, s in enumerate(steps, start=1)
    )


def _hard_stopped(state: Incident, event: ev.HardStopped, record: Folded) -> Incident:
    return _doing(replace(state, hard_stop=event), record.when, "people")


# --- approval ----------------------------------------------------------------------------------------------


def _asked(state: Incident, event: ev.Asked, record: Folded) -> Incident:
    request = Request(
        number=event.request,
        seq=record.seq,
        at=record.when,
        digest=event.digest,
        nonce=event.nonce,
        short=event.short,
        expires=event.expires,
        quorum=event.quorum,
        others_needed=event.others_needed,
        asker=event.asker,
        asker_counts=event.asker_counts,
        level=event.level,
        start_at=event.start_at,
        differs=event.differs,
    )
    # Why a hand would not begin belonged to the question before; the same reason is said again about this one.
    asked = replace(state, requests=(*state.requests, request), run_refused=None)
    return _doing(asked, record.when, "approval")


def _on_request(state: Incident, number: int, change: Callable[[Request], Request]) -> Incident:
    return replace(state, requests=tuple(change(r) if r.number == number else r for r in state.requests))


def _end_request(
    state: Incident, record: Folded, became: Any, by: str, why: tuple[str, ...] = (), number: int | None = None
) -> Incident:
    """Ends the request (the last one, unless told) where nothing has been sent under it. A run that had begun without
    sending anything is taken back with it."""
    wanted = number if number is not None else (state.request.number if state.request else 0)
    unsent = state.clocks.t3 is None
    if state.run_request == wanted and unsent and state.planned is not None:
        state = replace(state, run_request=None, steps=steps_of(state.planned.plan), waits=None)

    def end(request: Request) -> Request:
        if request.state not in ("open", "approved") and not (request.state == "used" and unsent):
            return request
        return replace(request, state=became, ended_at=record.when, ended_seq=record.seq, ended_by=by, why=why)

    return _on_request(state, wanted, end)


def _still(state: Incident, event: ev.StillDisaster, record: Folded) -> Incident:
    return _on_request(
        state,
        event.request,
        lambda r: replace(r, still_disaster=True, still_by=event.actor, still_seq=record.seq),
    )


def _card(state: Incident, event: ev.CardPosted, record: Folded) -> Incident:
    return _on_request(
        state, event.request, lambda r: r if event.card in r.cards else replace(r, cards=(*r.cards, event.card))
    )


def _voted(state: Incident, event: ev.Voted, record: Folded) -> Incident:
    if event.actor is None:
        return state
    vote = Vote(
        person=event.actor.person or "",
        at=record.when,
        seq=record.seq,
        actor=event.actor,
        card=event.card,
        typed=event.typed,
        digest=event.digest,
        nonce=event.nonce,
    )

    def count(request: Request) -> Request:
        request = replace(request, votes=(*request.votes, vote))
        if not event.completes:
            return request
        return replace(request, state="approved", approved_at=record.when, window_ends=event.window_ends)

    state = _on_request(state, event.request, count)
    if event.completes:
        state = _doing(replace(state, clocks=replace(state.clocks, t2=record.when)), record.when, "between")
    return state


def _declined(state: Incident, event: ev.Declined, record: Folded) -> Incident:
    state = _end_request(state, record, "declined", _name(event), (event.why,) if event.why else (), event.request)
    return _doing(state, record.when, "people")


def _lapsed(state: Incident, event: ev.Lapsed, record: Folded) -> Incident:
    state = _end_request(state, record, "lapsed", "", (event.which,), event.request)
    return _doing(state, record.when, "people")


def _voided(state: Incident, event: ev.Voided, record: Folded) -> Incident:
    state = _end_request(state, record, "void", "", event.why, event.request)
    return _doing(state, record.when, "checks")


def _rechecked(state: Incident, event: ev.Rechecked, record: Folded) -> Incident:
    accounts = MappingProxyType(dict(event.accounts))
    return _on_request(state, event.request, lambda r: replace(r, rechecked_at=record.when, accounts=accounts))


def _revoked(state: Incident, event: ev.Revoked, record: Folded) -> Incident:
    state = _end_request(state, record, "void", event.person, (event.why,), event.request)
    return _doing(state, record.when, "people")


def _locked(state: Incident, event: ev.LockedOut, record: Folded) -> Incident:
    since = state.locked.get(event.person, record.seq)
    return replace(state, locked=MappingProxyType({**state.locked, event.person: since}))


def refusal_key(event: ev.Refused) -> tuple[str, str, str]:
    """(reason, who, what and where): refusals with one key are written once and then counted."""
    place = f" {event.card.channel}/{event.card.ts}" if event.card else ""
    question = f" {event.request}" if event.request is not None else ""
    return event.why, _who(event), f"{event.what}{question}{place}"


def _refused(state: Incident, event: ev.Refused, record: Folded) -> Incident:
    key = refusal_key(event)
    known = state.refusals.get(key)
    counted = RefusalCount(
        code=event.why,
        who=_name(event) or key[1],
        what=event.what,
        text=event.text,
        at=known.at if known else record.when,
        count=max(event.count, known.count if known else 0),
    )
    state = replace(state, refusals=MappingProxyType({**state.refusals, key: counted}))
    if event.actor is not None and event.actor.person and event.why[3:6] == "031":
        wrong = {**state.wrong_codes, event.actor.person: state.wrong_codes.get(event.actor.person, 0) + 1}
        state = replace(state, wrong_codes=MappingProxyType(wrong))
    return state


def _told(state: Incident, event: ev.Told, record: Folded) -> Incident:
    return replace(state, told=(*state.told, (event.person, event.how, event.ok, record.when)))


# --- the run -----------------------------------------------------------------------------------------------


def _hand(state: Incident, event: ev.HandTaken, record: Folded) -> Incident:
    hand = Hand(epoch=event.epoch, host=event.host, worker=event.worker, at=record.when)
    return replace(state, hand=hand, epoch=event.epoch)


def _run_started(state: Incident, event: ev.RunStarted, record: Folded) -> Incident:
    state = _on_request(state, event.request, lambda r: replace(r, state="used"))
    return _after_step(replace(state, run_request=event.request, run_refused=None), record.when)


def _run_refused(state: Incident, event: ev.RunRefused, record: Folded) -> Incident:
    return replace(state, run_refused=(event.why, event.text))


def _waits(state: Incident, event: ev.Waits, record: Folded) -> Incident:
    return _doing(replace(state, waits=(event.hold, event.other)), record.when, "hold")


def _on_step(state: Incident, key: str, change: Callable[[StepState], StepState]) -> Incident:
    return replace(state, steps=tuple(change(s) if s.id == key else s for s in state.steps), waits=None)


def _skipped(state: Incident, event: ev.StepSkipped, record: Folded) -> Incident:
    state = _on_step(
        state,
        event.step,
        lambda s: replace(
            s, status="skipped", text=event.text, began_at=s.began_at or record.when, ended_at=record.when, retry=False
        ),
    )
    return _after_step(state, record.when)


def _intent(state: Incident, event: ev.Intent, record: Folded) -> Incident:
    step = state.step(event.step)
    # The plan says what a call does; what an intent says of itself could hide a change.
    effect: Any = event.effect if step is None else step.plan.get("effect", event.effect)
    attempt = Attempt(
        number=event.attempt,
        call_no=event.call_no,
        literal=event.literal,
        host=event.host,
        effect=effect,
        epoch=event.epoch,
        at=record.when,
        seq=record.seq,
        mode=event.mode,
    )
    state = _on_step(
        state,
        event.step,
        lambda s: replace(
            s,
            status="running",
            attempts=(*s.attempts, attempt),
            began_at=s.began_at or record.when,
            failure=None,
            retry=False,
            slow="",
        ),
    )
    if effect != "observe" and state.clocks.t3 is None:
        state = replace(state, clocks=replace(state.clocks, t3=record.when))
    return _doing(state, record.when, event.step)


def _output(state: Incident, event: ev.Output, record: Folded) -> Incident:
    last = event.lines[-1][1] if event.lines else ""
    return _on_step(state, event.step, lambda s: replace(s, last_line=last or s.last_line))


def _outcome(state: Incident, event: ev.Outcome, record: Folded) -> Incident:
    def end(step: StepState) -> StepState:
        attempts = tuple(
            replace(a, outcome=event, ended_at=record.when)
            if a.number == event.attempt and a.call_no == event.call_no and a.outcome is None
            else a
            for a in step.attempts
        )
        return replace(step, attempts=attempts, status="verifying", text=event.sentence)

    return _on_step(state, event.step, end)


def _verified(state: Incident, event: ev.Verified, record: Folded) -> Incident:
    became: Any = "done_red" if event.with_red else "done"
    state = _on_step(
        state,
        event.step,
        lambda s: replace(
            s,
            status=became,
            text=event.text,
            began_at=s.began_at or record.when,
            ended_at=record.when,
            failure=None,
            retry=False,
        ),
    )
    step = state.step(event.step)
    if step is not None and any(a.effect != "observe" for a in step.attempts):
        clocks = replace(state.clocks, t4=record.when)
        if step.id.split(".")[0] == "pool":
            clocks = replace(clocks, pool_verified=record.when)
        state = replace(state, clocks=clocks)
    return _after_step(state, record.when)


def _after_step(state: Incident, at: datetime) -> Incident:
    """What the time goes into once a step is settled: people where a stop stands or the next step is a person's task,
    the next step itself where it only watches, else the looks between steps."""
    following = next((s for s in state.steps if not s.settled), None)
    if state.stop is not None or (following is not None and is_task(following)):
        return _doing(state, at, "people")
    if following is not None and not changes(following):
        return _doing(state, at, following.id)
    return _doing(state, at, "between" if following is not None or state.proven else "proof")


def _step_failed(state: Incident, event: ev.StepFailed, record: Folded) -> Incident:
    def fail(step: StepState) -> StepState:
        last = step.attempts[-1].outcome if step.attempts else None
        unknown = last is not None and last.result in ("unknown", "not_begun")
        failure = Failure(
            attempt=event.attempt,
            text=event.text,
            state=event.state,
            begun=event.begun,
            table=event.table,
            at=record.when,
            seq=record.seq,
            unknown=unknown,
        )
        status: Any = "degraded" if event.degraded else "unknown" if unknown else "failed"
        return replace(
            step,
            status=status,
            failure=failure,
            text=event.text,
            began_at=step.began_at or record.when,
            ended_at=record.when if event.degraded else None,
            retry=False,
        )

    state = _on_step(state, event.step, fail)
    return _after_step(state, record.when) if event.degraded else _doing(state, record.when, "people")


def _slow(state: Incident, event: ev.Slow, record: Folded) -> Incident:
    return _on_step(state, event.step, lambda s: replace(s, slow=event.text))


def _ruling_voted(state: Incident, event: ev.RulingVoted, record: Folded) -> Incident:
    if event.actor is None:
        return state
    person = event.actor.person or ""
    vote = RulingVote(
        event.actor, event.step, event.attempt, event.verdict, event.reason, at=record.when, seq=record.seq
    )
    state = replace(state, ruling_votes=(*state.ruling_votes, vote))

    def count(step: StepState) -> StepState:
        if step.failure is None or step.failure.attempt != event.attempt:
            return step
        others = tuple(v for v in step.failure.votes if v[0] != person)
        votes = (*others, (person, event.verdict, event.reason))
        return replace(step, failure=replace(step.failure, votes=votes))

    return replace(_on_step(state, event.step, count), waits=state.waits)


def _ruling(state: Incident, event: ev.Ruling, record: Folded) -> Incident:
    became: dict[str, Any] = {"done": "ruled_done", "skip": "ruled_skip"}

    def rule(step: StepState) -> StepState:
        if event.verdict == "retry":
            return replace(step, retry=True)
        if event.verdict == "abort":
            return step
        return replace(step, status=became[event.verdict], ended_at=record.when, text=event.reason or step.text)

    row = (event.step, event.attempt, event.verdict, event.persons, event.reason, event.against_probe)
    state = replace(_on_step(state, event.step, rule), rulings=(*state.rulings, row))
    return _after_step(state, record.when)


def _stop(state: Incident, event: ev.StopOrdered, record: Folded) -> Incident:
    state = replace(state, stop=Stopped(by=event.actor, at=record.when, why=event.why))
    in_flight = any(s.status in ("running", "verifying") for s in state.steps)
    waits_anyway = state.activity[-1][1] in ("checks", "approval", "people")
    return state if in_flight or waits_anyway else _doing(state, record.when, "people")


def _went_on(state: Incident, event: ev.WentOn, record: Folded) -> Incident:
    state = replace(state, stop=None, went_on=(*state.went_on, (event.actor, record.when, record.seq)))
    if state.run_request is None or state.waiting_step or state.run_ended:
        return state
    in_flight = any(s.status in ("running", "verifying") for s in state.steps)
    return state if in_flight else _after_step(state, record.when)


def _proven(state: Incident, event: ev.Proven, record: Folded) -> Incident:
    if state.proven:
        return state
    state = replace(state, proven=event.text or "proven", clocks=replace(state.clocks, t5=record.when))
    return _doing(state, record.when, "end")


def _confirmed(state: Incident, event: ev.Confirmed, record: Folded) -> Incident:
    state = replace(state, confirmed=event, confirmed_by=_name(event), confirmed_at=record.when)
    watched = any(proves_itself(step) and not step.settled for step in state.steps)
    return state if watched else _proven_by_person(state, record.when)


def _proven_by_person(state: Incident, at: datetime) -> Incident:
    """T5 is what a person saw, where nothing proves service by itself."""
    if state.clocks.t5 is not None or state.confirmed_at is None:
        return state
    return _doing(replace(state, clocks=replace(state.clocks, t5=state.confirmed_at)), at, "end")


def _replicas(state: Incident, event: ev.ReplicasSeen, record: Folded) -> Incident:
    return replace(state, replicas=event, replicas_at=record.when)


def _run_ended(state: Incident, event: ev.RunEnded, record: Folded) -> Incident:
    state = replace(state, run_ended=event.result)
    if event.result == "complete":
        state = _proven_by_person(state, record.when)
    return _doing(state, record.when, "people" if state.clocks.t5 is None else "end")


_CHANGES: dict[type[Event], Callable[[Incident, Any, Folded], Incident]] = {
    ev.Joined: _joined,
    ev.OutageSet: _outage_set,
    ev.Noted: _noted,
    ev.LeadTaken: _lead,
    ev.Cancelled: _cancelled,
    ev.Closed: _closed,
    ev.FollowUp: _follow_up,
    ev.FollowUpSettled: _settled,
    ev.Surveyed: _surveyed,
    ev.Planned: _planned,
    ev.HardStopped: _hard_stopped,
    ev.Asked: _asked,
    ev.StillDisaster: _still,
    ev.CardPosted: _card,
    ev.Voted: _voted,
    ev.Declined: _declined,
    ev.Lapsed: _lapsed,
    ev.Voided: _voided,
    ev.Rechecked: _rechecked,
    ev.Revoked: _revoked,
    ev.LockedOut: _locked,
    ev.Refused: _refused,
    ev.Told: _told,
    ev.HandTaken: _hand,
    ev.RunStarted: _run_started,
    ev.RunRefused: _run_refused,
    ev.Waits: _waits,
    ev.StepSkipped: _skipped,
    ev.Intent: _intent,
    ev.Output: _output,
    ev.Outcome: _outcome,
    ev.Verified: _verified,
    ev.StepFailed: _step_failed,
    ev.Slow: _slow,
    ev.RulingVoted: _ruling_voted,
    ev.Ruling: _ruling,
    ev.StopOrdered: _stop,
    ev.WentOn: _went_on,
    ev.Proven: _proven,
    ev.Confirmed: _confirmed,
    ev.ReplicasSeen: _replicas,
    ev.RunEnded: _run_ended,
}
"""Kinds of the register change no incident and are not here."""
