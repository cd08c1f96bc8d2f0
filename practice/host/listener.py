"""A TCP listener that can fall silent, as a host without power does: no answer, and no refusal either.

A closed port is *refused* at once; a dead host lets the caller run into a time-out. On loopback the same is
reached by not accepting any more, shrinking the backlog and filling it: Linux then drops further SYNs
(listen(2), tcp_abort_on_overflow = 0).
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable

_BACKLOG = 128
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER 0: close() sends RST


class Listener:
    """Accepts on loopback and hands each connection to `serve` in a thread of its own."""

    def __init__(
        self,
        serve: Callable[[socket.socket], None],
        port: int = 0,
        name: str = "listener",
        wrap: Callable[[socket.socket], socket.socket] = lambda connection: connection,
    ) -> None:
        self._serve = serve
        self._wrap = wrap
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._name = name
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listening = threading.Event()
        self._listening.set()
        self._closed = False
        self._fillers: list[socket.socket] = []
        self._wake, self._woken = socket.socketpair()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._accept, name=f"{name}-accept", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _accept(self) -> None:
        while not self._closed:
            if not self._listening.is_set():
                self._idle.set()
                self._listening.wait()
                continue
            ready, _, _ = select.select([self._socket, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(64)
                continue
            try:
                connection, _ = self._socket.accept()
            except OSError:
                continue
            connection.setblocking(True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._wrap(connection)
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._handle, args=(connection,), name=self._name, daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except OSError:
            pass  # the peer went away, or we cut the line: both are ordinary here
        finally:
            with self._lock:
                self._open.discard(connection)
            with contextlib.suppress(OSError):
                connection.close()

    def silence(self) -> None:
        """Stop answering without refusing. Open connections stay open and must be kept mute by `serve`."""
        if not self._listening.is_set() or self._closed:
            return
        self._idle.clear()
        self._listening.clear()
        self._wake.send(b"x")
        self._idle.wait(5)
        self._socket.listen(0)
        for _ in range(_BACKLOG + 8):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.setblocking(False)
            self._fillers.append(filler)
            filler.connect_ex(("127.0.0.1", self.port))
            if not select.select([], [filler], [], 0.05)[1]:
                return  # this one is not let in: the backlog is full

    def resume(self) -> None:
        """Answer again; connections from before are reset, for the host has booted."""
        if self._listening.is_set() or self._closed:
            return
        self.cut()
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._socket.listen(_BACKLOG)
        self._listening.set()

    def cut(self) -> int:
        """Reset every open connection; returns how many there were."""
        with self._lock:
            victims = list(self._open)
        for connection in victims:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with contextlib.suppress(OSError):
                # The plain socket's shutdown, so that a TLS socket in use by another thread keeps its state.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        return len(victims)

    def close(self) -> None:
        """Stop for good."""
        self._closed = True
        self._listening.set()
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        if self._thread.is_alive():
            self._thread.join(5)
        self.cut()
        for each in (*self._fillers, self._socket, self._wake, self._woken):
            with contextlib.suppress(OSError):
                each.close()
