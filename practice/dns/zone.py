"""One authoritative zone in memory. Every change raises the SOA serial (RFC 1912, 2.2)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass(frozen=True)
class Record:
    """One value of one name. `name` is relative to the zone, `@` for the zone itself; TTL in seconds."""

    name: str
    type: str
    value: str
    ttl: int


class Zone:
    """Records by name and type. Names and values compare without regard to case."""

    def __init__(self, origin: str, server: str, records: Iterable[Record], serial: int = 2012110501) -> None:
        self.origin = origin
        self.serial = serial
        self._server = server
        self._first = list(records)
        self._records = list(self._first)
        self._lock = threading.Lock()

    def begin(self) -> None:
        """The records as they were at first; the serial goes on."""
        with self._lock:
            self._records = list(self._first)
            self.serial += 1

    def find(self, name: str, kind: str = "") -> list[Record]:
        """Records of a relative name, of one type if given."""
        with self._lock:
            return [r for r in self._records if r.name.lower() == name.lower() and kind.lower() in ("", r.type.lower())]

    def add(self, record: Record) -> bool:
        """Add one value; False when exactly this value is there already."""
        with self._lock:
            same = (record.name.lower(), record.type, record.value.lower())
            if any((r.name.lower(), r.type, r.value.lower()) == same for r in self._records):
                return False
            self._records.append(record)
            self.serial += 1
            return True

    def remove(self, name: str, kind: str, value: str | None) -> int:
        """Remove one value, or all of that name and type; how many went."""
        with self._lock:
            doomed = [
                r
                for r in self._records
                if r.name.lower() == name.lower()
                and r.type.lower() == kind.lower()
                and (value is None or r.value.lower().rstrip(".") == value.lower().rstrip("."))
            ]
            if doomed:
                self._records = [r for r in self._records if r not in doomed]
                self.serial += 1
            return len(doomed)

    def relative(self, name: str) -> str:
        """`meet.ocsguy.local.` and `meet` are the same name here."""
        bare = name.rstrip(".")
        if bare.lower() == self.origin.lower():
            return "@"
        suffix = "." + self.origin.lower()
        return bare[: -len(suffix)] if bare.lower().endswith(suffix) else bare

    def state(self) -> dict[str, Any]:
        with self._lock:
            names: dict[str, dict[str, list[str]]] = {}
            for r in self._records:
                names.setdefault(r.name, {}).setdefault(r.type, []).append(r.value)
            return {"zone": self.origin, "serial": self.serial, "records": names}

    # Answers

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """The authoritative answer to one question."""
        response = dns.message.make_response(query, our_payload=1232)
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
            return response
        question = query.question[0]
        origin = dns.name.from_text(self.origin)
        if not question.name.is_subdomain(origin):
            response.set_rcode(dns.rcode.REFUSED)
            return response
        response.flags |= dns.flags.AA
        self._fill(response, question.name, dns.rdatatype.to_text(question.rdtype))
        return response

    def _fill(self, response: dns.message.Message, name: dns.name.Name, kind: str) -> None:
        for _ in range(8):  # a chain of aliases longer than this is a mistake
            relative = self.relative(name.to_text())
            every = self.find(relative)
            matching = every if kind == "ANY" else [r for r in every if r.type == kind]
            if relative == "@" and kind in ("SOA", "NS"):
                response.answer.append(self._soa() if kind == "SOA" else self._ns())
                return
            if matching:
                response.answer.extend(self._rrsets(name, matching))
                return
            alias = [r for r in every if r.type == "CNAME"]
            if not alias:
                if not every and relative != "@" and not response.answer:
                    response.set_rcode(dns.rcode.NXDOMAIN)
                response.authority.append(self._soa())
                return
            response.answer.extend(self._rrsets(name, alias))
            name = dns.name.from_text(alias[0].value)
            if not name.is_subdomain(dns.name.from_text(self.origin)):
                return

    @staticmethod
    def _rrsets(name: dns.name.Name, records: Iterable[Record]) -> list[dns.rrset.RRset]:
        by_type: dict[str, list[Record]] = {}
        for record in records:
            by_type.setdefault(record.type, []).append(record)
        return [
            dns.rrset.from_text(name, min(r.ttl for r in of_type), "IN", kind, *(_absolute(r) for r in of_type))
            for kind, of_type in by_type.items()
        ]

    def _soa(self) -> dns.rrset.RRset:
        text = f"{self._server}. hostmaster.{self.origin}. {self.serial} 900 600 86400 60"
        return dns.rrset.from_text(self.origin + ".", 3600, "IN", "SOA", text)

    def _ns(self) -> dns.rrset.RRset:
        return dns.rrset.from_text(self.origin + ".", 3600, "IN", "NS", self._server + ".")


def _absolute(record: Record) -> str:
    return record.value.rstrip(".") + "." if record.type == "CNAME" else record.value


def first_records(names: Iterable[str], address: str, hosts: Mapping[str, str], ttl: int) -> list[Record]:
    """The zone before anything happened: simple names at one address, and the hosts themselves."""
    simple = [Record(name, "A", address, ttl) for name in names]
    return simple + [Record(name, "A", value, 3600) for name, value in hosts.items()]
