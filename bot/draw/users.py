"""What users have now, as far as the record can know it."""

from __future__ import annotations

from typing import Literal

from bot.draw import story
from incident.ending import GOOD, meetings
from incident.state import Incident

Moved = Literal["yes", "said", "unknown", "no"]


def moved(state: Incident) -> Moved:
    """Whether the lost pool's users were moved: read back, only said by people, not known, or not."""
    pool = next((s for s in story.steps_of(state) if s.id == "pool"), None)
    if pool is None or pool.status in GOOD:
        return "yes" if state.planned is not None else "no"
    if pool.status == "ruled_done":
        return "said"
    # Once a call was sent, only the read-back tells what it did.
    sent = bool(pool.attempts) and not (pool.failure is not None and pool.failure.begun == "not_begun")
    return "unknown" if sent and pool.status in ("failed", "unknown", "ruled_skip") else "no"


def users_now(state: Incident) -> tuple[str, ...]:
    """What users have, by the state of the steps; nothing where nothing can be known.

    Until the pool failover ends, users of the lost pool are signed in at the backup registrar in survivability mode:
    calls work, contacts and meetings do not (Lync Server documentation, "Planning for central site voice
    resiliency"). Meeting links follow the simple URLs' DNS records. It stays "expected" until T5 proves it.
    """
    begun = state.clocks.t3 is not None
    if state.planned is None or (not begun and (state.closed or state.hard_stop is not None)):
        return ()
    if state.planned.level == "red" and not begun:
        return (f"Users now: not known, {state.declared.pool} may still serve them",)
    sure = "" if state.clocks.t5 else " (expected)"
    return (f"Users now{sure}:", _what(moved(state), meetings(story.steps_of(state))))


def _what(pool: Moved, meetings: str) -> str:
    if pool == "no":
        return "calls yes · contacts no · meetings no"
    if pool == "unknown":
        return "calls yes · contacts, meetings not known"
    if pool == "said":
        return "calls yes · contacts, meetings not read back"
    return f"calls yes · contacts yes · {meetings}" if len(meetings) < 14 else f"calls, contacts yes · {meetings}"
