"""One look at the estate for an incident, and what follows from it: a plan to ask about, or a hard stop.

A look is written down when it says something new: the first one, one that breaks what the plan leans on, one after
which other calls would be needed, one by a worker with other files. A reading that merely did not come in is no news,
and ages, countdowns and counts never are: otherwise every lost packet would take a card from people's hands.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from incident.commands import RecordSurvey
from incident.events import Event, HardStopped, Planned, Surveyed
from incident.journal import JournalError
from incident.state import Incident
from playbooks.facts import HERE, Facts, looks, read_facts, title
from playbooks.plan import HardStop, Plan, as_markdown, broken, code, difference, digest, words
from playbooks.registry import plan_for
from playbooks.seen import Look, page, seen
from workers.fresh import leave_note
from workers.looking import utc_text
from workers.remote.door import RunId
from workers.tools import Tools

_log = logging.getLogger("lync-dr.look")


@dataclass(frozen=True)
class Looked:
    """One look: when it began and ended, and what was read."""

    facts: Facts
    began: datetime
    ended: datetime


def look_at(tools: Tools, pool: str, run: RunId) -> Looked:
    """Asks everything at once, within the survey's budget; what did not answer in time is unknown."""
    began = datetime.now(UTC)
    estate = tools.own.estate
    answers = tools.looker.look(looks(estate, pool), float(estate.survey.budget_s), run)
    return Looked(read_facts(estate, pool, answers), began, datetime.now(UTC))


def survey(incident: str, tools: Tools) -> bool:
    """Looks once for this incident and records what is new. True: something was written.

    Raises `JournalError` where the record cannot be read or written.
    """
    state = tools.desk.state(incident)
    if state.closed or state.run_ended or state.run_request is not None:
        return False
    looked = look_at(tools, state.declared.pool, RunId(incident, "survey", state.surveys + 1))
    # The plan is compared with the newest one: another look may have ended first.
    state = tools.desk.state(incident)
    events = _news(tools, state, looked)
    if _would_take_the_card(state, events):
        looked = look_at(tools, state.declared.pool, RunId(incident, "survey", state.surveys + 2))
        state = tools.desk.state(incident)
        events = _news(tools, state, looked)
    written = bool(events) and tools.desk.do(incident, RecordSurvey(events)).ok
    _tell_age(tools, incident, looked)
    if written or not events:
        leave_note(tools, tools.desk.state(incident), looked.ended)
    return written


def _would_take_the_card(state: Incident, events: tuple[Event, ...]) -> bool:
    """Whether a hard stop would void an open question: one look that failed must not, so it is looked at again."""
    request = state.request
    waiting = request is not None and request.state in ("open", "approved")
    return waiting and any(isinstance(event, HardStopped) for event in events)


def _tell_age(tools: Tools, incident: str, looked: Looked) -> None:
    """Leaves the time of the last look for the card; living readings do not stand in the record."""
    try:
        tools.bell.post_answer(f"look-{incident}", {"began": utc_text(looked.began), "ended": utc_text(looked.ended)})
    except JournalError as away:
        _log.warning("%s", away)


def _news(tools: Tools, state: Incident, looked: Looked) -> tuple[Event, ...]:
    """What of this look is to be recorded; empty where it says nothing new."""
    pool = state.declared.pool
    made = plan_for(state.declared.playbook, tools.own.estate, pool, looked.facts)
    surveyed = Surveyed(
        facts=looked.facts.data(),
        began=looked.began,
        ended=looked.ended,
        digests=tools.own.digests(pool),
        host=tools.host,
        outage_from=outage_from(looked.facts, pool),
    )
    if isinstance(made, HardStop):
        stop = _hard_stopped(made)
        return () if state.hard_stop == stop else (surveyed, stop)
    old = None if state.hard_stop is not None else _old_plan(state)
    if old is not None and not _replan(tools, state, old, made, looked.facts):
        return ()
    seal = digest(made, tools.own.slices(pool))
    planned = Planned(
        plan=made.data(),
        digest=seal,
        words=tuple(words(seal).split()),
        short=code(seal),
        level=level(made),
        warnings=tuple({"level": w.level, "text": w.why, "todo": w.do} for w in made.warnings),
        difference=difference(old, made) if old is not None else (),
        rpo_s=rpo_s(looked, pool),
    )
    return (surveyed, planned)


def _old_plan(state: Incident) -> Plan | None:
    return Plan.from_data(state.planned.plan) if state.planned is not None else None


