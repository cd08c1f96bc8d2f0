"""What we look at, and what we then know: looks are questions as data, facts are answers with their source.

A fact is *known* (value, when, from whom) or *unknown* (why). Nothing here asks anything: a worker puts the looks to
the servers and hands the answers to ``read``. Property names come from the cmdlet reference where it documents them;
the rest are read leniently, so that a version which calls a property differently yields *unknown*, not a wrong fact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, TypeAdapter

from playbooks.catalogue import Call, call, explain
from playbooks.estate import DnsRecord, Estate, Frozen, Pool

FactValue = StrictBool | StrictInt | StrictStr | tuple[StrictStr, ...]
NONE = "none"
"""Value of a "who" fact when the servers answered that it is nobody, for example no active CMS master."""
HERE = "worker"
"""The place from which the surveying worker itself looks."""
RUNNING_PLAINLY = ("Active", "FailedBack")
"""PoolStates in which a pool serves its own users (Set-CsRegistrarConfiguration documents four states in all)."""


class Known(Frozen):
    """A fact with its value, the time it was read (RFC 3339, UTC) and where from."""

    kind: Literal["known"] = "known"
    value: FactValue
    at: str
    source: str


class Unknown(Frozen):
    """A fact nobody could tell, and why, as a sentence part."""

    kind: Literal["unknown"] = "unknown"
    reason: str


Fact = Annotated[Known | Unknown, Field(discriminator="kind")]
_FACT: TypeAdapter[Known | Unknown] = TypeAdapter(Fact)


def known(value: FactValue, at: str, source: str) -> Known:
    """A known fact."""
    return Known(value=value, at=at, source=source)


def unknown(reason: str) -> Unknown:
    """An unknown fact."""
    return Unknown(reason=reason)


class Facts(Mapping[str, Known | Unknown]):
    """Facts by id. Asking for one that was never looked at answers *unknown*, so no playbook can trip over it."""

    __slots__ = ("_facts",)

    def __init__(self, facts: Mapping[str, Known | Unknown] | None = None) -> None:
        self._facts = dict(sorted((facts or {}).items()))

    def __getitem__(self, fact: str) -> Known | Unknown:
        return self._facts.get(fact, Unknown(reason="it was not looked at"))

    def __contains__(self, fact: object) -> bool:
        return fact in self._facts

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and self._facts == other._facts

    def __hash__(self) -> int:
        return hash(tuple(self._facts.items()))

    def __repr__(self) -> str:
        return f"Facts({self._facts!r})"

    def value(self, fact: str) -> FactValue | None:
        """The value when known, else None."""
        found = self[fact]
        return found.value if isinstance(found, Known) else None

    def text(self, fact: str) -> str | None:
        """The value when known and text, else None."""
        found = self.value(fact)
        return found if isinstance(found, str) else None

    def names(self, fact: str) -> tuple[str, ...] | None:
        """The value when known and a list of texts, else None."""
        found = self.value(fact)
        return found if isinstance(found, tuple) else None

    def why(self, fact: str) -> str:
        """Why the fact is unknown; empty when it is known."""
        found = self[fact]
        return found.reason if isinstance(found, Unknown) else ""

    def having(self, more: Mapping[str, Known | Unknown]) -> Facts:
        """These facts with ``more`` laid over them."""
        return Facts({**self._facts, **more})

    def data(self) -> dict[str, Any]:
        """Plain JSON data, as the journal keeps it."""
        return {name: fact.data() for name, fact in self._facts.items()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Facts:
        """Facts from what ``data`` gave; anything else is an error."""
        return cls({name: _FACT.validate_python(fact) for name, fact in data.items()})


# Looks: questions, each read-only by construction (a call look holds a catalogue call of effect "observe").


class CallLook(Frozen):
    """One read-only cmdlet on ``host``, and the facts its answer feeds."""

    kind: Literal["call"] = "call"
    host: str
    call: Call
    feeds: tuple[str, ...]

    def model_post_init(self, _context: Any) -> None:
        """Refuse a look that would change something."""
        if self.call.entry.effect != "observe":
            raise ValueError(f"a look may only observe; {self.call.cmdlet} is {self.call.entry.effect}")

    @property
    def id(self) -> str:
        """Names the look among the answers."""
        return f"call {self.host} {self.call.literal}"


class DnsLook(Frozen):
    """One DNS question put to one server (over UDP, then TCP), never to the system's resolver."""

    kind: Literal["dns"] = "dns"
    server: str
    name: str
    type: Literal["A", "CNAME"]
    feeds: tuple[str, ...]

    @property
    def id(self) -> str:
        """Names the look among the answers."""
        return f"dns {self.server} {self.name} {self.type}"


