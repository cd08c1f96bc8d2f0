"""How payloads reach an app: one connection each, three seconds, again only for events."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from tests.waiting import wait_for

from .conftest import Workspace
from .test_conversation import card

Json = dict[str, Any]


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace to which no app is connected but by the test itself."""
    folder = tmp_path_factory.mktemp("lonely")
    options = ("--ack-seconds", "0.4", "--retries", "0,0.05,0.05", "--rates", "off", "--trigger-seconds", "0.3")
    started = Workspace(folder, *options)
    yield started
    started.stop()


class Line:
    """One Socket Mode connection that acknowledges only when told to."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self, seconds: float = 3.0) -> Json:
        return dict(await self.socket.receive_json(timeout=seconds))

    async def ack(self, envelope: Json, payload: Json | None = None) -> None:
        await self.socket.send_json({"envelope_id": envelope["envelope_id"], "payload": payload or {}})


@asynccontextmanager
async def lines(space: Workspace, count: int) -> AsyncIterator[tuple[aiohttp.ClientSession, list[Line]]]:
    async with aiohttp.ClientSession() as session:
        found = []
        for _ in range(count):
            headers = {"Authorization": f"Bearer {space.ready['app_token']}"}
            async with session.post(space.ready["api_url"] + "apps.connections.open", headers=headers) as answer:
                url = (await answer.json())["url"]
            found.append(Line(await session.ws_connect(url)))
            first = await found[-1].next()
            if first["type"] == "hello":
                assert first["num_connections"] == len(found)
        yield session, found


def story(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 30))  # type: ignore[arg-type]


async def person(session: aiohttp.ClientSession, space: Workspace, user: str, act: str, **body: Any) -> Json:
    async with session.post(f"{space.ready['page_url']}person/{user}/{act}", json=body) as answer:
        return dict(await answer.json())


def last_line(space: Workspace, user: str = "URITA", channel: str = "C0INC") -> str:
    return str(space.messages(user, channel)[-1]["lines"][0])


def test_each_payload_goes_over_exactly_one_connection_in_turn(lonely: Workspace) -> None:
    async def work() -> None:
        async with lines(lonely, 2) as (session, (one, two)):
            commands = [person(session, lonely, "URITA", "type", channel="C0INC", text=f"/lync {n}") for n in range(4)]
            typed = asyncio.gather(*commands)
            seen = []
            for line in (one, two, one, two):
                envelope = await line.next()
                seen.append(envelope["payload"]["text"])
                await line.ack(envelope)
            assert sorted(seen) == ["0", "1", "2", "3"]
            assert all(done["acked"] for done in await typed)

    story(work)


def test_a_late_answer_is_a_time_out_for_the_person_and_is_not_sent_again(lonely: Workspace) -> None:
    async def work() -> None:
        async with lines(lonely, 1) as (session, (line,)):
            done = await person(session, lonely, "URITA", "type", channel="C0INC", text="/lync status")
            assert (done["acked"], done["error"]) == (False, "operation_timeout")
            envelope = await line.next()
            await line.ack(envelope, {"text": "too late"})
            with pytest.raises(asyncio.TimeoutError):
                await line.next(0.3)
        assert last_line(lonely) == '/lync failed with the error "operation_timeout"'

    story(work)
    lost = lonely.person("URITA", "type", channel="C0INC", text="/lync status")
    assert lost["error"] == "dispatch_failed"


def test_an_event_comes_again_until_it_is_acknowledged(lonely: Workspace) -> None:
    lonely.call("/admin/app", {"events": ["app_home_opened"]})

    async def work() -> None:
        async with lines(lonely, 1) as (session, (line,)):
            await person(session, lonely, "UCHEN", "open", channel="UBOTLYNC")
            first, second = await line.next(), await line.next()
            assert first["payload"]["event"]["type"] == "app_home_opened"
            assert (first["retry_attempt"], second["retry_attempt"], second["retry_reason"]) == (0, 1, "timeout")
            assert first["payload"]["event_id"] == second["payload"]["event_id"]
            await line.ack(second)
            with pytest.raises(asyncio.TimeoutError):
                await line.next(0.6)

    story(work)


def test_a_trigger_opens_one_dialog_and_only_for_a_short_time(lonely: Workspace) -> None:
    client = lonely.client()
    ts = client.chat_postMessage(channel="C0INC", text="card", blocks=card("late", confirm=False))["ts"]
    text = {"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}
    view = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": [text]}

    async def work() -> None:
        async with lines(lonely, 1) as (session, (line,)):
            errors = []
            for delay in (0.0, 0.35):
                pressing = asyncio.ensure_future(
                    person(session, lonely, "UBO", "press", channel="C0INC", ts=ts, action="Approve")
                )
                envelope = await line.next()
                await line.ack(envelope)
                await pressing
                await asyncio.sleep(delay)
                for _ in range(2):
                    body = {"trigger_id": envelope["payload"]["trigger_id"], "view": view}
                    headers = {"Authorization": f"Bearer {lonely.ready['bot_token']}"}
                    url = lonely.ready["api_url"] + "views.open"
                    async with session.post(url, json=body, headers=headers) as answer:
                        errors.append((await answer.json()).get("error", ""))
            assert errors == ["", "exchanged_trigger_id", "expired_trigger_id", "expired_trigger_id"]

    story(work)
    modal = lonely.screen("UBO")["modal"]
    assert modal["lines"] == ["hello"]
    assert lonely.person("UBO", "submit", view=modal["view"], values={})["error"] == "This dialog has no submit button."
    assert lonely.person("UBO", "close", view=modal["view"])["modal"] is None


def test_a_response_url_works_five_times(lonely: Workspace) -> None:
    async def work() -> None:
        async with lines(lonely, 1) as (session, (line,)):
            typing = asyncio.ensure_future(person(session, lonely, "URITA", "type", channel="C0GEN", text="/lync who"))
            envelope = await line.next()
            await line.ack(envelope)
            await typing
            statuses = []
            for n in range(6):
                async with session.post(envelope["payload"]["response_url"], json={"text": f"answer {n}"}) as answer:
                    statuses.append(answer.status)
            assert statuses == [200] * 5 + [404]

    story(work)
    mine = [m for m in lonely.messages("URITA", "C0GEN") if m["ephemeral"]]
    assert mine[-1]["lines"] == ["answer 4"], "it answers also where the bot is no member"
    assert not [m for m in lonely.messages("UBO", "C0GEN") if m["ephemeral"]]


def test_forged_and_doubled_clicks_can_be_delivered(lonely: Workspace) -> None:
    ts = lonely.client().chat_postMessage(channel="C0INC", text="card", blocks=card("approve"))["ts"]
    copy = lonely.call("/admin/post", {"channel": "C0GEN", "like": {"channel": "C0INC", "ts": ts, "action": ""}})["ts"]
    copied = next(m for m in lonely.messages("URITA", "C0GEN") if m["ts"] == copy)
    assert copied["buttons"][0]["label"] == "Approve"

    async def work() -> None:
        async with lines(lonely, 1) as (session, (line,)):
            order = {"press": {"channel": "C0INC", "ts": ts, "action": "Approve"}, "user": "UNOBODY",
                     "change": {"team": {"id": "TEVIL"}, "actions": [{"value": "other"}]}, "times": 2}  # fmt: skip
            forging = asyncio.ensure_future(session.post(f"{lonely.ready['page_url']}admin/forge", json=order))
            for _ in range(2):
                envelope = await line.next()
                payload = envelope["payload"]
                assert (payload["team"]["id"], payload["user"]["id"]) == ("TEVIL", "UNOBODY")
                assert payload["actions"][0] | {"value": "other"} == payload["actions"][0]
                await line.ack(envelope)
            async with await forging as answer:
                assert [a["acked"] for a in (await answer.json())["acks"]] == [True, True]
            replay = {"replay": envelope["envelope_id"]}
            again = asyncio.ensure_future(session.post(f"{lonely.ready['page_url']}admin/forge", json=replay))
            twin = await line.next()
            assert (twin["envelope_id"], twin["payload"]) == (envelope["envelope_id"], payload)
            await line.ack(twin)
            (await again).close()

    story(work)


def test_slack_goes_away_and_comes_back_at_the_same_address(lonely: Workspace) -> None:
    address = urlsplit(lonely.ready["api_url"])
    lonely.call("/admin/fault", {"down": "refuse"})
    with pytest.raises(OSError):
        socket.create_connection((address.hostname or "", address.port or 0), timeout=2)
    lonely.call("/admin/fault", {"down": "", "rate_limit": {"method": "auth.test", "count": 1, "retry_after": 7}})
    with pytest.raises(Exception, match="ratelimited"):
        lonely.client().auth_test()
    assert lonely.client().auth_test()["team_id"] == "TPRACTICE"
    lonely.call("/admin/fault", {"drop_reply": {"method": "chat.postMessage"}})
    before = len(lonely.messages("URITA"))
    client = lonely.client()
    client.retry_handlers.clear()
    with pytest.raises(Exception):  # noqa: B017 - one of several connection errors
        client.chat_postMessage(channel="C0INC", text="did it arrive?")
    assert len(lonely.messages("URITA")) == before + 1, "the call took effect although no answer came"

    async def too_many() -> None:
        async with lines(lonely, 10) as (session, ten):
            headers = {"Authorization": f"Bearer {lonely.ready['app_token']}"}
            async with session.post(lonely.ready["api_url"] + "apps.connections.open", headers=headers) as answer:
                url = (await answer.json())["url"]
            eleventh = Line(await session.ws_connect(url))
            assert (await eleventh.next())["reason"] == "too_many_websockets"
            await asyncio.to_thread(lonely.call, "/admin/fault", {"disconnect": "refresh_requested"})
            assert {(await line.next())["reason"] for line in ten} == {"refresh_requested"}

    story(too_many)


def test_an_app_in_http_mode_gets_signed_requests(lonely: Workspace) -> None:
    verifier = SignatureVerifier(lonely.ready["signing_secret"])
    seen: list[Json] = []

    async def serve(request: web.Request) -> web.Response:
        body = await request.text()
        headers = dict(request.headers)
        assert verifier.is_valid_request(body, headers)
        assert not verifier.is_valid_request(body + " ", headers)
        if request.content_type == "application/json":
            data = json.loads(body)
            return web.json_response({"challenge": data.get("challenge", "")})
        seen.append(dict(await request.post()))
        return web.Response(text="in http mode")

    async def work() -> None:
        app = web.Application()
        app.router.add_post("/slack/events", serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
        done = await asyncio.to_thread(lonely.call, "/admin/app", {"mode": "http", "request_url": url})
        assert done["verified"]
        async with aiohttp.ClientSession() as session:
            typed = await person(session, lonely, "URITA", "type", channel="C0INC", text="/lync help")
        assert typed["acked"]
        await runner.cleanup()

    try:
        story(work)
    finally:
        lonely.call("/admin/app", {"mode": "socket", "request_url": ""})
    assert seen[0]["command"] == "/lync"
    assert last_line(lonely) == "in http mode"


def test_a_wrong_world_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    from practice.slack.world import read_world

    world = tmp_path / "world.json"
    world.write_text('{"members": [{"id": "U1", "name": "a", "real_name": "A", "role": "boss"}], "channels": []}')
    with pytest.raises(SystemExit, match=r"members\.0\.role: Extra inputs"):
        read_world(world)


def test_other_pages_and_other_names_are_refused(lonely: Workspace) -> None:
    async def work() -> None:
        async with aiohttp.ClientSession() as session:
            url = f"{lonely.ready['page_url']}person/URITA/screen"
            for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
                async with session.get(url, headers=headers) as answer:
                    assert answer.status == 403

    story(work)
    wait_for(lambda: lonely.log("delivery"), "deliveries in the log")
