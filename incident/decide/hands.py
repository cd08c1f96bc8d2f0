"""What a worker may write: taking the run, beginning it, one intent at a time, one outcome for each.

A worker is told no without a record, except where its refusal is the news (`RunRefused`).
"""

from __future__ import annotations

from incident import rulings
from incident.approvals_check import judge, judge_words, recheck_due
from incident.commands import (
    BeginCall,
    EndCall,
    EndRun,
    FailStep,
    Prove,
    RecordOutput,
    RecordSurvey,
    Refusal,
    SaySlow,
    SkipStep,
    StartRun,
    TakeHand,
    VerifyStep,
    WaitFor,
)
from incident.decide.case import Case, Result, hand_no
from incident.events import (
    Event,
    FollowUp,
    HandTaken,
    HardStopped,
    Intent,
    Outcome,
    Output,
    Planned,
    Proven,
    RunEnded,
    RunRefused,
    RunStarted,
    Slow,
    StepFailed,
    StepSkipped,
    Surveyed,
    Verified,
    Voided,
    Waits,
)
from incident.plans import departs, effect_of
from incident.state import Attempt, Request, StepState

CLOCK_LIMIT_S = 30
"""A host whose clock is off by more neither approves nor acts."""


def record_survey(case: Case, command: RecordSurvey) -> Result:
    """A look, and the plan or hard stop made of it. Another plan than the one asked about voids the question."""
    state = case.incident
    if state.closed or state.run_ended:
        return hand_no("run_closed", f"{state.id} is over; the look is not recorded.")
    if any(not isinstance(e, Surveyed | Planned | HardStopped) for e in command.events):
        return hand_no("not_in_plan", "A look may bring a survey, a plan or a hard stop, and nothing else.")
    if state.run_request is not None:
        return tuple(e for e in command.events if isinstance(e, Surveyed))
    kept = tuple(e for e in command.events if not _same_as_before(case, e))
    return (*kept, *(voided for e in kept if (voided := _voids(case, e)) is not None))


def _same_as_before(case: Case, event: Event) -> bool:
    """The plan that stands already: living readings never make a new one."""
    state = case.incident
    same_plan = isinstance(event, Planned) and state.planned is not None and state.planned.digest == event.digest
    if same_plan and state.hard_stop is None:
        return True
    return isinstance(event, HardStopped) and event == state.hard_stop


def _voids(case: Case, event: Event) -> Voided | None:
    request = case.incident.request
    if request is None or request.state not in ("open", "approved"):
        return None
    if isinstance(event, Planned) and event.digest != request.digest:
        return Voided(request=request.number, why=event.difference or ("the plan is another one now",))
    if isinstance(event, HardStopped):
        return Voided(request=request.number, why=(event.text,))
    return None


def take_hand(case: Case, command: TakeHand) -> Result:
    """Another worker carries on: every older epoch can write nothing more."""
    state = case.incident
    if state.closed or state.run_ended:
        return hand_no("run_closed", f"{state.id} is over; there is nothing to take over.")
    if state.request is None or state.request.state not in ("approved", "used"):
        return hand_no("not_approved", f"{state.id} has no approval; there is nothing to carry out.")
    return (HandTaken(epoch=state.epoch + 1, host=command.host, worker=command.worker),)


def start_run(case: Case, command: StartRun) -> Result:
    """The worker's own judgement before the first act: everything again, by its own policy and files."""
    state, request = case.incident, case.incident.request
    if state.run_request is not None:
        return hand_no("started", f"{state.id} has begun already.")
    wrong = _not_mine(case, command.epoch)
    if wrong is not None:
        return wrong
    if request is None or request.state != "approved":
        return hand_no("not_approved", f"{state.id} is not approved.")
    if state.stop is not None:
        return hand_no("halted", "A stop is standing.")
    if case.pair_with:
        return _passed(case)
    refused = _why_not_start(case, command, request)
    if refused is None:
        return (RunStarted(cause=(request.seq, *(v.seq for v in request.votes)), request=request.number,
                           digest=request.digest),)  # fmt: skip
    key, text, void = refused
    refusal = hand_no(key, text)
    news: tuple[Event, ...] = ()
    if state.run_refused != (refusal.code, text):
        news = (RunRefused(request=request.number, why=refusal.code, text=text),)
    if void:
        news = (*news, Voided(request=request.number, why=(text,)))
    return Refusal(code=refusal.code, text=text, events=news)


