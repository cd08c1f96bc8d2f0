"""How many people with `operate` it takes to decide about a step that failed or is not known.

The table: what is wanted × what is known of the server → quorum. Nothing here can begin what the approved plan does
not hold; a ruling only says whether the plan's own step runs again, counts as done, is left out, or ends the run.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

from incident.events import Verdict
from incident.plans import effect_of
from incident.state import Failure, StepState

Begun = Literal["not_begun", "half_done", "done", "cannot_tell"]


def quorum(step: StepState, verdict: Verdict) -> int:
    """Distinct persons needed for `verdict` on the step's present failure: one or two.

    * retry: one where the server certainly ended and the look says not begun, where repeating is harmless, or where
      the step's cmdlet is documented to be run again and nothing is half done; else two.
    * done: one where the look says so too; two against the look.
    * skip: two for a step that can only be done once, else one.
    * abort: one where nothing is half done or unknown, else two.
    """
    failure = step.failure
    if failure is None:
        return 2
    once = is_once(step)
    if verdict == "retry":
        if not once:
            return 1
        certain = not failure.unknown and failure.begun == "not_begun"
        rerun = step.plan.get("rerun") == "documented" and not failure.unknown
        return 1 if certain or (rerun and failure.begun not in ("half_done", "cannot_tell")) else 2
    if verdict == "done":
        return 2 if against_probe(step) else 1
    if verdict == "skip":
        return 2 if once else 1
    certain = failure.begun in ("not_begun", "done") and not failure.unknown
    return 1 if certain or not once else 2


def against_probe(step: StepState) -> bool:
    """True where the last look does not say that the step is done."""
    return step.failure is None or step.failure.begun != "done"


def is_once(step: StepState) -> bool:
    """True for a step whose call must not be sent twice without people's word."""
    return effect_of(step) == "once"


def votes_for(step: StepState, verdict: Verdict) -> tuple[str, ...]:
    """The distinct persons whose present word on this failure is `verdict`."""
    if step.failure is None:
        return ()
    return tuple(dict.fromkeys(person for person, said, _ in step.failure.votes if said == verdict))


# --- the table, made by asking the rule itself -------------------------------------------------------------

_SAID: Final[tuple[tuple[str, bool, Begun], ...]] = (
    ("ended: not begun", False, "not_begun"),
    ("ended: half done", False, "half_done"),
    ("ended: cannot tell", False, "cannot_tell"),
    ("ended: done", False, "done"),
    ("end unseen: not begun", True, "not_begun"),
    ("end unseen: half done", True, "half_done"),
    ("end unseen: cannot tell", True, "cannot_tell"),
    ("end unseen: done", True, "done"),
)
_KINDS: Final = (
    ("CMS or pool failover", {"effect": "once", "rerun": "undocumented"}),
    ("… documented to be run again", {"effect": "once", "rerun": "documented"}),
    ("Edge next hop, DNS", {"effect": "converge", "rerun": "harmless"}),
)
_ANY_MOMENT: Final = datetime.fromtimestamp(0, UTC)


def as_markdown() -> str:
    """The table for the documentation: how many persons with `operate` each verdict needs."""
    lines = [
        "| step | its call, and what the look says | run again | counts as done | leave out | end the run |",
        "|---|---|---|---|---|---|",
    ]
    for kind, plan in _KINDS:
        rows: dict[tuple[int, ...], list[str]] = {}
        for said, unknown, begun in _SAID:
            failure = Failure(1, "", "", begun, (), _ANY_MOMENT, 1, unknown=unknown)
            step = StepState("step", "", "", 0, plan, "failed", failure=failure)
            rows.setdefault(tuple(quorum(step, verdict) for verdict in _VERDICTS), []).append(said)
        lines += [f"| {kind} | {' · '.join(said)} | {' | '.join(map(str, n))} |" for n, said in rows.items()]
    return "\n".join(lines)


_VERDICTS: Final[tuple[Verdict, ...]] = ("retry", "done", "skip", "abort")
