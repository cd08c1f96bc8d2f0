"""Which playbooks there are, by the word a person types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from playbooks import declare_disaster as disaster
from playbooks.estate import Estate
from playbooks.facts import Facts
from playbooks.plan import HardStop, Plan

Playbook = Callable[[Estate, str, Facts], Plan | HardStop]
"""Estate, short name of a pool, facts: the same three always give the same answer."""

PLAYBOOKS: Mapping[str, Playbook] = MappingProxyType({disaster.KIND: disaster.declare_disaster})
UNBUILT: Mapping[str, str] = MappingProxyType(
    {
        "failover": "Planned failover",
        "failback": "Failback",
        "drill": "Drill",
        "cms-failover": "Moving the Central Management Store alone",
        "sync": "Backup synchronisation",
    }
)
"""Kinds with a name and no playbook yet."""


def plan_for(kind: str, estate: Estate, pool: str, facts: Facts) -> Plan | HardStop:
    """The plan of that kind; a kind that is not built, or not known, answers with a stop that says so."""
    playbook = PLAYBOOKS.get(kind)
    if playbook is not None:
        return playbook(estate, pool, facts)
    what = UNBUILT.get(kind, f"{kind!r}")
    return HardStop(
        code="unbuilt",
        why=f"{what} is not built yet. Nothing was changed.",
        do=f"Follow the printed runbook. Built: {', '.join(PLAYBOOKS)}.",
    )
