"""The trainer's page of one practice process, over plain HTTP on loopback. It is no part of the practised network.

GET  /log     every cmdlet as this host saw it, in order
GET  /state   what the host knows and how it stands
GET  /faults  what is armed
POST /plug    {"up": false} takes the power away, {"up": true} gives it back
POST /fault   arms a fault, see `practice.host.faults.KINDS`
POST /clear   disarms all faults
POST /set     changes what the trainer may change, see each process
POST /begin   puts everything back as it was built: state, power, faults; the log stays
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from practice.host.faults import Faults


class Control:
    """Serves the page for one process."""

    def __init__(
        self,
        *,
        log: Callable[[], list[dict[str, Any]]],
        state: Callable[[], Mapping[str, Any]],
        plug: Callable[[Mapping[str, Any]], None],
        faults: Faults,
        change: Callable[[Mapping[str, Any]], None] | None = None,
        begin: Callable[[], None] | None = None,
        port: int = 0,
    ) -> None:
        reading: dict[str, Callable[[], object]] = {"/log": log, "/state": state, "/faults": faults.armed}
        acting: dict[str, Callable[[Mapping[str, Any]], object]] = {
            "/plug": plug,
            "/fault": faults.arm,
            "/clear": lambda _: faults.clear(),
        }
        if change is not None:
            acting["/set"] = change
        if begin is not None:
            acting["/begin"] = lambda _: begin()
        self._server = _Server(("127.0.0.1", port), _handler(reading, acting))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="control", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5)
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking a resolver for our own name, as http.server would: that may take its time-out."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]


def _handler(
    reading: Mapping[str, Callable[[], object]], acting: Mapping[str, Callable[[Mapping[str, Any]], object]]
) -> type[BaseHTTPRequestHandler]:
    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def parse_request(self) -> bool:
            """A browser's page from elsewhere must not press these buttons: it would name its origin."""
            if not super().parse_request():
                return False
            if self.headers.get("Origin"):
                self.send_error(403, "Orders are taken from programs only.")
                return False
            return True

        def do_GET(self) -> None:
            read = reading.get(self.path)
            self._answer(200, read()) if read else self._answer(404, {"error": f"Nothing at {self.path}."})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            act = acting.get(self.path)
            if act is None:
                self._answer(404, {"error": f"Nothing at {self.path}."})
                return
            try:
                body = json.loads(self.rfile.read(length) or b"{}")
                if not isinstance(body, dict):
                    raise ValueError("The body must be a JSON object.")
                act(body)
            except (ValueError, TypeError, KeyError) as problem:
                self._answer(400, {"error": str(problem)})
                return
            self._answer(200, {"ok": True})

        def _answer(self, status: int, body: object) -> None:
            data = json.dumps(body, indent=1, default=str).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: the page is asked many times a second."""

    return Page
