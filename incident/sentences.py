"""One sentence for every event, for the timeline of the report and of `audit show`. Plain text, nothing escaped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from incident import events as ev
from incident.events import Actor, Event

_VERDICTS = {"retry": "run again", "done": "counts as done", "skip": "leave out", "abort": "end the run"}
_BEGUN = {"not_begun": "not begun", "half_done": "half done", "done": "done", "cannot_tell": "cannot tell"}


def who(actor: Actor | None) -> str:
    """Who acted and by which way: `Bo Lund (Slack)`, `Bo Lund (terminal)`."""
    if actor is None:
        return ""
    way = {"slack": "Slack", "cli": "terminal", "system": "system"}[actor.via]
    unknown = "" if actor.person else f", {actor.team}/{actor.user}, in no person record"
    return f"{actor.name} ({way}{unknown})"


def sentence(event: Event) -> str:
    """What happened, in one sentence, without the time and without who."""
    say = _SAY.get(type(event))
    return say(event) if say is not None else event.code


def _declared(e: ev.Declared) -> str:
    kind = (
        "Drill" if e.drill else "Disaster declared" if e.playbook == "declare-disaster" else f"Asked for {e.playbook}"
    )
    users = f", {e.users:,} users" if e.users is not None else ""
    reason = f" Reason: “{e.reason}”." if e.reason else ""
    linked = f" Replaces {e.linked}; its clock goes on." if e.linked else ""
    return f"{kind}: {e.pool} {e.site}, to be taken over by {e.partner} {e.partner_site}{users}.{reason}{linked}"


def _surveyed(e: ev.Surveyed) -> str:
    unknown = sum(1 for fact in e.facts.values() if not isinstance(fact, dict) or "value" not in fact)
    return f"Looked at the estate from {e.host}: {len(e.facts)} facts, {unknown} unknown."


def _planned(e: ev.Planned) -> str:
    changed = f" Difference: {'; '.join(e.difference)}." if e.difference else ""
    return f"Plan {' '.join(e.words)} (code {e.short}, digest {e.digest[:16]}…), {e.level}.{changed}"


def _asked(e: ev.Asked) -> str:
    return f"Approval asked for (question {e.request}), {e.others_needed} more needed, until {e.expires:%H:%M:%S} UTC."


def _voted(e: ev.Voted) -> str:
    where = "in a terminal" if e.card is None else "on a card in a DM" if e.card.person else "on the channel's card"
    done = f" Approved: may begin until {e.window_ends:%H:%M:%S} UTC." if e.completes and e.window_ends else ""
    return f"Approved digest {e.digest[:16]}… {where}.{done}"


def _refused(e: ev.Refused) -> str:
    since = "since the record before" if e.what == "request" else "by now"
    times = f" {e.count} times {since}." if e.count > 1 else ""
    return f"Refused ({e.what}): {e.text}{times}"


def _told(e: ev.Told) -> str:
    sent = "reached" if e.ok else "not reached"
    return f"{e.person} {sent} by {e.how}: {e.what}. {e.sentence}".strip()


def _outcome(e: ev.Outcome) -> str:
    meaning = f" Means: {e.meaning.rstrip('.')}." if e.meaning else ""
    return f"{e.step}, attempt {e.attempt}: {e.result}. {e.sentence}{meaning}"


def _failed(e: ev.StepFailed) -> str:
    word = "left degraded" if e.degraded else "failed"
    return f"{e.step}, attempt {e.attempt} {word}: {e.text} State: {e.state} ({_BEGUN[e.begun]})."


def _ruling(e: ev.Ruling) -> str:
    against = " Against what the look said." if e.against_probe else ""
    return f"Decided about {e.step}, attempt {e.attempt}: {_VERDICTS[e.verdict]}, by {', '.join(e.persons)}.{against}"


def _replicas(e: ev.ReplicasSeen) -> str:
    if not e.replicas:
        return f"CMS replicas could not be read: {e.why or 'no server was named'}."
    said = [f"{r.fqdn} {'up to date' if r.up_to_date else 'dead, as expected' if r.dead else 'not yet'}"
            for r in e.replicas]  # fmt: skip
    end = {"": "", "all": " All that live are up to date.", "limit": " Not watched any longer."}[e.over]
    return f"CMS replicas: {', '.join(said)}.{end}"


_SAY: dict[type[Event], Callable[[Any], str]] = {
    ev.Declared: _declared,
    ev.Joined: lambda e: "Declared the same again; joined.",
    ev.OutageSet: lambda e: f"The outage began at {e.since:%H:%M:%S} UTC.",
    ev.Noted: lambda e: f"Note: {e.text}",
    ev.LeadTaken: lambda e: "Took the lead.",
    ev.Cancelled: lambda e: f"Called off. {e.why}".strip(),
    ev.Closed: lambda e: f"Closed: {e.result.replace('_', ' ')}. {e.sentence}",
    ev.FollowUp: lambda e: f"Left to do ({e.key}): {e.text}",
    ev.FollowUpSettled: lambda e: f"Done ({e.key}). {e.text}".strip(),
    ev.Surveyed: _surveyed,
    ev.Planned: _planned,
    ev.HardStopped: lambda e: f"No plan ({e.why}): {e.text} {e.todo}",
    ev.Asked: _asked,
    ev.StillDisaster: lambda e: "Under the red warning: still a disaster.",
    ev.CardPosted: lambda e: f"Card posted in {e.card.channel} ({e.card.ts}).",
    ev.Voted: _voted,
    ev.Declined: lambda e: f"Declined. {e.why}".strip(),
    ev.Lapsed: lambda e: "Nobody answered in time." if e.which == "approval" else "Approved, but not begun in time.",
    ev.Voided: lambda e: f"The approval question no longer holds: {'; '.join(e.why)}.",
    ev.Rechecked: lambda e: f"Slack asked again about {len(e.accounts)} accounts; lost: {', '.join(e.lost) or 0}.",
    ev.Revoked: lambda e: f"Approval void: {e.why}.",
    ev.LockedOut: lambda e: f"{e.person} is locked out of every decision here after wrong codes.",
    ev.Refused: _refused,
    ev.Told: _told,
    ev.HandTaken: lambda e: f"{e.worker} on {e.host} has the run (epoch {e.epoch}).",
    ev.RunStarted: lambda e: "Checked again by the worker's own policy and files; the run begins.",
    ev.RunRefused: lambda e: f"The worker does not begin ({e.why}): {e.text}",
    ev.Waits: lambda e: f"Waits for {e.hold} of {e.other}.",
    ev.StepSkipped: lambda e: f"{e.step}: already so, nothing sent. {e.text}",
    ev.Intent: lambda e: f"{e.step}, attempt {e.attempt}, to {e.host}: {e.literal}",
    ev.Output: lambda e: f"{e.step}: {len(e.lines)} lines of output.",
    ev.Outcome: _outcome,
    ev.Verified: lambda e: f"{e.step}: read back, it is so. {e.text}",
    ev.StepFailed: _failed,
    ev.Slow: lambda e: f"{e.step}: {e.text}",
    ev.RulingVoted: lambda e: f"Says about {e.step}, attempt {e.attempt}: {_VERDICTS[e.verdict]}. {e.reason}".strip(),
    ev.Ruling: _ruling,
    ev.StopOrdered: lambda e: f"Stop: nothing after the step in flight begins. {e.why}".strip(),
    ev.WentOn: lambda e: "The stop is lifted.",
    ev.Proven: lambda e: f"Service proven: {e.text}",
    ev.Confirmed: lambda e: f"Confirmed by a person: service works. {e.text}".strip(),
    ev.ReplicasSeen: _replicas,
    ev.Halted: lambda e: f"{e.host} stands still on {e.incident}: {e.text}",
    ev.HaltOver: lambda e: f"{e.host} can believe the journal of {e.incident} again.",
    ev.RunEnded: lambda e: f"Run ended: {e.result}. {e.text}".strip(),
    ev.IncidentOpened: lambda e: f"No. {e.number} is {e.incident}.",
    ev.IncidentClosed: lambda e: f"No. {e.number} closed at head {e.head[:16]}….",
    ev.TextStated: lambda e: f"The {e.what} in force has digest {e.digest[:16]}….",
    ev.Started: lambda e: f"{e.what} {e.version} came up on {e.host}.",
    ev.Exported: lambda e: f"{e.incident} exported up to head {e.head[:16]}….",
    ev.Reviewed: lambda e: f"{e.incident} reviewed. {e.text}".strip(),
    ev.PeopleLooked: lambda e: f"Looked at {len(e.accounts)} accounts.",
}
