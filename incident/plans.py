"""What the record knows of plans, which it holds as data: whether a call is the step's own, its part, its words."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from incident.state import StepState

PARTS = {"cms": "CMS", "edge": "Edge", "pool": "pool", "dns": "DNS", "proof": "proof"}
"""A step's part -> how it is printed."""


_BARE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._+/-]*")


class Intended(Protocol):
    """What an intent, or the wish for one, says about the call."""

    @property
    def host(self) -> str: ...
    @property
    def literal(self) -> str: ...
    @property
    def call(self) -> dict[str, Any]: ...
    @property
    def effect(self) -> str: ...


def _plain(value: Any) -> Any:
    """JSON as it is after writing and reading: lists, not tuples."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def part_of(step: StepState) -> str:
    """`cms`, `edge`, `pool`, `dns`, `proof`: as the plan says, else from the step's id."""
    return str(step.plan.get("part") or step.id.split(".")[0])


def changes(step: StepState) -> bool:
    """True where the step, as planned, sends a call that changes something."""
    act = step.plan.get("act")
    return isinstance(act, dict) and "cmdlet" in act and step.plan.get("effect") != "observe"


def proves_itself(step: StepState) -> bool:
    """True for a step that shows by itself, without a person, that service is there."""
    return part_of(step) == "proof" and not is_task(step)


def literal_of(act: Any) -> str:
    """The call as PowerShell text, letter for letter as the card showed it and as an intent must name it."""
    if not isinstance(act, dict) or "cmdlet" not in act:
        return str(act.get("text", "")) if isinstance(act, dict) else ""
    words = [str(act["cmdlet"])]
    for name, value in act.get("params", ()):
        if isinstance(value, bool):
            words.append(f"-{name}" if value else f"-{name}:$false")
        else:
            words.append(f"-{name} {_quoted(str(value))}")
    return " ".join(words)


def _quoted(text: str) -> str:
    """A bare word where PowerShell reads it as one; else a single-quoted string, in which only the quote is doubled
    (PowerShell documentation, about_Quoting_Rules)."""
    return text if _BARE.fullmatch(text) else "'" + text.replace("'", "''") + "'"


def effect_of(step: StepState) -> str:
    """The effect class as the plan states it, `once` where it says nothing: the stricter is assumed."""
    return str(step.plan.get("effect") or "once")


def departs(step: StepState, call: Intended) -> str:
    """In what a call departs from the step as people approved it, in words; empty where it is that call.

    Host, text and effect class are compared beside the call itself: what an intent says of itself is believed by
    nobody, for a wrong effect class would carry a call past every rule about changes.
    """
    act = step.plan.get("act")
    if not isinstance(act, dict) or "cmdlet" not in act or _plain(act) != _plain(call.call):
        return "holds no such call"
    if call.host != step.host:
        return f"sends it to {step.host}, not to {call.host}"
    if call.literal != literal_of(act):
        return f"reads {literal_of(act)}, not {call.literal}"
    return "" if call.effect == effect_of(step) else f"calls its effect {effect_of(step)}, not {call.effect}"


def is_task(step: StepState) -> bool:
    """True where a person has to do something with their own hands."""
    act = step.plan.get("act")
    return isinstance(act, dict) and "confirms" in act
