"""Each no by itself: the part of a question that alone decides, and what happens where only that part says no."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from incident import commands as c
from incident.commands import Refusal
from incident.decide import decide
from incident.events import CardRef, FollowUp, HardStopped, Lapsed, Voided
from incident.persons import person_of
from incident.policy import PairPolicy, Policy

from .play import CARD, DECLARE, NONCE, POLICY, RULES, T1, TEAM, Play, account, planned, surveyed, who

DEAD = HardStopped(why="partner", text="fe2 does not answer.", todo="Ask for the runbook on paper.")
COPY = CardRef(team=TEAM, channel="C0OTHER", ts="9.9")


def by_policy(policy: Policy, **change):
    """Rules with a changed policy; a person's id -> the roles they hold now."""
    persons = tuple(
        p.model_copy(update={"roles": frozenset(change.pop(p.id))}) if p.id in change else p for p in policy.persons
    )
    return RULES.model_copy(update={"policy": policy.model_copy(update={"persons": persons, **change})})


# --- roles, and the end of an incident, for every act there is ------------------------------------------------

WATCHING = [
    c.AskApproval(who("UWIM"), "n9", again=True),
    c.Decline(who("UWIM"), 1, NONCE, CARD),
    c.SayStillDisaster(who("UWIM"), 1, NONCE, CARD),
    c.SetOutage(who("UWIM"), T1 - timedelta(minutes=5)),
    c.TakeLead(who("UWIM")),
    c.SettleFollowUp(who("UWIM"), "red-cms-1"),
    c.Rule(who("UWIM"), "cms", 1, "retry"),
    c.GoOn(who("UWIM")),
    c.Confirm(who("UWIM")),
    c.Cancel(who("UWIM")),
    c.Close(who("UWIM")),
    replace(DECLARE, actor=who("UWIM")),
]


@pytest.mark.parametrize("command", WATCHING, ids=lambda command: type(command).__name__)
def test_who_may_only_watch_may_do_nothing_else(command):
    play = Play().asked()
    play.take(FollowUp(key="red-cms-1", text="explain"))
    assert re.fullmatch(r"(APR|REF)022E", play.refused(command).code)


def test_somebody_in_no_entry_leaves_no_note():
    assert Play().asked().refused(c.AddNote(who("UOLAF"), "hello")).code == "REF021E"


CLOSED = [
    c.AskApproval(who("URITA"), "n9", again=True),
    c.Decline(who("UBO"), 1, NONCE, CARD),
    c.SayStillDisaster(who("URITA"), 1, NONCE, CARD),
    c.SetOutage(who("URITA"), T1 - timedelta(minutes=5)),
    c.TakeLead(who("UBO")),
    c.Rule(who("UBO"), "cms", 1, "retry"),
    c.GoOn(who("UBO")),
    c.Confirm(who("UBO")),
    c.Cancel(who("URITA")),
    c.Close(who("UBO")),
    DECLARE,
]


@pytest.mark.parametrize("command", CLOSED, ids=lambda command: type(command).__name__)
def test_after_the_end_nothing_happens_any_more(command):
    play = Play().started().failed("cms", "red", "not_begun")
    play.done(c.Stop(who("UWIM")))
    play.done(c.Close(who("UBO")))
    assert re.fullmatch(r"(APR|REF)060E", play.refused(command).code)
    assert play.s.closed == "aborted"


# --- asking ---------------------------------------------------------------------------------------------------


def test_nothing_is_done_about_an_incident_that_is_not_there():
    answer = decide(None, c.AddNote(who("UBO"), "hello"), RULES, T1)
    assert isinstance(answer, Refusal)
    assert answer.code == "REF061E"


def test_a_host_whose_clock_is_behind_decides_by_the_record():
    play = Play().asked().after(601)
    play.done(c.AddNote(who("UCHEN"), "still dark"))
    play.now -= timedelta(seconds=300)
    assert play.refused(play.approve()).code == "APR045E", "the record is past the question's end"


