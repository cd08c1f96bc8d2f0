"""What a worker makes of the record by itself before it begins, each way it can come out otherwise."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.workers.world import ACT1, KEYS, World
from workers.check import NOT_BUILT, lost_assumptions, rebuild, start_command
from workers.fresh import AHEAD, _key, _said, leave_note, looked_lately


def test_nothing_is_built_from_what_was_never_looked_at_or_planned() -> None:
    world = World().asked()
    state, tools = world.state, world.tools()
    assert rebuild(tools, state).same
    for missing in (replace(state, survey=None), replace(state, planned=None)):
        assert rebuild(tools, missing).digest == NOT_BUILT
    dead = World().declared()
    dead.sites.pools["fe2"] = "FailedOver"
    dead.survey()
    assert dead.state.hard_stop is not None
    assert rebuild(dead.tools(), replace(dead.state, planned=state.planned)).digest == NOT_BUILT


def test_a_plan_that_differs_in_a_word_is_not_the_approved_one() -> None:
    world = World().asked()
    state, tools = world.state, world.tools()
    assert state.planned is not None
    edited = state.planned.model_copy(update={"plan": {**state.planned.plan, "note": "and reboot fe2"}})
    said = start_command(tools, replace(state, planned=edited), 1, fresh=True)
    assert (rebuild(tools, state).digest, said.digest) == (state.planned.digest, NOT_BUILT)
    assert start_command(tools, state, 1, fresh=True).digest == state.planned.digest


def test_what_people_read_aloud_and_typed_is_made_again_too() -> None:
    world = World().asked()
    state, tools = world.state, world.tools()
    assert state.planned is not None
    for other in ({"short": "AAAAAA"}, {"words": ("amber", "fossil", "tango", "nine")}):
        edited = replace(state, planned=state.planned.model_copy(update=other))
        assert not rebuild(tools, edited).same


def test_only_what_the_first_step_leans_on_is_looked_at_again() -> None:
    world = World().asked()
    state, tools = world.state, world.tools()
    plan = rebuild(tools, state).plan
    assert plan is not None
    world.sites.edge = "fe9"
    assert lost_assumptions(tools, state, plan) == ()
    world.sites.pools["fe2"] = "FailedOver"
    assert any("fe2" in lost for lost in lost_assumptions(tools, state, plan))


def test_a_look_counts_while_it_is_young_and_not_ahead_of_time() -> None:
    world = World().asked()
    state, tools = world.state, world.tools(keys=KEYS, sign=ACT1.sign, fresh_s=15.0)
    assert state.survey is not None
    for age_s, counts in ((0, True), (14, True), (16, False), (-10, False)):
        ended = datetime.now(UTC) - timedelta(seconds=age_s)
        seen = replace(state, survey=state.survey.model_copy(update={"ended": ended}))
        assert looked_lately(tools, seen) == counts, age_s
        old = replace(state, survey=None)
        leave_note(replace(tools, name="act1"), old, ended)
        assert looked_lately(tools, old) == counts, age_s
    assert timedelta(seconds=10) > AHEAD


def test_no_note_is_left_about_nothing() -> None:
    world = World().asked()
    state = world.state
    tools = replace(world.tools(keys=KEYS, sign=ACT1.sign, fresh_s=15.0), name="act1")
    dead = World().declared()
    dead.sites.pools["fe2"] = "FailedOver"
    dead.survey()
    now = datetime.now(UTC)
    for nothing, by in (
        (replace(state, planned=None), tools),
        (replace(state, hard_stop=dead.state.hard_stop), tools),
        (state, replace(tools, sign=None)),
    ):
        leave_note(by, nothing, now)
        assert tools.bell.wait_answer(_key(state.id), 0.01) is None
    leave_note(tools, state, now)
    assert not looked_lately(tools, replace(state, survey=None, planned=None)), "a note is about a plan"


@pytest.mark.parametrize(
    "spoil", [{"s": "not Base64!"}, {"ended": "yesterday"}, {"ended": "naive"}, {"by": "nobody"}, {}]
)
def test_a_note_that_is_not_as_we_write_it_counts_for_nothing(spoil: dict[str, Any]) -> None:
    world = World().asked()
    state = replace(world.state, survey=None)
    tools = replace(world.tools(keys=KEYS, sign=ACT1.sign, fresh_s=15.0), name="act1")
    assert state.planned is not None
    ended = datetime.now(UTC).isoformat()
    if spoil.get("ended") == "naive":
        spoil = {"ended": datetime.now(UTC).replace(tzinfo=None).isoformat()}
    at = spoil.get("ended", ended)
    signed = base64.b64encode(ACT1.sign(_said(state.id, state.planned.digest, at))).decode()
    note = {"by": "act1", "ended": at, "s": signed, **spoil}
    tools.bell.post_answer(_key(state.id), note)
    assert looked_lately(tools, state) == (not spoil)
