"""The state of the workspace: who exists, what was said, who sees it. No sockets here."""

from __future__ import annotations

import asyncio
import copy
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import drawing
from .rates import Rates
from .world import App, Channel, Group, Member, World

LOG_ENTRIES = 20_000
NOTIFICATIONS = 200
TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS = 30 * 60.0
RESPONSE_URL_USES = 5
MODALS_STACKED = 3


class Refused(Exception):
    """An answer with ``ok: false``; ``error`` is Slack's word for it, ``more`` the fields beside it."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.more = more


@dataclass
class Message:
    """One message as stored; ``only_for`` is the person who alone sees an ephemeral one."""

    ts: str
    channel: str
    user: str
    text: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    bot_id: str = ""
    app_id: str = ""
    thread_ts: str = ""
    broadcast: bool = False
    metadata: dict[str, Any] | None = None
    files: list[str] = field(default_factory=list)
    edited: bool = False
    only_for: str = ""
    revision: int = 0


@dataclass(frozen=True)
class Drawn:
    """What one revision of a message looks like, with names as they were at one shape of the workspace."""

    revision: int
    shape: int
    pieces: list[drawing.Piece]
    mentioned: set[str]
    lines: list[str]


@dataclass
class File:
    """An uploaded file; it has no channel until the upload is completed."""

    id: str
    name: str
    length: int
    app_id: str
    title: str = ""
    body: bytes | None = None
    channels: set[str] = field(default_factory=set)


@dataclass
class View:
    """An open modal, its place in its person's stack and the errors drawn at its fields."""

    id: str
    app_id: str
    user: str
    view: dict[str, Any]
    root: str
    previous: str = ""
    hash: str = ""
    typed: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    trouble: str = ""


@dataclass
class Trigger:
    """A trigger id: three seconds, once (Slack API, "Opening modals")."""

    user: str
    app_id: str
    until: float
    used: bool = False
    channel: str = ""


@dataclass
class ResponseUrl:
    """A response URL: five uses within thirty minutes (Slack API, "Handling user interaction")."""

    user: str
    app_id: str
    channel: str
    until: float
    uses: int = 0
    message_ts: str = ""
    thread_ts: str = ""


