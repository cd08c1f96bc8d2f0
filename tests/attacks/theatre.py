"""The whole rehearsal as an attacker's target: store, practice Slack, two sites, workers and bot as real processes.

An attack comes through the practice workspace. Four things are read afterwards, each at its own place: the answer
where Slack keeps it for that one person, the refusal's code in the record, the card in the channel, and the
simulated servers' own logs of state-changing calls.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from cli.practice import Rehearsal
from cli.roots import open_journal_of
from cli.someone import Someone
from config.load import load_policy, load_settings
from incident.desk import Desk
from incident.events import Refused
from incident.journal import REGISTER
from incident.policy import Rules
from incident.record import Record
from incident.state import Incident, Request
from tests.waiting import wait_for

CHANNEL, HOME, TEAM, BOT = "C0INC", "C0HOME", "TPRACTICE", "UBOTLYNC"
NAMES = {"URITA": "Rita Berg", "UBO": "Bo Lund", "UCHEN": "Chen Wu", "UDANA": "Dana Ito", "UOLAF": "Olaf Out"}
Message = dict[str, Any]


@dataclass
class Theatre:
    """One running rehearsal, and the hands of everybody who is not the product."""

    place: Rehearsal
    policy_file: Path
    estate_file: Path
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.http.trust_env = False
        settings = load_settings(self.place.env)
        journal, _ = open_journal_of(settings, None)
        self.desk = Desk(journal, Rules(policy=load_policy(settings.policy)), lambda: datetime.now(UTC))
        self.journal = journal
        self.settings = settings

    # --- the workspace -------------------------------------------------------------------------------------

    def someone(self, user: str) -> Someone:
        """A person at the practice page."""
        return Someone(self.place.page_url, user, NAMES.get(user, user))

    def admin(self, what: str, **order: Any) -> Any:
        """Change the workspace, or deliver what no honest screen would."""
        answer = self.http.post(f"{self.place.page_url}admin/{what}", json=order, timeout=60)
        assert answer.status_code == 200, f"{what} {order}: {answer.text}"
        return answer.json()

    def messages(self, channel: str = CHANNEL) -> list[Message]:
        """Everything stored in a channel, ephemerals included, oldest first."""
        found = self.http.get(f"{self.place.page_url}admin/messages", params={"channel": channel}, timeout=20).json()
        return sorted(found["messages"], key=lambda m: str(m["ts"]))

    def newest(self, channel: str) -> str:
        """The timestamp of the newest message of a channel."""
        return max((str(m["ts"]) for m in self.messages(channel)), default="")

    def message(self, channel: str, ts: str) -> Message:
        """One message as it is now."""
        return next(m for m in self.messages(channel) if m["ts"] == ts)

    def answer(self, user: str, channel: str, after: str, limit_s: float = 30.0) -> str:
        """What was said to this one person since `after`."""

        def look() -> str:
            mine = [m for m in self.messages(channel) if m["only_for"] == user and m["ts"] > after]
            return words_of(mine[-1]) if mine else ""

        return wait_for(look, f"an answer to {user}", limit_s)

    @contextmanager
    def changed(self, user: str, **how: Any) -> Iterator[None]:
        """An account that is different for a while."""
        before = self.admin("user", id=user)["user"]
        self.admin("user", id=user, **how)
        try:
            yield
        finally:
            self.admin("user", **before)

    # --- the estate ----------------------------------------------------------------------------------------

    def control(self, host: str, what: str, **order: Any) -> Any:
        """An order to one simulated process, or a page of it."""
        url = f"{self.place.controls[host]}/{what}"
        answer = self.http.post(url, json=order, timeout=20) if order else self.http.get(url, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def changing_calls(self) -> list[str]:
        """Every state-changing call that any server ever saw."""
        seen = [e for host in self.place.controls for e in self.control(host, "log") if e["changing"]]
        return [f"{e['host']} {e['literal']}" for e in sorted(seen, key=lambda e: str(e["at"]))]

    def begin(self) -> None:
        """The sites as built, with their power on; Leeds first, so that what remembers teaches nothing."""
        for host in ("dns2", "leeds", "dns1", "london"):
            self.control(host, "begin", now=True)
        wait_for(lambda: self.control("leeds", "state")["partner_alive"], "the two sites to see each other")

    def lync_dr(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A command in a terminal on the bot's host."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *argv], env=dict(os.environ) | dict(self.place.env), capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip

    # --- the product's processes ---------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        """The process of one part as it runs now: the supervisor may have started it again."""
        return _running(self.place.pids[name], self.place.out / f"{name}.ready")

    @contextmanager
    def frozen(self, *names: str) -> Iterator[Callable[[], None]]:
        """Processes that stand still, as on a host that hangs, until the answer is called or the block ends."""
        pids = []
        for name in names:
            pids.append(self.pid(name))
            os.kill(pids[-1], signal.SIGSTOP)
            # What it has forked for a job in hand stands still too.
            for child in _children(pids[-1]):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGSTOP)
                    pids.append(child)

        def thaw() -> None:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

        try:
            yield thaw
        finally:
            thaw()

    def restart_bot(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the bot; the supervisor starts it again. Returns when the new one listens."""
        ready = self.place.out / "bot.ready"
        ready.unlink()
        os.kill(self.pid("bot"), how)
        wait_for(ready.exists, "the bot to come back", 40)

    @contextmanager
    def policy(self, edit: Callable[[str], str] = lambda text: text, **values: int) -> Iterator[None]:
        """Another policy file for a while; everybody reads it afresh."""
        before = self.policy_file.read_text("utf-8")
        text = edit(before)
        for name, value in values.items():
            text = re.sub(rf"^{name} = .*\n", "", text, flags=re.M)
            text = text.replace("\nquorum", f"\n{name} = {value}\nquorum", 1)
        _replace(self.policy_file, text)
        try:
            yield
        finally:
            _replace(self.policy_file, before)

    @contextmanager
    def estate(self, edit: Callable[[str], str]) -> Iterator[None]:
        """Another estate file for a while."""
        before = self.estate_file.read_text("utf-8")
        _replace(self.estate_file, edit(before))
        try:
            yield
        finally:
            _replace(self.estate_file, before)

    # --- the record ----------------------------------------------------------------------------------------

    def records(self, incident: str, after: int = 0) -> Sequence[Record]:
        """The verified records after a number."""
        return self.journal.read(incident, after)

    def refusals(self, incident: str, after: int) -> list[Refused]:
        """Refusals written since."""
        return [r.event for r in self.records(incident, after) if isinstance(r.event, Refused)]

    def in_register(self, after: int) -> list[Refused]:
        """Refusals that belong to no incident, written since."""
        return self.refusals(REGISTER, after)

    def register_head(self) -> int:
        """The number of the register's last record."""
        return self.journal.head(REGISTER).seq

    def open_incident(self) -> Incident | None:
        """The one that is open, where one is."""
        found = self.desk.open_incidents()
        return found[0] if found else None

    def close_dialogs(self) -> None:
        """Whatever dialog an earlier test left in front of somebody is put away."""
        people = self.http.get(f"{self.place.page_url}people", timeout=20).json()["people"]
        for user in [p["id"] for p in people if not p["deleted"]]:
            modal = self.someone(user).screen()["modal"]
            while modal is not None:
                done = self.http.post(
                    f"{self.place.page_url}person/{user}/close", json={"view": modal["view"]}, timeout=20
                )
                modal = done.json().get("modal")

    # --- an open card --------------------------------------------------------------------------------------

    @contextmanager
    def open_card(self, words: str = "dc1 power", *, by: str = "URITA", pool: str = "fe1") -> Iterator[Card]:
        """A declaration with its card, ended afterwards, whatever became of it."""
        assert self.open_incident() is None
        self.close_dialogs()
        self.begin()
        self.control("london", "plug", up=False)
        calls = len(self.changing_calls())
        self.someone(by).type(CHANNEL, f"/lync declare-disaster {pool} {words}".rstrip())
        try:
            yield self.card(calls)
        finally:
            self.end()

    def card(self, calls: int) -> Card:
        """The card that is asked with now, once it stands in the channel and in Bo's messages."""

        def look() -> Card | None:
            state = self.open_incident()
            request = state.request if state else None
            if state is None or request is None or request.state != "open":
                return None
            places = {c.person: c for c in request.cards}
            if None not in places or "bo" not in places or "chen" not in places:
                return None
            here = next(c for c in request.cards if c.person is None and c.channel == CHANNEL)
            return Card(self, state.id, request.number, here.channel, here.ts, calls)

        return wait_for(look, "an open card", 60)

    def end(self) -> None:
        """Close whatever is open."""
        state = self.open_incident()
        if state is None:
            return
        words = "cancel fe1 end of the rehearsal" if state.clocks.t3 is None else "stop fe1 end of the rehearsal"
        for user in ("URITA", "UDANA"):
            self.someone(user).type(CHANNEL, f"/lync {words}")
            with suppress(AssertionError):
                wait_for(lambda: self.open_incident() is None, "the end", 5)
                return
            words = "close fe1 end of the rehearsal"
        wait_for(lambda: self.open_incident() is None, "the end of the incident", 20)


