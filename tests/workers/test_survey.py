"""Looking: within its budget, written down only when it is news, and never a reason to take a card from people."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from incident.events import HardStopped, Planned, Surveyed, Voided
from tests.workers.world import FE1, Play, Sites, World, configuration
from workers.remote.door import CallLike
from workers.survey import answer, survey


def test_the_first_look_makes_the_plan() -> None:
    world = World().asked()
    planned, surveyed = world.events(Planned)[0], world.events(Surveyed)[0]
    assert planned.level == "amber"
    assert [step["id"] for step in planned.plan["steps"]][:3] == ["cms", "edge.edge1", "pool"]
    assert surveyed.facts["answers.fe1.worker"]["value"] is False
    assert surveyed.digests == world.own.digests("fe1")
    assert len(planned.words) == 4
    assert len(planned.short) == 6


def test_what_says_nothing_new_is_not_written_and_still_dated() -> None:
    world = World().asked()
    before = world.state.seq
    assert not survey(world.incident, world.tools())
    # A reading that did not come in is no news either.
    world.sites.tricks["Get-CsBackupServiceStatus"] = [lambda sites, call: Play(errors=("It did not answer.",))] * 4
    assert not survey(world.incident, world.tools())
    assert world.state.seq == before
    assert "ended" in (world.bell.wait_answer(f"look-{world.incident}", 0.1) or {})


class Hiccups:
    """A looker before whose first looks the partner falls silent."""

    def __init__(self, world: World, times: int) -> None:
        self._looker, self._sites, self._left = world.tools().looker, world.sites, times

    def look(self, *given: Any, **more: Any) -> Any:
        self._sites.blind, self._left = self._left > 0, self._left - 1
        return self._looker.look(*given, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._looker, name)


def test_one_look_that_the_partner_did_not_answer_takes_no_card() -> None:
    """A line that hiccups once is looked at again; only a second silence is a hard stop."""
    world = World().asked()
    before = world.state.seq
    assert not survey(world.incident, replace(world.tools(), looker=Hiccups(world, 1)))
    assert world.state.seq == before
    assert survey(world.incident, replace(world.tools(), looker=Hiccups(world, 2)))
    assert world.events(Voided)
    assert world.state.phase == "hard_stopped"


def test_what_breaks_the_plan_takes_the_card_and_says_why() -> None:
    world = World().asked()
    world.sites.edge = "fe3"
    assert survey(world.incident, world.tools())
    voided = world.events(Voided)[0]
    assert any("Next hop of Edge pool edge1" in why for why in voided.why), voided.why
    assert world.events(Planned)[1].digest != world.events(Planned)[0].digest


def test_another_worker_with_other_files_makes_another_plan() -> None:
    world = World().asked()
    own = world.own._replace(policy=world.own.policy.model_copy(update={"quorum": 3}))
    assert survey(world.incident, world.tools(own=own))
    assert world.events(Voided)


def test_the_wrong_pool_of_the_pair_is_a_hard_stop_with_an_offer() -> None:
    world = World(lost=frozenset({"fe2.ocsguy.local"})).declared()
    assert survey(world.incident, world.tools())
    stop = world.events(HardStopped)[0]
    assert (stop.why, stop.offer) == ("wrong-pool", "fe2")
    assert not survey(world.incident, world.tools()), "the same stop is written once"


def test_a_host_that_hangs_costs_the_budget_and_no_more() -> None:
    world = World(own=configuration(budget_s=1)).declared()

    def hangs(sites: Sites, call: CallLike) -> Play:
        return Play(hang=True)

    world.sites.tricks["Get-CsManagementConnection"] = [hangs]
    began = time.monotonic()
    assert survey(world.incident, world.tools())
    assert time.monotonic() - began < 3
    facts = world.events(Surveyed)[0].facts
    # What was asked before it is known, it and what was to come after it is not, and says why.
    assert facts["cms.scp"]["kind"] == "known"
    assert facts["cms.master"]["reason"]
    assert world.state.planned is not None


def test_a_question_without_an_incident_is_answered_and_nothing_is_opened() -> None:
    world = World()
    said = answer({"what": "plan", "pool": "fe1"}, world.tools())
    assert said["ok"]
    assert said["calls"][0][0] == "fe2.ocsguy.local"
    assert said["calls"][0][1].startswith("Invoke-CsManagementServerFailover")
    assert said["code"] in said["markdown"]
    assert ["PoolState of fe1", "Active"] in answer({"kind": "status", "pool": "fe1"}, world.tools())["readings"]
    assert said["seen"]["looked"]["from"] == world.tools().host
    assert f"(RPO {said['rpo_s']} s;" in said["markdown"] or said["rpo_s"] is None
    assert "## Seen" in said["markdown"]
    stop = answer({"what": "plan", "pool": "fe9"}, world.tools())
    assert stop["seen"]["users"] is None
    assert not stop["ok"]
    assert "fe9" in stop["markdown"]
    assert world.bot.journal.incidents() == []
    assert FE1 in str(said["plan"])
