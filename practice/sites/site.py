"""One Lync site: its databases, replicas, services and users, and its knowledge of the partner.

Everything here is what this site itself has or was told. When the partner goes silent, nothing of the partner's
is known any more than what was told before.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from practice.host.callbook import stamp
from practice.sites.store import ConfigStore, Replica, Report
from practice.sites.world import World

#: Backup modules of a Lync Server 2013 pool (Invoke-CsBackupServiceSync).
MODULES = ("UserServices.PresenceFocus", "ConfServices.DataConf", "CentralMgmt.CMSMaster")
_SERVICES = [
    "FTA",
    "LYNCBACKUP",
    "MASTER",
    "REPLICA",
    "RTCASMCU",
    "RTCAVMCU",
    "RTCCAA",
    "RTCCAS",
    "RTCCPS",
    "RTCCLSAGT",
    "RTCDATAMCU",
    "RTCHA",
    "RTCIMMCU",
    "RTCMEDSRV",
    "RTCRGS",
    "RTCSRV",
    "RTCXMPPTGW",
    "W3SVC",
]


class Silent(Exception):
    """The partner did not answer."""


class CmsDead(Exception):
    """The Central Management Store cannot be read. `str()` is the host of its SQL instance."""


class Link(Protocol):
    """The way to the partner site."""

    @property
    def alive(self) -> bool:
        """Did the partner answer of late?"""

    def ask(self, kind: str, **body: Any) -> dict[str, Any]:
        """One question; raises `Silent` when no answer comes."""


class Site:
    """State of one site. Thread-safe: cmdlets, the link and the control page come from threads of their own."""

    def __init__(
        self,
        world: World,
        name: str,
        durations: Mapping[str, float],
        link: Link,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.world = world
        self.place = world.place(name)
        self.partner = world.other(self.place)
        self.link = link
        self.lock = threading.RLock()
        self._durations = durations
        self._clock = clock
        self.begin()

    def begin(self, version: int = 1) -> None:
        """Everything as it was built. A later beginning has a higher `version`, so that it wins over what the partner
        remembers of the directory."""
        world = self.world
        with self.lock:
            # Active Directory is replicated between the sites; the copy with the higher version wins.
            self.directory: dict[str, Any] = {"scp": world.cms, "version": version}
            self.database = ConfigStore(
                revision=100,
                master=world.cms,
                edges=dict(world.edges),
                pool_state={p.pool: "Active" for p in world.places},
            )
            self.offered: ConfigStore | None = None
            own = (self.place.pool, *self.place.edges)
            self.replicas = {fqdn: Replica(self.database.copy()) for fqdn in own}
            known = [p.pool for p in world.places] + [e for p in world.places for e in p.edges]
            self.reports = {fqdn: Report(100, stamp()) for fqdn in known}
            self.services = dict.fromkeys(_SERVICES, "Running")
            self.serving = {self.place.pool}
            self.test_users = dict(world.test_users)
            self.backup_overrides: dict[str, tuple[str, str]] = {}
            self.backup_good_at = stamp()
            self.extra_cms_flags: set[str] = set()
            self.paired = world.paired

    # The Central Management Store, wherever it is

    @property
    def hosts_cms(self) -> bool:
        return bool(self.directory["scp"] == self.place.pool)

    def configuration(self) -> ConfigStore:
        """The live store; raises `CmsDead` when the site that hosts it does not answer."""
        with self.lock:
            if self.hosts_cms:
                return self.database.copy()
        try:
            answer = self.link.ask("cms.read")
        except Silent:
            raise CmsDead(str(self.directory["scp"])) from None
        return ConfigStore.read(answer["store"])

    def write(self, **change: Any) -> None:
        """Change the live store; raises `CmsDead` likewise."""
        with self.lock:
            if self.hosts_cms:
                self.database.write(change)
                return
        try:
            self.link.ask("cms.write", change=change)
        except Silent:
            raise CmsDead(str(self.directory["scp"])) from None

    def local_store(self) -> ConfigStore:
        """The Front End's own replica: readable always, and maybe old."""
        with self.lock:
            return self.replicas[self.place.pool].store.copy()

    def take_cms(self) -> None:
        """The first half of a CMS failover: the service connection point names this site, no master runs yet."""
        with self.lock:
            if not self.hosts_cms:
                self.directory = {"scp": self.place.pool, "version": self.directory["version"] + 1}
            self.database.write({"master": ""})

    def start_master(self) -> None:
        """The second half: the Master Replicator and File Transfer Agent run here."""
        with self.lock:
            self.database.write({"master": self.place.pool})

    # Users and services

    def serve(self, pool: str, on: bool) -> None:
        with self.lock:
            (self.serving.add if on else self.serving.discard)(pool)

    def registers(self, pool: str) -> bool:
        """Can users homed on `pool` sign in on this Front End?"""
        with self.lock:
            return pool in self.serving and self.services["RTCSRV"] == "Running"

    def backup_status(self) -> list[dict[str, str]]:
        """Modules of this site's pool: export to the partner, import from it."""
        with self.lock:
            running = self.services["LYNCBACKUP"] == "Running"
            good = running and self.link.alive
            rows = []
            for module in MODULES:
                export, imported = self.backup_overrides.get(
                    module,
                    ("SteadyState" if good else "ErrorState", "NormalState" if running else "ErrorState"),
                )
                if module.startswith("CentralMgmt") and not self.hosts_cms:
                    export = "NotInitialized"
                rows.append({"Identity": module, "ExportStatus": export, "ImportStatus": imported})
            return rows

    # What the pair tells each other

    def exchange(self) -> None:
        """One heartbeat: tell the partner, hear from it, and let replicas catch up. Never raises."""
        with contextlib.suppress(Silent):
            self._hear(self.link.ask("exchange", **self._tell()))
        self._catch_up()

    def _tell(self) -> dict[str, Any]:
        with self.lock:
            told: dict[str, Any] = {
                "directory": dict(self.directory),
                "replicas": {fqdn: r.store.revision for fqdn, r in self.replicas.items()},
                "serving": sorted(self.serving),
            }
            if self.hosts_cms:
                told["store"] = self.database.data()
            return told

    def _hear(self, told: Mapping[str, Any]) -> None:
        with self.lock:
            self.backup_good_at = stamp()
            if told["directory"]["version"] > self.directory["version"]:
                self.directory = dict(told["directory"])
            for fqdn, revision in told["replicas"].items():
                self.reports[fqdn] = Report(revision, stamp())
            if "store" in told and not self.hosts_cms:
                # The Backup Service keeps the standby database current; replication feeds the replicas.
                self.offered = ConfigStore.read(told["store"])
                self.database = self.offered.copy()

    def _catch_up(self) -> None:
        with self.lock:
            source = self.database if self.hosts_cms else self.offered
            running = not self.hosts_cms or self.database.master == self.place.pool
            for fqdn, replica in self.replicas.items():
                if source is not None and running:
                    kind = "replica" if fqdn == self.place.pool else "edge_replica"
                    replica.offer(source, self._clock(), self._durations[kind])
                self.reports[fqdn] = Report(replica.store.revision, stamp())
            if self.database.pool_state.get(self.place.pool) == "FailedOver":
                self.serving.discard(self.place.pool)

    def answer(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What this site answers its partner."""
        if kind == "exchange":
            self._hear(body)
            return self._tell()
        if kind == "cms.read":
            return {"store": self.configuration().data() if self.hosts_cms else self.database.data()}
        if kind == "cms.write":
            self.database.write(body["change"])
            return {}
        if kind == "backup.status":
            return {"modules": self.backup_status(), "machine": self.place.pool}
        if kind == "register":
            return {"registers": self.registers(body["pool"])}
        if kind == "serve":
            self.serve(body["pool"], body["on"])
            return {}
        return {}

    def state(self) -> dict[str, Any]:
        """Everything, for the control page."""
        with self.lock:
            return {
                "site": self.place.name,
                "pool": self.place.pool,
                "hosts_cms": self.hosts_cms,
                "directory": dict(self.directory),
                "store": self.database.data(),
                "replicas": {f: r.store.revision for f, r in self.replicas.items()},
                "serving": sorted(self.serving),
                "services": dict(self.services),
                "backup": self.backup_status(),
                "backup_good_at": self.backup_good_at,
                "partner_alive": self.link.alive,
            }