@dataclass
class Card:
    """One posted card, and the four things to be read after an attack on it."""

    stage: Theatre
    incident: str
    number: int
    channel: str
    ts: str
    calls: int
    """State-changing calls that the servers had seen before this card."""

    @property
    def state(self) -> Incident:
        """The incident as the record has it now."""
        return self.stage.desk.state(self.incident)

    @property
    def request(self) -> Request:
        """The question on this card."""
        return next(r for r in self.state.requests if r.number == self.number)

    def button(self, action: str = "lync.approve", **where: str) -> dict[str, Any]:
        """A button of the card, as a forgery names it."""
        return {"channel": self.channel, "ts": self.ts, "action": action} | where

    def dm(self, person: str) -> dict[str, str]:
        """The copy of the card in somebody's direct messages."""
        place = next(c for c in self.request.cards if c.person == person)
        return {"channel": place.channel, "ts": place.ts}

    def shown(self) -> str:
        """What the card in the channel says now."""
        return words_of(self.stage.message(self.channel, self.ts))

    def asks(self) -> bool:
        """Whether the card can still be pressed."""
        return "lync.approve" in actions_of(self.stage.message(self.channel, self.ts))

    def press(
        self,
        user: str,
        action: str = "lync.approve",
        *,
        where: dict[str, str] | None = None,
        change: dict[str, Any] | None = None,
        drop: Sequence[str] = (),
        told: str = "",
        **more: Any,
    ) -> str:
        """Somebody's press, forged where `change` says so; what they were answered."""
        button = self.button(action, **(where or {}))
        channel = str((change or {}).get("channel", {}).get("id", button["channel"]))
        channel = button["channel"]
        before = self.stage.newest(channel)
        self.stage.admin("forge", press=button, user=user, change=change or {}, drop=list(drop), **more)
        return self.stage.answer(told or user, channel, before)

    def again(self, user: str = "UCHEN") -> Card:
        """Ask again with one tap on this card, and the new card."""
        wait_for(lambda: "lync.ask_again" in actions_of(self.stage.message(self.channel, self.ts)), "Ask again", 20)
        self.press(user, "lync.ask_again")
        return self.stage.card(self.calls)

    def recorded(self, code: str, after: int, limit_s: float = 40.0) -> Record:
        """The first record with this code after a number, once it is there."""

        def look() -> Record | None:
            return next((r for r in self.stage.records(self.incident, after) if r.code == code), None)

        return wait_for(look, f"{code} in {self.incident}", limit_s)

    def over(self, *says: str) -> None:
        """The card in the channel says what became of it, and can no longer be approved with."""
        wait_for(lambda: all(words in self.shown() for words in says) and not self.asks(), f"a card that says {says}")

    def nothing_ran(self) -> None:
        """No server saw a state-changing call since this card was asked with."""
        assert self.stage.changing_calls()[self.calls :] == []

    def old_tap(self, user: str, *, at: Card | None = None, **more: Any) -> str:
        """A tap on this card's approving button, which a phone without a line still shows; what was answered.

        `at` is another card under whose time stamp it is sent.
        """
        place = at or self
        where = {"message": {"ts": place.ts}, "container": {"message_ts": place.ts}}
        some = next(m for m in reversed(self.stage.messages(self.channel)) if m["user"] == BOT and actions_of(m))
        real = {"ts": str(some["ts"])}
        return self.press(user, actions_of(some)[0], where=real, change=old_button(self) | where, **more)

    def refuses(self, attack: Callable[[], str], code: str, *says: str, who: str | None = None) -> Refused:
        """The four things: answer, code, a card that still asks, and servers that saw nothing."""
        head = self.state.seq
        answer = attack()
        for words in says:
            assert words in answer, answer
        found = wait_for(lambda: self.stage.refusals(self.incident, head), f"{code} in the record")
        assert [r.why for r in found] == [code], found
        if who is not None:
            assert found[0].actor is not None
            assert found[0].actor.user == who
        assert self.request.state == "open"
        assert self.asks()
        self.nothing_ran()
        return found[0]


