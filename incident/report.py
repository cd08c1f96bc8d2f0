"""The report: one HTML page that needs nothing else, and the same in a few lines of Markdown.

The first screen (and printed page 1) answers what an auditor asks. Then follow the clocks, the steps with their
literal calls, approvals, refusals, red text, facts before and after, the timeline, and the record itself to check.
All text is escaped by the template; the record travels inside as Base64, so nothing in it can become markup.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from incident import replicas
from incident.clocks import between, clock_time, day, figures, minutes, zone_label
from incident.ending import meetings_in_words
from incident.events import Intent, Noted, Outcome, Output, Refused, Surveyed
from incident.first_screen import Beside, FirstScreen, first_screen, took
from incident.fold import fold
from incident.plans import literal_of
from incident.policy import Policy
from incident.record import Record
from incident.sentences import sentence, who
from incident.state import Attempt, Incident, Request, StepState

_STATUS = {
    "waiting": "not begun",
    "running": "in flight",
    "verifying": "being read back",
    "done": "DONE",
    "done_red": "DONE, WITH RED TEXT",
    "skipped": "ALREADY SO, NOTHING SENT",
    "failed": "FAILED",
    "unknown": "UNKNOWN",
    "degraded": "LEFT UNDONE",
    "ruled_done": "COUNTED AS DONE BY PEOPLE",
    "ruled_skip": "LEFT OUT BY PEOPLE",
}


@dataclass(frozen=True)
class Report:
    """What a report is made from: verified records of one incident and what stands beside them."""

    records: Sequence[Record]
    jsonl: bytes
    """The export the page carries: the record's lines and the signed trailer."""
    made_at: datetime
    version: str = "0"
    policy: Policy | None = None
    beside: Beside = field(default_factory=Beside)
    verifier: bytes = b""
    """The stand-alone verifier, to travel with the record; empty where there is none."""

    @property
    def zone(self) -> str:
        """The zone all times are printed in."""
        return self.policy.zone if self.policy is not None else "UTC"

    @property
    def state(self) -> Incident:
        """The folded incident."""
        state = fold(self.records)
        if state is None:
            raise ValueError("A report needs at least the record of the declaration.")
        return state

    @property
    def name(self) -> str:
        """The file's name without its end: `no-17` or the incident's id."""
        return f"no-{self.beside.number}" if self.beside.number is not None else self.state.id


def html(report: Report) -> str:
    """The page."""
    state, zone = report.state, report.zone
    screen = first_screen(state, report.records, report.policy, report.beside, zone)
    names = {p.id: p.name for p in report.policy.persons} if report.policy is not None else {}
    source = resources.files("incident").joinpath("report.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(
        report=report,
        state=state,
        screen=screen,
        bar=_bar(screen),
        clocks=clock_rows(state, zone),
        steps=[_step(step, zone) for step in state.steps],
        requests=[_request(request, zone, names) for request in state.requests],
        refusals=[_refusal(r, zone) for r in _refused(report.records)],
        red=_red(report.records, zone),
        facts=_facts(report.records),
        replicas=replicas.told(state, lambda moment: clock_time(moment, zone)),
        rulings=[
            {"step": s, "attempt": a, "verdict": v, "persons": ", ".join(names.get(p, p) for p in ps), "reason": why,
             "against": against}
            for s, a, v, ps, why, against in state.rulings
        ],
        timeline=[_line(record, zone) for record in report.records],
        time=lambda moment: clock_time(moment, zone),
        day=lambda moment: day(moment, zone),
        zone=zone_label(report.made_at, zone),
        jsonl=base64.b64encode(report.jsonl).decode("ascii"),
        verifier=base64.b64encode(report.verifier).decode("ascii"),
        head=report.records[-1].h,
    )  # fmt: skip