def _replan(tools: Tools, state: Incident, old: Plan, new: Plan, facts: Facts) -> bool:
    """Whether the plan that stands must give way to the one just made."""
    planned = state.planned
    if planned is None or digest(old, tools.own.slices(state.declared.pool)) != planned.digest:
        return True
    if broken(old, facts):
        return True
    return new.calls != old.calls and not _lost_sight(state, facts)


def _lost_sight(state: Incident, facts: Facts) -> bool:
    """Whether something that was known at the last survey could not be read this time."""
    if state.survey is None:
        return False
    before = Facts.from_data(state.survey.facts)
    return any(before.value(fact) is not None and facts.value(fact) is None for fact in before)


def _hard_stopped(stop: HardStop) -> HardStopped:
    offer = next((o.pool for o in stop.offers if o.kind == "declare-disaster" and o.pool), None)
    return HardStopped(why=stop.code, text=stop.why, todo=stop.do, offer=offer if stop.code == "wrong-pool" else None)


def level(plan: Plan) -> Any:
    """How much friction the plan's warnings ask for."""
    return "red" if plan.red else "amber" if plan.warnings else "green"


def rpo_s(looked: Looked, pool: str) -> int | None:
    """Seconds between the last good backup and this look; None where nobody knows."""
    good = looked.facts.text(f"backup_good_at.{pool}")
    if good is None:
        return None
    try:
        at = datetime.fromisoformat(good)
    except ValueError:
        return None
    return max(0, int((looked.ended - at.astimezone(UTC)).total_seconds()))


def outage_from(facts: Facts, pool: str) -> datetime | None:
    """When the outage began, as samples propose it: at the last answer of a pool that answers nobody now."""
    if facts.value(f"answers.{pool}.{HERE}") is not False:
        return None
    if any(facts.value(fact) is True for fact in facts if fact.startswith(f"answers.{pool}.")):
        return None
    last = facts.text(f"last_answer.{pool}")
    return datetime.fromisoformat(last).astimezone(UTC) if last else None


def look_now(key: str, question: dict[str, Any], tools: Tools) -> None:
    """Answers `plan` and `status` for which there is no incident; the answer goes to whoever waits under `key`."""
    tools.bell.post_answer(key, answer(question, tools))


def answer(question: dict[str, Any], tools: Tools) -> dict[str, Any]:
    """The answer to one question: {"kind" (or "what"): "plan" | "status", "pool": …, "playbook": …}."""
    pool = str(question.get("pool", ""))
    kind = str(question.get("kind") or question.get("what") or "plan")
    found = tools.own.estate.find_pool(pool)
    name = found.name if found else pool
    looked = look_at(tools, name, RunId("now", kind, 1))
    said: dict[str, Any] = {
        "ok": True,
        "kind": kind,
        "pool": name,
        "began": utc_text(looked.began),
        "ended": utc_text(looked.ended),
        "facts": looked.facts.data(),
        "readings": [[title(fact), reading(looked.facts, fact)] for fact in looked.facts],
    }
    if kind != "plan":
        return said
    made = plan_for(str(question.get("playbook", "declare-disaster")), tools.own.estate, name, looked.facts)
    beside = seen(
        tools.own.estate, name, looked.facts, Look(tools.host, looked.began, looked.ended, rpo_s(looked, name))
    )
    if isinstance(made, HardStop):
        stop = {"hard_stop": made.data()}
        return {
            **said,
            **stop,
            "ok": False,
            "plan": stop,
            "seen": beside,
            "markdown": as_markdown(made, seen=page(beside)),
        }
    slices = tools.own.slices(name)
    seal = digest(made, slices)
    return {
        **said,
        "plan": made.data(),
        "digest": seal,
        "words": words(seal),
        "code": code(seal),
        "level": level(made),
        "warnings": [w.data() for w in made.warnings],
        "calls": [[step.host, step.literal] for step in made.steps if step.changes],
        "rpo_s": rpo_s(looked, name),
        "seen": beside,
        "markdown": as_markdown(made, slices, page(beside)),
    }


def reading(facts: Facts, fact: str) -> str:
    """A fact for a person: its value, or why it is not known."""
    found = facts[fact]
    if found.kind == "unknown":
        return f"unknown: {found.reason}"
    if isinstance(found.value, tuple):
        return ", ".join(found.value) or "nothing"
    return {True: "yes", False: "no"}[found.value] if isinstance(found.value, bool) else str(found.value)
