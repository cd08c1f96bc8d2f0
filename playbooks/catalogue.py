"""Every cmdlet we may call, with typed parameters. What is not in this file cannot be expressed, let alone run.

Names, parameters and required combinations follow the cmdlet reference (MicrosoftDocs/office-docs-powershell,
``skype/skype-ps`` and MicrosoftDocs/windows-powershell-docs), not the how-to pages, which print parameters that do
not exist (``-MirrorSQLServerFqdn``) and omit ones that are mandatory (``-Force`` on a forced CMS failover).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from playbooks.estate import Frozen

Effect = Literal["observe", "converge", "once"]
"""``observe`` repeats freely, ``converge`` sets a value so that a repeat is harmless, ``once`` must not be repeated
without knowing what the first attempt did."""

Value = StrictBool | StrictInt | StrictStr
"""A parameter's value: text, a whole number, or a switch (true is given, false is ``:$false``)."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST = rf"(?:{_LABEL}\.)+[a-z][a-z0-9-]{{0,62}}"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "fqdn": _HOST,
        "instance": r"[A-Za-z0-9_$-]{1,16}",
        "edge": rf"EdgeServer:{_HOST}",
        "registrar": rf"Registrar:{_HOST}",
        "sip": r"sip:[a-z0-9._+-]{1,64}@[a-z0-9.-]{1,253}",
        "label": _LABEL,
        "ipv4": rf"{_OCTET}(?:\.{_OCTET}){{3}}",
        "record": rf"(?:{_OCTET}(?:\.{_OCTET}){{3}}|{_HOST}\.?)",
        "rrtype": r"A|CName",
        "homed": rf"RegistrarPool -eq '{_HOST}'",
        "timespan": r"(?:\d{1,3}\.)?[0-2]\d:[0-5]\d:[0-5]\d",
    }
)


_WANT = r"^(?:@count|@text|[A-Za-z][A-Za-z0-9]{0,63}(?:\.[A-Za-z][A-Za-z0-9]{0,63}){0,3})$"


class Parameter(Frozen):
    """One parameter: its name as documented, and what its value may look like."""

    name: str
    kind: Literal[
        "fqdn", "instance", "edge", "registrar", "sip", "label", "ipv4", "record", "rrtype", "timespan", "homed",
        "switch", "off",
    ]  # fmt: skip

    def refuses(self, value: Value) -> str | None:
        """Why ``value`` may not be given, as a sentence part; None when it may."""
        if self.kind in ("switch", "off"):
            wanted = self.kind == "switch"
            return None if value is wanted else f"only {'given' if wanted else ':$false'} is allowed"
        if isinstance(value, str) and value.isascii() and len(value) < 300 and re.fullmatch(_KINDS[self.kind], value):
            return None
        return f"expected a value of kind {self.kind}, found {value!r}"


class KnownFailure(Frozen):
    """A text servers are known to answer with, and what it means."""

    code: str
    pattern: str
    means: str
    do: str
    repeat: Literal["safe", "after remedy", "no", "unknown"]
    source: str


class Meaning(Frozen):
    """What a red text means, in words for the channel. ``known`` is false when the list has nothing for it."""

    code: str
    known: StrictBool
    means: str
    do: str
    repeat: Literal["safe", "after remedy", "no", "unknown"]
    source: str


class Entry(Frozen):
    """One cmdlet: parameters in the order we show them, the sets of which one must be complete, and its source."""

    cmdlet: str
    effect: Effect
    parameters: tuple[Parameter, ...]
    needs: tuple[tuple[str, ...], ...]
    rerun: Literal["documented", "undocumented", "harmless"]
    source: str
    writes: StrictBool = False


def _p(**kinds: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name=n, kind=k) for n, k in kinds.items())


_PS = "MicrosoftDocs/office-docs-powershell, cmdlet reference of "
_WIN = "MicrosoftDocs/windows-powershell-docs, DnsServer module, "


def _entry(
    cmdlet: str, effect: Effect, parameters: tuple[Parameter, ...], *needs: tuple[str, ...], **more: Any
) -> Entry:
    rerun = more.pop("rerun", "undocumented" if effect == "once" else "harmless")
    base = _WIN if "DnsServer" in cmdlet else _PS
    return Entry(
        cmdlet=cmdlet, effect=effect, parameters=parameters, needs=needs or ((),), rerun=rerun,
        source=base + cmdlet, writes=effect != "observe",
    )  # fmt: skip


