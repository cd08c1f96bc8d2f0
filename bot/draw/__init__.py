"""From an incident's state to what Slack shows: pure functions, classic blocks, one boundary for untrusted text."""
