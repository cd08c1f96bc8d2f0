"""Phrases that several messages share: who and where, clocks, steps as people count them, whom we wait for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from bot.draw import untrusted
from bot.draw.over import over
from bot.draw.reader import Reader, span
from incident.ending import headline
from incident.plans import is_task
from incident.state import Incident, Request, StepState

WAITING: Final = frozenset({"waiting"})
MARKS: Final = {
    "waiting": "▫️", "running": "⏳", "verifying": "⏳", "done": "✅", "done_red": "⚠️", "skipped": "✅", "failed": "❌",
    "unknown": "❓", "degraded": "⚠️", "ruled_done": "☑️", "ruled_skip": "⏭️",
}  # fmt: skip
_WORST: Final = ("failed", "unknown", "running", "verifying", "degraded", "done_red", "ruled_skip", "ruled_done")


@dataclass(frozen=True)
class Row:
    """One line of the plan as people count it: a single step, or several of a kind (the DNS names) as one."""

    number: int
    title: str
    status: str
    steps: tuple[StepState, ...]


def fact_value(state: Incident, fact: str) -> Any:
    """The value of a fact of the last survey, None where it is unknown."""
    found = (state.survey.facts if state.survey else {}).get(fact)
    return found.get("value") if isinstance(found, dict) else None


def way(state: Incident) -> str:
    """fe1 London → fe2 Leeds."""
    d = state.declared
    return f"{d.pool} {d.site} → {d.partner} {d.partner_site}"


def pool_at(state: Incident) -> str:
    """fe1 London."""
    return f"{state.declared.pool} {state.declared.site}"


def deadline(state: Incident) -> datetime | None:
    """When the target would be missed."""
    return state.clocks.t1 + timedelta(seconds=state.declared.rto_s) if state.clocks.t1 else None


def rto(state: Incident, now: datetime) -> str:
    """7:52 of 15:00: until T5 by the clock, then as it was."""
    if state.clocks.t1 is None:
        return f"0:00 of {span(state.declared.rto_s)}"
    end = state.clocks.t5 or (state.closed_at if state.closed else None) or now
    return f"{span((end - state.clocks.t1).total_seconds())} of {span(state.declared.rto_s)}"


def steps_of(state: Incident) -> tuple[StepState, ...]:
    """The steps of the run; before it begins, those of the last plan."""
    if state.steps or state.planned is None:
        return state.steps
    return tuple(
        StepState(id=str(s["id"]), title=str(s["title"]), host=str(s.get("host", "")), index=n, plan=s)
        for n, s in enumerate(state.planned.plan.get("steps", ()))
    )


def rows(state: Incident) -> tuple[Row, ...]:
    """The plan as people count it."""
    found: list[Row] = []
    for _, group in groupby(steps_of(state), key=lambda s: s.id.split(".")[0]):
        some = tuple(group)
        found.append(Row(len(found) + 1, _title(some, state), _status(some), some))
    return tuple(found)


def _title(some: Sequence[StepState], state: Incident) -> str:
    """Short enough for a phone with its number, its mark and a duration beside it."""
    kind, partner = some[0].id.split(".")[0], state.declared.partner
    short = {
        "cms": f"CMS to {partner}",
        "edge": f"Edge next hop to {partner}",
        "pool": "Pool failover, disaster mode",
        "proof": "Proof: test user signs in" if len(some) == 1 else "Proof: sign-in, meeting page",
    }
    if kind == "dns":
        names = {s.id.split(".")[1] for s in some if s.id.count(".") >= 2}
        return f"DNS, {len(names)} names to {partner}" if names else some[0].title
    if kind == "edge" and len(some) > 1:
        return f"Edge next hop, {len(some)} pools"
    return short.get(kind, some[0].title)


def host(name: str) -> str:
    """A server by its first label: an FQDN would be made a link by the client, and is too long for a phone."""
    return name.split(".")[0]


def _status(some: Sequence[StepState]) -> str:
    """The worst of several; half done counts as running."""
    have = {s.status for s in some}
    for status in _WORST:
        if status in have and not (status in ("degraded", "done_red") and "waiting" in have):
            return status
    if have == WAITING:
        return "waiting"
    return "running" if "waiting" in have else "done"


def number_of(state: Incident, step: str) -> int:
    """The number under which people know this step."""
    return next((r.number for r in rows(state) for s in r.steps if s.id == step), 0)


def step_name(state: Incident, step: StepState | None, key: str = "") -> str:
    """step 3 Pool failover."""
    if step is None:
        return f"step {key}"
    kind = step.id.split(".")[0]
    short = {"cms": "CMS failover", "pool": "Pool failover", "edge": "Edge next hop"}.get(kind, step.title)
    return f"step {number_of(state, step.id)} {short}"


def took(some: Iterable[StepState], now: datetime) -> str:
    """How long these steps have taken so far."""
    whole = tuple(some)
    began = [s.began_at for s in whole if s.began_at]
    if not began:
        return ""
    ends = [s.ended_at or now for s in whole if s.began_at]
    return span((max(ends) - min(began)).total_seconds())


def usual(step: StepState) -> tuple[int, int] | None:
    """The usual duration of a step in seconds, from and to, as the plan says it."""
    found = step.plan.get("usual_s")
    if isinstance(found, (list, tuple)) and len(found) == 2:
        return int(found[0]), int(found[1])
    return None


def usual_words(low: int, high: int) -> str:
    """5–8 min, or 20–40 s."""
    if high < 120:
        return f"{low}–{high} s"
    return f"{max(1, round(low / 60))}–{max(1, round(high / 60))} min"


def about(seconds: float) -> str:
    """A duration as people say it: about 40 s, about 9 min."""
    if seconds < 90:
        return f"about {max(10, round(seconds / 10) * 10)} s"
    return f"about {round(seconds / 60)} min"


def expected_end(state: Incident, now: datetime) -> datetime | None:
    """When the run is likely to be done, from the usual durations; None where nothing is known."""
    left = 0.0
    known = False
    for step in steps_of(state):
        if step.settled or (found := usual(step)) is None:
            continue
        known = True
        middle = sum(found) / 2
        spent = (now - step.began_at).total_seconds() if step.began_at else 0
        left += max(0.0, middle - spent)
    return now + timedelta(seconds=left) if known else None


def word(state: Incident, reader: Reader) -> str:
    """Where the incident stands, in a word or three."""
    if state.closed:
        return headline(state)
    if state.phase == "lapsed" and state.request is not None:
        return over(state, state.request, reader).word
    return "PERSON NEEDED" if human_task(state) and not state.stop else PHASES[state.phase]


def human_task(state: Incident) -> StepState | None:
    """The step that waits for somebody's own hands; None where none does, or where somebody has answered it."""
    if state.run_request is None or state.run_ended or state.closed or state.aborted or state.confirmed is not None:
        return None
    step = next((s for s in state.steps if not s.settled), None)
    return step if step is not None and is_task(step) else None


