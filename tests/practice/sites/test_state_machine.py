"""What the practised Lync sites allow, refuse and remember, without any wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from practice.host.cmdlets import Recorded, literal
from practice.host.durations import ZERO
from practice.host.host import Host
from practice.host.power import PowerLost
from practice.host.redtext import RedText
from practice.sites.changing import Changing
from practice.sites.proving import Proving
from practice.sites.reading import Reading
from practice.sites.site import Silent, Site
from practice.sites.world import OCSGUY

FE1, FE2, EDGE = "fe1.ocsguy.local", "fe2.ocsguy.local", "edge1.ocsguy.local"
CMS = {"BackupSqlServerFqdn": FE2, "BackupSqlInstanceName": "RTC", "Force": True, "Confirm": False}
POOL = {"PoolFqdn": FE1, "DisasterMode": True, "Verbose": True, "Confirm": False}
EDGE_HOP = {"Identity": f"EdgeServer:{EDGE}", "Registrar": f"Registrar:{FE2}"}


class DirectLink:
    """The line between two sites of one test, which can be cut."""

    def __init__(self) -> None:
        self.alive = True
        self.answer: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda kind, body: {}

    def ask(self, kind: str, **body: Any) -> dict[str, Any]:
        if not self.alive:
            raise Silent
        return self.answer(kind, body)


@dataclass
class Pair:
    london: Site
    leeds: Site
    hosts: dict[str, Host]
    links: tuple[DirectLink, DirectLink]
    changing: Changing
    addresses: dict[str, list[str]]

    def run(self, cmdlet: str, /, on: str = FE2, **params: Any) -> Recorded:
        streams = Recorded()
        red = self.hosts[on].run(cmdlet, list(params.items()), streams)
        if red:
            streams.errors.append(red)
        return streams

    def lose_london(self) -> None:
        for link in self.links:
            link.alive = False

    def return_london(self) -> None:
        for link in self.links:
            link.alive = True

    def exchange(self) -> None:
        for site in (self.london, self.leeds, self.london, self.leeds):
            site.exchange()

    def pool_state(self, pool: str, **params: Any) -> str:
        rows = self.run("Get-CsRegistrarConfiguration", **params).outputs
        return next(r["PoolState"] for r in rows if r["Identity"] == f"Service:Registrar:{pool}")


@pytest.fixture
def pair() -> Pair:
    links = DirectLink(), DirectLink()
    london = Site(OCSGUY, "London", ZERO, links[0])
    leeds = Site(OCSGUY, "Leeds", ZERO, links[1])
    links[0].answer, links[1].answer = leeds.answer, london.answer
    addresses = {"meet.ocsguy.local": [london.place.address]}
    hosts: dict[str, Host] = {}
    for site in (london, leeds):
        host = hosts[site.place.pool] = Host(site.place.pool, ZERO)
        changing = Changing(site)
        host.add(Reading(site).cmdlets())
        host.add(changing.cmdlets())
        host.add(Proving(site, lambda name: addresses[name]).cmdlets())
    return Pair(london, leeds, hosts, links, changing, addresses)


def only_error(recorded: Recorded) -> str:
    assert len(recorded.errors) == 1, recorded.errors
    return recorded.errors[0].message


def test_the_disaster_as_microsoft_orders_it(pair: Pair) -> None:
    pair.lose_london()
    # Dead CMS: what needs it fails, what works without it still answers.
    dead = pair.run("Get-CsManagementStoreReplicationStatus", CentralManagementStoreStatus=True)
    assert "Cannot access the Central Management Store" in only_error(dead)
    assert pair.run("Get-CsConfigurationStoreLocation").outputs[0]["BackEndServer"] == f"{FE1}\\rtc"
    assert pair.pool_state(FE1, LocalStore=True) == "Active"
    backup = pair.run("Get-CsPoolBackupRelationship", PoolFqdn=FE1, LocalStore=True).outputs
    assert backup[0]["BackupPoolFqdn"] == FE2
    assert "TCP port 9001" in only_error(pair.run("Get-CsBackupServiceStatus", PoolFqdn=FE1))
    assert len(pair.run("Get-CsUser", Filter=f"RegistrarPool -eq '{FE1}'").outputs) == 4212
    # Order matters: pool and Edge need the CMS, the pool needs the Edge.
    assert "Central Management Server has not been fully failed over" in only_error(
        pair.run("Invoke-CsPoolFailOver", **POOL)
    )
    assert "Cannot access the Central Management Store" in only_error(pair.run("Set-CsEdgeServer", **EDGE_HOP))
    assert not pair.run("Invoke-CsManagementServerFailover", **CMS).errors
    pair.exchange()
    status = pair.run("Get-CsManagementStoreReplicationStatus", CentralManagementStoreStatus=True).outputs[0]
    assert (status["ActiveMasterFqdn"], status["ActiveFileTransferAgentFqdn"]) == (FE2, FE2)
    assert f'This Front-end pool "{FE1}" is specified in topology as the next hop' in only_error(
        pair.run("Invoke-CsPoolFailOver", **POOL)
    )
    assert not pair.run("Set-CsEdgeServer", **EDGE_HOP).errors
    before = pair.run("Test-CsRegistration", TargetFqdn=FE2, UserSipAddress="sip:probe1@ocsguy.local")
    assert (before.outputs[0]["Result"], before.outputs[0]["Error"]) == ("Failure", "504, Server time-out")
    done = pair.run("Invoke-CsPoolFailOver", **POOL)
    assert not done.errors
    assert "practice: hydrate 4 of 6" in done.verbose_lines
    assert pair.pool_state(FE1) == "FailedOver"
    after = pair.run("Test-CsRegistration", TargetFqdn=FE2, UserSipAddress="sip:probe1@ocsguy.local")
    assert after.outputs[0]["Result"] == "Success"
    # What pool failover does not change, and replicas: the living catch up, the dead one cannot.
    assert len(pair.run("Get-CsUser", Filter=f"RegistrarPool -eq '{FE1}'").outputs) == 4212
    pair.exchange()
    replicas = pair.run("Get-CsManagementStoreReplicationStatus").outputs
    assert {r["ReplicaFqdn"]: r["UpToDate"] for r in replicas} == {EDGE: True, FE1: False, FE2: True}
    # A second run of what is done changes nothing.
    assert pair.run("Invoke-CsManagementServerFailover", **CMS).warnings
    assert "in state FailedOver" in only_error(pair.run("Invoke-CsPoolFailOver", **POOL))


def test_meetings_follow_the_dns(pair: Pair) -> None:
    pair.lose_london()
    assert pair.run("Test-CsWebScheduler", TargetFqdn=FE2).outputs[0]["Result"] == "Failure"
    pair.addresses["meet.ocsguy.local"] = [pair.leeds.place.address]
    assert pair.run("Test-CsWebScheduler", TargetFqdn=FE2).outputs[0]["Result"] == "Success"


@pytest.mark.parametrize(
    ("cmdlet", "params", "says"),
    [
        ("Invoke-CsPoolFailOver", POOL | {"Confirm": True}, "NonInteractive mode"),
        ("Invoke-CsPoolFailOver", {"PoolFqdn": FE1, "DisasterMode": True, "Force": True}, "NonInteractive mode"),
        ("Invoke-CsManagementServerFailover", CMS | {"Force": False, "MirrorSQLServerFqdn": FE2}, "A parameter cannot"),
        (
            "Invoke-CsManagementServerFailover",
            {"BackupSqlServerFqdn": FE2, "Confirm": False},
            "missing mandatory parameters: Force",
        ),
        ("Invoke-CsManagementServerFailover", CMS | {"BackupSqlServerFqdn": FE1}, "not the standby"),
        ("Get-CsService", {"EdgeServer": True, "CentralManagement": True}, "Parameter set cannot be resolved"),
        ("Get-CsNothing", {}, "is not recognized as the name of a cmdlet"),
        ("Invoke-CsPoolFailOver", POOL | {"PoolFqdn": "fe9.ocsguy.local"}, "Cannot find pool"),
        ("Test-CsRegistration", {"TargetFqdn": "fe9.ocsguy.local"}, "No matching cluster found in topology"),
        ("Invoke-CsManagementServerFailover", {"Confirm": False}, "the current database"),
    ],
)
def test_refusals(pair: Pair, cmdlet: str, params: dict[str, Any], says: str) -> None:
    pair.lose_london()
    assert says in only_error(pair.run(cmdlet, **params))
    assert pair.leeds.state()["store"]["pool_state"] == {FE1: "Active", FE2: "Active"}
    assert not pair.leeds.hosts_cms


def test_refusals_that_need_a_state(pair: Pair) -> None:
    astray = EDGE_HOP | {"Registrar": "Registrar:fe9.ocsguy.local"}
    assert "Cannot find service" in only_error(pair.run("Set-CsEdgeServer", **astray))
    pair.leeds.write(edges={EDGE: FE2})
    pair.exchange()
    pair.leeds.test_users.clear()
    assert "no test user assigned for [fe2.ocsguy.local]" in only_error(pair.run("Test-CsRegistration", TargetFqdn=FE2))
    pair.leeds.write(pool_state={FE2: "FailedOver"})
    assert "must be failed back first" in only_error(pair.run("Invoke-CsPoolFailOver", **POOL))
    pair.leeds.write(pool_state={FE2: "Active"})
    pair.leeds.paired = False
    assert "does not have a backup pool" in only_error(pair.run("Invoke-CsPoolFailOver", **POOL))
    pair.leeds.paired = True
    pair.lose_london()
    pair.run("Invoke-CsManagementServerFailover", **CMS)
    planned = {"PoolFqdn": FE1, "Confirm": False}
    assert "Distributed Component Object Model (DCOM)" in only_error(pair.run("Invoke-CsPoolFailOver", **planned))


def test_an_edge_pool_nobody_thought_of_stops_the_pool_failover(pair: Pair) -> None:
    forgotten = "edge3.ocsguy.local"
    pair.london.write(edges={forgotten: FE1})
    pair.exchange()
    pair.lose_london()
    pair.run("Invoke-CsManagementServerFailover", **CMS)
    pair.run("Set-CsEdgeServer", **EDGE_HOP)
    assert "as the next hop for the Edge server" in only_error(pair.run("Invoke-CsPoolFailOver", **POOL))
    hops = {r["Identity"]: r["Registrar"] for r in pair.run("Get-CsService", EdgeServer=True).outputs}
    assert hops == {f"EdgeServer:{EDGE}": f"Registrar:{FE2}", f"EdgeServer:{forgotten}": f"Registrar:{FE1}"}
    pair.run("Set-CsEdgeServer", **EDGE_HOP | {"Identity": forgotten})
    assert not pair.run("Invoke-CsPoolFailOver", **POOL).errors


def test_failback_when_london_returns(pair: Pair) -> None:
    pair.lose_london()
    for cmdlet, params in (
        ("Invoke-CsManagementServerFailover", CMS),
        ("Set-CsEdgeServer", EDGE_HOP),
        ("Invoke-CsPoolFailOver", POOL),
    ):
        assert not pair.run(cmdlet, **params).errors
    back = {"PoolFqdn": FE1, "Confirm": False}
    assert "DCOM" in only_error(pair.run("Invoke-CsPoolFailBack", **back))
    assert pair.london.hosts_cms  # it knows no better yet
    pair.return_london()
    pair.exchange()
    assert not pair.london.hosts_cms
    assert FE1 not in pair.london.serving
    pair.changing.hydration_failures = 1
    assert "Failed to complete hydration" in only_error(pair.run("Invoke-CsPoolFailBack", **back))
    assert not pair.run("Invoke-CsPoolFailBack", **back).errors
    assert (pair.london.serving, pair.leeds.serving) == ({FE1}, {FE2})
    assert pair.pool_state(FE1) == "Active"


def test_half_done_is_readable_and_can_be_finished(pair: Pair) -> None:
    pair.lose_london()
    host = pair.hosts[FE2]
    host.faults.arm({"kind": "red", "cmdlet": "Invoke-CsManagementServerFailover", "when": "midway"})
    pair.run("Invoke-CsManagementServerFailover", **CMS)
    status = pair.run("Get-CsManagementStoreReplicationStatus", CentralManagementStoreStatus=True).outputs[0]
    assert status["ActiveMasterFqdn"] is None
    assert "has not been fully failed over" in only_error(pair.run("Invoke-CsPoolFailOver", **POOL))
    assert not pair.run("Invoke-CsManagementServerFailover", **CMS).errors
    pair.run("Set-CsEdgeServer", **EDGE_HOP)
    host.faults.arm({"kind": "red", "cmdlet": "Invoke-CsPoolFailOver"})
    assert "Distributed Component" in only_error(pair.run("Invoke-CsPoolFailOver", **POOL))
    assert pair.pool_state(FE1) == "FailingOver"
    assert not pair.run("Invoke-CsPoolFailOver", **POOL).errors
    assert pair.pool_state(FE1) == "FailedOver"


def test_faults_before_and_after_the_deed(pair: Pair) -> None:
    host = pair.hosts[FE2]
    pair.lose_london()
    host.faults.arm({"kind": "red", "when": "begin", "message": "not today", "fqid": "Not,Today"})
    first = pair.run("Invoke-CsManagementServerFailover", **CMS)
    assert (first.errors[0].fqid, pair.leeds.hosts_cms) == ("Not,Today", False)
    host.faults.arm({"kind": "red", "when": "end", "message": "said in the end"})
    assert "said in the end" in only_error(pair.run("Invoke-CsManagementServerFailover", **CMS))
    assert pair.leeds.database.master == FE2
    host.faults.arm({"kind": "double_hop"})
    assert "ANONYMOUS LOGON" in only_error(pair.run("Set-CsEdgeServer", **EDGE_HOP))
    host.faults.arm({"kind": "module_missing"})
    assert "is not recognized" in only_error(pair.run("Get-CsPool"))
    host.faults.clear()
    with pytest.raises(ValueError, match="No fault is called"):
        host.faults.arm({"kind": "earthquake"})
    assert not pair.run("Invoke-CsPoolFailOver", **POOL, WhatIf=True).errors
    entries = host.callbook.entries()
    assert [e["changing"] for e in entries] == [True, True, True, False, False]
    assert entries[0]["literal"] == (
        "Invoke-CsManagementServerFailover -BackupSqlServerFqdn fe2.ocsguy.local -BackupSqlInstanceName RTC "
        "-Force -Confirm:$false"
    )
    host.power.pull()
    with pytest.raises(PowerLost):
        pair.run("Get-CsPool")


def test_calls_are_written_as_a_person_types_them() -> None:
    call = literal("Get-CsUser", [("Filter", "RegistrarPool -eq 'fe1'"), ("ResultSize", 5), ("X", ["a", "b c"])])
    assert call == "Get-CsUser -Filter 'RegistrarPool -eq ''fe1''' -ResultSize 5 -X a,'b c'"


def test_red_text_looks_like_a_console() -> None:
    red = RedText("word " * 40, "ProcessRecord,X", target="fe1", target_type="Fqdn")
    lines = red.rendered("Invoke-X", "Invoke-X -PoolFqdn fe1").split("\r\n")
    assert lines[0].startswith("Invoke-X : word")
    assert max(map(len, lines)) <= 120
    assert (
        lines[-4].strip()
        == "+ CategoryInfo          : InvalidOperation: (fe1:Fqdn) [Invoke-X], InvalidOperationException"
    )