def _why_not_start(case: Case, command: StartRun, request: Request) -> tuple[str, str, bool] | None:
    """(reason, sentence, whether the approval is void) or None. Nothing was changed in any of these."""
    planned = case.incident.planned
    if abs(command.clock_off_s) > CLOCK_LIMIT_S:
        return "clock", f"This host's clock is off by {command.clock_off_s} s. Another worker must begin.", False
    if request.start_at is not None and case.now < request.start_at:
        return "too_early", f"It is to begin at {case.time(request.start_at)}, not before. Nothing was changed.", False
    if request.window_ends is None or case.now >= request.window_ends:
        over = case.time(request.window_ends)
        return "window_over", f"Approved, but not begun by {over}. Nothing was changed. Ask again.", False
    survey = case.incident.survey
    other = command.digests.differences(survey.digests) if survey is not None else ()
    if other and survey is not None:
        files = " and ".join(other)
        text = f"This worker's {files} is not what {survey.host} made the plan with. Nothing was changed."
        return "files", f"{text} Give both hosts the same files, then ask again.", True
    digests = {command.digest, request.digest, planned.digest if planned else ""}
    if len(digests) != 1:
        text = "The plan, built again here from the record, is not the approved one. Nothing was changed."
        return "digest", text, True
    if command.assumptions_lost:
        return "assumptions", f"No longer so: {'; '.join(command.assumptions_lost)}. Nothing was changed.", True
    findings = judge(case.incident, case.rules.policy, request)
    if findings:
        return "approval_bad", f"The approval does not hold here: {findings[0].text} Nothing was changed.", True
    if recheck_due(case.rules.policy, request, case.now):
        long = case.rules.policy.recheck_after_s
        text = f"The last approval is more than {long} s old: the bot must first ask Slack again who may still approve."
        return "recheck", f"{text} Nothing was changed.", False
    return None


def _not_mine(case: Case, epoch: int) -> Refusal | None:
    """Whether this hand still has the run."""
    state = case.incident
    if state.closed or state.run_ended:
        return hand_no("run_closed", f"{state.id} is over.")
    if state.epoch == 0:
        return hand_no("no_hand", f"No worker has taken {state.id} yet.")
    if epoch != state.epoch:
        return hand_no("epoch", f"Another worker has taken over {state.id} (epoch {state.epoch}, this hand {epoch}).")
    return None


def _passed(case: Case) -> Refusal:
    text = f"The pair is in the hands of {case.pair_with} now; {case.incident.id} sends nothing more."
    return hand_no("pair_passed", text)


def _mine_and_started(case: Case, epoch: int) -> Refusal | None:
    wrong = _not_mine(case, epoch)
    if wrong is not None:
        return wrong
    return None if case.incident.run_request is not None else hand_no("not_started", "The run has not begun.")


def _step(case: Case, key: str) -> StepState | Refusal:
    step = case.incident.step(key)
    return step if step is not None else hand_no("not_in_plan", f"The plan has no step {key}.")


def wait_for(case: Case, command: WaitFor) -> Result:
    """Written once for each thing waited for."""
    wrong = _mine_and_started(case, command.epoch)
    if wrong is not None:
        return wrong
    said = case.incident.waits == (command.hold, command.other)
    return () if said else (Waits(hold=command.hold, other=command.other),)


def skip_step(case: Case, command: SkipStep) -> Result:
    """Already so: nothing is sent, under the same approval."""
    step = _step(case, command.step)
    if isinstance(step, Refusal):
        return step
    wrong = _mine_and_started(case, command.epoch) or _may_begin(case, step, look_only=True)
    return wrong if wrong is not None else (StepSkipped(step=command.step, text=command.text),)


def begin_call(case: Case, command: BeginCall) -> Result:
    """Intent before effect: the literal call of the approved plan, at its turn, and nothing in flight."""
    step = _step(case, command.step)
    if isinstance(step, Refusal):
        return step
    wrong = _mine_and_started(case, command.epoch)
    if wrong is not None:
        return wrong
    if case.pair_with:
        return _passed(case)
    if other := departs(step, command):
        return hand_no("not_in_plan", f"The approved plan's step {step.id} {other}. Nothing was sent.")
    continues = step.continues(command.call_no)
    watches = effect_of(step) == "observe"
    wrong = _may_begin(case, step, look_only=watches or continues)
    if wrong is None and not continues:
        wrong = _may_attempt(step)
    if wrong is None and not watches:
        wrong = _approval_at_first_act(case) or _rulings_hold(case)
    if wrong is not None:
        return wrong
    number = step.attempts[-1].number if step.attempts else 0
    return (
        Intent(
            cause=_causes(case, step),
            step=command.step,
            attempt=number if continues else number + 1,
            call_no=command.call_no,
            host=command.host,
            literal=command.literal,
            call=command.call,
            effect=command.effect,
            epoch=command.epoch,
            mode=command.mode,
        ),
    )


