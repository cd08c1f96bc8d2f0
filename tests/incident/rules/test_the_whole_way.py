"""The honest way from declaration to closure, its figures, and what a race or another hand can do to it."""

from dataclasses import replace
from datetime import timedelta

from incident import commands as c
from incident.clocks import figures
from incident.commands import Refusal
from incident.events import Closed, Voted
from incident.fold import fold

from .play import CARD, DECLARE, DIGEST, DIGESTS, NONCE, POLICY, RITA, RULES, T1, Play, planned, surveyed, who


def test_from_declaration_to_recovered():
    play = Play().recovered()
    state = play.s
    assert (state.phase, state.closed) == ("closed", "recovered")
    clocks = state.clocks
    assert clocks.t1 == T1
    assert clocks.t2 == T1 + timedelta(seconds=80)
    assert clocks.t1 < clocks.t2 < clocks.t3 < clocks.pool_verified < clocks.t4 < clocks.t5
    assert [s.status for s in state.steps] == ["done", "done", "done", "done"]
    assert state.closing == "Recovered: fe1 London on fe2 Leeds in 4:32, target 15:00."


def test_the_parts_add_up_to_the_declared_rto_and_name_what_took_the_time():
    play = Play().recovered()
    figure = figures(play.s, play.now)
    assert sum(part.seconds for part in figure.parts) == figure.rto_s == 272
    named = {part.name: part.seconds for part in figure.parts}
    assert named == {"checks": 20, "approval": 60, "CMS": 61, "pool": 61, "DNS": 61, "between steps": 4, "proof": 5}
    assert figure.line().startswith("checks 0:20 · approval 1:00 · CMS 1:01")
    assert figure.microsoft_s == 123
    assert not figure.late


def test_every_prefix_folds_and_the_whole_folds_to_the_same():
    play = Play().recovered()
    for cut in range(1, len(play.records) + 1):
        state = fold(play.records[:cut])
        assert state is not None
        assert state.phase
        assert figures(state, play.now).parts is not None
    assert fold(play.records) == play.s


def test_the_vote_that_completes_the_quorum_starts_the_window_and_no_second_is_counted():
    play = Play().asked()
    (vote,) = play.after(60).done(play.approve("UBO"))
    assert isinstance(vote, Voted)
    assert vote.completes
    assert vote.window_ends == play.now + timedelta(seconds=300)
    late = play.after(1).refused(play.approve("UCHEN"))
    assert (late.code, late.text) == ("APR043E", "Already approved by Bo Lund at 03:08:32. Starting.")
    again = play.refused(play.approve("UBO"))
    assert again.code == "APR047E"


def test_an_asker_without_the_right_to_approve_does_not_count_and_two_others_are_needed():
    rita = RITA.model_copy(update={"roles": frozenset({"declare"})})
    policy = POLICY.model_copy(update={"persons": (rita, *POLICY.persons[1:])})
    play = Play(rules=RULES.model_copy(update={"policy": policy})).asked()
    assert (play.s.request.others_needed, play.s.request.asker_counts) == (2, False)
    play.done(play.approve("UBO"))
    assert play.s.phase == "asking"
    assert play.s.request.still_needed == 1
    play.done(play.approve("UCHEN"))
    assert play.s.phase == "approved"


def test_under_red_the_asker_insists_and_the_approver_types_the_name_and_no_code():
    play = Play().asked("red")
    assert play.refused(play.approve(typed="fe1")).code == "APR051E"
    other = c.SayStillDisaster(actor=who("UDANA"), request=1, nonce=NONCE, card=CARD)
    assert play.refused(other).code == "APR056E"
    play.done(c.SayStillDisaster(actor=who("URITA"), request=1, nonce=NONCE, card=CARD))
    assert play.refused(play.approve()).code == "APR052E"
    assert play.refused(play.approve(typed="fe2")).code == "APR052E"
    play.done(play.approve(typed=" Fe1 "))
    assert play.s.phase == "approved"


def test_another_plan_voids_the_question_and_the_same_plan_is_not_written_again():
    play = Play().asked()
    assert [e.kind for e in play.done(c.RecordSurvey((surveyed(play.now), planned())))] == ["surveyed"]
    new = planned("8a" * 32, difference=("added: edge3",))
    kinds = [e.kind for e in play.done(c.RecordSurvey((surveyed(play.now), new)))]
    assert kinds == ["surveyed", "planned", "voided"]
    gone = play.refused(play.approve())
    assert gone.code == "APR046E"
    assert "added: edge3" in gone.text
    play.done(c.AskApproval(actor=None, nonce="second"))
    assert play.s.request.number == 2
    assert play.s.request.digest == "8a" * 32


def test_nobody_answers_neither_yes_nor_no_and_one_tap_asks_again():
    play = Play().asked().after(600)
    late = play.refused(play.approve())
    assert (late.code, late.text, late.offer) == ("APR045E", "Expired 03:17:32. Nothing was run.", "ask_again")
    assert play.s.phase == "lapsed"
    assert play.refused(c.AskApproval(actor=None, nonce="x2")).code == "APR054E", "the bot does not ask on its own"
    play.done(c.AskApproval(actor=who("UBO"), nonce="x3", again=True))
    assert play.s.request.asker == "rita", "asking again makes nobody the asker"
    play.done(c.RecordCard(request=2, card=CARD))
    play.done(play.approve(request=2, nonce="x3"))
    assert play.s.phase == "approved"


def test_an_approval_that_is_not_begun_in_its_window_lapses():
    play = Play().approved().after(299)
    assert play.done(c.Tick()) == ()
    play.after(1)
    play.done(c.TakeHand("w2", "act-1"))
    assert play.refused(c.StartRun(1, DIGEST, DIGESTS)).code == "RUN022E"
    (lapsed,) = play.done(c.Tick())
    assert lapsed.which == "window"
    assert play.s.phase == "lapsed"
    assert play.refused(play.approve("UCHEN")).code == "APR053E"


def test_whoever_lost_the_right_since_takes_the_approval_along():
    play = Play().approved()
    gone = who("UBO", deleted=True).account
    assert gone is not None
    kinds = [e.kind for e in play.done(c.Recheck(1, {"bo": gone, "rita": who("URITA").account}))]  # type: ignore[dict-item]
    assert kinds == ["rechecked", "revoked"]
    assert play.refused(c.TakeHand("w2", "act-1")).code == "RUN021E"


def test_declaring_again_joins_and_cancelling_closes_until_something_was_sent():
    play = Play().declared()
    (joined,) = play.done(replace(DECLARE, actor=who("UDANA")))
    assert joined.kind == "joined"
    other = Play().declared()
    events = other.done(c.Cancel(actor=who("UDANA"), false_alarm=True))
    assert isinstance(events[-1], Closed)
    assert other.s.closed == "false_alarm"
    late = Play().started().carry_out("cms")
    refusal = late.do(c.Cancel(actor=who("URITA")))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "REF062E"
    assert "03:08:33" in refusal.text
