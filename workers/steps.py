"""One step: look, intend, send, read back. The truth table for what happened lives here and nowhere else.

What is certain decides, never what is likely. A call that ended (`bye`) is judged by reading back; a call whose end
was not seen is *unknown*, which is not *failed*: it is looked at until its own limit is over. A call of effect
`once` is sent a second time only after people have ruled; `converge` and `observe` may repeat by themselves.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from incident.commands import (
    BeginCall,
    EndCall,
    FailStep,
    Prove,
    RecordOutput,
    SaySlow,
    SkipStep,
    VerifyStep,
    WaitFor,
)
from incident.events import Outcome
from incident.journal import HeldBy, NotStored, Unconfirmed, Unreachable
from incident.state import Attempt
from playbooks.catalogue import Call, explain
from playbooks.facts import Facts, Known, read, title
from playbooks.plan import HumanTask, Predicate, Step, broken, holds
from workers.hand import Hand
from workers.output import Batch, StepOutput
from workers.remote.door import Answer, Deadline, Done, Finished, Frame, NeverStarted, RedText, Refused, RunId
from workers.results import Ending, WaitingForPerson, WaitsForHold

Begun = Literal["not_begun", "half_done", "done", "cannot_tell"]
REPEATS: Final = 3
"""How often a call that may be repeated is sent in all before a person is asked."""
LATE_KEPT: Final = 200
"""Batches of output that wait for a store that is away; the blob beside the journal has everything."""
SURE_AFTER: Final = 2
"""Readings in a row that must say *nothing has begun* before that is believed of a call that ended in red, or of one
that may be repeated anyway."""


@dataclass(frozen=True)
class Seen:
    """What one look at a step's facts said."""

    facts: Facts
    so: bool | None
    begun: Begun
    words: str
    """The facts in words, each with its value or why it is unknown."""
    at: datetime


def carry(hand: Hand, step: Step) -> Ending | None:
    """Carries one step on from wherever it stands. None: it is settled and the next may begin."""
    state = hand.step(step.id)
    if state.settled:
        return None
    last = state.attempts[-1] if state.attempts else None
    if last is not None and last.outcome is None:
        return _adopt(hand, step, last)
    if state.status == "verifying" and last is not None and last.outcome is not None:
        return _conclude(hand, step, last, last.outcome)
    if isinstance(step.act, HumanTask):
        return _ask_person(hand, step, step.act)
    if step.act is None:
        return _watch(hand, step)
    if undone := _leans_on_undone(hand, step):
        nothing = Seen(Facts(), None, "not_begun", "not looked at", datetime.now(UTC))
        text = f"{step.title} was left alone, because this was not done: {undone}. The name keeps what it has"
        return _fail(hand, step, nothing, text, certain="Nothing was sent.")
    seen = glance(hand, step)
    if seen.so is True:
        if state.attempts:
            hand.do(_verified(hand, step, seen, 0), give=step.holds)
        else:
            hand.do(SkipStep(hand.epoch, step.id, f"Already so, nothing was sent: {seen.words}."), give=step.holds)
        return None
    if not state.attempts and not state.retry and (why := _moved_by_others(hand, step, seen)):
        return _fail(hand, step, seen, f"{step.title} on {step.host} was not begun: {why}", certain="Nothing was sent.")
    if seen.so is None and _failed_there_before(hand, step):
        text = f"{step.title}: {step.host} failed a step before and does not answer now"
        return _fail(hand, step, seen, text, certain="Nothing was sent.")
    return _send(hand, step, step.act)


def _leans_on_undone(hand: Hand, step: Step) -> str:
    """The earlier step about the same name on the same server that was left undone: without the new value the old
    one is not taken away, and without room for it the new one is not added."""
    if step.part != "dns":
        return ""
    same_name = step.id.split(".")[:3]
    for other in hand.state.steps:
        if other.id == step.id:
            return ""
        if other.status in ("degraded", "ruled_skip") and other.id.split(".")[:3] == same_name:
            return other.title
    return ""


def _failed_there_before(hand: Hand, step: Step) -> bool:
    """Whether an earlier step was left undone because this host could not be reached: then nobody waits for it time
    and again."""
    if step.on_failure != "degraded":
        return False
    for other in hand.state.steps:
        last = other.attempts[-1].outcome if other.attempts else None
        if other.status == "degraded" and other.host == step.host and last is not None and last.result not in _ENDED:
            return True
    return False


_ENDED: Final = frozenset({"done", "red", "adopted"})
"""Outcomes that show that the host answers."""


# --- looking ------------------------------------------------------------------------------------------------


