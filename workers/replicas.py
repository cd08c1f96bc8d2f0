"""Whether the replicas of the Central Management Store have caught up with its new master: read beside the run.

Read on the host that the CMS moved to, by a look worker; a run never waits for it, and nothing leans on the answer.
What it means, when it is written and when it ends is decided where everything is (`incident.decide.watching`).
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Final

from incident.commands import RecordReplicas
from incident.events import ReplicaSeen
from incident.replicas import cms_step, watched
from playbooks.facts import NoAnswer, replicas_look, replicas_of
from workers.remote.door import RunId
from workers.tools import Tools

BUDGET_S: Final = 8.0
"""How long the server may take, in seconds: a survey may be waiting for this worker."""
LEASE_S: Final = 30.0
MOST: Final = 300
"""Servers that are recorded; a deployment has some dozens."""


def read_once(incident: str, tools: Tools) -> bool:
    """Reads once and records what is new. True: something was written. Two at a time help nobody.

    Raises `JournalError` where the record cannot be read or written.
    """
    owner, name = secrets.token_hex(8), f"replicas-{incident}"
    if not tools.journal.lease(name, owner, LEASE_S):
        return False
    try:
        return _read(incident, tools)
    finally:
        tools.journal.release(name, owner)


def _read(incident: str, tools: Tools) -> bool:
    state = tools.desk.state(incident)
    step = cms_step(state)
    if step is None or not watched(state):
        return False
    look, began = replicas_look(step.host), datetime.now(UTC)
    answers = tools.looker.look([look], BUDGET_S, RunId(incident, "replicas", 1))
    found, why = replicas_of(tools.own.estate, answers.get(look.id) or NoAnswer(reason=f"{step.host} did not answer"))
    seen = tuple(ReplicaSeen(fqdn=fqdn[:255], pool=pool, up_to_date=good) for fqdn, pool, good in found[:MOST])
    command = RecordReplicas(seen, began, tools.own.estate.survey.replicas_s, tools.redactor.text(why)[:300])
    answer = tools.desk.do(incident, command)
    return answer.ok and bool(answer.events)
