"""Not to run against the same wall again and again: asked before a run is taken over, since taking it over is written.

Everything stands in the record, for each ring is a process of its own and may be on another host. How long the next
hand waits is counted there (`incident.restraint`).
"""

from __future__ import annotations

import logging
import traceback
from typing import Final

from incident.commands import OpenFollowUp
from incident.desk import TooBusy
from incident.journal import JournalError
from incident.restraint import LONGEST_WAIT_S, STANDS, next_hand_at
from incident.state import Incident
from workers.results import Ending, Stopped, WaitingForPerson, WaitsForHold
from workers.tools import Tools

_AGAIN: Final = (
    f"It is tried again by itself, at last every {LONGEST_WAIT_S // 60} min, and at once after anybody's note."
)
_log = logging.getLogger("lync-dr.act")


def not_yet(state: Incident, tools: Tools) -> Ending | None:
    """Why the run is not taken over now, or None. Writes nothing."""
    request, now = state.request, tools.desk.clock()
    if state.run_request is None and request is not None and request.start_at is not None and now < request.start_at:
        return WaitingForPerson("the hour at which it is to begin")
    if state.waits is not None:
        hold, other = state.waits
        by = tools.journal.holds().get(hold)
        if by is not None and by != state.id:
            return WaitsForHold(hold, other)
    at = next_hand_at(state)
    if now < at:
        left = int((at - now).total_seconds()) + 1
        return Stopped(
            f"{state.hands_in_vain} hands took {state.id} over and came to nothing; the next may in {left} s"
        )
    return None


def stands(tools: Tools, state: Incident, key: str, why: str) -> None:
    """Says once in the record, and so in the channel, why the run does not go on."""
    said_once(tools, state.id, f"{STANDS}{key}", f"The run stands: {why} {_AGAIN}")


def said_once(tools: Tools, incident: str, key: str, text: str) -> None:
    """Leaves a follow-up, once under each key; where even that cannot be written, this process's log has it."""
    try:
        tools.desk.do(incident, OpenFollowUp(key, text))
    except (JournalError, TooBusy) as away:
        _log.warning("%s: %s This is not in the record: %s", incident, text, away)


def own_fault(tools: Tools, fault: Exception) -> tuple[str, str]:
    """A key and a sentence for something nobody foresaw: its kind and its place. What it says may hold anything, so
    that goes to this process's log only, without secrets."""
    where = traceback.extract_tb(fault.__traceback__)[-1]
    name = f"{type(fault).__name__} at {where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
    _log.error("%s", tools.redactor.text("".join(traceback.format_exception(fault))))
    return (
        f"fault-{type(fault).__name__}",
        f"lync-dr met a fault of its own ({name}) on {tools.host}. Nothing further was done; the log of {tools.name} "
        "there has more.",
    )
