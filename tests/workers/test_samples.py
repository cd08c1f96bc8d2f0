"""Samples: what is known about a pool after it is lost, believed only from a worker, and no locked account."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from incident.commands import SetOutage
from playbooks.facts import CallLook, NoAnswer
from tests.workers.world import ACT2, BOT, KEYS, LOST, Eyes, Play, Sites, World, who
from workers.looking import Answers
from workers.remote.door import CallLike
from workers.samples import Samples, _keep, sample, sampled, taken
from workers.survey import survey
from workers.tools import Tools

STEADY = "UserServices.PresenceFocus:[SteadyState,NormalState]"


def good(sites: Sites, call: CallLike) -> Play:
    return Play(rows=({"BackupModules": [STEADY]},))


def hand(world: World, signs: Any = ACT2) -> Tools:
    """A look worker's tools, with a hand of its own and eyes that know the samples."""
    tools = replace(world.tools(ACT2), sign=signs.sign, keys=KEYS)
    eyes = Eyes(
        world.remote, tools.looker.places, sites=world.sites, lost=world.lost, samples=lambda: sampled(world.bell, KEYS)
    )
    return replace(tools, looker=eyes)


def sampled_then_lost(since: datetime | None = None) -> World:
    """Both pools were well a moment ago; now London is dark and declared lost."""
    world = World(lost=frozenset())
    world.sites.tricks["Get-CsBackupServiceStatus"] = [good, good]
    sample(hand(world))
    world.lost = LOST
    sample(hand(world))
    world.declared()
    if since is not None:
        world.do(SetOutage(who("rita"), since))
    assert survey(world.incident, hand(world))
    return world


def test_a_lost_pool_is_known_by_its_last_sample() -> None:
    world = sampled_then_lost()
    state, kept = world.state, sampled(world.bell, KEYS)["fe1"]
    assert state.planned is not None
    assert state.survey is not None
    assert state.planned.rpo_s == 0
    assert not any("backup" in str(w["text"]) and "knows" in str(w["text"]) for w in state.planned.warnings)
    fact = state.survey.facts["backup_good_at.fe1"]
    assert (fact["value"], fact["at"]) == (kept.good_at, kept.good_at)
    assert "samples" in fact["source"]
    # T0 is proposed at the last answer, and says that it is only proposed.
    assert state.clocks.t0 == state.survey.outage_from
    assert state.clocks.t0_proposed
    assert kept.last_answer is not None
    assert state.clocks.t0 == datetime.fromisoformat(kept.last_answer)


def test_a_persons_word_about_the_outage_goes_before_a_sample() -> None:
    said = datetime.now(UTC) - timedelta(minutes=4)
    state = sampled_then_lost(said).state
    assert state.survey is not None
    assert state.survey.outage_from is not None
    assert state.clocks.t0 is not None
    assert abs(state.clocks.t0 - said) < timedelta(seconds=1)
    assert not state.clocks.t0_proposed


def test_after_a_gap_in_the_looking_no_outage_is_proposed() -> None:
    world = World(lost=frozenset())
    world.sites.tricks["Get-CsBackupServiceStatus"] = [good, good]
    tools, now = hand(world), datetime.now(UTC)
    first = taken(tools, Samples(at=now))
    old = {n: p.model_copy(update={"last_answer": now - timedelta(hours=2)}) for n, p in first.pools.items()}
    _keep(tools, first.model_copy(update={"pools": old}))
    found = sampled(world.bell, KEYS)["fe1"]
    assert found.last_answer is None
    assert found.good_at is not None


def test_only_a_workers_sample_is_believed() -> None:
    world = World()
    for forged in ({}, {"samples": {"at": "x"}, "by": "act2", "s": ""}, {"samples": 3}):
        world.bell.keep_samples(forged)
        assert sampled(world.bell, KEYS) == {}
    tools = replace(hand(world, signs=BOT), name="bot")
    _keep(tools, taken(tools, Samples(at=datetime.now(UTC))))
    assert sampled(world.bell, KEYS) == {}, "a bot's key signs no samples"


class Wary(Eyes):
    """A host that turns the account away."""

    def look(self, looks: Any, budget_s: float, run: Any) -> Answers:
        asked = list(looks)
        no = NoAnswer(reason="fe2.ocsguy.local turned the account away", denied=True)
        return {**super().look(asked, budget_s, run), **{a.id: no for a in asked if isinstance(a, CallLook)}}


def test_a_host_that_turns_the_account_away_is_left_alone_longer_and_longer() -> None:
    world = World()
    tools = hand(world)
    tools = replace(tools, looker=Wary(world.remote, tools.looker.places, sites=world.sites, lost=world.lost))
    samples, pauses = Samples(at=datetime.now(UTC)), []
    for _ in range(6):
        samples = taken(tools, samples)
        denied = samples.denied["fe2.ocsguy.local"]
        pauses.append(denied.pause_s)
        assert taken(tools, samples).denied == samples.denied, "asked again before its time"
        over = denied.model_copy(update={"until": datetime.now(UTC)})
        samples = samples.model_copy(update={"denied": {"fe2.ocsguy.local": over}})
    assert pauses == [120, 240, 480, 960, 1800, 1800]
    world.sites.tricks["Get-CsBackupServiceStatus"] = [good]
    assert taken(hand(world), samples).denied == {}, "the first logon that works ends it"