def test_without_a_plan_or_with_a_hard_stop_there_is_nothing_to_ask():
    play = Play().declared()
    assert play.refused(c.AskApproval(who("URITA"), "n1")).code == "APR055E"
    play.done(c.RecordSurvey((surveyed(play.now), planned())))
    play.done(c.RecordSurvey((surveyed(play.now), DEAD)))
    refusal = play.refused(c.AskApproval(who("URITA"), "n1"))
    assert refusal.code == "APR055E"
    assert "fe2 does not answer" in refusal.text


def test_a_new_plan_is_to_be_asked_about_and_nothing_else_is():
    play = Play().declared()
    assert not play.s.ask_due, "no plan"
    play.done(c.RecordSurvey((surveyed(play.now), planned())))
    assert play.s.ask_due
    play.done(c.RecordSurvey((DEAD,)))
    assert not play.s.ask_due, "a hard stop stands"
    assert not Play().asked().s.ask_due
    assert not Play().started().s.ask_due
    lapsed = Play().asked().after(601)
    lapsed.done(c.Tick())
    lapsed.done(c.RecordSurvey((planned("8a" * 32),)))
    assert not lapsed.s.ask_due, "nobody answered; it is asked again by a person"
    void = Play().asked()
    void.take(Voided(request=1, why=("the policy is another one now",)))
    assert not void.s.ask_due, "the same plan"
    void.done(c.RecordSurvey((planned("8a" * 32),)))
    assert void.s.ask_due
    running = Play().started()
    running.take(Voided(request=1, why=("forged",)))
    running.state = replace(running.s, run_request=1, planned=planned("8a" * 32))
    assert not running.s.ask_due, "a run goes on by its own plan"


def test_a_question_that_stands_is_not_asked_again():
    again = c.AskApproval(who("URITA"), "n9", again=True)
    assert Play().asked().refused(again).text == "The question is open already."
    assert Play().approved().refused(again).text == "The question is approved already."
    assert Play().started().refused(again).text == "The run has begun already."


def test_each_asking_has_its_own_number_used_once():
    play = Play().asked().after(601)
    assert play.refused(c.AskApproval(who("URITA"), NONCE, again=True)).code == "APR054E"
    kinds = [e.kind for e in play.done(c.AskApproval(who("URITA"), "n9", again=True))]
    assert kinds == ["lapsed", "asked"], "what ran out while nobody looked is closed first"


def test_what_nobody_known_has_declared_is_not_asked():
    play = Play()
    (declared,) = play.done(DECLARE)
    play = Play()
    play.take(declared.model_copy(update={"actor": None}))
    play.done(c.RecordSurvey((surveyed(play.now), planned())))
    assert play.refused(c.AskApproval(None, "n1")).text == "Nobody known to the policy has asked for this."


# --- counting -------------------------------------------------------------------------------------------------


def test_the_quorum_is_the_stricter_of_the_question_and_the_policy_of_the_moment():
    without_rita = by_policy(POLICY, rita={"declare"})
    play = Play().asked()
    play.rules = without_rita
    (first,) = play.done(play.approve("UBO"))
    assert not first.completes, "the asker may approve no more, and so counts no more"
    (second,) = play.done(play.approve("UCHEN"))
    assert second.completes
    assert play.s.request.still_needed == 0
    play = Play(rules=without_rita).asked()
    play.rules = RULES
    (first,) = play.done(play.approve("UBO"))
    assert not first.completes, "the card asked for two others"


def test_a_vote_whose_giver_has_lost_the_role_completes_nothing():
    play = Play(rules=by_policy(POLICY, quorum=3)).asked()
    play.done(play.approve("UBO"))
    play.rules = by_policy(play.rules.policy, bo={"operate"})
    (second,) = play.done(play.approve("UCHEN"))
    assert not second.completes
    (third,) = play.done(play.approve("UDANA"))
    assert third.completes


def test_one_person_is_counted_once_in_every_state_of_the_question():
    play = Play(rules=by_policy(POLICY, quorum=3)).asked()
    play.done(play.approve("UBO"))
    assert play.refused(play.approve("UBO")).code == "APR047E"
    assert play.s.request.still_needed == 1
    play = Play().started()
    assert play.refused(play.approve("UBO")).code == "APR047E"
    assert play.refused(play.approve("UCHEN")).code == "APR043E"
    assert play.refused(play.approve("UCHEN")).text.endswith("Running.")