def begins(request: Request | None, reader: Reader) -> str:
    """When the run starts once it is approved, as a sentence."""
    at = request.start_at if request else None
    return f"It begins {reader.moment(at)}, not before." if at else "It starts at once."


def task_words(step: StepState) -> tuple[str, str]:
    """(what the person is asked to do, what they state with it), as the plan has it."""
    act = step.plan.get("act")
    task = act if isinstance(act, dict) else {}
    return untrusted.line(str(task.get("text", step.title)), 250), untrusted.line(str(task.get("confirms", "")), 250)


def asks_for_confirmation(state: Incident, reader: Reader) -> bool:
    """True where the run has ended and a person's word is still needed before it can be closed as recovered."""
    d = state.declared
    ended = state.run_ended == "complete" and not state.closed and state.confirmed is None
    return ended and (state.clocks.t5 is None or reader.policy.pair(d.pool, d.partner).confirm_by_person)


def debts(state: Incident) -> tuple[str, ...]:
    """What the plan had to leave out, to be put right by hand, until it is among the follow-ups."""
    left = state.planned.plan.get("left_out", ()) if state.planned else ()
    followed = {text for _, text, _ in state.follow_ups}
    return tuple(untrusted.line(str(t), 160) for t in left if t not in followed)


def table(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    """What was intended, what the record says and what is so now, for the persons who decide."""
    found: list[str] = []
    for intended, recorded, actual in [*rows][:6]:
        found += [f"• Wanted: {untrusted.line(intended, 120)}", f"  Record: {untrusted.line(recorded, 160)}",
                  f"  Now: {untrusted.line(actual, 120)}"]  # fmt: skip
    return found


def waiting_for(state: Incident, now: datetime, reader: Reader) -> str:
    """For whom we wait, in words."""
    request = state.request
    phase = state.phase
    if phase == "looking":
        return "the look at both sites, read-only, 20 s at most"
    if phase == "hard_stopped":
        offer = state.hard_stop.offer if state.hard_stop else None
        todo = f"declare {offer} instead, or cancel" if offer else "read the stop below, then cancel"
        return f"{reader.name(state.lead)}, to {todo}"
    if phase == "asking" and request is not None:
        left = span((request.expires - now).total_seconds())
        if request.level == "red" and not request.still_disaster:
            return f"{reader.name(request.asker)}, to say whether it is still a disaster, {left} left"
        who = [p.id for p in reader.approvers(request.asker) if p.id not in {v.person for v in request.votes}]
        return f"an approver, {left} left: {reader.names(who)}"
    if phase == "declined":
        return "somebody, to ask again or to cancel: it was declined"
    if phase == "lapsed":
        return f"somebody to ask again: {over(state, request, reader).waiting}" if request else "somebody to ask"
    if phase == "approved" and request is not None and request.start_at is not None and now < request.start_at:
        return f"its hour, {reader.moment(request.start_at)} {reader.zone}"
    if phase == "approved":
        return "a worker to take it up"
    if task := human_task(state):
        first = task_words(task)[0].split(". ")[0].rstrip(".")
        return f"a person: {first[:1].lower()}{first[1:]}, then press “It works”"
    if phase == "stopped":
        return "an operator, to press “Go on”"
    if phase == "waiting_for_ruling":
        return f"{_deciders(state.waiting_step)} {step_name(state, state.waiting_step)}, see the message below"
    if phase == "running" and state.waits:
        return f"{state.waits[1]}, which is at work on {state.waits[0]}"
    if phase == "ended" and asks_for_confirmation(state, reader):
        return "a person: sign in, then press “It works”"
    if phase == "ended":
        return "nobody: closing"
    return "nobody"


def _deciders(step: StepState | None) -> str:
    """Who is waited for at a step that people decide."""
    given = {person for person, _, _ in step.failure.votes} if step is not None and step.failure is not None else set()
    return "a second operator, to decide" if given else "an operator, to decide"


def low(sentences: str) -> str:
    """Titles joined by semicolons, as they read inside a sentence."""
    return "; ".join(s[:1].lower() + s[1:] for s in sentences.split("; "))


def left_behind(follow_up: str) -> bool:
    """True for what no pool failover carries: the summary lists it once, and it is nothing to tick off tonight."""
    return follow_up.startswith("Not carried by the failover:")


PHASES: Final = {
    "looking": "LOOKING", "hard_stopped": "STOPPED: NO PLAN", "asking": "APPROVAL?", "lapsed": "ASK AGAIN",
    "declined": "DECLINED", "approved": "APPROVED", "running": "RUNNING", "stopped": "STOPPED",
    "waiting_for_ruling": "DECIDE", "ended": "RUN ENDED", "closed": "CLOSED",
}  # fmt: skip
