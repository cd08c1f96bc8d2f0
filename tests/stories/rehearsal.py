"""One whole rehearsal for tests: `lync-dr practice all` as real processes, and hands to act in it.

    def test_something(rehearsal):
        card = rehearsal.declare()                       # London dark, Rita declares fe1; her approval card
        told = rehearsal.press(rehearsal.olaf, card, "Approve")
        assert "not an approver" in told.text            # what the clicker was answered, seen by nobody else
        assert "APR021E" in rehearsal.refusals()         # the journal's codes
        assert rehearsal.calls() == []                   # what the sites saw

`rehearsal` is started once for each test process (about 5 s on two free cores) with simulated work that takes no
time, and begins again before each test: open incidents are ended, the sites are as built, power is on, faults are
gone, accounts and the policy file are as they were, dialogs are closed. What an earlier test left on the screens
stays there; `find` of a `Visitor` passes over all that is older than the test. A test that has destroyed something
(the store, the keys, a process) says `rehearsal.renew()` at its end, which starts another rehearsal for the next.

Rate limits of the practice Slack are off (`admin("rates", enabled=True)` for a test that wants them; say so again
at the end). The people: rita (declare, approve, operate, watch), bo, chen (approve, operate), dana (also audit and
declare), olaf (in the channel, in no policy), gus (a guest). The policy file is a copy: edit `rehearsal.policy`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyotp
import pytest
import requests

from cli.someone import Seen, Someone, label_of, walk
from config.load import load_policy, load_settings
from incident.commands import Cancel, Close, Stop
from incident.desk import Desk
from incident.events import Account, Actor, Refused
from incident.journal import REGISTER, Journal
from incident.journals.opening import open_journal
from incident.keys import load_keys, load_writer
from incident.one_time import STEP_S, Seeds
from incident.policy import Rules
from incident.record import Record
from incident.state import Incident
from tests.conftest import ROOT
from tests.waiting import wait_for

T = TypeVar("T")
CHANNEL, HOME = "C0INC", "C0HOME"
HOSTS = ("london", "leeds", "dns1", "dns2")
PEOPLE = {
    "rita": ("URITA", "Rita Berg"),
    "bo": ("UBO", "Bo Lund"),
    "chen": ("UCHEN", "Chen Wu"),
    "dana": ("UDANA", "Dana Ito"),
    "olaf": ("UOLAF", "Olaf Out"),
    "gus": ("UGUEST", "Gus Guest"),
}
SETTINGS = {"LYNC_DR_RECONCILE_S": "1", "LYNC_DR_RELOOK_S": "3"}
"""Shorter than in real life: how soon a run without a hand is rung for, how soon an open card is looked at again."""
DURATIONS = "zero,heartbeat=0.2"
STARTS_WITHIN_S = 90.0
_AS_BUILT = {"deleted": False, "is_restricted": False, "is_ultra_restricted": False, "is_stranger": False,
             "is_invited_user": False, "is_email_confirmed": True, "is_bot": False, "team_id": "TPRACTICE"}  # fmt: skip


class Visitor(Someone):
    """A person at the page, who passes over everything older than this test."""

    mark = ""

    def find(self, *words: str, since: str = "", **wanted: Any) -> Seen:
        """As `Someone.find`, among the messages of this test."""
        return super().find(*words, since=max(since, self.mark), **wanted)

    def seen(self) -> list[Seen]:
        """Every message of this test on the screen now, threads included."""
        return [s for s in walk(self.screen()) if s.ts > self.mark]


class Rehearsal:
    """A running rehearsal. `out` is its directory; `env` what a command needs to belong to it."""

    def __init__(self, durations: str = DURATIONS, settings: Mapping[str, str] = SETTINGS) -> None:
        self._durations, self._settings = durations, dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._touched: set[str] = set()

    # --- starting and stopping -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything; returns when the page answers and bot and workers are up."""
        self.out = Path(tempfile.mkdtemp(prefix="ldr-"))  # short: a socket's path is limited
        self.policy = self.out / "policy.toml"
        self._policy_text = (ROOT / "config" / "policy.practice.toml").read_text("utf-8")
        self.policy.write_text(self._policy_text, "utf-8")
        # A dead host is given up after 2 s instead of 3: every declaration in a test waits for that.
        estate = (ROOT / "config" / "estate.practice.toml").read_text("utf-8")
        (self.out / "estate.toml").write_text(
            estate.replace("dns_s = 3\nport_s = 3\n", "dns_s = 2\nport_s = 2\n"), "utf-8"
        )
        settings = self._settings | {
            "LYNC_DR_POLICY": str(self.policy),
            "LYNC_DR_ESTATE": str(self.out / "estate.toml"),
        }
        with (self.out / "practice.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli", "practice", "all", "--out", str(self.out), "--durations",
                 self._durations],
                env=os.environ | settings, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        wait_for(self._up, "the rehearsal to start", STARTS_WITHIN_S)
        self.place: dict[str, Any] = json.loads((self.out / "practice.json").read_text("utf-8"))
        self.page: str = self.place["page_url"].rstrip("/")
        self.controls: dict[str, str] = self.place["controls"]
        self.env: dict[str, str] = dict(os.environ) | self.place["env"]
        self.keys = Path(self.place["keys"])
        self.people = {key: Visitor(self.page, *who) for key, who in PEOPLE.items()}
        self.rita, self.bo, self.chen, self.dana, self.olaf, self.gus = self.people.values()
        self._desk: Desk | None = None
        self._known: dict[str, str] = {}
        self._calls_before: dict[str, int] = {}
        self._register_before = 0
        self.admin("rates", enabled=False)

    def _up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.out / "practice.log").read_text("utf-8", errors="replace"))
        return (self.out / "practice.json").exists()

    def stop(self) -> None:
        """Stop everything this rehearsal started."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(40)
        finally:
            self._process = None
            shutil.rmtree(self.out, ignore_errors=True)

    def renew(self) -> None:
        """Another rehearsal in place of this one, for whoever comes next."""
        self.stop()
        self.start()

    def begin(self) -> None:
        """Make everything as it was at first (see the top of this file)."""
        self.admin("fault", clear=True)
        self.policy.write_text(self._policy_text, "utf-8")
        for user in sorted(self._touched):
            self.admin("user", id=user, groups=["S0APPROVE"], **_AS_BUILT)
        self._touched.clear()
        for host in reversed(HOSTS):  # Leeds first: what remembers must not teach what begins
            self.control(host, "begin", now=True)
        self._end_incidents()
        for person in self.people.values():
            while (modal := person.screen().get("modal")) is not None:
                requests.post(f"{self.page}/person/{person.user}/close", json={"view": modal["view"]}, timeout=10)
        wait_for(lambda: self.control("leeds", "state")["partner_alive"], "the two sites to see each other")
        self._calls_before = {host: len(self.control(host, "log")) for host in HOSTS}
        self._register_before = self.journal.head(REGISTER).seq
        mark = f"{time.time():.6f}"
        for person in self.people.values():
            person.mark = mark

    def _end_incidents(self) -> None:
        """Call off what has changed nothing, stop and close the rest, and wait until Slack has been told."""
        for state in self.desk.open_incidents():
            wait_for(lambda s=state: self._end(s), f"{state.id} to be closed", 60)
            head = self.journal.head(state.id).h[:12]
            wait_for(lambda h=head: self._summed_up(h), f"the channel to hear how {state.id} ended")

    def _end(self, state: Incident) -> bool:
        """Whether the incident is closed; False while a call is in flight."""
        actor = self.actor("rita")
        if self.desk.do(state.id, Cancel(actor)).ok:
            return True
        self.desk.do(state.id, Stop(actor))
        return self.desk.do(state.id, Close(actor)).ok or self.desk.state(state.id).closed is not None

    def _summed_up(self, head: str) -> bool:
        return any("Record:" in seen.text and head in seen.text for seen in walk(self.rita.screen()))

    # --- acting ----------------------------------------------------------------------------------------------

    def control(self, host: str, what: str, **order: Any) -> Any:
        """Give an order to one simulated process (`plug`, `fault`, `set`, `clear`, `begin`), or read from it."""
        url = f"{self.controls[host]}/{what}"
        answer = requests.post(url, json=order, timeout=20) if order else requests.get(url, timeout=20)
        assert answer.ok, answer.text
        return answer.json()

    def admin(self, what: str, **order: Any) -> dict[str, Any]:
        """Change the practice workspace behind everybody's back: `user`, `fault`, `forge`, `post`, `rates`, …"""
        if what == "user":
            self._touched.add(str(order["id"]))
        answer = requests.post(f"{self.page}/admin/{what}", json=order, timeout=60)
        assert answer.ok, answer.text
        return dict(answer.json())

    def lose_london(self) -> None:
        """fe1 and dns1 fall silent."""
        self.control("london", "plug", up=False)

    def declare(self, pool: str = "fe1", *, lose: bool = True, words: str = "dc1 power") -> Seen:
        """Take London's power, let Rita declare, and return the approval card in the channel."""
        if lose:
            self.lose_london()
        self.rita.type(CHANNEL, f"/lync declare-disaster {pool} {words}")
        return self.rita.find("APPROVE?", channel=CHANNEL, button="Approve", limit_s=60)

    def card_of(self, who: Visitor) -> Seen:
        """The approval card in this person's direct messages."""
        return who.find("APPROVE?", dm=True, button="Approve")

    def press(self, who: Visitor, seen: Seen, label: str) -> Seen:
        """Press a button (and confirm), and return the private answer that came of it."""
        before = max((s.ts for s in who.seen() if s.message["ephemeral"]), default=who.mark)
        who.press(seen, label_of(seen, label))
        return who.find(ephemeral=True, since=before)

    def approve(self, who: Visitor | None = None) -> None:
        """Press Approve on the card in somebody's direct messages (Bo's), and wait until the channel says so."""
        who = who or self.bo
        card = self.card_of(who)
        who.press(card, label_of(card, "Approve"))
        self.rita.find("APPROVED", who.name, channel=CHANNEL)

    # --- the terminal ----------------------------------------------------------------------------------------

    def lync_dr(self, *argv: str, limit_s: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the command as an operator of this installation would."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *argv], env=self.env | env, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=limit_s, check=False,
        )  # fmt: skip

    def enroll(self, *persons: str) -> None:
        """Give persons a seed on this host."""
        for person in persons:
            if person not in self.seeds:
                self.seeds.enroll(person, PEOPLE[person][1])

    @property
    def seeds(self) -> Seeds:
        return Seeds(self.out / "state" / "seeds")

    def code(self, person: str) -> str:
        """A one-time code of an enrolled person that was not taken yet.

        The present one, so that it still counts half a minute later; the next one where the present one is spent.
        """
        seed = (self.out / "state" / "seeds" / f"{person}.seed").read_text("ascii").strip()
        spent = self.desk.spent().get(person, 0)
        wait_for(lambda: spent <= int(time.time()) // STEP_S, "the code after the next one", STEP_S + 5)
        return pyotp.TOTP(seed).generate_otp(max(spent + 1, int(time.time()) // STEP_S))

    def until(self, look: Callable[[], T], what: str, limit_s: float = 60.0) -> T:
        """As `wait_for`; a failure also tells what stands in the record of the last incident."""
        try:
            return wait_for(look, what, limit_s)
        except AssertionError as late:
            told = [f"{r.at[11:]} {r.code} {str(dict(r.body))[:160]}" for r in self.records() if r.code != "OUT001I"]
            raise AssertionError("\n".join([str(late), *told])) from None

    # --- reading ---------------------------------------------------------------------------------------------

    def calls(self) -> list[dict[str, Any]]:
        """Every state-changing call the servers saw in this test, in order: host, at, literal, outcome, …"""
        seen = [
            entry
            for host in HOSTS
            for entry in self.control(host, "log")[self._calls_before.get(host, 0) :]
            if entry["changing"]
        ]
        return sorted(seen, key=lambda entry: entry["at"])

    @property
    def desk(self) -> Desk:
        """A desk over the rehearsal's own store, with the key of its command line and its policy as it is now."""
        if self._desk is None:
            settings = load_settings(self.env)
            keys = load_keys(settings.keys)
            by = load_writer("cli", state_dir=settings.state, keys=keys)
            journal = open_journal(settings.store_url, by, keys, self.out / "reader")
            self._desk = Desk(journal, lambda: Rules(policy=load_policy(self.policy)), lambda: datetime.now(UTC))
        return self._desk

    @property
    def journal(self) -> Journal:
        return self.desk.journal

    def incident(self) -> Incident:
        """The incident that was opened last."""
        return self.desk.state(self.journal.incidents()[-1].incident)

    def records(self, incident: str = "") -> Sequence[Record]:
        """The verified records of an incident; without a name, of the one opened last."""
        return self.journal.read(incident or self.journal.incidents()[-1].incident)

    def refusals(self) -> list[str]:
        """Codes of everything refused in the last incident and, during this test, in the register."""
        outside = [r for r in self.journal.read(REGISTER) if r.seq > self._register_before]
        return [r.event.why for r in (*self.records(), *outside) if isinstance(r.event, Refused)]

    def actor(self, person: str) -> Actor:
        """The person as Slack's events show them, for commands that a test gives the desk itself."""
        user, name = PEOPLE[person]
        return Actor(
            person=person, name=name, via="slack", user=user, team="TPRACTICE",
            account=Account(team="TPRACTICE", looked_at=datetime.now(UTC)),
        )  # fmt: skip


@pytest.fixture(scope="session")
def running_rehearsal() -> Iterator[Rehearsal]:
    """The rehearsal of this test process; tests use `rehearsal`, which begins it again."""
    found = Rehearsal()
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def rehearsal(running_rehearsal: Rehearsal) -> Rehearsal:
    """A rehearsal in which nothing has happened yet."""
    running_rehearsal.begin()
    return running_rehearsal
