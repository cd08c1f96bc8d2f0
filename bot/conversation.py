"""Commands and clicks: who it is, what was meant, one command to the desk, one answer.

Every command and every click gets an answer. No rule lives here: rights, expiry, quorum and the words of a refusal
are `decide`'s. What was made of a click is decided from the journal alone; the message in the payload is a snapshot.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from bot import words
from bot.draw import answers, board, card, declare, dialogs, story, summary, untrusted
from bot.draw.answers import say
from bot.draw.post import Json, Post
from bot.draw.reader import Reader
from bot.draw.red import LABELS
from bot.identity import Accounts, Ask, NotAllowed, ids_of, who
from bot.narrator import Narrator
from bot.web import SHARED_OUTSIDE
from bot.words import NotBuilt, NotUnderstood, Said
from incident import commands as do
from incident.codes import reason_code
from incident.commands import Code, Command
from incident.desk import Answer, Desk, TooBusy
from incident.doorbell import Doorbell
from incident.events import Actor, CardRef, Verdict
from incident.journal import JournalError, NoSuchIncident, Unconfirmed
from incident.one_time import NoSeed, Seeds
from incident.state import Incident, Request
from playbooks.estate import Estate

log: Final = logging.getLogger("lync-dr.conversation")

Reply = Callable[[Post], None]
"""Answers the person privately."""

LOOK_WAIT_S: Final = 25.0
CLOCK_LIMIT_S: Final = 30.0
CODE_MISSING: Final = reason_code("code_missing", "approve")
_AT_THE_FIELD: Final = ("031", "032", "052")
"""Refusals that are shown at the field, so that it can be typed again: code wrong, code replayed, name wrong."""
INSIDE: Final = ("lync.commands", "lync.follow_ups", "lync.stakeholders")
"""Buttons that only show something: to persons of the policy alone, wherever the message travelled."""
RINGING: Final = (do.GoOn, do.Confirm)
"""Beside votes and rulings, the words after which a hand has something to do. Nothing else may wake one: a late start
first asks Slack again, which the reconciler does."""
NO_MESSAGE: Final = "none"
"""Where a press stands that came from no message (an App Home tab, say): in no place of ours. Typed words have none."""
STOPPING: Final = "Stop ordered. The step in flight goes on; nothing after it starts."
HELP: Final = (
    "/lync declare-disaster <pool> [since hh:mm] [reason]",
    "/lync status [pool]",
    "/lync plan <pool>   (changes nothing)",
    "/lync stop   (after the step in flight)",
    "/lync note <text>",
    "Also: cancel, go-on, confirm, outage <hh:mm>, lead, close, who, whoami, audit [incident]",
    "Typed instead of tapped: approve <pool> <code>, decline, retry, skip, done",
)


@dataclass(frozen=True)
class Click:
    """What a press of a button carries, beside who pressed."""

    action: str
    value: str
    channel: str
    ts: str
    trigger: str
    response_url: str
    actor: Actor


@dataclass
class Conversation:
    """Everything people say to the bot comes in here. One object, used by many threads."""

    desk: Desk
    doorbell: Doorbell
    estate: Estate
    accounts: Accounts
    narrator: Narrator
    reader: Reader
    ask: Ask
    seeds: Seeds
    clock: Callable[[], datetime]
    clock_off: Callable[[], float] = lambda: 0.0
    """The store's clock minus this host's, in seconds."""
    me: str = "lync-recovery"
    """What the bot is called in this workspace."""

    # --- slash commands -----------------------------------------------------------------------------------

    def command(self, payload: Mapping[str, Any], reply: Reply) -> None:
        """Carry out one slash command and answer it."""
        raw = str(payload.get("text") or "")
        said = words.parse(raw, [n for p in self.estate.pool for n in (p.name, p.fqdn)])
        if isinstance(said, NotUnderstood | NotBuilt):
            reply(say(said.text))
            return
        if said.verb == "help":
            reply(answers.help_text(HELP))
            return
        found = who(payload, self.reader.policy, self.accounts.look)
        if isinstance(found, NotAllowed):
            reply(say(found.text))
            return
        try:
            self._dispatch(said, found.actor, payload, reply)
        except (JournalError, TooBusy) as bad:
            reply(say(f"{bad} Try again, or use lync-dr on the host."))

    def _dispatch(self, said: Said, actor: Actor, payload: Mapping[str, Any], reply: Reply) -> None:
        channel, trigger = str(payload.get("channel_id") or ""), str(payload.get("trigger_id") or "")
        if said.verb == "whoami":
            reply(answers.whoami(actor, self.reader))
            return
        if said.verb in ("who", "audit", "status", "plan") and actor.person is None:
            reply(say("You are not in the policy of this installation, so there is nothing to show. See: /lync whoami"))
            return
        outside = self._outside(channel)
        if outside:
            reply(say(outside))
            return
        simple: dict[str, Callable[[], Post]] = {
            "declare-disaster": lambda: self._declare(said, actor, channel),
            "who": lambda: answers.who(self.reader),
            "audit": lambda: self._audit(said),
            "status": lambda: self._status(said, channel),
            "plan": lambda: self._plan(said),
        }
        if said.verb in simple:
            reply(simple[said.verb]())
            return
        incident = self._which(said, channel)
        if isinstance(incident, str):
            reply(say(incident))
        elif said.verb in ("approve", "decline", "retry", "skip", "done"):
            opened = self._typed(said, incident, actor, trigger, str(payload.get("response_url") or ""), channel)
            if opened is not None:
                reply(opened)
        else:
            reply(self._act(said, incident, actor))

    def _outside(self, channel: str) -> str:
        """Why nothing may be done from this channel; empty where it may."""
        if channel == self.reader.policy.home_channel or not channel.startswith(("C", "G")):
            return ""
        _, why = self.narrator.can_post(channel)
        if why == SHARED_OUTSIDE:
            return (
                "This channel is shared with another company, so nothing is done from here. Nothing happened. Use an "
                "internal channel, or a direct message to me."
            )
        return ""

    def _which(self, said: Said, channel: str) -> Incident | str:
        """The open incident that is meant, or the question which."""
        around = self.desk.look_around()
        opened = around.incidents
        halted = " ".join(str(bad) for bad in around.unreadable.values())
        if said.target:
            pool = self.estate.find_pool(said.target)
            name = pool.name if pool else said.target
            found = [i for i in opened if i.declared.pool == name] or [i for i in opened if i.declared.partner == name]
            return found[0] if found else f"Nothing is open for {name}. Nothing happened. {halted}".strip()
        here = [i for i in opened if i.declared.channel == channel]
        choice = here if len(here) == 1 else list(opened)
        if len(choice) == 1:
            return choice[0]
        if not choice:
            return f"{'No other' if halted else 'No'} incident is open. Nothing happened. {halted}".strip()
        names = ", ".join(i.declared.pool for i in choice)
        return f"Which one? Open: {names}. Type: /lync {said.verb} {choice[0].declared.pool}. Nothing happened."

    # --- declaring ----------------------------------------------------------------------------------------

    def _declare(self, said: Said, actor: Actor, channel: str) -> Post:
        pool = self.estate.find_pool(said.target)
        if pool is None:
            near = ", ".join(self.estate.suggestions(said.target))
            return say(f"There is no pool “{said.target}”. Nothing happened. Pools with a name like it: {near}.")
        partner = self.estate.partner_of(pool.name)
        if partner is None:
            return say(
                f"{pool.name} {pool.site} has no partner in the estate file, so no other pool can take its users. "
                "Nothing happened. Follow the printed runbook."
            )
        return self._declared(
            do.Declare(
                actor=actor, playbook="declare-disaster", pool=pool.name, pool_fqdn=pool.fqdn, site=pool.site,
                partner=partner.name, partner_fqdn=partner.fqdn, partner_site=partner.site, users=pool.users,
                reason=said.rest, raw=said.raw, channel=channel,
                since=self._moment(said.since) if said.since else None,
            )
        )  # fmt: skip

    def _declared(self, command: do.Declare) -> Post:
        answer = self.desk.declare(command)
        if answer.refusal is not None or answer.state is None:
            return self._refused(answer, None)
        state = answer.state
        if answer.joined:
            return say(declare.joined_text(state, self.reader, command.actor.person or ""))
        self._ring_look(state)
        return say(f"{self._first_of_two(state)}{self._where(state)}")

    def _first_of_two(self, state: Incident) -> str:
        by = self.reader.clock(state.declared_at + timedelta(seconds=self.estate.survey.budget_s))
        person = self.reader.policy.person(state.declared.actor.person or "") if state.declared.actor else None
        counts = person is not None and person.may("approve")
        first = "You need do nothing more; others must approve."
        if counts and self.reader.policy.quorum == 2:
            first = "You are the first of two. You need do nothing more."
        return f"{first} The card is due by {by}. Incident {state.id}."

    def _where(self, state: Incident) -> str:
        """Where the board is, where it cannot be in this channel."""
        channel = state.declared.channel
        can, _ = self.narrator.can_post(channel)
        if can is not False:
            return ""
        invite = f" To bring me here: /invite @{self.me}" if channel.startswith(("C", "G")) else ""
        return f" I cannot post here; the board is in the home channel: {self._link(state)}.{invite}"

    def _link(self, state: Incident) -> str:
        home = self.reader.policy.home_channel
        try:
            name = str(self.ask("conversations.info", channel=home)["channel"]["name"])
            return f"#{name}"
        except Exception:
            return home

    def _moment(self, clock: words.Clock) -> datetime:
        """The last time it was that time of day, in the policy's zone."""
        now = self.clock().astimezone(ZoneInfo(self.reader.policy.zone))
        at = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
        return at if at <= now else at - timedelta(days=1)

    # --- what a word does ---------------------------------------------------------------------------------

    def _act(self, said: Said, state: Incident, actor: Actor) -> Post:
        """Words that are one command to the desk."""
        pool = state.declared.pool
        made: dict[str, tuple[Callable[[], Command], str]] = {
            "stop": (lambda: do.Stop(actor, said.rest), f"{pool}: {STOPPING}"),
            "go-on": (lambda: do.GoOn(actor), f"The stop for {pool} is lifted."),
            "cancel": (lambda: do.Cancel(actor, said.rest), f"{pool} is cancelled. Nothing was changed."),
            "note": (lambda: do.AddNote(actor, said.rest), "Noted, word for word."),
            "lead": (lambda: do.TakeLead(actor), f"You lead {pool} now."),
            "confirm": (lambda: do.Confirm(actor, said.rest), "Confirmed: it works. It stands in the record."),
            "close": (lambda: do.Close(actor, said.rest), f"{pool} is closed."),
            "outage": (
                lambda: do.SetOutage(actor, self._moment(said.since or words.Clock(0, 0))),
                f"{pool}: outage began {said.since.hour:02d}:{said.since.minute:02d}. Set." if said.since else "",
            ),
        }  # fmt: skip
        command, done = made[said.verb]
        return self._done(state.id, command(), done)

    def _done(self, incident: str, command: Command, done: str) -> Post:
        """Do it, ring where something is due, say what became of it."""
        answer = self.desk.do(incident, command)
        if answer.refusal is not None:
            return self._refused(answer, answer.state)
        if answer.state is not None and isinstance(command, RINGING):
            self._ring(answer.state)
        return say(done)

    def _refused(self, answer: Answer, state: Incident | None) -> Post:
        """The words of the refusal, and the next thing to press where there is one."""
        refusal = answer.refusal
        again = refusal is not None and refusal.offer == "ask_again" and state is not None and not state.closed
        return answers.refused(refusal.text if refusal else "Nothing happened.", state if again else None)

    def _ring(self, state: Incident) -> None:
        """Ring for a hand where one is due now; the reconciler rings again should this be lost."""
        try:
            if state.phase in ("approved", "running") or (state.run_request is not None and not state.run_ended):
                self.doorbell.ring_act(state.id, state.head)
        except JournalError as bad:
            log.warning("No hand could be rung for %s: %s", state.id, bad)

    def _ring_look(self, state: Incident) -> None:
        try:
            self.doorbell.ring_look(state.id, state.head)
        except JournalError as bad:
            log.warning("No look could be rung for %s: %s", state.id, bad)

    # --- things to read -----------------------------------------------------------------------------------

    def _audit(self, said: Said) -> Post:
        name = said.target
        if not name:
            opened = self.desk.journal.incidents()
            if not opened:
                return say("No incident stands in this journal yet.")
            name = opened[-1].incident
        try:
            state = self.desk.state(name)
        except NoSuchIncident:
            newest = [one.incident for one in self.desk.journal.incidents()][-3:]
            return say(answers.no_record(name, newest))
        return answers.audited(state, self.reader)

    def _status(self, said: Said, channel: str) -> Post:
        found = self._which(replace(said, verb="status"), channel)
        if isinstance(found, str):
            return say(found.replace("Nothing happened.", "").strip())
        made = board.board(found, self.clock(), self.reader, self.narrator.notices_of(found.id))
        return replace(made, blocks=tuple(b for b in made.blocks if b["type"] != "actions"))

    def _plan(self, said: Said) -> Post:
        pool = self.estate.find_pool(said.target)
        if pool is None:
            near = ", ".join(self.estate.suggestions(said.target))
            return say(f"There is no pool “{said.target}”. Pools with a name like it: {near}.")
        key = f"plan-{secrets.token_hex(8)}"
        self.doorbell.ring_look_now(key, {"kind": "plan", "pool": pool.name, "playbook": "declare-disaster"})
        answer = self.doorbell.wait_answer(key, LOOK_WAIT_S)
        if answer is None:
            return say(f"No worker answered within {LOOK_WAIT_S:.0f} s, so there is no plan. Nothing happened.")
        return answers.plan(pool.name, pool.site, answer)

    # --- typed instead of tapped --------------------------------------------------------------------------

    def _typed(
        self, said: Said, state: Incident, actor: Actor, trigger: str, response_url: str, channel: str
    ) -> Post | None:
        """Open the card's own dialog; an answer where there is nothing to open."""
        request = state.request
        if said.target and self.estate.find_pool(said.target) != self.estate.find_pool(state.declared.pool):
            return say(f"The card is about {state.declared.pool}, not {said.target}. Nothing happened.")
        if said.verb in ("retry", "skip", "done"):
            step = state.waiting_step
            if step is None or step.failure is None:
                return say(f"No step of {state.declared.pool} waits for a decision. Nothing happened.")
            verdict: Verdict = "retry" if said.verb == "retry" else "skip" if said.verb == "skip" else "done"
            value = "|".join(("v1", state.id, step.id, str(step.failure.attempt), verdict))
            self._open(trigger, dialogs.ruling(state, step.id, verdict, _meta(value, channel, "", response_url)))
            return None
        if request is None:
            return say(f"Nothing is asked about {state.declared.pool}. Nothing happened.")
        place = _card_near(request, channel)
        meta = _meta(card.button_value(state, request), place[0], place[1], response_url, said.code)
        if said.verb == "decline":
            self._open(trigger, dialogs.decline(state, meta))
            return None
        pool = state.declared.pool
        if not said.code:
            return say(f"Type the card's six characters too: /lync approve {pool} <code>. Nothing happened.")
        if request.state != "open" or said.code != request.short.upper():
            # Refused and written down by the desk, as the same tap would be.
            click = Click("lync.approve", card.button_value(state, request), *place, "", "", actor)
            return self._refused(self._vote(click, short=said.code), state)
        asks = request.level == "red" or self.reader.policy.one_time_code
        view = dialogs.approve if asks else dialogs.confirm_approve
        self._open(trigger, view(state, request, meta, self.reader))
        return None

    def _open(self, trigger: str, view: Json) -> None:
        """A trigger lives three seconds and once: open first, think later."""
        self.ask("views.open", trigger_id=trigger, view=self.reader.view(view))

    # --- buttons ------------------------------------------------------------------------------------------

    def click(self, payload: Mapping[str, Any], reply: Reply) -> None:
        """Carry out one press and answer it."""
        pressed = (payload.get("actions") or [{}])[0]
        value = str(pressed.get("value") or "")
        action = str(pressed.get("action_id") or "")
        container = payload.get("container") or {}
        channel = str((payload.get("channel") or {}).get("id") or container.get("channel_id") or "")
        ts = str((payload.get("message") or {}).get("ts") or container.get("message_ts") or NO_MESSAGE)
        url, trigger = str(payload.get("response_url") or ""), str(payload.get("trigger_id") or "")
        try:
            if action in INSIDE and self.reader.policy.by_slack(*ids_of(payload, self.reader.policy)) is None:
                reply(say("You are not in the policy of this installation, so there is nothing to show."))
                return
            if self._dialog(action, value, channel, ts, url, trigger):
                return
            found = who(payload, self.reader.policy, self.accounts.look)
            reply(self._press(Click(action, value, channel, ts, trigger, url, found.actor)))
        except NoSuchIncident as none:
            # The desk finds none either, and writes that down, as what was tried.
            actor = who(payload, self.reader.policy, self.accounts.look).actor
            self.desk.do(none.incident, _tried(action, actor))
            reply(say("This button belongs to an incident that is not in this journal. Nothing was run."))
        except (JournalError, TooBusy) as bad:
            reply(say(f"{bad} Nothing happened. Tap again, or use lync-dr on the host."))

    def _dialog(self, action: str, value: str, channel: str, ts: str, url: str, trigger: str) -> bool:
        """Open the dialog this button asks for; False where it is done at once."""
        parts = value.split("|")
        meta = _meta(value, channel, ts, url)
        if action == "lync.outage":
            self._open(trigger, dialogs.outage(self.desk.state(value), meta, self.reader))
            return True
        if action == "lync.stakeholders":
            text = summary.stakeholder_text(self.desk.state(value), self.reader)
            self._open(trigger, dialogs.note("Stakeholder text", [text]))
            return True
        if action == "lync.follow_ups":
            self._open(trigger, dialogs.follow_ups(self.desk.state(value), meta, self.reader))
            return True
        if len(parts) < 5 or parts[0] != "v1":
            return False
        state = self.desk.state(parts[1])
        if action.startswith("lync.rule.") and action != "lync.rule.retry":
            self._open(trigger, dialogs.ruling(state, parts[2], _verdict(parts[4]), meta))
            return True
        request = next((r for r in state.requests if str(r.number) == parts[2]), None)
        if action == "lync.commands":
            self._open(trigger, dialogs.commands(state, self.reader))
            return True
        if action == "lync.decline" and request is not None and request.state == "open":
            self._open(trigger, dialogs.decline(state, meta))
            return True
        asks = request is not None and (request.level == "red" or self.reader.policy.one_time_code)
        if action == "lync.approve" and request is not None and asks and request.state == "open":
            self._open(trigger, dialogs.approve(state, request, meta, self.reader))
            return True
        return False

    def _press(self, click: Click) -> Post:
        """A press that is done at once."""
        pool_of = click.value.split("|")
        if click.action == "lync.approve":
            return self._too_far_off() or self._voted(self._vote(click))
        if click.action == "lync.decline":
            return self._decline(click, "")
        if click.action == "lync.still_disaster":
            return self._still(click)
        if click.action == "lync.rule.retry":
            return self._rule(click, "")
        if click.action == "lync.declare_instead":
            return self._declare_instead(click)
        incident = pool_of[1] if pool_of[0] == "v1" and len(pool_of) > 1 else click.value
        simple: dict[str, tuple[Callable[[], Command], str]] = {
            "lync.stop": (lambda: do.Stop(click.actor), STOPPING),
            "lync.go_on": (lambda: do.GoOn(click.actor, self._copy(click, incident)), "The stop is lifted."),
            "lync.lead": (lambda: do.TakeLead(click.actor), "You lead now."),
            "lync.close": (lambda: do.Close(click.actor), "Closed."),
            "lync.confirm": (
                lambda: do.Confirm(click.actor, copy=self._copy(click, incident)),
                "Confirmed: it works. It stands in the record.",
            ),
            "lync.cancel": (lambda: do.Cancel(click.actor), "Cancelled. Nothing was changed."),
            "lync.false_alarm": (
                lambda: do.Cancel(click.actor, false_alarm=True), "Closed as a false alarm. Nothing was changed."
            ),
            "lync.ask_again": (
                lambda: do.AskApproval(click.actor, secrets.token_hex(16), again=True),
                "Asked again. A new card follows.",
            ),
        }  # fmt: skip
        if click.action not in simple:
            return say(
                "This button is from another version and does nothing any more. Nothing was run. See: /lync help"
            )
        command, done = simple[click.action]
        return self._done(incident, command(), done)

    # --- approval -----------------------------------------------------------------------------------------

    def _card(self, click: Click, incident: str, request: int) -> CardRef:
        """The card this press came from, as the record has it; a copy stays what it is and is refused."""
        self.narrator.settle(incident, click.channel, click.ts)
        state = self.desk.state(incident)
        known = next(
            (c for r in state.requests if r.number == request for c in r.cards
             if (c.channel, c.ts) == (click.channel, click.ts)), None,
        )  # fmt: skip
        return known or CardRef(team=self.reader.policy.team, channel=click.channel, ts=click.ts)

    def _copy(self, click: Click, incident: str) -> bool:
        """Whether the pressed message is none that a bot of this installation posted for this incident."""
        return not self.narrator.stands(incident, click.channel, click.ts)

    def _vote(self, click: Click, typed: str | None = None, code: Code | None = None, short: str = "") -> Answer:
        incident, number, nonce, digest = _approval(click.value)
        place = self._card(click, incident, number)
        return self.desk.do(
            incident,
            do.Approve(
                actor=click.actor, request=number, nonce=nonce, digest=digest, card=place, typed=typed, code=code,
                short=short or None,
            ),
        )  # fmt: skip

    def _too_far_off(self) -> Post | None:
        """A host whose clock is wrong by more than half a minute takes no approval: expiry could not be judged."""
        off = self.clock_off()
        if abs(off) <= CLOCK_LIMIT_S:
            return None
        return say(
            f"This bot's clock is off by {off:+.0f} s, so it takes no approval. Nothing was run. Set the clock of "
            f"{self.reader.host}, or approve in a terminal: lync-dr approve"
        )

    def _voted(self, answer: Answer) -> Post:
        """What became of a vote."""
        state = answer.state
        if answer.refusal is not None or state is None:
            return self._refused(answer, state)
        self._ring(state)
        counted = f"Your approval counted, {self.reader.stamp(state.at)}."
        if state.request is not None and state.request.state == "open":
            return say(f"{counted} Still needed: {state.request.still_needed} more.")
        return say(f"{counted} {self._what_follows(state)} A receipt follows by direct message.")

    def _what_follows(self, state: Incident) -> str:
        """What comes after the last needed vote: a hand, unless a stop or the hour stands before it."""
        request = state.request
        if state.stop is not None:
            return f"A stop by {self.reader.actor(state.stop.by)} is standing: an operator must go on first."
        if request is not None and request.start_at is not None and request.start_at > state.at:
            return story.begins(request, self.reader)
        return "A worker is called now."

    def _decline(self, click: Click, why: str) -> Post:
        incident, number, nonce, _ = _approval(click.value)
        place = self._card(click, incident, number)
        return self._done(incident, do.Decline(click.actor, number, nonce, place, why), "Declined. Nothing was run.")

    def _still(self, click: Click) -> Post:
        incident, number, nonce, _ = _approval(click.value)
        place = self._card(click, incident, number)
        said = "Said: still a disaster. An approver must now type the pool's name."
        return self._done(incident, do.SayStillDisaster(click.actor, number, nonce, place), said)

    def _rule(self, click: Click, why: str) -> Post:
        _, incident, step, attempt, verdict = (click.value.split("|") + [""] * 5)[:5]
        place = CardRef(team=self.reader.policy.team, channel=click.channel, ts=click.ts) if click.ts else None
        copy = place is not None and self._copy(click, incident)
        command = do.Rule(click.actor, step, _number(attempt), _verdict(verdict), why, place, copy)
        answer = self.desk.do(incident, command)
        if answer.refusal is not None or answer.state is None:
            return self._refused(answer, answer.state)
        self._ring(answer.state)
        if any(e.code == "RUL001I" for e in answer.events):
            return say(f"Decided: {LABELS[command.verdict].lower()}.")
        return say("Your word is recorded. A second person must say the same.")

    def _declare_instead(self, click: Click) -> Post:
        incident, _, other = click.value.partition("|")
        state = self.desk.state(incident)
        pool = self.estate.find_pool(other)
        partner = self.estate.partner_of(pool.name) if pool else None
        if pool is None or partner is None:
            return say(f"{other} is not in the estate file any more. Nothing happened.")
        return self._declared(
            do.Declare(
                actor=click.actor, playbook="declare-disaster", pool=pool.name, pool_fqdn=pool.fqdn, site=pool.site,
                partner=partner.name, partner_fqdn=partner.fqdn, partner_site=partner.site, users=pool.users,
                reason=state.declared.reason, raw=f"[Declare {other} instead]", channel=state.declared.channel,
                since=state.clocks.t0,
            )
        )  # fmt: skip

    # --- dialogs ------------------------------------------------------------------------------------------

    def submission(self, payload: Mapping[str, Any], reply_to: Callable[[str, str], Reply]) -> Mapping[str, str] | None:
        """Carry out a submitted dialog. Returns errors by field, or None where it may close (the answer is sent)."""
        view = payload.get("view") or {}
        callback = str(view.get("callback_id") or "")
        if callback == "lync.none":
            return None
        meta = json.loads(str(view.get("private_metadata") or "{}"))
        given = {
            block: _typed_or_chosen(one.get("value") or {})
            for block, one in ((view.get("state") or {}).get("values") or {}).items()
        }
        found = who(payload, self.reader.policy, self.accounts.look)
        user = str((payload.get("user") or {}).get("id") or "")
        reply = reply_to(str(meta.get("url") or ""), user)
        click = Click(callback, str(meta.get("value") or ""), str(meta.get("channel") or ""), str(meta.get("ts") or ""),
                      "", "", found.actor)  # fmt: skip
        try:
            said = self._submitted(callback, click, given, str(meta.get("short") or ""))
        except (JournalError, TooBusy) as bad:
            certain = "Look at the card before you try again." if isinstance(bad, Unconfirmed) else "Nothing happened."
            said = say(f"{bad} {certain}")
            if field := first_field(view):
                reply(said)
                return {field: untrusted.line(f"{certain} {bad}", 150)}
        if isinstance(said, dict):
            return said
        reply(said)
        return None

    def _submitted(self, callback: str, click: Click, given: Mapping[str, str], short: str) -> Post | dict[str, str]:
        if callback == "lync.approve":
            return self._approve_in_dialog(click, given, short)
        if callback == "lync.decline":
            return self._decline(click, given.get("why", "").strip())
        if callback == "lync.rule":
            return self._rule(click, given.get("why", "").strip())
        if callback == "lync.follow_ups":
            settle = do.SettleFollowUp(click.actor, given.get("key", ""), given.get("why", "").strip())
            return self._done(click.value, settle, "Settled. It stands in the record.")
        if callback == "lync.outage":
            said = words.parse(f"outage {given.get('at', '')}")
            if not isinstance(said, Said) or said.since is None:
                return {"at": "Type the time of day as hh:mm, for example 03:02."}
            at = self._moment(said.since)
            return self._done(
                click.value, do.SetOutage(click.actor, at), f"Outage began {self.reader.minute(at)}. Set."
            )
        return say("This dialog is from another version. Nothing happened.")

    def _approve_in_dialog(self, click: Click, given: Mapping[str, str], short: str) -> Post | dict[str, str]:
        """Typed name or code. What was wrong is shown at the field, so that it can be typed again."""
        code: Code | None = None
        unseeded = ""
        if "code" in given:
            try:
                code = self.seeds.check(click.actor.person or "nobody", given["code"], self.clock())
            except NoSeed as bad:
                unseeded = untrusted.line(str(bad), 150)
        typed = _typed_name(given["typed"]) if "typed" in given else None
        if (off := self._too_far_off()) is not None:
            return off
        answer = self._vote(click, typed, code, short)
        if unseeded and answer.refusal is not None and answer.refusal.code == CODE_MISSING:
            return {"code": unseeded}
        field = "code" if "code" in given else "typed" if "typed" in given else ""
        if field and answer.refusal is not None and answer.refusal.code[3:6] in _AT_THE_FIELD:
            return {field: untrusted.line(answer.refusal.text, 150)}
        return self._voted(answer)