def look(hand: Hand, step: Step) -> Seen:
    """Asks for the facts of the step's probe (or of its verify), within the look's own budget."""
    check = step.probe or step.verify
    if check is None:
        return Seen(Facts(), None, "cannot_tell", "nothing can be read back about it", datetime.now(UTC))
    run = RunId(hand.incident, f"{step.id}.look", len(hand.step(step.id).attempts))
    answers = hand.tools.looker.look(check.looks, hand.tools.probe_s, run)
    return _seen(step, read(hand.tools.own.estate, check.looks, answers))


def glance(hand: Hand, step: Step) -> Seen:
    """Asks one question after another only until it is decided whether the step is so: of two views of a dead CMS one
    answers at once and the other hangs until it is given up."""
    check = step.probe or step.verify
    if check is None:
        return look(hand, step)
    run = RunId(hand.incident, f"{step.id}.look", len(hand.step(step.id).attempts))
    deadline, facts = Deadline.after(hand.tools.probe_s), Facts()
    for one in check.looks:
        answers = hand.tools.looker.look((one,), deadline.left(), run)
        facts = facts.having(dict(read(hand.tools.own.estate, (one,), answers)))
        if holds(check.so, facts) is not None:
            break
    return _seen(step, facts)


def _look_back(hand: Hand, step: Step) -> Seen:
    """Asks for the facts of the step's verify; those of the probe come along where they say more."""
    check = step.verify or step.probe
    if check is None:
        return look(hand, step)
    looks = {one.id: one for one in (*check.looks, *(step.probe.looks if step.probe else ()))}
    run = RunId(hand.incident, f"{step.id}.verify", len(hand.step(step.id).attempts))
    answers = hand.tools.looker.look(looks.values(), hand.tools.probe_s, run)
    facts = read(hand.tools.own.estate, looks.values(), answers)
    return replace(_seen(step, facts), so=holds(check.so, facts), words=_words(facts, (check.so,)))


def _seen(step: Step, facts: Facts) -> Seen:
    check = step.probe or step.verify
    assert check is not None
    so = holds(check.so, facts)
    untouched = holds(step.untouched, facts) if step.untouched is not None else None
    begun: Begun
    if so is True:
        begun = "done"
    elif untouched is True or (so is False and step.untouched is None and step.effect != "once"):
        begun = "not_begun"
    elif so is False and untouched is False:
        begun = "half_done"
    else:
        begun = "cannot_tell"
    about = (check.so,) if step.untouched is None else (check.so, step.untouched)
    return Seen(facts, so, begun, _words(facts, about), datetime.now(UTC))


def _words(facts: Facts, about: tuple[Predicate, ...]) -> str:
    named = dict.fromkeys(fact for predicate in about for fact in predicate.facts())
    return "; ".join(f"{title(fact)}: {_value(facts, fact)}" for fact in list(named)[:6])


def _value(facts: Facts, fact: str) -> str:
    found = facts[fact]
    if not isinstance(found, Known):
        return f"not known, {found.reason}"
    if isinstance(found.value, tuple):
        return ", ".join(found.value) or "nothing"
    return {True: "yes", False: "no"}[found.value] if isinstance(found.value, bool) else str(found.value)


def _moved_by_others(hand: Hand, step: Step, seen: Seen) -> str:
    """Why a first attempt must not be made: something this step leans on was changed by somebody else."""
    fresh = set(seen.facts)
    plan = hand.plan
    ours = tuple(a for a in plan.assumptions if a.step == step.id and set(a.predicate.facts()) <= fresh)
    gone = broken(plan.model_copy(update={"assumptions": ours}), seen.facts, step.id)
    return "; ".join(f"expected that {b.said}, but {b.now}" for b in gone)


# --- sending ------------------------------------------------------------------------------------------------


def _send(hand: Hand, step: Step, call: Call) -> Ending | None:
    begin = BeginCall(
        epoch=hand.epoch, step=step.id, call_no=1, host=step.host, literal=call.literal,
        call=call.model_dump(mode="json"), effect=step.effect,
    )  # fmt: skip
    try:
        hand.do(begin, take=step.holds)
    except HeldBy as held:
        hand.do(WaitFor(hand.epoch, held.hold, held.by))
        return WaitsForHold(held.hold, held.by)
    attempt = hand.step(step.id).attempts[-1]
    # The intent is stored and acknowledged. Between here and the first byte nothing may come but this question.
    hand.must_be_mine()
    began = time.monotonic()
    sink = _Sink(hand, step, attempt, began)
    run = RunId(hand.incident, step.id, attempt.number)
    deadline = Deadline.after(step.limit_s)
    answer = hand.tools.remote.run(step.host, call, run, deadline, sink, hand.why_not_send)
    took_ms = int((time.monotonic() - began) * 1000)
    outcome = _outcome(hand, step, attempt, answer, took_ms, sink.close())
    sink.catch_up()
    turned_away = isinstance(answer, Refused) and answer.reason == "credentials"
    return _conclude(hand, step, attempt, outcome, by_itself=not turned_away)


