"""The practice estate after London was lost, as a worker's answers: where the playbook tests begin."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from playbooks.estate import Estate
from playbooks.facts import (
    AnyAnswer,
    AnyLook,
    CallAnswer,
    CallLook,
    DnsAnswer,
    DnsLook,
    Facts,
    NoAnswer,
    PortAnswer,
    PortLook,
    SampleAnswer,
    looks,
    read_facts,
)

ROOT = Path(__file__).resolve().parents[2]
AT = "2026-11-22T03:07:20.000Z"
CMS_DEAD = "Cannot access the Central Management Store. Could not connect to SQL server."
RUNNING = ("RTCSRV", "LYNCBACKUP", "REPLICA", "MASTER", "FTA")


def file_data() -> dict[str, Any]:
    """The practice estate file as plain data, to be changed by a test."""
    return tomllib.loads((ROOT / "config" / "estate.practice.toml").read_text("utf-8"))


def practice() -> Estate:
    """The practice estate."""
    return Estate.model_validate(file_data())


def rows_of(cmdlet: str, estate: Estate, where: str) -> CallAnswer | None:
    """What a cmdlet on the surviving server answers; None for those that hang on the dead CMS."""
    modules = {
        "BackupModules.Identity": ["UserServices.PresenceFocus", "ConfServices.DataConf", "CentralMgmt.CMSMaster"],
        "BackupModules.ExportStatus": ["SteadyState", "FinalState", "NotInitialized"],
        "BackupModules.ImportStatus": ["NormalState", "NormalState", "NormalState"],
    }
    rows: dict[str, tuple[dict[str, Any], ...]] = {
        "Get-CsConfigurationStoreLocation": ({"BackEndServer": "fe1.ocsguy.local\\rtc"},),
        "Get-CsRegistrarConfiguration": ({"Identity": "Global", "PoolState": "Active"},),
        "Get-CsPoolBackupRelationship": ({"@text": "PoolFqdn : fe1.ocsguy.local\nBackupPoolFqdn : fe2.ocsguy.local"},),
        "Get-CsWindowsService": tuple({"Name": n, "Status": "Running"} for n in RUNNING),
        "Get-CsBackupServiceStatus": (modules,),
        "Get-CsManagementConnection": ({"SqlServer": "fe1.ocsguy.local"},),
    }
    if where == "fe1" or cmdlet not in rows:
        return None
    return CallAnswer(at=AT, rows=rows[cmdlet])


def answer(look: AnyLook, estate: Estate) -> AnyAnswer:
    """The answer of a world without London."""
    if isinstance(look, PortLook):
        lost = look.host in ("fe1.ocsguy.local", "dns1.ocsguy.local")
        return PortAnswer(at=AT, how="silent" if lost else "accepted")
    if isinstance(look, DnsLook):
        if look.server == "dns1.ocsguy.local":
            return NoAnswer(reason="dns1.ocsguy.local did not answer within 3 s")
        return DnsAnswer(at=AT, values=("10.10.0.11",), ttl=300)
    if isinstance(look, CallLook):
        if look.call.cmdlet == "Get-CsUser":
            return CallAnswer(at=AT, count=4213)
        if dict(look.call.params).get("PoolFqdn") == "fe1.ocsguy.local" and "Status" in look.call.cmdlet:
            return CallAnswer(at=AT, errors=("no endpoint listening on TCP port 9001",))
        return rows_of(look.call.cmdlet, estate, "fe2") or CallAnswer(at=AT, errors=(CMS_DEAD,))
    return SampleAnswer(at=AT, good_at="2026-11-22T03:02:31.000Z")


def answers(estate: Estate, pool: str = "fe1") -> dict[str, AnyAnswer]:
    """All answers by look."""
    return {look.id: answer(look, estate) for look in looks(estate, pool)}


def lost_london(estate: Estate | None = None) -> Facts:
    """Everything a survey finds out when London is dark."""
    estate = estate or practice()
    return read_facts(estate, "fe1", answers(estate))
