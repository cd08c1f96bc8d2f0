"""The estate: sites, pools, pairs, Edge pools, DNS, and how long things usually take. A value, nothing more.

The pairing rules are Microsoft's ("Deploying paired Front End pools for disaster recovery" and "Supported pool
pairing options" in the Lync Server 2013 documentation): one partner each, reciprocal, Standard with Standard and
Enterprise with Enterprise. Topology Builder does not enforce the last rule, so this model does.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """Base of every value in this room: immutable, and an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def data(self) -> Any:
        """The value as plain JSON data (no floats anywhere in this room)."""
        return self.model_dump(mode="json")


_FQDN = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,62}\Z", re.ASCII)
_SHORT = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z", re.ASCII)
_SIP = re.compile(r"sip:[a-z0-9._+-]+@[a-z0-9.-]+\Z", re.ASCII)


def is_fqdn(text: str) -> bool:
    """Whether ``text`` is a full host name in lower ASCII with at least two labels."""
    return _FQDN.match(text) is not None


def _fqdn(text: str) -> str:
    if not is_fqdn(text):
        raise ValueError(f"expected a full host name in lower case such as fe1.example.com, found {text!r}")
    return text


def _short(text: str) -> str:
    if not _SHORT.match(text):
        raise ValueError(f"expected a short name of lower letters, digits and '-', found {text!r}")
    return text


def is_ipv4(text: str) -> bool:
    """Whether ``text`` is an IPv4 address in its usual form."""
    try:
        return str(ipaddress.IPv4Address(text)) == text
    except ValueError:
        return False


def _ipv4(text: str) -> str:
    if not is_ipv4(text):
        raise ValueError(f"expected an IPv4 address such as 10.0.0.5, found {text!r}")
    return text


def _sip(text: str) -> str:
    if not _SIP.match(text):
        raise ValueError(f"expected a lower-case SIP address such as sip:probe@example.com, found {text!r}")
    return text


Fqdn = Annotated[str, AfterValidator(_fqdn)]
Short = Annotated[str, AfterValidator(_short)]
IPv4 = Annotated[str, AfterValidator(_ipv4)]
SipAddress = Annotated[str, AfterValidator(_sip)]
Seconds = Annotated[int, Field(strict=True, ge=1, le=86_400)]


class Site(Frozen):
    """A data centre: what is lost together."""

    name: Annotated[str, Field(min_length=1, max_length=40)]