class PortLook(Frozen):
    """Whether a TCP connection to the host's remote-management door is taken up."""

    kind: Literal["port"] = "port"
    host: str
    door: Literal["winrm"] = "winrm"
    feeds: tuple[str, ...]

    @property
    def id(self) -> str:
        """Names the look among the answers."""
        return f"port {self.host} {self.door}"


class SampleLook(Frozen):
    """When the backup of ``pool`` was last seen good, and when the pool last answered at all, from the samples this
    installation keeps. No server is asked."""

    kind: Literal["sample"] = "sample"
    pool: str
    feeds: tuple[str, ...]

    @property
    def id(self) -> str:
        """Names the look among the answers."""
        return f"sample {self.pool}"


Look = Annotated[CallLook | DnsLook | PortLook | SampleLook, Field(discriminator="kind")]
AnyLook = CallLook | DnsLook | PortLook | SampleLook


class CallAnswer(Frozen):
    """The objects a cmdlet returned (properties wanted, by name), how many they were, and the red texts beside them."""

    kind: Literal["call"] = "call"
    at: str
    rows: tuple[dict[str, Any], ...] = ()
    errors: tuple[str, ...] = ()
    count: StrictInt = 0


class DnsAnswer(Frozen):
    """Values of the name, and its TTL in seconds; no values when the server says that the name does not exist."""

    kind: Literal["dns"] = "dns"
    at: str
    values: tuple[str, ...] = ()
    ttl: StrictInt | None = None


class PortAnswer(Frozen):
    """How the connection ended. A refusal is an answer too: a lost machine does not refuse."""

    kind: Literal["port"] = "port"
    at: str
    how: Literal["accepted", "refused", "silent", "unreachable"]


class SampleAnswer(Frozen):
    """The last time the backup was seen good, and the last time the pool was seen to answer (RFC 3339, UTC); None
    where no sample says so."""

    kind: Literal["sample"] = "sample"
    at: str
    good_at: str | None = None
    last_answer: str | None = None


class NoAnswer(Frozen):
    """The look did not come back in its time, or could not be asked; ``reason`` is a sentence part. ``denied``: the
    host turned our account away, which it counts as a failed logon."""

    kind: Literal["none"] = "none"
    reason: str
    denied: StrictBool = False


Answer = Annotated[CallAnswer | DnsAnswer | PortAnswer | SampleAnswer | NoAnswer, Field(discriminator="kind")]
AnyAnswer = CallAnswer | DnsAnswer | PortAnswer | SampleAnswer | NoAnswer


# The looks themselves. Each maker serves the survey and the probes of the plan's steps.


def scp_look(host: str) -> CallLook:
    """Where Active Directory says the CMS is. Reads no CMS, so it answers when the CMS is dead."""
    return CallLook(
        host=host, call=call("Get-CsConfigurationStoreLocation", "BackEndServer", "@text"), feeds=("cms.scp",)
    )


def master_look(host: str) -> CallLook:
    """Which pool runs the active CMS master; empty means that the CMS is unavailable (Failing over a pool, step 3)."""
    asked = call(
        "Get-CsManagementStoreReplicationStatus",
        "ActiveMasterFqdn",
        "ActiveFileTransferAgentFqdn",
        CentralManagementStoreStatus=True,
    )
    return CallLook(host=host, call=asked, feeds=("cms.master",))