def test_a_host_whose_clock_disagrees_takes_no_approval():
    for off in (31, -31):
        assert "clock" in Play().asked().refused(Play().approve(clock_off_s=off)).text
    Play().asked().done(Play().approve(clock_off_s=-30))


def test_what_the_record_has_ended_stays_ended_whatever_the_hour():
    play = Play().asked()
    play.take(Lapsed(request=1))
    assert play.refused(play.approve()).code == "APR045E"


def test_a_terminal_shows_no_card_and_a_click_shows_its_own():
    play = Play().asked()
    typed = replace(play.approve(), actor=who("bo", via="cli", step=77))
    assert play.refused(typed).code == "APR042E"
    assert play.refused(replace(typed, card=COPY)).code == "APR042E"
    play.done(replace(typed, card=None))


# --- saying no, and insisting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [c.Decline(who("UBO"), 1, NONCE, CARD),
                                     c.SayStillDisaster(who("URITA"), 1, NONCE, CARD)])  # fmt: skip
def test_a_no_and_an_insisting_count_only_on_their_own_open_card(command):
    play = Play().asked("red")
    assert play.refused(replace(command, nonce="other")).code == "APR040E"
    assert play.refused(replace(command, request=7)).code == "APR040E"
    assert play.refused(replace(command, card=COPY)).code == "APR042E"
    play.after(601)
    assert play.refused(command).code == "APR045E"
    assert play.s.request.state == "lapsed"
    assert Play().approved("red").refused(command).code == "APR043E"


def test_insisting_twice_is_written_once():
    play = Play().asked("red")
    insist = c.SayStillDisaster(who("URITA"), 1, NONCE, CARD)
    assert [e.kind for e in play.done(insist)] == ["still_disaster"]
    assert play.done(insist) == ()


# --- time, and Slack asked again ---------------------------------------------------------------------------------


def test_time_ends_an_open_question_and_nothing_else():
    assert Play().declared().done(c.Tick()) == ()
    play = Play().asked()
    assert play.done(c.Tick()) == ()
    (lapsed,) = play.after(600).done(c.Tick())
    assert (lapsed.kind, lapsed.which) == ("lapsed", "approval")
    play = Play().asked()
    play.done(c.Close(who("URITA")))
    assert play.after(700).done(c.Tick()) == ()


GONE = who("UBO", deleted=True).account


def test_asking_slack_again_says_nothing_about_what_is_over():
    play = Play().asked()
    play.done(c.Decline(who("UCHEN"), 1, NONCE, CARD))
    assert play.done(c.Recheck(1, {"rita": GONE})) == ()
    play = Play().approved()
    play.done(c.Close(who("URITA")))
    assert play.done(c.Recheck(1, {"bo": GONE})) == ()
    assert play.done(c.Recheck(7, {"bo": GONE})) == ()


@pytest.mark.parametrize(
    ("rules", "accounts", "why"),
    [
        (by_policy(POLICY, bo={"operate"}), {}, "Bo Lund may no longer approve for fe1"),
        (by_policy(POLICY, rita={"approve"}), {}, "Rita Berg may no longer declare for fe1"),
        (by_policy(POLICY, approver_group="S1"), {"bo": account(in_group=False)}, "in the group that may approve"),
        (by_policy(POLICY, persons=tuple(p.model_copy(update={"shared": p.id == "bo"}) for p in POLICY.persons)), {},
         "Bo Lund may no longer approve"),
        (by_policy(POLICY, persons=tuple(p for p in POLICY.persons if p.id != "bo")), {}, "bo may no longer approve"),
    ],
)  # fmt: skip
def test_every_right_is_looked_at_again_before_the_first_act(rules, accounts, why):
    play = Play().approved()
    play.rules = rules
    revoked = play.done(c.Recheck(1, accounts))[1:]
    assert [why in e.why for e in revoked] == [True]
    assert play.s.request.state == "void"
    honest = Play().approved()
    assert len(honest.done(c.Recheck(1, {"rita": account(), "bo": account()}))) == 1


