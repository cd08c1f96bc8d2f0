"""What the record knows of plans, which it holds as data: whether a step holds a call, its part, its words."""

from __future__ import annotations

from typing import Any

from incident.state import StepState

PARTS = {"cms": "CMS", "edge": "Edge", "pool": "pool", "dns": "DNS", "proof": "proof"}
"""A step's part -> how it is printed."""


def holds_call(plan: Any, call: Any) -> bool:
    """True where the step, as planned, holds this call as it stands, at whatever depth."""
    return _holds(_plain(plan), _plain(call))


def _plain(value: Any) -> Any:
    """JSON as it is after writing and reading: lists, not tuples."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _holds(plan: Any, call: Any) -> bool:
    if plan == call:
        return True
    inside = plan.values() if isinstance(plan, dict) else plan if isinstance(plan, list) else ()
    return any(_holds(inner, call) for inner in inside)


def part_of(step: StepState) -> str:
    """`cms`, `edge`, `pool`, `dns`, `proof`: as the plan says, else from the step's id."""
    return str(step.plan.get("part") or step.id.split(".")[0])


def changes(step: StepState) -> bool:
    """True where the step, as planned, sends a call that changes something."""
    act = step.plan.get("act")
    return isinstance(act, dict) and "cmdlet" in act and step.plan.get("effect") != "observe"


def literal_of(act: Any) -> str:
    """The call as PowerShell text for reading; what was sent stands in the intents."""
    if not isinstance(act, dict) or "cmdlet" not in act:
        return str(act.get("text", "")) if isinstance(act, dict) else ""
    words = [str(act["cmdlet"])]
    for name, value in act.get("params", ()):
        words.append(f"-{name}" if value is True else f"-{name}:$false" if value is False else f"-{name} {value}")
    return " ".join(words)


def is_task(step: StepState) -> bool:
    """True where a person has to do something with their own hands."""
    act = step.plan.get("act")
    return isinstance(act, dict) and "confirms" in act