def replicas_look(host: str) -> CallLook:
    """Whether each server's replica of the CMS is up to date, one object a server. Feeds no fact: no step asks."""
    return CallLook(host=host, call=call("Get-CsManagementStoreReplicationStatus", "ReplicaFqdn", "UpToDate"), feeds=())


def registrar_look(host: str, pools: Iterable[str], *, local: bool) -> CallLook:
    """PoolState of ``pools``. ``local`` reads the server's own replica: answers without the CMS, but may lag."""
    params = {"LocalStore": True} if local else {}
    asked = call("Get-CsRegistrarConfiguration", "Identity", "PoolState", **params)
    return CallLook(host=host, call=asked, feeds=tuple(f"pool_state.{p}" for p in pools))


def edge_look(host: str, edges: Iterable[str]) -> CallLook:
    """The next hop of every Edge pool, from the topology. Needs a live CMS."""
    asked = call("Get-CsService", "Identity", "Registrar", EdgeServer=True)
    return CallLook(host=host, call=asked, feeds=tuple(f"edge.{e}" for e in edges))


def dns_look(server: str, name: str, record: DnsRecord) -> DnsLook:
    """``record`` as the DNS server ``name`` (reached as host ``server``) answers it."""
    feeds = (f"dns.{record.key}.{name}", f"dns_ttl.{record.key}.{name}")
    return DnsLook(server=server, name=record.fqdn, type=record.type, feeds=feeds)


def signin_look(host: str, pool: Pool, target: Pool, sip: str) -> CallLook:
    """Whether a user homed on ``pool`` signs in through ``target``; a user of the target would prove nothing."""
    asked = call(
        "Test-CsRegistration",
        "TargetFqdn",
        "Result",
        "Error",
        "Diagnosis",
        TargetFqdn=target.fqdn,
        UserSipAddress=sip,
    )
    return CallLook(host=host, call=asked, feeds=(f"signin.{pool.name}",))


def meeting_look(host: str, target: Pool) -> CallLook:
    """Whether the meeting page answers through ``target``. A failed transaction is a result, not red text."""
    asked = call("Test-CsWebScheduler", "Result", "Error", "Diagnosis", TargetFqdn=target.fqdn)
    return CallLook(host=host, call=asked, feeds=(f"meeting.{target.name}",))


def looks(estate: Estate, pool: str) -> tuple[AnyLook, ...]:
    """Everything one survey asks before ``pool`` is failed over: from the surviving side, and whether it answers.

    Calls to one host stand together, in the order in which they are to be asked in one go: first the views that work
    while the CMS is dead, last those that may hang on it, so that a spent budget costs only what could hang anyway.
    """
    partner = estate.partner_of(pool)
    pair = estate.pair_of(pool)
    if partner is None or pair is None:
        return ()
    named, host = estate.the_pool(pool), partner.front_end
    asked: list[AnyLook] = [
        PortLook(host=named.front_end, feeds=(f"answers.{named.name}.{HERE}",)),
        PortLook(host=host, feeds=(f"answers.{partner.name}.{HERE}",)),
        *(PortLook(host=s.fqdn, feeds=(f"answers.{s.name}.{HERE}",)) for s in estate.dns_server),
        SampleLook(pool=named.name, feeds=(f"backup_good_at.{named.name}", f"last_answer.{named.name}")),
        scp_look(host),
        registrar_look(host, (named.name, partner.name), local=True),
        CallLook(
            host=host,
            call=call("Get-CsPoolBackupRelationship", "@text", PoolFqdn=named.fqdn, LocalStore=True),
            feeds=(f"backup_pool.{named.name}",),
        ),
        CallLook(
            host=host,
            call=call("Get-CsWindowsService", "Name", "Status", ExcludeActivityLevel=True),
            feeds=(f"services.{partner.name}", f"services_cms.{partner.name}"),
        ),
        _backup_look(host, partner, (f"backup.{partner.name}",)),
        CallLook(
            host=host,
            call=call("Get-CsManagementConnection", "SqlServer", "@text"),
            feeds=("cms.connection",),
        ),
        master_look(host),
        CallLook(
            host=host,
            call=call("Get-CsService", "Identity", "PoolFqdn", "Active", CentralManagement=True),
            feeds=("cms.service",),
        ),
        *((edge_look(host, (e.name for e in estate.edge)),) if estate.edge else ()),
        _backup_look(
            host,
            named,
            (f"backup.{named.name}", f"backup_good_at.{named.name}", f"answers.{named.name}.{partner.name}"),
        ),
        CallLook(
            host=host,
            call=call("Get-CsUser", "@count", Filter=f"RegistrarPool -eq '{named.fqdn}'"),
            feeds=(f"users.{named.name}",),
        ),
    ]
    for record in estate.records_of(pair):
        asked += [dns_look(s.fqdn, s.name, record) for s in estate.servers_of(record)]
    return tuple(asked)


