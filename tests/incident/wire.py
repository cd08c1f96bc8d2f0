"""A wire between client and store that can lose a request, an answer, or go dead."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

Fault = Literal["lose the answer", "lose the request", "answer nothing"]


class Wire:
    """Listens on loopback and passes bytes on to a unix socket. Use as a context."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._then: Callable[[], None] | None = None
        self.appends = 0
        """Requests to append that were seen."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def next_append(self, fault: Fault, then: Callable[[], None] | None = None) -> None:
        """The next append meets this fault, and then something else happens before the client can try again."""
        self._fault, self._then = fault, then

    def cut(self) -> None:
        """Nobody listens any more, and every connection ends."""
        # A blocked accept() keeps the socket listening after close(); shutdown wakes it.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                with self._lock:
                    self._open += [client, server]
                threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """One request, one answer: the client of an append waits for each."""
        with suppress(OSError), client, server:
            while request := client.recv(1 << 20):
                if not self._pass_on(request, client, server):
                    return

    def _pass_on(self, request: bytes, client: socket.socket, server: socket.socket) -> bool:
        is_append = b"EVALSHA" in request
        self.appends += is_append
        fault = self._fault if is_append else None
        if fault is not None:
            self._fault = None
        if fault != "lose the request":
            server.sendall(request)
            answer = server.recv(1 << 20)
            if fault is None or answer.startswith(b"-NOSCRIPT"):
                self._fault = fault or self._fault
                client.sendall(answer)
                return True
        if self._then is not None:
            self._then()
        if fault == "answer nothing":
            client.recv(1)
        return False
