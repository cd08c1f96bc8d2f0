"""What goes to Slack, in what order, and the memory that makes a post happen once.

Every post has a key (`seq:kind:place`) in the incident's book of notes. Before it is sent the key is claimed; after
it, Slack's `ts` is written there. A narrator that died in between leaves a claim without a `ts`: then the channel is
read back and searched for the key, which every post carries in its metadata, before anything is posted again. Slack
offers no idempotency key for bots; reading back is the only way not to double a post, and it needs the history
scopes. Where they were not granted, and in direct messages, the post is sent again: twice is better than never.

Only the bot that narrates sends: `mine` is asked before each post, and what is queued is dropped where another bot
has taken over, which says all of it again from the records.

Order under rate limits: approval, red text, state, receipts, progress. A 429 stops the method for the time Slack
says. Edits are coalesced: only the latest drawing of a message is sent.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from slack_sdk.errors import SlackApiError

from bot.draw.log import entry
from bot.draw.post import Post, alone
from bot.draw.warn import undrawn
from bot.identity import Ask
from bot.notes import Notes
from incident.journal import JournalError

log: Final = logging.getLogger("lync-dr.outbox")

APPROVAL, RED, STATE, RECEIPT, PROGRESS = range(5)
EVENT_TYPE: Final = "lync_dr_post"
EDIT_GAP_S: Final = 3.0
"""Between two edits of one board: `chat.update` allows 50 a minute for the whole workspace."""
QUICK_GAP_S: Final = 0.3
BURST: Final = 5.0
"""Slack takes about one message a second and channel and short bursts beyond it; progress leaves room in the burst."""
LOG_LINES_AT_ONCE: Final = 12
_TOO_BIG: Final = frozenset({"invalid_blocks", "msg_too_long", "msg_blocks_too_long", "invalid_attachments"})
_NEVER: Final = frozenset(
    {"not_in_channel", "channel_not_found", "is_archived", "restricted_action", "user_not_found", "cannot_dm_bot",
     "messages_tab_disabled", "user_disabled", "not_allowed_token_type"}
)  # fmt: skip
LOOK_BACK_PAGES: Final = 20
"""Of 100 messages each; a post in doubt is searched for from the time of its claim on."""
LOOK_BACK_EARLIER_S: Final = 120
"""How much before its claim, as this host wrote it, Slack's clock may have put the post."""
_WRONG_TOKEN: Final = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked"})


@dataclass(frozen=True)
class Sent:
    """Where a post stands. `ts` empty: it could not be posted, and `error` is Slack's word for why."""

    channel: str
    ts: str
    digest: str = ""
    error: str = ""

    def text(self) -> str:
        """For the notes."""
        return json.dumps({"channel": self.channel, "ts": self.ts, "digest": self.digest, "error": self.error})

    @classmethod
    def of(cls, text: str | None) -> Sent | None:
        """From the notes; None for no entry and for a claim without an end."""
        data = json.loads(text) if text else {}
        return cls(**data) if "ts" in data else None


@dataclass
class Item:
    """One thing to send. `book` is the incident, `key` its name in the book."""

    book: str
    key: str
    channel: str
    priority: int
    draw: Callable[[], Post | None]
    """Drawn when it is sent; None: no longer wanted."""
    thread: Callable[[], str] | None = None
    """The thread's ts, asked when it is sent; an empty answer means: not yet."""
    done: Callable[[Sent], None] | None = None
    doubt: bool = False
    """It may have been posted already: read back first."""
    unchecked: bool = False
    """The notes could not be asked yet whether it stands already."""
    line: str = ""
    """A line of the log; several that wait for the same thread go out together."""
    not_before: float = 0.0
    number: int = 0
    tries: int = 0


@dataclass
class _Live:
    """A posted message whose drawing may change."""

    sent: Sent
    priority: int
    draw: Callable[[], Post | None]
    last_at: float = 0.0
    dirty: bool = False


