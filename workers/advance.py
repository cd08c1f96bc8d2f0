"""Carrying an incident on: from wherever the record stands to the next thing that only a person can do.

`advance` may be rung any number of times, on any host, by anybody. It holds a lease while it works, takes the run
over by an append that raises the epoch, and believes nothing but the record. Each step is looked at before it is
done, intended in the record before a byte is sent, and read back before it counts. When it has let go it looks at
the record once more, so that a bell that rang meanwhile is not lost.
"""

from __future__ import annotations

import logging
import secrets
from typing import Final

from incident.codes import reason_code
from incident.commands import EndRun
from incident.decide.hands import CLOCK_LIMIT_S
from incident.desk import TooBusy
from incident.journal import (
    BadJournal,
    CopyTrouble,
    JournalDiffers,
    JournalError,
    JournalShorter,
    NoSuchIncident,
    NotStored,
    Unconfirmed,
    Unreachable,
)
from incident.state import Incident, StepState
from playbooks.plan import Step
from workers.check import start_command
from workers.fresh import looked_lately
from workers.halting import believed, say
from workers.hand import Hand, LetGo, SaidNo
from workers.lease import Lease
from workers.restraint import not_yet, own_fault, stands
from workers.results import Closed, Ending, HeldByAnother, Stopped, WaitingForPerson, WaitsForHold
from workers.steps import carry
from workers.tools import Tools

ROUNDS: Final = 100
"""How often one call goes round because something became due while it let go."""
_STOPPED: Final = "stopped; an operator lifts it with go-on"
_ENDS_QUIETLY: Final = frozenset({reason_code("halted", "run"), reason_code("needs_ruling", "run")})
_NOT_BELIEVED: Final = reason_code("not_believed", "run")
_CLOCK: Final = reason_code("clock", "run")
_log = logging.getLogger("lync-dr.act")


def advance(incident: str, tools: Tools) -> Ending:
    """Carries `incident` on until it waits for a person or a hold, is done, or belongs to another hand."""
    for _ in range(ROUNDS):
        try:
            ending, seen = _round(incident, tools)
        except (BadJournal, JournalDiffers, JournalShorter, CopyTrouble) as strange:
            # Nothing is written there either: a record that cannot be believed is no place to write to.
            say(tools, incident, strange)
            return _said(incident, Stopped(f"HALT. {strange}"))
        except NoSuchIncident as none:
            return _said(incident, Stopped(str(none)))
        except TooBusy as busy:
            # Every append lost its race: somebody writes without end, or the store's index lies about the head.
            return _said(incident, Stopped(str(busy)))
        except JournalError as away:
            return _said(incident, Stopped(f"{away} The run is not lost: it goes on when a hand can read the record."))
        if isinstance(ending, HeldByAnother | Stopped | Closed):
            return _said(incident, ending)
        if not _something_new(incident, tools, seen):
            return _said(incident, ending)
    return _said(incident, Stopped(f"{incident} went round {ROUNDS} times in one ring; the next ring goes on."))


def _said(incident: str, ending: Ending) -> Ending:
    loud = logging.WARNING if isinstance(ending, Stopped) else logging.INFO
    _log.log(loud, "%s: %s: %s", incident, type(ending).__name__, ending.sentence)
    return ending


def _something_new(incident: str, tools: Tools, seen: int) -> bool:
    try:
        state = tools.desk.state(incident)
    except JournalError:
        return False
    return state.seq > seen and _waits(state) is None


def _round(incident: str, tools: Tools) -> tuple[Ending, int]:
    """One try: the ending, and the last record that it took into account."""
    state = tools.desk.state(incident)
    waits = _waits(state)
    if waits is not None:
        return waits, state.seq
    believed(tools, incident)
    if _clock_refused(state, tools):
        return Stopped("this host's clock is still off; another worker must begin"), state.seq
    held_back = not_yet(state, tools)
    if held_back is not None:
        return held_back, state.seq
    owner = f"{tools.name}-{secrets.token_hex(4)}"
    lease = Lease(tools.journal, incident, owner, tools.lease_s)
    if not lease.take():
        return HeldByAnother(f"another hand is at work on {incident}"), state.seq
    with lease:
        hand = Hand(tools, incident, lease)
        try:
            ending = _carry(hand)
        except LetGo as gone:
            ending = HeldByAnother(str(gone))
        except SaidNo as no:
            ending = _refused(hand, no)
        except (JournalError, TooBusy):
            raise
        except Exception as fault:
            key, text = own_fault(tools, fault)
            stands(tools, hand.state, key, text)
            ending = Stopped(text)
        return ending, hand.state.seq


