"""A short way through an incident for the tests of the rules: people, a plan of four steps, and a play that folds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from incident import commands as c
from incident.commands import Command, Refusal
from incident.decide import decide
from incident.events import Account, Actor, CardRef, Event, Planned, Surveyed
from incident.fold import apply
from incident.plans import literal_of
from incident.policy import ConfigDigests, Person, Policy, Rules, SlackId
from incident.state import Incident

TEAM = "TPRACTICE"
T1 = datetime(2026, 11, 22, 3, 7, 12, tzinfo=UTC)
LOOKED = T1 + timedelta(seconds=70)
"""When Slack was asked about an account, where a test does not say: good for a vote up to a minute later."""
DIGESTS = ConfigDigests(estate="e" * 64, endpoints="d" * 64, policy="c" * 64, playbook="b" * 64)
NONCE = "n0" * 16


def person(key: str, *roles: str, order: int = 100, **more: Any) -> Person:
    more.setdefault("slack", (SlackId(team=TEAM, user=f"U{key.upper()}"),))
    more.setdefault("name", {"rita": "Rita Berg", "bo": "Bo Lund", "chen": "Chen Wu", "dana": "Dana Ito"}.get(key, key))
    return Person(id=key, roles=frozenset(roles), order=order, **more)


RITA = person(
    "rita",
    "declare", "approve", "operate", "watch",
    order=4,
    slack=(SlackId(team=TEAM, user="URITA"), SlackId(team=TEAM, user="URITA2")),
)  # fmt: skip
BO = person("bo", "approve", "operate", order=1, mobile="+44 1")
CHEN = person("chen", "approve", "operate", order=2, mobile="+44 2")
DANA = person("dana", "approve", "operate", "audit", "declare", order=3)
WATCHER = person("wim", "watch")
POLICY = Policy(team=TEAM, home_channel="C0HOME", persons=(RITA, BO, CHEN, DANA, WATCHER))
RULES = Rules(policy=POLICY, digests={"fe1": DIGESTS, "fe2": DIGESTS})


def account(**more: Any) -> Account:
    return Account(team=TEAM, **more)


def who(user: str, *, via: str = "slack", team: str = TEAM, step: int | None = None, **more: Any) -> Actor:
    """Somebody as Slack shows them; `more` goes to the account."""
    seen = account(**{"looked_at": LOOKED, **more}) if via == "slack" else None
    key = user.removeprefix("U").lower() if via == "slack" else user
    return Actor(person=key, name=key.title(), via=via, user=user if via == "slack" else "", team=team, account=seen,
                 code_step=step)  # fmt: skip


def call(cmdlet: str) -> dict[str, Any]:
    return {"cmdlet": cmdlet, "params": [["PoolFqdn", "fe1.ocsguy.local"]], "want": []}


def step(key: str, effect: str, cmdlet: str, title: str, on_failure: str = "stop") -> dict[str, Any]:
    return {
        "id": key,
        "part": key.split(".")[0],
        "title": title,
        "host": "fe2.ocsguy.local",
        "effect": effect,
        "act": call(cmdlet),
        "on_failure": on_failure,
        "previous": ["10.1.0.1"] if key[:3] == "dns" else [],
    }


PLAN = {
    "pool": "fe1",
    "steps": [
        step("cms", "once", "Invoke-CsManagementServerFailover", "CMS to fe2"),
        step("pool", "once", "Invoke-CsPoolFailOver", "Pool failover, disaster mode"),
        step("dns.meet.dns2", "converge", "Add-DnsServerResourceRecordA", "meet on dns2", "degraded"),
        step("proof.signin", "observe", "Test-CsRegistration", "Sign-in"),
    ],
}
DIGEST = "7f" * 32


def planned(digest: str = DIGEST, level: str = "green", **more: Any) -> Planned:
    words = ("amber", "fossil", "tango", "nine")
    return Planned(plan=PLAN, digest=digest, words=words, short="7K2M9Q", level=level, **more)


def surveyed(at: datetime) -> Surveyed:
    began = at - timedelta(seconds=5)
    seen = {"at": "2026-11-22T03:07:20.000Z", "from": "fe2"}
    facts = {"pool_state.fe1": {"value": "Active", **seen}, "answers.fe1.worker": {"value": False, **seen}}
    return Surveyed(facts=facts, began=began, ended=at, digests=DIGESTS, host="w2")


DECLARE = c.Declare(
    actor=who("URITA"),
    playbook="declare-disaster",
    pool="fe1",
    pool_fqdn="fe1.ocsguy.local",
    site="London",
    partner="fe2",
    partner_fqdn="fe2.ocsguy.local",
    partner_site="Leeds",
    users=4212,
    reason="dc1 power",
    raw="/lync declare-disaster fe1",
    channel="C0INC",
)
CARD = CardRef(team=TEAM, channel="C0INC", ts="1.1")
DM = CardRef(team=TEAM, channel="D0BO", ts="2.2", person="bo")


@dataclass(frozen=True)
class Rec:
    """A record as far as the fold looks at it."""

    incident: str
    seq: int
    h: str
    when: datetime
    event: Event


@dataclass
class Play:
    """One incident played: each command decided, each event folded, at a time that is told."""

    rules: Rules = RULES
    now: datetime = T1
    state: Incident | None = None
    records: list[Rec] = field(default_factory=list)
    refusal: Refusal | None = None

    def after(self, seconds: float) -> Play:
        self.now += timedelta(seconds=seconds)
        return self

    def take(self, *events: Event) -> None:
        for event in events:
            seq = len(self.records) + 1
            record = Rec("20261122-fe1-a", seq, f"{seq:064x}", self.now, event)
            self.records.append(record)
            self.state = apply(self.state, record)

    def do(self, command: Command) -> tuple[Event, ...] | Refusal:
        """Decides and records; a refusal's record and events too."""
        answer = decide(self.state, command, self.rules, self.now)
        self.refusal = answer if isinstance(answer, Refusal) else None
        if isinstance(answer, Refusal):
            if self.state is not None:
                self.take(*([answer.record] if answer.record else []), *answer.events)
        else:
            self.take(*answer)
        return answer

    def done(self, command: Command) -> tuple[Event, ...]:
        answer = self.do(command)
        assert not isinstance(answer, Refusal), answer
        return answer

    def refused(self, command: Command) -> Refusal:
        answer = self.do(command)
        assert isinstance(answer, Refusal), answer
        return answer

    @property
    def s(self) -> Incident:
        assert self.state is not None
        return self.state

    # --- chapters ---

    def declared(self) -> Play:
        self.done(DECLARE)
        return self

    def asked(self, level: str = "green") -> Play:
        """Declared, looked at, asked, both cards posted, 20 s after T1."""
        self.declared().after(20)
        self.done(c.RecordSurvey(events=(surveyed(self.now), planned(level=level))))
        self.done(c.AskApproval(actor=None, nonce=NONCE))
        self.done(c.RecordCard(request=1, card=CARD))
        self.done(c.RecordCard(request=1, card=DM))
        return self

    def approve(self, user: str = "UBO", **more: Any) -> c.Approve:
        command = c.Approve(actor=who(user, looked_at=self.now), request=1, nonce=NONCE, digest=DIGEST[:16], card=CARD)
        return replace(command, **more)

    def approved(self, level: str = "green") -> Play:
        self.asked(level).after(60)
        if level == "red":
            self.done(c.SayStillDisaster(actor=who("URITA"), request=1, nonce=NONCE, card=CARD))
        self.done(self.approve(card=DM, typed="FE1" if level == "red" else None))
        return self

    def started(self) -> Play:
        self.approved().after(1)
        self.done(c.TakeHand(host="w2", worker="act-1"))
        self.done(c.StartRun(epoch=1, digest=DIGEST, digests=DIGESTS))
        return self

    def begin(self, key: str, epoch: int = 1) -> c.BeginCall:
        found = self.s.step(key)
        assert found is not None
        act = found.plan["act"]
        return c.BeginCall(epoch, key, 1, found.host, literal_of(act), act, found.plan["effect"])

    def end(self, key: str, result: str = "done", epoch: int = 1, attempt: int = 1, red: tuple[str, ...] = ()) -> Any:
        return c.EndCall(epoch, key, attempt, 1, result, f"{key}: {result}.", red=red, took_ms=1000)  # type: ignore[arg-type]

    def carry_out(self, key: str, seconds: float = 60) -> Play:
        self.done(self.begin(key))
        self.after(seconds).done(self.end(key))
        self.after(1).done(c.VerifyStep(1, key, "read back", 1000))
        return self

    def failed(self, key: str, result: str, begun: str, epoch: int = 1) -> Play:
        """Begun, ended so, and read back as not so."""
        self.done(self.begin(key, epoch))
        attempt = self.s.step(key).attempts[-1].number  # type: ignore[union-attr]
        red = ("Edge next hop still fe1",) if result == "red" else ()
        self.after(5).done(self.end(key, result, epoch, attempt, red))
        self.done(c.FailStep(epoch, key, "not so", "fe1 Active", begun))  # type: ignore[arg-type]
        return self

    def rule(self, user: str, verdict: str, key: str = "cms", attempt: int = 1) -> c.Rule:
        return c.Rule(actor=who(user), step=key, attempt=attempt, verdict=verdict, reason="looked")  # type: ignore[arg-type]

    def recovered(self) -> Play:
        """The whole honest way until the bot closes it."""
        self.started()
        for key in ("cms", "pool", "dns.meet.dns2"):
            self.after(1).carry_out(key)
        self.after(5).done(c.VerifyStep(1, "proof.signin", "signed in", 5000))
        self.done(c.Prove(1, "test user signed in"))
        self.after(1).done(c.EndRun(1, "complete"))
        self.done(c.Close(actor=None))
        return self