class _Sink:
    """Takes what the server says while it works: into the record, and a word when it takes longer than usual."""

    def __init__(self, hand: Hand, step: Step, attempt: Attempt, began: float) -> None:
        self._hand, self._step, self._attempt, self._began = hand, step, attempt, began
        self._late: list[Batch] = []
        self._said_slow = False
        self._output = StepOutput(self._record, hand.tools.redactor, hand.tools.blobs)

    def __call__(self, frame: Frame) -> None:
        self._output(frame)
        if not self._said_slow and time.monotonic() - self._began > self._step.usual_s[1]:
            self._said_slow = True
            say_slow(self._hand, self._step, time.monotonic() - self._began)

    def close(self) -> str:
        """Records the rest; the SHA-256 of the whole output, empty where none is kept."""
        blob = self._output.close()
        return blob.sha256 if blob and blob.size else ""

    def _record(self, batch: Batch) -> None:
        self._late = [*self._late, batch][-LATE_KEPT:]
        self.catch_up()

    def catch_up(self) -> None:
        """Records what is waiting. A store that is away does not stop a cmdlet that runs: its words wait here."""
        while self._late:
            lines = tuple((line.kind, line.text) for line in self._late[0].lines)
            left_out = self._late[0].left_out
            try:
                self._hand.do(RecordOutput(self._hand.epoch, self._step.id, self._attempt.number, lines, left_out))
            except (NotStored, Unconfirmed, Unreachable):
                return
            self._late.pop(0)


def say_slow(hand: Hand, step: Step, seconds: float) -> None:
    """Says that the step takes longer than usual; long before its limit, and without any consequence."""
    low, high = step.usual_s
    text = (
        f"{step.title} on {step.host} has been running for {_span(seconds)}, usually {_span(low)} to {_span(high)}. "
        f"It goes on; this is not a failure. Its limit is {_span(step.limit_s)}."
    )
    try:
        hand.do(SaySlow(hand.epoch, step.id, text))
    except (NotStored, Unconfirmed, Unreachable):
        return


def _outcome(hand: Hand, step: Step, attempt: Attempt, answer: Answer, took_ms: int, blob: str) -> Outcome:
    """Records what became of the call: exactly one outcome for the intent, whatever the store does meanwhile."""
    end = EndCall(
        hand.epoch, step.id, attempt.number, attempt.call_no, "unknown", answer.sentence, took_ms=took_ms, blob=blob
    )
    where = f"{step.title} on {step.host}"
    if isinstance(answer, Done):
        end = replace(end, result="done", sentence=f"{where}: the call ended without errors.")
    elif isinstance(answer, RedText):
        red = tuple(line.text or line.message for line in answer.red)
        means = explain(attempt.literal.split()[0], f"{' '.join(red)} {' '.join(r.fqid for r in answer.red)}")
        first = answer.red[0].message if answer.red else "an error without text"
        end = replace(
            end, result="red", red=red, sentence=f"{where}: the call ended with red text: {first}",
            meaning=f"{means.means}. Do: {means.do}." if means.known else means.means, repeat=_repeat(means.repeat),
        )  # fmt: skip
    elif isinstance(answer, Refused):
        sentence = f"{where}: {answer.sentence}"
        end = replace(end, result="refused", sentence=sentence, repeat="safe: nothing was run")
    else:
        red = tuple(line.text or line.message for line in answer.red)
        sentence = f"{where}: {answer.sentence} This is not a failure; it is being looked at. Do not run it by hand."
        end = replace(end, sentence=sentence, red=red)
    return hand.settle(end)


def _repeat(repeat: str) -> str:
    return {
        "safe": "safe",
        "after remedy": "only after the remedy",
        "no": "of no use",
        "unknown": "NOT known to be safe",
    }.get(repeat, repeat)


# --- a hand that was lost ------------------------------------------------------------------------------------


