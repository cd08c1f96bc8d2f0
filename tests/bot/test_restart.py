"""A narrator that dies, an answer that is lost, a Slack that is down: nothing lost, nothing doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.notes import FileNotes
from cli.someone import walk
from incident.journal import Unreachable
from incident.journals.redis_notes import RedisNotes
from tests.bot.stage import Slack, Stage
from tests.waiting import wait_for

ONCE = ("DISASTER DECLARED", "APPROVE?", "fe1 London → fe2 Leeds ·")


class Forgetful(FileNotes):
    """Notes of a process that died after Slack had taken a post and before it could write down where."""

    def put(self, name: str, key: str, value: str) -> None:
        if not name.startswith("posted:") or ":card" in key:
            super().put(name, key, value)


@pytest.fixture
def history(slack: Slack) -> Iterator[Slack]:
    """A workspace in which the optional history scopes were granted."""
    scopes = [
        "commands", "chat:write", "users:read", "files:write", "im:write", "channels:read", "groups:read",
        "channels:history", "groups:history", "im:history",
    ]  # fmt: skip
    slack.admin("app", scopes=scopes)
    yield slack
    slack.admin("app", scopes=[*scopes[:-3], "usergroups:read"])


def seen_by(stage: Stage, key: str, began: str) -> Counter[str]:
    """How often each kind of message stands on this person's screen, threads line by line."""
    found: Counter[str] = Counter()
    for seen in walk(stage.slack.someone(key).screen()):
        if seen.ts > began and not seen.message["ephemeral"]:
            first = seen.text.split("\n", 1)[0]
            if seen.room.endswith("(thread)"):
                found.update(line for line in seen.text.split("\n") if "PRACTICE" not in line)
            else:
                found[f"{seen.room}: {first}"] += 1
    return found


def test_a_killed_narrator_neither_loses_nor_doubles(history: Slack, tmp_path: Path) -> None:
    stage = Stage(history, tmp_path)
    rita = history.someone("rita")
    try:
        stage.start(notes=Forgetful(tmp_path / "notes.json"))
        rita.type("C0INC", "/lync declare-disaster fe1")
        rita.find("APPROVE?", channel="C0INC", button="Approve")
        rita.find("Asked for approval", channel="C0INC")
        stage.stop_bot()
        stage.world.do(stage_note(stage, "written while no bot was there"))
        stage.start()
        rita.find("written while no bot was there", channel="C0INC")
        wait_for(lambda: stage.bot and not stage.bot.outbox.waiting(), "an empty outbox")
        for key in ("rita", "bo"):
            doubled = {k: n for k, n in seen_by(stage, key, rita.began).items() if n > 1}
            assert not doubled
        mine = seen_by(stage, "bo", rita.began)
        assert any("APPROVE?" in k and "direct" in k for k in mine)
    finally:
        stage.stop()


def stage_note(stage: Stage, text: str) -> Any:
    """A note, written past the bot."""
    from incident.commands import AddNote
    from tests.workers.world import who

    stage.world.incident = stage.world.bot.journal.incidents()[-1].incident
    return AddNote(who("bo"), text)


def test_an_answer_that_was_lost_is_looked_for_before_posting_again(history: Slack, tmp_path: Path) -> None:
    stage = Stage(history, tmp_path)
    rita = history.someone("rita")
    try:
        stage.start()
        history.admin("fault", drop_reply={"method": "chat.postMessage", "count": 3})
        rita.type("C0INC", "/lync declare-disaster fe1")
        rita.find("APPROVE?", channel="C0INC", button="Approve")
        rita.find("Asked for approval", channel="C0INC")
        assert not {k: n for k, n in seen_by(stage, "rita", rita.began).items() if n > 1}
    finally:
        history.admin("fault", clear=True)
        stage.stop()


def test_slack_down_and_rate_limited_posts_come_later_with_their_own_times(slack: Slack, tmp_path: Path) -> None:
    stage = Stage(slack, tmp_path)
    rita = slack.someone("rita")
    try:
        stage.start()
        rita.type("C0INC", "/lync declare-disaster fe1")
        rita.find("APPROVE?", channel="C0INC", button="Approve")
        slack.admin("fault", down="error")
        stage.world.do(stage_note(stage, "said while Slack was down"))
        at = stage.world.state.at
        wait_for(lambda: stage.bot and stage.bot.outbox.trouble, "the trouble to be noticed", 15)
        slack.admin("fault", clear=True, rate_limit={"method": "chat.postMessage", "count": 2, "retry_after": 1})
        line = rita.find("said while Slack was down", channel="C0INC")
        assert f"{at:%H:%M:%S}" in line.text
    finally:
        slack.admin("fault", clear=True)
        stage.stop()


class Away(FileNotes):
    """Notes whose store is away for the first questions."""

    left = 12

    def get(self, name: str, key: str) -> str | None:
        if self.left and key not in ("told", "origin"):
            self.left -= 1
            raise Unreachable("The store does not answer.")
        return super().get(name, key)


def test_a_store_that_is_away_for_a_moment_costs_no_post(slack: Slack, tmp_path: Path) -> None:
    stage = Stage(slack, tmp_path)
    rita = slack.someone("rita")
    try:
        stage.start(notes=Away(tmp_path / "notes.json"))
        rita.type("C0INC", "/lync declare-disaster fe1")
        rita.find("DISASTER DECLARED", channel="C0INC")
        rita.find("APPROVE?", channel="C0INC", button="Approve")
        rita.find("Asked for approval", channel="C0INC")
        assert not {k: n for k, n in seen_by(stage, "rita", rita.began).items() if n > 1}
    finally:
        stage.stop()


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_notes_of_either_kind_keep_the_same_promises(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = "" if kind == "file" else str(request.getfixturevalue("store"))
    one, two = (FileNotes(tmp_path / "n.json") if kind == "file" else RedisNotes(url) for _ in range(2))
    assert one.claim("posted:i", "1:card", "mine") is None
    assert two.claim("posted:i", "1:card", "theirs") == "mine"
    two.put("posted:i", "1:card", "done")
    assert (one.get("posted:i", "1:card"), one.get("posted:i", "2:card")) == ("done", None)
    assert dict(one.book("posted:i")) == {"1:card": "done"}
    assert [n.once("body:1", 60) for n in (one, two)] == [True, False]
    assert [n.lease("narrator", who, 30) for n, who in ((one, "a"), (two, "b"), (one, "a"))] == [True, False, True]
    two.release("narrator", "b")
    assert not two.lease("narrator", "b", 30)
    one.release("narrator", "a")
    assert two.lease("narrator", "b", 0.05)
    wait_for(lambda: one.lease("narrator", "a", 30), "the lease to run out", 5)