def _backup_look(host: str, pool: Pool, feeds: tuple[str, ...]) -> CallLook:
    modules = ("BackupModules.Identity", "BackupModules.ExportStatus", "BackupModules.ImportStatus")
    want = ("BackupModules", *modules)
    return CallLook(host=host, call=call("Get-CsBackupServiceStatus", *want, PoolFqdn=pool.fqdn), feeds=feeds)


def sample_looks(estate: Estate) -> tuple[AnyLook, ...]:
    """The backup status of every paired pool, each asked on its own server: what is worth knowing every minute while
    all is well, since a lost pool can no longer be asked."""
    paired = [pool for pool in estate.pool if estate.pair_of(pool.name)]
    return tuple(_backup_look(pool.front_end, pool, (f"backup.{pool.name}",)) for pool in paired)


def good_backups(estate: Estate, facts: Facts) -> dict[str, str]:
    """Pools whose backup was good in these samples, and when: the pool exports without backlog, and its partner
    imports. Whoever keeps samples keeps the newest of each pool and answers a ``SampleLook`` with it."""
    good: dict[str, str] = {}
    for pool in estate.pool:
        partner, fact = estate.partner_of(pool.name), facts[f"backup.{pool.name}"]
        if partner is None or not isinstance(fact, Known) or not isinstance(fact.value, tuple):
            continue
        imports = facts.names(f"backup.{partner.name}") or ()
        if imports and all(m.endswith("/NormalState") for m in imports) and not backup_faults(fact.value):
            good[pool.name] = fact.at
    return good


def batches(asked: Iterable[AnyLook]) -> dict[str, tuple[CallLook, ...]]:
    """The calls among ``asked`` by host, in order: each host's are put in one start of the runner."""
    by_host: dict[str, list[CallLook]] = {}
    for look in asked:
        if isinstance(look, CallLook):
            by_host.setdefault(look.host, []).append(look)
    return {host: tuple(calls) for host, calls in by_host.items()}


def feeding(asked: Iterable[AnyLook], facts: Iterable[str]) -> tuple[AnyLook, ...]:
    """Those looks which feed at least one of ``facts``: all that has to be asked to know just these again."""
    wanted = set(facts)
    return tuple(look for look in asked if wanted & set(look.feeds))


# Reading answers. Pure: the same answers always give the same facts.


def read_facts(estate: Estate, pool: str, answers: Mapping[str, AnyAnswer]) -> Facts:
    """The facts of a survey of ``pool``; a look without an answer is *unknown*, never an error."""
    facts = read(estate, looks(estate, pool), answers)
    named = estate.find_pool(pool)
    if named is None or isinstance(facts[f"users.{named.name}"], Known):
        return facts
    at = max((f.at for f in facts.values() if isinstance(f, Known)), default="")
    return facts.having({f"users.{named.name}": known(named.users, at, "estate file")})


