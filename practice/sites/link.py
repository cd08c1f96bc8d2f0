"""The line between two sites: one JSON question per TCP connection, one JSON answer. All they know of each other."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from practice.host.listener import Listener
from practice.host.power import Power
from practice.sites.site import Silent


class SocketLink:
    """Asks the partner. A partner that was just found silent is asked in earnest only by the next heartbeat."""

    def __init__(self, power: Power, silence_s: float) -> None:
        self._power = power
        self._silence_s = silence_s
        self._partner: tuple[str, int] | None = None
        self._heard = time.monotonic()

    def connect(self, port: int) -> None:
        """Where the partner listens on loopback."""
        self._partner = ("127.0.0.1", port)

    @property
    def alive(self) -> bool:
        return time.monotonic() - self._heard < max(self._silence_s * 2, 0.5)

    def ask(self, kind: str, **body: Any) -> dict[str, Any]:
        if self._partner is None or not self._power.up or (kind != "exchange" and not self.alive):
            raise Silent
        try:
            with socket.create_connection(self._partner, self._silence_s) as line:
                line.settimeout(self._silence_s)
                line.sendall(json.dumps({"kind": kind, "body": body}).encode() + b"\n")
                with line.makefile("rb") as answers:
                    answer = answers.readline()
            told = json.loads(answer)
        except (OSError, ValueError):
            raise Silent from None
        self._heard = time.monotonic()
        return dict(told)


class LinkServer:
    """Answers the partner, unless the site is dark."""

    def __init__(self, answer: Callable[[str, Mapping[str, Any]], dict[str, Any]], power: Power, port: int = 0) -> None:
        self._answer = answer
        self._power = power
        self._listener = Listener(self._serve, port, "link")
        self.port = self._listener.port

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as questions:
            question = json.loads(questions.readline() or b"null")
        if question is None or not self._power.up:
            return
        answer = self._answer(question["kind"], question["body"])
        if self._power.up:
            connection.sendall(json.dumps(answer).encode() + b"\n")

    def start(self) -> None:
        self._listener.start()

    def silence(self) -> None:
        self._listener.silence()

    def resume(self) -> None:
        self._listener.resume()

    def close(self) -> None:
        self._listener.close()


class Heartbeat:
    """Lets the pair exchange what it knows, again and again, while there is power."""

    def __init__(self, beat: Callable[[], None], power: Power, every_s: float) -> None:
        self._beat = beat
        self._power = power
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            if self._power.up:
                self._beat()

    def close(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)
