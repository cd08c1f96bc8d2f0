"""Failed and unknown steps: who must say what before anything runs again, and what a stop does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incident import commands as c
from incident.approvals_check import judge, judge_words
from incident.events import HardStopped
from incident.fold import fold
from incident.plans import literal_of
from incident.rulings import quorum
from incident.verify_approval import breaches

from .house import House, approve
from .play import CARD, DECLARE, DIGEST, DIGESTS, NONCE, PLAN, POLICY, RULES, Play, person, planned, surveyed, who

TABLE = [
    # what the call gave, what the look says, verdict, persons
    ("red", "not_begun", "retry", 1),
    ("red", "half_done", "retry", 2),
    ("red", "cannot_tell", "retry", 2),
    ("unknown", "not_begun", "retry", 2),
    ("unknown", "cannot_tell", "retry", 2),
    ("red", "done", "done", 1),
    ("red", "not_begun", "done", 2),
    ("unknown", "cannot_tell", "done", 2),
    ("red", "not_begun", "skip", 2),
    ("red", "not_begun", "abort", 1),
    ("unknown", "cannot_tell", "abort", 2),
]


@pytest.mark.parametrize(("result", "begun", "verdict", "persons"), TABLE)
def test_the_quorum_of_each_verdict(result, begun, verdict, persons):
    play = Play().started().failed("cms", result, begun)
    assert play.s.phase == "waiting_for_ruling"
    assert quorum(play.s.step("cms"), verdict) == persons
    kinds = [e.kind for e in play.done(play.rule("UBO", verdict))]
    if persons == 2:
        assert kinds == ["ruling_voted"]
        assert play.refused(play.rule("UBO", verdict)).code == "REF067E", "one person is not two"
        kinds = [e.kind for e in play.done(play.rule("UCHEN", verdict))]
    assert kinds == ["ruling_voted", "ruling"]
    ruling = play.records[-1].event
    assert len(ruling.persons) == persons
    assert ruling.against_probe == (verdict == "done" and begun != "done")


def test_a_cmdlet_documented_to_be_run_again_needs_one_unless_half_done():
    play = Play().started()
    step = play.failed("cms", "red", "done").s.step("cms")
    assert quorum(step, "retry") == 2
    documented = step.__class__(**{**vars(step), "plan": {**step.plan, "rerun": "documented"}})
    assert quorum(documented, "retry") == 1


def test_nothing_runs_again_before_the_ruling_and_once_after_it():
    play = Play().started().failed("cms", "red", "not_begun")
    assert play.refused(play.begin("cms")).code == "RUN031E"
    assert play.refused(play.begin("pool")).code == "RUN029E"
    assert play.refused(play.rule("UBO", "retry", attempt=2)).code == "REF066E"
    play.done(play.rule("UBO", "retry"))
    (intent,) = play.done(play.begin("cms"))
    assert intent.attempt == 2
    assert play.refused(play.begin("cms")).code == "RUN028E"
    play.done(play.end("cms", attempt=2))
    assert play.refused(play.end("cms", attempt=2)).code == "RUN033E", "never two outcomes for one attempt"
    assert play.refused(play.end("cms", attempt=1)).code == "RUN033E"
    play.done(c.VerifyStep(1, "cms", "CMS on fe2", 10))
    assert play.refused(play.begin("cms")).code == "RUN030E"
    assert not breaches(play.records, POLICY)


def test_an_unknown_end_that_another_hand_finds_done_is_adopted():
    play = Play().started()
    play.done(play.begin("cms"))
    play.done(c.TakeHand("w3", "act-2"))
    assert play.refused(play.end("cms", epoch=1)).code == "RUN020E"
    play.done(play.end("cms", "adopted", epoch=2))
    play.done(c.VerifyStep(2, "cms", "CMS on fe2", 10))
    assert play.s.step("cms").status == "done"


def test_once_never_repeats_by_itself_but_converge_does():
    play = Play().started()
    play.done(play.begin("cms"))
    play.done(play.end("cms", "not_begun"))
    assert play.refused(play.begin("cms")).code == "RUN031E"
    play.done(c.FailStep(1, "cms", "cut", "fe1 has it", "not_begun"))
    assert play.s.step("cms").status == "unknown"
    for user in ("UBO", "UDANA"):
        play.done(play.rule(user, "retry"))
    play.done(play.begin("cms"))
    play.done(play.end("cms", attempt=2))
    play.done(c.VerifyStep(1, "cms", "so", 1))
    play.carry_out("pool")
    play.done(play.begin("dns.meet.dns2"))
    play.done(play.end("dns.meet.dns2", "unknown"))
    (again,) = play.done(play.begin("dns.meet.dns2"))
    assert again.attempt == 2


def test_red_text_that_the_read_back_contradicts_goes_on_and_leaves_a_follow_up():
    play = Play().started()
    play.done(play.begin("cms"))
    play.done(play.end("cms", "red", red=("the term is not recognised",)))
    kinds = [e.kind for e in play.done(c.VerifyStep(1, "cms", "CMS on fe2", 10))]
    assert kinds == ["verified", "follow_up"]
    assert play.s.step("cms").status == "done_red"
    assert play.s.follow_ups[0][0] == "red-cms-1"


def test_a_stop_acts_before_the_next_step_and_one_person_lifts_it():
    play = Play().started()
    play.done(play.begin("cms"))
    play.done(c.Stop(who("UWIM"), "wait"))
    assert play.refused(c.Stop(who("UBO"))).code == "REF063E"
    play.done(play.end("cms"))
    play.done(c.VerifyStep(1, "cms", "so", 1))
    assert play.s.phase == "stopped"
    assert play.refused(play.begin("pool")).code == "RUN023E"
    assert play.refused(c.GoOn(who("UWIM"))).code == "REF022E"
    play.done(c.GoOn(who("UBO")))
    play.done(play.begin("pool"))
    without = POLICY.model_copy(update={"persons": tuple(p for p in POLICY.persons if p.id != "bo")})
    assert judge_words(play.s, without), "lifted by somebody this policy does not know"


def test_abort_ends_the_run_and_nothing_more_is_sent():
    play = Play().started().failed("cms", "red", "not_begun")
    play.done(play.rule("UBO", "abort"))
    assert play.refused(play.begin("cms")).code == "RUN037E"
    play.done(c.EndRun(1, "aborted"))
    play.done(c.Close(None))
    assert play.s.closed == "aborted"


def test_only_calls_of_the_approved_plan_and_only_while_the_approval_holds_here():
    play = Play().started()
    forged = c.BeginCall(1, "cms", 1, "fe2", "x", {"cmdlet": "Remove-Everything", "params": [], "want": []}, "once")
    assert play.refused(forged).code == "RUN032E"
    honest = play.begin("cms")
    for lie in ({"effect": "observe"}, {"host": "somewhere.else"}, {"literal": "Literally-Anything"}):
        assert play.refused(replace(honest, **lie)).code == "RUN032E", lie
    request = play.s.requests[0]
    assert judge(play.s, POLICY, request) == ()
    no_bo = POLICY.model_copy(update={"persons": tuple(p for p in POLICY.persons if p.id != "bo")})
    same = POLICY.model_copy(update={"persons": (
        person("rita", "declare", "approve", slack=(*POLICY.persons[0].slack, *POLICY.persons[1].slack)),
        *POLICY.persons[2:])})  # fmt: skip
    assert [f.key for f in judge(play.s, no_bo, request)] == ["nobody", "quorum"]
    assert next(f.key for f in judge(play.s, same, request)) == "nobody", "two accounts of one human are one person"
    play.rules = RULES.model_copy(update={"policy": no_bo})
    assert play.refused(play.begin("cms")).code == "RUN025E"
    worker = Play(rules=RULES).approved()
    worker.done(c.TakeHand("w2", "a"))
    worker.rules = play.rules
    refusal = worker.refused(c.StartRun(1, request.digest, DIGESTS))
    assert (refusal.code, [e.kind for e in refusal.events]) == ("RUN025E", ["run_refused", "voided"])


def test_the_start_is_refused_for_another_digest_a_lost_assumption_a_stop_or_a_wrong_clock():
    for change, code in (
        ({"digest": "8a" * 32}, "RUN024E"),
        ({"assumptions_lost": ("fe2 Active",)}, "RUN026E"),
        ({"clock_off_s": -31}, "RUN027E"),
    ):
        play = Play().approved()
        play.done(c.TakeHand("w2", "a"))
        start = c.StartRun(**{"epoch": 1, "digest": play.s.request.digest, "digests": DIGESTS, **change})
        assert play.refused(start).code == code
        assert play.s.run_refused[0] == code
    play = Play().approved()
    play.done(c.TakeHand("w2", "a"))
    play.done(c.Stop(who("UWIM")))
    assert play.refused(c.StartRun(1, play.s.request.digest, DIGESTS)).code == "RUN023E"


def test_late_and_incomplete_results_are_named_so():
    late = Play().started()
    for key in ("cms", "pool", "dns.meet.dns2"):
        late.after(290).carry_out(key)
    late.done(c.VerifyStep(1, "proof.signin", "so", 1))
    late.done(c.EndRun(1, "complete"))
    assert late.refused(c.Close(None)).code == "REF069E", "not proven"
    late.done(c.Confirm(who("UBO"), "signed in"))
    late.done(c.Close(None))
    assert late.s.closed == "recovered_late"
    assert "Longest:" in late.s.closing


def test_a_stop_before_the_first_call_that_outlasts_the_window_asks_again():
    play = Play().started()
    play.done(c.Stop(who("UWIM")))
    play.after(400)
    (lapsed,) = play.done(c.Tick())
    assert lapsed.which == "window"
    assert play.s.phase == "lapsed"
    play.done(c.GoOn(who("UBO")))
    assert play.refused(play.begin("cms")).code == "RUN034E"
    play.done(c.AskApproval(who("URITA"), "n2", again=True))
    play.done(c.RecordCard(2, CARD))
    play.done(play.approve(request=2, nonce="n2"))
    play.done(c.StartRun(1, DIGEST, DIGESTS))
    play.done(play.begin("cms"))
    assert play.done(c.Tick()) == ()


def test_a_right_lost_between_the_start_and_the_first_call_takes_the_run_back():
    play = Play().started()
    gone = who("UBO", deleted=True).account
    assert [e.kind for e in play.done(c.Recheck(1, {"bo": gone}))] == ["rechecked", "revoked"]
    assert play.refused(play.begin("cms")).code == "RUN034E"
    begun = Play().started().carry_out("cms")
    assert begun.done(c.Recheck(1, {"bo": gone})) == (), "after the first call people decide, not an account"


def test_who_has_no_code_in_a_terminal_may_stop_and_nobody_is_named_for_it():
    play = Play().started()
    play.done(c.Stop(who("bo", via="cli"), host="ops-leeds"))
    assert play.s.stop.by.person is None
    assert play.s.stop.by.name == "somebody at the terminal of ops-leeds, who says to be Bo Lund (not proven)"
    proven = Play().started()
    proven.done(c.Stop(who("bo", via="cli", step=5), host="ops-leeds"))
    assert (proven.s.stop.by.person, proven.s.stop.by.name) == ("bo", "Bo Lund")


def test_service_is_confirmed_when_all_is_moved_and_counts_where_nothing_proves_itself():
    play = Play().started()
    play.carry_out("cms")
    early = play.refused(c.Confirm(who("UBO")))
    assert (early.code, "Pool failover, disaster mode is not done yet" in early.text) == ("REF073E", True)
    play.carry_out("pool").carry_out("dns.meet.dns2")
    play.done(c.Confirm(who("UBO"), "signed in"))
    assert play.s.clocks.t5 is None, "the automatic proof is still to come"
    seen = play.now
    play.after(20).done(c.FailStep(1, "proof.signin", "no", "no", "cannot_tell", degraded=True))
    play.done(c.EndRun(1, "complete"))
    assert play.s.clocks.t5 == seen


def test_a_run_whose_pair_passed_to_another_incident_neither_goes_on_nor_sends():
    house = House()
    key = house.asked()
    house.well(house.bot, key, approve("UBO"))
    house.well(house.worker, key, c.TakeHand("w2", "act-1"), c.StartRun(1, DIGEST, DIGESTS))
    act = house.worker.state(key).steps[0].plan["act"]
    begin = c.BeginCall(1, "cms", 1, "fe2.ocsguy.local", literal_of(act), act, "once")
    other = house.bot.declare(replace(DECLARE, pool="fe2", partner="fe1")).incident
    lifted = house.bot.do(key, c.GoOn(who("UBO"))).refusal
    assert lifted is not None
    assert lifted.code == "REF072E"
    assert other in lifted.text
    assert house.worker.do(key, begin).refusal.code == "RUN044E"


def test_after_a_hard_stop_that_went_away_the_same_plan_is_asked_about_again():
    play = Play().approved()
    play.done(c.RecordSurvey((surveyed(play.now), HardStopped(why="partner-silent", text="fe2 is silent.", todo="x"))))
    assert not play.s.ask_due
    play.after(15).done(c.RecordSurvey((surveyed(play.now), planned())))
    assert play.s.ask_due
    play.done(c.AskApproval(None, "n2"))
    assert play.s.phase == "asking"


def test_other_files_are_on_the_card_and_a_hand_with_other_files_begins_nothing():
    other = DIGESTS.model_copy(update={"policy": "9" * 64})
    play = Play(rules=RULES.model_copy(update={"digests": {"fe1": other}})).approved()
    assert play.s.request.differs == ("policy",)
    play.done(c.TakeHand("w2", "a"))
    refused = play.refused(c.StartRun(1, DIGEST, DIGESTS.model_copy(update={"estate": "9" * 64})))
    assert (refused.code, "This worker's estate is not what w2" in refused.text) == ("RUN042E", True)


def test_a_green_card_over_a_red_plan_starts_nothing():
    red = {**PLAN, "warnings": [{"level": "red", "code": "x", "why": "fe1 answers", "do": "look"}]}
    play = Play().declared()
    for level, said in (
        ("green", ()),
        ("red", ()),
        ("red", ({"level": "red", "text": "fe1 answers", "todo": "look"},)),
    ):
        update = {"plan": red, "level": level, "warnings": said}
        play.state = fold([*play.records])
        faked = Play(records=list(play.records), state=play.s, now=play.now)
        faked.done(c.RecordSurvey((surveyed(faked.now), planned().model_copy(update=update))))
        faked.done(c.AskApproval(None, NONCE))
        keys = {f.key for f in judge(faked.s, POLICY, faked.s.request)}
        assert ("level" in keys, "warnings" in keys) == (level == "green", level == "red" and not said)
