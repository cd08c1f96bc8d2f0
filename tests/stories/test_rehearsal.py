"""The rehearsal that other tests stand on: the main job runs through in it, and beginning again undoes all of it."""

from __future__ import annotations

from typing import Any

from tests.stories.rehearsal import CHANNEL, HOSTS, Rehearsal


def _as_it_stands(rehearsal: Rehearsal) -> dict[str, Any]:
    """Where everything is: CMS, Edge next hop, pool states, names; without counters and clocks."""
    found: dict[str, Any] = {}
    for host in HOSTS:
        state = rehearsal.control(host, "state")
        store = {key: state.get("store", {}).get(key) for key in ("master", "edges", "pool_state")}
        found[host] = (state["up"], state.get("hosts_cms"), state.get("serving"), state.get("records"), store)
    return found


def test_the_main_job_runs_through_and_beginning_again_undoes_it(rehearsal: Rehearsal) -> None:
    built = _as_it_stands(rehearsal)
    rehearsal.declare()
    rehearsal.approve()
    (asked,) = (i.request for i in rehearsal.desk.open_incidents())
    assert asked is not None
    assert asked.differs == (), "bot and workers were given the same files"
    rehearsal.rita.find("RECOVERED", "Asked Rita Berg · approved Bo Lund", channel=CHANNEL, limit_s=60)
    cmdlets = [call["cmdlet"] for call in rehearsal.calls()]
    assert cmdlets[:3] == ["Invoke-CsManagementServerFailover", "Set-CsEdgeServer", "Invoke-CsPoolFailOver"]
    assert _as_it_stands(rehearsal) != built
    rehearsal.begin()
    assert _as_it_stands(rehearsal) == built
    assert rehearsal.calls() == []
    assert not rehearsal.desk.open_incidents()
