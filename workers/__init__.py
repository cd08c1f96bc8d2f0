"""The hands: surveys and approved plans over WinRM and DNS. Knows no Slack."""
