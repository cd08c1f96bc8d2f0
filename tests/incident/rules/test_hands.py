"""What a worker may write, each no by itself: whose run it is, at whose turn, and what has been decided already."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incident import commands as c
from incident.commands import Refusal
from incident.decide import decide
from incident.events import HardStopped, Noted
from incident.plans import changes, is_task, proves_itself
from incident.rulings import is_once, quorum

from .play import CARD, DIGEST, DIGESTS, POLICY, RULES, Play, planned, surveyed, who

DEAD = HardStopped(why="partner", text="fe2 does not answer.", todo="Ask for the runbook on paper.")
START = c.StartRun(1, DIGEST, DIGESTS)


def aborted() -> Play:
    """Given up by people and ended by the hands, not yet closed."""
    play = Play().started().failed("cms", "red", "not_begun")
    play.done(play.rule("UBO", "abort"))
    play.done(c.EndRun(1, "aborted"))
    return play


def acts(play: Play, step: str = "cms", epoch: int = 1) -> list[c.Command]:
    """One of each thing a hand may write during a run."""
    return [
        c.WaitFor(epoch, "cms", "20261122-fe3-a"),
        c.SkipStep(epoch, step, "already so"),
        replace(play.begin("cms", epoch), step=step),
        c.RecordOutput(epoch, step, 1, (("verbose", "hydrate"),)),
        c.EndCall(epoch, step, 1, 1, "done", "Done."),
        c.VerifyStep(epoch, step, "so", 1),
        c.FailStep(epoch, step, "not so", "fe1 Active", "not_begun"),
        c.SaySlow(epoch, step, "slow"),
        c.Prove(epoch, "signed in"),
        c.EndRun(epoch, "complete"),
    ]


# --- whose run it is -------------------------------------------------------------------------------------------


def test_an_older_hand_writes_nothing_at_all():
    play = Play().started()
    play.done(c.TakeHand("w3", "act-2"))
    assert {type(a).__name__: play.refused(a).code for a in acts(play)} == {
        type(a).__name__: "RUN020E" for a in acts(play)
    }


def test_before_the_start_and_after_the_end_nothing_is_written():
    play = Play().approved()
    assert play.refused(c.StartRun(0, DIGEST, DIGESTS)).code == "RUN039E", "nobody has the run yet"
    play.done(c.TakeHand("w2", "act-1"))
    for act in acts(Play().started()):
        assert play.refused(act).code == "RUN034E"
    over = aborted()
    for act in (*acts(over), c.RecordSurvey((surveyed(over.now),)), c.TakeHand("w3", "act-2")):
        assert over.refused(act).code == "RUN036E"
    closed = Play().approved()
    closed.done(c.TakeHand("w2", "act-1"))
    closed.done(c.Cancel(who("URITA")))
    for act in (START, c.RecordSurvey((surveyed(closed.now),)), c.TakeHand("w3", "act-2")):
        assert closed.refused(act).code == "RUN036E"


def test_a_step_that_the_plan_does_not_have_is_no_step():
    play = Play().started()
    for act in acts(play, "reboot"):
        if hasattr(act, "step"):
            assert play.refused(act).code == "RUN032E"


def test_nobody_takes_what_nobody_approved():
    assert Play().declared().refused(c.TakeHand("w2", "act-1")).code == "RUN021E"
    assert Play().asked().refused(c.TakeHand("w2", "act-1")).code == "RUN021E"


# --- looking ---------------------------------------------------------------------------------------------------


def test_a_look_brings_a_survey_a_plan_or_a_hard_stop_and_nothing_else():
    play = Play().asked()
    assert play.refused(c.RecordSurvey((surveyed(play.now), Noted(text="forged")))).code == "RUN032E"
    play = Play().started()
    kinds = [e.kind for e in play.done(c.RecordSurvey((surveyed(play.now), planned("8a" * 32), DEAD)))]
    assert kinds == ["surveyed"], "a run goes on by the plan that was approved"


def test_a_hard_stop_is_written_once_and_a_plan_comes_back_after_it():
    play = Play().declared()
    assert len(play.done(c.RecordSurvey((DEAD,)))) == 1
    assert play.done(c.RecordSurvey((DEAD,))) == ()
    other = DEAD.model_copy(update={"text": "fe2 is failed over itself."})
    assert len(play.done(c.RecordSurvey((other,)))) == 1
    play.done(c.RecordSurvey((planned(),)))
    play.done(c.RecordSurvey((DEAD,)))
    assert [e.kind for e in play.done(c.RecordSurvey((planned(),)))] == ["planned"]


@pytest.mark.parametrize("new", [planned("8a" * 32), DEAD])
def test_what_changes_the_plan_voids_an_approval_too(new):
    play = Play().approved()
    assert [e.kind for e in play.done(c.RecordSurvey((new,)))][-1] == "voided"
    assert play.s.request.state == "void"
    play = Play().asked()
    play.done(c.Decline(who("UBO"), 1, play.s.request.nonce, CARD))
    assert [e.kind for e in play.done(c.RecordSurvey((new,)))] == [new.kind], "what is over is not voided"


# --- beginning -------------------------------------------------------------------------------------------------


def test_a_run_begins_once_and_only_under_an_approval_that_stands():
    assert Play().started().refused(START).code == "RUN035E"
    play = Play().approved()
    play.done(c.TakeHand("w2", "act-1"))
    assert play.refused(replace(START, epoch=2)).code == "RUN020E"
    play.done(c.RecordSurvey((DEAD,)))
    assert play.refused(START).code == "RUN021E"


def test_a_run_whose_pair_has_passed_to_another_incident_begins_and_sends_nothing():
    waiting, running = Play().approved(), Play().started()
    waiting.done(c.TakeHand("w2", "act-1"))
    stopped = Play().started()
    stopped.done(c.Stop(who("UWIM")))
    for play, command in ((waiting, START), (running, running.begin("cms")), (stopped, c.GoOn(who("UBO")))):
        assert not isinstance(decide(play.s, command, play.rules, play.now), Refusal)
        answer = decide(play.s, command, play.rules, play.now, pair_with="20261122-fe2-a")
        assert isinstance(answer, Refusal)
        assert "in the hands of 20261122-fe2-a" in answer.text


def test_the_same_refusal_to_begin_is_written_once_and_voids_only_what_is_void():
    play = Play().approved()
    play.done(c.TakeHand("w2", "act-1"))
    off = replace(START, clock_off_s=31)
    assert [e.kind for e in play.refused(off).events] == ["run_refused"]
    assert play.refused(off).events == ()
    lost = replace(START, assumptions_lost=("fe2 Active",))
    assert [e.kind for e in play.refused(lost).events] == ["run_refused", "voided"]


# --- at its turn -----------------------------------------------------------------------------------------------


def test_steps_are_skipped_settled_and_failed_only_at_their_turn():
    play = Play().started()
    later = [a for a in acts(play, "pool") if isinstance(a, c.SkipStep | c.VerifyStep | c.FailStep)]
    assert [play.refused(a).code for a in later] == ["RUN029E"] * 3
    play.done(play.begin("cms"))
    now = [a for a in acts(play) if isinstance(a, c.SkipStep | c.VerifyStep | c.FailStep)]
    assert [play.refused(a).code for a in now] == ["RUN028E"] * 3
    play.done(play.end("cms"))
    play.done(c.VerifyStep(1, "cms", "so", 1))
    assert [play.refused(a).code for a in now] == ["RUN030E"] * 3


def test_output_and_outcome_belong_to_an_attempt_that_was_begun():
    play = Play().started()
    output = c.RecordOutput(1, "cms", 1, (("verbose", "hydrate"),))
    assert play.refused(output).code == "RUN033E"
    assert play.refused(play.end("cms")).code == "RUN033E"
    play.done(play.begin("cms"))
    play.done(output)
    assert play.refused(replace(output, attempt=2)).code == "RUN033E"
    assert play.refused(replace(play.end("cms"), call_no=2)).code == "RUN033E"
    assert play.refused(play.end("cms", attempt=2)).code == "RUN033E"


@pytest.mark.parametrize(("result", "begun"), [("red", "not_begun"), ("unknown", "cannot_tell")])
def test_a_step_that_waits_for_people_waits(result, begun):
    play = Play().started().failed("cms", result, begun)
    assert play.refused(play.begin("cms")).code == "RUN031E"
    assert play.refused(c.FailStep(1, "cms", "again", "fe1", "not_begun")).code == "RUN031E"
    for user in ("UBO", "UCHEN"):
        play.do(play.rule(user, "retry"))
    assert [e.kind for e in play.done(c.FailStep(1, "cms", "before it ran again", "fe1", "not_begun"))] == [
        "step_failed"
    ]


def test_a_second_attempt_speaks_of_itself_alone():
    play = Play().started().failed("cms", "red", "not_begun")
    play.done(play.rule("UBO", "retry"))
    (first,) = [a.seq for a in play.s.step("cms").attempts]
    play.done(play.begin("cms"))
    second = play.s.step("cms").attempts[-1].seq
    play.done(play.end("cms", attempt=2))
    again = Play()
    again.records, again.state, again.now = list(play.records), play.state, play.now
    (failed,) = again.done(c.FailStep(1, "cms", "not so", "fe1", "not_begun"))
    assert failed.cause == (second,)
    assert first not in failed.cause
    (verified,) = play.done(c.VerifyStep(1, "cms", "so", 1))
    assert (verified.cause, verified.with_red) == ((second,), False)


# --- several calls in one step ---------------------------------------------------------------------------------


def two_calls() -> tuple[Play, c.BeginCall]:
    """A step's call begun; and the next one of the same attempt."""
    play = Play().started()
    play.done(play.begin("cms"))
    return play, replace(play.begin("cms"), call_no=2)


