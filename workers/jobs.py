"""What a bell can ask for, and nothing else: `advance`, `survey`, `look_now`.

A job carries an incident's name or a question, never an order. These functions run in a process forked for one job;
its root has put the workbench here before.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from incident.journal import JournalError
from incident.state import Incident
from workers import survey as looking
from workers.advance import advance as carry_on
from workers.tools import Tools

LOOKER_LEASE_S: Final = 30.0
YIELD_AFTER_S: Final = 5.0
"""A job that keeps a card fresh gives way to others after this long, not earlier: rings within five seconds are one."""
_log = logging.getLogger("lync-dr.jobs")


@dataclass(frozen=True)
class Workbench:
    """How a job gets its tools, and what it must know of its worker."""

    make: Callable[[], Tools]
    others_wait: Callable[[], bool] = lambda: False
    """Whether other rings wait for this worker."""
    relook_s: float = looking.AGAIN_AFTER_S
    """Pause between two looks while a card is open, in seconds."""


_bench: list[Workbench] = []


def equip(bench: Workbench) -> None:
    """Puts the workbench there. Called once, by the worker's root."""
    _bench[:] = [bench]


def _tools() -> Tools:
    if not _bench:
        raise RuntimeError("This job was started without its worker.")
    return _bench[0].make()


def advance(incident: str) -> None:
    """Carries the incident on until it waits for a person or is done."""
    carry_on(incident, _tools())


def survey(incident: str) -> None:
    """Looks for this incident, and goes on looking while its card is open."""
    tools = _tools()
    owner, name = secrets.token_hex(8), f"look-{incident}"
    if not tools.journal.lease(name, owner, LOOKER_LEASE_S):
        return
    try:
        again = _look_until_decided(incident, tools, name, owner)
    finally:
        tools.journal.release(name, owner)
    if again:
        tools.bell.ring_look(incident, tools.desk.state(incident).head)


def _look_until_decided(incident: str, tools: Tools, name: str, owner: str) -> bool:
    """True: others wait for this worker, and the card still wants looking after."""
    bench, began = _bench[0], time.monotonic()
    while True:
        looking.survey(incident, tools)
        ended = time.monotonic()
        while keep_looking(tools.desk.state(incident)):
            if time.monotonic() - ended >= bench.relook_s:
                break
            if time.monotonic() - began >= YIELD_AFTER_S and bench.others_wait():
                return True
            threading.Event().wait(0.25)
        else:
            return False
        if not tools.journal.lease(name, owner, LOOKER_LEASE_S):
            return False


def keep_looking(state: Incident) -> bool:
    """Whether somebody is looking at a card of this incident, or is about to."""
    if state.closed or state.run_request is not None or state.hard_stop is not None or state.planned is None:
        return False
    request = state.request
    if request is None or request.state == "open":
        return True
    # A card that has just become void is about to be asked anew.
    return request.state == "void" and datetime.now(UTC) - state.at < timedelta(seconds=10)


def look_now(key: str, question: Mapping[str, Any]) -> None:
    """Answers a question that belongs to no incident."""
    try:
        looking.look_now(key, dict(question), _tools())
    except JournalError as away:
        _log.warning("%s", away)
