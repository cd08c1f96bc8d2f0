"""What a bell can ask for, and nothing else: `advance`, `survey`, `look_now`, `sample`,
`watch_replicas`.

A job carries an incident's name or a question, never an order. These functions run in a process forked for one job;
its root has put the workbench here before.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from incident.journal import JournalError
from workers import replicas as watching
from workers import samples as sampling
from workers import survey as looking
from workers.advance import advance as carry_on
from workers.halting import say
from workers.restraint import own_fault, said_once
from workers.tools import Tools

LOOKER_LEASE_S: Final = 30.0
"""Longer than one look with its budget: after this a look that died stands in nobody's way, in seconds."""
_log = logging.getLogger("lync-dr.jobs")


@dataclass(frozen=True)
class Workbench:
    """How a job gets its tools."""

    make: Callable[[], Tools]


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
    tools = _tools()
    try:
        carry_on(incident, tools)
    finally:
        tools.rest()


def survey(incident: str) -> None:
    """Looks once for this incident. The bot rings again while a card is open; two looks at a time help nobody."""
    tools = _tools()
    try:
        _one_look(incident, tools)
    except JournalError as away:
        _log.warning("%s: this look is not recorded. %s", incident, away)
        say(tools, incident, away)
    except Exception as fault:
        key, text = own_fault(tools, fault)
        said_once(tools, incident, f"look-{key}", f"Looking at the estate fails. {text}")
    finally:
        tools.rest()


def _one_look(incident: str, tools: Tools) -> None:
    owner, name = secrets.token_hex(8), f"look-{incident}"
    if not tools.journal.lease(name, owner, LOOKER_LEASE_S):
        return
    try:
        looking.survey(incident, tools)
    finally:
        tools.journal.release(name, owner)


def look_now(key: str, question: Mapping[str, Any]) -> None:
    """Answers a question that belongs to no incident."""
    tools = _tools()
    try:
        looking.look_now(key, dict(question), tools)
    except JournalError as away:
        _log.warning("%s", away)
    finally:
        tools.rest()


def sample() -> None:
    """Asks every pair how its backup is. The bot rings for it while no incident looks."""
    tools = _tools()
    try:
        sampling.sample(tools)
    except JournalError as away:
        _log.warning("%s", away)
    finally:
        tools.rest()


def watch_replicas(incident: str) -> None:
    """Reads once whether the replicas of the CMS have caught up. The bot rings again while they are watched."""
    tools = _tools()
    try:
        watching.read_once(incident, tools)
    except JournalError as away:
        _log.warning("%s: the replicas of the CMS were not recorded. %s", incident, away)
        say(tools, incident, away)
    finally:
        tools.rest()