def test_the_next_call_of_a_step_belongs_to_the_same_attempt_also_under_a_stop():
    play, second = two_calls()
    assert play.refused(second).code == "RUN028E"
    play.done(play.end("cms"))
    play.done(c.Stop(who("UWIM")))
    assert play.refused(replace(second, call_no=1)).code == "RUN023E", "the same call again is none of what was begun"
    (intent,) = play.done(second)
    assert (intent.attempt, intent.call_no) == (1, 2)


@pytest.mark.parametrize(("result", "begun"), [("red", "not_begun"), ("unknown", "cannot_tell")])
def test_after_a_call_that_did_not_end_well_no_next_one_follows(result, begun):
    play, second = two_calls()
    play.done(play.end("cms", result))
    assert play.refused(second).code == "RUN031E"
    play.done(c.FailStep(1, "cms", "not so", "fe1", begun))
    assert play.refused(second).code == "RUN031E"


def test_an_adopted_call_is_followed_by_the_next_but_not_after_the_step_failed():
    play, second = two_calls()
    play.done(play.end("cms", "adopted"))
    again = Play()
    again.records, again.state, again.now = list(play.records), play.state, play.now
    assert again.done(second)[0].attempt == 1
    play.done(c.FailStep(1, "cms", "not so", "fe1", "not_begun"))
    assert play.refused(second).code == "RUN031E"


