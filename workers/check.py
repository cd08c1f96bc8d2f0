"""Before the first act a worker believes nobody: not the bell, not the bot, not even another worker's plan.

The journal has verified chain, signatures and kinds of writers, and compared with this host's copy, before a record
comes here. What is left is judged again from the record itself with this worker's own estate, endpoints, policy and
playbook: the plan is built anew from the journalled facts and must be the approved one, byte for byte; the approval
must hold by this worker's own policy (`decide` does that with what is handed to it); the clocks must agree; and what
the first step leans on must have been seen within the last seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from incident.commands import StartRun
from incident.state import Incident
from playbooks.facts import Facts, feeding, looks, read
from playbooks.plan import Plan, broken, code, digest, words
from playbooks.registry import plan_for
from workers.remote.door import RunId
from workers.tools import Tools

NOT_BUILT = "0" * 64
"""Stands for a plan that could not be built here at all; equal to no digest."""


@dataclass(frozen=True)
class Rebuilt:
    """The plan as this worker makes it from the journalled facts."""

    plan: Plan | None
    digest: str
    same: bool
    """The journalled plan is this one, byte for byte, under the same six characters and four words."""


def rebuild(tools: Tools, state: Incident) -> Rebuilt:
    """Builds the plan again from the journalled facts; anything strange in them gives no plan."""
    survey, planned = state.survey, state.planned
    if survey is None or planned is None:
        return Rebuilt(None, NOT_BUILT, False)
    pool = state.declared.pool
    try:
        made = plan_for(state.declared.playbook, tools.own.estate, pool, Facts.from_data(survey.facts))
    except (ValidationError, ValueError, TypeError):
        return Rebuilt(None, NOT_BUILT, False)
    if not isinstance(made, Plan):
        return Rebuilt(None, NOT_BUILT, False)
    seal = digest(made, tools.own.slices(pool))
    # What people read aloud and typed is not under the digest, so it is made again here too.
    said = (planned.short, planned.words) == (code(seal), tuple(words(seal).split()))
    return Rebuilt(made, seal, said and _same(made.data(), planned.plan))


def _same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)


def start_command(tools: Tools, state: Incident, epoch: int, fresh: bool) -> StartRun:
    """What this worker has to say about beginning; `decide` turns it into a start or into a refusal with a reason.

    `fresh`: a survey of this incident ended within the last seconds, so that nothing need be looked at again.
    """
    rebuilt = rebuild(tools, state)
    lost: tuple[str, ...] = ()
    if rebuilt.plan is not None and rebuilt.same and not fresh:
        lost = lost_assumptions(tools, state, rebuilt.plan)
    return StartRun(
        epoch=epoch,
        digest=rebuilt.digest if rebuilt.same else NOT_BUILT,
        digests=tools.own.digests(state.declared.pool),
        assumptions_lost=lost,
        clock_off_s=round(tools.journal.clock_offset_ms() / 1000),
    )


def lost_assumptions(tools: Tools, state: Incident, plan: Plan) -> tuple[str, ...]:
    """Looks at what the first step leans on, and only at that: what is no longer so, in words."""
    first = plan.steps[0].id if plan.steps else ""
    wanted = [a for a in plan.assumptions if a.step in ("", first)]
    facts = {fact for assumption in wanted for fact in assumption.predicate.facts()}
    asked = feeding(looks(tools.own.estate, state.declared.pool), facts)
    answers = tools.looker.look(asked, tools.probe_s, RunId(state.id, "start.look", state.epoch))
    seen = read(tools.own.estate, asked, answers)
    leaning = plan.model_copy(update={"assumptions": tuple(wanted)})
    return tuple(f"{b.said} ({b.now})" for b in broken(leaning, seen))
