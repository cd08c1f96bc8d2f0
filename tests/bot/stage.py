"""The real bot against the practice workspace, with real rules, playbooks and hands over scripted sites.

Journal, desk, doorbell and workers run in this process; Slack is a process of its own and is reached only through its
sockets, by the bot as the product does it and by people through the page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from bot.notes import FileNotes
from bot.serve import Bot, House, SlackSettings
from bot.watch import Outside, Waits
from cli.someone import Seen, Someone
from config.load import Configuration, load_policy
from config.settings import Settings
from incident.doorbell import ADVANCE, LOOK_NOW, REPLICAS, SURVEY
from incident.one_time import Seeds
from incident.policy import Policy, Rules
from playbooks.estate import Estate
from tests.waiting import wait_for
from tests.workers import world
from workers.advance import advance
from workers.replicas import read_once
from workers.survey import look_now, survey

POLICY_FILE = Path(__file__).resolve().parents[2] / "config" / "policy.practice.toml"
HOSTS = ("rita", "bo", "chen", "dana", "olaf")
NAMES = {"rita": "Rita Berg", "bo": "Bo Lund", "chen": "Chen Wu", "dana": "Dana Ito", "olaf": "Olaf Out"}


class From(Someone):
    """Somebody who does not look at what stood there before: the workspace is shared by all tests of the room."""

    def __init__(self, page_url: str, user: str, name: str) -> None:
        super().__init__(page_url, user, name)
        self.began = f"{time.time():.6f}"

    def find(self, *words: str, since: str = "", **more: Any) -> Seen:
        """See `Someone.find`."""
        return super().find(*words, since=max(since, self.began), **more)


class Slack:
    """The practice workspace as a process."""

    def __init__(self, folder: Path, *options: str) -> None:
        ready = folder / "ready.json"
        command = [sys.executable, "-m", "practice.slack", "--state", str(folder), "--ready", str(ready), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda: ready.exists() or self.process.poll() is not None, "the practice workspace")
        self.ready: dict[str, str] = json.loads(ready.read_text())
        self.settings = SlackSettings(
            self.ready["bot_token"],
            self.ready["app_token"],
            self.ready.get("signing_secret", ""),
            self.ready["api_url"],
        )

    def someone(self, key: str) -> Someone:
        """A person at the page, who only looks at what comes from now on."""
        return From(self.ready["page_url"], f"U{key.upper()}", NAMES[key])

    def admin(self, what: str, **order: Any) -> Any:
        """Change the workspace, as its administrator."""
        answer = requests.post(f"{self.ready['page_url'].rstrip('/')}/admin/{what}", json=order, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def log(self, kind: str, after: int = 0) -> list[dict[str, Any]]:
        """The workspace's own log."""
        url = f"{self.ready['page_url'].rstrip('/')}/admin/log"
        found = requests.get(url, params={"after": after, "kind": kind}, timeout=10).json()
        return list(found["entries"])

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)


class Stage:
    """One installation: sites, journal, bot."""

    def __init__(
        self,
        slack: Slack,
        folder: Path,
        policy: Policy | None = None,
        outside: Outside | None = None,
        estate: Estate | None = None,
    ) -> None:
        self.slack, self.folder = slack, folder
        self.policy = policy or load_policy(POLICY_FILE)
        own = Configuration(Settings(), estate or world.estate(), world.Endpoints(hosts={}), self.policy)
        self.world = world.World(own=own)
        self.outside = outside or Outside()
        self._stopping = threading.Event()
        self.working = threading.Event()
        """Cleared: the workers hear no bell."""
        self.working.set()
        self.bot: Bot | None = None
        self.unheard = ""
        """An incident whose rings the workers do not hear."""
        self.lost = world.LOST
        """Hosts that answer nobody."""
        self._hands = threading.Thread(target=self._work, daemon=True)
        self._hands.start()

    def house(self, **more: Any) -> House:
        """What the bot is made of."""
        desk = self.world.desk(world.BOT, self.policy)
        desk._rules = Rules(policy=self.policy, practice=True)
        made = House(
            desk=desk, doorbell=self.world.bell, notes=FileNotes(self.folder / "notes.json"),
            estate=self.world.own.estate,
            seeds=Seeds(self.folder / "seeds"), slack=self.slack.settings, waits=Waits(0.3, 1.0, 0.5, replicas_s=0.5),
            practice=True, host="bot-leeds", outside=self.outside,
        )  # fmt: skip
        return replace(made, **more)

    def start(self, **more: Any) -> Bot:
        """Start the bot."""
        self.bot = Bot(self.house(**more))
        self.bot.start()
        return self.bot

    def stop(self) -> None:
        """Stop bot and hands."""
        self.stop_bot()
        self._stopping.set()
        self._hands.join(5)

    def stop_bot(self) -> None:
        """Stop the bot alone."""
        if self.bot is not None:
            self.bot.stop()
            self.bot = None

    def _work(self) -> None:
        """The workers: carry out each ring once, in order."""
        done = 0
        while not self._stopping.wait(0.02):
            rung = self.world.bell.rung
            while done < len(rung) and self.working.is_set():
                job, args = rung[done]
                done += 1
                if self.unheard in args[:1]:
                    continue
                tools = self.world.tools(world.ACT2)
                tools = replace(tools, looker=replace(tools.looker, lost=self.lost))
                if job == SURVEY:
                    survey(str(args[0]), tools)
                elif job == ADVANCE:
                    advance(str(args[0]), tools)
                elif job == REPLICAS:
                    read_once(str(args[0]), tools)
                elif job == LOOK_NOW:
                    look_now(str(args[0]), dict(args[1]), tools)


@contextmanager
def on_stage(slack: Slack, folder: Path, **more: Any) -> Iterator[Stage]:
    """A stage with its bot, gone afterwards."""
    stage = Stage(slack, folder, **more)
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()
