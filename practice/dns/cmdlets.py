"""The DnsServer module's cmdlets (MicrosoftDocs/windows-powershell-docs, docset DnsServer) over one zone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from practice.dns.zone import Record, Zone
from practice.host.cmdlets import Bound, Cmdlet, Parameter, Turn
from practice.host.redtext import RedText

_DEFAULT_TTL_S = 3600
_DATA = {"A": "IPv4Address", "CNAME": "HostNameAlias"}


def _red(text: str, code: int, category: str, cmdlet: str, target: str) -> RedText:
    return RedText(
        text,
        f"WIN32 {code},{cmdlet}",
        category,
        target,
        "root/Microsoft/Windows/DNS/DnsServerResourceRecord",
        "Microsoft.Management.Infrastructure.CimException",
    )


class DnsCmdlets:
    """The cmdlets on the DNS server itself; `-ComputerName` may only name this server."""

    def __init__(self, zone: Zone, server: str) -> None:
        self._zone = zone
        self._server = server
        self._short = server.split(".", 1)[0].upper()

    def cmdlets(self) -> list[Cmdlet]:
        zone = Parameter("ZoneName", required=True)
        name = Parameter("Name", required=True)
        computer, scope = Parameter("ComputerName"), Parameter("ZoneScope")
        kind = Parameter("RRType")
        ttl, through = Parameter("TimeToLive", "TimeSpan"), Parameter("PassThru", "Switch")
        adding = (zone, name, ttl, through, computer, scope, Parameter("AllowUpdateAny", "Switch"))
        aging = (Parameter("AgeRecord", "Switch"), Parameter("CreatePtr", "Switch"))
        return [
            Cmdlet(
                "Get-DnsServerResourceRecord",
                (zone, Parameter("Name"), kind, computer, scope),
                self._get,
                "Get-DnsServerResourceRecord",
            ),
            Cmdlet(
                "Add-DnsServerResourceRecordA",
                (*adding, *aging, Parameter("IPv4Address", "IPAddress", required=True)),
                lambda turn, bound: self._add(turn, bound, "A"),
                "Add-DnsServerResourceRecordA",
                changes=True,
                should_process=True,
            ),
            Cmdlet(
                "Add-DnsServerResourceRecordCName",
                (*adding, aging[0], Parameter("HostNameAlias", required=True)),
                lambda turn, bound: self._add(turn, bound, "CNAME"),
                "Add-DnsServerResourceRecordCName",
                changes=True,
                should_process=True,
            ),
            Cmdlet(
                "Set-DnsServerResourceRecord",
                (
                    zone,
                    Parameter("NewInputObject", "CimInstance", required=True),
                    Parameter("OldInputObject", "CimInstance", required=True),
                    through,
                    computer,
                    scope,
                ),
                self._set,
                "Set-DnsServerResourceRecord",
                changes=True,
                should_process=True,
            ),
            Cmdlet(
                "Remove-DnsServerResourceRecord",
                (
                    zone,
                    name,
                    Parameter("RRType", required=True),
                    Parameter("RecordData", "String[]"),
                    Parameter("Force", "Switch"),
                    through,
                    computer,
                    scope,
                ),
                self._remove,
                "Remove-DnsServerResourceRecord",
                changes=True,
                should_process=True,
                prompts=True,
                quiet=("Force", "Confirm:$false"),
            ),
        ]

    def _check(self, bound: Bound, cmdlet: str) -> str:
        """The relative name, after the zone and the computer were found to be ours."""
        computer = str(bound.get("ComputerName", self._server)).lower()
        if computer not in (self._server.lower(), self._short.lower(), "localhost", "."):
            raise _red(f"Failed to contact DNS server {computer}.", 1722, "NotSpecified", cmdlet, computer)
        if bound["ZoneName"].rstrip(".").lower() != self._zone.origin.lower():
            text = f"The zone {bound['ZoneName']} was not found on server {self._short}."
            raise _red(text, 9601, "ObjectNotFound", cmdlet, self._short)
        return self._zone.relative(str(bound.get("Name", "")))

    def _get(self, turn: Turn, bound: Bound) -> None:
        cmdlet = "Get-DnsServerResourceRecord"
        name = self._check(bound, cmdlet)
        kind = str(bound.get("RRType", "")).upper()
        turn.pause("dns_read")
        if bound.has("Name"):
            found = self._zone.find(name, kind)
        else:
            names = self._zone.state()["records"]
            found = [r for each in names for r in self._zone.find(each, kind)]
        if not found and bound.has("Name"):
            text = f"Failed to get {bound['Name']} record in {self._zone.origin} zone on {self._short} server."
            raise _red(text, 9714, "ObjectNotFound", cmdlet, bound["Name"])
        for record in found:
            turn.output(_as_object(record))

    def _add(self, turn: Turn, bound: Bound, kind: str) -> None:
        cmdlet = "Add-DnsServerResourceRecord" + ("A" if kind == "A" else "CName")
        name = self._check(bound, cmdlet)
        turn.pause("dns_write")
        ttl = bound.get("TimeToLive", timedelta(seconds=_DEFAULT_TTL_S))
        record = Record(name, kind, str(bound[_DATA[kind]]), int(ttl.total_seconds()))
        # An alias stands alone: it can neither join other data nor be joined by it (RFC 1034, 3.6.2).
        clash = self._zone.find(name) if kind == "CNAME" else self._zone.find(name, "CNAME")
        if clash or not self._zone.add(record):
            text = f"Failed to create resource record {name} in zone {self._zone.origin} on server {self._short}."
            code = 9709 if clash else 9711
            raise _red(text, code, "ResourceExists", cmdlet, name)
        if bound.has("PassThru"):
            turn.output(_as_object(record))

    def _set(self, turn: Turn, bound: Bound) -> None:
        raise AssertionError("CIM objects cannot arrive over the runner's wire; binding refuses them")

    def _remove(self, turn: Turn, bound: Bound) -> None:
        cmdlet = "Remove-DnsServerResourceRecord"
        name = self._check(bound, cmdlet)
        turn.pause("dns_write")
        data = bound.get("RecordData")
        gone = sum(self._zone.remove(name, bound["RRType"], value) for value in data or [None])
        if not gone:
            text = f"Failed to get {bound['Name']} record in {self._zone.origin} zone on {self._short} server."
            raise _red(text, 9714, "ObjectNotFound", cmdlet, name)


def _as_object(record: Record) -> dict[str, Any]:
    return {
        "HostName": record.name,
        "RecordType": record.type,
        "Timestamp": None,
        "TimeToLive": timedelta(seconds=record.ttl),
        "RecordData": {_DATA.get(record.type, "Data"): record.value},
    }
