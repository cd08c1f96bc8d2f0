"""Two sites in memory behind the worker's door, and a short way through an incident, for the tests of the hands.

The servers play from a script through the same framing as the real ones; journal, desk, rules, playbook and door are
the product's own.
"""

from __future__ import annotations

import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.endpoints import Endpoints
from config.load import Configuration
from config.settings import Settings
from incident import commands as c
from incident.desk import Desk
from incident.doorbell import MemoryDoorbell
from incident.events import Account, Actor, CardRef, Event
from incident.journals.memory import MemoryStore
from incident.journals.signed import SignedJournal
from incident.keys import Keys, Writer
from incident.policy import Person, Policy, Rules, SlackId
from incident.state import Incident
from playbooks.estate import Estate
from playbooks.facts import DnsAnswer, DnsLook, NoAnswer, PortAnswer, PortLook
from workers.advance import advance
from workers.looking import Looker, utc_text
from workers.redact import Redactor
from workers.remote.door import CallLike
from workers.remote.scripted import Play, ScriptedRemote
from workers.results import Ending
from workers.survey import survey
from workers.tools import Own, Tools

ROOT = Path(__file__).resolve().parents[2]
TEAM = "TPRACTICE"
FE1, FE2 = "fe1.ocsguy.local", "fe2.ocsguy.local"
LOST = frozenset({FE1, "dns1.ocsguy.local"})
NONCE = "n0" * 16
CARD = CardRef(team=TEAM, channel="C0INC", ts="1.1")


def writer(name: str, kind: Any) -> Writer:
    return Writer(name, kind, Ed25519PrivateKey.generate())


BOT, CLI = writer("bot", "bot"), writer("cli", "cli")
ACT1, ACT2 = writer("act1", "worker"), writer("act2", "worker")
KEYS = Keys([BOT.public, CLI.public, ACT1.public, ACT2.public])


def estate(budget_s: int = 20, **timing: Any) -> Estate:
    """The practice estate with limits of seconds."""
    data = tomllib.loads((ROOT / "config" / "estate.practice.toml").read_text("utf-8"))
    quick = {"usual_s": [0, 30], "limit_s": 30, "verify_limit_s": 1, "poll_s": 1, **timing}
    data["timing"] = dict.fromkeys(("cms", "edge", "pool", "dns", "proof"), quick)
    data["survey"] = {**data["survey"], "budget_s": budget_s}
    return Estate.model_validate(data)


def person(key: str, *roles: str) -> Person:
    return Person(id=key, name=key.title(), roles=frozenset(roles), slack=(SlackId(team=TEAM, user=f"U{key.upper()}"),))  # type: ignore[arg-type]


POLICY = Policy(
    team=TEAM,
    home_channel="C0HOME",
    persons=(
        person("rita", "declare", "approve", "operate", "watch"),
        person("bo", "approve", "operate"),
        person("chen", "approve", "operate"),
    ),
)


def configuration(**timing: Any) -> Configuration:
    """The practice estate's files, as a process would have loaded them."""
    return Configuration(Settings(), estate(**timing), Endpoints(hosts={}), POLICY)


def who(key: str) -> Actor:
    seen = Account(team=TEAM, looked_at=datetime.now(UTC))
    return Actor(person=key, name=key.title(), via="slack", user=f"U{key.upper()}", team=TEAM, account=seen)


E = TypeVar("E", bound=Event)
Trick = Callable[["Sites", CallLike], Play]
"""What a server does instead of the ordinary thing; it may still change the sites."""


