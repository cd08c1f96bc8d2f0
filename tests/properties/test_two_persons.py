"""Whatever is asked, pressed, changed, lost or started again, in whatever order: no call that changes something goes
out without two persons who had the right, at least one of whom, not the asker, approved exactly that plan.

Rules, desk, journal in a real store, signatures, copies and hands are the product's own; the servers play from a
script. Time is a value that the machine moves. The judge is `tests/properties/oracle.py`, which knows none of it.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from config.load import Configuration
from incident import commands as c
from incident.codes import reason_code
from incident.copies import Copies
from incident.decide import decide
from incident.desk import Answer, Desk
from incident.doorbell import MemoryDoorbell
from incident.events import Account, Actor, CardRef, Event, Intent, RunStarted, Voided, Voted
from incident.journals.redis import RedisStore, connect
from incident.journals.signed import SignedJournal
from incident.keys import Keys, Writer
from incident.policy import Person, Policy, Rules, SlackId
from incident.state import Incident
from tests.properties.oracle import Broken, Sent, Truth, judge
from tests.workers import world
from workers.advance import advance
from workers.redact import Redactor
from workers.remote.door import Answer as Said
from workers.remote.door import CallLike, Deadline, RunId
from workers.remote.launch import prepare
from workers.remote.scripted import Play, ScriptedRemote
from workers.survey import survey
from workers.tools import Tools

NIGHT = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)
TEAM = world.TEAM
CARDS = (CardRef(team=TEAM, channel="C0INC", ts="1.1"), CardRef(team=TEAM, channel="D0BO", ts="2.1", person="bo"))
NO_CARD = CardRef(team=TEAM, channel="C0GEN", ts="9.9")
HUMANS = {
    "URITA": "rita", "URITA2": "rita", "UDANA": "dana", "UBO": "bo", "UCHEN": "chen", "UWIM": "wim", "UOLAF": "olaf",
}  # fmt: skip
ROLES: Mapping[str, frozenset[Any]] = {
    "rita": frozenset({"declare", "approve", "operate"}), "dana": frozenset({"declare", "operate"}),
    "bo": frozenset({"approve", "operate"}), "chen": frozenset({"approve", "operate"}), "wim": frozenset({"watch"}),
}  # fmt: skip
EDITIONS = {
    "cms already moved": lambda sites: setattr(sites, "cms", "fe2"),
    "edge already moved": lambda sites: setattr(sites, "edge", "fe2"),
    "as it was": lambda sites: (setattr(sites, "cms", "fe1"), setattr(sites, "edge", "fe1")),
    "partner failed over": lambda sites: sites.pools.update(fe2="FailedOver"),
    "partner back": lambda sites: sites.pools.update(fe2="Active"),
}


class Crash(BaseException):
    """The power went."""


# --- the world ------------------------------------------------------------------------------------------------


class Clock:
    """The time of everybody."""

    def __init__(self) -> None:
        self.now = NIGHT

    def __call__(self) -> datetime:
        return self.now

    def moves(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Recording(ScriptedRemote):
    """Keeps the bytes of every start of the runner, and how much stood in the record at that moment."""

    heard: list[Sent] = field(default_factory=list)
    stands: Callable[[], int] = lambda: 0
    clock: Callable[[], datetime] = lambda: NIGHT

    def run(self, host: str, call: CallLike, run: RunId, *more: Any) -> Said:
        self.heard.append(Sent(self.stands(), host, prepare(run, (call,)).stdin))
        return super().run(host, call, run, *more)

    def run_many(self, host: str, calls: Any, run: RunId, deadline: Deadline, *more: Any) -> tuple[Said, ...]:
        self.heard.append(Sent(self.stands(), host, prepare(run, tuple(calls)).stdin))
        return super().run_many(host, calls, run, deadline, *more)


def policy_of(roles: Mapping[str, frozenset[Any]], *, two_ids_one_person: bool = True) -> Policy:
    """The policy file; with its one deadly mistake where a human has two entries."""
    accounts: dict[str, list[str]] = {}
    for user, human in HUMANS.items():
        accounts.setdefault(human, []).append(user)
    if not two_ids_one_person:
        accounts["rita"].remove("URITA2")
        accounts["rita-b"] = ["URITA2"]
        roles = {**roles, "rita-b": frozenset({"approve"})}
    persons = tuple(
        Person(id=one, name=one.title(), roles=held, slack=tuple(SlackId(team=TEAM, user=u) for u in accounts[one]))
        for one, held in roles.items()
    )
    return Policy(team=TEAM, home_channel="C0HOME", persons=persons)


class Careless(Desk):
    """A desk whose rules miss a check: what they refuse for one of these reasons is written all the same."""

    forgives: frozenset[str] = frozenset()
    keeps_questions = False
    """True: a new plan does not void the question about the old one."""

    def do(self, incident: str, command: c.Command, *, take: Any = (), give: Any = ()) -> Answer:
        """As the desk does, but for what is forgiven."""
        if not self.forgives and not self.keeps_questions:
            return super().do(incident, command, take=take, give=give)
        state = self.state(incident)
        decided = decide(state, command, self.rules, self.clock())
        events: tuple[Event, ...] = ()
        if isinstance(decided, c.Refusal) and decided.code in self.forgives:
            events = _instead(state, command, self.rules.policy, self.clock())
        elif self.keeps_questions and not isinstance(decided, c.Refusal):
            kept = tuple(e for e in decided if not isinstance(e, Voided))
            events = kept if kept != decided else ()
        if not events:
            return super().do(incident, command, take=take, give=give)
        epoch = getattr(command, "epoch", None)
        self.journal.append(self.journal.head(incident), events, epoch=epoch, take=take, give=give)
        return Answer(incident, self.state(incident), events)


def _instead(state: Incident, command: c.Command, policy: Policy, now: datetime) -> tuple[Event, ...]:
    request = state.request
    assert request is not None
    if isinstance(command, c.Approve):
        person = policy.by_slack(command.actor.team, command.actor.user)
        actor = command.actor.model_copy(update={"person": person.id if person else None})
        done = len({v.person for v in request.votes} | {actor.person}) >= request.others_needed
        ends = now + policy.execution_window if done else None
        return (Voted(actor=actor, request=request.number, digest=request.digest, nonce=request.nonce,
                      card=command.card, completes=done, window_ends=ends),)  # fmt: skip
    if isinstance(command, c.StartRun):
        return (RunStarted(request=request.number, digest=request.digest),)
    if isinstance(command, c.BeginCall):
        step = state.step(command.step)
        attempt = len(step.attempts) + 1 if step else 1
        same = {key: getattr(command, key) for key in ("step", "call_no", "host", "literal", "call", "effect", "epoch")}
        return (Intent(attempt=attempt, **same),)
    return ()


# --- the machine ----------------------------------------------------------------------------------------------

USERS = st.sampled_from(["UBO", "UBO", "UCHEN", "UCHEN", "URITA", "URITA2", "UDANA", "UWIM", "UOLAF"])
TEMPTATIONS = ("own request", "second account", "too late", "another plan", "no longer allowed")


class Night(RuleBasedStateMachine):
    """One incident, everybody pressing everything, and two hands at work."""

    url: ClassVar[str]
    sent: ClassVar[int]
    """State-changing calls that went out, over all nights."""
    bot_forgives: ClassVar[frozenset[str]] = frozenset()
    hands_forgive: ClassVar[frozenset[str]] = frozenset()
    keeps_questions: ClassVar[bool] = False
    reads_policy: ClassVar[bool] = True
    one_entry_a_human: ClassVar[bool] = True
    tempted: ClassVar[str] = ""
    """The temptation every night begins with; empty: whichever comes."""

    def __init__(self) -> None:
        super().__init__()
        self.raw: Any = redis.Redis.from_url(self.url)
        self.raw.flushdb()
        self.clock = Clock()
        self.folder = Path(tempfile.mkdtemp(prefix="ld-night-"))
        names = {"bot": "bot", "act1": "worker", "act2": "worker"}
        base = {name: world.writer(name, kind) for name, kind in names.items()}
        self.keys = Keys([one.public for one in base.values()])
        self.writers: dict[str, Writer] = {name: replace(one, now=self.clock) for name, one in base.items()}
        self.sites = world.Sites()
        self.bell = MemoryDoorbell()
        whole = world.estate(usual_s=[0, 1], limit_s=2, verify_limit_s=1, poll_s=1)
        self.estate = whole.model_copy(update={"dns_record": whole.dns_record[:1]})
        self.sites.names = {r.name: {"10.10.0.11"} for r in self.estate.dns_record}
        self.remote = Recording(self.play, dead=set(world.LOST), stands=self.standing, clock=self.clock)
        self.slow = 0.0
        self.roles = dict(ROLES)
        self.truth = Truth(HUMANS, [(0, dict(ROLES))])
        self.policies = dict.fromkeys(("bot", "worker"), policy_of(ROLES, two_ids_one_person=self.one_entry_a_human))
        self.incident = ""
        self.nonces = 0
        self.restart()

    def teardown(self) -> None:
        """Every night ends with a ring, so that whatever stands approved is begun; then all of it is judged."""
        try:
            if self.incident:
                if self.state.request is not None:
                    # As a bot does whom Slack does not answer: without it no late start is even tried.
                    self.says(c.Recheck(self.state.request.number, {}))
                self.hand("act1", True, 0, "")
                type(self).sent += self.judged()
        finally:
            self.raw.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def desk(self, name: str) -> Desk:
        store = RedisStore(connect(self.url), where="the night's store")
        copies = Copies(self.folder / name)
        journal = SignedJournal(store, keys=self.keys, writer=self.writers[name], copies=copies)
        kind = "bot" if name == "bot" else "worker"
        desk = Careless(journal, lambda: Rules(policy=self.policies[kind]), self.clock)
        desk.forgives = self.bot_forgives if kind == "bot" else self.hands_forgive
        desk.keeps_questions = self.keeps_questions
        return desk

    def tools(self, name: str, fresh: bool = True) -> Tools:
        own = Configuration(world.Settings(), self.estate, world.Endpoints(hosts={}), self.policies["worker"])
        return Tools(
            name=name, host=f"host-of-{name}", desk=self.desks[name], bell=self.bell, remote=self.remote,
            looker=world.Eyes(self.remote, world.NoPlaces(), sites=self.sites), own=own, redactor=Redactor(),
            fresh_s=3600.0 if fresh else 0.0, keys=self.keys, sign=self.writers[name].sign,
        )  # fmt: skip

    def play(self, host: str, call: CallLike) -> Play:
        """What a server does; a slow one takes time that is everybody's."""
        if self.slow and call.cmdlet.startswith(("Get-", "Test-")):
            self.clock.moves(self.slow)
            self.slow = 0.0
        return self.sites.play(host, call)

    def lines(self) -> list[bytes]:
        return [fields[b"l"] for _, fields in self.raw.xrange(f"lync-dr:journal:{self.incident}")]

    def standing(self) -> int:
        return int(self.raw.xlen(f"lync-dr:journal:{self.incident}"))

    def judged(self) -> int:
        return judge(self.lines(), self.remote.heard, self.truth) if self.incident else 0

    @property
    def state(self) -> Incident:
        return self.desks["bot"].state(self.incident)

    def who(self, user: str, **flags: Any) -> Actor:
        deleted = user in self.truth.gone
        seen = Account(team=TEAM, looked_at=self.clock(), **{"deleted": deleted, **flags})
        return Actor(person=None, name=user, via="slack", user=user, team=TEAM, account=seen)

    def says(self, command: c.Command) -> Answer:
        return self.desks["bot"].do(self.incident, command)

    # --- what happens ---

    @initialize(
        asker=st.sampled_from(["URITA", "URITA", "UDANA"]), first=st.sampled_from(["", "", "honest", *TEMPTATIONS])
    )
    def declared(self, asker: str, first: str = "") -> None:
        """Every night begins with a declaration, a look and a card, and most soon have a tap."""
        declare = c.Declare(
            actor=self.who(asker), playbook="declare-disaster", pool="fe1", pool_fqdn=world.FE1, site="London",
            partner="fe2", partner_fqdn=world.FE2, partner_site="Leeds", users=4212, reason="dc1 power",
            raw="/lync declare-disaster fe1", channel="C0INC",
        )  # fmt: skip
        self.incident = self.desks["bot"].declare(declare).incident
        survey(self.incident, self.tools("act2"))
        self.ask(None)
        first = self.tempted or first
        if first == "honest":
            self.tap("UBO")
        elif first:
            self.temptation(first, "UBO")

    @rule(user=USERS, trick=st.sampled_from(["", "", "", "", "old card", "copy", "guest"]), card=st.sampled_from(CARDS))
    def click(self, user: str, trick: str, card: CardRef) -> None:
        """A tap; now and then on an old card, on a copy, or by a guest."""
        requests = self.state.requests
        if requests:
            request = requests[0] if trick == "old card" else requests[-1]
            where = NO_CARD if trick == "copy" else card
            actor = self.who(user, guest=trick == "guest")
            self.says(c.Approve(actor, request.number, request.nonce, request.digest[:16], where))

    @rule(user=st.sampled_from(["UBO", "UCHEN"]))
    def tap(self, user: str) -> None:
        """What most taps are like."""
        request = self.state.request
        if request is not None:
            self.says(c.Approve(self.who(user), request.number, request.nonce, request.digest[:16], CARDS[0]))

    @rule(kind=st.sampled_from(TEMPTATIONS), user=st.sampled_from(["UBO", "UCHEN"]))
    def temptation(self, kind: str, user: str) -> None:
        """A tap at just the wrong moment, or by just the wrong person."""
        if kind in ("own request", "second account"):
            user = "URITA" if kind == "own request" else "URITA2"
        elif kind == "too late":
            self.clock.moves(601)
        elif kind == "another plan":
            edition = "edge already moved" if self.sites.edge == "fe1" else "as it was"
            self.the_estate_changes(edition, True)
        else:
            self.a_right_is_taken_away(HUMANS[user], ("bot", "worker"))
        self.tap(user)

    @rule(
        name=st.sampled_from(["act1", "act2"]),
        fresh=st.booleans(),
        slow=st.sampled_from([0, 0, 0, 301.0]),
        trouble=st.sampled_from(["", "", "", "", "crash", "cut", "red"]),
    )
    def hand(self, name: str, fresh: bool, slow: float, trouble: str) -> None:
        """A bell rings; now and then the hand dies while a call is out, or the call goes wrong."""
        self.slow = slow
        self.sites.tricks = {"Invoke-CsPoolFailOver": [TROUBLE[trouble]]} if trouble else {}
        try:
            advance(self.incident, self.tools(name, fresh))
        except Crash:
            self.desks[name] = self.desk(name)
        self.slow = 0.0
        self.judged()

    @rule(seconds=st.sampled_from([10, 61, 240, 301, 601]), tick=st.booleans())
    def time_passes(self, seconds: int, tick: bool) -> None:
        self.clock.moves(seconds)
        if tick:
            self.says(c.Tick())

    @rule(edition=st.sampled_from([*EDITIONS]), looked=st.sampled_from([True, True, False]))
    def the_estate_changes(self, edition: str, looked: bool) -> None:
        EDITIONS[edition](self.sites)
        if looked:
            survey(self.incident, self.tools("act2"))

    @rule(user=st.none() | USERS)
    def ask(self, user: str | None) -> None:
        self.nonces += 1
        self.says(c.AskApproval(self.who(user) if user else None, f"nonce-{self.nonces}" * 4, again=user is not None))
        request = self.state.request
        for card in CARDS:
            if request is not None and card not in request.cards:
                self.says(c.RecordCard(request.number, card))

    @rule(
        human=st.sampled_from(["bo", "chen", "rita"]),
        hosts=st.sampled_from([("bot", "worker"), ("bot", "worker"), ("bot",), ("worker",)]),
    )
    def a_right_is_taken_away(self, human: str, hosts: tuple[str, ...]) -> None:
        """The policy file changes; on some hosts later or never."""
        self.roles[human] = self.roles[human] - {"approve"}
        self.truth.rights.append((self.standing(), dict(self.roles)))
        if self.reads_policy:
            changed = policy_of(self.roles, two_ids_one_person=self.one_entry_a_human)
            self.policies.update(dict.fromkeys(hosts, changed))

    @rule(user=USERS, what=st.sampled_from(["restart", "recheck", "gone", "go on", "retry", "skip", "stop", "decline"]))
    def something_else(self, user: str, what: str) -> None:
        """What happens less often."""
        request, step = self.state.request, self.state.waiting_step
        if what == "restart":
            self.restart()
        elif what == "gone":
            self.truth.gone.setdefault(user, self.standing())
        elif what in ("stop", "go on"):
            self.says(c.Stop(self.who(user)) if what == "stop" else c.GoOn(self.who(user)))
        elif what in ("retry", "skip") and step is not None and step.failure is not None:
            for one in (user, "URITA", "UBO"):
                self.says(c.Rule(self.who(one), step.id, step.failure.attempt, what))  # type: ignore[arg-type]
        elif what == "decline" and user == "UCHEN" and request is not None:
            self.says(c.Decline(self.who(user), request.number, request.nonce, CARDS[0]))
        elif what == "recheck" and request is not None:
            accounts = {HUMANS[u]: self.who(u).account for u in ("URITA", "UDANA", "UBO", "UCHEN")}
            self.says(c.Recheck(request.number, accounts))  # type: ignore[arg-type]

    def restart(self) -> None:
        """Every process starts again, with what its host has on disk."""
        self.desks = {name: self.desk(name) for name in self.writers}