def _bar(screen: FirstScreen) -> list[dict[str, Any]]:
    """The parts as shares of the bar, in thousandths."""
    total = sum(part.seconds for part in screen.figure.parts) or 1
    return [
        {"name": part.name, "time": minutes(part.seconds), "share": max(12, part.seconds * 1000 // total),
         "tone": part.name.split()[0].lower()}
        for part in screen.figure.parts
    ]  # fmt: skip


def clock_rows(state: Incident, zone: str) -> list[tuple[str, str, str]]:
    """(clock, time, what it means) for T0 to T5, and the three figures."""
    clocks, figure = state.clocks, figures(state, state.closed_at or state.at)

    def at(moment: datetime | None) -> str:
        return "not known" if moment is None else clock_time(moment, zone)

    def span(seconds: int | None) -> str:
        return "not measured" if seconds is None else minutes(seconds)

    said = f", as {clocks.t0_by} said" if clocks.t0_by else ", proposed from samples" if clocks.t0_proposed else ""
    proof = "proven automatically" if state.proven else f"confirmed by {state.confirmed_by or 'nobody yet'}"
    target = minutes(figure.rto_target_s)
    return [
        ("T0", at(clocks.t0), f"outage began{said}"),
        ("T1", at(clocks.t1), "declared"),
        ("T2", at(clocks.t2), "approved"),
        ("T3", at(clocks.t3), "first state-changing call sent"),
        ("T4", at(clocks.t4), "last state-changing step read back"),
        ("T5", at(clocks.t5), f"service {proof}"),
        ("Declared RTO", span(figure.rto_s if clocks.t5 else None), f"T1 → T5, target {target}"),
        ("Outage", span(figure.outage_s if clocks.t5 else None), "T0 → T5"),
        ("Comparable with Microsoft", span(figure.microsoft_s), "T3 → PoolState read back"),
    ]


def _step(step: StepState, zone: str) -> dict[str, Any]:
    return {
        "index": step.index,
        "id": step.id,
        "title": step.title,
        "host": step.host,
        "status": _STATUS[step.status],
        "tone": "good" if step.status in ("done", "skipped") else "plain" if step.status == "waiting" else "warn",
        "took": took(step),
        "planned": literal_of(step.plan.get("act")),
        "previous": [str(value) for value in step.plan.get("previous", ())],
        "text": step.text,
        "failure": step.failure,
        "attempts": [_attempt(attempt, zone) for attempt in step.attempts],
    }


def _attempt(attempt: Attempt, zone: str) -> dict[str, Any]:
    outcome = attempt.outcome
    return {
        "number": attempt.number,
        "seq": attempt.seq,
        "at": clock_time(attempt.at, zone),
        "host": attempt.host,
        "literal": attempt.literal,
        "result": outcome.result if outcome else "no outcome recorded",
        "sentence": outcome.sentence if outcome else "Something may have run; its end was never recorded.",
        "took": minutes(between(attempt.at, attempt.ended_at) or 0),
        "blob": outcome.blob if outcome else "",
    }


def _request(request: Request, zone: str, names: dict[str, str]) -> dict[str, Any]:
    return {
        "number": request.number,
        "at": clock_time(request.at, zone),
        "expires": clock_time(request.expires, zone),
        "digest": request.digest,
        "short": request.short,
        "level": request.level,
        "state": {"used": "approved, run"}.get(request.state, request.state),
        "why": "; ".join(request.why),
        "quorum": request.quorum,
        "asker": names.get(request.asker, request.asker),
        "asker_counts": request.asker_counts,
        "cards": len(request.cards),
        "votes": [
            {"who": who(v.actor), "user": f"{v.actor.team}/{v.actor.user}" if v.actor.user else "", "seq": v.seq,
             "at": clock_time(v.at, zone), "typed": v.typed or "", "code": v.actor.code_step is not None}
            for v in request.votes
        ],
    }  # fmt: skip


def _refused(records: Sequence[Record]) -> list[tuple[Record, Refused]]:
    return [(r, r.event) for r in records if isinstance(r.event, Refused)]


def _refusal(pair: tuple[Record, Refused], zone: str) -> dict[str, Any]:
    record, event = pair
    return {"seq": record.seq, "at": clock_time(record.when, zone), "code": event.code, "who": who(event.actor),
            "what": event.what, "text": event.text, "count": event.count}  # fmt: skip


def _red(records: Sequence[Record], zone: str) -> list[dict[str, Any]]:
    found = []
    for record in records:
        event = record.event
        if isinstance(event, Outcome) and (event.red or event.result in ("unknown", "refused")):
            found.append(
                {
                    "seq": record.seq,
                    "at": clock_time(record.when, zone),
                    "step": event.step,
                    "attempt": event.attempt,
                    "result": event.result,
                    "lines": list(event.red) or [event.sentence],
                    "meaning": event.meaning,
                    "repeat": event.repeat,
                }
            )
    return found


def _facts(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    """(fact, first look, last look) of everything that was looked at."""
    looks = [record.event for record in records if isinstance(record.event, Surveyed)]
    if not looks:
        return []
    first, last = looks[0].facts, looks[-1].facts
    return [(key, _fact(first.get(key)), _fact(last.get(key))) for key in sorted({*first, *last})]


def _fact(fact: Any) -> str:
    if not isinstance(fact, dict):
        return "not looked at"
    if "value" not in fact:
        return f"unknown: {fact.get('reason') or fact.get('unknown') or 'no reason given'}"
    value = fact["value"]
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value) or "nothing"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _line(record: Record, zone: str) -> dict[str, Any]:
    event = record.event
    lines: list[str] = []
    if isinstance(event, Output):
        lines = [f"{stream}: {text}" for stream, text in event.lines]
        lines += [f"… {event.dropped} more lines were counted, not kept"] if event.dropped else []
    failed = record.code.endswith("E")
    return {
        "seq": record.seq,
        "at": clock_time(record.when, zone),
        "code": record.code,
        "tone": "bad" if failed else "warn" if record.code.endswith("W") else "plain",
        "who": who(event.actor) or record.by,
        "text": sentence(event),
        "lines": lines,
        "call": isinstance(event, Intent),
        "note": isinstance(event, Noted),
        "h": record.h,
    }


def markdown(report: Report) -> str:
    """The same in a few lines, for a ticket or a mail."""
    state, zone = report.state, report.zone
    screen = first_screen(state, report.records, report.policy, report.beside, zone)
    lines = [f"# {screen.kind} · {screen.title}", "", f"**{screen.result}**", ""]
    if screen.figure.parts:
        lines += [screen.figure.line(), ""]
    lines += [f"- **{row.question}**: {row.word + ' ' if row.word else ''}{_one_line(row.text)}" for row in screen.rows]
    lines += ["", "| | step | | took |", "|---|---|---|---|"]
    lines += [f"| {s.index} | {_cell(s.title)} | {_STATUS[s.status]} | {took(s)} |" for s in state.steps]
    known = [_one_line(text) for text in replicas.told(state, lambda at: clock_time(at, zone))]
    lines += ["", f"{'. '.join(known)}."] if known else []
    left = [text for _, text, done in state.follow_ups if not done]
    if left:
        lines += ["", "Left to do:", *(f"- {_one_line(text)}" for text in left)]
    lines += ["", f"All times {screen.zone}. Record head `{report.records[-1].h}`.", ""]
    return "\n".join(lines)


def stakeholder_text(state: Incident, zone: str) -> str:
    """Three sentences for people who do not run telephony; only what the record can show."""
    declared, clocks = state.declared, state.clocks
    where = f"{declared.site} users"
    if clocks.t5 is None:
        return f"Telephony for {where} is being restored from {declared.partner_site}. It is not proven to work yet."
    at = f"{clock_time(clocks.t5, zone, seconds=False)} {zone_label(clocks.t5, zone)}"
    begun = clocks.t0 or clocks.t1
    length = f" after {round(((clocks.t5 - begun).total_seconds()) / 60)} minutes" if begun else ""
    left = [str(text) for text in state.planned.plan.get("not_carried", ())] if state.planned else []
    missing = f" Not working yet: {', '.join(left)}." if left else ""
    since = ""
    if begun:
        at_first = clock_time(begun, zone, seconds=False)
        since = f" Changes made to contacts or meetings shortly before {at_first} may be lost."
    meetings = f" {said}" if (said := meetings_in_words(state.steps)) else ""
    return f"Telephony for {where} was restored at {at} from {declared.partner_site}{length}.{meetings}{missing}{since}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")
