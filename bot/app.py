"""The two doors through which Slack comes in: Socket Mode and HTTP. Both end in the conversation.

A listener acknowledges at once and hands the work to a pool of its own, because Slack waits three seconds and Bolt's
listeners share five threads by default. Only a submitted dialog is answered before it is acknowledged, since its
errors travel in the acknowledgement.

Over HTTP the signature is checked on the raw body before anything is parsed; a body that was seen before is ignored
(Slack docs, "Verifying requests from Slack"; the library accepts a replay within five minutes).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from slack_bolt import App, BoltRequest
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.socket_mode.internals import run_bolt_app
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.conversation import Conversation, first_field
from bot.draw import dialogs
from bot.draw.answers import say
from bot.draw.reader import Reader
from bot.identity import Ask
from bot.notes import Notes
from bot.web import CannotListen, Me, respond
from incident.journal import JournalError

log: Final = logging.getLogger("lync-dr.app")

LISTENERS: Final = 24
WORKERS: Final = 32
DISPATCHERS: Final = 8
SEEN_S: Final = 900
"""How long an envelope, an event or a body is remembered; Slack redelivers for about six minutes."""
BODY_BYTES: Final = 1_000_000

Refuse = Callable[[str, str], None]
"""Writes down a refused request: its reason (forged, replayed) and a sentence."""


class Doors:
    """Bolt, its listeners, and the pool that does the work."""

    def __init__(
        self, client: WebClient, me: Me, conversation: Conversation, reader: Reader, ask: Ask, notes: Notes
    ) -> None:
        self._conversation, self._reader, self._ask, self._notes = conversation, reader, ask, notes
        self._work = ThreadPoolExecutor(WORKERS, thread_name_prefix="work")
        self._dispatch = ThreadPoolExecutor(DISPATCHERS, thread_name_prefix="dispatch")
        self.app = App(
            # Without a token of its own: Bolt would say that it is ignored beside `authorize`.
            client=WebClient(base_url=client.base_url, timeout=client.timeout, retry_handlers=[]),
            authorize=lambda **_: AuthorizeResult(
                enterprise_id=me.enterprise or None, team_id=me.team, bot_user_id=me.user, bot_id=me.bot,
                bot_token=client.token,
            ),
            request_verification_enabled=False,
            listener_executor=ThreadPoolExecutor(LISTENERS, thread_name_prefix="listen"),
        )  # fmt: skip
        self.app.command(re.compile(".*"))(self._on_command)
        self.app.action(re.compile(".*"))(self._on_action)
        self.app.view(re.compile(".*"))(self._on_view)
        self.app.view_closed(re.compile(".*"))(lambda ack: ack())
        self.app.event("app_home_opened")(lambda: None)

    def stop(self) -> None:
        """Finish what is in hand."""
        self._dispatch.shutdown(wait=True)
        # What was acknowledged is also carried out and answered: whoever pressed waits for it.
        self._work.shutdown(wait=True)

    # --- listeners ----------------------------------------------------------------------------------------

    def _on_command(self, ack: Any, body: dict[str, Any]) -> None:
        ack()
        channel, user = str(body.get("channel_id") or ""), str(body.get("user_id") or "")
        reply = respond(self._reader, self._ask, str(body.get("response_url") or ""), user, channel)
        self._later(lambda: self._conversation.command(body, reply), reply)

    def _on_action(self, ack: Any, body: dict[str, Any]) -> None:
        ack()
        channel = str((body.get("channel") or {}).get("id") or (body.get("container") or {}).get("channel_id") or "")
        user = str((body.get("user") or {}).get("id") or "")
        reply = respond(self._reader, self._ask, str(body.get("response_url") or ""), user, channel)
        self._later(lambda: self._conversation.click(body, reply), reply)

    def _on_view(self, ack: Any, body: dict[str, Any]) -> None:
        try:
            errors = self._conversation.submission(body, lambda url, user: respond(self._reader, self._ask, url, user))
        except Exception:
            # The dialog must not close as if all were well.
            log.exception("A dialog could not be carried out")
            self._not_certain(ack, body)
            return
        if errors:
            ack(response_action="errors", errors=dict(errors))
        else:
            ack()

    def _not_certain(self, ack: Any, body: dict[str, Any]) -> None:
        """A dialog that failed stays open and says so, and so does a direct message."""
        text = "Nothing is certain: something failed on our side. Look at the card before you try again."
        view, user = body.get("view") or {}, str((body.get("user") or {}).get("id") or "")
        if field := first_field(view):
            ack(response_action="errors", errors={field: text})
        else:
            ack(response_action="update", view=dialogs.note("Nothing is certain", [text]))
        self._work.submit(respond(self._reader, self._ask, "", user), say(text))

    def _later(self, work: Callable[[], None], reply: Callable[[Any], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception:
                log.exception("A command or click could not be carried out")
                reply(
                    say(
                        "Something went wrong on our side; the bot's log has it. Nothing is certain: look at the "
                        "board, then try again."
                    )
                )

        self._work.submit(run)

    def dispatch_later(self, req: SocketModeRequest) -> None:
        """Hand an acknowledged envelope to Bolt, unless it was seen before."""

        def run() -> None:
            try:
                if not self.first(f"envelope:{req.envelope_id}"):
                    return
                run_bolt_app(self.app, req)
            except Exception:
                log.exception("An envelope could not be dispatched")

        self._dispatch.submit(run)

    # --- seen before --------------------------------------------------------------------------------------

    def first(self, key: str) -> bool:
        """True the first time; also true while the notes cannot be asked, because the desk decides anyway."""
        try:
            return self._notes.once(key, SEEN_S)
        except JournalError as bad:
            log.warning("Whether a request was seen before cannot be told: %s", bad)
            return True


class Socket(SocketModeHandler):
    """Socket Mode. An envelope or event that was seen before is acknowledged and left."""

    def __init__(self, doors: Doors, app_token: str) -> None:
        super().__init__(doors.app, app_token)
        self._doors = doors
        self._leaving = False

    def leave(self) -> None:
        """Hang up at once.

        The client's own `close` first waits up to three seconds for its receiving thread; shutting the socket down
        wakes that thread, and tells Slack that nothing is taken here any more.
        """
        self._leaving = True
        self.client.closed = True
        self.client.auto_reconnect_enabled = False
        session = self.client.current_session
        if session is not None and session.sock is not None:
            with contextlib.suppress(OSError):
                session.sock.shutdown(socket.SHUT_RDWR)
        self.client.close()

    def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        """One envelope. Bolt acknowledges through its listeners."""
        if self._leaving:
            # Not acknowledged: Slack says so to the person, who presses again and reaches another bot.
            return
        event = str((req.payload or {}).get("event_id") or "") if isinstance(req.payload, dict) else ""
        if req.type == "slash_commands" or (req.payload or {}).get("type") == "block_actions":
            # Nothing travels in these acknowledgements, so none waits for its turn behind another's listeners.
            client.send_socket_mode_response(SocketModeResponse(envelope_id=req.envelope_id))
            self._doors.dispatch_later(req)
            return
        if not self._doors.first(f"envelope:{req.envelope_id}") or (event and not self._doors.first(f"event:{event}")):
            client.send_socket_mode_response(SocketModeResponse(envelope_id=req.envelope_id))
            return
        super().handle(client, req)


class HttpDoor:
    """HTTP mode on one address, for an installation behind its own reverse proxy with TLS."""

    def __init__(self, doors: Doors, signing_secret: str, listen: tuple[str, int], refuse: Refuse) -> None:
        verifier = SignatureVerifier(signing_secret)

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            timeout = 10

            def do_POST(self) -> None:
                body = self._body()
                if body is None:
                    return
                headers = {k.lower(): v for k, v in self.headers.items()}
                if not genuine(verifier, body, headers):
                    refuse("forged", "A request without Slack's signature, or with an old one, was refused.")
                    self._answer(401, b"not signed by Slack")
                    return
                if not doors.first(f"body:{hashlib.sha256(body + headers['x-slack-signature'].encode()).hexdigest()}"):
                    refuse("replayed", "A request that was seen before was ignored.")
                    self._answer(200, b"")
                    return
                request = BoltRequest(body=body.decode("utf-8", "replace"), headers=dict(self.headers.items()))
                said = doors.app.dispatch(request)
                self._answer(said.status, (said.body or "").encode(), said.headers)

            def _body(self) -> bytes | None:
                length = self.headers.get("Content-Length", "")
                if not re.fullmatch("[0-9]{1,9}", length) or int(length) > BODY_BYTES:
                    self._answer(413, b"too long")
                    return None
                return self.rfile.read(int(length))

            def _answer(self, status: int, body: bytes, headers: Mapping[str, Any] | None = None) -> None:
                self.send_response(status)
                kind = (headers or {}).get("content-type", ["text/plain"])
                self.send_header("Content-Type", kind[0] if isinstance(kind, list) else str(kind))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                log.debug(format, *args)

        try:
            self._server = ThreadingHTTPServer(listen, Handler)
        except OSError as taken:
            raise CannotListen(
                f"LYNC_DR_HTTP_LISTEN: cannot listen on {listen[0]}:{listen[1]} ({taken.strerror or 'unknown name'}). "
                "Free the address or name another one. Nothing was started."
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def genuine(verifier: SignatureVerifier, body: bytes, headers: Mapping[str, str]) -> bool:
    """Slack's signature over the raw body, and a time within five minutes; anything malformed is not genuine."""
    try:
        return verifier.is_valid_request(body, dict(headers))
    except (ValueError, TypeError, UnicodeError):
        # The library reads the timestamp as a number without looking first.
        return False
