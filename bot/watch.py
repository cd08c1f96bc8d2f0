"""The reconciler: every few seconds it looks at each open incident and does what is due and nobody else does.

It rings where the journal says that something is due, lapses what is over, asks for approval after a plan, asks
Slack again before a late start, reminds, pages, mails, closes what has ended, and says on the board what only a
watcher sees: no free hand, a hand gone silent. It decides nothing; the desk does.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from bot import mail, pager
from bot.draw import card, story, untrusted, warn
from bot.draw.post import Post
from bot.identity import Accounts
from bot.narrator import RECENT, Narrator
from bot.outbox import APPROVAL, STATE, Item, Sent, bookname
from bot.policy_now import PolicyNow
from bot.web import home_trouble
from incident import replicas
from incident.commands import AskApproval, Close, Recheck, RecordTold, Tick
from incident.desk import Desk
from incident.doorbell import Doorbell
from incident.events import Account, PeopleLooked
from incident.journal import REGISTER, JournalError, Moved, Unreachable
from incident.persons import account_trouble
from incident.policy import MailPolicy, Policy
from incident.register import Register
from incident.restraint import STANDS, next_hand_at
from incident.state import Incident, Request

log: Final = logging.getLogger("lync-dr.watch")

HALF_ANSWERS: Final = 3
"""So often Slack is asked once more where it spoke of one of the persons and not of another."""
LOOK_LOST_S: Final = 30.0
"""A look that has not ended after so long is rung for again."""
CARD_AGE_S: Final = 20.0
"""How often an open card is redrawn with the time of the last look: all edits share 50 a minute."""
LOOKING: Final = ("looking", "asking", "hard_stopped")
"""Phases in which the estate is looked at for the incident, again and again."""
TRIES: Final = 9
"""Of a receipt or a report: over twenty minutes, then it is given up and said at home."""
NO_HAND: Final = "No free hand: no worker takes this up. Start one: lync-dr worker act"
SILENT_HAND: Final = "The worker went silent; another one is called."
RING_AGAIN_S: Final = 15.0
"""How often a hand is rung for where the last ones wrote why they come to nothing, and nothing new was written."""
PEOPLE_AGAIN: Final = timedelta(minutes=10)
"""When Slack could say nothing about anybody, it is asked again after this."""
PEOPLE_EVERY: Final = timedelta(hours=12)
LEAST_APPROVERS: Final = 3


@dataclass(frozen=True)
class Waits:
    """Times of the reconciler, in seconds."""

    reconcile_s: float = 3.0
    relook_s: float = 10.0
    free_hand_s: float = 5.0
    sample_s: float = 60.0
    replicas_s: float = 10.0
    """How often the replicas of the CMS are read while they are watched."""
    board_s: float = 10.0
    """How often a running board is redrawn without news."""
    scan_s: float = 5.0
    """How often heads are scanned in case a bell was lost."""
    again_s: float = 5.0
    """The first pause before a receipt or a report is tried again; each further one is twice as long."""


@dataclass(frozen=True)
class Outside:
    """What the reconciler uses beside Slack; each None where it is not configured."""

    pager_url: str | None = None
    mail_login: tuple[str, str] | None = None
    report: Callable[[str], tuple[str, bytes]] | None = None
    """Incident -> (file name, content) of the report that is uploaded at the end."""
    upload: Callable[[str, str, str, bytes, str], None] | None = None
    """(channel, thread, file name, content, comment)."""


@dataclass
class _Kept:
    """What this process remembers about one incident between two rounds."""

    rung_at: float = float("-inf")
    looked_at: float = float("-inf")
    looked: datetime | None = None
    drawn_at: float = float("-inf")
    hand_at: float = float("-inf")
    replicas_at: float = float("-inf")
    hand_at_seq: int = 0
    """When a hand was rung for, and the last record then."""
    half_answers: int = 0
    """How often Slack, asked again before a late start, has answered about some and not about all."""


def stands(state: Incident) -> str:
    """Why a worker did not begin, or why the run stands, as the record has it; empty where nothing is said."""
    if state.run_request is None:
        return untrusted.line(state.run_refused[1], 300) if state.run_refused else ""
    said = [text for key, text, settled in state.follow_ups if key.startswith(STANDS) and not settled]
    return untrusted.line(said[-1], 300) if said else ""


def acted_with(state: Incident, request: Request, policy: Policy) -> dict[str, tuple[str, ...]]:
    """Person -> the Slack accounts that an approval rests on: those with which they asked, insisted and approved.

    Whoever did so in a terminal is looked at by their first account in this workspace.
    """
    found: dict[str, tuple[str, ...]] = {}
    for actor in (state.declared.actor, request.still_by, *(v.actor for v in request.votes)):
        person = policy.person(actor.person) if actor is not None and actor.person else None
        if actor is None or person is None:
            continue
        first = next((s.user for s in person.slack if s.team in (policy.team, policy.enterprise)), "")
        user = actor.user if actor.via == "slack" else first
        found[person.id] = tuple(dict.fromkeys((*found.get(person.id, ()), *((user,) if user else ()))))
    return found


def _soundness(policy: Policy, account: Account) -> tuple[bool, bool]:
    """What orders accounts from the one least fit to act."""
    return account_trouble(policy, account) is None, account.in_group is not False


@dataclass
class Watch:
    """One per bot; it works only while this bot narrates."""

    desk: Desk
    doorbell: Doorbell
    narrator: Narrator
    accounts: Accounts
    clock: Callable[[], datetime]
    waits: Waits = Waits()
    outside: Outside = Outside()
    clock_off_s: float = 0.0
    """The store's clock minus this host's."""
    policy: PolicyNow | None = None
    """The policy as it is now, and what is wrong with its file; None: the reader's."""
    me: str = "lync-recovery"
    """What the bot is called in this workspace."""
    _done: set[tuple[str, str]] = field(default_factory=set)
    _tries: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    """Errand -> how often it was tried, and from when it is tried again."""
    _outcomes: dict[tuple[str, str], str] = field(default_factory=dict)
    """Errands that are over and not yet written down as such: they are not done again meanwhile."""
    _run_out: set[str] = field(default_factory=set)
    """Closed incidents without any errand left."""
    _policy_trouble: str = ""
    _stated: Policy | None = None
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _people_at: datetime | None = None
    _sampled_at: float = float("-inf")
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def policy_now(self) -> Policy:
        """The policy to go by; the last good one while its file cannot be used."""
        return self.policy() if self.policy is not None else self.narrator.reader.policy

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; one thread for what is due now, one for what may take long."""
        for name, work in (("watch", self._run), ("errands", self._errands)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def wind_down(self) -> None:
        """Begin to end; `stop` waits for it."""
        self._stopping.set()

    def stop(self) -> None:
        """End after the round in hand."""
        self.wind_down()
        for thread in self._threads:
            thread.join(timeout=8)

    def _run(self) -> None:
        after = ""
        rounded = measured = float("-inf")
        while not self._stopping.is_set():
            try:
                if time.monotonic() - measured >= self.waits.reconcile_s:
                    # Also in a bot that does not narrate: it takes taps all the same.
                    measured = time.monotonic()
                    self.clock_off_s = self.desk.journal.clock_offset_ms() / 1000
                if not self.narrator.narrating:
                    self._stopping.wait(0.3)
                    continue
                after = after or self.desk.journal.last_bell()
                if time.monotonic() - rounded >= self.waits.reconcile_s:
                    rounded = time.monotonic()
                    states = self.desk.open_incidents()
                    for state in states:
                        self._considered(state.id)
                    self._sample(states)
                    self._replicas(states)
                for bell in self.desk.journal.bells(after, min(0.5, self.waits.reconcile_s)):
                    after = bell.id
                    if bell.incident != REGISTER:
                        self._considered(bell.incident)
            except JournalError as bad:
                log.warning("Nothing can be looked after now: %s", bad)
                self._stopping.wait(1.0)
            except Exception:
                log.exception("The reconciler stumbled")
                self._stopping.wait(1.0)

    def _considered(self, incident: str) -> None:
        """One incident that cannot be read, or looked after, holds up no other. The narrator says which and why."""
        try:
            self.consider(self.desk.state(incident))
        except Unreachable:
            raise
        except JournalError as bad:
            log.warning("%s cannot be looked after now: %s", incident, bad)
        except Exception:
            log.exception("%s could not be looked after; it is tried again", incident)

    # --- one incident -------------------------------------------------------------------------------------

    def consider(self, state: Incident) -> None:
        """Do what is due for this incident now."""
        if state.closed:
            self._kept.pop(state.id, None)
            return
        kept, now = self._kept.setdefault(state.id, _Kept()), self.clock()
        if abs(self.clock_off_s) > 2:
            self.narrator.notice(state.id, "clock", f"This host's clock is off by {self.clock_off_s:+.0f} s.")
        else:
            self.narrator.notice(state.id, "clock", "")
        trouble = self.policy.trouble if self.policy else ""
        unusable = "The policy file cannot be used: nothing can be approved or begun." if trouble else ""
        self.narrator.notice(state.id, "policy", unusable)
        self._lapse(state, now)
        self._ask(state)
        self._look(state, kept)
        self._hand(state, kept, now)
        if state.phase == "ended":
            self._close(state)
        self._remind(state, now)

    def _lapse(self, state: Incident, now: datetime) -> None:
        request = state.request
        if request is None:
            return
        over = request.state == "open" and now >= request.expires
        # A run that has begun and sent nothing lapses with its window too; the desk knows whether it did.
        unsent = request.state in ("approved", "used") and state.clocks.t3 is None
        window = unsent and request.window_ends is not None and now >= request.window_ends
        if over or window:
            self.desk.do(state.id, Tick())

    def _ask(self, state: Incident) -> None:
        """A plan that nobody was asked about yet: the first, or one that differs from what was voided."""
        if state.ask_due:
            self.desk.do(state.id, AskApproval(None, secrets.token_hex(16)))

    def _look(self, state: Incident, kept: _Kept) -> None:
        """Before the card, and again and again while it is open: the next look begins some seconds after the last."""
        if state.phase not in LOOKING:
            return
        now = time.monotonic()
        answer = self.doorbell.wait_answer(f"look-{state.id}", 0.02)
        if answer is not None:
            kept.looked_at = now
            kept.looked = datetime.fromisoformat(str(answer.get("ended")).replace("Z", "+00:00"))
            if now - kept.drawn_at >= CARD_AGE_S:
                kept.drawn_at = now
                self.narrator.looked(state.id, kept.looked)
        ended = kept.looked_at >= kept.rung_at
        due = now - kept.looked_at >= self.waits.relook_s if ended else now - kept.rung_at >= LOOK_LOST_S
        # A ring that is the same as our own of some seconds ago is not taken: then there is no answer to wait for.
        if due and (self.doorbell.ring_look(state.id, state.head) or kept.rung_at == float("-inf")):
            kept.rung_at = now

    def _hand(self, state: Incident, kept: _Kept, now: datetime) -> None:
        """Ring for a hand where the run needs one and has none; say so where none comes."""
        request = state.request
        if state.phase == "approved" and request is not None:
            if request.start_at is not None and now < request.start_at:
                return
            if self._may_ring(state, kept) and self._rechecked(state, request, now, kept):
                self.doorbell.ring_act(state.id, state.head)
            begins = max(request.approved_at or now, request.start_at or request.approved_at or now)
            waited = (now - begins).total_seconds()
            none = waited > self.waits.free_hand_s and state.hand is None
            said = f"A worker would not begin: {why}" if (why := stands(state)) else NO_HAND if none else ""
            said = said or self._held_back(state, now)
            self.narrator.notice(state.id, "hand", said)
            return
        if story.human_task(state) is not None:
            # A hand could do nothing: it is rung for when somebody has answered.
            self.narrator.notice(state.id, "hand", "")
            return
        in_flight = any(s.status in ("running", "verifying") for s in state.steps)
        # A stop does not end the step in flight, so its hand is needed until that step is settled.
        if not state.run_ended and (state.phase == "running" or (state.phase == "stopped" and in_flight)):
            holder = self.desk.journal.leased_by(state.id)
            silent = (now - state.at).total_seconds()
            if holder is None and silent > self.waits.reconcile_s and self._may_ring(state, kept):
                self.doorbell.ring_act(state.id, state.head)
            lost = holder is None and state.waits is None and silent > self.waits.free_hand_s
            self.narrator.notice(
                state.id, "hand", (stands(state) or self._held_back(state, now) or SILENT_HAND) if lost else ""
            )
            return
        self.narrator.notice(state.id, "hand", "")

    def _held_back(self, state: Incident, now: datetime) -> str:
        """Where hands came to nothing one after the other, the next one waits: that is no silence. Empty otherwise."""
        at = next_hand_at(state)
        if now >= at:
            return ""
        reader = self.narrator.reader
        return f"{state.hands_in_vain} hands came to nothing. The next tries at {reader.clock(at)}, or after a note."

    def _may_ring(self, state: Incident, kept: _Kept) -> bool:
        """Whether to ring for a hand now: rarely where hands have said why they come to nothing, else at each round."""
        now = time.monotonic()
        if stands(state) and kept.hand_at_seq == state.seq and now - kept.hand_at < RING_AGAIN_S:
            return False
        kept.hand_at, kept.hand_at_seq = now, state.seq
        return True

    def _rechecked(self, state: Incident, request: Request, now: datetime, kept: _Kept) -> bool:
        """Where much time lies between the last click and the start, Slack is asked again about everybody."""
        policy = self.policy_now()
        last = max((v.at for v in request.votes), default=request.approved_at or now)
        since = max(last, request.rechecked_at or last)
        if (now - since).total_seconds() <= policy.recheck_after_s:
            return True
        found: dict[str, Account] = {}
        unsaid = False
        for person, users in acted_with(state, request, policy).items():
            answers = [self.accounts.look(user) for user in users]
            looked = [one[0] for one in answers if one is not None]
            unsaid = unsaid or len(looked) < len(users)
            if looked:
                found[person] = min(looked, key=lambda account: _soundness(policy, account))
        if found and unsaid and kept.half_answers < HALF_ANSWERS:
            # Slack is there and said nothing about one of them: that is not yet the same as being away.
            kept.half_answers += 1
            return False
        # Nothing found: Slack is away. The record says so too, for a worker begins late only after this.
        answer = self.desk.do(state.id, Recheck(request.number, found))
        return answer.ok and answer.state is not None and answer.state.phase == "approved"

    def _close(self, state: Incident) -> None:
        answer = self.desk.do(state.id, Close(None))
        if answer.refusal is not None:
            self.narrator.notice(state.id, "confirm", "Service is not proven: sign in, then press “It works”.")

    def _remind(self, state: Incident, now: datetime) -> None:
        """Each minute a DM to every approver who has not acted, until one does."""
        request, policy = state.request, self.policy_now()
        if state.phase != "asking" or request is None or request.votes:
            return
        rounds = int((now - request.at).total_seconds() // policy.remind_every_s)
        if rounds < 1:
            return
        number, asker = request.number, policy.person(request.asker)
        insisted = request.level != "red" or request.still_disaster

        def draw(current: Incident, at: datetime) -> Post | None:
            live = next((r for r in current.requests if r.number == number and r.state == "open"), None)
            return card.reminder(current, live, at, self.narrator.reader) if live and not live.votes else None

        # Under red nobody can approve before the asker has spoken: then it is the asker who is woken.
        for person in self.narrator.reader.approvers(request.asker) if insisted else (asker,) if asker else ():
            key = f"{request.seq}:remind:{rounds}:{person.id}"
            self.narrator.say(state.id, key, draw, person=person.id, priority=APPROVAL)

    def _sample(self, states: Iterable[Incident]) -> None:
        """Ring for a sample of every pair's backup, unless the look workers have an incident to look for."""
        now = time.monotonic()
        if now - self._sampled_at >= self.waits.sample_s and not any(s.phase in LOOKING for s in states):
            self._sampled_at = now
            self.doorbell.ring_sample()

    def _replicas(self, states: Iterable[Incident]) -> None:
        """Ring for a reading of the CMS replicas where they are watched, unless somebody waits for a first card."""
        some, now = tuple(states), time.monotonic()
        if any(s.phase == "looking" for s in some):
            return
        for state in (s for s in some if replicas.watched(s)):
            kept = self._kept.setdefault(state.id, _Kept())
            if now - kept.replicas_at >= self.waits.replicas_s:
                kept.replicas_at = now
                self.doorbell.ring_replicas(state.id)

    # --- errands: what may take long ----------------------------------------------------------------------

    def _errands(self) -> None:
        while not self._stopping.wait(min(1.0, self.waits.reconcile_s)):
            if not self.narrator.narrating:
                continue
            for errand in (self._state_policy, self._run_errands, self._look_at_people, self._tell_denied):
                try:
                    errand()
                except JournalError as bad:
                    log.warning("Errands wait: %s", bad)
                except Exception:
                    log.exception("An errand failed")

    def _run_errands(self) -> None:
        """For each incident that is open, or closed lately and not done with."""
        for listed in self.desk.journal.incidents():
            book = f"errands:{listed.incident}"
            if listed.incident in self._run_out or (not listed.open and self.narrator.notes.get(book, "all")):
                self._run_out.add(listed.incident)
                continue
            try:
                state = self.desk.state(listed.incident)
                old = state.closed_at is not None and self.clock() - state.closed_at >= RECENT
                if old or self.errands(state):
                    self.narrator.notes.put(book, "all", "done")
                    self._run_out.add(listed.incident)
            except Unreachable:
                raise
            except JournalError as bad:
                log.debug("Errands of %s wait: %s", listed.incident, bad)

    def errands(self, state: Incident) -> bool:
        """Page, mail, and the report at the end. True: each is done, or was given up and said so."""
        self._page(state)
        for request in state.requests:
            if request.state in ("approved", "used"):
                self._mail(state, f"approved-{request.number}", "Approved")
        if not state.closed:
            return False
        mailed = state.clocks.t2 is None or self._mail(state, "closed", "Closed")
        return self._report(state) and mailed

    def _page(self, state: Incident) -> None:
        """Ring the pager at T1 and again until somebody acts or the question is over."""
        policy = self.policy_now().pager
        url = self.outside.pager_url
        if policy is None or not url or state.closed or state.clocks.t1 is None:
            return
        if state.hard_stop is not None and state.run_request is None:
            # There is nothing to approve, so nobody is woken again and again; but somebody has to read why.
            key, what = f"no-plan:{state.hard_stop.why}", f"no plan: {state.hard_stop.why}"
        elif (asked := state.request) is not None and (asked.votes or asked.state != "open"):
            return
        else:
            rounds = int((self.clock() - state.clocks.t1).total_seconds() // policy.every_s)
            key, what = str(rounds), f"round {rounds + 1}"
        if not self.narrator.notes.once(f"pager:{state.id}:{key}", 86_400):
            return
        rung = pager.ring(url, state, policy, self.narrator.reader, self._stopping.wait)
        self.desk.do(state.id, RecordTold("pager", "pager", rung.ok, what, rung.sentence))

    def _mail(self, state: Incident, key: str, what: str) -> bool:
        """One receipt to each of the two persons and the audit mailbox. True: each was sent or given up."""
        policy = self.policy_now()
        if policy.mail is None:
            return True
        asker = state.declared.actor.person if state.declared.actor else None
        voters = [v.person for r in state.requests if r.state in ("approved", "used") for v in r.votes]
        boxes = {p: known.mail for p in (asker, *voters) if p and (known := policy.person(p)) and known.mail}
        if policy.mail.audit:
            boxes["audit"] = policy.mail.audit
        done = [self._mailed(state, policy.mail, f"{key}:{person}", what, box) for person, box in boxes.items()]
        return all(done)

    def _mailed(self, state: Incident, how: MailPolicy, key: str, what: str, box: str) -> bool:
        def send() -> str:
            subject, text = mail.receipt(state, what, state.seq, state.head, self.narrator.reader)
            sent = mail.send(how, [box], subject, text, self.outside.mail_login)
            return "" if sent.ok else sent.sentence

        def over(trouble: str) -> None:
            person = key.rpartition(":")[2]
            self.desk.do(state.id, RecordTold(person, "mail", not trouble, what, trouble or f"{how.host} took it."))
            if trouble:
                self._warn_home(f"{state.id}:mail:{key}", [
                    f"No receipt reached {untrusted.line(self.narrator.reader.name(person), 60)}: {trouble} It was "
                    f"tried {TRIES} times. Record {state.seq} has the head", state.head,
                ], f"{state.id}: a receipt by mail")  # fmt: skip

        return self._tried(state.id, f"mail:{key}", send, over)

    def _report(self, state: Incident) -> bool:
        """Upload the report once. It is a copy: a file in Slack can be deleted, the record cannot."""
        make, upload, book = self.outside.report, self.outside.upload, bookname(state.id)
        if make is None or upload is None or state.clocks.t3 is None:
            return True
        key = f"{state.declared_seq}:board:origin"
        board = self.narrator.outbox.sent(book, key) or Sent.of(self.narrator.notes.get(book, key))
        if board is None or not board.ts:
            board = Sent.of(self.narrator.notes.get(book, f"{state.declared_seq}:board:home"))
        if board is None or not board.ts:
            return False
        place = board

        def send() -> str:
            try:
                name, content = make(state.id)
                digest = hashlib.sha256(content).hexdigest()
                upload(place.channel, place.ts, name, content, f"Report of {state.id}. SHA-256 {digest}")
            except JournalError:
                raise
            except Exception as bad:
                return f"Slack or the report itself failed ({type(bad).__name__})."
            return ""

        def over(trouble: str) -> None:
            if trouble:
                said = f"It could not be put here: {trouble} It was tried {TRIES} times. On the host:"
                self._warn_home(f"{state.id}:report", [said, f"lync-dr audit show {state.id}"], f"{state.id}: report")

        return self._tried(state.id, "report", send, over)

    def _tried(self, incident: str, key: str, send: Callable[[], str], over: Callable[[str], None]) -> bool:
        """Do it once, again and again with growing pauses until it worked, and say so when it is given up.

        `send` answers with its trouble, "" for none; `over` is told the same at the end. The mark is set after
        that: a bot that dies in between does it once more, and a receipt that comes twice is better than none.
        """
        name = (incident, key)
        if name in self._done or self.narrator.notes.get(f"errands:{incident}", key) is not None:
            self._done.add(name)
            return True
        if name not in self._outcomes:
            tries, due = self._tries.get(name, (0, float("-inf")))
            if time.monotonic() < due:
                return False
            trouble, tries = send(), tries + 1
            if trouble and tries < TRIES:
                log.warning("%s of %s is tried again: %s", key, incident, trouble)
                self._tries[name] = (tries, time.monotonic() + self.waits.again_s * 2 ** (tries - 1))
                return False
            self._outcomes[name] = trouble
        over(self._outcomes[name])
        self.narrator.notes.put(f"errands:{incident}", key, self._outcomes.pop(name) or "done")
        self._done.add(name)
        return True

    # --- the policy ---------------------------------------------------------------------------------------

    def _state_policy(self) -> None:
        """A new text goes into the register, so that what was decided by it can be read later; a file that cannot be
        used is said at home once, and so is its end."""
        policy, trouble = self.policy_now(), self.policy.trouble if self.policy else ""
        if trouble != self._policy_trouble:
            about = "The policy file cannot be used" if trouble else "The policy file can be used again"
            until = "Until it is mended nothing can be approved or begun; stop, decline, cancel and note still work."
            key = f"policy:{self.clock():%Y%m%d%H%M%S}:{'bad' if trouble else 'good'}"
            self._warn_home(key, [untrusted.line(trouble, 600), until] if trouble else ["Everything works as before."],
                            about, over=not trouble)  # fmt: skip
            self._policy_trouble = trouble
        if policy is not self._stated:
            Register(self.desk.journal).state_policy(policy)
            self._stated = policy

    # --- people -------------------------------------------------------------------------------------------

    def _look_at_people(self) -> None:
        """Twice a day: what Slack says about everybody, for the day Slack is gone; and a word where it matters."""
        now = self.clock()
        if self._people_at is not None and now - self._people_at < PEOPLE_EVERY:
            return
        self._people_at = now
        self._look_at_home(now)
        found = self.accounts.everybody()
        if not found:
            # Slack is away: what the record knows of the accounts must not grow older than a day.
            self._people_at = now - PEOPLE_EVERY + PEOPLE_AGAIN
            return
        half = int(now.timestamp() // PEOPLE_EVERY.total_seconds())
        if not self.narrator.notes.once(f"people:{half}", int(PEOPLE_EVERY.total_seconds())):
            return
        self._register(PeopleLooked(accounts=found))
        if said := self.people_trouble(found):
            self._warn_home(f"people:{now:%Y%m%d}", said)

    def _look_at_home(self, now: datetime) -> None:
        """Where the bot may not speak at home, whoever operates is told directly: nowhere else could it be said."""
        said = home_trouble(self.narrator.ask, self.policy_now().home_channel, self.me)
        if not said:
            return
        log.warning("%s", said)
        made = warn.warning("The home channel is shut to the bot", [said])
        drawn = self.narrator.reader.finish(made)
        for user in filter(None, self.narrator.reader.slack_ids(self.policy_now().holders("operate"))):
            self.narrator.outbox.want(Item(bookname(REGISTER), f"home:{now:%Y%m%d}:{user}", user, STATE, lambda: drawn))

    def people_trouble(self, found: dict[str, Account]) -> list[str]:
        """Sentences about persons who cannot do what the policy lets them."""
        policy = self.policy_now()
        said = []
        for person in policy.persons:
            for ident in person.slack:
                account = found.get(f"{ident.team}/{ident.user}")
                trouble = account_trouble(policy, account) if account else None
                if trouble is not None:
                    said.append(f"{person.name}: {trouble[1].replace('Your', 'their').replace('You are', 'they are')}.")
            if person.shared:
                said.append(f"{person.name} is a shared account; it may only watch.")
            elif person.looks_shared:
                said.append(f"{person.name} looks like a shared account and may do more than watch. If it is one, say "
                            "shared = true in the policy.")  # fmt: skip
        able = [
            p for p in policy.holders("approve")
            if any((a := found.get(f"{s.team}/{s.user}")) and account_trouble(policy, a) is None for s in p.slack)
        ]  # fmt: skip
        need = max(LEAST_APPROVERS, policy.quorum)
        if found and len(able) < need:
            said.append(f"Only {len(able)} can approve; with fewer than {need} a night may pass without the persons "
                        "that are needed.")  # fmt: skip
        return said

    def _tell_denied(self) -> None:
        """Samples that a host turns away: said once for each host, and again when it begins anew."""
        samples = self.doorbell.kept_samples().get("samples")
        denied = samples.get("denied") if isinstance(samples, dict) else None
        for host, one in denied.items() if isinstance(denied, dict) else ():
            since = str(one.get("since", "")) if isinstance(one, dict) else ""
            said = f"{untrusted.line(str(host), 100)} turns the account of the workers away; it would do so in a " \
                   "failover, too. It is asked less and less often, so that Windows does not lock the account. Look " \
                   "whether the password is right and the account may use WinRM there."  # fmt: skip
            self._warn_home(f"denied:{host}:{since}", [said], "The backup of a pair cannot be sampled")

    def _register(self, event: PeopleLooked) -> None:
        for _ in range(20):
            try:
                self.desk.journal.append(self.desk.journal.head(REGISTER), [event])
                return
            except Moved:
                continue

    def _warn_home(self, key: str, said: list[str], about: str = "People in the policy", over: bool = False) -> None:
        home = self.policy_now().home_channel
        made = warn.warning(about, said, over=over)
        drawn = self.narrator.reader.finish(made)
        self.narrator.outbox.want(Item(bookname(REGISTER), key, home, STATE, lambda: drawn))