@dataclass
class Sites:
    """What the servers would answer now, and what they were told to do wrong."""

    cms: str = "fe1"
    master: str = ""
    edge: str = "fe1"
    pools: dict[str, str] = field(default_factory=lambda: {"fe1": "Active", "fe2": "Active"})
    replicas: dict[str, bool] = field(default_factory=lambda: {"edge1": True, "fe1": False, "fe2": True})
    """Server -> whether its replica of the CMS is up to date."""
    names: dict[str, set[str]] = field(default_factory=dict)
    tricks: dict[str, list[Trick]] = field(default_factory=dict)
    """Cmdlet -> what happens at its next calls, one each."""
    told: list[tuple[str, str]] = field(default_factory=list)
    """(host, cmdlet) of every call that would change something, as it arrived."""
    blind: bool = False
    """True: looks get no answer."""

    def play(self, host: str, call: CallLike) -> Play:
        """One call as the server carries it out."""
        if call.cmdlet.startswith(("Get-", "Test-")):
            if self.blind:
                return Play(refused="WinRM answers nothing")
            waiting = self.tricks.get(call.cmdlet) or []
            return waiting.pop(0)(self, call) if waiting else self._look(call)
        self.told.append((host, call.cmdlet))
        waiting = self.tricks.get(call.cmdlet) or []
        return waiting.pop(0)(self, call) if waiting else self.obey(call)

    def obey(self, call: CallLike) -> Play:
        """The ordinary thing."""
        given = dict(call.params)
        if call.cmdlet == "Invoke-CsManagementServerFailover":
            self.cms = self.master = "fe2"
        elif call.cmdlet == "Set-CsEdgeServer":
            self.edge = "fe2"
        elif call.cmdlet == "Invoke-CsPoolFailOver":
            self.pools["fe1"] = "FailedOver"
        elif call.cmdlet == "Add-DnsServerResourceRecordA":
            self.names[str(given["Name"])].add(str(given["IPv4Address"]))
        else:
            self.names[str(given["Name"])].discard(str(given["RecordData"]))
        return Play(verbose=(f"{call.cmdlet} is working",))

    def _look(self, call: CallLike) -> Play:
        given = dict(call.params)
        return {
            "Get-CsConfigurationStoreLocation": lambda: Play(
                rows=({"BackEndServer": f"{self.cms}.ocsguy.local\\RTC"},)
            ),
            "Get-CsManagementConnection": lambda: Play(rows=({"SqlServer": f"{self.cms}.ocsguy.local"},)),
            "Get-CsManagementStoreReplicationStatus": lambda: (
                Play(rows=({"ActiveMasterFqdn": f"{self.master}.ocsguy.local" if self.master else ""},))
                if "CentralManagementStoreStatus" in given
                else Play(
                    rows=[{"ReplicaFqdn": f"{n}.ocsguy.local", "UpToDate": good} for n, good in self.replicas.items()]
                )
            ),
            "Get-CsRegistrarConfiguration": lambda: Play(
                rows=[{"Identity": f"Registrar:{p}.ocsguy.local", "PoolState": s} for p, s in self.pools.items()]
            ),
            "Get-CsPoolBackupRelationship": lambda: Play(rows=({"@text": "BackupPoolFqdn : fe2.ocsguy.local"},)),
            "Get-CsWindowsService": lambda: Play(
                rows=[{"Name": n, "Status": "Running"} for n in ("RTCSRV", "LYNCBACKUP", "REPLICA", "MASTER", "FTA")]
            ),
            "Get-CsBackupServiceStatus": lambda: (
                Play(rows=({"BackupModules": ["ConfServices.DataConf:[SteadyState,NormalState]"]},))
                if given["PoolFqdn"] == FE2
                else Play(errors=("The Backup Service of the pool did not answer.",))
            ),
            "Get-CsService": lambda: (
                Play(
                    rows=(
                        {
                            "Identity": "EdgeServer:edge1.ocsguy.local",
                            "Registrar": f"Registrar:{self.edge}.ocsguy.local",
                        },
                    )
                )
                if "EdgeServer" in given
                else Play(rows=({"Identity": f"CentralManagement:{self.cms}.ocsguy.local", "Active": True},))
            ),
            "Get-CsUser": lambda: Play(count=4212),
            "Test-CsWebScheduler": lambda: Play(
                rows=({"Result": "Success" if "10.20.0.11" in self.names["meet"] else "Failure"},)
            ),
            "Test-CsRegistration": lambda: Play(
                rows=({"Result": "Success" if self.pools["fe1"] == "FailedOver" else "Failure"},)
            ),
        }[call.cmdlet]()


@dataclass(frozen=True)
class Eyes(Looker):
    """DNS and doors of the scripted sites."""

    sites: Sites = field(default_factory=Sites)
    lost: frozenset[str] = LOST

    def ask_dns(self, look: DnsLook, limit_s: float) -> DnsAnswer | NoAnswer:
        if look.server in self.lost:
            return NoAnswer(reason=f"{look.server} did not answer")
        return DnsAnswer(at=utc_text(), values=tuple(self.sites.names[look.name.split(".")[0]]), ttl=300)

    def ask_port(self, look: PortLook, limit_s: float) -> PortAnswer | NoAnswer:
        return PortAnswer(at=utc_text(), how="silent" if look.host in self.lost else "accepted")


