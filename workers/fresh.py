"""How old the last look is, without a record for each: a short signed note, good for some seconds.

Living readings do not stand in the record, so a look that said nothing new leaves none. That it was made, and found
the plan still true, is worth seconds at the start of a run. The note goes through the store, where anybody with a
hand in it could write; so it is believed only with a known worker's signature, for this very plan, and while young.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime, timedelta

from incident.journal import JournalError
from incident.record import canonical
from incident.state import Incident
from workers.tools import Tools

AHEAD = timedelta(seconds=2)
"""Clocks of two hosts may differ by this much."""


def _key(incident: str) -> str:
    return f"fresh-{incident}"


def _said(incident: str, plan: str, ended: str) -> bytes:
    return hashlib.sha256(canonical({"incident": incident, "plan": plan, "ended": ended})).digest()


def leave_note(tools: Tools, state: Incident, ended: datetime) -> None:
    """Says that a look which ended then found the plan that stands still true. Nothing depends on it being kept."""
    if tools.sign is None or state.planned is None or state.hard_stop is not None:
        return
    at = ended.astimezone(UTC).isoformat()
    signed = tools.sign(_said(state.id, state.planned.digest, at))
    note = {"by": tools.name, "ended": at, "s": base64.b64encode(signed).decode()}
    try:
        tools.bell.post_answer(_key(state.id), note)
    except JournalError:
        return


def looked_lately(tools: Tools, state: Incident) -> bool:
    """Whether a survey of this plan ended within the last seconds: as recorded, or by a worker's signed note."""
    now, age = datetime.now(UTC), timedelta(seconds=tools.fresh_s)
    if state.survey is not None and now - age <= state.survey.ended <= now + AHEAD:
        return True
    ended = _noted(tools, state)
    return ended is not None and now - age <= ended <= now + AHEAD


def _noted(tools: Tools, state: Incident) -> datetime | None:
    try:
        note = tools.bell.wait_answer(_key(state.id), 0.05)
    except JournalError:
        return None
    if note is None or state.planned is None:
        return None
    try:
        writer = tools.keys[str(note["by"])]
        at = str(note["ended"])
        signature = base64.b64decode(str(note["s"]))
        ended = datetime.fromisoformat(at)
    except (KeyError, ValueError, binascii.Error):
        return None
    if writer.kind != "worker" or not writer.signed(_said(state.id, state.planned.digest, at), signature):
        return None
    return ended if ended.tzinfo is not None else None