def test_an_empty_team_is_no_home():
    play = Play().asked()
    assert play.refused(replace(play.approve(), actor=who("UBO", team=""))).code == "APR025E"


def test_in_an_organisation_another_one_is_foreign():
    grid = by_policy(POLICY, enterprise="EOURS")
    for enterprise, code in (("EOTHER", "APR025E"), ("EOURS", None), ("", None)):
        play = Play(rules=grid).asked()
        answer = play.do(play.approve(actor=who("UBO", enterprise=enterprise)))
        assert (answer.code if isinstance(answer, Refusal) else None) == code
    team = Play(rules=grid).asked().approve(actor=who("UBO", team="EOURS").model_copy(update={"account": account()}))
    assert Play(rules=grid).asked().refused(team).code == "APR021E", "a home, but nobody's account"


def test_what_came_from_no_person_is_from_nobody():
    for actor in (who("bo", via="system"), who("", via="cli", step=7)):
        assert person_of(POLICY, actor) is None


# --- the clock, follow-ups, cards ---------------------------------------------------------------------------------


def test_an_outage_begins_before_it_is_declared():
    later = replace(DECLARE, since=T1 + timedelta(seconds=1))
    assert Play().refused(later).code == "REF070E"
    play = Play().declared().after(60)
    assert play.refused(c.SetOutage(who("URITA"), T1 + timedelta(seconds=30))).code == "REF070E"
    play.done(c.SetOutage(who("URITA"), T1 - timedelta(seconds=30)))


def test_follow_ups_and_cards_are_written_once():
    play = Play().asked()
    play.done(c.OpenFollowUp("red-cms-1", "explain"))
    assert play.done(c.OpenFollowUp("red-cms-1", "explain")) == ()
    play.done(c.SettleFollowUp(who("UBO"), "red-cms-1"))
    assert play.refused(c.SettleFollowUp(who("UBO"), "red-cms-1")).code == "REF071E"
    assert play.done(c.RecordCard(1, CARD)) == ()
    assert isinstance(play.do(c.RecordCard(7, CARD)), Refusal)


# --- ruling, stopping, confirming -----------------------------------------------------------------------------------


def test_only_a_step_that_waits_for_people_is_ruled_about():
    play = Play().started()
    assert play.refused(play.rule("UBO", "retry", "nothing")).code == "REF065E"
    assert play.refused(play.rule("UBO", "retry", "cms")).code == "REF065E", "it has not failed"
    play.failed("cms", "red", "not_begun")
    play.done(play.rule("UBO", "retry"))
    assert play.refused(play.rule("UCHEN", "retry")).code == "REF065E", "it is to run again already"
    play.done(play.begin("cms"))
    play.done(play.end("cms", attempt=2))
    play.done(c.VerifyStep(1, "cms", "so", 1))
    play.carry_out("pool")
    play.done(play.begin("dns.meet.dns2"))
    play.done(play.end("dns.meet.dns2", "red"))
    play.done(c.FailStep(1, "dns.meet.dns2", "not so", "old", "not_begun", degraded=True))
    assert play.refused(play.rule("UBO", "retry", "dns.meet.dns2")).code == "REF065E", "it was left as it is"
    play = Play().started().failed("cms", "red", "not_begun")
    assert play.s.phase == "waiting_for_ruling"
    play.done(play.rule("UBO", "abort"))
    assert play.s.phase == "running", "until the hands have written the end"
    assert play.refused(play.rule("UCHEN", "retry")).code == "REF065E", "the run was given up"


def test_a_word_whose_giver_may_operate_no_more_is_not_in_the_ruling():
    play = Play().started().failed("cms", "unknown", "cannot_tell")
    play.done(replace(play.rule("UBO", "retry"), reason="I think so"))
    play.rules = by_policy(POLICY, bo={"approve"})
    assert len(play.done(replace(play.rule("UCHEN", "retry"), reason=""))) == 1
    _, ruling = play.done(replace(play.rule("UDANA", "retry"), reason="looked"))
    assert (ruling.persons, ruling.reason) == (("chen", "dana"), "looked")


