"""What must not cost a post, a board or another incident: bad drawings, shut channels, broken journals, two bots."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from bot.app import Doors
from bot.draw.post import Post
from bot.draw.reader import Reader
from bot.narrator import LEASE, Narrator
from bot.notes import FileNotes
from bot.outbox import PROGRESS, RED, Item, Outbox
from bot.watch import Waits
from bot.web import Me, web_client
from cli.someone import label_of
from incident import commands as do
from incident.journal import Unreachable
from incident.policy import Person
from tests.bot.stage import Slack, Stage
from tests.waiting import wait_for
from tests.workers.world import POLICY, World, who


class Wall:
    """Slack as one function: it keeps what was posted and refuses what it is told to."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.refusals: dict[str, str] = {}
        """Channel -> Slack's word for why nothing may be posted there."""
        self.hold = threading.Event()
        self.hold.set()
        self.page = 100

    def ask(self, method: str, **given: Any) -> Mapping[str, Any]:
        """One Web API call."""
        self.hold.wait(10)
        channel = str(given.get("channel", ""))
        if error := self.refusals.get(channel):
            answer = SlackResponse(
                client=None, http_verb="POST", api_url="", req_args={}, data={"ok": False, "error": error},
                headers={}, status_code=200,
            )  # fmt: skip
            raise SlackApiError(error, answer)
        if method == "conversations.info":
            return {"channel": {"is_member": True}}
        if method.startswith("conversations."):
            return self._read(given)
        self.posted.append({**given, "ts": f"{1000 + len(self.posted)}.0"})
        return {"ok": True, "channel": channel, "ts": self.posted[-1]["ts"]}

    def _read(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Oldest first, in pages, as `conversations.replies` does."""
        since = float(given.get("oldest", 0))
        found = [m for m in self.posted if m["channel"] == given["channel"] and float(m["ts"]) >= since]
        start = int(given.get("cursor") or 0)
        more = str(start + self.page) if start + self.page < len(found) else ""
        return {"messages": found[start : start + self.page], "response_metadata": {"next_cursor": more}}

    def texts(self, channel: str = "") -> list[str]:
        """What stands there."""
        return [m["text"] for m in self.posted if channel in ("", m["channel"])]


def news(key: str, draw: Callable[[], Post | None] | None = None, channel: str = "C0INC") -> Item:
    """One post about an incident."""
    return Item("posted:20261122-fe1-a", key, channel, RED, draw or (lambda: Post("red", f"the news {key}")))


@pytest.fixture
def wall() -> Wall:
    return Wall()


def box(wall: Wall, folder: Path, notes: FileNotes | None = None, **more: Any) -> Outbox:
    """An outbox that sends."""
    made = Outbox(wall.ask, notes or FileNotes(folder / "notes.json"), **more)
    made.start()
    return made


def test_a_drawing_that_fails_still_posts_that_there_is_news(wall: Wall, tmp_path: Path) -> None:
    out = box(wall, tmp_path)
    out.want(news("7:red", lambda: Post("red", str(1 // 0))))
    wait_for(lambda: wall.posted, "the plain post")
    out.stop()
    assert "could not be drawn (7:red)" in wall.texts()[0]
    assert "lync-dr status" in wall.texts()[0]
    assert out.trouble == ""


class Shut(FileNotes):
    """Notes that cannot be claimed in for the first tries."""

    left = 2

    def claim(self, name: str, key: str, value: str) -> str | None:
        if self.left:
            self.left -= 1
            raise Unreachable("The store does not answer.")
        return super().claim(name, key, value)


def test_a_store_that_is_away_is_not_called_slack_trouble(wall: Wall, tmp_path: Path) -> None:
    notes, said = Shut(tmp_path / "notes.json"), list[str]()
    out = box(wall, tmp_path, notes, on_state=said.append)
    out.want(news("7:red"))
    wait_for(lambda: wall.posted, "the post")
    out.stop()
    assert (notes.left, said, len(wall.posted)) == (0, [], 1)


def test_what_another_bot_has_claimed_is_looked_for_first(wall: Wall, tmp_path: Path) -> None:
    notes = FileNotes(tmp_path / "notes.json")
    wall.hold.clear()
    one, two = box(wall, tmp_path, notes), box(wall, tmp_path, notes)
    for out in (one, two):
        out.want(news("7:red"))
    wait_for(lambda: notes.get("posted:20261122-fe1-a", "7:red"), "the claim of one of them")
    wall.hold.set()
    wait_for(lambda: one.sent(news("").book, "7:red") and two.sent(news("").book, "7:red"), "both to know where")
    for out in (one, two):
        out.stop()
    assert len(wall.posted) == 1


def test_who_lost_the_telling_sends_nothing_more(wall: Wall, tmp_path: Path) -> None:
    mine = threading.Event()
    mine.set()
    wall.hold.clear()
    out = box(wall, tmp_path, senders=1, mine=mine.is_set)
    out.want(news("7:red"))
    wait_for(out.busy, "the first to be in hand")
    out.want(news("8:red"))
    mine.clear()
    wall.hold.set()
    wait_for(lambda: not out.waiting() and not out.busy(), "the queue to be dropped")
    assert wall.texts() == ["the news 7:red"]
    mine.set()
    out.want(news("8:red"))
    wait_for(lambda: len(wall.posted) == 2, "what is asked for again")
    out.stop()


def test_a_lost_answer_is_looked_for_beyond_the_first_page(wall: Wall, tmp_path: Path) -> None:
    notes, wall.page = FileNotes(tmp_path / "notes.json"), 2
    wall.posted = [{"channel": "C0INC", "text": "older", "ts": f"{n}.0"} for n in range(1, 6)]
    meta = {"event_payload": {"incident": "posted:20261122-fe1-a", "keys": ["7:red"]}}
    wall.posted += [{"channel": "C0INC", "text": f"m{n}", "ts": f"{500 + n}.0"} for n in range(5)]
    wall.posted.append({"channel": "C0INC", "text": "it stands", "ts": "510.0", "metadata": meta})
    notes.put("posted:20261122-fe1-a", "7:red", json.dumps({"claimed": 509}))
    out = box(wall, tmp_path, notes)
    out.want(news("7:red"))
    wait_for(lambda: out.sent("posted:20261122-fe1-a", "7:red"), "it to be found")
    out.stop()
    found = out.sent("posted:20261122-fe1-a", "7:red")
    assert found is not None
    assert (found.channel, found.ts) == ("C0INC", "510.0")


class Stumbling(Reader):
    """Drawing fails once in the middle of the telling."""

    stumbled: ClassVar[list[str]] = []

    def approvers(self, but: str = "") -> tuple[Person, ...]:
        if not self.stumbled:
            self.stumbled.append(but)
            raise Unreachable("The store does not answer.")
        return super().approvers(but)


def test_what_was_heard_and_not_told_is_heard_again(wall: Wall, tmp_path: Path) -> None:
    world = World().asked()
    out = box(wall, tmp_path)
    narrator = Narrator(world.bot, out, out.notes, Stumbling(POLICY), wall.ask, lambda: datetime.now(UTC))
    narrator.narrating, narrator._renewed = True, float("inf")
    with pytest.raises(Unreachable):
        narrator.catch_up(world.incident)
    narrator.catch_up(world.incident)
    wait_for(lambda: any("APPROVE?" in text for text in wall.texts("C0INC")), "the card")
    out.stop()


def test_a_bot_that_slept_through_its_lease_asks_before_it_speaks(wall: Wall, tmp_path: Path) -> None:
    notes = FileNotes(tmp_path / "notes.json")
    first, second = (
        Narrator(World().bot, Outbox(wall.ask, notes), notes, Reader(POLICY), wall.ask, lambda: datetime.now(UTC))
        for _ in range(2)
    )
    assert [first._renew(), second._renew(), first.still_mine(), second.still_mine()] == [True, False, True, False]
    first.outbox.want(news("7:red"))
    notes.release("narrator", first._owner)
    assert second._renew()
    first._renewed = float("-inf")
    assert not first.still_mine()
    assert not first.outbox.waiting()


def test_a_dialog_that_fails_stays_open_and_says_so(wall: Wall, tmp_path: Path) -> None:
    doors = Doors(web_client("xoxb-1"), Me("T", "", "U", "B"), None, Reader(POLICY), wall.ask, None)  # type: ignore[arg-type]
    said: list[dict[str, Any]] = []
    body = {"user": {"id": "UBO"}, "view": {"blocks": [{"type": "input", "block_id": "typed"}]}}
    doors._on_view(lambda **answer: said.append(answer), body)
    doors._on_view(lambda **answer: said.append(answer), {**body, "view": {}})
    doors.stop()
    assert "Nothing is certain" in said[0]["errors"]["typed"]
    assert "Nothing is certain" in str(said[1]["view"])
    assert [m["channel"] for m in wall.posted] == ["UBO", "UBO"]


def test_outsiders_are_shown_no_command(stage: Stage) -> None:
    rita, olaf = stage.slack.someone("rita"), stage.slack.someone("olaf")
    rita.type("C0INC", "/lync declare-disaster fe1")
    card = olaf.find("APPROVE?", channel="C0INC", button="Commands")
    olaf.press(card, label_of(card, "Commands"))
    olaf.find("nothing to show", ephemeral=True)
    assert not olaf.screen()["modal"]
    rita.press(card, label_of(card, "Commands"))
    rita.wait(lambda screen: screen["modal"], "the commands")


def test_a_channel_that_was_shut_is_told_at_home_from_then_on(slack: Slack, tmp_path: Path) -> None:
    stage = Stage(slack, tmp_path)
    rita = slack.someone("rita")
    try:
        stage.start()
        rita.type("C0INC", "/lync declare-disaster fe1")
        rita.find("APPROVE?", channel="C0INC", button="Approve")
        slack.admin("channel", id="C0INC", is_archived=True)
        rita.type("C0HOME", "/lync stop fe1")
        rita.find("STOP", channel="C0HOME")
    finally:
        slack.admin("channel", id="C0INC", is_archived=False)
        stage.stop()


def test_a_journal_that_lost_its_end_is_said_and_holds_up_no_other(slack: Slack, tmp_path: Path) -> None:
    stage = Stage(slack, tmp_path)
    rita = slack.someone("rita")
    store, desk = stage.world.store, stage.world.bot
    try:
        stage.start(waits=Waits(0.3, 1.0, 0.5, scan_s=0.5))
        # An incident of another pair, whose name comes before the one that matters.
        other = desk.declare(
            do.Declare(
                who("rita"), "declare-disaster", "fa1", "fa1.ocsguy.local", "Oslo", "fa2", "fa2.ocsguy.local", "Bergen",
                7, "a forgotten one", "", "C0INC",
            )
        ).incident  # fmt: skip
        desk.do(other, do.AddNote(who("rita"), "the end of this one"))
        stage.unheard = other
        rita.find("the end of this one", channel="C0INC")
        store.put_raw(other, list(store.lines(other, 0))[:-1])
        for channel in ("C0INC", "C0HOME"):
            said = rita.find("HALT", other, "acknowledged records up to", channel=channel)
            assert "Nothing more will run" in said.text
            assert "keep the store" in said.text
        rita.type("C0INC", "/lync declare-disaster fe1")
        rita.find("APPROVE?", "fe1 London", channel="C0INC", button="Approve")
        rita.type("C0INC", "/lync status fe1")
        rita.find("fe1 London", ephemeral=True)
        rita.type("C0INC", "/lync status fa1")
        rita.find("Nothing is open for fa1", "ends at record", ephemeral=True)
    finally:
        stage.stop()


def test_a_bot_that_heard_on_after_its_term_tells_everything_when_it_narrates_again(wall: Wall, tmp_path: Path) -> None:
    """It stood still while another bot took over, and hears on for a moment before it knows."""
    world = World().asked()
    out = box(wall, tmp_path)
    narrator = Narrator(world.bot, out, out.notes, Reader(POLICY), wall.ask, lambda: datetime.now(UTC))
    assert out.notes.lease(LEASE, "the other bot", 60)
    narrator.narrating = True
    assert not narrator._renew()
    narrator.catch_up(world.incident)
    wait_for(lambda: not out.waiting(above=PROGRESS), "the posts to be left to the other bot")
    assert wall.texts("C0INC") == []
    out.notes.release(LEASE, "the other bot")
    narrator.start()
    try:
        wait_for(lambda: any("APPROVE?" in text for text in wall.texts("C0INC")), "the card")
    finally:
        narrator.stop()
        out.stop()