def first_field(view: Mapping[str, Any]) -> str:
    """The first field of a dialog, where an error can be shown; empty for a dialog without fields."""
    return next((str(b.get("block_id", "")) for b in view.get("blocks", ()) if b.get("type") == "input"), "")


def _typed_or_chosen(field: Mapping[str, Any]) -> str:
    """What one field of a dialog holds: typed text, or the value of the chosen option."""
    return str(field.get("value") or (field.get("selected_option") or {}).get("value") or "")


def _typed_name(text: str) -> str:
    """A pool's name as a phone types it; where it is no plain name it stays as it is, to be refused."""
    try:
        return words.name(text.strip())
    except words.LooksAlike:
        return text.strip()


def _meta(value: str, channel: str, ts: str, url: str, short: str = "") -> str:
    """What a dialog must remember of the press that opened it."""
    return json.dumps({"value": value, "channel": channel, "ts": ts, "url": url, "short": short})


def _approval(value: str) -> tuple[str, int, str, str]:
    """(incident, request, nonce, digest) of an approval button; what does not fit is refused by the desk."""
    _, incident, number, nonce, digest = (value.split("|") + [""] * 5)[:5]
    return incident, _number(number), nonce, digest


def _number(text: str) -> int:
    """A number as our own buttons have it; 0, which is nobody's, for anything else that calls itself a digit."""
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else 0


