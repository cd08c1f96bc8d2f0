"""The wire of the DNS server: UDP and TCP on one loopback port (RFC 1035, RFC 7766)."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

import dns.exception
import dns.message

from practice.dns.zone import Zone
from practice.host.faults import Faults
from practice.host.listener import Listener
from practice.host.power import Power


class DnsServer:
    """Answers for one zone. Without power, or while `dns_silent` is armed, it answers nothing and refuses nothing."""

    def __init__(self, zone: Zone, power: Power, faults: Faults, port: int = 0) -> None:
        self._zone = zone
        self._power = power
        self._faults = faults
        self._tcp, self._udp = _one_port(self._serve_tcp, port)
        self.port = self._tcp.port
        self._closed = False
        self._thread = threading.Thread(target=self._serve_udp, name="dns-udp", daemon=True)

    def start(self) -> None:
        self._tcp.start()
        self._thread.start()

    def silence(self) -> None:
        self._tcp.silence()

    def resume(self) -> None:
        self._tcp.resume()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wake:
            wake.sendto(b"", ("127.0.0.1", self.port))
        if self._thread.is_alive():
            self._thread.join(5)
        self._udp.close()
        self._tcp.close()

    def _mute(self) -> bool:
        return not self._power.up or self._faults.lasting("dns_silent")

    def _answer(self, wire: bytes) -> dns.message.Message | None:
        try:
            return self._zone.answer(dns.message.from_wire(wire))
        except dns.exception.DNSException:
            return None  # not a question; a DNS server drops it

    def _serve_udp(self) -> None:
        while not self._closed:
            wire, sender = self._udp.recvfrom(65535)
            answer = self._answer(wire) if wire and not self._mute() else None
            if answer is not None:
                with contextlib.suppress(OSError):
                    self._udp.sendto(_fitting(answer, wire), sender)

    def _serve_tcp(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with connection.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                answer = self._answer(stream.read(struct.unpack("!H", head)[0]))
                if answer is None:
                    return
                while self._mute() and not self._power.ended:
                    self._faults.cleared.wait(0.1)
                wire = answer.to_wire(max_size=65535)
                connection.sendall(struct.pack("!H", len(wire)) + wire)


def _fitting(answer: dns.message.Message, question: bytes) -> bytes:
    """The answer in a datagram, truncated with TC set when the caller's buffer is too small."""
    size = max(512, min(dns.message.from_wire(question).payload or 512, 1232))
    try:
        return answer.to_wire(max_size=size)
    except dns.exception.TooBig:
        answer.answer.clear()
        answer.authority.clear()
        answer.flags |= 0x0200
        return answer.to_wire(max_size=size)


def _one_port(serve_tcp, port: int) -> tuple[Listener, socket.socket]:  # type: ignore[no-untyped-def]
    """A TCP listener and a UDP socket on the same number; a free one is looked for when `port` is 0."""
    for _ in range(50):
        tcp = Listener(serve_tcp, port, "dns-tcp")
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(("127.0.0.1", tcp.port))
        except OSError:
            udp.close()
            tcp.close()
            if port:
                raise
            continue
        return tcp, udp
    raise OSError("no loopback port is free for both UDP and TCP")
