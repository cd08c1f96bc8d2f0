"""The memory: events, decisions, approval, clocks, audit. Knows no Slack and no WinRM."""
