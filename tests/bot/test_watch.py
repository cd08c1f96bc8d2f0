"""What the reconciler does by itself: asks Slack again, says that no hand is free, pages, mails, takes over."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from bot.serve import Bot
from bot.watch import Outside
from cli.someone import label_of
from config.load import load_policy
from incident.policy import MailPolicy, PagerPolicy
from tests.bot.stage import POLICY_FILE, Slack, Stage, on_stage
from tests.waiting import wait_for


def test_who_lost_the_right_between_tap_and_start_no_longer_counts(slack: Slack, tmp_path: Path) -> None:
    quick = load_policy(POLICY_FILE).model_copy(update={"recheck_after_s": 5})
    with on_stage(slack, tmp_path, policy=quick) as stage:
        rita, bo = slack.someone("rita"), slack.someone("bo")
        rita.type("C0INC", "/lync declare-disaster fe1")
        mine = bo.find("APPROVE?", dm=True, button="Approve")
        stage.working.clear()
        bo.press(mine, label_of(mine, "Approve"))
        rita.find("APPROVED · Bo Lund", channel="C0INC")
        slack.admin("user", id="UBO", is_restricted=True)
        try:
            rita.find("No free hand", channel="C0INC", limit_s=15)
            over = rita.find("VOID", channel="C0INC", button="Ask again", limit_s=15)
            assert "Bo Lund" in over.text or "guest" in over.text
        finally:
            slack.admin("user", id="UBO", is_restricted=False)
        stage.working.set()
        assert stage.world.sites.told == []


@contextmanager
def pager() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook that takes everything."""
    heard: list[dict[str, Any]] = []

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Pager)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", heard
    server.shutdown()
    server.server_close()


@contextmanager
def mailbox() -> Iterator[tuple[int, list[tuple[list[str], str]]]]:
    """A mail server that keeps what it gets."""
    got: list[tuple[list[str], str]] = []

    class Keep:
        async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
            got.append((list(envelope.rcpt_tos), envelope.content.decode().replace("=\r\n", "")))
            return "250 OK"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    controller = Controller(Keep(), hostname="127.0.0.1", port=port)
    controller.start()
    yield port, got
    controller.stop()


def test_pager_and_mail_reach_people_and_stand_in_the_record(slack: Slack, tmp_path: Path) -> None:
    with pager() as (url, heard), mailbox() as (port, got):
        loud = load_policy(POLICY_FILE).model_copy(
            update={
                "pager": PagerPolicy(url="pager", every_s=2),
                "mail": MailPolicy(host="127.0.0.1", port=port, sender="dr@ocsguy.local", audit="audit@ocsguy.local"),
            }
        )
        with on_stage(slack, tmp_path, policy=loud, outside=Outside(pager_url=url)) as stage:
            rita, bo = slack.someone("rita"), slack.someone("bo")
            rita.type("C0INC", "/lync declare-disaster fe1")
            mine = bo.find("APPROVE?", dm=True, button="Approve")
            wait_for(lambda: len(heard) >= 2, "the pager to be rung again")
            bo.press(mine, label_of(mine, "Approve"))
            rita.find("RECOVERED", channel="C0INC")
            wait_for(lambda: len(got) >= 6, "six receipts")
            incident = stage.world.bot.journal.incidents()[0].incident
            records = stage.world.bot.records(incident)
        assert "fe1 London" in heard[0]["summary"]
        assert {to[0] for to, _ in got} == {"rita.berg@ocsguy.local", "bo.lund@ocsguy.local", "audit@ocsguy.local"}
        heads = {r.h for r in records}
        assert all(any(head in text for head in heads) for _, text in got)
        told = {(r.body["how"], r.code) for r in records if r.kind == "told"}
        assert {("pager", "NTF001I"), ("dm", "NTF001I"), ("mail", "NTF001I")} <= told


def test_a_second_bot_takes_the_telling_over(slack: Slack, tmp_path: Path) -> None:
    stage = Stage(slack, tmp_path)
    second: Bot | None = None
    try:
        first = stage.start()
        second = Bot(stage.house())
        second.start()
        rita = slack.someone("rita")
        rita.type("C0INC", "/lync declare-disaster fe1")
        card = rita.find("APPROVE?", channel="C0INC", button="Approve")
        assert (first.narrator.narrating, second.narrator.narrating) == (True, False)
        stage.stop_bot()
        bo = slack.someone("bo")
        bo.press(card, label_of(card, "Approve"))
        rita.find("APPROVED · Bo Lund", channel="C0INC")
        rita.find("RECOVERED", channel="C0INC")
    finally:
        if second is not None:
            second.stop()
        stage.stop()