def test_verdicts_are_counted_apart():
    play = Play().started().failed("cms", "unknown", "cannot_tell")
    play.done(play.rule("UBO", "done"))
    assert [e.kind for e in play.done(play.rule("UCHEN", "retry"))] == ["ruling_voted"]
    assert [e.kind for e in play.done(play.rule("UDANA", "retry"))] == ["ruling_voted", "ruling"]


def test_before_any_run_there_is_nothing_to_confirm():
    assert Play().declared().refused(c.Confirm(who("UBO"))).code == "REF073E"


def test_nothing_is_left_to_stop_when_the_run_has_ended():
    play = Play().started().failed("cms", "red", "not_begun")
    play.done(play.rule("UBO", "abort"))
    play.done(c.EndRun(1, "aborted"))
    assert play.refused(c.Stop(who("UWIM"))).code == "REF068E"


# --- closing ------------------------------------------------------------------------------------------------------


def ended(rules=RULES, skip: str = "") -> Play:
    """Everything settled and the run ended, service not yet proven; `skip`: a step that people left out."""
    play = Play(rules=rules).started()
    for key in ("cms", "pool", "dns.meet.dns2"):
        if key == skip:
            play.failed(key, "red", "not_begun")
            play.done(play.rule("UBO", "skip", key))
            play.do(play.rule("UCHEN", "skip", key))
        else:
            play.carry_out(key)
    play.done(c.VerifyStep(1, "proof.signin", "signed in", 1))
    return play


def closes(play: Play, by: str = "") -> str:
    """The result, or the code of the refusal."""
    answer = play.do(c.Close(who(by) if by else None))
    return answer.code if isinstance(answer, Refusal) else play.s.closed


def test_a_run_without_proof_is_closed_by_a_person_as_incomplete():
    for by, result in (("", "REF069E"), ("UBO", "incomplete")):
        play = ended()
        play.done(c.EndRun(1, "complete"))
        assert closes(play, by) == result


def test_a_step_that_people_left_out_makes_it_incomplete_and_a_name_does_not():
    for skip, result in (("pool", "incomplete"), ("dns.meet.dns2", "recovered")):
        play = ended(skip=skip)
        play.done(c.Prove(1, "signed in"))
        play.done(c.EndRun(1, "complete"))
        assert closes(play) == result


def test_where_policy_asks_for_a_person_the_automatic_proof_is_not_enough():
    strict = by_policy(POLICY, pairs=(PairPolicy(pools=("fe1", "fe2"), confirm_by_person=True),))
    play = ended(strict)
    play.done(c.Prove(1, "signed in"))
    play.done(c.EndRun(1, "complete"))
    assert closes(play) == "REF069E"
    play.done(c.Confirm(who("UBO"), "called"))
    assert closes(play) == "recovered"


def test_only_a_person_closes_what_has_not_come_to_its_end():
    for by, result in (("", "REF069E"), ("UBO", "cancelled")):
        assert closes(Play().asked(), by) == result
    for by, result in (("", "REF069E"), ("UBO", "hard_stopped")):
        play = Play().declared()
        play.done(c.RecordSurvey((surveyed(play.now), DEAD)))
        assert closes(play, by) == result


def test_a_run_is_closed_only_while_it_stands_still_and_by_a_person():
    running = Play().started()
    assert closes(running, "UBO") == "REF069E"
    running.done(running.begin("cms"))
    running.done(c.Stop(who("UWIM")))
    assert closes(running, "UBO") == "REF069E", "a call is in flight"
    running.done(running.end("cms"))
    assert closes(running) == "REF069E", "nobody said so"
    assert closes(running, "UBO") == "aborted"
    assert closes(Play().started().failed("cms", "red", "not_begun"), "UBO") == "aborted"


def test_what_people_gave_up_closes_as_aborted_only_when_the_hands_are_done():
    play = Play().started().failed("cms", "red", "not_begun")
    play.done(play.rule("UBO", "abort"))
    assert closes(play) == "REF069E"
    play.done(c.EndRun(1, "aborted"))
    assert closes(play) == "aborted"
