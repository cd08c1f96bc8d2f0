"""Questions to named DNS servers: what each of them answers itself, with its time to live.

Every server is asked by address, never through the resolver of this host, which may hold the old answer or point at
the site that is lost. First over UDP, then over TCP where the answer was cut or did not come.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
from dns.rdatatype import RdataType

UDP_SHARE = 0.5
"""Part of the time limit that the first way may use up; the rest is left for TCP."""


@dataclass(frozen=True)
class Answered:
    """A server's own answer: values in text form, sorted, names without a final dot. No values: the name has no record
    of this type (or does not exist). `ttl` in seconds; of several the smallest; None without values."""

    server: str
    name: str
    type: str
    values: tuple[str, ...]
    ttl: int | None
    exists: bool = True
    authoritative: bool = True
    ms: int = 0


@dataclass(frozen=True)
class NoAnswer:
    """The server did not answer the question, so nothing is known about the record."""

    server: str
    name: str
    type: str
    sentence: str


@dataclass(frozen=True)
class Question:
    """One question to one server. `address` is an IP address, `server` the name people know it by."""

    server: str
    address: str
    port: int
    name: str
    type: str = "A"


def ask(question: Question, timeout_s: float = 3.0) -> Answered | NoAnswer:
    """Asks once; back within `timeout_s` seconds, never raises."""
    began = time.monotonic()
    try:
        query = dns.message.make_query(dns.name.from_text(question.name), question.type, flags=0)
    except (dns.exception.DNSException, ValueError) as error:
        return _no_answer(
            question, f"{question.name!r} {question.type} is no question for DNS ({type(error).__name__})"
        )
    try:
        reply = _over_both(query, question, began + timeout_s)
    except dns.exception.Timeout:
        return _no_answer(
            question, f"{question.server} did not answer for {question.name} within {timeout_s:g} s, over UDP and TCP"
        )
    except ConnectionRefusedError:
        return _no_answer(question, f"{question.server} refuses DNS questions on port {question.port}")
    except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
        return _no_answer(question, f"{question.server} gave no usable answer for {question.name} ({_why(error)})")
    return _read(question, reply, int((time.monotonic() - began) * 1000))


def ask_all(questions: Sequence[Question], timeout_s: float = 3.0) -> tuple[Answered | NoAnswer, ...]:
    """Asks all at once; answers in the order of the questions, all within `timeout_s` seconds."""
    if not questions:
        return ()
    with ThreadPoolExecutor(max_workers=min(16, len(questions)), thread_name_prefix="dns") as pool:
        # With more questions than threads some wait for their turn: each turn gets its share of the time.
        turns = -(-len(questions) // 16)
        return tuple(pool.map(lambda q: ask(q, timeout_s / turns), questions))


def _over_both(query: dns.message.QueryMessage, question: Question, until: float) -> dns.message.Message:
    where = question.address
    first_until = time.monotonic() + (until - time.monotonic()) * UDP_SHARE
    try:
        reply = dns.query.udp(
            query, where, _left(first_until), port=question.port, ignore_errors=True, ignore_unexpected=True
        )
        if not reply.flags & dns.flags.TC:
            return reply
    except (dns.exception.Timeout, OSError):
        pass  # a firewall that lets only TCP through, or a server that is gone: TCP tells
    return dns.query.tcp(query, where, _left(until), port=question.port)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise dns.exception.Timeout
    return left


def _read(question: Question, reply: dns.message.Message, ms: int) -> Answered | NoAnswer:
    code = reply.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        said = dns.rcode.to_text(code)
        return _no_answer(
            question, f"{question.server} answered {said} for {question.name}, so its record is not known"
        )
    wanted = RdataType.make(question.type)
    values: set[str] = set()
    ttls: list[int] = []
    for rrset in reply.answer:
        # An alias is followed as far as the server itself did: its target's records stand in the same answer.
        if rrset.rdtype == wanted or rrset.rdtype == RdataType.CNAME:
            ttls.append(int(rrset.ttl))
        if rrset.rdtype == wanted:
            values |= {item.to_text().rstrip(".") for item in rrset}
    authoritative = bool(reply.flags & dns.flags.AA)
    return Answered(
        server=question.server,
        name=question.name,
        type=question.type,
        values=tuple(sorted(values)),
        ttl=min(ttls) if ttls and values else None,
        exists=code != dns.rcode.NXDOMAIN,
        authoritative=authoritative,
        ms=ms,
    )


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _no_answer(question: Question, what: str) -> NoAnswer:
    return NoAnswer(question.server, question.name, question.type, f"{what}.")
