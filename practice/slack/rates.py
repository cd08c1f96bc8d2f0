"""How often each method may be called.

Slack counts per method, workspace and app in tiers (1: 1 a minute, 2: 20, 3: 50, 4: 100, bursts tolerated),
and posting at about one message per second and channel (Slack API documentation, "Rate limits"). A bucket
holds the burst and fills at the tier's speed; an empty one answers 429 with whole seconds in ``Retry-After``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

TIER = {1: 1.0, 2: 20.0, 3: 50.0, 4: 100.0}
SPECIAL = 600.0  # "hundreds of calls a minute" for the methods without a tier

METHOD_PER_MINUTE: dict[str, float] = {
    "apps.connections.open": TIER[1],
    "auth.test": SPECIAL,
    "chat.postMessage": SPECIAL,
    "chat.postEphemeral": TIER[4],
    "chat.update": TIER[3],
    "chat.delete": TIER[3],
    "chat.getPermalink": SPECIAL,
    "conversations.open": TIER[3],
    "conversations.info": TIER[3],
    "conversations.members": TIER[4],
    "conversations.list": TIER[2],
    "conversations.history": TIER[3],
    "conversations.replies": TIER[3],
    "users.info": TIER[4],
    "usergroups.list": TIER[2],
    "usergroups.users.list": TIER[2],
    "views.open": TIER[4],
    "views.push": TIER[4],
    "views.update": TIER[4],
    "files.getUploadURLExternal": TIER[4],
    "files.completeUploadExternal": TIER[4],
    "team.info": TIER[3],
}
# Reconnecting clients ask for a socket several times in a row; Slack tolerates that beyond one a minute.
METHOD_BURST: dict[str, float] = {"apps.connections.open": 20}
PER_CHANNEL_PER_MINUTE = 60.0
PER_CHANNEL_BURST = 5.0


@dataclass
class Bucket:
    """Tokens that fill at ``per_minute`` up to ``burst``; times are seconds of a monotonic clock."""

    per_minute: float
    burst: float
    level: float
    at: float

    def take(self, now: float) -> int:
        """Take one token and return 0, or take none and return the whole seconds to wait (at least 1)."""
        self.level = min(self.burst, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.level >= 1:
            self.level -= 1
            return 0
        return max(1, math.ceil((1 - self.level) * 60 / self.per_minute))


@dataclass
class Rates:
    """All buckets of a workspace. ``enabled=False`` is for tests that look at something else."""

    enabled: bool = True
    per_minute: dict[str, float] = field(default_factory=lambda: dict(METHOD_PER_MINUTE))
    burst: dict[str, float] = field(default_factory=lambda: dict(METHOD_BURST))
    channel_per_minute: float = PER_CHANNEL_PER_MINUTE
    channel_burst: float = PER_CHANNEL_BURST
    buckets: dict[tuple[str, ...], Bucket] = field(default_factory=dict)

    def wait_for(self, app: str, method: str, channel: str, now: float) -> int:
        """Return 0 when the call may go on, else the seconds for ``Retry-After``."""
        if not self.enabled or method not in self.per_minute:
            return 0
        limit = self.per_minute[method]
        wait = self._take((app, method), limit, self.burst.get(method, limit), now)
        if not wait and method == "chat.postMessage" and channel:
            wait = self._take((app, method, channel), self.channel_per_minute, self.channel_burst, now)
        return wait

    def _take(self, key: tuple[str, ...], per_minute: float, burst: float, now: float) -> int:
        bucket = self.buckets.get(key)
        if bucket is None:
            bucket = self.buckets[key] = Bucket(per_minute, burst, burst, now)
        return bucket.take(now)