def read(estate: Estate, asked: Iterable[AnyLook], answers: Mapping[str, AnyAnswer]) -> Facts:
    """The facts that ``answers`` give to ``asked``. Where two looks feed one fact, the later known answer wins."""
    facts: dict[str, Known | Unknown] = {}
    for look in asked:
        answer = answers.get(look.id) or NoAnswer(reason="it was not answered within the look")
        for name, fact in _facts_of(estate, look, answer).items():
            if isinstance(fact, Known) or not isinstance(facts.get(name), Known):
                facts[name] = fact
    return Facts(facts)


def _facts_of(estate: Estate, look: AnyLook, answer: AnyAnswer) -> dict[str, Known | Unknown]:
    if isinstance(answer, NoAnswer):
        return {name: unknown(answer.reason) for name in look.feeds}
    if isinstance(look, CallLook) and isinstance(answer, CallAnswer):
        return _of_call(estate, look, answer)
    if isinstance(look, DnsLook) and isinstance(answer, DnsAnswer):
        source = f"DNS at {look.server}"
        values = tuple(sorted({v.strip().rstrip(".").lower() for v in answer.values}))
        ttl = known(answer.ttl, answer.at, source) if answer.ttl is not None else unknown("the name has no record")
        return {look.feeds[0]: known(values, answer.at, source), look.feeds[1]: ttl}
    if isinstance(look, PortLook) and isinstance(answer, PortAnswer):
        # Refused counts as answering: something alive sent that refusal, and a lost site sends nothing.
        alive = answer.how in ("accepted", "refused")
        return {look.feeds[0]: known(alive, answer.at, f"TCP to {look.host}, {answer.how}")}
    if isinstance(look, SampleLook) and isinstance(answer, SampleAnswer):
        source, told = "samples kept by this installation", (answer.good_at, answer.last_answer)
        none = unknown("no sample kept by this installation says so")
        return {n: none if v is None else known(v, v, source) for n, v in zip(look.feeds, told, strict=False)}
    return {name: unknown("the answer was of another kind than the question") for name in look.feeds}


def _of_call(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, Known | Unknown]:
    source = f"{look.call.cmdlet} on {look.host}"
    values: dict[str, FactValue]
    try:
        values = _READERS[look.call.cmdlet](estate, look, answer)
    except (TypeError, ValueError, AttributeError, KeyError):
        # A product version that answers in another shape: nothing is known, and nothing crashes at 3 a.m.
        values = {}
    why = _why_not(look, answer)
    return {n: known(values[n], answer.at, source) if n in values else unknown(why) for n in look.feeds}


def _why_not(look: CallLook, answer: CallAnswer) -> str:
    if not answer.errors:
        return f"{look.call.cmdlet} on {look.host} gave no usable answer"
    meaning = explain(look.call.cmdlet, answer.errors[0])
    said = meaning.means if meaning.known else f"it answered in red: {' '.join(answer.errors[0].split())[:120]}"
    return f"{look.call.cmdlet} on {look.host}: {said}"


_HOSTS = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]+", re.ASCII | re.IGNORECASE)


def _hosts(row: Mapping[str, Any]) -> list[str]:
    """Every host name in the row, in order, in lower case."""
    return [host.lower() for value in row.values() if isinstance(value, str) for host in _HOSTS.findall(value)]


def _who(estate: Estate, text: str) -> str:
    """The pool behind a host name or ``host\\instance``, by short name; else the host itself in lower case."""
    host = re.split(r"[\\/,;]", text.strip().lower(), maxsplit=1)[0].removeprefix("centralmanagement:")
    host = host.removeprefix("registrar:")
    pool = estate.pool_at(host)
    return pool.name if pool else host


def _cms_by_text(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, FactValue]:
    hosts = [host for row in answer.rows for host in _hosts(row)]
    # Beside the server a formatted object may hold other dotted names, so one of our own machines goes first.
    ours = [h for h in hosts if estate.pool_at(h)]
    return {look.feeds[0]: _who(estate, (ours or hosts)[0])} if hosts else {}


