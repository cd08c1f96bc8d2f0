"""The rehearsal: a Slack workspace, Lync sites, WinRM and DNS on loopback. Nobody imports it."""
