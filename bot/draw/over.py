"""How a question ended without a run, in words that fit what happened: nobody answered, too few did, it was approved
and not begun in time, the plan no longer held, or somebody's word no longer counted."""

from __future__ import annotations

from dataclasses import dataclass

from bot.draw import untrusted
from bot.draw.reader import Reader
from incident.state import Incident, Request

CHANGES_SHOWN = 3


@dataclass(frozen=True)
class Over:
    """`word` heads the board, `line` the card, `more` stands below it; `waiting` ends the sentence *ask again: …*."""

    word: str
    line: str
    more: tuple[str, ...]
    waiting: str


def over(state: Incident, request: Request, reader: Reader) -> Over:
    """For a question that lapsed or was voided."""
    if request.state == "void":
        return _revoked(request, reader) if request.ended_by else _voided(state, request, reader)
    return _not_begun(state, request, reader) if "window" in request.why else _unanswered(request, reader)


def _unanswered(request: Request, reader: Reader) -> Over:
    at = reader.clock(request.ended_at)
    if not request.votes:
        said = ("Neither yes nor no. Nothing was run.",)
        return Over("NOBODY DECIDED", f"EXPIRED {at} · nobody decided", said, "nobody has decided")
    who, missing = _voters(request, reader), request.still_needed
    more = f"{missing} more {'was' if missing == 1 else 'were'} needed. Nothing was run."
    line = f"EXPIRED {at} · approved only by {who}"
    return Over("TOO FEW APPROVED", line, (more,), f"only {who} approved in time")


def _not_begun(state: Incident, request: Request, reader: Reader) -> Over:
    who, at = _voters(request, reader), reader.clock(request.window_ends or request.ended_at)
    more = ["Nothing was run."]
    if state.run_refused:
        more.append(f"A worker would not begin: {untrusted.line(state.run_refused[1], 200)}")
    elif state.stop:
        more.append(f"A stop by {reader.actor(state.stop.by)} was standing.")
    elif state.hand is None:
        more.append("No worker took it up.")
    line = f"APPROVED by {who} · not begun by {at}"
    return Over("NOT BEGUN IN TIME", line, tuple(more), f"approved, but not begun by {at}")


def _voided(state: Incident, request: Request, reader: Reader) -> Over:
    newer = state.ask_due or (state.request is not None and state.request.number > request.number)
    why = [f"± {untrusted.line(w, 110)}" for w in request.why[:CHANGES_SHOWN]]
    if rest := request.why[CHANGES_SHOWN:]:
        why.append(f"± and {len(rest)} more, in the log")
    was = [f"{_voters(request, reader)} had approved it."] if request.votes else []
    follow = "A new card follows." if newer else "Ask again when it is settled."
    line = f"VOID {reader.clock(request.ended_at)} · nothing was run"
    first = untrusted.line(request.why[0], 80).rstrip(".") if request.why else "it no longer held"
    return Over("APPROVAL VOID", line, (*why, *was, follow), f"void, {first}")


def _revoked(request: Request, reader: Reader) -> Over:
    name, at = reader.name(request.ended_by), reader.clock(request.ended_at)
    why = tuple(untrusted.line(w, 200) for w in request.why)
    line = f"VOID {at} · {name}'s approval no longer counts"
    more = (*why, "Nothing was run.")
    return Over("APPROVAL VOID", line, more, f"the approval of {name} no longer counts")


def _voters(request: Request, reader: Reader) -> str:
    return reader.names(dict.fromkeys(v.person for v in request.votes))