def old_button(card: Card) -> dict[str, Any]:
    """The approving button of a card that shows none any more, as a phone without a line still has it."""
    request = card.request
    value = "|".join(("v1", card.incident, str(request.number), request.nonce, request.digest[:16]))
    return {"actions": [{"action_id": "lync.approve", "value": value}]}


def words_of(message: Message) -> str:
    """Every text in a message's blocks, in order; its `text` where it has no blocks."""
    parts: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("text"), str):
                parts.append(node["text"])
            for key, value in node.items():
                if key != "text" or isinstance(value, dict):
                    walk(value)
        elif isinstance(node, list):
            for one in node:
                walk(one)

    walk([*message["blocks"], *(b for a in message["attachments"] for b in a["blocks"])])
    return " ".join(parts) or str(message["text"])


def actions_of(message: Message) -> list[str]:
    """The buttons that can be pressed, by action id."""
    blocks = [*message["blocks"], *(b for a in message["attachments"] for b in a["blocks"])]
    return [str(e.get("action_id", "")) for b in blocks if b["type"] == "actions" for e in b["elements"]]


def at_once(*work: Callable[[], Any]) -> list[Any]:
    """Do several things at the same moment; their results in order."""
    results: list[Any] = [None] * len(work)
    gate = threading.Barrier(len(work))

    def run(place: int) -> None:
        gate.wait(10)
        results[place] = work[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def _children(pid: int) -> list[int]:
    """The processes that this one has started and not yet seen end."""
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


def _running(pid: int, ready: Path) -> int:
    """The process that says at `ready` when it is: `pid`, or the one that the supervisor has started since.

    By its file and not by its name: this test process may have the bots of several rehearsals.
    """
    for mine in _children(os.getpid()):
        with suppress(OSError):
            if os.fsencode(ready) in Path(f"/proc/{mine}/cmdline").read_bytes().split(b"\0"):
                return mine
    return pid


def _replace(path: Path, text: str) -> None:
    """Whole or not at all: others read the file at any moment."""
    new = path.with_suffix(".new")
    new.write_text(text, "utf-8")
    new.replace(path)
