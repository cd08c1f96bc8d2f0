"""A step that only a person can do: asked for by name, answered by a button or a word, and nobody called in vain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli.someone import label_of
from incident.doorbell import ADVANCE
from tests.bot.stage import Slack, Stage, on_stage
from tests.waiting import wait_for
from tests.workers import world


def hands_called(stage: Stage) -> int:
    return sum(1 for job, _ in stage.world.bell.rung if job == ADVANCE)


def test_where_no_test_user_can_sign_in_a_person_does_and_says_so(slack: Slack, tmp_path: Path) -> None:
    nobody = world.estate().model_copy(update={"test_user": ()})
    with on_stage(slack, tmp_path, estate=nobody) as stage:
        rita, bo, chen = (slack.someone(k) for k in ("rita", "bo", "chen"))
        rita.type("C0INC", "/lync declare-disaster fe1")
        mine = bo.find("APPROVE?", dm=True, button="Approve")
        bo.press(mine, label_of(mine, "Approve"))
        asked = chen.find("A PERSON IS NEEDED", "Sign in as a London user", channel="C0INC", button="It works")
        board = chen.find("Waiting for: a person: sign in as", channel="C0INC", button="It works")
        # Longer than a hand may be silent: only a person is waited for, and no hand is called.
        incident = stage.world.bot.journal.incidents()[-1].incident
        rung = hands_called(stage)
        quiet = timedelta(seconds=1.5)
        wait_for(lambda: datetime.now(UTC) - stage.world.bot.state(incident).at > quiet, "the record to stand still")
        assert "silent" not in chen.find("Waiting for: a person", channel="C0INC").text
        assert hands_called(stage) == rung
        chen.press(asked, label_of(asked, "It works"))
        over = chen.find("CONFIRMED · Chen Wu", channel="C0INC", since=board.ts)
        assert over.labels == []
        rita.find("RECOVERED", channel="C0INC", since=board.ts)