def _adopt(hand: Hand, step: Step, attempt: Attempt) -> Ending | None:
    """An intent without outcome: another hand sent this call, or was about to. It is looked at, never sent again."""
    trace = hand.tools.remote.trace(step.host, RunId(hand.incident, step.id, attempt.number))
    took_ms = int((datetime.now(UTC) - attempt.at).total_seconds() * 1000)
    if isinstance(trace, Finished):
        return _conclude(hand, step, attempt, _outcome(hand, step, attempt, trace.answer, took_ms, ""))
    seen = look(hand, step)
    lost = f"{step.title} on {step.host}: the worker that sent this call was lost at {_clock(attempt.at)}."
    end = EndCall(hand.epoch, step.id, attempt.number, attempt.call_no, "unknown", "", took_ms=took_ms)
    if seen.so is True:
        end = replace(end, result="adopted", sentence=f"{lost} The servers say that it was done: {seen.words}.")
    elif isinstance(trace, NeverStarted) or (step.effect != "once" and seen.begun == "not_begun"):
        end = replace(end, result="not_begun", sentence=f"{lost} It never began: {seen.words}.")
    else:
        sentence = f"{lost} It is not known what became of it; it is being looked at and is not sent again."
        end = replace(end, sentence=sentence)
    return _conclude(hand, step, attempt, hand.settle(end))


# --- reading back -------------------------------------------------------------------------------------------


def _conclude(hand: Hand, step: Step, attempt: Attempt, outcome: Outcome, *, by_itself: bool = True) -> Ending | None:
    """From the outcome of a call to the end of its step. Not `by_itself`: it is not sent again without a person's word,
    since each refused logon brings the account nearer to being locked."""
    may_repeat = by_itself and step.effect != "once" and len(hand.step(step.id).attempts) < REPEATS
    may_repeat = may_repeat and not _failed_there_before(hand, step)
    if outcome.result in ("refused", "not_begun"):
        if may_repeat and isinstance(step.act, Call):
            hand.pause(_every(step))
            return _again(hand, step, step.act, outcome)
        seen = _look_back(hand, step)
        if seen.so is True:
            hand.do(_verified(hand, step, seen, outcome.took_ms), give=step.holds)
            return None
        begun: Begun = "not_begun" if seen.begun != "half_done" else "half_done"
        return _fail(hand, step, replace(seen, begun=begun), outcome.sentence, certain="")
    seen = _read_back(hand, step, attempt, outcome)
    if seen.so is True:
        took_ms = int((seen.at - attempt.at).total_seconds() * 1000)
        hand.do(_verified(hand, step, seen, took_ms), give=step.holds)
        return None
    if outcome.result == "unknown" and may_repeat and isinstance(step.act, Call):
        return _again(hand, step, step.act, outcome)
    return _fail(hand, step, seen, _why_failed(step, outcome, seen), certain=_certain(outcome, seen))


def _again(hand: Hand, step: Step, call: Call, outcome: Outcome) -> Ending | None:
    """The same call once more, under a new intent; a stop that came meanwhile leaves it to people."""
    if hand.refresh().stop is not None:
        text = f"{outcome.sentence.rstrip('.')}; a stop stands, so it is not sent again"
        return _fail(hand, step, _look_back(hand, step), text, certain="")
    return _send(hand, step, call)


def _read_back(hand: Hand, step: Step, attempt: Attempt, outcome: Outcome) -> Seen:
    """Looks until the step is so, or until looking any longer cannot change what is certain."""
    began = time.monotonic()
    patience = float(step.verify.limit_s if step.verify else step.limit_s)
    # What runs on unseen may run as long as the step itself; what has ended only has to show.
    running_s = max(0.0, step.limit_s - (datetime.now(UTC) - attempt.at).total_seconds())
    in_a_row = 0
    said_slow = bool(hand.step(step.id).slow)
    while True:
        seen = _look_back(hand, step)
        if seen.so is True:
            return seen
        in_a_row = in_a_row + 1 if seen.begun == "not_begun" else 0
        sure = outcome.result == "red" or (outcome.result == "unknown" and step.effect != "once")
        if sure and in_a_row >= SURE_AFTER:
            return seen
        limit = patience
        if outcome.result == "unknown" and seen.begun == "half_done":
            limit = max(patience, running_s)
        spent = time.monotonic() - began
        if spent >= limit:
            return seen
        whole = (datetime.now(UTC) - attempt.at).total_seconds()
        if not said_slow and whole > step.usual_s[1]:
            said_slow = True
            say_slow(hand, step, whole)
        hand.pause(min(_every(step), max(0.05, limit - spent)))


