"""Questions to DNS servers that answer, cut, lie, refuse or stay silent."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from workers.remote.dns import Answered, NoAnswer, Question, ask, ask_all

NAME = "meet.ocsguy.local"
Reply = Callable[[dns.message.Message, bool], dns.message.Message]


def answer(query: dns.message.Message, tcp: bool) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    asked = query.question[0].name
    if str(asked).startswith("nobody"):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif str(asked).startswith("big") and not tcp:
        reply.flags |= dns.flags.TC
    elif str(asked).startswith("broken"):
        reply.set_rcode(dns.rcode.SERVFAIL)
    else:
        reply.answer.append(dns.rrset.from_text(asked, 300, "IN", "A", "10.1.2.3", "10.0.0.9"))
    return reply


def one_port() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket bound to one number of the loopback; other tests take ports at the same time."""
    while True:
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        tcp.bind(("127.0.0.1", 0))
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        return udp, tcp


@contextmanager
def server(reply: Reply = answer) -> Iterator[int]:
    """A DNS server on one loopback port, UDP and TCP; ends when its sockets are closed."""
    udp, tcp = one_port()
    tcp.listen(8)

    def serve_udp() -> None:
        while True:
            try:
                data, peer = udp.recvfrom(4096)
                udp.sendto(reply(dns.message.from_wire(data), False).to_wire(), peer)
            except OSError:
                return

    def serve_tcp() -> None:
        while True:
            try:
                conn, _ = tcp.accept()
            except OSError:
                return
            with conn:
                size = struct.unpack("!H", conn.recv(2))[0]
                wire = reply(dns.message.from_wire(conn.recv(size)), True).to_wire()
                conn.sendall(struct.pack("!H", len(wire)) + wire)

    for serve in (serve_udp, serve_tcp):
        threading.Thread(target=serve, daemon=True).start()
    try:
        yield tcp.getsockname()[1]
    finally:
        for one in (udp, tcp):
            one.shutdown(socket.SHUT_RDWR) if one is tcp else None
            one.close()


def test_values_ttl_and_absence() -> None:
    with server() as port:
        names = (NAME, f"nobody.{NAME}", f"big.{NAME}", f"broken.{NAME}", "not a..name")
        got = ask_all([Question("dns2", "127.0.0.1", port, name) for name in names])
    found, nobody, big, broken, nonsense = got
    assert isinstance(found, Answered)
    assert (found.values, found.ttl, found.authoritative) == (("10.0.0.9", "10.1.2.3"), 300, True)
    assert isinstance(nobody, Answered)
    assert (nobody.values, nobody.ttl, nobody.exists) == ((), None, False)
    assert isinstance(big, Answered)
    assert big.values == found.values
    assert isinstance(broken, NoAnswer)
    assert broken.sentence == f"dns2 answered SERVFAIL for broken.{NAME}, so its record is not known."
    assert isinstance(nonsense, NoAnswer)


def test_a_silent_or_closed_server_is_unknown_in_time() -> None:
    udp, tcp = one_port()
    with udp, tcp, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        tcp.listen(1)
        began = time.monotonic()
        silent = ask(Question("dns1", "127.0.0.1", udp.getsockname()[1], NAME), 0.8)
        assert time.monotonic() - began < 2
        assert isinstance(silent, NoAnswer)
        assert silent.sentence == f"dns1 did not answer for {NAME} within 0.8 s, over UDP and TCP."
        refused = ask(Question("dns1", "127.0.0.1", closed.getsockname()[1], NAME), 0.8)
        assert isinstance(refused, NoAnswer)
        assert "refuses DNS questions" in refused.sentence
