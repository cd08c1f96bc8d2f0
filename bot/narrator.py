"""Follows the bells, tells each incident's messages to the outbox, and keeps the boards alive.

One bot narrates at a time, by a lease; another takes over when it is gone. Everything it says is made from the
records again after a restart, and the outbox knows what stands already, so nothing is lost and nothing doubled.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bot.draw import board, halt
from bot.draw.post import Post
from bot.draw.reader import Reader
from bot.identity import Ask
from bot.notes import Notes
from bot.outbox import APPROVAL, RED, Item, Outbox, Sent, bookname
from bot.telling import Draw, Message, Tale
from bot.web import may_post
from incident.commands import RecordCard, RecordTold
from incident.desk import Desk
from incident.events import CardRef
from incident.journal import REGISTER, BadJournal, JournalDiffers, JournalError, JournalShorter, NoSuchIncident
from incident.register import Register
from incident.state import Incident

log: Final = logging.getLogger("lync-dr.narrator")

LEASE: Final = "narrator"
LEASE_S: Final = 6.0
RENEW_S: Final = 1.0
HALTS: Final = (BadJournal, JournalDiffers, JournalShorter, NoSuchIncident)
"""What a journal can be that nothing is done on any more; everything else about a journal passes."""
RECENT: Final = timedelta(hours=24)
"""A closed incident is told to its end for so long after a restart."""


@dataclass
class Spot:
    """Where one incident is told: the channel it was declared in if the bot can post there, else the home channel."""

    origin: str
    home: str
    why: str = ""


class Narrator:
    """Tells incidents to Slack. `start` and `stop` from the root; `notices` and `remind` are the reconciler's."""

    def __init__(
        self,
        desk: Desk,
        outbox: Outbox,
        notes: Notes,
        reader: Reader,
        ask: Ask,
        clock: Callable[[], datetime],
        board_s: float = 10.0,
        scan_s: float = 5.0,
    ) -> None:
        self._board_s, self._scan_s = board_s, scan_s
        self.desk, self.outbox, self.notes = desk, outbox, notes
        self.reader, self.ask, self._clock = reader, ask, clock
        self._owner = secrets.token_hex(6)
        self._tales: dict[str, Tale] = {}
        self._spots: dict[str, Spot] = {}
        self._notices: dict[str, dict[str, str]] = {}
        self._told: set[str] = set()
        self._boards_at = 0.0
        self._halted: dict[str, str] = {}
        self._said_for_workers: set[int] = set()
        self._halted_workers: set[tuple[str, str]] = set()
        self._owed: list[tuple[str, Message, Sent]] = []
        self._renewed = float("-inf")
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name="narrator", daemon=True),
            threading.Thread(target=self._keep_lease, name="narrator-lease", daemon=True),
        ]
        self.narrating = False
        self._term = 0
        """How often this bot has become the one that narrates."""
        outbox.mine, outbox.elsewhere = self.still_mine, self._elsewhere

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to narrate, as soon as no other bot does."""
        for thread in self._threads:
            thread.start()

    def wind_down(self) -> None:
        """Begin to end; `stop` waits for it."""
        self._stopping.set()

    def stop(self) -> None:
        """End, and let another bot take over at once."""
        self.wind_down()
        for thread in self._threads:
            thread.join(timeout=8)
        if self.narrating:
            try:
                self.notes.release(LEASE, self._owner)
            except JournalError as bad:
                log.warning("The narrator's lease could not be let go: %s", bad)

    def _run(self) -> None:
        after = None
        scanned = 0.0
        term = 0
        while not self._stopping.is_set():
            try:
                if not self.narrating:
                    self._stopping.wait(0.1)
                    continue
                if term != self._term:
                    term, after = self._term, None
                    self._forget()
                if after is None:
                    after = self.desk.journal.last_bell()
                    scanned = 0.0
                if time.monotonic() - scanned >= self._scan_s:
                    self._pay()
                    self._scan()
                    scanned = time.monotonic()
                for bell in self.desk.journal.bells(after, 0.5):
                    after = bell.id
                    self._hear(bell.incident)
                self._keep_boards()
            except JournalError as bad:
                log.warning("The journal cannot be followed now: %s", bad)
                scanned = 0.0
                self._stopping.wait(1.0)
            except Exception:
                log.exception("The narrator stumbled")
                scanned = 0.0
                self._stopping.wait(1.0)

    # --- one of several bots ------------------------------------------------------------------------------

    def _keep_lease(self) -> None:
        """Take the lease and renew it, in a thread of its own: no slow answer of Slack's may cost it."""
        while not self._stopping.is_set():
            try:
                self._renew()
            except JournalError as bad:
                log.warning("Who narrates cannot be asked now: %s", bad)
            self._stopping.wait(RENEW_S)

    def _renew(self) -> bool:
        asked = time.monotonic()
        mine = self.notes.lease(LEASE, self._owner, LEASE_S)
        had = self.narrating
        if mine:
            self._renewed = asked
            self._term += not had
        self.narrating = mine
        if had and not mine:
            log.warning("Another bot narrates now")
            self.outbox.drop()
        return mine

    def _forget(self) -> None:
        """Another bot may have told some of it since: hear everything from the first record, and ask for each post once
        more. Done by the thread that hears, and when a term begins rather than when it ends: whoever stood still may
        go on hearing for a moment before it knows that its term is over."""
        self.outbox.drop()
        with self._lock:
            self._tales.clear()
            self._halted.clear()
            self._said_for_workers.clear()

    def still_mine(self) -> bool:
        """Whether this bot may send now. A process that was frozen for longer than its lease asks before it speaks.
        Raises what the notes raise."""
        return self.narrating and (time.monotonic() - self._renewed < LEASE_S or self._renew())

    # --- hearing ------------------------------------------------------------------------------------------

    def _scan(self) -> None:
        """Every open incident, and closed ones that were not told to the end."""
        self._hear(REGISTER)
        for listed in self.desk.journal.incidents():
            if listed.open:
                self._hear(listed.incident)
            elif not self.told(listed.incident):
                self._hear(listed.incident, self._to_its_end)

    def _to_its_end(self, incident: str) -> None:
        state = self.desk.state(incident)
        if state.closed_at is None or self._clock() - state.closed_at >= RECENT:
            self._told.add(incident)
            return
        self.catch_up(incident)
        self._finished(incident)

    def _hear(self, incident: str, how: Callable[[str], None] | None = None) -> None:
        """One incident that cannot be read, or told, holds up no other. Raises only where the store is away."""
        try:
            (how or self.catch_up)(incident)
            self.halt(incident, None)
        except HALTS as bad:
            self.halt(incident, bad)
        except JournalError:
            raise
        except Exception:
            log.exception("%s could not be told; it is tried again", incident)

    def catch_up(self, incident: str) -> None:
        """Hear what is new in one incident and hand its messages to the outbox."""
        if incident == REGISTER:
            self._hear_workers()
            return
        with self._lock:
            tale = self._tales.get(incident)
            if tale is None:
                if self.told(incident):
                    return
                tale = Tale(self.reader, self.notices_of)
            spot = self._spot(incident, tale)
            if spot is None:
                return
            self._tales[incident] = tale
            try:
                self._tell(incident, tale, spot)
            except Exception:
                # Some of it may have been heard and not asked for: it is heard again from the first record, which
                # the keys make harmless.
                self._tales.pop(incident, None)
                raise

    def _tell(self, incident: str, tale: Tale, spot: Spot) -> None:
        added: list[Message] = []
        for record in self.desk.records(incident, tale.seq):
            added += tale.hear(record)
        added += tale.newcomers()
        for message in added:
            self._want(incident, tale, message, spot)
        if added or (tale.state is not None and not tale.state.closed):
            self._refresh(incident, tale)

    # --- what cannot be believed --------------------------------------------------------------------------

    def halt(self, incident: str, bad: JournalError | None) -> None:
        """Say once for each incident and kind that its journal cannot be believed; None: it can, again.

        Where it was told before it is said there and in the home channel; a bot that never saw the incident has only
        the home channel. The board keeps what it showed last, with a line that says so.
        """
        kind = type(bad).__name__ if bad is not None else ""
        if self._halted.get(incident, "") == kind:
            return
        self._halted[incident] = kind
        if bad is None:
            self.notice(incident, "halt", "")
            return
        log.error("%s", bad)
        made = self.reader.finish(halt.post_of(incident, bad, self.reader))
        self._say_halt(incident, f"halt:{kind}", made)
        self.notice(incident, "halt", halt.NOTICE)

    def _hear_workers(self) -> None:
        """What only a worker sees of a journal stands in the register; it is said once, and on the board meanwhile."""
        standing = Register(self.desk.journal).halts()
        for seen in standing:
            if seen.seq not in self._said_for_workers:
                self._said_for_workers.add(seen.seq)
                made = self.reader.finish(halt.worker_post(seen, self.reader))
                self._say_halt(seen.incident, f"halt:worker:{seen.seq}", made)
            self.notice(seen.incident, f"halt:{seen.by}", halt.worker_notice(seen))
        now = {(seen.incident, seen.by) for seen in standing}
        for incident, by in self._halted_workers - now:
            self.notice(incident, f"halt:{by}", "")
        self._halted_workers = now

    def _say_halt(self, incident: str, key: str, made: Post) -> None:
        """In the home channel, and where the incident was told before."""
        home = self.reader.policy.home_channel
        origin = self._spots[incident].origin if incident in self._spots else None
        if origin is None:
            origin = self.notes.get(bookname(incident), "origin")
        for place in dict.fromkeys((origin or home, home)):
            where = "home" if place == home else "origin"
            self.outbox.want(Item(bookname(incident), f"{key}:{where}", place, RED, lambda: made))

    def _spot(self, incident: str, tale: Tale) -> Spot | None:
        """Where this incident is told; None while Slack cannot say whether the bot is in the channel."""
        known = self._spots.get(incident)
        if known is not None:
            return known
        home = self.reader.policy.home_channel
        state = tale.state or self.desk.state(incident)
        kept = self.notes.get(bookname(incident), "origin")
        if kept is None:
            channel = state.declared.channel
            can = channel == home or self.can_post(channel)[0]
            if can is None:
                return None
            kept = channel if can else home
            self.notes.claim(bookname(incident), "origin", kept)
        self._spots[incident] = Spot(kept, home)
        return self._spots[incident]

    def can_post(self, channel: str) -> tuple[bool | None, str]:
        """Whether the bot may speak in this channel, and why not; None where Slack could not be asked."""
        return may_post(self.ask, channel)

    # --- telling ------------------------------------------------------------------------------------------

    def _want(self, incident: str, tale: Tale, message: Message, spot: Spot) -> None:
        channel = self._channel(message, spot)
        if channel == "":
            if message.kind == "page":
                self._posted(incident, message, Sent("", "", error="no_account_in_this_workspace"))
            return
        book = bookname(incident)

        item = Item(
            book, message.key, channel, message.priority, self._drawer(tale, message, spot),
            done=lambda sent: self._posted(incident, message, sent), line=message.line,
        )  # fmt: skip

        def thread() -> str:
            """Under the board that stands in the item's channel, which may have changed meanwhile."""
            seq = tale.state.declared_seq if tale.state else 1
            for where in ("origin", "home"):
                sent = self.outbox.sent(book, f"{seq}:board:{where}")
                if sent is not None and sent.channel == item.channel:
                    return sent.ts
            return ""

        if message.where == "thread":
            item.thread = thread
        self.outbox.want(item)

    def _elsewhere(self, item: Item, error: str) -> str:
        """A channel that takes nothing more from this bot: its incident is told in the home channel from now on.

        Empty for what has its own copy there already, for direct messages, and for the home channel itself.
        """
        home = self.reader.policy.home_channel
        if not item.channel.startswith(("C", "G")) or item.channel == home:
            return ""
        with self._lock:
            for incident, spot in self._spots.items():
                if bookname(incident) == item.book and spot.origin != home:
                    spot.origin = home
                    self.outbox.move(item.book, item.channel, home)
                    self._note_moved(item.book, home)
                    self.notice(incident, "moved", f"The channel takes no posts ({error}); they come to the home one.")
        copied = item.key.startswith("halt:") or any(f":{kind}:origin" in item.key for kind in ("board", "summary"))
        return "" if copied else home

    def _note_moved(self, book: str, home: str) -> None:
        try:
            self.notes.put(book, "origin", home)
        except JournalError as bad:
            # After a restart the channel refuses once more, and it is noted then.
            log.warning("That %s is told in the home channel could not be noted: %s", book, bad)

    def _channel(self, message: Message, spot: Spot) -> str:
        """Where it goes; empty for a second copy in the same channel, and for somebody without a Slack id here."""
        if message.where == "dm":
            person = self.reader.policy.person(message.person)
            ids = self.reader.slack_ids((person,)) if person else ()
            return ids[0] if ids else ""
        if message.where == "home":
            return "" if spot.origin == spot.home else spot.home
        return spot.origin

    def _drawer(self, tale: Tale, message: Message, spot: Spot) -> Callable[[], Post | None]:
        draw: Draw = message.draw
        if message.kind == "board" and message.where == "home":
            elsewhere = spot.origin

            def draw(state: Incident, now: datetime) -> Post | None:
                return board.board(state, now, self.reader, self.notices_of(state.id), elsewhere)

        def drawn() -> Post | None:
            state = tale.state
            made = draw(state, self._clock()) if state is not None else None
            return self.reader.finish(made) if made is not None else None

        return drawn

    def _refresh(self, incident: str, tale: Tale, boards_only: bool = False) -> None:
        spot = self._spots[incident]
        for message in tale.messages.values():
            if message.live and (not boards_only or message.kind == "board"):
                self.outbox.refresh(bookname(incident), message.key, self._drawer(tale, message, spot))

    def _keep_boards(self) -> None:
        """Boards carry a clock: none is older than ten seconds."""
        if time.monotonic() - self._boards_at < self._board_s:
            return
        self._boards_at = time.monotonic()
        with self._lock:
            for incident, tale in self._tales.items():
                if tale.state is not None and not tale.state.closed:
                    self._refresh(incident, tale, boards_only=True)

    def told(self, incident: str) -> bool:
        """True for a closed incident whose every post stands."""
        if incident not in self._told and self.notes.get(bookname(incident), "told") is not None:
            self._told.add(incident)
        return incident in self._told

    def _finished(self, incident: str) -> None:
        """A closed incident whose posts all stand needs nothing more."""
        with self._lock:
            book, tale = bookname(incident), self._tales.get(incident)
            if tale is None or self.outbox.waiting(book) or self.outbox.dirty(book):
                return
            self.notes.put(book, "told", str(tale.seq))
            self._told.add(incident)
            self._tales.pop(incident, None)
            self.outbox.forget(book)

    def _posted(self, incident: str, message: Message, sent: Sent) -> None:
        """What the record must know of a post: where a card stands, and who could not be reached."""
        try:
            if message.request is not None and sent.ts:
                self._note_card(incident, message.request, sent, message.person or None)
            if message.kind == "page":
                self._note_told(incident, message, sent)
        except JournalError as bad:
            log.warning("%s was posted and could not be recorded yet: %s", message.key, bad)
            with self._lock:
                self._owed.append((incident, message, sent))

    def _pay(self) -> None:
        """Record what was posted while the journal could not be written."""
        with self._lock:
            owed, self._owed = self._owed, []
        for one in owed:
            self._posted(*one)

    def _note_card(self, incident: str, number: int, sent: Sent, person: str | None) -> None:
        card = CardRef(team=self.reader.policy.team, channel=sent.channel, ts=sent.ts, person=person)
        state = self.desk.state(incident)
        request = next((r for r in state.requests if r.number == number), None)
        if request is not None and card not in request.cards and not state.closed:
            self.desk.do(incident, RecordCard(number, card))

    def _note_told(self, incident: str, message: Message, sent: Sent) -> None:
        state = self.desk.state(incident)
        if state.closed or any(person == message.person and how == "dm" for person, how, _, _ in state.told):
            return
        why = "" if sent.ts else f"Slack says {sent.error}."
        self.desk.do(incident, RecordTold(message.person, "dm", bool(sent.ts), "declaration", why))

    def settle(self, incident: str, channel: str, ts: str, limit_s: float = 1.5) -> None:
        """A click may be faster than our own record of the card it was made on: wait for that record."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            state = self.desk.state(incident)
            if any(c.channel == channel and c.ts == ts for r in state.requests for c in r.cards):
                return
            book = bookname(incident)
            key = self.outbox.key_of(book, channel, ts)
            tale = self._tales.get(incident)
            message = tale.messages.get(key) if tale and key else None
            if message is not None and message.request is not None:
                self._note_card(incident, message.request, Sent(channel, ts), message.person or None)
                return
            if self.narrating and not self.outbox.busy():
                return
            self._stopping.wait(0.05)

    def stands(self, incident: str, channel: str, ts: str, limit_s: float = 1.5) -> bool:
        """Whether a post of this incident stands there, by what the bots of this installation remember together.

        A press may be faster than the note of where its message stands: while a post is on its way it is waited for.
        Raises `JournalError` where the notes cannot be asked.
        """
        book, until = bookname(incident), time.monotonic() + limit_s
        while not self.outbox.key_of(book, channel, ts):
            posts = [text for key, text in self.notes.book(book).items() if ":" in key]
            places = [Sent.of(text) for text in posts]
            if any(sent is not None and (sent.channel, sent.ts) == (channel, ts) for sent in places):
                return True
            if None not in places or time.monotonic() > until:
                return False
            self._stopping.wait(0.05)
        return True

    # --- the reconciler's words ---------------------------------------------------------------------------

    def notices_of(self, incident: str) -> tuple[str, ...]:
        """What only the bot sees, for the board."""
        with self._lock:
            found = dict(self._notices.get(incident, {}))
        if self.outbox.trouble:
            found["slack"] = "Slack was unreachable; times are the events' own."
        return tuple(found.values())

    def notice(self, incident: str, key: str, text: str) -> None:
        """Put a notice on the board; an empty text takes it away."""
        with self._lock:
            mine = self._notices.setdefault(incident, {})
            if mine.get(key, "") == text:
                return
            if text:
                mine[key] = text
            else:
                mine.pop(key, None)
            tale = self._tales.get(incident)
            if tale is not None:
                self._refresh(incident, tale, boards_only=True)

    def say(
        self, incident: str, key: str, draw: Draw, *, person: str = "", priority: int = APPROVAL, kind: str = "reminder"
    ) -> None:
        """One more post of an incident that no record asks for: a reminder, a warning."""
        with self._lock:
            tale, spot = self._tales.get(incident), self._spots.get(incident)
            if tale is None or spot is None:
                return
            message = Message(key, kind, "dm" if person else "origin", priority, draw, person)
            self._want(incident, tale, message, spot)

    def looked(self, incident: str, at: datetime) -> None:
        """The estate was looked at again and nothing changed: open cards say when."""
        with self._lock:
            tale = self._tales.get(incident)
            if tale is not None:
                tale.looked = at
                self._refresh(incident, tale)

    def spot(self, incident: str) -> Spot | None:
        """Where an incident is told, once that is settled."""
        with self._lock:
            return self._spots.get(incident)
