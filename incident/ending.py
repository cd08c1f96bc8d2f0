"""How an incident ended, in the words of its headline: one rule for board, summary, receipts, mail and report.

The recorded result says whether service was proven. What a recovery has not brought back is said beside it, so that
no page of it is a plain RECOVERED while another one warns.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, Literal

from incident.plans import part_of
from incident.state import Incident, StepState

GOOD: Final = frozenset({"done", "done_red", "skipped"})
"""A step that was read back, or was so before. What people ruled, and what was left undone, is not among these."""
RECOVERED: Final = ("recovered", "recovered_late")
RESULTS: Final = MappingProxyType({
    "recovered": "RECOVERED", "recovered_late": "RECOVERED LATE", "aborted": "ABORTED", "cancelled": "CANCELLED",
    "hard_stopped": "NO PLAN, CLOSED", "false_alarm": "FALSE ALARM", "incomplete": "INCOMPLETE",
})  # fmt: skip
Tone = Literal["good", "warn", "bad", "plain"]


def headline(state: Incident) -> str:
    """The result in capitals, with what is missing: `RECOVERED, BUT MEETINGS NOT KNOWN`. `CLOSED` where the record
    knows a result that this version does not; empty while it is open."""
    if not state.closed:
        return ""
    word = RESULTS.get(state.closed, "CLOSED")
    return f"{word}{but(state).upper()}"


def tone(state: Incident) -> Tone:
    """How the headline is coloured: good only where all is back and in time."""
    if state.closed == "recovered":
        return "warn" if lacking(state) else "good"
    return {"recovered_late": "warn", "incomplete": "bad", "": "warn"}.get(state.closed, "plain")  # type: ignore[return-value]


def lacking(state: Incident) -> str:
    """What a recovery has not brought back, in few words; empty where nothing is missing, and for every other end."""
    if state.closed not in RECOVERED:
        return ""
    found = meetings(state.steps)
    return "" if found == "meetings yes" else found


def but(state: Incident) -> str:
    """What is missing, as the end of a clause: `, but meetings not known`; empty where nothing is."""
    missing = lacking(state)
    return f", but {missing}" if missing else ""


def meetings_in_words(steps: Sequence[StepState]) -> str:
    """For people who do not know what a pool is: what does not work of meetings; empty where they do."""
    return {
        "meeting page does not answer": "The meeting page does not answer yet.",
        "meeting links no": "Meeting links do not work yet.",
        "meeting links not everywhere": "Meeting links do not work everywhere yet.",
        "meetings not known": "It is not known whether meeting links work.",
    }.get(meetings(steps), "")


def meetings(steps: Sequence[StepState]) -> str:
    """Meeting links, once the pool is moved, by the steps that write names and ask for the meeting page."""
    names = [s for s in steps if part_of(s) == "dns"]
    page = next((s for s in steps if s.id == "proof.meeting"), None)
    if page is not None and page.status == "degraded":
        return "meeting page does not answer"
    if any(not s.settled for s in names):
        return "meeting links no"
    if any(s.status not in GOOD for s in names):
        return "meeting links not everywhere"
    if not names and (page is None or page.status not in GOOD):
        return "meetings not known"
    return "meetings yes"
