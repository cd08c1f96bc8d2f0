"""What is watched beside a run: it decides nothing about the run, and ends by itself."""

from __future__ import annotations

from datetime import timedelta

from incident import replicas
from incident.commands import RecordReplicas
from incident.decide.case import Case, Result, hand_no
from incident.events import FollowUp, ReplicaSeen, ReplicasSeen
from incident.replicas import names

CHECK = "Read Get-CsManagementStoreReplicationStatus by hand."


def record_replicas(case: Case, command: RecordReplicas) -> Result:
    """A reading is written when it differs from the last one; what merely could not be read is news only at first."""
    state, changed = case.incident, replicas.changed_at(case.incident)
    if not replicas.watched(state) or changed is None:
        return hand_no("not_watched", f"The replicas of {state.id} are not watched, or not any more.")
    last = state.replicas
    seen = ReplicasSeen(replicas=tuple(_judged(case, r) for r in command.replicas), why=command.why)
    if command.why and last is not None:
        seen = ReplicasSeen(replicas=last.replicas, why=last.why)
    elif seen.replicas and replicas.all_written(state) and command.began >= changed and not _behind(seen):
        seen = seen.model_copy(update={"over": "all"})
    late = case.now >= changed + timedelta(seconds=command.limit_s) and not replicas.in_hand(state)
    if late and not seen.over:
        seen = seen.model_copy(update={"over": "limit"})
    if last is not None and (seen.replicas, seen.why, seen.over) == (last.replicas, last.why, last.over):
        return ()
    return (seen, *_debts(case, seen)) if seen.over == "limit" else (seen,)


def _behind(seen: ReplicasSeen) -> tuple[ReplicaSeen, ...]:
    return tuple(r for r in seen.replicas if not r.up_to_date and not r.dead)


def _judged(case: Case, replica: ReplicaSeen) -> ReplicaSeen:
    """A server of the lost pool is dead where the pool answered nobody; whoever reads does not say so."""
    lost = case.incident.declared
    own = replica.fqdn == lost.pool_fqdn or replica.pool == lost.pool
    return replica.model_copy(update={"dead": own and _silent(case)})


def _silent(case: Case) -> bool:
    """Whether the lost pool was seen to answer nobody when last looked at."""
    survey, prefix = case.incident.survey, f"answers.{case.incident.declared.pool}."
    facts = survey.facts if survey is not None else {}
    seen = [f.get("value") for k, f in facts.items() if k.startswith(prefix) and isinstance(f, dict)]
    return False in seen and True not in seen


def left_behind(case: Case) -> tuple[FollowUp, ...]:
    """At the end of the incident: what was still being watched becomes people's."""
    state = case.incident
    return _debts(case, state.replicas) if replicas.watched(state) else ()


def _debts(case: Case, seen: ReplicasSeen | None) -> tuple[FollowUp, ...]:
    at = case.time(case.now)
    if seen is None or not seen.replicas:
        why = f" ({seen.why})" if seen is not None and seen.why else ""
        text = f"Whether the CMS replicas are up to date could not be read by {at}{why}. {CHECK}"
        return (FollowUp(key="replicas", text=text),)
    return tuple(
        FollowUp(key=f"replica-{r.fqdn}", text=f"CMS replica of {names((r,))} not up to date at {at}. {CHECK}")
        for r in _behind(seen)
    )
