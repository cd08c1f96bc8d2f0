"""The approval judged again from the record: faults that no honest bot would write, each found by its name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from incident import commands as c
from incident.approvals_check import judge, judge_words
from incident.events import CardRef, Intent, Ruling, RunStarted, Voted
from incident.fold import fold
from incident.verify_approval import breaches

from .play import DIGEST, DIGESTS, POLICY, T1, TEAM, Play, who


def begun(level: str = "green") -> Play:
    play = Play().approved(level)
    play.done(c.TakeHand("w2", "a"))
    play.done(c.StartRun(1, play.s.request.digest, DIGESTS))
    play.done(play.begin("cms"))
    return play


FAULTS = [
    ("self", "green", {"actor": who("URITA")}),
    ("self", "green", {"actor": who("URITA2").model_copy(update={"person": "rita"})}),
    ("nobody", "green", {"actor": who("UOLAF")}),
    ("nobody", "green", {"actor": who("UCHEN").model_copy(update={"person": "bo"})}),
    ("role", "green", {"actor": who("UWIM")}),
    ("deleted", "green", {"actor": who("UBO", deleted=True)}),
    ("guest", "green", {"actor": who("UBO", guest=True)}),
    (
        "foreign",
        "green",
        {
            "actor": who("UBO").model_copy(
                update={"account": who("UBO").account.model_copy(update={"team": "TFOREIGN"})}
            )
        },
    ),
    ("unseen", "green", {"actor": who("UBO").model_copy(update={"account": None})}),
    ("unseen", "green", {"actor": who("UBO", looked_at=T1)}),
    ("unseen", "green", {"actor": who("UBO", looked_at=None)}),
    ("stale", "green", {"digest": "8a" * 32}),
    ("stale", "green", {"nonce": "another"}),
    ("card", "green", {"card": CardRef(team=TEAM, channel="C0OTHER", ts="9.9")}),
    ("card", "green", {"card": None}),
    ("window", "green", {"window_ends": T1 + timedelta(hours=3)}),
    ("not_approved", "green", {"completes": False}),
    ("typed", "red", {"typed": None}),
    ("unproven", "green", {"actor": who("bo", via="cli"), "card": None}),
]


@pytest.mark.parametrize(("fault", "level", "change"), FAULTS)
def test_a_vote_that_should_never_have_counted_is_found(fault, level, change):
    play = begun(level)
    assert judge(play.s, POLICY, play.s.requests[0]) == ()
    faked = [replace(r, event=r.event.model_copy(update=change)) if isinstance(r.event, Voted) else r
             for r in play.records]  # fmt: skip
    state = fold(faked)
    assert fault in [found.key for found in judge(state, POLICY, state.requests[0])]
    assert breaches(faked, POLICY), "and so the call that was sent under it"


def test_late_votes_missing_insistence_spent_codes_and_missing_votes_are_found():
    play = begun("red")
    without = [r for r in play.records if r.event.kind != "still_disaster"]
    assert judge(fold(without), POLICY, fold(without).requests[0])[0].key == "not_insisted"
    play = begun()
    late = [replace(r, when=r.when + timedelta(seconds=600)) if r.seq > 5 else r for r in play.records]
    assert judge(fold(late), POLICY, fold(late).requests[0])[0].key == "expired"
    none = [r for r in play.records if r.event.kind != "voted"]
    assert breaches(none)[0][1].endswith("0 of 1 approvals beside the asker hold.")
    no_start = [r for r in play.records if r.event.kind != "run_started"]
    assert breaches(no_start)[0][1] == "the call of step cms was sent without an approval."
    three = POLICY.model_copy(update={"quorum": 3})
    assert judge(play.s, three, play.s.requests[0])[-1].key == "quorum"


def test_a_ruling_by_people_this_policy_does_not_know_lets_nothing_run():
    play = Play().started().failed("cms", "unknown", "cannot_tell")
    for user in ("UBO", "UCHEN"):
        play.done(play.rule(user, "retry"))
    assert judge_words(play.s, POLICY) == ()
    no_chen = POLICY.model_copy(update={"persons": tuple(p for p in POLICY.persons if p.id != "chen")})
    play.rules = play.rules.model_copy(update={"policy": no_chen})
    assert play.refused(play.begin("cms")).code == "RUN025E"


def test_a_terminal_approval_may_rest_on_what_slack_said_within_a_day_and_starts_the_run():
    looked = who("UBO", looked_at=T1 - timedelta(hours=20)).account
    actor = who("bo", via="cli", step=77).model_copy(update={"account": looked})
    play = Play().asked().after(60)
    play.done(play.approve(actor=actor, card=None, code=c.Code(77)))
    play.done(c.TakeHand("w2", "a"))
    play.after(200).done(c.StartRun(1, DIGEST, DIGESTS))
    play.done(play.begin("cms"))
    assert breaches(play.records, POLICY) == ()
    stale = who("UBO", looked_at=T1 - timedelta(hours=25)).account
    faked = [replace(r, event=r.event.model_copy(update={"actor": actor.model_copy(update={"account": stale})}))
             if isinstance(r.event, Voted) else r for r in play.records]  # fmt: skip
    assert "more than 24 hours" in breaches(faked, POLICY)[0][1]


def test_a_run_begins_long_after_a_click_only_when_slack_was_asked_again_or_was_away():
    play = Play().approved()
    play.done(c.TakeHand("w2", "a"))
    start = c.StartRun(1, DIGEST, DIGESTS)
    refused = play.after(90).refused(start)
    assert (refused.code, "ask Slack again" in refused.text) == ("RUN041E", True)
    assert play.s.request.state == "approved", "the approval stands; only the look at the people is missing"
    faked = Play(records=list(play.records), state=play.s, now=play.now)
    faked.take(RunStarted(request=1, digest=DIGEST))
    assert "nobody was looked at again" in breaches(faked.records, POLICY)[0][1]
    play.done(c.Recheck(1, {}))
    play.done(start)
    assert breaches(play.records, POLICY) == ()


def test_a_second_sending_of_what_is_sent_once_needs_a_ruling_of_enough_persons():
    play = Play().started().failed("cms", "unknown", "cannot_tell")
    again = Intent(**{**play.records[-3].event.model_dump(), "attempt": 2})
    alone = Play(records=list(play.records), state=play.s, now=play.now)
    alone.take(again)
    assert "people had not ruled" in breaches(alone.records)[0][1]
    play.done(play.rule("UBO", "retry"))
    play.take(Ruling(step="cms", attempt=1, verdict="retry", persons=("bo",)))
    assert "1 of 2 persons" in breaches(play.records)[0][1]
    play.take(again)
    assert any("the call of step cms was sent though" in text for _, text in breaches(play.records))