def _may_begin(case: Case, step: StepState, *, look_only: bool) -> Refusal | None:
    """At its turn: no abort, no stop (but for looks, and inside a step), nothing in flight, all before it settled."""
    state = case.incident
    if state.aborted:
        return hand_no("aborted", "People have ended the run.")
    if state.stop is not None and not look_only:
        return hand_no("halted", "A stop is standing; nothing after the step in flight begins.")
    if state.open_attempt is not None:
        return hand_no("in_flight", f"A call of {state.open_attempt[0].title} is in flight.")
    if step.settled:
        return hand_no("settled", f"{step.title} is settled already.")
    before = next((s for s in state.steps if s.index < step.index and not s.settled), None)
    if before is not None:
        return hand_no("order", f"{before.title} comes before {step.title} and is not settled.")
    return None


def _may_attempt(step: StepState) -> Refusal | None:
    """A first attempt, or one that people or the kind of call allow.

    `observe` and `converge` repeat by themselves unless people have been asked; `once` never does, except in task
    mode after the look said that it never began.
    """
    last: Attempt | None = step.attempts[-1] if step.attempts else None
    if step.retry:
        return None
    if step.status in ("failed", "unknown"):
        return hand_no("needs_ruling", f"{step.title} waits for people's word.")
    if last is None or last.outcome is None:
        return None
    if step.repeats_by_itself(rulings.is_once(step)):
        return None
    return hand_no("needs_ruling", f"{step.title} may run again only after people have ruled.")


def _approval_at_first_act(case: Case) -> Refusal | None:
    """Before T3 once more: the window, and the approval by this worker's own policy."""
    state = case.incident
    request = case.request(state.run_request or 0)
    if state.clocks.t3 is not None:
        return None
    if request is None or request.window_ends is None or case.now >= request.window_ends:
        over = case.time(request.window_ends if request is not None else None)
        return hand_no("window_over", f"Nothing was sent by {over}, when the approval's time to begin ended.")
    findings = judge(state, case.rules.policy, request)
    return hand_no("approval_bad", findings[0].text) if findings else None


def _rulings_hold(case: Case) -> Refusal | None:
    """A ruling or a lifted stop counts only if those who gave it may operate by this worker's own policy."""
    findings = judge_words(case.incident, case.rules.policy)
    return hand_no("approval_bad", findings[0].text) if findings else None


def _causes(case: Case, step: StepState) -> tuple[int, ...]:
    """What this intent rests on: the approval, and the failure people have ruled about."""
    request = case.request(case.incident.run_request or 0)
    causes = [v.seq for v in request.votes] if request else []
    if step.failure is not None:
        causes.append(step.failure.seq)
    return tuple(causes)


def record_output(case: Case, command: RecordOutput) -> Result:
    """Lines from the server, of an attempt that was begun."""
    step = _step(case, command.step)
    if isinstance(step, Refusal):
        return step
    wrong = _mine_and_started(case, command.epoch)
    if wrong is not None:
        return wrong
    if not any(a.number == command.attempt for a in step.attempts):
        return hand_no("second_outcome", f"{step.title} has no attempt {command.attempt}.")
    return (Output(step=command.step, attempt=command.attempt, lines=command.lines, dropped=command.dropped),)


def end_call(case: Case, command: EndCall) -> Result:
    """One outcome for one intent, whichever hand finds it out."""
    step = _step(case, command.step)
    if isinstance(step, Refusal):
        return step
    wrong = _mine_and_started(case, command.epoch)
    if wrong is not None:
        return wrong
    attempt = next(
        (a for a in step.attempts if a.number == command.attempt and a.call_no == command.call_no), None
    )  # fmt: skip
    if attempt is None or attempt.outcome is not None:
        return hand_no("second_outcome", f"Attempt {command.attempt} of {step.title} has its outcome, or never began.")
    return (
        Outcome(
            cause=(attempt.seq,),
            step=command.step,
            attempt=command.attempt,
            call_no=command.call_no,
            result=command.result,
            sentence=command.sentence,
            red=command.red,
            meaning=command.meaning,
            repeat=command.repeat,
            took_ms=command.took_ms,
            blob=command.blob,
        ),
    )