def _crash(sites: world.Sites, call: CallLike) -> Play:
    raise Crash


def _cut(sites: world.Sites, call: CallLike) -> Play:
    return replace(sites.obey(call), cut=True)


def _red(sites: world.Sites, call: CallLike) -> Play:
    return replace(sites.obey(call), errors=("It was refused, and done.",))


TROUBLE = {"crash": _crash, "cut": _cut, "red": _red}


# --- the tests ------------------------------------------------------------------------------------------------


def search(machine: type[Night], url: str, nights: int, steps: int, *, shrink: bool = True) -> int:
    """Plays nights; the seed is in the message of whatever is found. Returns how many changing calls went out."""
    number = int(os.environ.get("LYNC_DR_SEED") or random.SystemRandom().randrange(2**32))
    made = seed(number)(type(machine.__name__, (machine,), {"url": url, "sent": 0}))
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    budget = settings(
        max_examples=nights, stateful_step_count=steps, deadline=None, database=None, phases=phases,
        suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip
    try:
        run_state_machine_as_test(made, settings=budget)
    except BaseException as found:
        found.add_note(f"To play the same nights again: LYNC_DR_SEED={number}")
        raise
    return made.sent


def test_an_honest_night_reaches_the_servers(store: str) -> None:
    """So that the search below is not about nights in which nothing could have gone wrong."""
    made = type("Honest", (Night,), {"url": store, "sent": 0})
    night = made()
    try:
        night.declared("URITA", "honest")
    finally:
        night.teardown()
    assert made.sent > 2


def test_no_order_of_things_starts_anything_without_two_persons(store: str) -> None:
    search(Night, store, nights=30, steps=12)


@pytest.mark.all
@pytest.mark.timeout(900)
def test_no_order_of_things_starts_anything_without_two_persons_in_a_thousand_nights(store: str) -> None:
    assert search(Night, store, nights=1000, steps=40) > 200


BAD = reason_code("approval_bad", "run")


class SelfVote(Night):
    """The asker's own click counts."""

    tempted = "own request"
    bot_forgives = frozenset({reason_code("self", "approve")})
    hands_forgive = frozenset({BAD})


class TwoIds(Night):
    """One human stands in the policy twice."""

    tempted = "second account"
    one_entry_a_human = False


class OldDigest(Night):
    """A new plan leaves the old question open, and nobody compares the digest."""

    tempted = "another plan"
    keeps_questions = True
    hands_forgive = frozenset({reason_code("digest", "run")})


class Expired(Night):
    """An expired question takes votes."""

    tempted = "too late"
    bot_forgives = frozenset({reason_code("expired", "approve")})
    hands_forgive = frozenset({BAD})


class RightRevoked(Night):
    """No process ever reads the policy again."""

    tempted = "no longer allowed"
    reads_policy = False


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (SelfVote, "is the asker"),
        (TwoIds, "URITA2? is the asker"),
        (OldDigest, "another one than the one approved"),
        (Expired, "expired|the question was lapsed"),
        (RightRevoked, "had lost the right"),
    ],
    ids=["self-vote", "two ids of one person", "old digest", "expired", "revoked"],
)
def test_a_planted_fault_is_found(store: str, fault: type[Night], says: str) -> None:
    with pytest.raises(Broken, match=says):
        search(fault, store, nights=60, steps=6, shrink=False)