def _watch(hand: Hand, step: Step) -> Ending | None:
    """A step without a call: only reads, until it is so or its limit is over."""
    began, at = time.monotonic(), datetime.now(UTC)
    limit = float(step.verify.limit_s if step.verify else step.limit_s)
    said_slow = bool(hand.step(step.id).slow)
    while True:
        seen = _look_back(hand, step)
        took = time.monotonic() - began
        if not said_slow and seen.so is not True and took > step.usual_s[1]:
            said_slow = True
            say_slow(hand, step, took)
        if seen.so is True:
            hand.do(_verified(hand, step, seen, int(took * 1000)))
            if proof := _proof(hand, step):
                hand.do(Prove(hand.epoch, f"{proof}, seen at {_clock(seen.at)}."))
            return None
        if took >= limit:
            text = f"{step.title}: not seen within {_span(limit)} from {_clock(at)}"
            return _fail(hand, step, seen, text, certain="Nothing was changed by looking.")
        hand.pause(min(_every(step), max(0.05, limit - took)))


def _proof(hand: Hand, step: Step) -> str:
    """What proves service, once this was the last of all that is proven without a person; empty while one is open or
    was not seen: a sign-in without the meeting page is no proof of service."""
    if step.part != "proof":
        return ""
    proofs = [s for s in hand.state.steps if s.plan.get("part") == "proof" and s.plan.get("act") is None]
    return "; ".join(s.title for s in proofs) if all(s.status == "done" for s in proofs) else ""


def _ask_person(hand: Hand, step: Step, task: HumanTask) -> Ending | None:
    confirmed = hand.state.confirmed
    if confirmed is None:
        return WaitingForPerson(f"somebody to do this and confirm it: {task.text}")
    who = hand.state.confirmed_by or "somebody"
    said = confirmed.text or task.confirms
    hand.do(VerifyStep(hand.epoch, step.id, f"{who} confirmed: {said}", 0))
    return None


# --- words --------------------------------------------------------------------------------------------------


def _verified(hand: Hand, step: Step, seen: Seen, took_ms: int) -> VerifyStep:
    return VerifyStep(hand.epoch, step.id, f"Read back at {_clock(seen.at)}: {seen.words}.", took_ms)


def _fail(hand: Hand, step: Step, seen: Seen, text: str, *, certain: str) -> Ending | None:
    """Writes that the step is not so. Degraded: the debt stays on the board and the run goes on."""
    degraded = step.on_failure == "degraded" and step.effect != "once"
    state = hand.step(step.id)
    last = state.attempts[-1] if state.attempts else None
    recorded = _HOW[last.outcome.result] if last and last.outcome else "nothing was sent"
    unknown = last is not None and last.outcome is not None and last.outcome.result == "unknown"
    wanted = step.verify or step.probe
    rows = ((wanted.so.words if wanted else step.title, recorded, seen.words),)
    read_back = f"{seen.words} (looked at {_clock(seen.at)}). {_BEGUN[seen.begun]}"
    sentence = " ".join(part for part in (text.rstrip(".") + ".", certain, _next(seen, degraded, unknown)) if part)
    fail = FailStep(hand.epoch, step.id, sentence, read_back, seen.begun, rows, degraded)
    hand.do(fail, give=step.holds if degraded or seen.begun == "not_begun" else ())
    if degraded:
        return None
    return WaitingForPerson(f"step {step.id} waits for a ruling: {sentence}")


_BEGUN: Final = {
    "not_begun": "Nothing has begun.",
    "half_done": "It is half done: NOT safe to repeat without two persons.",
    "done": "It is done.",
    "cannot_tell": "Nobody can tell how far it came.",
}


_HOW: Final = {
    "done": "ended without errors",
    "red": "ended with red text",
    "refused": "was refused, nothing was run",
    "unknown": "ended unseen",
    "adopted": "was done, its end unseen",
    "not_begun": "never began",
}


def _why_failed(step: Step, outcome: Outcome, seen: Seen) -> str:
    wanted = step.verify or step.probe
    aim = wanted.so.words if wanted else step.title
    return f"{step.title} on {step.host} {_HOW[outcome.result]}, and this is not reached: {aim}"


def _certain(outcome: Outcome, seen: Seen) -> str:
    if outcome.result == "unknown":
        return "Uncertain: whether the call ran to its end, or still runs."
    return "Certain: the server ended the call, nothing of it is still running."


def _next(seen: Seen, degraded: bool, unknown: bool) -> str:
    if degraded:
        return "The run goes on; this stays on the board as a debt, to be put right by hand."
    if seen.begun == "not_begun" and not unknown:
        return "Next: put right what stopped it, then an operator lets the step run again."
    return "Next: two operators decide: run again, count as done, leave out, or end the run."


def _every(step: Step) -> float:
    return float(step.verify.every_s) if step.verify else 5.0


def _span(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02d} min"


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"
