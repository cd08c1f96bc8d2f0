"""Cmdlets that only read. Names and properties follow the cmdlet reference (MicrosoftDocs/office-docs-powershell)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from practice.host.cmdlets import Bound, Cmdlet, Parameter, Turn
from practice.host.redtext import RedText
from practice.sites import texts
from practice.sites.site import CmsDead, Silent, Site
from practice.sites.store import ConfigStore
from practice.sites.world import DOMAIN, SIMPLE_NAMES

_XDS = "Microsoft.Rtc.Management.Xds."
_PRODUCT = "5.0.8308.0"
_FILTER = re.compile(r"""^\s*RegistrarPool\s+-eq\s+(['"])(?P<pool>[^'"]+)\1\s*$""", re.IGNORECASE)


def configuration(site: Site, turn: Turn, implementing: str) -> ConfigStore:
    """The live store, or the red text of a dead one after the connection time-out."""
    try:
        return site.configuration()
    except CmsDead as dead:
        turn.pause("cms_dead")
        raise texts.cms_dead(str(dead), implementing) from None


def own_or_local(site: Site, turn: Turn, bound: Bound, implementing: str) -> ConfigStore:
    """-LocalStore reads the replica on this server, which answers when the CMS is dead."""
    return site.local_store() if bound.has("LocalStore") else configuration(site, turn, implementing)


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Reading:
    """The reading cmdlets of one Front End."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def cmdlets(self) -> list[Cmdlet]:
        local = Parameter("LocalStore", "Switch")
        force = Parameter("Force", "Switch")
        identity, filters = Parameter("Identity"), Parameter("Filter")
        pool = Parameter("PoolFqdn", "Fqdn", required=True)
        roles = tuple(Parameter(r, "Switch") for r in _ROLES)
        return [
            self._cmdlet("Get-CsConfigurationStoreLocation", (Parameter("GlobalCatalog"),), self._scp),
            self._cmdlet("Get-CsManagementConnection", (), self._connection),
            self._cmdlet(
                "Get-CsManagementStoreReplicationStatus",
                (Parameter("ReplicaFqdn", "Fqdn"), Parameter("CentralManagementStoreStatus", "Switch")),
                self._replication,
            ),
            self._cmdlet(
                "Get-CsService",
                (*roles, identity, filters, Parameter("PoolFqdn", "Fqdn")),
                self._service,
                one_of=_ROLES,
            ),
            self._cmdlet("Get-CsPool", (identity, filters, Parameter("Site")), self._pool),
            self._cmdlet("Get-CsSite", (identity, filters), self._sites),
            self._cmdlet("Get-CsRegistrarConfiguration", (identity, filters, local), self._registrar),
            self._cmdlet("Get-CsSimpleUrlConfiguration", (identity, filters, local), self._simple_urls),
            self._cmdlet("Get-CsPoolBackupRelationship", (pool, local, force), self._backup_pool),
            self._cmdlet("Get-CsBackupServiceStatus", (pool, Parameter("Category"), force), self._backup_status),
            self._cmdlet(
                "Get-CsWindowsService",
                (Parameter("Name"), Parameter("ComputerName"), Parameter("ExcludeActivityLevel", "Switch")),
                self._services,
            ),
            self._cmdlet(
                "Get-CsUser",
                (identity, filters, Parameter("ResultSize", "Int32"), Parameter("OnLyncServer", "Switch")),
                self._users,
            ),
            self._cmdlet("Get-CsUserPoolInfo", (Parameter("Identity", required=True), local), self._user_pool),
        ]

    def _cmdlet(
        self,
        name: str,
        parameters: tuple[Parameter, ...],
        rows: Callable[[Turn, Bound, str], Iterable[Mapping[str, Any]]],
        one_of: tuple[str, ...] = (),
    ) -> Cmdlet:
        implementing = f"Microsoft.Rtc.Management.{name.replace('-', '')}Cmdlet"

        def body(turn: Turn, bound: Bound) -> None:
            turn.pause("backup_status" if name == "Get-CsBackupServiceStatus" else "read")
            for each in rows(turn, bound, implementing):
                turn.output(each)

        return Cmdlet(name, parameters, body, implementing, one_of=one_of)

    # Active Directory and this server only: these answer while the CMS is dead

    def _scp(self, turn: Turn, bound: Bound, _: str) -> Iterable[Mapping[str, Any]]:
        yield {"BackEndServer": f"{self._site.directory['scp']}\\rtc"}

    def _connection(self, turn: Turn, bound: Bound, _: str) -> Iterable[Mapping[str, Any]]:
        server = self._site.directory["scp"]
        yield {
            "StoreProvider": "Sql",
            "Connection": f"Data Source={server}\\rtc;Initial Catalog=xds;Integrated Security=True",
            "ReadOnly": False,
            "SqlServer": server,
            "SqlInstance": "rtc",
        }

    def _services(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        wanted = str(bound.get("Name", "")).upper()
        if wanted and wanted not in self._site.services:
            raise texts.unknown_service(wanted, implementing)
        for name, status in sorted(self._site.services.items()):
            if wanted in ("", name):
                yield {
                    "Status": status,
                    "Name": name,
                    "ActivityLevel": None,
                    "RoleName": [],
                    "DisplayName": f"Lync Server {name}",
                }

    def _users(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        match = _FILTER.match(str(bound.get("Filter", "")))
        if bound.has("Filter") and match is None:
            raise RedText(
                f'Cannot parse the filter "{bound["Filter"]}".',
                f"ProcessRecord,{implementing}",
                "InvalidArgument",
            )
        left = int(bound.get("ResultSize", 1 << 31))
        for place in self._site.world.places:
            if match and match["pool"].lower() != place.pool:
                continue
            for number in range(1, min(place.users, left) + 1):
                name = f"{place.name.lower()}.user{number}"
                sip = f"sip:{name}@{DOMAIN}"
                yield {
                    "Identity": f"CN={name}",
                    "SipAddress": sip,
                    "RegistrarPool": place.pool,
                    "Enabled": True,
                }
            left -= min(place.users, left)

    def _user_pool(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        home = self._site.test_users.get(str(bound["Identity"]).lower())
        place = self._site.world.of_pool(home) if home else None
        if place is None:
            raise texts.unknown_service(bound["Identity"], implementing)
        backup = self._site.world.other(place).pool
        yield {
            "PrimaryPoolFqdn": place.pool,
            "BackupPoolFqdn": backup,
            "UserServicesPoolFqdn": place.pool,
            "PrimaryPoolMachinesInPreferredOrder": [place.pool],
            "BackupPoolMachinesInPreferredOrder": [backup],
            "PrimaryPoolPrimaryRegistrar": place.pool,
            "BackupPoolPrimaryRegistrar": backup,
        }

    # From the CMS, or from the local replica where the cmdlet has -LocalStore

    def _registrar(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        store = own_or_local(self._site, turn, bound, implementing)
        rows = [("Global", "Active")]
        rows += [(f"Service:Registrar:{pool}", state) for pool, state in sorted(store.pool_state.items())]
        wanted = str(bound.get("Identity", "")).lower()
        found = [row for row in rows if wanted in ("", row[0].lower(), row[0].lower().removeprefix("service:"))]
        if wanted and not found:
            raise texts.unknown_service(bound["Identity"], implementing)
        for identity, state in found:
            yield {
                "Identity": identity,
                "PoolState": state,
                "BackupStoreUnavailableThreshold": timedelta(minutes=30),
                "EnableDHCPServer": False,
            }

    def _simple_urls(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        own_or_local(self._site, turn, bound, implementing)
        urls = [
            {
                "Component": name.capitalize(),
                "Domain": DOMAIN if name == "meet" else "*",
                "SimpleUrlEntry": [{"Url": f"https://{name}.{DOMAIN}"}],
                "ActiveUrl": f"https://{name}.{DOMAIN}",
            }
            for name in SIMPLE_NAMES[:3]
        ]
        yield {"Identity": "Global", "SimpleUrl": urls, "UseBackendDatabase": False}

    def _backup_pool(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        own_or_local(self._site, turn, bound, implementing)
        place = self._site.world.of_pool(bound["PoolFqdn"])
        if place is None:
            raise texts.unknown_pool(bound["PoolFqdn"], implementing)
        if self._site.paired:
            yield {"PoolFqdn": place.pool, "BackupPoolFqdn": self._site.world.other(place).pool}

    def _replication(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        store = configuration(self._site, turn, implementing)
        now = datetime.now(UTC)
        if bound.has("CentralManagementStoreStatus"):
            beat = now if store.master else None
            yield {
                "LastUpdatedOn": now,
                "ActiveMasterFqdn": store.master or None,
                "ActiveMasterLastHeartbeat": beat,
                "ActiveFileTransferAgentFqdn": store.master or None,
                "ActiveFileTransferAgentLastHeartbeat": beat,
                "ActiveReplicas": sorted(self._site.reports),
                "DeletedReplicas": [],
            }
            return
        wanted = str(bound.get("ReplicaFqdn", "")).lower()
        if wanted and wanted not in self._site.reports:
            raise texts.unknown_service(wanted, implementing)
        for fqdn, report in sorted(self._site.reports.items()):
            if wanted in ("", fqdn):
                yield {
                    "UpToDate": report.revision >= store.revision,
                    "ReplicaFqdn": fqdn,
                    "LastStatusReport": _when(report.at),
                    "LastUpdateCreation": _when(store.changed),
                    "ProductVersion": _PRODUCT,
                }

    def _service(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        store = configuration(self._site, turn, implementing)
        rows = list(self._service_rows(store))
        chosen = next((role for role in _ROLES if bound.has(role)), "")
        pool = str(bound.get("PoolFqdn", "")).lower()
        identity = str(bound.get("Identity", "")).lower()
        for each in rows:
            fits = chosen in ("", each["Role"]) and pool in ("", each["PoolFqdn"])
            if fits and identity in ("", each["Identity"].lower()):
                yield each

    def _service_rows(self, store: ConfigStore) -> Iterable[dict[str, Any]]:
        for place in self._site.world.places:
            base = {"PoolFqdn": place.pool, "SiteId": f"Site:{place.name}", "Version": 6}
            other = self._site.world.other(place).pool
            active = store.master == place.pool or place.pool in self._site.extra_cms_flags
            yield {
                "Identity": f"CentralManagement:{place.pool}",
                **base,
                "Role": "CentralManagement",
                "Active": active,
            }
            yield {
                "Identity": f"Registrar:{place.pool}",
                **base,
                "Role": "Registrar",
                "BackupRegistrar": f"Registrar:{other}",
            }
            for role in ("UserServer", "WebServer", "BackupServer"):
                yield {"Identity": f"{role}:{place.pool}", **base, "Role": role}
        for edge, next_hop in sorted(store.edges.items()):
            site = next((p.name for p in self._site.world.places if edge in p.edges), self._site.world.places[0].name)
            yield {
                "Identity": f"EdgeServer:{edge}",
                "PoolFqdn": edge,
                "SiteId": f"Site:{site}",
                "Version": 6,
                "Role": "EdgeServer",
                "Registrar": f"Registrar:{next_hop}",
            }

    def _pool(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        store = configuration(self._site, turn, implementing)
        wanted = str(bound.get("Identity", "")).lower()
        services: dict[str, list[str]] = {}
        sites: dict[str, str] = {}
        for each in self._service_rows(store):
            services.setdefault(each["PoolFqdn"], []).append(each["Identity"])
            sites[each["PoolFqdn"]] = each["SiteId"]
        if wanted and wanted not in services:
            raise texts.unknown_pool(wanted, implementing)
        for fqdn, roles in services.items():
            if wanted in ("", fqdn):
                yield {
                    "Identity": fqdn,
                    "Services": roles,
                    "Computers": [fqdn],
                    "Fqdn": fqdn,
                    "Site": sites[fqdn],
                }

    def _sites(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        configuration(self._site, turn, implementing)
        for place in self._site.world.places:
            pools = [place.pool, *place.edges]
            yield {
                "Identity": f"Site:{place.name}",
                "SiteId": place.name,
                "DisplayName": place.name,
                "Pools": pools,
            }

    def _backup_status(self, turn: Turn, bound: Bound, implementing: str) -> Iterable[Mapping[str, Any]]:
        pool = bound["PoolFqdn"].lower()
        if self._site.world.of_pool(pool) is None:
            raise texts.unknown_pool(pool, implementing)
        if pool == self._site.place.pool:
            modules, machine = self._site.backup_status(), pool
        else:
            try:
                answer = self._site.link.ask("backup.status")
            except Silent:
                turn.pause("cms_dead")
                raise texts.backup_wcf(pool) from None
            modules, machine = answer["modules"], answer["machine"]
        for module in modules:
            module["@text"] = f"{module['Identity']}:[{module['ExportStatus']},{module['ImportStatus']}]"
        yield {
            "ActiveMachineFqdn": machine,
            "OverallExportStatus": modules[0]["ExportStatus"],
            "OverallImportStatus": modules[0]["ImportStatus"],
            "BackupModules": modules,
        }


_ROLES = ("CentralManagement", "Registrar", "EdgeServer", "UserServer", "WebServer", "BackupServer")