class NoPlaces:
    """The scripted sites have no addresses."""

    def door(self, host: str) -> tuple[str, int] | None:
        return None

    def dns(self, host: str) -> tuple[str, int] | None:
        return None


class Conversation(ABC):
    """What the people say, through the bot's desk; and what one asks the record afterwards."""

    bot: Desk
    incident: str

    # --- the way to an approved plan ---

    def do(self, command: c.Command) -> tuple[Event, ...]:
        answer = self.bot.do(self.incident, command)
        assert answer.refusal is None, answer.refusal
        self.incident = answer.incident
        return answer.events

    @property
    def state(self) -> Incident:
        return self.bot.state(self.incident)

    def declared(self, pool: str = "fe1") -> Self:
        self.do(
            c.Declare(
                actor=who("rita"), playbook="declare-disaster", pool=pool, pool_fqdn=FE1, site="London", partner="fe2",
                partner_fqdn=FE2, partner_site="Leeds", users=4212, reason="dc1 power",
                raw="/lync declare-disaster fe1", channel="C0INC",
            )
        )  # fmt: skip
        return self

    def asked(self) -> Self:
        self.declared()
        self.survey()
        self.do(c.AskApproval(actor=None, nonce=NONCE))
        self.do(c.RecordCard(request=1, card=CARD))
        return self

    def approved(self) -> Self:
        self.asked()
        self.do(self.approve("bo"))
        return self

    def approve(self, person: str) -> c.Approve:
        planned = self.state.planned
        assert planned is not None
        return c.Approve(actor=who(person), request=1, nonce=NONCE, digest=planned.digest[:16], card=CARD)

    def rule(self, person: str, verdict: str, step: str, attempt: int = 1) -> None:
        self.do(c.Rule(actor=who(person), step=step, attempt=attempt, verdict=verdict, reason="seen"))  # type: ignore[arg-type]

    @abstractmethod
    def survey(self) -> None:
        """Has the estate looked at once."""

    # --- what one asks afterwards ---

    def codes(self) -> list[str]:
        return [record.code for record in self.bot.records(self.incident)]

    def events(self, kind: type[E]) -> list[E]:
        return [r.event for r in self.bot.records(self.incident) if isinstance(r.event, kind)]

    def status(self, step: str) -> str:
        found = self.state.step(step)
        assert found is not None
        return found.status


@dataclass
class World(Conversation):
    """Sites, journal and desks of one test."""

    own: Configuration = field(default_factory=lambda: configuration())
    sites: Sites = field(default_factory=Sites)
    store: MemoryStore = field(default_factory=MemoryStore)
    bell: MemoryDoorbell = field(default_factory=MemoryDoorbell)
    lost: frozenset[str] = LOST
    incident: str = ""

    def __post_init__(self) -> None:
        self.sites.names = {r.name: {"10.10.0.11"} for r in self.own.estate.dns_record}
        self.remote = ScriptedRemote(self.sites.play, dead=set(self.lost))
        self.bot = self.desk(BOT)

    def desk(self, who: Writer, policy: Policy | None = None) -> Desk:
        journal = SignedJournal(self.store, keys=KEYS, writer=who, copies=None)
        return Desk(journal, Rules(policy=policy or self.own.policy), lambda: datetime.now(UTC))

    def tools(self, who: Writer = ACT1, own: Own | None = None, **more: Any) -> Tools:
        mine = own or self.own
        return Tools(
            name=who.name,
            host="ops-leeds",
            desk=self.desk(who, mine.policy),
            bell=self.bell,
            remote=more.pop("remote", self.remote),
            looker=Eyes(self.remote, NoPlaces(), sites=self.sites, lost=self.lost),
            own=mine,
            redactor=Redactor(),
            **more,
        )

    def survey(self) -> None:
        assert survey(self.incident, self.tools(ACT2))

    def advance(self, **more: Any) -> Ending:
        return advance(self.incident, self.tools(**more))

    def sent(self, cmdlet: str = "") -> list[str]:
        return [name for _, name in self.sites.told if cmdlet in name]


__all__ = ["ACT1", "ACT2", "BOT", "CLI", "FE1", "KEYS", "POLICY", "Play", "Sites", "World", "estate", "replace", "who"]
