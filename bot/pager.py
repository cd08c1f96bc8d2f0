"""Rings the pager at a declaration: PagerDuty Events v2, or plain JSON for anything else that takes a webhook.

Field names are those of PagerDuty's Events API v2 (developer.pagerduty.com): `routing_key`, `event_action`,
`dedup_key`, `payload` with `summary`, `source`, `severity`. The URL, and for PagerDuty the routing key in its
`#fragment`, is a secret and never printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urldefrag

import requests

from bot.draw import story, untrusted
from bot.draw.reader import Reader, thousands
from incident.policy import PagerPolicy
from incident.state import Incident

TIMEOUT_S: Final = 5


@dataclass(frozen=True)
class Rung:
    """Whether the pager took it."""

    ok: bool
    sentence: str


def body(state: Incident, policy: PagerPolicy, reader: Reader, routing_key: str) -> dict[str, Any]:
    """What is sent. One alert for each incident: repeated rings carry the same key."""
    d = state.declared
    summary = (
        f"DISASTER DECLARED {story.pool_at(state)}, {thousands(d.users)} users. Approval needed: fail over to "
        f"{d.partner} {d.partner_site}. Open Slack."
    )
    if state.hard_stop is not None:
        why = untrusted.line(reader.mask(state.hard_stop.text), 200)
        summary = (
            f"NO PLAN for {story.pool_at(state)}, {thousands(d.users)} users: {why} Nothing to approve; open Slack."
        )
    if policy.form == "pagerduty-v2":
        return {
            "routing_key": routing_key,
            "event_action": "trigger",
            "dedup_key": f"lync-dr/{state.id}",
            "payload": {
                "summary": summary, "source": d.pool, "severity": "critical", "component": "lync-dr",
                "custom_details": {"incident": state.id, "deadline": reader.stamp(story.deadline(state))},
            },
        }  # fmt: skip
    return {
        "incident": state.id, "summary": summary, "pool": d.pool, "site": d.site, "partner": d.partner,
        "declared_by": reader.actor(d.actor), "declared_at": reader.stamp(state.declared_at),
        "deadline": reader.stamp(story.deadline(state)), "practice": d.practice,
    }  # fmt: skip


def ring(
    url: str, state: Incident, policy: PagerPolicy, reader: Reader, pause: Callable[[float], object] = time.sleep
) -> Rung:
    """Post it, up to `policy.tries` times; the outcome is a value, never an exception."""
    address, key = urldefrag(url)
    made, why = body(state, policy, reader, key), "it was not tried"
    for attempt in range(policy.tries):
        try:
            said = requests.post(address, json=made, timeout=TIMEOUT_S)
        except requests.RequestException as bad:
            why = f"it cannot be reached ({type(bad).__name__})"
        else:
            if said.status_code < 300:
                return Rung(True, f"The pager took it ({said.status_code}).")
            why = f"it answered {said.status_code}"
            if said.status_code < 500 and said.status_code != 429:
                break
        if attempt + 1 < policy.tries:
            pause(min(4.0, 0.5 * 2**attempt))
    return Rung(False, f"The pager did not take it: {why}. Check the URL of the secret “{policy.url}”.")
