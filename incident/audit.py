"""What `audit list` and `audit show` print: text for people, data for programs. Nothing is decided here."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from incident.clocks import clock_time, day, figures
from incident.first_screen import Beside, first_screen, result_line, the_request, took
from incident.fold import fold
from incident.journal import Journal
from incident.policy import Policy
from incident.record import Record
from incident.register import Numbered, Register, gaps
from incident.sentences import sentence, who
from incident.state import Incident, Vote

_WIDTH = 110


def incidents(journal: Journal) -> tuple[tuple[Numbered | None, Incident], ...]:
    """Every incident with its number, oldest first."""
    numbers = {n.incident: n for n in Register(journal).numbers()}
    found = []
    for line in journal.incidents():
        state = fold(journal.read(line.incident))
        if state is not None:
            found.append((numbers.get(line.incident), state))
    return tuple(sorted(found, key=lambda pair: pair[0].number if pair[0] else 10**9))


def list_data(journal: Journal) -> list[dict[str, Any]]:
    """`audit list --json`: one object for each incident."""
    return [
        {
            "number": number.number if number else None,
            "id": state.id,
            "incident": state.id,
            "playbook": state.declared.playbook,
            "pool": state.declared.pool,
            "partner": state.declared.partner,
            "declared_at": _iso(state.declared_at),
            "by": state.declared.actor.name if state.declared.actor else None,
            "phase": state.phase,
            "result": state.closed or None,
            "rto_s": figures(state, state.at).rto_s if state.clocks.t5 else None,
            "records": state.seq,
            "head": state.head,
            "practice": state.declared.practice,
        }
        for number, state in incidents(journal)
    ]


def list_text(journal: Journal, zone: str = "UTC") -> str:
    """`audit list`: a table, and what is wrong with the numbers where something is."""
    rows = incidents(journal)
    if not rows:
        return "No incident has been opened yet.\n"
    lines = [f"{'no.':>4}  {'incident':<18} {'declared':<21} {'pool':<14} {'result':<34} records"]
    for number, state in rows:
        t1 = state.activity[0][0]
        when = f"{day(t1, zone)} {clock_time(t1, zone)}"
        result = result_line(state, figures(state, state.at)) if state.closed else state.phase.replace("_", " ")
        what = f"{state.declared.pool} → {state.declared.partner}"
        name = str(number.number) if number else "?"
        lines.append(f"{name:>4}  {state.id:<18} {when:<21} {what:<14} {result:<34} {state.seq}")
    wrong = gaps(n for n, _ in rows if n is not None)
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
    lines = [f"{'person':<24} {'roles':<40} Slack"]
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