_ENTRIES = (
    # The two calls that move a company's telephony. Both prompt, even with -Force, hence -Confirm:$false as a need:
    # an unanswered prompt on a remote host is a hang.
    _entry(
        "Invoke-CsManagementServerFailover",
        "once",
        _p(
            BackupSqlServerFqdn="fqdn",
            BackupSqlInstanceName="instance",
            BackupMirrorSqlServerFqdn="fqdn",
            BackupMirrorSqlInstanceName="instance",
            Force="switch",
            Confirm="off",
        ),
        # The disaster set: -BackupSqlServerFqdn and -Force are both mandatory in it; the how-to omits -Force.
        ("BackupSqlServerFqdn", "BackupSqlInstanceName", "Force", "Confirm"),
    ),
    _entry(
        "Invoke-CsPoolFailOver",
        "once",
        _p(PoolFqdn="fqdn", DisasterMode="switch", Verbose="switch", Confirm="off"),
        ("PoolFqdn", "Confirm"),
        # "Failing over a pool" (Lync Server 2013): fix the CMS from the error text and run the same cmdlet again.
        rerun="documented",
    ),
    # Port parameters exist too; a playbook that passed one would reconfigure an Edge server, so they are absent.
    _entry(
        "Set-CsEdgeServer",
        "converge",
        _p(Identity="edge", Registrar="registrar", Confirm="off"),
        ("Identity", "Registrar"),
    ),
    _entry(
        "Add-DnsServerResourceRecordA",
        "converge",
        _p(ZoneName="fqdn", Name="label", IPv4Address="ipv4", TimeToLive="timespan"),
        ("ZoneName", "Name", "IPv4Address", "TimeToLive"),
    ),
    _entry(
        "Add-DnsServerResourceRecordCName",
        "converge",
        _p(ZoneName="fqdn", Name="label", HostNameAlias="record", TimeToLive="timespan"),
        ("ZoneName", "Name", "HostNameAlias", "TimeToLive"),
    ),
    # Without -RecordData it deletes every record of that name and type; without -Force it prompts.
    _entry(
        "Remove-DnsServerResourceRecord",
        "converge",
        _p(ZoneName="fqdn", Name="label", RRType="rrtype", RecordData="record", Force="switch"),
        ("ZoneName", "Name", "RRType", "RecordData", "Force"),
    ),
    # Views. Those with -LocalStore, and the AD service connection point, answer while the CMS is dead.
    _entry("Get-CsConfigurationStoreLocation", "observe", ()),
    _entry("Get-CsManagementConnection", "observe", ()),
    _entry(
        "Get-CsManagementStoreReplicationStatus",
        "observe",
        _p(CentralManagementStoreStatus="switch", ReplicaFqdn="fqdn"),
    ),
    _entry(
        "Get-CsService",
        "observe",
        _p(CentralManagement="switch", EdgeServer="switch"),
        ("CentralManagement",),
        ("EdgeServer",),
    ),
    _entry("Get-CsRegistrarConfiguration", "observe", _p(LocalStore="switch")),
    _entry(
        "Get-CsPoolBackupRelationship",
        "observe",
        _p(PoolFqdn="fqdn", LocalStore="switch"),
        ("PoolFqdn",),
    ),
    _entry("Get-CsBackupServiceStatus", "observe", _p(PoolFqdn="fqdn"), ("PoolFqdn",)),
    # Reads Active Directory. Asked for a count only: thousands of objects must not cross the wire for one number.
    _entry("Get-CsUser", "observe", _p(Filter="homed"), ("Filter",)),
    _entry("Get-CsWindowsService", "observe", _p(ExcludeActivityLevel="switch")),
    _entry(
        "Test-CsRegistration",
        "observe",
        _p(TargetFqdn="fqdn", UserSipAddress="sip", Verbose="switch"),
        ("TargetFqdn", "UserSipAddress"),
    ),
    # The page on which meetings are made and joined, as the target pool serves it; needs a test user of that pool.
    _entry("Test-CsWebScheduler", "observe", _p(TargetFqdn="fqdn", Verbose="switch"), ("TargetFqdn",)),
)

CATALOGUE: Mapping[str, Entry] = MappingProxyType({e.cmdlet: e for e in _ENTRIES})
"""Cmdlet name to entry. Looking a name up elsewhere than here is a mistake."""


