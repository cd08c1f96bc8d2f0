"""Cmdlets that change something: CMS failover, Edge next hop, pool failover and failback, services.

Guards and transitions follow Microsoft's procedures "Failing over a pool" and "Failing back a pool" (Lync Server
2013) and the cmdlet reference. Verbose lines are practice's own: the real ones are not published.
"""

from __future__ import annotations

from collections.abc import Callable

from practice.host.cmdlets import Bound, Cmdlet, Parameter, Turn
from practice.host.redtext import RedText
from practice.sites import texts
from practice.sites.reading import configuration
from practice.sites.site import CmsDead, Silent, Site
from practice.sites.store import ConfigStore

_HADR = "Microsoft.Rtc.Management.Hadr."
_DEPLOY = "Microsoft.Rtc.Management.Deployment."
_CMS = f"{_DEPLOY}InvokeCmsFailoverCmdlet"
_GROUPS = 6  # hydration is told group by group
_STATES = ("Active", "FailingOver", "FailedOver", "FailedBack")
_EDGE_PORTS = [
    "AccessEdgeClientSipPort",
    "AccessEdgeExternalSipPort",
    "AccessEdgeInternalSipPort",
    "DataPsomClientPort",
    "DataPsomServerPort",
    "MediaCommunicationPortCount",
    "MediaCommunicationPortStart",
    "MediaRelayAuthEdgePort",
    "MediaRelayExternalTurnTcpPort",
    "MediaRelayExternalTurnUdpPort",
    "MediaRelayInternalTurnTcpPort",
    "MediaRelayInternalTurnUdpPort",
    "XmppInternalPort",
    "XmppListeningPort",
    "SkypeSearchProxyPort",
]


