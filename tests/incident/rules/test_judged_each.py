"""Each fault that a judge of records can find, alone in an otherwise honest record, found under its own name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from incident import commands as c
from incident.approvals_check import judge, judge_words
from incident.events import CardRef
from incident.policy import Policy

from .play import CARD, NONCE, POLICY, T1, TEAM, Play, account, who

BO, CHEN = who("UBO"), who("UCHEN")
PARTS = ("declared", "request", "vote")


def without(*persons: str) -> Policy:
    return POLICY.model_copy(update={"persons": tuple(p for p in POLICY.persons if p.id not in persons)})


def roles(person: str, *held: str) -> Policy:
    persons = tuple(p.model_copy(update={"roles": frozenset(held)}) if p.id == person else p for p in POLICY.persons)
    return POLICY.model_copy(update={"persons": persons})


def found(level: str = "green", policy: Policy | None = POLICY, play: Play | None = None, **changes) -> list[str]:
    """Names of what is wrong with an honest approval after these changes to its declaration, question and vote."""
    state = (play or Play().approved(level)).s
    assert judge(state, POLICY, state.requests[-1]) == ()
    votes = tuple(replace(v, **changes.get("vote", {})) for v in state.requests[-1].votes)
    request = replace(state.requests[-1], **{"votes": votes, **changes.get("request", {})})
    declared = state.declared.model_copy(update=changes.get("declared", {}))
    state = replace(state, declared=declared, requests=(*state.requests[:-1], request))
    return [finding.key for finding in judge(state, policy, request)]


def voted_by(actor) -> dict:
    return {"vote": {"actor": actor, "person": actor.person}}


NOBODY = who("URITA").model_copy(update={"person": None})


@pytest.mark.parametrize(
    ("keys", "policy", "changes"),
    [
        (["asker"], POLICY, {"declared": {"actor": None}}),
        (["asker", "quorum"], POLICY, {"declared": {"actor": NOBODY}, "request": {"asker": None}}),
        (["asker"], POLICY, {"request": {"asker": "dana"}}),
        (["role"], roles("rita", "approve", "operate"), {}),
        (["role", "quorum"], roles("bo", "operate"), {}),
        (["nobody", "quorum"], without("bo"), {}),
        (["nobody", "quorum"], POLICY, voted_by(CHEN.model_copy(update={"person": "bo"}))),
        (["nobody", "quorum"], None, voted_by(BO.model_copy(update={"person": None}))),
        (["deleted", "quorum"], POLICY, voted_by(who("UBO", deleted=True))),
        (["unseen", "quorum"], POLICY, voted_by(BO.model_copy(update={"account": None}))),
        (["unproven", "quorum"], POLICY, voted_by(who("bo", via="cli"))),
        (["self", "quorum"], POLICY, voted_by(who("URITA"))),
        (["self", "quorum"], None, voted_by(who("URITA"))),
        (["stale", "quorum"], POLICY, {"vote": {"nonce": "other"}}),
        (["stale", "quorum"], POLICY, {"vote": {"digest": "8a" * 32}}),
        (["expired", "quorum"], POLICY, {"vote": {"seq": 1}}),
        (["expired", "quorum"], POLICY, {"vote": {"at": T1 + timedelta(seconds=20 + 602)}}),
        (["expired", "quorum"], POLICY, {"vote": {"at": T1}}),
        (["card", "quorum"], POLICY, {"vote": {"card": None}}),
        (["card", "quorum"], POLICY, {"vote": {"card": CardRef(team=TEAM, channel="C0OTHER", ts="1.1")}}),
        (["card", "quorum"], POLICY, {"request": {"cards": ()}}),
        ([], POLICY, {"vote": {"card": CARD.model_copy(update={"person": "bo"})}}),
        (["unseen", "quorum"], POLICY, voted_by(who("UBO", looked_at=T1))),
        (["unseen", "quorum"], POLICY, voted_by(who("UBO", looked_at=None))),
        (["unseen", "quorum"], None, voted_by(who("UBO", looked_at=None))),
        (["unseen", "quorum"], None, voted_by(BO.model_copy(update={"account": None}))),
        ([], POLICY, voted_by(who("UBO", looked_at=T1 + timedelta(seconds=20)))),
        (["group", "quorum"], POLICY.model_copy(update={"approver_group": "S1"}), {}),
        ([], POLICY.model_copy(update={"approver_group": "S1"}), voted_by(who("UBO", in_group=True))),
        (["code_missing", "quorum"], POLICY.model_copy(update={"one_time_code": True}), {}),
        (["quorum"], POLICY.model_copy(update={"quorum": 3}), {}),
        (["quorum"], POLICY, {"request": {"quorum": 3}}),
        (["quorum"], None, {"request": {"asker_counts": False}}),
        (["quorum"], roles("rita", "declare"), {}),
        (["quorum"], POLICY.model_copy(update={"quorum": 1}), {"request": {"votes": (), "quorum": 1}}),
        (["not_approved"], POLICY, {"request": {"approved_at": None}}),
        (["not_approved"], POLICY, {"request": {"window_ends": None}}),
        (["expired"], POLICY, {"request": {"expires": T1 + timedelta(hours=1)}}),
        (["window"], POLICY, {"request": {"window_ends": T1 + timedelta(hours=1)}}),
        (["window"], POLICY, {"request": {"start_at": T1 + timedelta(hours=1)}}),
        ([], None, {"request": {"expires": T1 + timedelta(hours=1), "window_ends": T1 + timedelta(hours=1)}}),
    ],
)  # fmt: skip
def test_a_single_fault_is_found_by_its_name(keys, policy, changes):
    assert found(policy=policy, **changes) == keys


def test_a_window_is_counted_from_the_later_of_approval_and_hour():
    early = {"declared": {"start_at": T1}, "request": {"start_at": T1}}
    assert found(**early) == []
    late = T1 + timedelta(hours=1)
    moved = {"start_at": late, "window_ends": late + timedelta(seconds=300)}
    assert found(declared={"start_at": late}, request=moved) == []


@pytest.mark.parametrize(
    ("keys", "changes"),
    [
        (["not_insisted"], {"request": {"still_disaster": False}}),
        (["not_insisted"], {"request": {"still_by": None}}),
        (["not_asker"], {"request": {"still_by": who("UDANA")}}),
        (["deleted"], {"request": {"still_by": who("URITA", deleted=True)}}),
        (["not_insisted", "quorum"], {"request": {"still_seq": 99}}),
        (["typed", "quorum"], {"vote": {"typed": "fe2"}}),
        (["typed", "quorum"], {"vote": {"typed": None}}),
    ],
)
def test_under_red_each_friction_is_judged_again(keys, changes):
    assert found("red", **changes) == keys


def test_a_code_counts_once_for_each_person():
    terminal = Play().asked()
    terminal.done(replace(terminal.approve(), actor=who("bo", via="cli", step=77), card=None))
    assert found(play=terminal) == []
    state = terminal.s
    (vote,), first = state.requests[0].votes, state.requests[0]
    for person, seq, step, keys in (
        ("bo", 1, 77, ["code_replayed", "quorum"]),
        ("bo", 1, 76, []),
        ("bo", 1, None, []),
        ("bo", 99, 78, []),
        ("chen", 1, 78, []),
    ):
        actor = vote.actor.model_copy(update={"code_step": step})
        before = replace(first, number=0, votes=(replace(vote, person=person, seq=seq, actor=actor),))
        judged = judge(replace(state, requests=(before, first)), POLICY, first)
        assert [finding.key for finding in judged] == keys, (person, seq, step)


def test_under_red_a_terminals_code_counts_once_too_and_a_card_asks_for_none():
    play = Play().asked("red")
    play.done(c.SayStillDisaster(who("URITA"), 1, NONCE, CARD))
    play.done(replace(play.approve(typed="fe1"), actor=who("bo", via="cli", step=77), card=None))
    state = play.s
    (vote,), first = state.requests[0].votes, state.requests[0]
    before = replace(first, number=0, votes=(replace(vote, seq=1),))
    judged = judge(replace(state, requests=(before, first)), POLICY, first)
    assert [finding.key for finding in judged] == ["code_replayed", "quorum"]
    assert found("red", POLICY.model_copy(update={"one_time_code": True})) == []


def test_the_vote_of_somebody_who_was_locked_out_before_it_does_not_hold():
    state = Play().approved().s
    (vote,) = state.requests[-1].votes
    for since, keys in ((vote.seq - 1, ["locked", "quorum"]), (vote.seq + 1, [])):
        shut = replace(state, locked=MappingProxyType({"bo": since, "chen": 1}))
        assert [finding.key for finding in judge(shut, POLICY, shut.requests[-1])] == keys


def test_a_terminal_leans_on_no_look_older_than_a_day():
    terminal = Play().asked()
    terminal.done(replace(terminal.approve(), actor=who("bo", via="cli", step=77), card=None))
    for hours, keys in ((23, []), (25, ["unseen", "quorum"])):
        seen = account(looked_at=terminal.now - timedelta(hours=hours))
        actor = who("bo", via="cli", step=77).model_copy(update={"account": seen})
        assert found(play=terminal, **voted_by(actor)) == keys


# --- words said during the run -------------------------------------------------------------------------------


def ruled() -> Play:
    """A failure of unknown end, ruled by two to be tried again."""
    play = Play().started().failed("cms", "unknown", "cannot_tell")
    for user in ("UBO", "UCHEN"):
        play.done(play.rule(user, "retry"))
    return play


def test_a_lifted_stop_needs_somebody_who_may_lift_it():
    play = Play().started()
    play.done(c.Stop(who("UWIM")))
    play.done(c.GoOn(who("UBO")))
    state = play.s
    assert judge_words(state, POLICY) == ()
    assert [f.key for f in judge_words(state, roles("bo", "approve"))] == ["role"]
    unseen = who("UBO").model_copy(update={"account": None})
    for actor, key in ((None, "nobody"), (unseen, "unseen")):
        assert [f.key for f in judge_words(replace(state, went_on=((actor, T1, 9),)), POLICY)] == [key]


def test_a_stop_is_lifted_by_nobody_who_was_locked_out_before():
    play = Play().started()
    play.done(c.Stop(who("UWIM")))
    play.done(c.GoOn(who("UBO")))
    ((_, _, seq),) = play.s.went_on
    for since, keys in ((seq - 1, ["locked"]), (seq + 1, [])):
        shut = replace(play.s, locked=MappingProxyType({"bo": since, "chen": 1}))
        assert [f.key for f in judge_words(shut, POLICY)] == keys


def test_a_ruling_rests_on_no_word_of_somebody_who_was_locked_out_before():
    state = ruled().s
    vote = next(v for v in state.ruling_votes if v.actor.person == "bo")
    for since, keys in ((vote.seq - 1, ["role"]), (vote.seq + 1, [])):
        shut = replace(state, locked=MappingProxyType({"bo": since, "rita": 1}))
        assert [f.key for f in judge_words(shut, POLICY)] == keys


@pytest.mark.parametrize(
    "change", [{"step": "pool"}, {"attempt": 2}, {"verdict": "skip"}, {"actor": who("UWIM")}, {"actor": who("UOLAF")}]
)
def test_a_ruling_rests_on_words_about_this_step_this_attempt_and_this_verdict(change):
    state = ruled().s
    assert judge_words(state, POLICY) == ()
    votes = (replace(state.ruling_votes[0], **change), *state.ruling_votes[1:])
    assert [f.key for f in judge_words(replace(state, ruling_votes=votes), POLICY)] == ["role"]


def test_a_ruling_by_too_few_is_found():
    state = ruled().s
    key, attempt, verdict, persons, *rest = state.rulings[0]
    for fewer in (persons[:1], persons[:1] * 2):
        state = replace(state, rulings=((key, attempt, verdict, fewer, *rest),))
        assert [f.key for f in judge_words(state, POLICY)] == ["quorum"]
