"""What the reconciler does by itself: asks Slack again, says that no hand is free, pages, mails, takes over."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from bot.notes import FileNotes
from bot.serve import Bot
from bot.watch import Outside, Waits
from cli.someone import label_of, walk
from config.load import load_policy
from incident import commands as c
from incident.desk import NoRules
from incident.doorbell import ADVANCE
from incident.events import Rechecked
from incident.policy import MailPolicy, PagerPolicy, Rules, SlackId
from incident.register import Register, policy_text
from tests.bot.stage import POLICY_FILE, From, Slack, Stage, on_stage
from tests.waiting import wait_for
from tests.workers.world import ACT1


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


def test_slack_is_asked_again_about_the_very_account_that_approved(slack: Slack, tmp_path: Path) -> None:
    """Bo has two accounts. It is the one he tapped with that is deactivated; the other, named first, is sound."""
    quick = load_policy(POLICY_FILE).model_copy(update={"recheck_after_s": 3})
    second = SlackId(team="TPRACTICE", user="UBOADMIN")
    persons = tuple(
        p.model_copy(update={"slack": (*p.slack, second)}) if p.id == "bo" else p for p in quick.persons
    )  # fmt: skip
    slack.admin("user", id="UBOADMIN", name="bo.admin", real_name="Bo Lund (admin)")
    members = slack.admin("channel", id="C0INC")["channel"]["members"]
    slack.admin("channel", id="C0INC", members=[*members, "UBOADMIN"])
    with on_stage(slack, tmp_path, policy=quick.model_copy(update={"persons": persons})) as stage:
        rita = slack.someone("rita")
        admin = From(slack.ready["page_url"], "UBOADMIN", "Bo Lund")
        rita.type("C0INC", "/lync declare-disaster fe1")
        card = admin.find("APPROVE?", channel="C0INC", button="Approve")
        stage.working.clear()
        admin.press(card, label_of(card, "Approve"))
        rita.find("APPROVED · Bo Lund", channel="C0INC")
        slack.admin("user", id="UBOADMIN", deleted=True)
        over = rita.find("VOID", channel="C0INC", button="Ask again", limit_s=15)
        assert "Bo Lund: the account may no longer act" in over.text
        stage.working.set()
        assert stage.world.sites.told == []


def test_a_hand_that_is_held_back_is_not_called_silent(slack: Slack, tmp_path: Path) -> None:
    with on_stage(slack, tmp_path) as stage:
        rita, bo = slack.someone("rita"), slack.someone("bo")
        rita.type("C0INC", "/lync declare-disaster fe1")
        mine = bo.find("APPROVE?", dm=True, button="Approve")
        stage.working.clear()
        bo.press(mine, label_of(mine, "Approve"))
        rita.find("APPROVED · Bo Lund", channel="C0INC")
        (listed,) = stage.world.bot.journal.incidents()
        hands, planned = stage.world.desk(ACT1), stage.world.bot.state(listed.incident).planned
        assert planned is not None

        def taken(times: int) -> None:
            """Hands that take the run over and are killed at once."""
            for _ in range(times):
                assert hands.do(listed.incident, c.TakeHand("ops-leeds", "act1")).ok

        def board() -> str:
            return " ".join(rita.find("Waiting for", "fe1 London", channel="C0HOME").text.split())

        taken(3)
        wait_for(lambda: "3 hands came to nothing. The next tries at" in board(), "the board to say so", 20)
        begun = c.StartRun(3, planned.digest, stage.world.own.digests("fe1"))
        assert hands.do(listed.incident, begun).ok
        wait_for(lambda: "went silent" in board(), "a hand that is gone to be called silent", 20)
        taken(4)
        wait_for(lambda: "4 hands came to nothing. The next tries at" in board(), "the board to say so", 20)
        assert "went silent" not in board()
        stage.working.set()
        rita.type("C0INC", "/lync note go on")
        rita.find("RECOVERED", channel="C0INC")


def test_one_answer_that_fails_does_not_stand_for_a_person(slack: Slack, tmp_path: Path) -> None:
    """Slack is there and stumbles over the first of the two it is asked about, who may no longer act."""
    quick = load_policy(POLICY_FILE).model_copy(update={"recheck_after_s": 3})
    with on_stage(slack, tmp_path, policy=quick) as stage:
        rita, bo = slack.someone("rita"), slack.someone("bo")
        rita.type("C0INC", "/lync declare-disaster fe1")
        mine = bo.find("APPROVE?", dm=True, button="Approve")
        stage.working.clear()
        bo.press(mine, label_of(mine, "Approve"))
        bo.find("APPROVED · Bo Lund", channel="C0INC")
        slack.admin("user", id="URITA", is_restricted=True)
        slack.admin("fault", api_error={"method": "users.info", "error": "internal_error"})
        try:
            over = bo.find("VOID", channel="C0INC", button="Ask again", limit_s=15)
            assert "Rita Berg: the account may no longer act" in over.text
            incident = stage.world.bot.journal.incidents()[-1].incident
            asked = [r.event for r in stage.world.bot.records(incident) if isinstance(r.event, Rechecked)]
            assert [set(one.accounts) for one in asked] == [{"rita", "bo"}], "a hand may begin after the first of these"
        finally:
            slack.admin("user", id="URITA", is_restricted=False)
            slack.admin("fault", clear=True)
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
    """A mail server that keeps what it gets: not the first message, and none for the audit mailbox's old name."""
    got: list[tuple[list[str], str]] = []
    turned_away: list[str] = []

    class Keep:
        async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
            if not turned_away or "old@" in envelope.rcpt_tos[0]:
                turned_away.append(envelope.rcpt_tos[0])
                return "451 not now"
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
    uploads: list[str] = []

    def upload(channel: str, thread: str, name: str, content: bytes, comment: str) -> None:
        uploads.append(comment)
        if len(uploads) == 1:
            raise TimeoutError

    with pager() as (url, heard), mailbox() as (port, got):
        loud = load_policy(POLICY_FILE).model_copy(
            update={
                "pager": PagerPolicy(url="pager", every_s=2),
                "mail": MailPolicy(host="127.0.0.1", port=port, sender="dr@ocsguy.local", audit="old@ocsguy.local"),
            }
        )
        outside = Outside(pager_url=url, report=lambda incident: ("report.html", b"the report"), upload=upload)
        stage = Stage(slack, tmp_path, policy=loud, outside=outside)
        try:
            stage.start(waits=Waits(0.2, 1.0, 0.5, again_s=0.01))
            rita, bo = slack.someone("rita"), slack.someone("bo")
            rita.type("C0INC", "/lync declare-disaster fe1")
            mine = bo.find("APPROVE?", dm=True, button="Approve")
            wait_for(lambda: len(heard) >= 2, "the pager to be rung again")
            bo.press(mine, label_of(mine, "Approve"))
            rita.find("RECOVERED", channel="C0INC")
            wait_for(lambda: len(got) >= 4 and len(uploads) == 2, "four receipts and the report")
            given_up = rita.find("No receipt reached audit", "did not take it", channel="C0HOME")
            incident = stage.world.bot.journal.incidents()[0].incident
            notes = FileNotes(tmp_path / "notes.json")
            wait_for(lambda: notes.get(f"errands:{incident}", "all"), "every errand to be over")
            records = stage.world.bot.records(incident)
        finally:
            stage.stop()
        assert "fe1 London" in heard[0]["summary"]
        assert sorted(to[0] for to, _ in got) == [
            f"{who}@ocsguy.local" for who in ("bo.lund",) * 2 + ("rita.berg",) * 2
        ]
        heads = {r.h for r in records}
        assert all(any(head in text for head in heads) for _, text in got)
        assert any(head in given_up.text.replace("\n", "") for head in heads)
        told = {(r.body["how"], r.body["person"] == "audit", r.code) for r in records if r.kind == "told"}
        assert {("pager", False, "NTF001I"), ("dm", False, "NTF001I"), ("mail", False, "NTF001I")} <= told
        assert [code for how, audit, code in told if audit] == ["NTF001E"]