class Call(Frozen):
    """One cmdlet with ordered parameters and the properties wanted back, checked against the catalogue when built."""

    cmdlet: str
    params: tuple[tuple[str, Value], ...] = ()
    want: tuple[Annotated[str, Field(pattern=_WANT)], ...] = ()

    @model_validator(mode="after")
    def _is_in_the_catalogue(self) -> Call:
        entry = CATALOGUE.get(self.cmdlet)
        if entry is None:
            raise ValueError(f"{self.cmdlet!r} is not in the catalogue; only {len(CATALOGUE)} cmdlets may be called")
        allowed = {p.name: p for p in entry.parameters}
        names = [name for name, _ in self.params]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.cmdlet}: a parameter is given twice in {names}")
        for name, value in self.params:
            if name not in allowed:
                raise ValueError(f"{self.cmdlet} may not be given -{name}; allowed: {sorted(allowed)}")
            if why := allowed[name].refuses(value):
                raise ValueError(f"{self.cmdlet} -{name}: {why}")
        if not any(set(need) <= set(names) for need in entry.needs):
            sets = " or ".join("-" + " -".join(need) for need in entry.needs)
            raise ValueError(f"{self.cmdlet} needs {sets}; given: {names}")
        return self

    @property
    def entry(self) -> Entry:
        """The catalogue's entry for this call."""
        return CATALOGUE[self.cmdlet]

    @property
    def literal(self) -> str:
        """The exact PowerShell text, as shown to the person who approves it and kept in the record."""
        parts = [self.cmdlet]
        for name, value in self.params:
            if isinstance(value, bool):
                parts.append(f"-{name}" if value else f"-{name}:$false")
            else:
                parts.append(f"-{name} {_quoted(str(value))}")
        return " ".join(parts)


def _quoted(text: str) -> str:
    # A bare word is safe for PowerShell's parser with these characters only; all else is a single-quoted string.
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:._+@/-]*", text) and "@" not in text:
        return text
    return "'" + text.replace("'", "''") + "'"


def call(cmdlet: str, /, *want: str, **params: Value) -> Call:
    """A call in one line: properties wanted first, parameters by name in the order they are shown."""
    return Call(cmdlet=cmdlet, params=tuple(params.items()), want=want)


