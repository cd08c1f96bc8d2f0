"""A practice Slack workspace: one process that answers Slack's Web API and Socket Mode on loopback.

Start it with ``python -m practice.slack --state DIR --port 0 --ready FILE``. It is as strict as Slack where
strictness matters to a bot at three in the morning (tokens, scopes, membership, sizes, rates, three-second
acknowledgements, who sees what), and it shows, in a browser or over HTTP, exactly what each person would see.
"""
