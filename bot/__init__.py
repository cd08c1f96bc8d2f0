"""The conversation: Slack in, Slack out. Knows no WinRM."""
