"""Reading the replicas of the CMS beside a run: by a real worker from a practised site, and by scripted ones."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from incident.events import ReplicasSeen
from tests.waiting import wait_for
from tests.workers.house import house
from tests.workers.world import ACT2, Play, World
from workers.replicas import read_once


def test_replicas_are_read_by_a_look_worker_and_the_run_waits_for_nobody(tmp_path: Path, store: str) -> None:
    with house(tmp_path, store, "zero,edge_replica=3") as home:
        home.start("look", "act1")
        home.pull_the_plug()
        home.asked()
        look = home.processes["look"].pid
        home.do(home.approve("bo"))
        # The reading hangs for as long as the whole run takes.
        os.kill(look, signal.SIGSTOP)
        try:
            home.ring()
            wait_for(lambda: home.status("cms") == "done", "the CMS to have moved", 30)
            home.bell.ring_replicas(home.incident)
            wait_for(lambda: home.state.run_ended, "the run to end", 60)
            assert home.events(ReplicasSeen) == []
            assert home.state.run_ended == "complete"
        finally:
            os.kill(look, signal.SIGCONT)

        def seen() -> ReplicasSeen | None:
            home.bell.ring_replicas(home.incident)
            read = home.events(ReplicasSeen)
            return read[-1] if read and read[-1].over else None

        last = wait_for(seen, "all that live to have caught up", 30)
        assert [(r.fqdn.split(".")[0], r.up_to_date, r.dead) for r in last.replicas] == [
            ("edge1", True, False), ("fe1", False, True), ("fe2", True, False),
        ]  # fmt: skip
        assert (last.over, last.code) == ("all", "RPL002I")
        # The worker wrote it, and what rings on afterwards writes nothing more.
        assert {r.by.split("/")[0] for r in home.bot.records(home.incident) if r.kind == "replicas_seen"} == {"look"}


def moved(world: World) -> World:
    """The run has come to its end; nobody has read the replicas yet."""
    world.approved()
    world.advance()
    assert world.status("cms") == "done"
    return world


def test_each_change_is_written_once() -> None:
    world = moved(World())
    world.sites.replicas["edge1"] = False
    tools = world.tools(ACT2)
    assert read_once(world.incident, tools)
    assert not read_once(world.incident, tools)
    world.sites.replicas["edge1"] = True
    assert read_once(world.incident, tools)
    assert not read_once(world.incident, tools)
    assert [event.over for event in world.events(ReplicasSeen)] == ["", "all"]


def test_before_the_move_no_server_is_asked() -> None:
    world = World()
    world.asked()
    world.sites.blind = True
    assert not read_once(world.incident, world.tools(ACT2))
    assert world.events(ReplicasSeen) == []


def test_red_text_and_silence_are_said_and_are_no_answer() -> None:
    world = moved(World())
    world.sites.tricks["Get-CsManagementStoreReplicationStatus"] = [lambda sites, call: Play(errors=("Access denied",))]
    assert read_once(world.incident, world.tools(ACT2))
    (seen,) = world.events(ReplicasSeen)
    assert (seen.replicas, seen.over) == ((), "")
    assert "Access denied" in seen.why
    world.sites.blind = True
    assert not read_once(world.incident, world.tools(ACT2)), "the same again is no news"
