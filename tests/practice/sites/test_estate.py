"""The whole practised estate as processes: a lost site is recovered by unmodified pywinrm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.resolver
import pytest
import requests

from config.load import load_endpoints
from practice.estate.launch import PractisedEstate
from tests.practice.runner_client import Answered, Asked, ask, run
from tests.waiting import wait_for

FE1, FE2, EDGE, ZONE = "fe1.ocsguy.local", "fe2.ocsguy.local", "edge1.ocsguy.local", "ocsguy.local"


class Launched:
    def __init__(self, estate: PractisedEstate) -> None:
        self.estate = estate
        self.hosts: dict[str, dict[str, str]] = tomllib.loads((estate.out / "endpoints.toml").read_text())["hosts"]
        self.user, _, self.password = (estate.out / "lync.credential").read_text().strip().partition(":")

    def run(self, fqdn: str, *calls: Asked) -> Answered:
        host = self.hosts[fqdn]
        return run(host["url"], Path(host["ca"]), calls, user=self.user, password=self.password)

    def state(self, member: str) -> dict[str, Any]:
        return dict(self.estate.members[member].ask("/state"))

    def address(self, name: str, fqdn: str, within_s: float = 10.0) -> list[str]:
        resolver = dns.resolver.Resolver(configure=False)
        host, _, port = self.hosts[fqdn]["dns"].partition(":")
        resolver.nameservers, resolver.port, resolver.lifetime = [host], int(port), within_s
        return [str(r) for r in resolver.resolve(name, "A")]


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Launched]:
    with PractisedEstate(tmp_path, "zero,pool_failover=0.4") as estate:
        yield Launched(estate)
    for member in estate.members.values():
        assert member.process.returncode == 0
        with pytest.raises(ProcessLookupError):
            os.kill(member.process.pid, 0)


def test_a_lost_site_is_recovered(launched: Launched) -> None:
    assert (launched.estate.out / "lync.credential").stat().st_mode & 0o777 == 0o600
    alive = launched.run(FE2, ask("Get-CsService", "Active", CentralManagement=True))
    assert [row["Active"] for row in alive.rows] == [True, False]
    launched.estate.members["london"].ask("/plug", {"up": False})
    wait_for(lambda: not launched.state("leeds")["partner_alive"], "Leeds to miss London", 20)
    assert launched.state("dns1")["up"] is False
    with pytest.raises(dns.resolver.LifetimeTimeout):
        launched.address(f"meet.{ZONE}", f"dns1.{ZONE}", 0.7)
    dead = launched.run(FE2, ask("Get-CsManagementStoreReplicationStatus", CentralManagementStoreStatus=True))
    assert "Cannot access the Central Management Store" in dead.errors[0]
    done = launched.run(
        FE2,
        ask(
            "Invoke-CsManagementServerFailover",
            BackupSqlServerFqdn=FE2,
            BackupSqlInstanceName="RTC",
            Force=True,
            Confirm=False,
        ),
        ask("Set-CsEdgeServer", Identity=f"EdgeServer:{EDGE}", Registrar=f"Registrar:{FE2}", Confirm=False),
        ask("Invoke-CsPoolFailOver", PoolFqdn=FE1, DisasterMode=True, Verbose=True, Confirm=False),
        ask("Test-CsRegistration", "Result", TargetFqdn=FE2, UserSipAddress=f"sip:probe1@{ZONE}"),
        ask("Test-CsWebScheduler", "Result", TargetFqdn=FE2),
    )
    assert done.errors == []
    assert [row["Result"] for row in done.rows] == ["Success", "Failure"]  # the meeting page still asks old DNS
    moved = launched.run(
        f"dns2.{ZONE}",
        ask("Add-DnsServerResourceRecordA", ZoneName=ZONE, Name="meet", IPv4Address="10.20.0.11"),
        ask(
            "Remove-DnsServerResourceRecord",
            ZoneName=ZONE,
            Name="meet",
            RRType="A",
            RecordData="10.10.0.11",
            Force=True,
        ),
    )
    assert moved.errors == []
    assert launched.address(f"meet.{ZONE}", f"dns2.{ZONE}") == ["10.20.0.11"]
    assert launched.run(FE2, ask("Test-CsWebScheduler", "Result", TargetFqdn=FE2)).rows == [{"Result": "Success"}]
    log = launched.estate.members["leeds"].ask("/log")
    assert [entry["cmdlet"] for entry in log if entry["changing"]] == [
        "Invoke-CsManagementServerFailover",
        "Set-CsEdgeServer",
        "Invoke-CsPoolFailOver",
    ]
    # London comes back and learns over the line what was done without it.
    launched.estate.members["london"].ask("/plug", {"up": True})
    wait_for(lambda: not launched.state("london")["hosts_cms"], "London to hear who hosts the CMS", 20)
    assert launched.state("london")["serving"] == []
    assert launched.address(f"meet.{ZONE}", f"dns1.{ZONE}") == ["10.10.0.11"]  # nobody told dns1


def test_the_plug_can_be_pulled_in_the_middle(launched: Launched) -> None:
    leeds = launched.estate.members["leeds"]
    launched.estate.members["london"].ask("/plug", {"up": False})
    leeds.ask("/fault", {"kind": "plug", "cmdlet": "Invoke-CsManagementServerFailover"})
    failover = ask(
        "Invoke-CsManagementServerFailover",
        BackupSqlServerFqdn=FE2,
        BackupSqlInstanceName="RTC",
        Force=True,
        Confirm=False,
    )
    with pytest.raises((requests.exceptions.Timeout, requests.exceptions.ConnectionError)):
        launched.run(FE2, failover)
    state = launched.state("leeds")
    assert (state["up"], state["hosts_cms"], state["store"]["master"]) == (False, True, "")  # half done
    assert leeds.ask("/log")[-1]["outcome"] == "lost"
    leeds.ask("/plug", {"up": True})
    status = ask("Get-CsManagementStoreReplicationStatus", "ActiveMasterFqdn", CentralManagementStoreStatus=True)
    assert launched.run(FE2, status).rows == [{"ActiveMasterFqdn": None}]
    assert launched.run(FE2, failover, status).rows == [{"ActiveMasterFqdn": FE2}]


def test_the_command_runs_until_told_to_stop(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "practice.estate", "--out", str(tmp_path), "--durations", "zero"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] is True
        members = json.loads((tmp_path / "estate.json").read_text())
        buttons = json.loads((tmp_path / "controls.json").read_text())
        process.terminate()
        assert process.wait(10) == 0
    # The product's own loader takes the file, and sees the banner.
    endpoints = load_endpoints(tmp_path / "endpoints.toml")
    assert endpoints.practice
    assert endpoints.dns(f"dns2.{ZONE}") is not None
    assert set(members) == {"london", "leeds", "dns1", "dns2"}
    assert buttons["london"] == members["london"]["control"]
    assert buttons["london-plug"]["url"] == buttons["london"] + "/plug"
    assert {"pool-red", "pool-hang", "pool-slow", "pool-cut", "leeds-clear"} < set(buttons)
    assert buttons["pool-hang"]["body"] == {"kind": "hang", "cmdlet": "Invoke-CsPoolFailOver"}
    for member in members.values():
        with pytest.raises(ProcessLookupError):
            os.kill(member["pid"], 0)


def test_wrong_durations_are_said_in_one_sentence(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "practice.estate", "--out", str(tmp_path), "--durations", "lunch=3"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "no duration is called lunch" in done.stderr
    assert "Traceback" not in done.stderr


def test_each_part_starts_alone(tmp_path: Path) -> None:
    (tmp_path / "who").write_text("OCSGUY\\svc-lync-dr:secret\n")
    argv = [sys.executable, "-m", "practice.sites", "--site", "Leeds", "--credential-file", str(tmp_path / "who")]
    with subprocess.Popen(
        [*argv, "--durations", "zero", "--state", str(tmp_path), "--with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        call = ask("Get-CsWindowsService", "Status", Name="RTCSRV")
        answered = run(ready["winrm"], Path(ready["ca"]), [call], user="svc-lync-dr", password="secret")
        assert answered.rows == [{"Status": "Running"}]
        process.stdin.close()  # as when the starter dies
        assert process.wait(10) == 0
