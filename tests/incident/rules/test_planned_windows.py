"""Planned work has its own windows: asked a day ahead, begun at its hour and not before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from incident import commands as c
from incident.approvals_check import judge

from .house import House, approve
from .play import CARD, DECLARE, DIGEST, DIGESTS, NONCE, RULES, T1, planned, surveyed

TONIGHT = T1 + timedelta(hours=19)
PLANNED = replace(DECLARE, playbook="failback", start_at=TONIGHT)


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def key(house: House) -> str:
    """A failback asked for tonight, its card posted."""
    key = house.bot.declare(PLANNED).incident
    house.well(house.worker, key, c.RecordSurvey((surveyed(house.now), planned())))
    house.well(house.bot, key, c.AskApproval(None, NONCE), c.RecordCard(1, CARD))
    return key


def test_the_question_stays_open_for_a_day(house: House, key: str) -> None:
    request = house.bot.state(key).request
    assert request is not None
    assert request.expires - request.at == timedelta(seconds=RULES.policy.planned_expiry_s)
    house.after(6 * 3600)
    assert house.bot.do(key, c.Tick()).state.phase == "asking"  # type: ignore[union-attr]
    assert house.bot.do(key, replace(approve("UBO"))).ok


def test_it_begins_at_its_hour_and_not_before(house: House, key: str) -> None:
    house.well(house.bot, key, approve("UBO"))
    house.well(house.worker, key, c.TakeHand("w2", "act-1"))
    early = house.worker.do(key, c.StartRun(1, DIGEST, DIGESTS))
    assert early.refusal is not None
    assert early.refusal.code == "RUN040E"
    assert "not before" in early.refusal.text
    house.now = TONIGHT
    unseen = house.worker.do(key, c.StartRun(1, DIGEST, DIGESTS)).refusal
    assert unseen is not None
    assert unseen.code == "RUN041E", "hours have passed since the click"
    house.well(house.bot, key, c.Recheck(1, {}))
    state = house.well(house.worker, key, c.StartRun(1, DIGEST, DIGESTS)).state
    assert state is not None
    assert state.phase == "running"


def test_its_window_runs_from_its_hour(house: House, key: str) -> None:
    house.well(house.bot, key, approve("UBO"))
    request = house.bot.state(key).request
    assert request is not None
    assert request.window_ends == TONIGHT + RULES.policy.execution_window
    assert judge(house.bot.state(key), RULES.policy, request) == ()
    house.now = request.window_ends
    state = house.bot.do(key, c.Tick()).state
    assert state is not None
    assert state.phase == "lapsed"


def test_a_question_with_another_hour_than_was_asked_for_does_not_hold(house: House, key: str) -> None:
    house.well(house.bot, key, approve("UBO"))
    state = house.bot.state(key)
    assert state.request is not None
    moved = replace(state.request, start_at=TONIGHT - timedelta(hours=3))
    assert [f.key for f in judge(state, RULES.policy, moved)] == ["window"]


@pytest.mark.parametrize(
    "wrong", [replace(DECLARE, start_at=TONIGHT), replace(PLANNED, start_at=T1 - timedelta(minutes=1))]
)
def test_a_disaster_has_no_hour_and_no_hour_is_past(house: House, wrong: c.Declare) -> None:
    answer = house.bot.declare(wrong)
    assert answer.refusal is not None
    assert answer.refusal.code == "REF070E"
    assert house.bot.open_incidents() == ()