def _cms_master(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, FactValue]:
    for row in answer.rows:
        if "ActiveMasterFqdn" in row:
            return {"cms.master": _who(estate, str(row["ActiveMasterFqdn"] or "")) or NONE}
    # Red text that the CMS cannot be reached is an answer too: no master is active.
    if any(explain(look.call.cmdlet, text).code == "CMS_UNREACHABLE" for text in answer.errors):
        return {"cms.master": NONE}
    return {}


def replicas_of(estate: Estate, answer: AnyAnswer) -> tuple[tuple[tuple[str, str, bool], ...], str]:
    """Of each replica its server, the short name of the server's pool (empty where the estate knows none) and whether
    it is up to date; or why that is not known."""
    if isinstance(answer, NoAnswer):
        return (), answer.reason
    if not isinstance(answer, CallAnswer) or answer.errors:
        return (), answer.errors[0] if isinstance(answer, CallAnswer) else "the answer is of another kind"
    found = []
    for row in answer.rows:
        fqdn = str(row.get("ReplicaFqdn") or "").strip().rstrip(".").lower()
        if fqdn:
            pool = estate.pool_at(fqdn)
            found.append((fqdn, pool.name if pool else "", row.get("UpToDate") in (True, "True", "true")))
    return tuple(sorted(found)), "" if found else "no replica was named"


def _service(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, FactValue]:
    if look.feeds == ("cms.service",):
        active = [_who(estate, str(r["Identity"])) for r in answer.rows if r.get("Active") in (True, "True", "true")]
        if not answer.rows:
            return {}
        return {"cms.service": "+".join(sorted(active)) or NONE}
    found: dict[str, FactValue] = {}
    for row in answer.rows:
        host = str(row["Identity"]).lower().removeprefix("edgeserver:")
        edge = next((e for e in estate.edge if e.fqdn == host), None)
        if edge and row.get("Registrar"):
            found[f"edge.{edge.name}"] = _who(estate, str(row["Registrar"]))
    return found


def _pool_states(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, FactValue]:
    states = {str(r["Identity"]).lower(): str(r["PoolState"]) for r in answer.rows if r.get("PoolState")}
    found: dict[str, FactValue] = {}
    for feed in look.feeds:
        pool = estate.the_pool(feed.removeprefix("pool_state."))
        # Without a setting of its own a pool has the global one (Get-CsRegistrarConfiguration).
        state = next((s for i, s in states.items() if i.endswith(f"registrar:{pool.fqdn}")), states.get("global"))
        if state:
            found[feed] = state
    return found


def _backup_pool(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, FactValue]:
    asked = str(dict(look.call.params)["PoolFqdn"])
    # The property's name is not documented: the first host name that is not the one asked for is the partner.
    others = [
        host for row in answer.rows for host in _hosts(row) if host != asked and not host.startswith("microsoft.")
    ]
    return {look.feeds[0]: _who(estate, others[0])} if others else {}


def _services(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, FactValue]:
    pool = estate.the_pool(look.feeds[0].removeprefix("services."))
    running = {str(r["Name"]).upper(): str(r.get("Status")) in ("Running", "4") for r in answer.rows}
    if not running:
        return {}
    found: dict[str, FactValue] = {}
    for feed, needed in zip(look.feeds, (pool.needs, pool.needs_for_cms), strict=True):
        stopped = [n for n in needed if not running.get(n.upper(), True)]
        absent = [f"{n} (not listed)" for n in needed if n.upper() not in running]
        found[feed] = tuple(stopped + absent)
    return found


def _modules(row: Mapping[str, Any]) -> list[str]:
    """Module states as ``name=export/import``, from the three wanted columns or from the objects' own text."""
    columns = [row.get(f"BackupModules.{column}") for column in ("Identity", "ExportStatus", "ImportStatus")]
    if all(isinstance(c, list | tuple) and c for c in columns):
        return [f"{name}={export}/{imported}" for name, export, imported in zip(*columns, strict=True)]
    pattern = r"\s*([\w.]+)\s*:\s*\[\s*(\w+)\s*,\s*(\w+)\s*\]\s*"
    found = [re.fullmatch(pattern, str(item)) for item in row.get("BackupModules") or ()]
    return ["{}={}/{}".format(*match.groups()) for match in found if match]


