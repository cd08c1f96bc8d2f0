"""The sockets: one for the API that the app talks to, one for the page and the people."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from pydantic import BaseModel, ValidationError

from . import faults as fault_orders
from .admin import Admin, BotPost, Forgery, MessageEdit
from .deliveries import Deliveries
from .faults import Faults
from .persons import Impossible, Persons
from .rates import Rates
from .web_api import WebApi
from .workspace import Refused, Workspace
from .world import World

PAGE = Path(__file__).parent / "page"
LARGEST_BODY = 64 * 1024 * 1024
LONGEST_WAIT = 60.0
STREAM_PAUSE = 0.04
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class Settings:
    """How one practice workspace is run; times in seconds."""

    world: World
    host: str = "127.0.0.1"
    port: int = 0
    api_port: int = 0
    rates: bool = True
    ack_seconds: float = 3.0
    trigger_seconds: float = 3.0
    retries: tuple[float, ...] = (0, 60, 300)
    controls: Path | None = None


@dataclass
class Listener:
    """One listening socket that can be closed and opened again on the same port."""

    app: web.Application
    host: str
    port: int
    runner: web.AppRunner = field(init=False)

    async def open(self) -> None:
        """Listen; the port is chosen at the first time and kept."""
        self.runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=0.2)
        await self.runner.setup()
        site = web.TCPSite(self.runner, self.host, self.port, reuse_address=True)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        await self.runner.cleanup()


class Practice:
    """The whole process: workspace, both listeners, and the way in for people and tests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.space = Workspace(settings.world, Rates(enabled=settings.rates), settings.trigger_seconds)
        self.faults = Faults()
        self.deliveries = Deliveries(self.space, self.faults, settings.ack_seconds, settings.retries)
        self.api = WebApi(self.space, self.deliveries, self.faults)
        self.persons = Persons(self.space, self.deliveries, self.api)
        self.admin = Admin(self.space, self.deliveries, self.api, self.persons)
        self.api_listener = Listener(self._api_app(), settings.host, settings.api_port)
        self.page_listener = Listener(self._page_app(), settings.host, settings.port)
        self.api_open = False

    @property
    def api_url(self) -> str:
        """Where a client's ``base_url`` points, with the trailing slash."""
        return f"{self.api.address}api/"

    @property
    def page_url(self) -> str:
        """Where a person's browser points."""
        return f"http://{self.settings.host}:{self.page_listener.port}/"

    async def start(self) -> None:
        """Open both sockets."""
        await self._open_api()
        await self.page_listener.open()
        self.api.address = f"http://{self.settings.host}:{self.api_listener.port}/"
        self.api.page_address = self.page_url

    async def stop(self) -> None:
        """Close both sockets and end what runs."""
        await self.space.stop()
        await self.page_listener.close()
        await self._close_api()

    async def _open_api(self) -> None:
        if not self.api_open:
            self.api_listener.app = self._api_app()
            await self.api_listener.open()
            self.api_open = True

    async def _close_api(self) -> None:
        if self.api_open:
            self.api_open = False
            await self.deliveries.disconnect("")
            await self.api_listener.close()

    def ready(self) -> dict[str, str]:
        """Return what the starter of the process needs to know."""
        app = self.settings.world.apps[0]
        return {
            "api_url": self.api_url, "page_url": self.page_url, "bot_token": app.bot_token,
            "app_token": app.app_token, "signing_secret": app.signing_secret,
        }  # fmt: skip

    # --- the API's side ----------------------------------------------------------------------------------

    def _api_app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/api/{method}", self.api.serve)
        app.router.add_get("/link/", self.deliveries.serve_socket)
        app.router.add_post("/upload/v1/{secret}", self.api.upload)
        app.router.add_post("/commands/{path:.+}", self.api.respond)
        app.router.add_post("/actions/{path:.+}", self.api.respond)
        return app

    # --- the people's side -------------------------------------------------------------------------------

    def _page_app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[_only_here, _sentences])
        add = app.router
        add.add_get("/", self._index)
        add.add_get("/page/{name}", self._asset)
        add.add_get("/archives/{rest:.*}", self._index)
        add.add_get("/people", self._people)
        add.add_get("/person/{user}/screen", self._screen)
        add.add_get("/person/{user}/wait", self._wait)
        add.add_get("/person/{user}/stream", self._stream)
        add.add_get("/person/{user}/file/{file}", self._file)
        for name in ("type", "press", "submit", "close", "open", "join"):
            add.add_post(f"/person/{{user}}/{name}", getattr(self, f"_{name}"))
        add.add_get("/admin/log", self._log)
        add.add_get("/admin/messages", self._messages)
        add.add_get("/admin/fault", self._faults)
        for name in ("fault", "user", "channel", "app", "forge", "post", "edit_message", "rates"):
            add.add_post(f"/admin/{name}", getattr(self, f"_admin_{name}"))
        add.add_get("/controls", self._controls)
        add.add_post("/controls/{name}", self._control)
        return app

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-store"})

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        path = PAGE / request.match_info["name"]
        if path.parent != PAGE or not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Cache-Control": "no-store"})

    async def _people(self, request: web.Request) -> web.Response:
        home = self.space.world.team_id
        people = [
            {"id": m.id, "name": m.name, "real_name": m.real_name, "hint": m.hint, "deleted": m.deleted,
             "guest": m.is_restricted or m.is_ultra_restricted, "external": m.team_id != home}
            for m in self.space.members.values()
            if not m.is_bot
        ]  # fmt: skip
        apps = [{"user": a.bot_user, "name": a.name, "commands": [c.model_dump() for c in a.commands]}
                for a in self.space.apps.values() if a.commands]  # fmt: skip
        return web.json_response({"people": people, "apps": apps, "team": self.space.world.team_name})

    # --- persons -----------------------------------------------------------------------------------------

    async def _screen(self, request: web.Request) -> web.Response:
        query = request.query
        shown = self.persons.screen(request.match_info["user"], query.get("channel", ""), "drawn" in query)
        return web.json_response(shown)

    async def _wait(self, request: web.Request) -> web.Response:
        user, query = request.match_info["user"], request.query
        self.persons.signed_in(user)
        timeout = min(float(query.get("timeout", "25")), LONGEST_WAIT)
        await self.space.wait_change(int(query.get("after", "0")), timeout)
        return web.json_response(self.persons.screen(user, query.get("channel", ""), "drawn" in query))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the whole drawn screen whenever something changed."""
        user = request.match_info["user"]
        self.persons.signed_in(user)
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while True:
                shown = self.persons.screen(user, drawn=True)
                await response.write(f"data: {json.dumps(shown)}\n\n".encode())
                await asyncio.sleep(STREAM_PAUSE)  # many changes at once are one redraw
                await self.space.wait_change(shown["change"], 15)
        return response

    async def _file(self, request: web.Request) -> web.Response:
        name, body = self.persons.file(request.match_info["user"], request.match_info["file"])
        safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
        headers = {
            "Content-Disposition": f'attachment; filename="{safe}"',
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(body=body, content_type="application/octet-stream", headers=headers)

    async def _type(self, request: web.Request) -> web.Response:
        data = await _data(request)
        user = request.match_info["user"]
        done = await self.persons.type(user, _word(data, "channel"), _word(data, "text"), _word(data, "thread_ts"))
        return self._done(done)

    async def _press(self, request: web.Request) -> web.Response:
        data = await _data(request)
        words = {key: _word(data, key) for key in ("action", "channel", "ts", "view", "confirm", "block_id")}
        user = request.match_info["user"]
        return self._done(await self.persons.press(user, **words, values=_values(data)))

    async def _submit(self, request: web.Request) -> web.Response:
        data = await _data(request)
        return self._done(await self.persons.submit(request.match_info["user"], _word(data, "view"), _values(data)))

    async def _close(self, request: web.Request) -> web.Response:
        data = await _data(request)
        return self._done(await self.persons.close(request.match_info["user"], _word(data, "view")))

    async def _open(self, request: web.Request) -> web.Response:
        data = await _data(request)
        return self._done(self.persons.open(request.match_info["user"], _word(data, "channel")))

    async def _join(self, request: web.Request) -> web.Response:
        data = await _data(request)
        return self._done(self.persons.join(request.match_info["user"], _word(data, "channel")))

    def _done(self, what: dict[str, Any]) -> web.Response:
        return web.json_response({"ok": True, **what, "change": self.space.change})

    # --- control -----------------------------------------------------------------------------------------

    async def _log(self, request: web.Request) -> web.Response:
        query = request.query
        return web.json_response(self.admin.log(int(query.get("after", "0")), query.get("kind", "")))

    async def _messages(self, request: web.Request) -> web.Response:
        return web.json_response(self.admin.messages(request.query.get("channel", "")))

    async def _faults(self, request: web.Request) -> web.Response:
        return web.json_response(self.faults.shown())

    async def _admin_fault(self, request: web.Request) -> web.Response:
        order = await _order(request, fault_orders.Order)
        self.faults.obey(order)
        if self.faults.down == "refuse":
            await self._close_api()
        else:
            await self._open_api()
        if order.disconnect:
            await self.deliveries.disconnect(order.disconnect)
        if order.drop_sockets:
            await self.deliveries.disconnect("")
        self.space.changed()
        return self._done({"faults": self.faults.shown()})

    async def _admin_user(self, request: web.Request) -> web.Response:
        return self._done(self.admin.user(await _data(request)))

    async def _admin_channel(self, request: web.Request) -> web.Response:
        return self._done(self.admin.channel(await _data(request)))

    async def _admin_app(self, request: web.Request) -> web.Response:
        return self._done(await self.admin.app(await _data(request)))

    async def _admin_forge(self, request: web.Request) -> web.Response:
        return self._done(await self.admin.forge(await _order(request, Forgery)))

    async def _admin_post(self, request: web.Request) -> web.Response:
        return self._done(self.admin.post(await _order(request, BotPost)))

    async def _admin_edit_message(self, request: web.Request) -> web.Response:
        return self._done(self.admin.edit_message(await _order(request, MessageEdit)))

    async def _admin_rates(self, request: web.Request) -> web.Response:
        """Set rates: ``enabled``, ``per_minute``, ``burst`` (by method), ``channel_per_minute|burst``."""
        data, rates = await _data(request), self.space.rates
        rates.enabled = bool(data.get("enabled", rates.enabled))
        rates.per_minute |= data.get("per_minute", {})
        rates.burst |= data.get("burst", {})
        rates.channel_per_minute = float(data.get("channel_per_minute", rates.channel_per_minute))
        rates.channel_burst = float(data.get("channel_burst", rates.channel_burst))
        rates.buckets.clear()
        return self._done({})

    def _known_controls(self) -> dict[str, dict[str, Any]]:
        """Read the controls file anew: the sites may have been started after us."""
        if not self.settings.controls or not self.settings.controls.is_file():
            return {}
        data = json.loads(self.settings.controls.read_text())
        # A bare address is where a process takes orders, for programs; only what has a label is a button.
        return {name: one for name, one in data.items() if isinstance(one, dict)}

    async def _controls(self, request: web.Request) -> web.Response:
        shown = [
            {"name": name, "label": one.get("label", name.replace("-", " ")), "hint": one.get("hint", ""),
             "danger": bool(one.get("danger"))}
            for name, one in self._known_controls().items()
        ]  # fmt: skip
        return web.json_response({"controls": shown})

    async def _control(self, request: web.Request) -> web.Response:
        """Pass one press of a practice control on to the process that owns it (loopback only)."""
        one = self._known_controls().get(request.match_info["name"])
        if one is None:
            raise Impossible(f"There is no practice control {request.match_info['name']}.", 404)
        if urlsplit(one["url"]).hostname not in LOOPBACK:
            raise Impossible("Practice controls stay on this machine; that address does not.", 403)
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
                async with session.request(one.get("method", "POST"), one["url"], json=one.get("body", {})) as answer:
                    text = (await answer.text())[:2000]
                    if answer.status >= 400:
                        raise Impossible(f"The practice sites refused that ({answer.status}): {text}", 502)
                    return self._done({"status": answer.status, "answer": text})
        except (aiohttp.ClientError, TimeoutError):
            raise Impossible("The practice sites did not answer; are they running?", 502) from None


def _word(data: dict[str, Any], key: str) -> str:
    return str(data.get(key) or "")


def _values(data: dict[str, Any]) -> dict[str, str]:
    given = data.get("values") or {}
    if not isinstance(given, dict):
        raise ValueError("values must be an object of label and text")
    return {str(key): str(value) for key, value in given.items()}


AnyOrder = TypeVar("AnyOrder", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _only_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse other hosts and origins: no web site may press buttons in somebody's practice run."""
    host = urlsplit(f"//{request.host}").hostname
    origin = request.headers.get("Origin")
    if host not in LOOPBACK or (origin and urlsplit(origin).netloc != request.host):
        return web.json_response({"ok": False, "error": "Only this page may do that."}, status=403)
    return await handler(request)


@web.middleware
async def _sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what cannot be done with a sentence instead of a traceback."""
    try:
        return await handler(request)
    except Impossible as no:
        return web.json_response({"ok": False, "error": no.why}, status=no.status)
    except Refused as no:
        return web.json_response({"ok": False, "error": no.error, **no.more}, status=409)
    except (ValidationError, ValueError) as wrong:
        return web.json_response({"ok": False, "error": f"That order cannot be read: {wrong}"}, status=400)


async def _data(request: web.Request) -> dict[str, Any]:
    data = json.loads(await request.text() or "{}")
    if not isinstance(data, dict):
        raise ValueError("a JSON object is expected")
    return data


async def _order(request: web.Request, model: type[AnyOrder]) -> AnyOrder:
    return model.model_validate(await _data(request))


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Practice]:
    """Run a practice workspace for the length of a ``with`` block."""
    practice = Practice(settings)
    await practice.start()
    try:
        yield practice
    finally:
        await practice.stop()
