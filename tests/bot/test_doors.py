"""Who is let in: signatures, replays, tokens; and the ways out beside Slack: pager and mail."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from aiosmtpd.controller import Controller
from slack_sdk.signature import SignatureVerifier

from bot import mail, pager
from bot.app import HttpDoor
from bot.draw.reader import Reader
from bot.identity import Accounts, Identified, NotAllowed, ids_of, who
from bot.serve import Bot
from bot.web import CannotListen, SlackTrouble, asker, check_app_token, introduce, web_client
from incident.events import Account, Refused
from incident.journal import REGISTER
from incident.policy import MailPolicy, PagerPolicy
from tests.bot.stage import Slack, Stage
from tests.waiting import wait_for
from tests.workers.world import POLICY, World

SECRET = "s3cret-of-the-app"


@pytest.fixture
def door(slack: Slack, tmp_path: Path) -> Iterator[tuple[Stage, str]]:
    """A bot in HTTP mode."""
    stage = Stage(slack, tmp_path)
    settings = replace(slack.settings, signing_secret=SECRET, http_listen="127.0.0.1:0")
    bot = stage.start(slack=settings)
    assert isinstance(bot, Bot)
    assert bot.http is not None
    yield stage, f"http://127.0.0.1:{bot.http.address[1]}/slack/events"
    stage.stop()


def signed(body: str, at: str = "", secret: str = SECRET) -> dict[str, str]:
    at = at or str(int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=at, body=body)
    return {
        "X-Slack-Request-Timestamp": at,
        "X-Slack-Signature": str(signature),
        "Content-Type": "application/x-www-form-urlencoded",
    }


def test_only_what_slack_signed_comes_in_and_only_once(door: tuple[Stage, str]) -> None:
    stage, url = door
    form = {"command": "/lync", "text": "declare-disaster fe1", "user_id": "URITA", "team_id": "TPRACTICE",
            "channel_id": "C0HOME", "trigger_id": "1.2.3", "response_url": ""}  # fmt: skip
    body = urlencode(form)
    good = signed(body)
    old, ahead = str(int(time.time()) - 400), str(int(time.time()) + 400)
    refused = (
        {}, signed(body, secret="other"), signed(body + "x"), {**good, "X-Slack-Request-Timestamp": "soon"},
        signed(body, old), signed(body, ahead), {**good, "X-Slack-Signature": "v0=é".encode().decode("latin-1")},
    )  # fmt: skip
    for headers in refused:
        assert requests.post(url, data=body, headers=headers, timeout=10).status_code == 401
    assert not stage.world.bot.journal.incidents()
    assert requests.post(url, data=body, headers=good, timeout=10).status_code == 200
    wait_for(stage.world.bot.journal.incidents, "the declaration")
    assert requests.post(url, data=body, headers=good, timeout=10).status_code == 200
    incident = stage.world.bot.journal.incidents()[0].incident
    wait_for(lambda: "APR001I" in [r.code for r in stage.world.bot.records(incident)], "the question")
    assert "INC002I" not in [r.code for r in stage.world.bot.records(incident)]
    stage.stop_bot()
    said = [r.event for r in stage.world.bot.journal.read(REGISTER) if isinstance(r.event, Refused)]
    assert sum(event.count for event in said if event.why == "REF080E") == len(refused)
    assert sum(event.count for event in said if event.why == "REF081E") == 1


def test_wrong_tokens_and_no_slack_are_one_sentence(slack: Slack, tmp_path: Path) -> None:
    url = slack.ready["api_url"]
    with pytest.raises(SlackTrouble, match="does not accept the bot token"):
        introduce(asker(web_client("xoxb-planted-secret", url)))
    with pytest.raises(SlackTrouble, match="Socket Mode") as wrong:
        check_app_token("xapp-planted-secret", url)
    assert "planted" not in str(wrong.value)
    with pytest.raises(SlackTrouble, match="cannot be reached"):
        introduce(asker(web_client("xoxb-1", "http://127.0.0.1:9/api/")), limit_s=0.6)
    stage = Stage(slack, tmp_path)
    try:
        with pytest.raises(SlackTrouble, match="There is no bot token"):
            Bot(stage.house(slack=replace(slack.settings, bot_token="")))
    finally:
        stage.stop()


# --- who it is -------------------------------------------------------------------------------------------


def asked(**flags: object) -> Accounts:
    """Accounts over a Slack that answers this of everybody."""
    user = {"id": "UBO", "team_id": "TPRACTICE", "is_email_confirmed": True, **flags}
    return Accounts(lambda method, **_: {"ok": True, "user": user}, POLICY, lambda: datetime.now(UTC))


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        ({"deleted": True}, "deleted"),
        ({"is_restricted": True}, "guest"),
        ({"is_ultra_restricted": True}, "guest"),
        ({"is_stranger": True}, "stranger"),
        ({"is_bot": True}, "bot"),
        ({"is_workflow_bot": True}, "bot"),
        ({"is_connector_bot": True}, "bot"),
        ({"is_invited_user": True}, "invited"),
    ],
)
def test_each_flag_of_an_account_travels_in_the_actor(flags: dict[str, object], field: str) -> None:
    click = {"user": {"id": "UBO", "team_id": "TPRACTICE"}, "team": {"id": "TPRACTICE"}}
    found = who(click, POLICY, asked(**flags).look)
    assert isinstance(found, Identified)
    assert isinstance(found.actor.account, Account)
    assert getattr(found.actor.account, field) is True
    assert found.actor.person == "bo"


def test_teams_that_do_not_fit_are_not_ours() -> None:
    ours = {"id": "TPRACTICE"}
    assert ids_of({"user": {"id": "UBO", "team_id": "TOTHER"}, "team": ours}, POLICY) == ("TOTHER", "UBO")
    assert ids_of({"user": {"id": "UBO", "team_id": "TPRACTICE"}, "team": {"id": "TOTHER"}}, POLICY)[0] == "TOTHER"
    assert ids_of({"user": {"id": "UBO", "team_id": "TPRACTICE"}, "team": None}, POLICY)[0] == ""
    for nobody in ({"user": {}}, {"user": {"id": "USLACKBOT"}}, {"bot_id": "B1", "user": {"id": "UBO"}}):
        assert isinstance(who(nobody, POLICY, asked().look), NotAllowed)


def test_a_group_only_narrows_and_an_unreadable_one_holds_nobody() -> None:
    narrowed = POLICY.model_copy(update={"approver_group": "S0APPROVE"})

    def answers(method: str, **_: object) -> dict[str, object]:
        if method == "usergroups.users.list":
            raise TimeoutError
        return {"user": {"id": "UBO", "team_id": "TPRACTICE"}}

    looked = Accounts(answers, narrowed, lambda: datetime.now(UTC)).look("UBO")
    assert looked is not None
    assert looked[0].in_group is False


# --- pager and mail --------------------------------------------------------------------------------------


def test_the_pager_is_rung_again_until_it_takes_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    heard: list[dict[str, object]] = []

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(503 if len(heard) == 1 else 202)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Pager)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        state = World().declared().state
        url = f"http://127.0.0.1:{server.server_port}/enqueue/path-secret#routing-secret"
        policy = PagerPolicy(url="pager", form="pagerduty-v2")
        rung = pager.ring(url, state, policy, Reader(POLICY), pause=lambda _: None)
        assert rung.ok
        assert len(heard) == 2
        assert heard[0]["routing_key"] == "routing-secret"
        assert heard[0]["dedup_key"] == f"lync-dr/{state.id}"
        assert "fe1 London" in str(heard[1]["payload"])
    finally:
        server.shutdown()
        server.server_close()
    silent = pager.ring(url, state, policy.model_copy(update={"tries": 1}), Reader(POLICY))
    assert not silent.ok
    assert "-secret" not in silent.sentence + caplog.text


def test_an_address_that_another_process_has_is_one_sentence() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        where = other.getsockname()
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{where[1]} .Address already in use"):
            HttpDoor(None, SECRET, where, lambda *_: None)  # type: ignore[arg-type]


def test_a_receipt_reaches_a_real_mail_server() -> None:
    got: list[str] = []

    class Keep:
        async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802
            got.append(envelope.content.decode())  # type: ignore[attr-defined]
            return "250 OK"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(Keep(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        policy = MailPolicy(host="127.0.0.1", port=port, sender="lync-dr@ocsguy.local")
        state = World().asked().state
        subject, text = mail.receipt(state, "Approved", state.seq, state.head, Reader(POLICY))
        assert mail.send(policy, ["bo@ocsguy.local"], subject, text).ok
    finally:
        controller.stop()
    assert state.head in got[0].replace("=\r\n", "")
    assert not mail.send(policy, ["bo@ocsguy.local"], subject, text).ok