class Changing:
    """The changing cmdlets of one Front End."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.hydration_failures = 0  # armed by the trainer: so many failbacks fail first

    def cmdlets(self) -> list[Cmdlet]:
        pool = Parameter("PoolFqdn", "Fqdn", required=True)
        force = Parameter("Force", "Switch")
        disaster = Parameter("DisasterMode", "Switch")
        waits = (
            Parameter("WaitTime", "TimeSpan"),
            Parameter("DatabaseCommandTimeoutInSeconds", "Int32"),
            Parameter("SkipDataVerification", "Switch"),
        )
        return [
            self._cms_failover_cmdlet(force),
            self._cmdlet(
                "Invoke-CsPoolFailOver",
                (pool, disaster, force, *waits, Parameter("FlushStorageService", "Switch")),
                self._fail_over,
                f"{_HADR}InvokePoolFailOverCmdlet",
                prompts=True,
            ),
            self._cmdlet(
                "Invoke-CsPoolFailBack",
                (pool, disaster, force, *waits),
                self._fail_back,
                f"{_HADR}InvokePoolFailBackCmdlet",
                prompts=True,
            ),
            self._cmdlet(
                "Set-CsEdgeServer",
                (
                    Parameter("Identity", required=True),
                    Parameter("Registrar"),
                    force,
                    *(Parameter(port, "Int32") for port in _EDGE_PORTS),
                ),
                self._set_edge,
                "Microsoft.Rtc.Management.Xds.SetEdgeServerCmdlet",
            ),
            self._cmdlet(
                "Set-CsRegistrarConfiguration",
                (Parameter("Identity", required=True), Parameter("PoolState", required=True), force),
                self._set_pool_state,
                "Microsoft.Rtc.Management.Registrar.Cmdlets.SetRegistrarConfigurationCmdlet",
            ),
            *self._service_cmdlets(force),
        ]

    def _cmdlet(
        self,
        name: str,
        parameters: tuple[Parameter, ...],
        body: Callable[[Turn, Bound], None],
        implementing: str,
        prompts: bool = False,
        should_process: bool = True,
    ) -> Cmdlet:
        return Cmdlet(
            name, parameters, body, implementing, changes=True, should_process=should_process, prompts=prompts
        )

    def _cms_failover_cmdlet(self, force: Parameter) -> Cmdlet:
        dr = ("DisasterRecovery",)
        return Cmdlet(
            "Invoke-CsManagementServerFailover",
            (
                Parameter("BackupSqlServerFqdn", "Fqdn", required=True, sets=dr),
                Parameter("BackupSqlInstanceName", sets=dr),
                Parameter("BackupMirrorSqlServerFqdn", "Fqdn", sets=dr),
                Parameter("BackupMirrorSqlInstanceName", sets=dr),
                Parameter("Force", "Switch", required=True, sets=dr),
                Parameter("Restore", "Switch", sets=("Normal",)),
                Parameter("Report"),
            ),
            self._fail_over_cms,
            _CMS,
            changes=True,
            should_process=True,
            prompts=True,
            sets=("Normal", "DisasterRecovery"),
        )

    def _service_cmdlets(self, force: Parameter) -> list[Cmdlet]:
        name = Parameter("Name")
        common = (name, Parameter("ComputerName"), Parameter("NoWait", "Switch"), force, Parameter("Report"))
        start = self._cmdlet(
            "Start-CsWindowsService",
            common,
            lambda turn, bound: self._set_service(turn, bound, "Running"),
            f"{_DEPLOY}StartWindowsServiceCmdlet",
        )
        stop = self._cmdlet(
            "Stop-CsWindowsService",
            (*common, Parameter("Graceful", "Switch")),
            lambda turn, bound: self._set_service(turn, bound, "Stopped"),
            f"{_DEPLOY}StopWindowsServiceCmdlet",
        )
        sync = self._cmdlet(
            "Invoke-CsBackupServiceSync",
            (Parameter("PoolFqdn", "Fqdn", required=True), Parameter("BackupModule"), force),
            lambda turn, _: turn.pause("backup_status"),
            f"{_HADR}InvokeBackupServiceSyncCmdlet",
            should_process=False,
        )
        replicate = self._cmdlet(
            "Invoke-CsManagementStoreReplication",
            (Parameter("ReplicaFqdn", "Fqdn"), force),
            self._replicate,
            "Microsoft.Rtc.Management.Xds.InvokeReplicationCmdlet",
            should_process=False,
        )
        return [start, stop, sync, replicate]

    # Central Management Server

    def _fail_over_cms(self, turn: Turn, bound: Bound) -> None:
        site = self._site
        here = site.place.pool
        if bound.set_name == "DisasterRecovery":
            self._check_standby(bound)
        else:
            self._check_source()
        store = site.database if site.hosts_cms else None
        if store is not None and store.master == here:
            turn.warning(f'The Central Management Server is already active in pool "{here}". Nothing was changed.')
            return
        turn.steps(
            "cms_failover",
            [
                f"practice: current service connection point {site.directory['scp']}\\rtc",
                f"practice: take the database on {here}\\rtc out of standby",
                f"practice: write the service connection point {here}\\rtc",
                "practice: start MASTER and FTA",
                "practice: full replication requested",
            ],
            midway=site.take_cms,
        )
        site.start_master()

    def _check_standby(self, bound: Bound) -> None:
        here = self._site.place.pool
        sql, instance = bound["BackupSqlServerFqdn"], bound.get("BackupSqlInstanceName", "RTC")
        if sql.lower() != here or instance.lower() != "rtc" or not self._site.paired:
            raise texts.not_the_standby(sql, instance, here)

    def _check_source(self) -> None:
        """Without -Force the cmdlet first makes sure that nothing is left to replicate."""
        try:
            store = self._site.configuration()
        except CmsDead as dead:
            raise texts.cms_source_dead(str(dead)) from None
        late = [f for f, r in sorted(self._site.reports.items()) if r.revision < store.revision]
        if late:
            raise texts.replication_unfinished(", ".join(late))

    def _replicate(self, turn: Turn, bound: Bound) -> None:
        configuration(self._site, turn, "Microsoft.Rtc.Management.Xds.InvokeReplicationCmdlet")
        turn.pause("read")

    # Edge

    def _set_edge(self, turn: Turn, bound: Bound) -> None:
        implementing = "Microsoft.Rtc.Management.Xds.SetEdgeServerCmdlet"
        store = configuration(self._site, turn, implementing)
        edge = bound["Identity"].lower().removeprefix("edgeserver:")
        if edge not in store.edges:
            raise texts.unknown_service(bound["Identity"], implementing)
        if not bound.has("Registrar"):
            turn.pause("edge_set")
            return
        registrar = bound["Registrar"].lower().removeprefix("registrar:")
        if self._site.world.of_pool(registrar) is None:
            raise texts.unknown_service(bound["Registrar"], implementing)
        turn.steps("edge_set", ["practice: write topology", "practice: publish"])
        self._write(turn, implementing, edges={edge: registrar})

    def _write(self, turn: Turn, implementing: str, **change: object) -> None:
        try:
            self._site.write(**change)
        except CmsDead as dead:
            turn.pause("cms_dead")
            raise texts.cms_dead(str(dead), implementing) from None

    # Pools

    def _live_store(self, turn: Turn, pool: str) -> ConfigStore:
        """Pool failover needs an active CMS master; without one it sends you back to the CMS."""
        try:
            store = self._site.configuration()
        except CmsDead:
            turn.pause("cms_dead")
            raise texts.cms_incomplete(pool) from None
        if not store.master:
            raise texts.cms_incomplete(pool)
        return store

    def _fail_over(self, turn: Turn, bound: Bound) -> None:
        site = self._site
        pool = bound["PoolFqdn"].lower()
        place = site.world.of_pool(pool)
        if place is None:
            raise texts.unknown_pool(pool, f"{_HADR}InvokePoolFailOverCmdlet")
        store = self._live_store(turn, pool)
        if not site.paired:
            raise texts.unpaired(pool)
        partner = site.world.other(place).pool
        if pool in store.edges.values():
            raise texts.edge_next_hop(pool)
        if store.pool_state[partner] not in ("Active", "FailedBack"):
            raise texts.partner_serving(pool, partner)
        state = store.pool_state[pool]
        if state not in ("Active", "FailedBack", "FailingOver"):
            raise texts.wrong_state(pool, state, "Active", "InvokePoolFailOverCmdlet")
        self._check_reach(turn, pool, partner, bound.has("DisasterMode"))
        self._write(turn, f"{_HADR}InvokePoolFailOverCmdlet", pool_state={pool: "FailingOver"})
        turn.steps(
            "pool_failover",
            [
                f"practice: backup pool of {pool} is {partner}",
                f"practice: PoolState of {pool} is FailingOver",
                *(f"practice: hydrate {n} of {_GROUPS}" for n in range(1, _GROUPS + 1)),
                "practice: routing updated",
            ],
        )
        self._move_users(pool, pool, partner)
        self._write(turn, f"{_HADR}InvokePoolFailOverCmdlet", pool_state={pool: "FailedOver"})
        if bound.get("Verbose"):
            turn.verbose(f"practice: PoolState of {pool} is FailedOver")

    def _check_reach(self, turn: Turn, pool: str, partner: str, disaster: bool) -> None:
        """The backup pool must answer; the pool itself too, unless this is a disaster."""
        answers = {self._site.place.pool: True, self._site.partner.pool: self._partner_answers()}
        if not answers[partner]:
            turn.pause("synthetic_timeout")
            raise texts.dcom(partner)
        if not disaster and not answers[pool]:
            turn.pause("synthetic_timeout")
            raise texts.dcom(pool)
        if disaster and answers[pool]:
            turn.warning(f'Pool "{pool}" answers. In disaster mode, data that has not been backed up is lost.')

    def _partner_answers(self) -> bool:
        try:
            self._site.link.ask("alive")
        except Silent:
            return False
        return True

    def _move_users(self, pool: str, source: str, target: str) -> None:
        """Users homed on `pool` leave `source` and are served by `target`."""
        for host, on in ((source, False), (target, True)):
            if host == self._site.place.pool:
                self._site.serve(pool, on)
                continue
            try:
                self._site.link.ask("serve", pool=pool, on=on)
            except Silent:
                continue  # a dead site serves nobody anyway

    def _fail_back(self, turn: Turn, bound: Bound) -> None:
        site = self._site
        name = "InvokePoolFailBackCmdlet"
        pool = bound["PoolFqdn"].lower()
        place = site.world.of_pool(pool)
        if place is None:
            raise texts.unknown_pool(pool, f"{_HADR}{name}")
        store = self._live_store(turn, pool)
        if store.pool_state[pool] != "FailedOver":
            raise texts.wrong_state(pool, store.pool_state[pool], "FailedOver", name)
        partner = site.world.other(place).pool
        needed = {pool} if bound.has("DisasterMode") else {pool, partner}
        if site.partner.pool in needed and not self._partner_answers():
            turn.pause("synthetic_timeout")
            raise texts.dcom(site.partner.pool, name)
        turn.steps(
            "pool_failback",
            [
                f"practice: users of {pool} come back from {partner}",
                *(f"practice: hydrate {n} of {_GROUPS}" for n in range(1, _GROUPS + 1)),
            ],
        )
        if self.hydration_failures > 0:
            self.hydration_failures -= 1
            raise texts.hydration(pool)
        self._move_users(pool, partner, pool)
        self._write(turn, f"{_HADR}{name}", pool_state={pool: "Active"})

    def _set_pool_state(self, turn: Turn, bound: Bound) -> None:
        implementing = "Microsoft.Rtc.Management.Registrar.Cmdlets.SetRegistrarConfigurationCmdlet"
        store = configuration(self._site, turn, implementing)
        pool = bound["Identity"].lower().removeprefix("service:").removeprefix("registrar:")
        if pool not in store.pool_state:
            raise texts.unknown_service(bound["Identity"], implementing)
        if bound["PoolState"] not in _STATES:
            raise RedText(
                f"Cannot bind parameter 'PoolState'. The possible enumeration values are \"{', '.join(_STATES)}\".",
                f"CannotConvertArgumentNoMessage,{implementing}",
                "InvalidArgument",
            )
        turn.pause("edge_set")
        self._write(turn, implementing, pool_state={pool: bound["PoolState"]})

    # Services

    def _set_service(self, turn: Turn, bound: Bound, status: str) -> None:
        names = [bound["Name"].upper()] if bound.has("Name") else list(self._site.services)
        for name in names:
            if name not in self._site.services:
                raise texts.unknown_service(name, f"{_DEPLOY}WindowsServiceCmdlet")
        turn.pause("service")
        with self._site.lock:
            self._site.services |= dict.fromkeys(names, status)
