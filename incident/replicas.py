"""Replicas of the Central Management Store, after it moved: whether they are watched, and what is known of them.

Each server keeps a replica of the configuration, and catches up with a new master within minutes, Edge servers last.
No step waits for that; it is watched beside the run, so that people learn of a server that stays behind.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from incident.events import ReplicaSeen
from incident.plans import part_of
from incident.state import Incident, StepState

READ_BACK: Final = ("done", "done_red", "skipped")
"""States of a step in which the servers themselves say that it is so; people's word is not enough."""


WRITES: Final = ("cms", "edge")
"""Parts of a plan whose news every server needs: which master to follow, and to whom an Edge server passes on. The pool
failover is written there too, some minutes before the end; whoever waited for that would be told at every end that
something is not up to date yet."""


def cms_step(state: Incident) -> StepState | None:
    """The step that moved the Central Management Store, once it was read back; None where nothing moved."""
    return next((s for s in state.steps if part_of(s) == "cms" and s.status in READ_BACK), None)


def watched(state: Incident) -> bool:
    """Whether the replicas are to be read: after the move, until all that live are up to date or the time is over; and
    again where something was written to the store after that."""
    if state.closed or state.run_request is None or cms_step(state) is None:
        return False
    if state.replicas is None or not state.replicas.over or state.replicas_at is None:
        return True
    changed = changed_at(state)
    return changed is not None and changed > state.replicas_at


def changed_at(state: Incident) -> datetime | None:
    """When the last step that writes to the store was settled."""
    return max((s.ended_at for s in _writing(state) if s.settled and s.ended_at is not None), default=None)


def in_hand(state: Incident) -> bool:
    """Whether such a step is being carried out now."""
    return any(s.status in ("running", "verifying") for s in _writing(state))


def all_written(state: Incident) -> bool:
    """Whether nothing more will be written to the store."""
    return bool(state.run_ended) or all(s.settled for s in _writing(state))


def _writing(state: Incident) -> tuple[StepState, ...]:
    return tuple(s for s in state.steps if part_of(s) in WRITES)


def up_to_date(state: Incident) -> tuple[ReplicaSeen, ...]:
    """Replicas that have caught up."""
    return tuple(r for r in _seen(state) if r.up_to_date)


def behind(state: Incident) -> tuple[ReplicaSeen, ...]:
    """Replicas that should have caught up and have not."""
    return tuple(r for r in _seen(state) if not r.up_to_date and not r.dead)


def dead(state: Incident) -> tuple[ReplicaSeen, ...]:
    """Replicas of the lost pool: that they stay behind is expected."""
    return tuple(r for r in _seen(state) if not r.up_to_date and r.dead)


def _seen(state: Incident) -> tuple[ReplicaSeen, ...]:
    return state.replicas.replicas if state.replicas is not None else ()


def names(some: tuple[ReplicaSeen, ...], most: int = 3) -> str:
    """By their first labels; of many only some, and how many more there are."""
    short = [r.fqdn.split(".")[0] for r in some]
    return ", ".join(short[:most]) + (f" and {len(short) - most} more" if len(short) > most else "")


def short(state: Incident) -> str:
    """One line for a board; empty where the Central Management Store has not moved or nothing was read yet."""
    seen = state.replicas
    if seen is None:
        return ""
    if not seen.replicas:
        return "CMS replicas could not be read"
    good, late, lost = up_to_date(state), behind(state), dead(state)
    said = [f"CMS replicas {len(good)} of {len(good) + len(late)}"]
    said += [f"not yet: {names(late)}"] if late else []
    said += [f"{names(lost)} dead, expected"] if lost else []
    return " · ".join(said)


def told(state: Incident, clock: Callable[[datetime], str]) -> tuple[str, ...]:
    """Which servers have caught up and which have not, for the end; empty where the store did not move."""
    seen = state.replicas
    if seen is None or not seen.replicas:
        why = f": {seen.why}" if seen is not None and seen.why else ""
        return (f"CMS replicas: not read{why}",) if cms_step(state) is not None else ()
    good, late, lost = up_to_date(state), behind(state), dead(state)
    at = f" at {clock(state.replicas_at)}" if state.replicas_at is not None else ""
    said = [f"CMS replicas up to date{at}: {names(good, 8) if good else 'none'}"]
    said += [f"Not up to date: {names(late, 8)}"] if late else []
    said += [f"Dead, so not up to date as expected: {names(lost, 8)}"] if lost else []
    return tuple(said)