def _clock_refused(state: Incident, tools: Tools) -> bool:
    """Whether a worker's clock was the last reason not to begin, and this one's is off too: said once, not at each
    ring."""
    if state.run_request is not None or state.run_refused is None or state.run_refused[0] != _CLOCK:
        return False
    return abs(tools.journal.clock_offset_ms()) > CLOCK_LIMIT_S * 1000


def _refused(hand: Hand, no: SaidNo) -> Ending:
    """A rule said no to something this hand took for due: a person sees it, and the next try comes later and later."""
    if no.refusal.code == _NOT_BELIEVED:
        # The register says so already, and the journal is no place to write to.
        return Stopped(f"HALT. {no.refusal.text}")
    if no.refusal.code in _ENDS_QUIETLY:
        return WaitingForPerson(no.refusal.text)
    if hand.state.run_request is not None and not hand.state.run_ended:
        stands(hand.tools, hand.state, no.refusal.code, no.refusal.text)
    return Stopped(no.refusal.text)


# --- what is due ---------------------------------------------------------------------------------------------


def _waits(state: Incident) -> Ending | None:
    """Why nothing is due, or None where a hand has something to do."""
    if state.closed or state.run_ended:
        return Closed(f"{state.id} is over: {state.closed or state.run_ended}")
    if state.run_request is None:
        request = state.request
        if request is None or request.state != "approved":
            return WaitingForPerson("an approval")
        return WaitingForPerson(_STOPPED) if state.stop is not None else None
    if _in_hand(state) is not None or state.aborted:
        return None
    if state.waiting_step is not None:
        return WaitingForPerson(f"a ruling about step {state.waiting_step.id}")
    if state.stop is not None:
        return WaitingForPerson(_STOPPED)
    step = next((s for s in state.steps if not s.settled), None)
    if step is not None and _is_human(step) and state.confirmed is None:
        return WaitingForPerson(f"somebody to confirm: {step.title}")
    return None


def _in_hand(state: Incident) -> StepState | None:
    """The step whose call was sent and whose end is not yet known or not yet read back."""
    return next((s for s in state.steps if s.status in ("running", "verifying")), None)


def _is_human(step: StepState) -> bool:
    act = step.plan.get("act")
    return isinstance(act, dict) and "confirms" in act


# --- the run --------------------------------------------------------------------------------------------------


def _carry(hand: Hand) -> Ending:
    hand.take()
    if hand.state.run_request is None:
        refused = _begin(hand)
        if refused is not None:
            return refused
    while True:
        hand.must_be_mine()
        state = hand.refresh()
        waits = _waits(state)
        if waits is not None:
            return waits
        step = _in_hand(state) or next((s for s in state.steps if not s.settled), None)
        if step is None or (state.aborted and step.status not in ("running", "verifying")):
            return _end(hand)
        ending = _step(hand, step)
        if ending is not None:
            return ending


def _begin(hand: Hand) -> Ending | None:
    """Everything once more, by this worker's own files; then the run begins or is refused, and the record says why."""
    tools = hand.tools
    command = start_command(tools, hand.state, hand.epoch, looked_lately(tools, hand.state))
    hand.must_be_mine()
    try:
        hand.do(command)
    except SaidNo as no:
        hand.refresh()
        return Stopped(no.refusal.text)
    return None


def _step(hand: Hand, step: StepState) -> Ending | None:
    try:
        return carry(hand, Step.model_validate(step.plan))
    except (NotStored, Unconfirmed, Unreachable) as away:
        # No append, no act: what was about to follow did not.
        return Stopped(f"{away} Step {step.id} goes on when the record can be written again.")


def _end(hand: Hand) -> Ending:
    state = hand.state
    every_hold = tuple({h for s in state.steps for h in s.plan.get("holds", ())})
    if state.aborted:
        left = [s.title for s in state.steps if not s.settled]
        text = f"Ended by ruling. Not done: {', '.join(left) or 'nothing'}."
        hand.do(EndRun(hand.epoch, "aborted", text), give=every_hold)
    else:
        hand.do(EndRun(hand.epoch, "complete", _summary(state)), give=every_hold)
    return Closed(f"{state.id}: the run has ended")


def _summary(state: Incident) -> str:
    debts = [s.title for s in state.steps if s.status == "degraded"]
    ruled = [s.title for s in state.steps if s.status in ("ruled_done", "ruled_skip")]
    text = f"{len(state.steps) - len(debts) - len(ruled)} of {len(state.steps)} steps done and read back."
    if debts:
        text += f" Left undone, to be put right by hand: {', '.join(debts)}."
    if ruled:
        text += f" Settled by ruling: {', '.join(ruled)}."
    return text


__all__ = ["Closed", "HeldByAnother", "Stopped", "WaitingForPerson", "WaitsForHold", "advance"]
