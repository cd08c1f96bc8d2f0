"""The bot as a process: what it is made of, in which order it starts, and how it ends."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from bot.app import Doors, HttpDoor, Socket
from bot.conversation import Conversation
from bot.draw.reader import Reader
from bot.identity import Accounts
from bot.narrator import Narrator
from bot.notes import Notes
from bot.outbox import Outbox
from bot.policy_now import PolicyNow
from bot.turned_away import TurnedAway
from bot.watch import Outside, Waits, Watch
from bot.web import Me, SlackTrouble, asker, check_app_token, introduce, web_client
from incident.desk import Desk
from incident.doorbell import Doorbell
from incident.one_time import Seeds
from playbooks.estate import Estate

log: Final = logging.getLogger("lync-dr.bot")


@dataclass(frozen=True)
class SlackSettings:
    """How Slack is reached. Socket Mode unless `http_listen` (host:port) says otherwise. Tokens are never printed."""

    bot_token: str
    app_token: str = ""
    signing_secret: str = ""
    api_url: str = ""
    http_listen: str = ""

    def __repr__(self) -> str:
        return f"SlackSettings(api_url={self.api_url!r}, http_listen={self.http_listen!r})"


@dataclass(frozen=True)
class House:
    """What the root hands in: the desk over its own journal, the doorbell, the notes, and the configuration."""

    desk: Desk
    doorbell: Doorbell
    notes: Notes
    estate: Estate
    seeds: Seeds
    slack: SlackSettings
    waits: Waits = field(default_factory=Waits)
    outside: Outside = field(default_factory=Outside)
    practice: bool = False
    host: str = socket.gethostname()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class Bot:
    """The parts, put together. `start` raises `SlackTrouble` with one sentence."""

    def __init__(self, house: House) -> None:
        self.house = house
        slack = house.slack
        if not slack.bot_token:
            raise SlackTrouble(
                "There is no bot token. Put the bot token (xoxb-…) of your Slack app into SLACK_BOT_TOKEN or the file "
                "named by SLACK_BOT_TOKEN_FILE."
            )
        if not slack.http_listen and not slack.app_token:
            raise SlackTrouble(
                "There is no app-level token. Socket Mode needs one (xapp-…, scope connections:write) in "
                "SLACK_APP_TOKEN or the file named by SLACK_APP_TOKEN_FILE."
            )
        if slack.http_listen and not slack.signing_secret:
            raise SlackTrouble(
                "HTTP mode needs the app's signing secret in SLACK_SIGNING_SECRET or the file named by "
                "SLACK_SIGNING_SECRET_FILE; without it anybody could pretend to be Slack."
            )
        self.client = web_client(slack.bot_token, slack.api_url)
        self.ask = asker(self.client)
        policy = PolicyNow(house.desk)
        self.reader = Reader(policy, practice=house.practice, host=house.host)
        self.accounts = Accounts(self.ask, policy, house.clock)
        self.outbox = Outbox(self.ask, house.notes)
        self.narrator = Narrator(
            house.desk, self.outbox, house.notes, self.reader, self.ask, house.clock, house.waits.board_s,
            house.waits.scan_s,
        )  # fmt: skip
        outside = house.outside
        if outside.report is not None and outside.upload is None:
            outside = Outside(outside.pager_url, outside.mail_login, outside.report, self._upload)
        self.watch = Watch(house.desk, house.doorbell, self.narrator, self.accounts, house.clock, house.waits, outside,
                           policy=policy)  # fmt: skip
        self.conversation = Conversation(
            house.desk, house.doorbell, house.estate, self.accounts, self.narrator, self.reader, self.ask, house.seeds,
            house.clock, lambda: self.watch.clock_off_s,
        )  # fmt: skip
        self.turned_away = TurnedAway(house.desk.journal)
        self.doors: Doors | None = None
        self.socket: Socket | None = None
        self.http: HttpDoor | None = None

    def start(self) -> None:
        """Introduce ourselves to Slack, open the door, then begin to narrate and to watch."""
        slack = self.house.slack
        me = introduce(self.ask)
        self._ours(me)
        self.conversation.me = self.watch.me = me.name or "lync-recovery"
        self.doors = Doors(self.client, me, self.conversation, self.reader, self.ask, self.house.notes)
        if slack.http_listen:
            host, _, port = slack.http_listen.rpartition(":")
            self.http = HttpDoor(self.doors, slack.signing_secret, (host or "127.0.0.1", int(port)), self.turned_away)
            self.http.start()
        else:
            check_app_token(slack.app_token, slack.api_url)
            self.socket = Socket(self.doors, slack.app_token)
            self.socket.connect()  # type: ignore[no-untyped-call]
        self.outbox.start()
        self.narrator.start()
        self.watch.start()

    def stop(self) -> None:
        """Close the door first, then let everything end after what it has in hand."""
        self.watch.wind_down()
        self.narrator.wind_down()
        if self.socket is not None:
            self.socket.leave()
        if self.http is not None:
            self.http.stop()
        self.turned_away.stop()
        if self.doors is not None:
            self.doors.stop()
        self.watch.stop()
        self.narrator.stop()
        self.outbox.stop()

    def _ours(self, me: Me) -> None:
        policy = self.house.desk.rules.policy
        if policy.team not in (me.team, me.enterprise):
            raise SlackTrouble(
                f"The bot token belongs to the workspace {me.team}, the policy file says team = {policy.team}. One of "
                "the two is wrong; nothing was started."
            )

    def _upload(self, channel: str, thread: str, name: str, content: bytes, comment: str) -> None:
        self.client.files_upload_v2(
            channel=channel, thread_ts=thread, filename=name, content=content, title=name, initial_comment=comment
        )


def serve(house: House, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> None:
    """Run the bot until `stop` is set. Raises `SlackTrouble` or `JournalError`, each one sentence."""
    bot = Bot(house)
    bot.start()
    try:
        ready()
        stop.wait()
    finally:
        bot.stop()