class Workspace:
    """Everything the workspace knows, changed only from its one event loop.

    ``changed()`` raises the change number that every waiting reader (page or test) is waiting on.
    """

    def __init__(self, world: World, rates: Rates, trigger_seconds: float = TRIGGER_SECONDS) -> None:
        self.world = world
        self.trigger_seconds = trigger_seconds
        self.rates = rates
        self.members: dict[str, Member] = {m.id: m for m in world.members}
        self.channels: dict[str, Channel] = {c.id: c for c in world.channels}
        self.groups: dict[str, Group] = {g.id: g for g in world.groups}
        self.apps: dict[str, App] = {a.id: a for a in world.apps}
        self.direct: dict[str, tuple[str, ...]] = {}
        self.messages: dict[str, dict[str, Message]] = {}
        self.files: dict[str, File] = {}
        self.uploads: dict[str, str] = {}
        self.modals: dict[str, list[View]] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.notifications: dict[str, deque[dict[str, Any]]] = {}
        self.read_up_to: dict[tuple[str, str], str] = {}
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_ENTRIES)
        self.logged = 0
        self.change = 1
        self.shape = 0
        self._drawn: dict[tuple[str, str], Drawn] = {}
        self._last_ts = 0
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- time, change, log -------------------------------------------------------------------------------

    def next_ts(self) -> str:
        """Return a message timestamp that is unique in the workspace and never goes back."""
        self._last_ts = max(time.time_ns() // 1000, self._last_ts + 1)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def changed(self) -> None:
        """Tell every reader that something a person sees may have changed."""
        self.change += 1
        self.start(self._wake())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def wait_change(self, after: int, timeout: float) -> None:
        """Wait until the change number is above ``after``, at most ``timeout`` seconds."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: self.change > after), timeout)
            except TimeoutError:
                return

    def start(self, work: Any) -> asyncio.Task[Any]:
        """Run a coroutine in the background and keep it from being forgotten."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel what still runs in the background."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def note(self, kind: str, **what: Any) -> dict[str, Any]:
        """Write one line of the log and return it, so that an outcome can be added later."""
        self.logged += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = {"n": self.logged, "at": at, "kind": kind, **what}
        self.log.append(entry)
        return entry

    # --- names and membership ----------------------------------------------------------------------------

    def name_of(self, ident: str) -> str:
        """Return how a person, channel or group is called where somebody mentions it."""
        if ident in self.members:
            return self.members[ident].real_name
        if ident in self.channels:
            return self.channels[ident].name
        if ident in self.groups:
            return self.groups[ident].handle
        return ident

    def members_of(self, channel: str) -> tuple[str, ...]:
        """Return who is in a channel or direct message."""
        if channel in self.direct:
            return self.direct[channel]
        return self.channels[channel].members if channel in self.channels else ()

    def is_guest(self, user: str) -> bool:
        """Say whether an account sees only the channels it was invited to."""
        member = self.members[user]
        foreign = member.team_id != self.world.team_id
        return member.is_restricted or member.is_ultra_restricted or member.is_stranger or foreign

    def can_see(self, user: str, channel: str) -> bool:
        """Say whether a person can look at a channel: members always, public ones every full member."""
        if user in self.members_of(channel):
            return True
        found = self.channels.get(channel)
        return bool(found and not found.is_private and not self.is_guest(user))

    def open_direct(self, *users: str) -> str:
        """Return the direct message channel of these accounts, made when there is none."""
        wanted = tuple(sorted(users))
        for ident, members in self.direct.items():
            if members == wanted:
                return ident
        people = [u for u in wanted if not self.members[u].is_bot]
        bots = [u for u in wanted if self.members[u].is_bot]
        main = self.world.apps[0].bot_user
        plain = len(wanted) == 2 and bots == [main] and len(people) == 1
        ident = f"D0{people[0][1:]}" if plain else f"{'D' if len(wanted) == 2 else 'G'}0{secrets.token_hex(4).upper()}"
        self.direct[ident] = wanted
        return ident

    # --- messages ----------------------------------------------------------------------------------------

    def message(self, channel: str, ts: str) -> Message | None:
        """Return a stored message."""
        return self.messages.get(channel, {}).get(ts)

    def post(self, message: Message) -> Message:
        """Store a new message, give its blocks and buttons the ids Slack would give, notify who must know."""
        give_ids(message.blocks)
        for one in message.attachments:
            give_ids(one["blocks"])
        self.messages.setdefault(message.channel, {})[message.ts] = message
        if not message.only_for:
            self._notify(message)
        self.changed()
        return message

    def edit(self, message: Message) -> None:
        """Say that a message was changed in place: readers see it, nobody is notified."""
        give_ids(message.blocks)
        for one in message.attachments:
            give_ids(one["blocks"])
        message.revision += 1
        self.changed()

    def drawn(self, message: Message) -> Drawn:
        """Return what is drawn of a message and whom it mentions; worked out once per revision.

        The blocks are drawn; the text only where a message has no blocks.
        """
        found = self._drawn.get((message.channel, message.ts))
        if found is None or (found.revision, found.shape) != (message.revision, self.shape):
            pieces = drawing.block_pieces(message.blocks, self.name_of)
            if not message.blocks and message.text:
                pieces = list(drawing.text_pieces(message.text, self.name_of))
            pieces += drawing.attachment_pieces(message.attachments, self.name_of)
            found = Drawn(message.revision, self.shape, pieces, self._mentioned(message), drawing.lines_of(pieces))
            self._drawn[message.channel, message.ts] = found
        return found

    def reshaped(self) -> None:
        """Say that names, groups or memberships changed: everything has to be drawn anew."""
        self.shape += 1
        self.changed()

    def mentioned(self, message: Message) -> set[str]:
        """Return the accounts a message mentions, groups and @channel resolved to members."""
        return self.drawn(message).mentioned

    def _mentioned(self, message: Message) -> set[str]:
        raw = drawing.mentions_in(message.blocks) | drawing.mentions_in(message.attachments)
        raw |= drawing.mentions_in(message.text)
        found = {ident for ident in raw if ident in self.members}
        for ident in raw & self.groups.keys():
            found |= set(self.groups[ident].users)
        if raw & {"!channel", "!here", "!everyone"}:
            found |= set(self.members_of(message.channel))
        return found

    def _notify(self, message: Message) -> None:
        """Put a message on the locked phones of those who want it; a phone shows only ``text``."""
        mentioned = self.mentioned(message)
        thread = self._thread_people(message)
        for user in self.members_of(message.channel):
            member = self.members[user]
            if user == message.user or member.is_bot or member.deleted:
                continue
            in_thread = bool(message.thread_ts) and not message.broadcast
            wanted = message.channel in self.direct or user in mentioned
            wanted = wanted or (user in thread if in_thread else member.notify == "all")
            if wanted:
                self._push(user, message)

    def _push(self, user: str, message: Message) -> None:
        text = drawing.spans_text(drawing.spans_of(message.text, self.name_of))
        if not text:
            # Since July 2026 Slack falls back to blocks where there is no text (docs.slack.dev changelog).
            text = " ".join(self.drawn(message).lines)[:150]
        shelf = self.notifications.setdefault(user, deque(maxlen=NOTIFICATIONS))
        shelf.append(
            {
                "id": self.change,
                "at": clock(message.ts),
                "channel": message.channel,
                "ts": message.ts,
                "from": self.members[message.user].real_name if message.user in self.members else message.user,
                "text": text or "This content can't be displayed.",
            }
        )

    def _thread_people(self, message: Message) -> set[str]:
        if not message.thread_ts:
            return set()
        inside = self.messages.get(message.channel, {}).values()
        mine = [m for m in inside if message.thread_ts in (m.ts, m.thread_ts)]
        return {m.user for m in mine} | set().union(*(self.mentioned(m) for m in mine)) if mine else set()

    # --- triggers and response urls ----------------------------------------------------------------------

    def new_trigger(self, user: str, app_id: str, channel: str = "") -> str:
        """Hand out a trigger id for one modal within three seconds."""
        ident = f"{time.time_ns() // 1_000_000}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self.triggers[ident] = Trigger(user, app_id, time.monotonic() + self.trigger_seconds, channel=channel)
        return ident

    def spend_trigger(self, ident: str, app_id: str) -> Trigger:
        """Use a trigger id up, or refuse with the word Slack uses."""
        found = self.triggers.get(ident)
        if found is None or found.app_id != app_id:
            raise Refused("invalid_trigger_id")
        if found.used:
            raise Refused("exchanged_trigger_id")
        if time.monotonic() > found.until:
            raise Refused("expired_trigger_id")
        found.used = True
        return found

    def new_response_url(self, user: str, app_id: str, channel: str, message_ts: str = "", thread: str = "") -> str:
        """Hand out the secret path of a response URL."""
        path = f"{self.world.team_id}/{secrets.randbelow(10**12)}/{secrets.token_urlsafe(18)}"
        until = time.monotonic() + RESPONSE_URL_SECONDS
        self.response_urls[path] = ResponseUrl(user, app_id, channel, until, 0, message_ts, thread)
        return path


def clock(ts: str) -> str:
    """Return a message timestamp as a UTC clock time."""
    return datetime.fromtimestamp(float(ts), UTC).strftime("%H:%M:%S")


def give_ids(blocks: list[dict[str, Any]]) -> None:
    """Fill in the ``block_id`` and ``action_id`` that the sender left out, as Slack does."""
    for block in blocks:
        block.setdefault("block_id", secrets.token_urlsafe(4)[:5])
        for element in (*block.get("elements", ()), block.get("accessory"), block.get("element")):
            if isinstance(element, dict) and element.get("type") in (
                "button",
                "plain_text_input",
                "static_select",
            ):
                element.setdefault("action_id", secrets.token_urlsafe(4)[:5])


def as_answered(space: Workspace, message: Message) -> dict[str, Any]:
    """Return a message in the shape of the API's ``message`` object."""
    shape: dict[str, Any] = {"type": "message", "ts": message.ts, "user": message.user, "text": message.text}
    if message.bot_id:
        shape |= {"bot_id": message.bot_id, "app_id": message.app_id}
    shape["team"] = space.world.team_id
    if message.blocks:
        shape["blocks"] = copy.deepcopy(message.blocks)
    if message.attachments:
        numbered = enumerate(copy.deepcopy(message.attachments), start=1)
        shape["attachments"] = [{"id": n, **one} for n, one in numbered]
    if message.thread_ts:
        shape["thread_ts"] = message.thread_ts
    if message.edited:
        shape["edited"] = {"user": message.user, "ts": message.ts}
    if message.files:
        shape["files"] = [{"id": i, "name": space.files[i].name} for i in message.files]
    return shape