# --- repeating -------------------------------------------------------------------------------------------------


def test_what_may_run_once_runs_again_by_itself_only_as_a_task_that_never_began():
    play = Play().started()
    task = replace(play.begin("cms"), mode="task")
    play.done(task)
    play.done(play.end("cms", "not_begun"))
    assert play.done(task)[0].attempt == 2
    play.done(play.end("cms", "unknown", attempt=2))
    assert play.refused(task).code == "RUN031E"


@pytest.mark.parametrize(
    "change", [{"host": "fe9"}, {"literal": "Get-Date"}, {"effect": "observe"}, {"effect": "converge"}, {"call": {}}]
)
def test_only_the_call_that_people_approved_is_begun(change):
    play = Play().started()
    assert play.refused(replace(play.begin("cms"), **change)).code == "RUN032E"


@pytest.mark.parametrize("result", ["red", "unknown"])
def test_what_is_harmless_to_repeat_still_waits_once_people_were_asked(result):
    play = Play().started().carry_out("cms").carry_out("pool").failed("dns.meet.dns2", result, "not_begun")
    assert play.refused(play.begin("dns.meet.dns2")).code == "RUN031E"


def test_a_step_changes_something_a_person_does_something_or_neither():
    step = Play().started().s.step("cms")
    task = {"confirms": "edge", "text": "Tell the branch."}
    for act, acts_itself, asks in ((step.plan["act"], True, False), (None, False, False), (task, False, True)):
        planned_so = replace(step, plan={**step.plan, "act": act})
        assert (changes(planned_so), is_task(planned_so)) == (acts_itself, asks)
    assert not changes(replace(step, plan={**step.plan, "effect": "observe"}))
    proof = replace(step, plan={**step.plan, "part": "proof"})
    assert (proves_itself(step), proves_itself(proof)) == (False, True)
    assert not proves_itself(replace(proof, plan={**proof.plan, "act": task}))


# --- before the first call once more ---------------------------------------------------------------------------


