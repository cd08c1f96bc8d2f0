"""The same door against the practised estate: NTLM over TLS, real DNS, power cuts and broken lines."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from playbooks.catalogue import call
from practice.estate.launch import PractisedEstate
from workers.remote import dns
from workers.remote.door import Deadline, Done, Frame, RedText, Refused, RunId, Unknown, ignore
from workers.remote.winrm_remote import Endpoint, Patience, WinRmRemote

RUN = RunId("20261122-fe1-a", "pool", 1)
FE1, FE2, DNS2 = "fe1.ocsguy.local", "fe2.ocsguy.local", "dns2.ocsguy.local"
STATE = call("Get-CsRegistrarConfiguration", "Identity", "PoolState", LocalStore=True)
USERS = call("Get-CsUser", "@count", Filter=f"RegistrarPool -eq '{FE1}'")
FAILOVER = call("Invoke-CsPoolFailOver", PoolFqdn=FE1, DisasterMode=True, Verbose=True, Confirm=False)


@dataclass
class Practised:
    estate: PractisedEstate
    endpoints: dict[str, Endpoint]
    dns: dict[str, str]

    def remote(self, **patience: float) -> WinRmRemote:
        return WinRmRemote(self.endpoints, patience=Patience(**patience))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def practised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practised]:
    out = tmp_path_factory.mktemp("estate")
    with PractisedEstate(out, "zero,pool_failover=2") as estate:
        hosts = tomllib.loads((out / "endpoints.toml").read_text())["hosts"]
        user, password = (out / "lync.credential").read_text().strip().split(":", 1)
        endpoints = {h: Endpoint(h, e["url"], "ntlm", user, password, e["ca"]) for h, e in hosts.items()}
        yield Practised(estate, endpoints, {h: e["dns"] for h, e in hosts.items() if "dns" in e})


def test_looks_and_dns(practised: Practised) -> None:
    remote = practised.remote()
    state, users = remote.run_many(FE2, (STATE, USERS), RUN, Deadline.after(15))
    assert isinstance(state, Done)
    assert {"Identity": "Global", "PoolState": "Active"} in state.rows
    assert isinstance(users, Done)
    assert (users.count, users.rows) == (4212, ())
    address, port = practised.dns[DNS2].rsplit(":", 1)
    answer = dns.ask(dns.Question(DNS2, address, int(port), "meet.ocsguy.local"))
    assert isinstance(answer, dns.Answered)
    assert (answer.values, answer.ttl) == (("10.10.0.11",), 300)
    wrong = {h: replace(e, password="wrong-pass-99") for h, e in practised.endpoints.items()}
    refused = WinRmRemote(wrong).run(FE2, STATE, RUN, Deadline.after(15), ignore)
    assert isinstance(refused, Refused)
    assert refused.reason == "credentials"
    assert "wrong-pass-99" not in repr(refused)
    remote.settle()


def test_red_text_verbose_lines_and_a_cut_line(practised: Practised) -> None:
    remote = practised.remote(reattach_s=3)
    refused = remote.run(FE2, FAILOVER, RUN, Deadline.after(15), ignore)
    assert isinstance(refused, RedText)
    assert "is specified in topology as the next hop" in refused.sentence
    repoint = call(
        "Set-CsEdgeServer", Identity="EdgeServer:edge1.ocsguy.local", Registrar=f"Registrar:{FE2}", Confirm=False
    )
    assert isinstance(remote.run(FE2, repoint, RUN, Deadline.after(15), ignore), Done)
    practised.estate.members["leeds"].ask("/fault", {"kind": "cut", "cmdlet": "Invoke-CsPoolFailOver"})
    frames: list[tuple[float, Frame]] = []
    began = time.monotonic()
    answer = remote.run(FE2, FAILOVER, RUN, Deadline.after(30), lambda f: frames.append((time.monotonic() - began, f)))
    # The line was cut in the middle and taken up again: nothing was lost, or it is said that something was.
    assert isinstance(answer, (Done, RedText, Unknown))
    verbose = [at for at, frame in frames if frame.kind == "verbose"]
    assert verbose
    assert verbose[0] < time.monotonic() - began - 0.5
    remote.settle()


def test_a_host_without_power_is_known_in_time(practised: Practised) -> None:
    practised.estate.members["london"].ask("/plug", {"up": False})
    remote = practised.remote(connect_s=1.5)
    began = time.monotonic()
    dead = remote.run_many(FE1, (STATE, USERS), RUN, Deadline.after(20))
    assert time.monotonic() - began < 5
    assert all(isinstance(answer, Refused) for answer in dead)
    address, port = practised.dns["dns1.ocsguy.local"].rsplit(":", 1)
    silent = dns.ask(dns.Question("dns1", address, int(port), "meet.ocsguy.local"), 1.0)
    assert isinstance(silent, dns.NoAnswer)
    practised.estate.members["london"].ask("/plug", {"up": True})