def verify_step(case: Case, command: VerifyStep) -> Result:
    """Read back, it is so. Red text on the way stays visible and leaves a follow-up."""
    step = _step(case, command.step)
    if isinstance(step, Refusal):
        return step
    wrong = _mine_and_started(case, command.epoch) or _may_settle(case, step)
    if wrong is not None:
        return wrong
    number = step.attempts[-1].number if step.attempts else 0
    red = [line for a in step.attempts if a.number == number and a.outcome is not None for line in a.outcome.red]
    verified = Verified(
        cause=tuple(a.seq for a in step.attempts if a.number == number),
        step=command.step,
        attempt=number,
        text=command.text,
        took_ms=command.took_ms,
        with_red=bool(red),
    )
    if not red:
        return (verified,)
    return (verified, FollowUp(key=f"red-{step.id}-{number}", text=f"Explain the red text of {step.title}: {red[0]}"))


def _may_settle(case: Case, step: StepState) -> Refusal | None:
    if step.settled:
        return hand_no("settled", f"{step.title} is settled already.")
    if case.incident.open_attempt is not None:
        return hand_no("in_flight", f"A call of {case.incident.open_attempt[0].title} is in flight.")
    before = next((s for s in case.incident.steps if s.index < step.index and not s.settled), None)
    return hand_no("order", f"{before.title} comes before {step.title} and is not settled.") if before else None


def fail_step(case: Case, command: FailStep) -> Result:
    """Read back, it is not so. People decide, unless the step may be left degraded."""
    step = _step(case, command.step)
    if isinstance(step, Refusal):
        return step
    wrong = _mine_and_started(case, command.epoch) or _may_settle(case, step)
    if wrong is None and step.status in ("failed", "unknown") and not step.retry:
        wrong = hand_no("needs_ruling", f"{step.title} waits for people's word already.")
    if wrong is not None:
        return wrong
    number = step.attempts[-1].number if step.attempts else 0
    failed = StepFailed(
        cause=tuple(a.seq for a in step.attempts if a.number == number),
        step=command.step,
        attempt=number,
        text=command.text,
        state=command.state,
        begun=command.begun,
        table=command.table,
        degraded=command.degraded,
    )
    if not command.degraded:
        return (failed,)
    return (failed, FollowUp(key=f"degraded-{step.id}", text=f"{step.title} was left undone: {command.text}"))


def say_slow(case: Case, command: SaySlow) -> Result:
    """Said once with the same words."""
    step = _step(case, command.step)
    if isinstance(step, Refusal):
        return step
    wrong = _mine_and_started(case, command.epoch)
    if wrong is not None:
        return wrong
    if step.settled or step.slow == command.text:
        return ()
    number = step.attempts[-1].number if step.attempts else 0
    return (Slow(step=command.step, attempt=number, text=command.text),)


def prove(case: Case, command: Prove) -> Result:
    """T5: service is proven once everything that changes state is settled."""
    wrong = _mine_and_started(case, command.epoch)
    if wrong is not None:
        return wrong
    if case.incident.proven:
        return ()
    open_step = next((s for s in case.incident.steps if not s.settled and effect_of(s) != "observe"
                      and not s.id.startswith("proof")), None)  # fmt: skip
    if open_step is not None:
        return hand_no("unsettled", f"{open_step.title} is not settled, so nothing is proven.")
    return (Proven(text=command.text),)


def end_run(case: Case, command: EndRun) -> Result:
    """The hands are done."""
    wrong = _mine_and_started(case, command.epoch)
    if wrong is not None:
        return wrong
    if case.incident.open_attempt is not None:
        return hand_no("in_flight", f"A call of {case.incident.open_attempt[0].title} is in flight.")
    if command.result == "aborted":
        if not case.incident.aborted:
            return hand_no("unsettled", "Nobody has ended the run.")
        return (RunEnded(result="aborted", text=command.text),)
    left = next((s for s in case.incident.steps if not s.settled), None)
    if left is not None:
        return hand_no("unsettled", f"{left.title} is not settled, so the run cannot end.")
    return (RunEnded(result="complete", text=command.text), *_left_for_people(case))


def _left_for_people(case: Case) -> tuple[FollowUp, ...]:
    """What the plan left out, what a failover never carries, and that nothing backs the partner up until failback."""
    told, planned = case.incident.declared, case.incident.planned
    plan = planned.plan if planned is not None else {}
    left = [("left-out", str(text)) for text in plan.get("left_out", ())]
    left += [("not-carried", f"Not carried by the failover: {text}") for text in plan.get("not_carried", ())]
    skipped = (s for s in case.incident.steps if s.status == "ruled_skip")
    left += [("skipped", f"{step.title} was left out by people: see to it by hand.") for step in skipped]
    left.append(("failback", f"Until {told.pool} is failed back, {told.partner} has no backup: plan the failback."))
    return tuple(FollowUp(key=f"{key}-{number}", text=text) for number, (key, text) in enumerate(left, 1))