def test_the_policy_counts_as_it_is_now_and_a_broken_one_is_said(slack: Slack, tmp_path: Path) -> None:
    full = load_policy(POLICY_FILE)
    fewer = full.model_copy(update={"persons": tuple(p for p in full.persons if p.id != "dana")})
    with on_stage(slack, tmp_path, policy=fewer) as stage:
        assert stage.bot is not None
        desk = stage.bot.house.desk
        rita, dana = slack.someone("rita"), slack.someone("dana")
        rita.type("C0INC", "/lync declare-disaster fe1")
        rita.find("APPROVE?", channel="C0INC", button="Approve")
        desk._rules = Rules(policy=full, practice=True)
        dana.find("APPROVE?", dm=True, button="Approve")
        dana.type("C0INC", "/lync whoami")
        dana.find("In the policy as Dana Ito", ephemeral=True)
        wait_for(lambda: Register(desk.journal).text_on("policy", datetime.now(UTC)) == policy_text(full), "the text")

        def broken() -> Rules:
            raise NoRules("policy.toml line 3: roles is no list.", Rules(policy=full, practice=True))

        desk._rules = broken
        said = rita.find("The policy file cannot be used", "line 3", channel="C0HOME")
        assert "stop, decline, cancel and note still work" in " ".join(said.text.split())
        rita.type("C0INC", "/lync note still here")
        rita.find("Noted", ephemeral=True)
        desk._rules = Rules(policy=full, practice=True)
        rita.find("The policy file can be used again", channel="C0HOME")