def test_the_first_call_asks_again_and_the_second_does_not():
    play = Play().started().after(300)
    assert play.refused(play.begin("cms")).code == "RUN022E"
    play = Play().started()
    fewer = tuple(p if p.id != "bo" else p.model_copy(update={"roles": frozenset({"watch"})}) for p in POLICY.persons)
    watched = POLICY.model_copy(update={"persons": fewer})
    play.rules = RULES.model_copy(update={"policy": watched})
    assert play.refused(play.begin("cms")).code == "RUN025E"
    play.rules = RULES
    play.carry_out("cms").after(600)
    play.done(play.begin("pool"))


# --- the end ----------------------------------------------------------------------------------------------------


def test_a_run_ends_only_when_everything_is_settled_and_is_proven_only_when_all_is_moved():
    play = Play().started()
    assert play.refused(c.Prove(1, "signed in")).code == "RUN038E"
    assert play.refused(c.EndRun(1, "complete")).code == "RUN038E"
    assert play.refused(c.EndRun(1, "aborted")).code == "RUN038E", "nobody gave it up"
    play.done(play.begin("cms"))
    assert play.refused(c.EndRun(1, "complete")).code == "RUN028E"
    play.done(play.end("cms"))
    play.done(c.VerifyStep(1, "cms", "so", 1))
    play.carry_out("pool").carry_out("dns.meet.dns2")
    play.done(c.Prove(1, "signed in"))
    assert play.done(c.Prove(1, "signed in")) == ()
    assert play.refused(c.EndRun(1, "complete")).code == "RUN038E", "the sign-in step is open"
    play.done(c.VerifyStep(1, "proof.signin", "so", 1))
    kinds = [e.key for e in play.done(c.EndRun(1, "complete")) if e.kind == "follow_up"]
    assert kinds == ["failback-1"], "nothing was left out"


def test_slow_and_waiting_are_said_once():
    play = Play().started()
    slow, wait = c.SaySlow(1, "cms", "past 02:30"), c.WaitFor(1, "cms", "20261122-fe3-a")
    for act in (slow, wait):
        assert len(play.done(act)) == 1
        assert play.done(act) == ()
    assert len(play.done(replace(slow, text="past 05:00"))) == 1
    play.carry_out("cms")
    assert play.done(c.SaySlow(1, "cms", "past 10:00")) == ()


# --- quorum of a ruling ----------------------------------------------------------------------------------------


def test_a_step_without_a_failure_takes_two_and_a_rerun_is_documented_or_not():
    step = Play().started().s.step("cms")
    assert [quorum(step, verdict) for verdict in ("retry", "done", "skip", "abort")] == [2, 2, 2, 2]
    for result, begun, persons in (
        ("red", "done", 1), ("red", "half_done", 2), ("red", "cannot_tell", 2), ("unknown", "done", 2),
    ):  # fmt: skip
        step = Play().started().failed("cms", result, begun).s.step("cms")
        documented = replace(step, plan={**step.plan, "rerun": "documented"})
        assert quorum(documented, "retry") == persons, (result, begun)


def test_what_was_sent_says_whether_it_can_only_be_done_once_else_the_plan_does():
    play = Play().started()
    step = play.s.step("cms")
    assert is_once(step)
    assert is_once(replace(step, plan={**step.plan, "effect": None})), "what the plan leaves open is the stricter"
    assert not is_once(replace(step, plan={**step.plan, "effect": "converge"}))


def test_no_hand_acts_while_one_has_seen_that_records_are_lost_or_changed():
    play = Play().approved()
    for command in (c.TakeHand("w2", "act-1"), START):
        answer = decide(play.s, command, RULES, play.now, halted="act-2 on w3 stands still: it is shorter.")
        assert isinstance(answer, c.Refusal)
        assert (answer.code, answer.events, answer.record) == ("RUN046E", (), None)
    play = Play().started()
    answer = decide(play.s, play.begin("cms"), RULES, play.now, halted="act-2 on w3 stands still.")
    assert isinstance(answer, c.Refusal)
    assert answer.text == "act-2 on w3 stands still. Nothing more is sent for 20261122-fe1-a."
    # What a server did meanwhile is still written down, and people may still speak.
    play.done(play.begin("cms"))
    assert not isinstance(decide(play.s, play.end("cms"), RULES, play.now, halted="seen"), c.Refusal)
    assert not isinstance(decide(play.s, c.Stop(who("UBO")), RULES, play.now, halted="seen"), c.Refusal)
