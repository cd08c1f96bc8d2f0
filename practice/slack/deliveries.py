"""How commands, clicks, forms and events reach the app, and what happens when it does not answer.

Socket Mode (Slack API, "Using Socket Mode"): every payload goes over exactly one open connection of the app,
chosen in turn; the app acknowledges the envelope within three seconds or the person sees an error. Commands
and interactions are never delivered again; events are, three times (at once, after a minute, after five).
HTTP mode sends the same payloads as signed requests ("Verifying requests from Slack").
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from .faults import Faults
from .workspace import Refused, Workspace
from .world import App

SOCKETS = 10
TICKET_SECONDS = 30.0


@dataclass(frozen=True)
class Ack:
    """What came back for one delivery: acknowledged or not, after how long, with which answer."""

    ok: bool
    ms: float
    error: str = ""
    answer: dict[str, Any] = field(default_factory=dict)


class Deliveries:
    """All open sockets of all apps, and the one way out to an app."""

    def __init__(
        self,
        space: Workspace,
        faults: Faults,
        ack_seconds: float = 3.0,
        retries: tuple[float, ...] = (0, 60, 300),
    ) -> None:
        self.space = space
        self.faults = faults
        self.ack_seconds = ack_seconds
        self.retries = retries
        self.sockets: dict[str, list[web.WebSocketResponse]] = {}
        self.tickets: dict[str, tuple[str, float]] = {}
        self.waiting: dict[str, list[asyncio.Future[dict[str, Any]]]] = {}
        self.turn = 0
        self.envelopes: dict[str, tuple[str, str, dict[str, Any]]] = {}

    # --- sockets -----------------------------------------------------------------------------------------

    def new_ticket(self, app_id: str) -> str:
        """Hand out the one-time secret of a socket address."""
        ticket = secrets.token_urlsafe(24)
        self.tickets[ticket] = (app_id, time.monotonic() + TICKET_SECONDS)
        return ticket

    async def serve_socket(self, request: web.Request) -> web.StreamResponse:
        """Serve one Socket Mode connection until it ends."""
        app_id, until = self.tickets.pop(request.query.get("ticket", ""), ("", 0.0))
        if not app_id or time.monotonic() > until:
            return web.Response(status=404, text="invalid or used ticket")
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        mine = self.sockets.setdefault(app_id, [])
        if len(mine) >= SOCKETS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets", "debug_info": {}})
            await socket.close()
            return socket
        mine.append(socket)
        entry = self.space.note("socket", app=app_id, event="open", connections=len(mine))
        try:
            await socket.send_json(
                {
                    "type": "hello",
                    "num_connections": len(mine),
                    "connection_info": {"app_id": app_id},
                    "debug_info": {
                        "host": "practice",
                        "build_number": 1,
                        "approximate_connection_time": 18060,
                    },
                }
            )
            self.space.changed()
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._answered(message.data)
        finally:
            mine.remove(socket)
            self.space.note("socket", app=app_id, event="closed", connections=len(mine), opened=entry["n"])
            self.space.changed()
        return socket

    def _answered(self, raw: str) -> None:
        try:
            data = json.loads(raw)
            envelope_id = data["envelope_id"]
        except (ValueError, KeyError, TypeError):
            self.space.note("socket", event="unreadable", text=raw[:200])
            return
        futures = self.waiting.get(envelope_id, [])
        for future in futures:
            if not future.done():
                if self.faults.lose_acks > 0:
                    self.faults.lose_acks -= 1
                    self.space.note("ack", envelope_id=envelope_id, outcome="lost")
                    return
                answer = data.get("payload")
                future.set_result(answer if isinstance(answer, dict) else {})
                return
        self.space.note("ack", envelope_id=envelope_id, outcome="late or unknown")

    async def disconnect(self, reason: str) -> None:
        """Tell every connection to go away, as Slack does every few hours; ``""`` drops them silently."""
        for socket in [one for some in self.sockets.values() for one in some]:
            if reason:
                await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "practice"}})
            else:
                self.space.start(socket.close(code=aiohttp.WSCloseCode.GOING_AWAY))

    # --- deliveries --------------------------------------------------------------------------------------

    async def deliver(self, app: App, kind: str, payload: dict[str, Any], envelope_id: str = "") -> Ack:
        """Deliver one payload (``slash_commands``, ``interactive``) and wait for its acknowledgement."""
        envelope_id = envelope_id or str(uuid.uuid4())
        self.envelopes[envelope_id] = (app.id, kind, payload)
        if self.faults.delivery_delay_s:
            await asyncio.sleep(self.faults.delivery_delay_s)
        twice = self.faults.duplicate > 0
        self.faults.duplicate -= 1 if twice else 0
        first: asyncio.Task[Ack] = self.space.start(self._once(app, kind, payload, envelope_id))
        if twice:
            await asyncio.gather(first, self._once(app, kind, payload, envelope_id))
        return await first

    async def event(self, app: App, event: dict[str, Any]) -> None:
        """Deliver an event, again and again until it is acknowledged or the retries are used up."""
        payload = {
            "token": "practice",
            "team_id": self.space.world.team_id,
            "api_app_id": app.id,
            "type": "event_callback",
            "event_id": f"Ev0{secrets.token_hex(5).upper()}",
            "event_time": int(time.time()),
            "event": event,
            "authorizations": [{"team_id": self.space.world.team_id, "user_id": app.bot_user, "is_bot": True}],
        }
        ack = await self._once(app, "events_api", payload, str(uuid.uuid4()))
        for attempt, delay in enumerate(self.retries, start=1):
            if ack.ok:
                return
            await asyncio.sleep(delay)
            reason = "timeout" if ack.error == "operation_timeout" else "connection_failed"
            ack = await self._once(app, "events_api", payload, str(uuid.uuid4()), attempt, reason)

    async def _once(
        self,
        app: App,
        kind: str,
        payload: dict[str, Any],
        envelope_id: str,
        attempt: int = 0,
        reason: str = "",
    ) -> Ack:
        began = time.monotonic()
        entry = self.space.note(
            "delivery", app=app.id, type=kind, envelope_id=envelope_id, what=_what(kind, payload),
            user=_who(payload), attempt=attempt, outcome="waiting", ack_ms=None,
        )  # fmt: skip
        if app.mode == "http":
            ack = await self._over_http(app, kind, payload, attempt, reason, began)
        else:
            ack = await self._over_socket(app, kind, payload, envelope_id, attempt, reason, began)
        entry.update(outcome="acked" if ack.ok else ack.error, ack_ms=round(ack.ms, 1))
        return ack

    async def _over_socket(
        self,
        app: App,
        kind: str,
        payload: dict[str, Any],
        envelope_id: str,
        attempt: int,
        reason: str,
        began: float,
    ) -> Ack:
        envelope = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind == "slash_commands" or payload.get("type") == "view_submission",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(envelope_id, []).append(future)
        try:
            if not await self._send(app.id, envelope):
                return Ack(False, _ms(began), "dispatch_failed")
            answer = await asyncio.wait_for(future, self.ack_seconds)
            return Ack(True, _ms(began), answer=answer)
        except TimeoutError:
            return Ack(False, _ms(began), "operation_timeout")
        finally:
            self.waiting[envelope_id].remove(future)
            if not self.waiting[envelope_id]:
                del self.waiting[envelope_id]

    async def _send(self, app_id: str, envelope: dict[str, Any]) -> bool:
        """Send over exactly one open connection, in turn; False when there is none."""
        live = [one for one in self.sockets.get(app_id, ()) if not one.closed]
        for step in range(len(live)):
            self.turn += 1
            try:
                await live[(self.turn + step) % len(live)].send_json(envelope)
                return True
            except (ConnectionError, RuntimeError):
                continue
        return False

    async def _over_http(
        self, app: App, kind: str, payload: dict[str, Any], attempt: int, reason: str, began: float
    ) -> Ack:
        if kind == "events_api":
            body, content_type = json.dumps(payload), "application/json"
        else:
            fields = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
            flat = {key: value for key, value in fields.items() if value is not None}
            body, content_type = urlencode(flat), "application/x-www-form-urlencoded"
        headers = {"Content-Type": content_type, **signature(app.signing_secret, body)}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        try:
            status, raw = await self._post(app.request_url, body, headers)
        except TimeoutError:
            return Ack(False, _ms(began), "operation_timeout")
        except aiohttp.ClientError:
            return Ack(False, _ms(began), "dispatch_failed")
        if status != 200:
            return Ack(False, _ms(began), f"http_{status}")
        return Ack(True, _ms(began), answer=_http_answer(raw))

    async def _post(self, url: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
        limit = aiohttp.ClientTimeout(total=self.ack_seconds)
        async with aiohttp.ClientSession(timeout=limit) as session:
            async with session.post(url, data=body, headers=headers) as response:
                return response.status, await response.text()

    async def verify_url(self, app: App) -> bool:
        """Ask the app's address to repeat a challenge, as Slack does when a request URL is saved."""
        challenge = secrets.token_hex(20)
        body = json.dumps({"token": "practice", "challenge": challenge, "type": "url_verification"})
        headers = {"Content-Type": "application/json", **signature(app.signing_secret, body)}
        try:
            status, raw = await self._post(app.request_url, body, headers)
        except (TimeoutError, aiohttp.ClientError):
            return False
        return status == 200 and challenge in raw

    async def again(self, envelope_id: str, new_envelope: bool, times: int) -> list[Ack]:
        """Deliver a payload of the past once more, ``times`` times at the same moment (for attack tests)."""
        if envelope_id not in self.envelopes:
            raise Refused("envelope_not_found")
        app_id, kind, payload = self.envelopes[envelope_id]
        app = self.space.apps[app_id]
        ids = [str(uuid.uuid4()) if new_envelope else envelope_id for _ in range(times)]
        return list(await asyncio.gather(*(self._once(app, kind, payload, one) for one in ids)))


def signature(secret: str, body: str, at: int | None = None) -> dict[str, str]:
    """Return the two headers by which an app recognises Slack (HMAC-SHA256 over ``v0:time:body``)."""
    stamp = str(int(time.time()) if at is None else at)
    digest = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


def _http_answer(raw: str) -> dict[str, Any]:
    if not raw.strip():
        return {}
    try:
        data = json.loads(raw)
        return data if isinstance(data, dict) else {}
    except ValueError:
        return {"text": raw}


def _ms(began: float) -> float:
    return (time.monotonic() - began) * 1000


def _what(kind: str, payload: dict[str, Any]) -> str:
    if kind == "slash_commands":
        return f"{payload.get('command', '')} {payload.get('text', '')}".strip()
    if kind == "events_api":
        return str(payload.get("event", {}).get("type", ""))
    actions = payload.get("actions") or [{}]
    view = payload.get("view") or {}
    return f"{payload.get('type', '')} {actions[0].get('action_id', '') or view.get('callback_id', '')}".strip()


def _who(payload: dict[str, Any]) -> str:
    user = payload.get("user")
    if isinstance(user, dict):
        return str(user.get("id", ""))
    return str(payload.get("user_id", "") or payload.get("event", {}).get("user", ""))
