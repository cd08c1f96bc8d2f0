"""HTTP mode: what Slack did not sign, or signed once and somebody sends twice."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
import requests
from slack_sdk.signature import SignatureVerifier

from incident.events import Refused
from tests.attacks.theatre import CHANNEL, Card, Theatre
from tests.waiting import wait_for


@dataclass
class Door:
    """A bot in HTTP mode beside the other one, and an open card."""

    card: Card
    url: str
    secret: str

    def body(self, user: str) -> str:
        """The bytes of a true press, as Slack would send them."""
        made = self.card.stage.admin("forge", press=self.card.button(), user=user, app="A0EVIL")
        payload = {**made["payload"], "api_app_id": "A0LYNC"}
        return urlencode({"payload": json.dumps(payload)})

    def headers(self, body: str, *, at: str = "", secret: str = "") -> dict[str, str]:
        """Slack's two headers."""
        at = at or str(int(time.time()))
        signature = SignatureVerifier(secret or self.secret).generate_signature(timestamp=at, body=body)
        return {
            "X-Slack-Request-Timestamp": at, "X-Slack-Signature": str(signature),
            "Content-Type": "application/x-www-form-urlencoded",
        }  # fmt: skip

    def post(self, body: str, headers: dict[str, str]) -> int:
        """What the door answered."""
        return requests.post(self.url, data=body, headers=headers, timeout=20).status_code


@pytest.fixture(scope="module")
def door(theatre: Theatre) -> Iterator[Door]:
    """The second bot; ended by its own pid."""
    tokens = json.loads((theatre.place.out / "slack.json").read_text("utf-8"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ready = theatre.place.out / "door.ready"
    ready.unlink(missing_ok=True)
    env = os.environ | theatre.place.env | {
        "SLACK_BOT_TOKEN": tokens["bot_token"], "SLACK_SIGNING_SECRET": tokens["signing_secret"],
        "LYNC_DR_HTTP_LISTEN": f"127.0.0.1:{port}",
    }  # fmt: skip
    with (theatre.place.out / "log" / "door.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "bot", "--name", "bot", "--ready", str(ready)],
            env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: ready.exists() or process.poll() is not None, "the bot in HTTP mode", 60)
        assert process.poll() is None, (theatre.place.out / "log" / "door.log").read_text()
        with theatre.open_card() as card:
            yield Door(card, f"http://127.0.0.1:{port}/slack/events", tokens["signing_secret"])
            card.nothing_ran()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_b1_what_slack_did_not_sign_is_not_even_read(door: Door) -> None:
    stage, body = door.card.stage, door.body("UBO")
    head, register, before = door.card.state.seq, stage.register_head(), stage.newest(CHANNEL)
    good, now = door.headers(body), int(time.time())
    for headers in (
        {},
        door.headers(body, secret="another app's secret"),
        door.headers(body + "&more=1"),
        {**good, "X-Slack-Request-Timestamp": "soon"},
        {**good, "X-Slack-Request-Timestamp": ""},
        {**good, "X-Slack-Signature": "v0="},
        door.headers(body, at=str(now - 400)),
        door.headers(body, at=str(now + 400)),
    ):
        assert door.post(body, headers) == 401
    assert [r.why for r in stage.in_register(register)] == ["REF080E"]
    assert not [m for m in stage.messages() if m["only_for"] == "UBO" and m["ts"] > before]
    assert not [r for r in stage.records(door.card.incident, head) if isinstance(r.event, Refused)]
    assert door.card.asks()
    door.card.nothing_ran()


def test_b2_a_signed_request_counts_once(door: Door) -> None:
    stage, body = door.card.stage, door.body("UOLAF")
    head, register, before = door.card.state.seq, stage.register_head(), stage.newest(CHANNEL)
    headers = door.headers(body)
    assert door.post(body, headers) == 200
    assert "not an approver for fe1" in stage.answer("UOLAF", CHANNEL, before)
    assert door.post(body, headers) == 200
    assert door.post(body, headers) == 200
    assert [r.why for r in stage.in_register(register)] == ["REF081E"]
    assert [r.why for r in stage.refusals(door.card.incident, head)] == ["APR021E"]
    assert len([m for m in stage.messages() if m["only_for"] == "UOLAF" and m["ts"] > before]) == 1
    assert door.card.asks()
    door.card.nothing_ran()


def test_b2_the_same_press_signed_again_is_judged_again(door: Door) -> None:
    """A minute later Slack would sign other bytes; the desk, not the door, then says what it is worth."""
    stage, body = door.card.stage, door.body("UWANDA")
    head, before = door.card.state.seq, stage.newest(CHANNEL)
    now = int(time.time())
    for at in (now, now - 60):
        assert door.post(body, door.headers(body, at=str(at))) == 200

    def answered() -> bool:
        return len([m for m in stage.messages() if m["only_for"] == "UWANDA" and m["ts"] > before]) == 2

    wait_for(answered, "an answer to each")
    assert [r.why for r in stage.refusals(door.card.incident, head)] == ["APR022E"]
    assert door.card.asks()
    door.card.nothing_ran()