def fingerprint(post: Post) -> str:
    """What of a drawing decides whether an edit is needed."""
    whole = json.dumps([post.text, post.blocks, post.attachments], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


@dataclass
class Outbox:
    """The queue and its senders. `ask` calls the Web API without any retries of its own."""

    ask: Ask
    notes: Notes
    senders: int = 3
    on_state: Callable[[str], None] = lambda sentence: None
    """Told whether Slack can be reached: an empty text for yes, a sentence for no."""
    mine: Callable[[], bool] = lambda: True
    """Whether this bot may still send; False where another one narrates now."""
    elsewhere: Callable[[Item, str], str] = lambda item, error: ""
    """Where a post goes that its channel refused for good; empty for nowhere."""
    _me: str = field(default_factory=lambda: secrets.token_hex(6))
    _items: list[Item] = field(default_factory=list)
    _busy: set[str] = field(default_factory=set)
    _known: set[tuple[str, str]] = field(default_factory=set)
    _live: dict[tuple[str, str], _Live] = field(default_factory=dict)
    _edits_from: float = 0.0
    _tokens: dict[str, tuple[float, float]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count())
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _unsaved: list[tuple[str, str, str]] = field(default_factory=list)
    _stopping: bool = False
    _threads: list[threading.Thread] = field(default_factory=list)
    trouble: str = ""
    """Why Slack cannot be reached now; empty while it can."""

    # --- asking for posts ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to send."""
        for n in range(self.senders):
            thread = threading.Thread(target=self._run, name=f"outbox-{n}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let the senders end after what they have in hand."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=6)

    def want(self, item: Item) -> None:
        """Post this once. Asking again with the same key does nothing, also after a restart."""
        name = (item.book, item.key)
        with self._wake:
            if name in self._known:
                return
            self._known.add(name)
        try:
            found = self.notes.get(item.book, item.key)
        except JournalError as bad:
            log.warning("Whether %s was posted before is asked again: %s", item.key, bad)
            item.unchecked = True
        else:
            if (sent := Sent.of(found)) is not None:
                self._remember(item, sent)
                return
            item.doubt = found is not None
        with self._wake:
            item.number = next(self._numbers)
            self._items.append(item)
            self._wake.notify_all()

    def refresh(self, book: str, key: str, draw: Callable[[], Post | None]) -> None:
        """The drawing of a posted message may have changed: edit it where it did, soon."""
        with self._wake:
            live = self._live.get((book, key))
            if live is not None:
                live.draw, live.dirty = draw, True
                self._wake.notify_all()

    def sent(self, book: str, key: str) -> Sent | None:
        """Where this post stands, if it was posted."""
        with self._wake:
            live = self._live.get((book, key))
        return live.sent if live else None

    def waiting(self, book: str = "", above: int = PROGRESS + 1) -> int:
        """How many posts wait, of one incident or of all, more urgent than `above`."""
        with self._wake:
            return sum(1 for i in self._items if (not book or i.book == book) and i.priority < above)

    def busy(self) -> bool:
        """True while something is being posted: its ts is not known yet."""
        with self._wake:
            return bool(self._busy)

    def dirty(self, book: str) -> bool:
        """True while a message of this incident waits to be edited."""
        with self._wake:
            return any(live.dirty for (b, _), live in self._live.items() if b == book)

    def key_of(self, book: str, channel: str, ts: str) -> str:
        """The key of the post that stands there; empty for none of ours."""
        with self._wake:
            return next((k for (b, k), live in self._live.items()
                         if b == book and live.sent.channel == channel and live.sent.ts == ts), "")  # fmt: skip

    def drop(self) -> None:
        """Another bot sends from now on: leave everything to it. What is asked for again later is looked up afresh."""
        with self._wake:
            self._items.clear()
            self._known.clear()
            self._live.clear()

    def move(self, book: str, old: str, new: str) -> None:
        """What waits for the old channel goes to the new one."""
        with self._wake:
            for item in self._items:
                if (item.book, item.channel) == (book, old):
                    item.channel = new
            self._wake.notify_all()

    def forget(self, book: str) -> None:
        """Nothing of this incident will change any more."""
        with self._wake:
            self._live = {k: v for k, v in self._live.items() if k[0] != book or v.dirty}

    # --- sending ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopping and (job := self._next()) is None:
                    self._wake.wait(timeout=0.2)
                if self._stopping:
                    return
            try:
                if self._unsaved:
                    self._save()
                job()  # type: ignore[misc]
            except JournalError as bad:
                log.warning("The bot's notes cannot be reached: %s", bad)
            except Exception:
                log.exception("A post could not be made")

    def _next(self) -> Callable[[], None] | None:
        """The most urgent thing that can be sent now, marked as being in hand. Called with the lock."""
        now = time.monotonic()
        best: Item | None = None
        for item in self._items:
            if item.channel in self._busy or item.not_before > now or not self._room(item, now):
                continue
            if item.thread is not None and not item.thread():
                continue
            if best is None or (item.priority, item.number) < (best.priority, best.number):
                best = item
        edit = self._next_edit(now)
        if edit is not None and (best is None or self._live[edit].priority < best.priority):
            live = self._live[edit]
            before, live.dirty, live.last_at = live.last_at, False, now
            self._busy.add(live.sent.channel)
            return lambda: self._edit(edit, live, before)
        if best is None:
            return None
        batch = self._together(best)
        for one in batch:
            self._items.remove(one)
        self._busy.add(best.channel)
        self._spend(best.channel, now)
        return lambda: self._post(batch)

    def _together(self, best: Item) -> list[Item]:
        """This item, and the other lines that wait for the same thread. A line in doubt goes alone: it is looked for
        by its own key."""
        if not best.line or best.doubt or best.unchecked:
            return [best]
        others = [
            i for i in self._items
            if i.line and i is not best and (i.channel, i.book) == (best.channel, best.book)
            and not (i.doubt or i.unchecked)
        ]  # fmt: skip
        return [best, *others[: LOG_LINES_AT_ONCE - 1]]

    def _next_edit(self, now: float) -> tuple[str, str] | None:
        if self._edits_from > now:
            return None
        boards = sum(1 for (_, key), live in self._live.items() if ":board:" in key and live.priority == STATE)
        gap = max(EDIT_GAP_S, 1.3 * boards)
        ready = [
            (live.priority, live.last_at, key) for key, live in self._live.items()
            if live.dirty and live.sent.ts and live.sent.channel not in self._busy
            and now - live.last_at >= (QUICK_GAP_S if live.priority <= RED else gap)
        ]  # fmt: skip
        return min(ready)[2] if ready else None

    def _room(self, item: Item, now: float) -> bool:
        """Progress may not use up the burst that an approval or a red text would need."""
        return self._level(item.channel, now) >= {APPROVAL: 0.0, RED: 0.0, STATE: 1.0, RECEIPT: 2.0}.get(
            item.priority, 3.0
        )

    def _level(self, channel: str, now: float) -> float:
        level, at = self._tokens.get(channel, (BURST, now))
        return min(BURST, level + (now - at))

    def _spend(self, channel: str, now: float) -> None:
        self._tokens[channel] = (self._level(channel, now) - 1, now)

    def _post(self, batch: list[Item]) -> None:
        """Post, remember where, tell who asked; only then is the channel free, so that a fast click can wait for it."""
        channel = batch[0].channel
        try:
            sent = self._posted(batch)
            for one in batch if sent is not None else ():
                assert sent is not None
                with self._wake:
                    self._unsaved.append((one.book, one.key, sent.text()))
                self._save()
                self._remember(one, sent)
        finally:
            with self._wake:
                self._busy.discard(channel)
                self._wake.notify_all()

    def _save(self) -> None:
        """Write down what was posted. Where the notes cannot be reached it is tried again, and until then a restart
        finds the claim and reads the channel back."""
        with self._wake:
            waiting, self._unsaved = self._unsaved, []
        for place, entry_ in enumerate(waiting):
            try:
                self.notes.put(*entry_)
            except JournalError as bad:
                log.warning("What was posted could not be noted yet: %s", bad)
                with self._wake:
                    self._unsaved = waiting[place:] + self._unsaved
                return

    def _posted(self, batch: list[Item]) -> Sent | None:
        """Post it, or put it back. None: it waits again, is left to another bot, or is no longer wanted."""
        item = batch[0]
        try:
            if not self.mine():
                self.drop()
                return None
            post = self._drawn(batch)
            if post is None:
                return Sent(item.channel, "", error="not wanted any more")
            if (item.unchecked or item.doubt) and (found := self._before(item)) is not None:
                return found
            if not self._claimed(batch):
                self._back(batch)
                return None
            if not self.mine():
                # It stood still between the first question and here; who narrates now looks for what it has claimed.
                self.drop()
                return None
            answer = self.ask("chat.postMessage", **self._arguments(batch, post))
            self._reached()
            return Sent(str(answer["channel"]), str(answer["ts"]), fingerprint(post))
        except SlackApiError as bad:
            return self._refused(batch, bad)
        except JournalError as bad:
            # Nothing was sent yet: the notes are asked before Slack is.
            log.warning("%s waits for the bot's notes: %s", item.key, bad)
            for one in batch:
                one.not_before = time.monotonic() + 1.0
            self._back(batch)
            return None
        except Exception as bad:
            # A connection that broke after the request may have posted: look before posting again.
            self._unreachable(bad)
            for one in batch:
                one.doubt, one.tries = True, one.tries + 1
                one.not_before = time.monotonic() + min(10.0, 0.5 * 2 ** min(one.tries, 5))
            self._back(batch)
            return None

    def _drawn(self, batch: list[Item]) -> Post | None:
        """What is sent. A drawing that fails must not cost the news itself: then a plain sentence stands there."""
        item = batch[0]
        try:
            return item.draw() if not item.line else entry([i.line for i in batch])
        except JournalError:
            raise
        except Exception:
            log.exception("%s could not be drawn; a plain sentence is posted", item.key)
            return undrawn(item.book.removeprefix("posted:"), item.key)

    def _before(self, item: Item) -> Sent | None:
        """Where this post stands already: by the notes, else by reading the channel back."""
        noted = self.notes.get(item.book, item.key)
        if (known := Sent.of(noted)) is not None:
            return known
        item.doubt, item.unchecked = item.doubt or noted is not None, False
        return self._look_back(item, _claimed_at(noted)) if item.doubt else None

    def _claimed(self, batch: list[Item]) -> bool:
        """Claim every key. False where another bot has claimed one meanwhile: that one is looked for first."""
        free = True
        for one in batch:
            stands = self.notes.claim(one.book, one.key, json.dumps({"claimed": int(time.time()), "by": self._me}))
            if stands is not None and not one.doubt and _claimed_by(stands) != self._me:
                one.doubt, one.not_before, free = True, time.monotonic() + 1.0, False
        return free

    def _arguments(self, batch: list[Item], post: Post) -> dict[str, Any]:
        item = batch[0]
        keys = [one.key for one in batch]
        thread = item.thread() if item.thread else ""
        return {
            "channel": item.channel,
            "text": post.text,
            "blocks": list(post.blocks) or None,
            "attachments": list(post.attachments) or None,
            "thread_ts": thread or None,
            "unfurl_links": False,
            "unfurl_media": False,
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"incident": item.book, "keys": keys}},
        }

    def _refused(self, batch: list[Item], bad: SlackApiError) -> Sent | None:
        item, error = batch[0], str(bad.response.get("error", "")) or str(bad.response.status_code)
        if bad.response.status_code == 429 or error == "ratelimited":
            wait = float(bad.response.headers.get("Retry-After", 1))
            with self._wake:
                # Slack counts posts by channel; only this channel has to wait.
                for one in [*self._items, *batch]:
                    if one.channel == item.channel:
                        one.not_before = max(one.not_before, time.monotonic() + wait)
                self._tokens[item.channel] = (0.0, time.monotonic() + wait)
            self._back(batch)
            return None
        if error in _TOO_BIG and (post := self._drawn(batch)) is not None and post.blocks:
            log.warning("Slack refused the blocks of %s (%s); its text alone is posted", item.key, error)
            plain = alone(post)
            item.draw, item.line = (lambda: plain), ""
            self._back(batch)
            return None
        if error in _NEVER and (other := self.elsewhere(item, error)) not in ("", item.channel):
            log.warning("%s cannot be posted to %s (%s); it goes to %s", item.key, item.channel, error, other)
            for one in batch:
                one.channel = other
            self._back(batch)
            return None
        if error in _NEVER or (item.tries >= 20 and bad.response.status_code < 500 and error not in _WRONG_TOKEN):
            log.warning("%s cannot be posted to %s: %s", item.key, item.channel, error)
            return Sent(item.channel, "", error=error)
        if error in _WRONG_TOKEN or bad.response.status_code >= 500:
            self._unreachable(bad)
        for one in batch:
            one.doubt = one.doubt or bad.response.status_code >= 500
            one.tries += 1
            one.not_before = time.monotonic() + min(30.0, 2.0**one.tries)
        self._back(batch)
        return None

    def _back(self, batch: list[Item]) -> None:
        with self._wake:
            self._items.extend(batch)
            self._wake.notify_all()

    def _look_back(self, item: Item, since: int) -> Sent | None:
        """The post with this key, found in the channel by its metadata; None where it is not there."""
        thread = item.thread() if item.thread else ""
        method = "conversations.replies" if thread else "conversations.history"
        more = {"ts": thread} if thread else {}
        channel = item.channel
        if since:
            # Both methods otherwise begin at an end of the channel: replies at the oldest.
            more["oldest"] = str(since - LOOK_BACK_EARLIER_S)
        try:
            if channel.startswith(("U", "W")):
                channel = str(self.ask("conversations.open", users=channel)["channel"]["id"])
            for _ in range(LOOK_BACK_PAGES):
                answer = self.ask(method, channel=channel, limit=100, include_all_metadata=True, **more)
                for message in answer.get("messages", ()):
                    meta = (message.get("metadata") or {}).get("event_payload") or {}
                    if item.key in meta.get("keys", ()) and meta.get("incident") == item.book:
                        return Sent(channel, str(message["ts"]), "found again")
                more["cursor"] = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
                if not more["cursor"]:
                    return None
        except SlackApiError as bad:
            if bad.response.status_code == 429:
                raise
            log.warning("The channel cannot be read back (%s); the post is sent again", bad.response.get("error"))
        return None

    def _remember(self, item: Item, sent: Sent) -> None:
        with self._wake:
            first = (item.book, item.key) not in self._live
            if not item.line and sent.ts:
                self._live[item.book, item.key] = _Live(sent, item.priority, item.draw, dirty=not first or
                                                        sent.digest == "found again")  # fmt: skip
            self._wake.notify_all()
        if item.done is not None:
            item.done(sent)

    def _edit(self, name: tuple[str, str], live: _Live, before: float) -> None:
        try:
            if not self.mine():
                # Another bot has edited it since: what this one knows is old.
                self.drop()
                return
            post = self._redrawn(name, live)
            if post is None or (digest := fingerprint(post)) == live.sent.digest:
                live.last_at = before
                return
            self.ask(
                "chat.update", channel=live.sent.channel, ts=live.sent.ts, text=post.text, blocks=list(post.blocks),
                attachments=list(post.attachments),
            )  # fmt: skip
            self._reached()
            live.sent = Sent(live.sent.channel, live.sent.ts, digest)
            self.notes.put(*name, live.sent.text())
        except SlackApiError as bad:
            self._edit_refused(name, live, bad)
        except JournalError:
            live.dirty = True
            raise
        except Exception as bad:
            self._unreachable(bad)
            live.dirty, live.last_at = True, time.monotonic()
        finally:
            with self._wake:
                self._busy.discard(live.sent.channel)
                self._wake.notify_all()

    @staticmethod
    def _redrawn(name: tuple[str, str], live: _Live) -> Post | None:
        """The drawing as it is now. One that fails leaves the message as it stands."""
        try:
            return live.draw()
        except JournalError:
            live.dirty = True
            raise
        except Exception:
            log.exception("%s could not be drawn again; it stays as it is", name[1])
            return None

    def _edit_refused(self, name: tuple[str, str], live: _Live, bad: SlackApiError) -> None:
        error = str(bad.response.get("error", ""))
        if bad.response.status_code == 429 or error == "ratelimited":
            wait = float(bad.response.headers.get("Retry-After", 1))
            self._edits_from = time.monotonic() + wait
            live.dirty = True
            return
        if bad.response.status_code >= 500 or error in _WRONG_TOKEN:
            self._unreachable(bad)
            live.dirty, live.last_at = True, time.monotonic()
            return
        log.warning("%s could not be edited: %s", name[1], error)
        if error in ("message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"):
            with self._wake:
                self._live.pop(name, None)

    # --- is Slack there -----------------------------------------------------------------------------------

    def _reached(self) -> None:
        if self.trouble:
            self.trouble = ""
            self.on_state("")

    def _unreachable(self, bad: BaseException) -> None:
        first = not self.trouble
        self.trouble = f"Slack cannot be reached ({type(bad).__name__}); posts wait and keep their own times."
        if first:
            log.warning(self.trouble)
            self.on_state(self.trouble)


def _claimed_at(noted: str | None) -> int:
    """When a key was claimed, in seconds since 1970; 0 where that is not known."""
    at = json.loads(noted).get("claimed", 0) if noted else 0
    return int(at) if isinstance(at, int) else 0


def _claimed_by(noted: str) -> str:
    return str(json.loads(noted).get("by", ""))


Place = Literal["channel", "home", "dm", "thread"]


def bookname(incident: str) -> str:
    """The notes' book of one incident."""
    return f"posted:{incident}"
