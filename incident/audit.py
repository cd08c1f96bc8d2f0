"""What `audit list` and `audit show` print: text for people, data for programs. Nothing is decided here."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from incident.clocks import clock_time, day, figures
from incident.first_screen import Beside, first_screen, result_line, the_request, took
from incident.fold import fold
from incident.journal import Journal
from incident.policy import Policy
from incident.record import Record
from incident.register import Register, gaps
from incident.sentences import sentence, who
from incident.state import Incident, Vote

_WIDTH = 110


@dataclass(frozen=True)
class Brief:
    """One incident as a list shows it, made from its whole verified record. Plain values, so that it can pass from one
    process to another."""

    id: str
    playbook: str
    pool: str
    partner: str
    declared_at: datetime
    by: str | None
    phase: str
    result: str
    said: str
    """The result in words, for people."""
    rto_s: int | None
    records: int
    head: str
    practice: bool
    left: tuple[tuple[str, str], ...]
    """(key, text) of each follow-up that is not settled."""
    number: int | None = None
    """Its number in the register."""


Reading = Callable[[Journal, Sequence[str]], Iterable[Brief]]
"""Reads these incidents, in any order."""


def read_briefs(journal: Journal, names: Sequence[str]) -> list[Brief]:
    """Reads each incident whole, one after the other. Raises what reading raises."""
    return [_brief(state) for name in names if (state := fold(journal.read(name))) is not None]


def _brief(state: Incident) -> Brief:
    figure, told = figures(state, state.at), state.declared
    return Brief(
        id=state.id,
        playbook=told.playbook,
        pool=told.pool,
        partner=told.partner,
        declared_at=state.declared_at,
        by=told.actor.name if told.actor else None,
        phase=state.phase,
        result=state.closed,
        said=result_line(state, figure) if state.closed else state.phase.replace("_", " "),
        rto_s=figure.rto_s if state.clocks.t5 else None,
        records=state.seq,
        head=state.head,
        practice=told.practice,
        left=tuple((key, text) for key, text, settled in state.follow_ups if not settled),
    )


def briefs(journal: Journal, read: Reading = read_briefs) -> tuple[Brief, ...]:
    """Every incident with its number, oldest first."""
    numbers = {n.incident: n.number for n in Register(journal).numbers()}
    names = [line.incident for line in journal.incidents()]
    found = [replace(brief, number=numbers.get(brief.id)) for brief in read(journal, names)]
    return tuple(sorted(found, key=lambda brief: (brief.number or 10**9, brief.id)))


def list_data(journal: Journal, read: Reading = read_briefs) -> list[dict[str, Any]]:
    """`audit list --json`: one object for each incident."""
    return [
        {
            "number": one.number,
            "id": one.id,
            "incident": one.id,
            "playbook": one.playbook,
            "pool": one.pool,
            "partner": one.partner,
            "declared_at": _iso(one.declared_at),
            "by": one.by,
            "phase": one.phase,
            "result": one.result or None,
            "rto_s": one.rto_s,
            "records": one.records,
            "head": one.head,
            "practice": one.practice,
        }
        for one in briefs(journal, read)
    ]


def list_text(journal: Journal, zone: str = "UTC", read: Reading = read_briefs) -> str:
    """`audit list`: a table, and what is wrong with the numbers where something is."""
    rows = briefs(journal, read)
    if not rows:
        return "No incident has been opened yet.\n"
    wide = max(34, *(len(one.said) for one in rows))
    lines = [f"{'no.':>4}  {'incident':<18} {'declared':<21} {'pool':<14} {'result':<{wide}} records"]
    for one in rows:
        when = f"{day(one.declared_at, zone)} {clock_time(one.declared_at, zone)}"
        what = f"{one.pool} → {one.partner}"
        lines.append(f"{one.number or '?':>4}  {one.id:<18} {when:<21} {what:<14} {one.said:<{wide}} {one.records}")
    known = {one.id for one in rows}
    wrong = gaps(n for n in Register(journal).numbers() if n.incident in known)
    if wrong:
        lines += ["", "The register is not whole: " + "; ".join(wrong) + "."]
    return "\n".join([*lines, ""])


def beside(journal: Journal, incident: str, *, verified: str = "", verified_ok: bool | None = None) -> Beside:
    """What the register says of an incident."""
    register = Register(journal)
    numbers = register.numbers()
    mine = next((n for n in numbers if n.incident == incident), None)
    return Beside(
        number=mine.number if mine else None,
        register_gapless=not gaps(numbers),
        reviews=register.reviews(incident),
        verified=verified,
        verified_ok=verified_ok,
    )


def show_text(records: Sequence[Record], policy: Policy | None, beside: Beside, zone: str = "UTC") -> str:
    """`audit show ID`: the first screen, the steps, and every record in one line."""
    state = _folded(records)
    screen = first_screen(state, records, policy, beside, zone)
    lines = [f"{screen.kind} · {screen.title}", screen.result, ""]
    if screen.figure.parts:
        lines += [screen.figure.line(), ""]
    for row in screen.rows:
        text = f"{row.word}  {row.text}" if row.word else row.text
        lines += textwrap.wrap(text, _WIDTH, initial_indent=f"{row.question:<24}", subsequent_indent=" " * 24)
    lines += ["", "Steps"]
    for step in state.steps:
        lines.append(f"  {step.index:>2} {step.title:<40} {step.status.replace('_', ' '):<14} {took(step)}")
        lines += [f"     {attempt.literal}" for attempt in step.attempts]
    lines += ["", f"Record (times {screen.zone})"]
    for record in records:
        lines.append(_line(record, zone))
    return "\n".join([*lines, f"head {records[-1].h}", ""])


def _line(record: Record, zone: str) -> str:
    by = who(record.event.actor) or record.by
    text = " ".join(sentence(record.event).split())
    return f"  {record.seq:>4} {clock_time(record.when, zone)} {record.code} {by}: {text}"


def show_data(records: Sequence[Record], policy: Policy | None, beside: Beside) -> dict[str, Any]:
    """`audit show ID --json`."""
    state = _folded(records)
    screen = first_screen(state, records, policy, beside, "UTC")
    figure, run = screen.figure, the_request(state)
    clocks = {key: _iso(value) if isinstance(value, datetime) else value for key, value in asdict(state.clocks).items()}
    return {
        "id": state.id,
        "incident": state.id,
        "number": beside.number,
        "digest": run.digest if run else None,
        "approvals": [_approval(vote) for vote in run.votes] if run else [],
        "kind": screen.kind,
        "phase": state.phase,
        "result": state.closed or None,
        "rto_s": figure.rto_s if state.clocks.t5 else None,
        "rto_target_s": figure.rto_target_s,
        "parts": {part.name: part.seconds for part in figure.parts},
        "clocks": clocks,
        "answers": [{"question": r.question, "word": r.word, "text": r.text} for r in screen.rows],
        "steps": [
            {"id": s.id, "title": s.title, "status": s.status, "calls": [a.literal for a in s.attempts]}
            for s in state.steps
        ],
        "requests": [
            {
                "number": r.number,
                "state": r.state,
                "digest": r.digest,
                "asker": r.asker,
                "approved_by": [v.person for v in r.votes],
            }
            for r in state.requests
        ],
        "refusals": [
            {"code": r.code, "person": key[1], "who": r.who, "what": r.what, "count": r.count, "text": r.text}
            for key, r in state.refusals.items()
        ],
        "follow_ups": [{"key": k, "text": t, "done": d} for k, t, d in state.follow_ups],
        "records": [
            {"seq": r.seq, "at": r.at, "code": r.code, "by": r.by, "who": who(r.event.actor), "text": sentence(r.event)}
            for r in records
        ],
        "head": records[-1].h,
    }


def _approval(vote: Vote) -> dict[str, Any]:
    actor = vote.actor
    return {"person": vote.person, "name": actor.name, "at": _iso(vote.at), "via": actor.via, "user": actor.user,
            "record": vote.seq}  # fmt: skip


def people_text(journal: Journal, on: date) -> str:
    """`audit people --on DATE`: who was in the policy at the end of that day. Raises LookupError before the first."""
    lines = [f"At the end of {on} (UTC), by the policy in the register:", f"{'person':<24} {'roles':<40} Slack"]
    for person in Register(journal).people_on(on):
        ids = ", ".join(f"{s.team}/{s.user}" for s in person.slack) or "none"
        lines.append(f"{person.name:<24} {', '.join(sorted(person.roles)) or 'none':<40} {ids}")
    return "\n".join([*lines, ""])


def _folded(records: Sequence[Record]) -> Incident:
    state = fold(records)
    if state is None:
        raise LookupError("There is no record of this incident.")
    return state


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
