"""Two bots over one store, as processes: one narrates; it is killed, or frozen for a minute, in the middle of telling.
Nothing is told twice, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from cli.someone import Someone, walk
from incident.commands import AddNote
from incident.policy import Rules
from tests.bot.stage import From, Slack
from tests.conftest import ROOT
from tests.waiting import wait_for
from tests.workers.house import House, house
from tests.workers.world import who

SCOPES = ("commands", "chat:write", "users:read", "files:write", "im:write", "channels:read", "groups:read",
          "channels:history", "groups:history", "im:history")  # fmt: skip
"""With these a bot can look whether a post stands of which it is only known that somebody was about to send it."""


class Bots:
    """The bots of one installation, by name, and who watches them talk."""

    def __init__(self, home: House, slack: Slack, rita: Someone, store: str) -> None:
        self.home, self.slack, self.rita = home, slack, rita
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.said = 0
        self._store = redis.Redis.from_url(store)

    def start(self, name: str) -> None:
        """Starts a bot and waits until it listens."""
        ready, settings = self.home.out / f"{name}.ready", self.slack.settings
        tokens = {"SLACK_BOT_TOKEN": settings.bot_token, "SLACK_APP_TOKEN": settings.app_token,
                  "SLACK_API_URL": settings.api_url}  # fmt: skip
        argv = [sys.executable, "-m", "cli", "bot", "--name", name, "--ready", str(ready)]
        with (self.home.out / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                argv, env={**os.environ, **self.home.env, **tokens}, cwd=ROOT, stdout=log, stderr=log
            )
        wait_for(ready.exists, f"{name} to listen", 40)

    def narrates(self) -> bytes | None:
        """Which bot has the narrator's lease, by the name it gave itself."""
        (key,) = self._store.keys("*narrator*") or (b"",)
        found = self._store.get(key) if key else None
        return found if isinstance(found, bytes) else None

    def say(self, count: int) -> None:
        """So many notes, written past the bots."""
        for _ in range(count):
            self.said += 1
            self.home.do(AddNote(who("bo"), f"word {self.said:03d} of the night"))

    def heard(self, number: int, limit_s: float = 40) -> None:
        """Waits until this note stands in the log."""
        self.rita.find(f"word {number:03d} of the night", channel="C0INC", limit_s=limit_s)

    def lines(self) -> Counter[str]:
        """How often each note stands in the incident's log, and each other message in its channels."""
        found: Counter[str] = Counter()
        for seen in walk(self.rita.screen()):
            if seen.ts <= self.rita.began:  # type: ignore[attr-defined]
                continue
            if seen.room.endswith("(thread)"):
                found.update(f"{seen.channel} {line[9:]}" for line in seen.text.split("\n") if "word" in line)
            elif not seen.message["ephemeral"]:
                found[f"{seen.channel} {seen.text.splitlines()[0]}"] += 1
        return found

    def told_once(self) -> None:
        """Each note once in the log of each channel, each other message once."""
        found = self.lines()
        assert {line: n for line, n in found.items() if n > 1} == {}
        words = [line for line in found if line.startswith("C0INC") and "of the night" in line]
        assert len(words) == self.said, sorted(found)

    def stop(self) -> None:
        """Ends each by its own pid."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def two_bots(folder: Path, store: str) -> Iterator[Bots]:
    """The first one narrates, and an incident is open."""
    slack = Slack(folder / "slack", "--rates", "off")
    try:
        slack.admin("app", scopes=list(SCOPES))
        with house(folder, store) as home:
            home.bot._rules = Rules(policy=home.config.policy, practice=True)
            bots = Bots(home, slack, From(slack.ready["page_url"], "URITA", "Rita Berg"), store)
            try:
                bots.start("bot-a")
                wait_for(bots.narrates, "a bot to narrate", 20)
                bots.start("bot-b")
                bots.rita.type("C0INC", "/lync declare-disaster fe1")
                bots.rita.find("DISASTER DECLARED", channel="C0INC")
                home.incident = home.bot.journal.incidents()[0].incident
                yield bots
            finally:
                bots.stop()
    finally:
        slack.stop()


def test_the_narrator_is_killed_in_the_middle_of_telling(tmp_path: Path, store: str) -> None:
    with two_bots(tmp_path, store) as bots:
        first = bots.narrates()
        bots.say(5)
        bots.heard(2)
        bots.say(5)
        bots.processes["bot-a"].kill()
        bots.processes["bot-a"].wait()
        bots.say(5)
        bots.heard(15)
        assert bots.narrates() not in (None, first)
        bots.told_once()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [9, pytest.param(60, marks=pytest.mark.all)])
def test_the_narrator_is_frozen_and_goes_on(seconds: int, tmp_path: Path, store: str) -> None:
    with two_bots(tmp_path, store) as bots:
        first, frozen = bots.narrates(), bots.processes["bot-a"]
        bots.say(5)
        bots.heard(2)
        bots.say(5)
        until = time.monotonic() + seconds
        os.kill(frozen.pid, signal.SIGSTOP)
        bots.say(5)
        bots.heard(15)
        second = bots.narrates()
        assert second not in (None, first)
        wait_for(lambda: time.monotonic() >= until, "the bot to have been frozen long enough", seconds + 30)
        bots.say(5)
        os.kill(frozen.pid, signal.SIGCONT)
        bots.say(5)
        bots.heard(25)
        assert bots.narrates() == second, "who came back leaves the telling to the other"
        bots.told_once()
        # And it can still take over.
        bots.processes["bot-b"].kill()
        bots.processes["bot-b"].wait()
        bots.say(5)
        bots.heard(30)
        assert bots.narrates() == first
        bots.told_once()