# Ordered: the first that matches wins, so the special stands before the general. ``(?P<…>)`` names may be used in
# ``means`` and ``do``. Servers wrap text at the width of their console, so runs of white space are one space here.
_FAILURES: tuple[tuple[tuple[str, ...], KnownFailure], ...] = (
    (
        ("Invoke-CsPoolFailOver",),
        KnownFailure(
            code="EDGE_NEXT_HOP",
            pattern=r'Front-end pool "(?P<pool>[^"]+)" is specified in topology as the next hop',
            means="an Edge pool still points at {pool}; the failover refused to begin and nothing moved",
            do="point that Edge pool at the partner, then run this step again",
            repeat="safe",
            source="Lync Server 2013 documentation, Failing over a pool",
        ),
    ),
    (
        ("Invoke-CsPoolFailOver",),
        KnownFailure(
            code="DCOM_OR_9001",
            pattern=r"Distributed Component Object Model|compatible interface with the server",
            means="the Front Ends could not be reached on TCP 9001 after the failover had begun; it may be half done",
            do="open TCP 9001 between the pools past the load balancer, read PoolState, and decide with two persons",
            repeat="after remedy",
            source="johnacook.wordpress.com, 26 May 2015",
        ),
    ),
    (
        ("Invoke-CsPoolFailOver",),
        KnownFailure(
            code="CMS_INCOMPLETE",
            pattern=(
                r"(?:CMS|Central Management).{0,80}?"
                r"(?:not yet|not been|incomplete|not fully|in progress|has not)"
            ),
            means="the Central Management Store has not finished moving, so the pool may not move yet",
            do="look at the CMS step: when the active master is on the partner, run this step again",
            repeat="safe",
            source="Lync Server 2013 documentation, Failing over a pool",
        ),
    ),
    (
        ("Invoke-CsPoolFailOver",),
        KnownFailure(
            code="PARTNER_SERVING",
            pattern=(
                r"(?:partner|backup pool).{0,80}?(?:failed over|FailedOver)"
                r"|must (?:first )?be failed back|fail(?:ed)? back first"
            ),
            means="the partner's own users are being served elsewhere; a pool that is failed over cannot take others",
            do="fail the partner back first",
            repeat="after remedy",
            source="Lync Server 2013 documentation, Managing disaster recovery",
        ),
    ),
    (
        ("Invoke-CsPoolFailOver",),
        KnownFailure(
            code="UNPAIRED",
            pattern=r"(?:no|not have a|without a) backup pool|not paired",
            means="the servers know no backup pool for this pool",
            do="pair the pools in Topology Builder; until then this pool cannot be failed over",
            repeat="no",
            source="cmdlet reference of Invoke-CsPoolFailOver",
        ),
    ),
    (
        ("Invoke-CsManagementServerFailover",),
        KnownFailure(
            code="NOT_THE_STANDBY",
            pattern=(
                r"not (?:the|a) (?:standby|backup).{0,60}(?:Central Management|CMS|database|server)"
                r"|is not (?:defined|configured) (?:in topology )?as"
            ),
            means="the SQL server named is not the one the topology defines as standby of the CMS; nothing moved",
            do="correct sql_fqdn and sql_instance of the partner in the estate file, then make a new plan",
            repeat="no",
            source="cmdlet reference of Invoke-CsManagementServerFailover",
        ),
    ),
    (
        ("Invoke-CsManagementServerFailover",),
        KnownFailure(
            code="REPLICATION_UNFINISHED",
            pattern=r"replicat\w+.{0,80}(?:not (?:been )?(?:finished|completed?|up.to.date)|pending|in progress)",
            means="configuration has not reached every replica, which the cmdlet insists on outside a disaster",
            do="wait for the replicas that live, or use the disaster form when the old CMS is dead",
            repeat="safe",
            source="cmdlet reference of Invoke-CsManagementServerFailover",
        ),
    ),
    (
        ("Add-DnsServerResourceRecordA", "Add-DnsServerResourceRecordCName"),
        KnownFailure(
            code="DNS_EXISTS",
            pattern=r"ResourceExists|already exists|WIN32 9711|\b9711\b",
            means="the record is already there; somebody or an earlier attempt wrote it",
            do="nothing: the answers decide whether the name is right",
            repeat="safe",
            source="Windows error 9711, DNS_ERROR_RECORD_ALREADY_EXISTS",
        ),
    ),
    (
        ("Remove-DnsServerResourceRecord",),
        KnownFailure(
            code="DNS_ABSENT",
            pattern=r"ObjectNotFound|not found|does not exist|WIN32 9701|\b9701\b|Failed to get .*record",
            means="the record is no longer there; somebody or an earlier attempt removed it",
            do="nothing: the answers decide whether the name is right",
            repeat="safe",
            source="Windows error 9701, DNS_ERROR_RECORD_DOES_NOT_EXIST",
        ),
    ),
    (
        ("Get-CsBackupServiceStatus",),
        KnownFailure(
            code="BACKUP_UNREACHABLE",
            pattern=r"TCP port 9001|no endpoint listening|Backup Service of pool",
            means="the pool's Backup Service does not answer, as is to be expected of a lost pool",
            do="nothing, if the pool is lost; else look at the service LYNCBACKUP and at TCP 9001 between the pools",
            repeat="safe",
            source="Lync Server 2013 documentation, Configuring and monitoring the Backup Service",
        ),
    ),
    (
        ("Test-CsRegistration",),
        KnownFailure(
            code="NO_TEST_USER",
            pattern=r"no test user assigned for \[?(?P<pool>[^\]]+?)\]?\.",
            means="no health-monitoring user is configured for {pool}, so sign-in cannot be proven by itself",
            do="let a person sign in; afterwards run New-CsHealthMonitoringConfiguration",
            repeat="no",
            source="Lync Server 2013 documentation, Testing user log on",
        ),
    ),
    (
        ("Test-CsRegistration",),
        KnownFailure(
            code="NO_CLUSTER",
            pattern=r"No matching cluster found in topology",
            means="the pool's name is not in the topology, or the topology could not be read",
            do="check the pool's name in the estate file, and whether the CMS is up",
            repeat="safe",
            source="Lync Server 2013 documentation, Testing user log on",
        ),
    ),
    (
        ("Test-CsRegistration",),
        KnownFailure(
            code="USER_UNKNOWN",
            pattern=r"404, Not Found|ErrorCode=1003",
            means="the server that answered does not know the test user",
            do="check the test user's address in the estate file; if it is right, the failover has not reached it yet",
            repeat="safe",
            source="Lync Server 2013 documentation, Testing user log on",
        ),
    ),
    (
        ("Test-CsRegistration",),
        KnownFailure(
            code="SERVER_TIMEOUT",
            pattern=r"504, Server time-?out",
            means="the registrar behind the name did not answer in time",
            do="look at the Front End service on the partner; the test may be repeated",
            repeat="safe",
            source="Lync Server 2013 documentation, Testing peer to peer IM",
        ),
    ),
    (
        (),
        KnownFailure(
            code="CMS_UNREACHABLE",
            pattern=(
                r"(?:cannot|can't|could not|unable to|failed to|not) .{0,60}?"
                r"(?:Central Management (?:Store|Server|Database)|CMS\b|configuration store)"
                r"|Central Management.{0,60}?(?:unavailable|not available|cannot be|unreachable)"
            ),
            means="the Central Management Store did not answer, and this cmdlet needs it",
            do="bring the CMS up on the partner first",
            repeat="after remedy",
            source="Lync Server 2013 documentation, Central Management Store failover",
        ),
    ),
    (
        (),
        KnownFailure(
            code="PROMPT",
            pattern=r"NonInteractive mode|Read and Prompt functionality",
            means="the cmdlet asked a question and nobody could answer it; nothing was done",
            do="this is a defect of the plan: report it, and run the step by hand from the printed runbook",
            repeat="no",
            source="PowerShell, HostFunctionNotImplemented",
        ),
    ),
    (
        (),
        KnownFailure(
            code="MODULE_MISSING",
            pattern=r"The term '(?P<name>[^']+)' is not recognized",
            means="{name} is not known on that server: the management module is missing or could not be loaded",
            do="name the right server in the endpoints file, or install the management tools there",
            repeat="safe",
            source="Lync Server 2013 documentation, Lync Server Management Shell",
        ),
    ),
    (
        (),
        KnownFailure(
            code="PARAMETER",
            pattern=r"parameter cannot be found that matches|missing mandatory parameters?|AmbiguousParameterSet",
            means="this version of the product does not take that parameter; nothing was done",
            do="compare the product's version with the plan; run the step by hand from the printed runbook",
            repeat="no",
            source="PowerShell, ParameterBindingException",
        ),
    ),
    (
        (),
        KnownFailure(
            code="DOUBLE_HOP",
            pattern=r"ANONYMOUS LOGON|Cannot open Service Control Manager|double.?hop",
            means="the account reached the server but may not go on from there to SQL, AD or the next server",
            do="use a scheduled task, CredSSP or constrained delegation for this server",
            repeat="after remedy",
            source="blogs.technet.microsoft.com/heyscriptingguy, 27 November 2013",
        ),
    ),
    (
        (),
        KnownFailure(
            code="NO_RIGHTS",
            pattern=(
                r"access (?:is )?denied|not (?:a )?member of|RTCUniversalServerAdmins"
                r"|unauthori[sz]ed|insufficient (?:access )?rights|PermissionDenied"
            ),
            means="the account may not do that on this server",
            do="add it to RTCUniversalServerAdmins (DnsAdmins for DNS), log it on afresh, and run again",
            repeat="after remedy",
            source="Lync Server 2013 documentation, Configuring and monitoring the Backup Service",
        ),
    ),
)


def explain(cmdlet: str, text: str) -> Meaning:
    """What ``text``, answered in red by ``cmdlet``, means. An unknown text says so; it is never guessed at."""
    flat = " ".join(text.split())
    for cmdlets, failure in _FAILURES:
        found = re.search(failure.pattern, flat, re.IGNORECASE) if not cmdlets or cmdlet in cmdlets else None
        if found:
            names = {k: v.strip() for k, v in found.groupdict(default="").items()}
            return Meaning(
                code=failure.code, known=True, means=failure.means.format(**names), do=failure.do.format(**names),
                repeat=failure.repeat, source=failure.source,
            )  # fmt: skip
    return Meaning(
        code="NOT_KNOWN",
        known=False,
        means="not in our list of known failures",
        do="read the text and the state read back before anything is run again",
        repeat="unknown",
        source="",
    )