class Pool(Frozen):
    """A Front End pool. For Standard Edition the pool name is the server's name and SQL is on the same machine."""

    name: Short
    fqdn: Fqdn
    site: str
    edition: Literal["SE", "EE"]
    ip: IPv4
    users: Annotated[int, Field(strict=True, ge=0)]
    sql_fqdn: Fqdn = ""
    sql_instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9_$-]{1,16}$")] = "RTC"
    front_end: Fqdn = ""
    needs: tuple[str, ...] = ("RTCSRV", "LYNCBACKUP", "REPLICA")
    needs_for_cms: tuple[str, ...] = ("MASTER", "FTA")

    @model_validator(mode="before")
    @classmethod
    def _standard_edition_is_one_machine(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("edition") == "SE":
            for key in ("sql_fqdn", "front_end"):
                given = {**given, key: given.get(key) or given.get("fqdn", "")}
        return given

    @model_validator(mode="after")
    def _enterprise_names_its_machines(self) -> Pool:
        if not self.sql_fqdn or not self.front_end:
            raise ValueError(
                f"pool {self.name} is Enterprise Edition: give sql_fqdn (the SQL server of its Central Management "
                "Store) and front_end (the Front End on which its cmdlets run)"
            )
        return self


class Pair(Frozen):
    """Two pools, each the other's backup. The order of the two names means nothing."""

    pools: tuple[Short, Short]
    rto_s: Seconds = 900
    ask_person: bool = False

    @property
    def name(self) -> str:
        """Stable name of the pair, for example ``fe1-fe2``."""
        return "-".join(sorted(self.pools))


class EdgePool(Frozen):
    """An Edge pool and the Front End pool it hands internal SIP to when all is well."""

    name: Short
    fqdn: Fqdn
    site: str
    next_hop: Short


class DnsServer(Frozen):
    """An authoritative DNS server we may change, by its own remote-management endpoint."""

    name: Short
    fqdn: Fqdn
    site: str


class DnsRecord(Frozen):
    """A name users type, and the values it should have while each pool serves it. ``ttl_s`` is what we write."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    zone: Fqdn
    type: Literal["A", "CNAME"] = "A"
    values: Mapping[Short, tuple[str, ...]]
    ttl_s: Seconds = 300
    servers: tuple[Short, ...] = ()
    key: Short = ""

    @model_validator(mode="before")
    @classmethod
    def _key_is_the_name(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("key"):
            given = {**given, "key": str(given.get("name", "")).replace("_", "-").strip("-")}
        return given

    @model_validator(mode="after")
    def _values_fit_the_type(self) -> DnsRecord:
        for pool, values in self.values.items():
            if not values or len(set(values)) != len(values):
                raise ValueError(f"record {self.name}: give each value for {pool} once, and at least one")
            if self.type == "CNAME" and len(values) != 1:
                raise ValueError(f"record {self.name} is a CNAME: it can have one value for {pool}, not {len(values)}")
            for value in values:
                _ipv4(value) if self.type == "A" else _fqdn(value)
        return self

    @property
    def fqdn(self) -> str:
        """The full name asked of a resolver."""
        return f"{self.name}.{self.zone}"


class TestUser(Frozen):
    """A health-monitoring user homed on ``pool``; only such a user signing in through the partner proves anything."""

    __test__ = False  # the name is the product's own word; pytest must not collect it

    pool: Short
    sip: SipAddress
    credential: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_-]{0,40})?$")] = ""


class Timing(Frozen):
    """How long one kind of step usually takes, and when we stop waiting. Seconds, whole."""

    usual_s: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
    limit_s: Seconds
    verify_limit_s: Seconds
    poll_s: Seconds = 10

    @model_validator(mode="after")
    def _a_range_that_fits_the_limit(self) -> Timing:
        low, high = self.usual_s
        if low > high or high > self.limit_s:
            raise ValueError(f"usual_s {low}–{high} must be a rising range that ends before limit_s {self.limit_s}")
        return self


class Timings(Frozen):
    """Defaults from Microsoft's targets: CMS 5 min, pool failover 15–20 min, Edge replication 2–3 min."""

    cms: Timing = Timing(usual_s=(60, 300), limit_s=900, verify_limit_s=300)
    edge: Timing = Timing(usual_s=(2, 15), limit_s=120, verify_limit_s=120, poll_s=5)
    pool: Timing = Timing(usual_s=(60, 1200), limit_s=3600, verify_limit_s=300)
    dns: Timing = Timing(usual_s=(0, 3), limit_s=60, verify_limit_s=30, poll_s=2)
    proof: Timing = Timing(usual_s=(5, 10), limit_s=90, verify_limit_s=180, poll_s=10)


class Survey(Frozen):
    """One look at the estate: its total budget, and how a single question is bounded inside it; and the one thing that
    is watched beside a run. Seconds."""

    budget_s: Seconds = 20
    dns_s: Seconds = 3
    port_s: Seconds = 3
    replicas_s: Seconds = 900
    """How long the replicas of the CMS are watched after it moved."""


class Estate(Frozen):
    """What exists. Read with ``config.load.load_estate``; every rule that can be broken answers with a sentence."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    site: tuple[Site, ...]
    pool: tuple[Pool, ...]
    pair: tuple[Pair, ...]
    edge: tuple[EdgePool, ...] = ()
    dns_server: tuple[DnsServer, ...] = ()
    dns_record: tuple[DnsRecord, ...] = ()
    test_user: tuple[TestUser, ...] = ()
    cms_home: Short
    timing: Timings = Timings()
    survey: Survey = Survey()

    @model_validator(mode="after")
    def _rules(self) -> Estate:
        for rule in (_names_are_distinct, _names_exist, _pairs_are_lawful, _records_are_whole):
            rule(self)
        return self

    def find_pool(self, text: str) -> Pool | None:
        """The pool called ``text`` by short name or FQDN, forgiving about case only."""
        wanted = text.strip().casefold()
        return next((p for p in self.pool if wanted in (p.name, p.fqdn)), None)

    def suggestions(self, text: str) -> tuple[str, ...]:
        """Short names close to ``text``, nearest first; all when none is near. Text to show, never to act on."""
        names = [p.name for p in self.pool]
        near = difflib.get_close_matches(text.strip().casefold().split(".")[0], names, n=3, cutoff=0.5)
        return tuple(near or names[:8])

    def the_pool(self, name: str) -> Pool:
        """The pool with this short name; the caller knows that it exists."""
        return next(p for p in self.pool if p.name == name)

    def pair_of(self, name: str) -> Pair | None:
        """The pair that pool ``name`` belongs to, or None when it has no partner."""
        return next((p for p in self.pair if name in p.pools), None)

    def partner_of(self, name: str) -> Pool | None:
        """The other pool of the pair."""
        pair = self.pair_of(name)
        if pair is None:
            return None
        return self.the_pool(pair.pools[1] if pair.pools[0] == name else pair.pools[0])

    def servers_of(self, record: DnsRecord) -> tuple[DnsServer, ...]:
        """The DNS servers that hold ``record``: those it names, else all."""
        return tuple(s for s in self.dns_server if not record.servers or s.name in record.servers)

    def records_of(self, pair: Pair) -> tuple[DnsRecord, ...]:
        """The records that move between the two pools of ``pair``."""
        return tuple(r for r in self.dns_record if set(pair.pools) <= set(r.values))

    def pool_at(self, host: str) -> Pool | None:
        """The pool whose name, Front End or SQL server is ``host``: servers answer with any of the three."""
        wanted = host.strip().casefold().rstrip(".")
        return next((p for p in self.pool if wanted in (p.fqdn, p.front_end, p.sql_fqdn, p.name)), None)

    def slice_of(self, pair: Pair) -> dict[str, Any]:
        """What of the estate a plan for ``pair`` leans on, as JSON data: the digest covers this and nothing else."""
        pools = [p for p in self.pool if p.name in pair.pools]
        sites = {p.site for p in pools}
        return {
            "cms_home": self.cms_home,
            "dns_record": [r.data() for r in self.records_of(pair)],
            "dns_server": [s.data() for s in self.dns_server],
            "edge": [e.data() for e in self.edge],
            "pair": pair.data(),
            "pool": [p.data() for p in pools],
            "site": [s.data() for s in self.site if s.name in sites],
            "test_user": [u.data() for u in self.test_user if u.pool in pair.pools],
            "timing": self.timing.data(),
        }


def _twice(names: Sequence[str]) -> str | None:
    return next((n for i, n in enumerate(names) if n in names[:i]), None)


def _hosts(estate: Estate) -> tuple[Pool | EdgePool | DnsServer, ...]:
    return (*estate.pool, *estate.edge, *estate.dns_server)


def _names_are_distinct(estate: Estate) -> None:
    every = _hosts(estate)
    hosts = [h.name for h in every]
    fqdns = [h.fqdn for h in every]
    for what, names in (("site", [s.name for s in estate.site]), ("name", hosts), ("host name", fqdns)):
        if again := _twice(names):
            raise ValueError(f"the {what} {again!r} is declared twice; each may stand in the file once")


def _names_exist(estate: Estate) -> None:
    sites, pools = {s.name for s in estate.site}, {p.name for p in estate.pool}
    for host in _hosts(estate):
        if host.site not in sites:
            raise ValueError(f"{host.name} is in site {host.site!r}, which is not declared; sites: {sorted(sites)}")
    used = [("cms_home", estate.cms_home)]
    used += [(f"edge {e.name} next_hop", e.next_hop) for e in estate.edge]
    used += [(f"test_user {u.sip}", u.pool) for u in estate.test_user]
    used += [(f"dns_record {r.name} values", p) for r in estate.dns_record for p in r.values]
    used += [("pair", p) for pair in estate.pair for p in pair.pools]
    for where, pool in used:
        if pool not in pools:
            raise ValueError(f"{where} names pool {pool!r}, which is not declared; pools: {sorted(pools)}")


def _pairs_are_lawful(estate: Estate) -> None:
    seen: dict[str, Pair] = {}
    for pair in estate.pair:
        first, second = pair.pools
        if first == second:
            raise ValueError(f"pool {first} is paired with itself; a pair is two different pools")
        if pair.name in {p.name for p in seen.values()}:
            raise ValueError(
                f"the pair {first} and {second} is declared twice; a pair is reciprocal, so one declaration says both"
            )
        for name in pair.pools:
            if name in seen:
                raise ValueError(
                    f"pool {name} is in two pairs ({' and '.join(seen[name].pools)}, {first} and {second}); "
                    "a pool has one partner"
                )
            seen[name] = pair
        one, two = estate.the_pool(first), estate.the_pool(second)
        if one.edition != two.edition:
            raise ValueError(
                f"{first} is {one.edition} and {second} is {two.edition}; only like with like is supported: "
                "Standard with Standard, Enterprise with Enterprise"
            )


def _records_are_whole(estate: Estate) -> None:
    servers = {s.name for s in estate.dns_server}
    if again := _twice([r.key for r in estate.dns_record]):
        raise ValueError(f"two dns_record entries are called {again!r}; give one of them a key of its own")
    for record in estate.dns_record:
        for name in record.servers:
            if name not in servers:
                raise ValueError(f"dns_record {record.name} names server {name!r}, which is not declared")
        if not any(set(p.pools) <= set(record.values) for p in estate.pair):
            raise ValueError(
                f"dns_record {record.name} must give values for both pools of a pair; it gives {sorted(record.values)}"
            )
        before, after = next(
            (record.values[p.pools[0]], record.values[p.pools[1]])
            for p in estate.pair
            if set(p.pools) <= set(record.values)
        )
        if set(before) & set(after):
            raise ValueError(f"dns_record {record.name} has a value that belongs to both pools; nothing would move")
