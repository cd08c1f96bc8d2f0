"""What the servers say when they refuse. Exact where a source prints the text; the rest is practice's own.

Exact: EDGE_NEXT_HOP (Microsoft, "Failing over a pool", Lync Server 2013), DCOM (johnacook.wordpress.com,
2015-05-26), NO_TEST_USER, NO_CLUSTER (Microsoft, "Testing user log on to the server"), HYDRATION (Microsoft, Lync
Server 2013 release notes), SQL (System.Data.SqlClient). The product's texts for the others are not published.
"""

from __future__ import annotations

from practice.host.redtext import RedText

_HADR = "Microsoft.Rtc.Management.Hadr."
_DEPLOY = "Microsoft.Rtc.Management.Deployment."


def edge_next_hop(pool: str) -> RedText:
    return RedText(
        f'This Front-end pool "{pool}" is specified in topology as the next hop for the Edge server. Failing over '
        "this pool may cause External access/Federation/Split-domain/XMPP features to stop working. Please use "
        "Topology Builder to change the Edge internal next hop setting to point to a different Front-end pool, "
        "before you proceed.",
        f"ProcessRecord,{_HADR}InvokePoolFailOverCmdlet",
        target=pool,
        target_type="Fqdn",
    )


def dcom(pool: str, cmdlet: str = "InvokePoolFailOverCmdlet") -> RedText:
    return RedText(
        f'Unable to connect to the servers in pool "{pool}" due to a Distributed Component Object Model (DCOM) '
        "error. Verify that Front End service is running on servers in this pool. If the pool is set up for load "
        "balancing, verify that load balancer is configured correctly.",
        f"ProcessRecord,{_HADR}{cmdlet}",
        "InvalidResult",
        pool,
        "Fqdn",
    )


def cms_dead(sql: str, implementing: str) -> RedText:
    """A cmdlet that reads the CMS, and its SQL instance does not answer."""
    return RedText(
        "Cannot access the Central Management Store. Could not connect to SQL server : "
        "[Exception=System.Data.SqlClient.SqlException (0x80131904): A network-related or instance-specific error "
        "occurred while establishing a connection to SQL Server. The server was not found or was not accessible. "
        f'Verify that the instance name is correct and that SQL Server "{sql}\\rtc" is configured to allow remote '
        "connections.]",
        f"ProcessRecord,{implementing}",
        "ResourceUnavailable",
        sql,
        exception="Microsoft.Rtc.Common.Data.SqlConnectionException",
    )


def cms_incomplete(pool: str) -> RedText:
    return RedText(
        f'Cannot fail over pool "{pool}": the Central Management Server has not been fully failed over. No active '
        "Central Management master can be reached. Complete the failover of the Central Management Server, then run "
        "Invoke-CsPoolFailOver again.",
        f"ProcessRecord,{_HADR}InvokePoolFailOverCmdlet",
        target=pool,
        target_type="Fqdn",
    )


def unpaired(pool: str) -> RedText:
    return RedText(
        f'Pool "{pool}" does not have a backup pool. Only a pool that is paired with another pool can be failed over.',
        f"ProcessRecord,{_HADR}InvokePoolFailOverCmdlet",
        "InvalidArgument",
        pool,
        "Fqdn",
    )


def unknown_pool(pool: str, implementing: str) -> RedText:
    return RedText(
        f'Cannot find pool "{pool}" in the topology.',
        f"ProcessRecord,{implementing}",
        "ObjectNotFound",
        pool,
        "Fqdn",
        "Microsoft.Rtc.Management.ADConnect.ManagementException",
    )


def partner_serving(pool: str, partner: str) -> RedText:
    return RedText(
        f'Pool "{pool}" cannot be failed over, because its backup pool "{partner}" is itself failed over. Pool '
        f'"{partner}" must be failed back first.',
        f"ProcessRecord,{_HADR}InvokePoolFailOverCmdlet",
        target=pool,
        target_type="Fqdn",
    )


def wrong_state(pool: str, state: str, wanted: str, implementing: str) -> RedText:
    return RedText(
        f'The operation is not valid for pool "{pool}" in state {state}. Expected state: {wanted}.',
        f"ProcessRecord,{_HADR}{implementing}",
        target=pool,
        target_type="Fqdn",
    )


def hydration(pool: str) -> RedText:
    return RedText(
        "Failed to complete hydration process after repeated attempts.",
        f"ProcessRecord,{_HADR}InvokePoolFailBackCmdlet",
        "InvalidResult",
        pool,
        "Fqdn",
    )


def not_the_standby(sql: str, instance: str, standby: str) -> RedText:
    return RedText(
        f'SQL Server "{sql}\\{instance}" is not the standby Central Management database. The topology defines '
        f'"{standby}\\rtc".',
        f"ProcessingFailed,{_DEPLOY}InvokeCmsFailoverCmdlet",
        "InvalidArgument",
        sql,
        "Fqdn",
    )


def cms_source_dead(sql: str) -> RedText:
    return RedText(
        f'Cannot fail over the Central Management Server: the current database on "{sql}\\rtc" cannot be reached, so '
        "replication cannot be completed. If it is lost, use -BackupSqlServerFqdn together with -Force.",
        f"ProcessingFailed,{_DEPLOY}InvokeCmsFailoverCmdlet",
        "ResourceUnavailable",
        sql,
        "Fqdn",
    )


def replication_unfinished(replicas: str) -> RedText:
    return RedText(
        f"Cannot fail over the Central Management Server: replication has not finished for {replicas}.",
        f"ProcessingFailed,{_DEPLOY}InvokeCmsFailoverCmdlet",
    )


def unknown_service(identity: str, implementing: str) -> RedText:
    return RedText(
        f'Cannot find service "{identity}" in the topology.',
        f"ProcessRecord,{implementing}",
        "ObjectNotFound",
        identity,
        exception="Microsoft.Rtc.Management.ADConnect.ManagementException",
    )


def backup_wcf(pool: str) -> RedText:
    return RedText(
        f'Cannot connect to the Backup Service of pool "{pool}": there was no endpoint listening on TCP port 9001 that '
        "could accept the message.",
        "ProcessRecord,Microsoft.Rtc.Management.Hadr.GetBackupServiceStatusCmdlet",
        "ConnectionError",
        pool,
        "Fqdn",
        "System.ServiceModel.EndpointNotFoundException",
    )


def no_test_user(pool: str, cmdlet: str) -> RedText:
    return RedText(
        f"There is no test user assigned for [{pool}]. Verify test user configuration.",
        f"NotFoundTestUsers,Microsoft.Rtc.Management.SyntheticTransactions.{cmdlet}",
        "ObjectNotFound",
        pool,
    )


def no_cluster(fqdn: str, cmdlet: str) -> RedText:
    return RedText(
        "Failed to read Registrar port number for the given fully qualified domain name (FQDN) "
        f"[{fqdn}]. No matching cluster found in topology.",
        f"ReadRegistrarPort,Microsoft.Rtc.Management.SyntheticTransactions.{cmdlet}",
        "InvalidOperation",
        fqdn,
    )
