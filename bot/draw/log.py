"""One line in the board's thread for each thing that happened, with its own time."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bot.draw import story, untrusted
from bot.draw.card import quoted
from bot.draw.over import over
from bot.draw.post import Post, lines, post
from bot.draw.reader import Reader, span
from bot.draw.red import LABELS
from incident import events as ev
from incident import replicas
from incident.ending import headline
from incident.rulings import quorum
from incident.state import Incident


def line(event: ev.Event, state: Incident, reader: Reader) -> str:
    """What this event says in the log; empty for what needs no line. `state` is the state after it."""
    who = reader.actor(event.actor)
    if event.actor is not None and event.actor.via == "cli":
        who += " in a terminal"
    match event:
        case ev.Declared():
            return f"Declared by {who}: {story.way(state)} {quoted(event.reason)}"
        case ev.Joined():
            return f"{who} declared the same pool again and joined"
        case ev.OutageSet():
            return f"{who}: outage began {reader.clock(event.since)}"
        case ev.Noted():
            return f"Note by {who}: {untrusted.line(event.text, 400)}"
        case ev.LeadTaken():
            return f"{who} has the lead"
        case ev.FollowUp() if story.left_behind(event.text):
            return ""  # The summary lists these.
        case ev.FollowUp():
            return f"Follow-up: {reader.follow_up(event.key, event.text, 200)}"
        case ev.FollowUpSettled():
            return f"{who} settled a follow-up {quoted(event.text)}"
        case ev.Surveyed() if state.surveys == 1:
            return f"Looked in {span((event.ended - event.began).total_seconds())}, read-only"
        case ev.Surveyed():
            return "Looked again: something changed"
        case ev.Planned():
            return f"Plan {' '.join(event.words)}, code {event.short}, {event.level}"
        case ev.HardStopped():
            return f"No plan: {untrusted.line(event.text, 200)}"
        case _:
            return _asked(event, state, reader, who) or _ran(event, state, reader, who)


def _asked(event: ev.Event, state: Incident, reader: Reader, who: str) -> str:
    match event:
        case ev.Asked():
            return f"Asked for approval, until {reader.clock(event.expires)}"
        case ev.StillDisaster():
            return f"{who}: still a disaster"
        case ev.Voted():
            done = " The approval is complete." if event.completes else ""
            return f"Approved by {who}.{done} {_head(state)}"
        case ev.Declined():
            return f"Declined by {who} {quoted(event.why)}"
        case ev.Lapsed():
            return _lapsed(event, state, reader)
        case ev.Voided():
            return f"Void: {untrusted.line('; '.join(event.why), 200)}"
        case ev.Revoked():
            return f"Approval of {reader.name(event.person)} no longer counts: {untrusted.line(event.why, 200)}"
        case ev.LockedOut():
            return f"{reader.name(event.person)} typed too many wrong codes and is locked out of this incident"
        case ev.Told() if not event.ok:
            return f"Not reached: {reader.name(event.person)} by {event.how}. {untrusted.line(event.sentence, 200)}"
        case _:
            return ""


def _lapsed(event: ev.Lapsed, state: Incident, reader: Reader) -> str:
    request = next((r for r in state.requests if r.number == event.request), None)
    if request is None:
        return "The question lapsed"
    ended = over(state, request, reader)
    return f"The question ended: {ended.waiting}. {' '.join(ended.more)}"


def _ran(event: ev.Event, state: Incident, reader: Reader, who: str) -> str:
    name = story.step_name(state, state.step(str(getattr(event, "step", ""))), str(getattr(event, "step", "")))
    match event:
        case ev.HandTaken():
            return f"Taken up {'again ' if event.epoch > 1 else ''}by the worker on {story.host(event.host)}"
        case ev.RunStarted():
            return "Checked by the worker; the run begins"
        case ev.RunRefused():
            return f"Not started: {untrusted.line(event.text, 200)}"
        case ev.Waits():
            return f"Waits for {event.hold} of {event.other}"
        case ev.StepSkipped() | ev.Verified(with_red=False) if _is_name(event.step):
            return _names(event.step, state)
        case ev.StepSkipped():
            return f"{name}: already so. {untrusted.line(event.text, 120)}"
        case ev.Intent() if _is_name(event.step) and event.attempt == 1:
            return ""
        case ev.Intent():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"{name} begins on {story.host(event.host)}{again}"
        case ev.Outcome() if event.result in ("adopted", "not_begun"):
            return f"{name}: {untrusted.line(event.sentence, 200)}"
        case ev.Outcome() if event.result in ("red", "refused", "unknown"):
            return f"{name}: {event.result}, see the channel"
        case ev.Verified():
            red = " with red text" if event.with_red else ""
            seen = "" if event.step == "dns.answers" else f" {untrusted.line(event.text, 120)}"
            return f"{name}: done{red} in {span(event.took_ms / 1000)}.{seen}"
        case ev.StepFailed():
            word = "left degraded, the run goes on" if event.degraded else "failed"
            why = f": {untrusted.line(event.text, 200)}" if event.degraded else ", see the channel"
            return f"{name} {word}{why}"
        case ev.Slow():
            return f"{name}: slower than usual. {untrusted.line(event.text, 200)}"
        case ev.RulingVoted() if _alone(event, state):
            return ""
        case ev.RulingVoted():
            return f"{who} on {name}: {LABELS[event.verdict].lower()} {quoted(event.reason)}"
        case ev.Ruling():
            return f"Decided on {name}: {LABELS[event.verdict].lower()}, by {reader.names(event.persons)}"
        case ev.StopOrdered():
            return f"Stopped by {who} {quoted(event.why)}"
        case ev.WentOn():
            return f"{who}: go on"
        case ev.Proven():
            return f"Service proven: {story.low(untrusted.line(event.text, 200))}"
        case ev.Confirmed():
            return f"Confirmed by {who} {quoted(event.text)}"
        case ev.ReplicasSeen():
            end = {"": "", "all": ". Watched to the end", "limit": ". Not watched any longer"}[event.over]
            return untrusted.line(replicas.short(state) + (f" ({event.why})" if event.why else "") + end, 300)
        case ev.RunEnded():
            return f"The run ended: {event.result}. {untrusted.line(event.text, 200) if event.text else ''}"
        case ev.Cancelled():
            return f"Cancelled by {who}. Nothing was changed. {quoted(event.why)}"
        case ev.Closed():
            return f"Closed: {headline(replace(state, closed=event.result))}. {_head(state)}"
        case _:
            return ""


def _is_name(step: str) -> bool:
    """True for a step that writes one value of one DNS name; there are twenty of them, so they are told together."""
    return step.startswith("dns.") and step != "dns.answers"


def _names(step: str, state: Incident) -> str:
    """Said once for each DNS server, when the last of its names is settled."""
    here = state.step(step)
    same = [s for s in state.steps if here is not None and _is_name(s.id) and s.host == here.host]
    if here is None or not all(s.settled for s in same):
        return ""
    good = dict.fromkeys(s.id.split(".")[1] for s in same)
    for bad in (s for s in same if s.status not in ("done", "skipped", "done_red")):
        good.pop(bad.id.split(".")[1], None)
    ended = [s.ended_at for s in same if s.ended_at]
    took = story.took(same, max(ended)) if ended else ""
    now = f"now {state.declared.partner} on {story.host(here.host)}"
    return f"step {story.number_of(state, step)} DNS {', '.join(good)}: {now}" + (f", in {took}" if took else "")


def _alone(event: ev.RulingVoted, state: Incident) -> bool:
    """True where one word decides, so that the decision says it all."""
    step = state.step(event.step)
    return step is not None and step.failure is not None and quorum(step, event.verdict) == 1


def _head(state: Incident) -> str:
    """The record's head, as an anchor outside the store."""
    return f"Record {state.seq}, head {state.head[:12]}…{state.head[-4:]}"


PUSHED: Final = 500
"""Characters of log that a notification may hold; it has to end where a sentence ends."""


def entry(said: list[str]) -> Post:
    """A reply in the thread, of one line or of several that were waiting together."""
    whole = " / ".join(said)
    push = whole if len(whole) < PUSHED else f"{len(said)} lines in the log, the last: {said[-1]}"
    return post("log", push, [lines([s.strip() for s in said])])