def _tried(action: str, actor: Actor) -> Command:
    """The command behind a button whose incident is not in this journal, for the record of the refusal."""
    if action.startswith("lync.rule."):
        return do.Rule(actor, "", 0, _verdict(action.removeprefix("lync.rule.")), "", None)
    known: dict[str, Command] = {
        "lync.approve": do.Approve(actor, 0, "", "", None),
        "lync.decline": do.Decline(actor, 0, "", None, ""),
        "lync.still_disaster": do.SayStillDisaster(actor, 0, "", None),
        "lync.ask_again": do.AskApproval(actor, "", again=True),
        "lync.stop": do.Stop(actor, ""),
        "lync.go_on": do.GoOn(actor),
        "lync.lead": do.TakeLead(actor),
        "lync.close": do.Close(actor),
        "lync.confirm": do.Confirm(actor),
        "lync.cancel": do.Cancel(actor),
        "lync.false_alarm": do.Cancel(actor, false_alarm=True),
    }
    return known.get(action) or do.AddNote(actor, "")


def _verdict(text: str) -> Verdict:
    """The verdict a button names; anything unknown is the one that changes nothing on a server."""
    known: dict[str, Verdict] = {"retry": "retry", "done": "done", "skip": "skip"}
    return known.get(text, "abort")


def _card_near(request: Request, channel: str) -> tuple[str, str]:
    """The card of this question that stands where the words were typed, else the first one."""
    near = next((c for c in request.cards if c.channel == channel), None) or next(iter(request.cards), None)
    return (near.channel, near.ts) if near else ("", "")