def test_whoever_cannot_do_what_the_policy_says_is_named_at_home_once_a_day(slack: Slack, tmp_path: Path) -> None:
    full = load_policy(POLICY_FILE)
    desk = {"id": "desk", "name": "Night desk", "shared": True, "roles": frozenset({"approve"})}
    noc = {"id": "noc", "name": "NOC", "shared": False, "roles": frozenset({"approve"})}
    more = tuple(full.person("dana").model_copy(update={**one, "slack": (), "mail": ""}) for one in (desk, noc))  # type: ignore[union-attr]
    now = [datetime.now(UTC).replace(hour=1)]
    stage = Stage(slack, tmp_path, policy=full.model_copy(update={"persons": (*full.persons, *more)}))
    rita = slack.someone("rita")

    def told() -> list[str]:
        return [" ".join(s.text.split()) for s in walk(rita.screen("C0HOME"))
                if "People in the policy" in s.text and s.ts > rita.began]  # type: ignore[attr-defined]  # fmt: skip

    gone = ("UCHEN", "UDANA")
    for user in gone:
        slack.admin("user", id=user, deleted=True)
    try:
        bot = stage.start(clock=lambda: now[0])
        wait_for(told, "a word at home")
        (said,) = told()
        assert "Chen Wu: their account is deactivated" in said
        assert "Night desk is a shared account; it may only watch" in said
        assert "NOC looks like a shared account and may do more than watch" in said
        assert "Only 2 can approve" in said
        register = Register(bot.house.desk.journal)

        def looked_now() -> bool:
            bo = register.last_look(now[0]).get("TPRACTICE/UBO")
            return bo is not None and bo.looked_at == now[0]

        now[0] += timedelta(hours=12, minutes=30)
        wait_for(looked_now, "the second look of the day")
        assert len(told()) == 1
        now[0] += timedelta(hours=12, minutes=30)
        wait_for(lambda: len(told()) > 1, "the words of the next day")
        assert len(told()) == 2
    finally:
        for user in gone:
            slack.admin("user", id=user, deleted=False)
        stage.stop()


def test_a_home_channel_that_is_shut_is_said_to_who_operates(slack: Slack, tmp_path: Path) -> None:
    slack.admin("channel", id="C0HOME", is_archived=True)
    try:
        with on_stage(slack, tmp_path):
            said = slack.someone("bo").find("cannot post in the home channel", dm=True)
            assert "/invite @lync" in " ".join(said.text.split())
    finally:
        slack.admin("channel", id="C0HOME", is_archived=False)


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


def test_a_hard_stop_is_paged_once_in_its_own_words_and_the_question_comes_back_after_it(
    slack: Slack, tmp_path: Path
) -> None:
    loud = load_policy(POLICY_FILE).model_copy(update={"pager": PagerPolicy(url="pager", every_s=1)})
    with pager() as (url, heard), on_stage(slack, tmp_path, policy=loud, outside=Outside(pager_url=url)) as stage:
        stage.world.sites.blind = True
        rita = slack.someone("rita")
        rita.type("C0INC", "/lync declare-disaster fe1")
        rita.find("STOP · fe1 London", channel="C0INC")

        def no_plan() -> list[str]:
            return [h["summary"] for h in heard if h["summary"].startswith("NO PLAN for fe1 London")]

        wait_for(no_plan, "the pager to be rung about the hard stop")
        state = stage.world.bot.state(stage.world.bot.journal.incidents()[-1].incident)
        later = datetime.now(UTC) + timedelta(seconds=2.5)
        wait_for(lambda: datetime.now(UTC) > later, "time for two more rounds")
        assert len(no_plan()) == 1
        assert state.phase == "hard_stopped"
        stage.world.sites.blind = False
        rita.find("APPROVE?", channel="C0INC", button="Approve")
        count = len(heard)
        wait_for(lambda: len(heard) > count and "Approval needed" in heard[-1]["summary"], "the pager to be rung again")


def test_a_hand_that_would_not_begin_is_said_with_its_reason(stage: Stage) -> None:
    rita, bo = stage.slack.someone("rita"), stage.slack.someone("bo")
    rita.type("C0INC", "/lync declare-disaster fe1")
    mine = bo.find("APPROVE?", dm=True, button="Approve")
    stage.working.clear()
    bo.press(mine, label_of(mine, "Approve"))
    rita.find("No free hand", channel="C0INC", limit_s=15)
    incident = stage.world.bot.journal.incidents()[-1].incident
    desk = stage.world.tools().desk
    epoch = desk.do(incident, c.TakeHand("ops-leeds", "act1")).state.epoch  # type: ignore[union-attr]
    digests = stage.world.own.digests("fe1")
    desk.do(incident, c.StartRun(epoch, desk.state(incident).request.digest, digests, clock_off_s=45))  # type: ignore[union-attr]
    board = rita.find("A worker would not begin", channel="C0INC", button="I take over")
    assert "This host's clock is off by 45 s" in " ".join(board.text.split())
    assert "No free hand" not in board.text
    rung = sum(1 for job, _ in stage.world.bell.rung if job == ADVANCE)
    later = datetime.now(UTC) + timedelta(seconds=1.5)
    wait_for(lambda: datetime.now(UTC) > later, "several rounds of the reconciler")
    assert sum(1 for job, _ in stage.world.bell.rung if job == ADVANCE) <= rung + 1
