"""Real resolvers ask the practised DNS server, and the DnsServer cmdlets edit its zone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from practice.dns.cmdlets import DnsCmdlets
from practice.dns.server import DnsServer
from practice.dns.zone import Record, Zone, first_records
from practice.host.cmdlets import Recorded
from practice.host.durations import ZERO
from practice.host.host import Host
from practice.sites.world import DOMAIN, SIMPLE_NAMES

OLD, NEW = "10.10.0.11", "10.20.0.11"


class Bench:
    def __init__(self) -> None:
        server = f"dns2.{DOMAIN}"
        self.host = Host(server, ZERO)
        self.zone = Zone(DOMAIN, server, first_records(SIMPLE_NAMES, OLD, {"fe1": OLD, "fe2": NEW}, 300))
        self.host.add(DnsCmdlets(self.zone, server).cmdlets())
        self.server = DnsServer(self.zone, self.host.power, self.host.faults)
        self.server.start()
        self.resolver = dns.resolver.Resolver(configure=False)
        self.resolver.nameservers = ["127.0.0.1"]
        self.resolver.port = self.server.port
        self.resolver.lifetime = 0.7

    def values(self, name: str, kind: str = "A", tcp: bool = False) -> list[str]:
        return sorted(str(r) for r in self.resolver.resolve(name, kind, tcp=tcp))

    def serial(self) -> int:
        return int(self.resolver.resolve(DOMAIN, "SOA")[0].serial)

    def run(self, cmdlet: str, /, **params: Any) -> Recorded:
        streams = Recorded()
        red = self.host.run(cmdlet, list({"ZoneName": DOMAIN, **params}.items()), streams)
        if red:
            streams.errors.append(red)
        return streams


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.host.power.end()
    bench.server.close()


@pytest.mark.parametrize("tcp", [False, True])
def test_real_resolvers_get_authoritative_answers(bench: Bench, tcp: bool) -> None:
    for name in SIMPLE_NAMES:
        assert bench.values(f"{name}.{DOMAIN}", tcp=tcp) == [OLD]
    answer = bench.resolver.resolve(f"MEET.{DOMAIN}", "A", tcp=tcp)
    assert answer.rrset is not None
    assert answer.rrset.ttl == 300
    assert "AA" in dns.flags.to_text(answer.response.flags)
    with pytest.raises(dns.resolver.NXDOMAIN):
        bench.values(f"nothing.{DOMAIN}", tcp=tcp)
    with pytest.raises(dns.resolver.NoAnswer):
        bench.values(f"meet.{DOMAIN}", "TXT", tcp=tcp)
    ask = dns.query.tcp if tcp else dns.query.udp
    stranger = ask(dns.message.make_query("example.com", "A"), "127.0.0.1", 1, bench.server.port)
    assert stranger.rcode() == dns.rcode.REFUSED


def test_a_name_moves_without_ever_being_empty(bench: Bench) -> None:
    serial = bench.serial()
    add = {"Name": "meet", "IPv4Address": NEW, "TimeToLive": "00:05:00"}
    assert not bench.run("Add-DnsServerResourceRecordA", **add).errors
    assert bench.values(f"meet.{DOMAIN}") == [OLD, NEW]
    again = bench.run("Add-DnsServerResourceRecordA", **add)
    assert again.errors[0].fqid == "WIN32 9711,Add-DnsServerResourceRecordA"
    remove = {"Name": "meet", "RRType": "A", "RecordData": OLD}
    assert "NonInteractive" in bench.run("Remove-DnsServerResourceRecord", **remove).errors[0].message
    assert not bench.run("Remove-DnsServerResourceRecord", **remove, Force=True).errors
    assert bench.values(f"meet.{DOMAIN}") == [NEW]
    gone = bench.run("Remove-DnsServerResourceRecord", **remove, Force=True)
    assert gone.errors[0].fqid == "WIN32 9714,Remove-DnsServerResourceRecord"
    assert bench.serial() == serial + 2
    found = bench.run("Get-DnsServerResourceRecord", Name="meet", RRType="A").outputs
    assert [(r["HostName"], r["RecordData"]["IPv4Address"]) for r in found] == [("meet", NEW)]
    assert [e["changing"] for e in bench.host.callbook.entries()] == [True] * 5 + [False]


def test_aliases_and_what_is_refused(bench: Bench) -> None:
    bench.zone.add(Record("join", "CNAME", f"meet.{DOMAIN}", 60))
    assert bench.values(f"join.{DOMAIN}") == [OLD]
    clash = bench.run("Add-DnsServerResourceRecordA", Name="join", IPv4Address=NEW)
    assert clash.errors[0].category == "ResourceExists"
    zone = bench.run("Get-DnsServerResourceRecord", ZoneName="other.local", Name="meet")
    assert zone.errors[0].fqid.startswith("WIN32 9601")
    elsewhere = bench.run("Get-DnsServerResourceRecord", Name="meet", ComputerName="dns1.ocsguy.local")
    assert "Failed to contact DNS server" in elsewhere.errors[0].message
    bad = bench.run("Add-DnsServerResourceRecordA", Name="meet", IPv4Address="10.20.0.999")
    assert "Cannot convert value" in bad.errors[0].message


def test_a_dark_or_silent_server_answers_nothing(bench: Bench) -> None:
    for dark in (True, False):
        if dark:
            bench.host.power.pull()
            bench.server.silence()
        else:
            bench.host.faults.arm({"kind": "dns_silent"})
        for tcp in (False, True):
            with pytest.raises(dns.exception.Timeout):
                bench.values(f"meet.{DOMAIN}", tcp=tcp)
        if dark:
            bench.host.power.restore()
            bench.server.resume()
        bench.host.faults.clear()
        assert bench.values(f"meet.{DOMAIN}") == [OLD]
        assert bench.values(f"meet.{DOMAIN}", tcp=True) == [OLD]