def _backup(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, FactValue]:
    modules = [module for row in answer.rows for module in _modules(row)]
    if not modules:
        return {}
    values: dict[str, FactValue] = {look.feeds[0]: tuple(sorted(modules))}
    for feed in look.feeds[1:]:
        if feed.startswith("answers."):
            values[feed] = True
        elif not backup_faults(modules):
            values[feed] = answer.at
    return values


def _users(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, FactValue]:
    return {} if answer.errors else {look.feeds[0]: answer.count}


def backup_faults(modules: Iterable[str]) -> tuple[str, ...]:
    """Backup modules that are not as wished, from a ``backup.<pool>`` fact.

    Good is export Final or Steady and import Normal; ``CentralMgmt.CMSMaster`` stays NotInitialized on the side that
    is not the CMS master ("What does the status reported by Get-CsBackupServiceStatus mean", blogs.technet, jenstr).
    """
    faults = []
    for module in modules:
        name, _, states = module.partition("=")
        export, _, imported = states.partition("/")
        quiet = name.startswith("CentralMgmt") and export == "NotInitialized"
        if imported != "NormalState" or not (quiet or export in ("FinalState", "SteadyState")):
            faults.append(module)
    return tuple(faults)


def _result(estate: Estate, look: CallLook, answer: CallAnswer) -> dict[str, FactValue]:
    for row in answer.rows:
        if row.get("Result"):
            return {look.feeds[0]: str(row["Result"])}
    return {}


_READERS: Mapping[str, Callable[[Estate, CallLook, CallAnswer], dict[str, FactValue]]] = {
    "Get-CsConfigurationStoreLocation": _cms_by_text,
    "Get-CsManagementConnection": _cms_by_text,
    "Get-CsManagementStoreReplicationStatus": _cms_master,
    "Get-CsService": _service,
    "Get-CsRegistrarConfiguration": _pool_states,
    "Get-CsPoolBackupRelationship": _backup_pool,
    "Get-CsWindowsService": _services,
    "Get-CsBackupServiceStatus": _backup,
    "Get-CsUser": _users,
    "Test-CsRegistration": _result,
    "Test-CsWebScheduler": _result,
}


_TITLES = (
    (r"cms\.scp", "the CMS by Active Directory"),
    (r"cms\.master", "the active CMS master"),
    (r"cms\.service", "the active CMS by the topology"),
    (r"cms\.connection", "the CMS this server uses"),
    (r"pool_state\.(.+)", "PoolState of {0}"),
    (r"backup_pool\.(.+)", "the backup pool of {0}"),
    (r"services\.(.+)", "services not running on {0}"),
    (r"services_cms\.(.+)", "CMS services not running on {0}"),
    (r"backup\.(.+)", "backup status of {0}"),
    (r"backup_good_at\.(.+)", "the last good backup of {0}"),
    (r"last_answer\.(.+)", "the last answer of {0} to a sample"),
    (r"edge\.(.+)", "next hop of {0}"),
    (r"dns\.(.+)\.([^.]+)", "{0} on {1}"),
    (r"dns_ttl\.(.+)\.([^.]+)", "TTL of {0} on {1}"),
    (r"users\.(.+)", "users of {0}"),
    (r"answers\.(.+)\.worker", "whether {0} answers us"),
    (r"answers\.(.+)\.([^.]+)", "whether {0} answers {1}"),
    (r"signin\.(.+)", "sign-in of a {0} user"),
    (r"meeting\.(.+)", "the meeting page on {0}"),
)


def title(fact: str) -> str:
    """The fact in words: ``pool_state.fe2`` is "PoolState of fe2"."""
    for pattern, words in _TITLES:
        if found := re.fullmatch(pattern, fact):
            return words.format(*found.groups())
    return fact
