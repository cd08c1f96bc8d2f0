"""The bot's own small books in Redis, beside the journal: what was posted, what was seen before, who narrates.

No record and no decision stands here. One hash a book; one-time marks and leases are plain keys with a lifetime
(redis.io, SET with NX and PX).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from incident.journal import Unreachable
from incident.journals.redis import place, trouble

_T = TypeVar("_T")
_LEASE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisNotes:
    """Notes of all bots of one installation. Every method may raise `Unreachable`."""

    def __init__(self, url: str, *, prefix: str = "lync-dr:") -> None:
        self._where = place(url)
        self._prefix = f"{prefix}bot:"
        self._client: Any = redis.Redis.from_url(
            url, retry=Retry(NoBackoff(), 1), socket_timeout=3, socket_connect_timeout=2, decode_responses=True
        )

    def _ask(self, what: Callable[[], _T]) -> _T:
        try:
            return what()
        except RedisError as bad:
            raise Unreachable(trouble(bad, self._where)) from None

    def book(self, name: str) -> Mapping[str, str]:
        """Everything in one book."""
        return dict(self._ask(lambda: self._client.hgetall(f"{self._prefix}book:{name}")))

    def get(self, name: str, key: str) -> str | None:
        """One entry of a book."""
        found = self._ask(lambda: self._client.hget(f"{self._prefix}book:{name}", key))
        return None if found is None else str(found)

    def put(self, name: str, key: str, value: str) -> None:
        """Writes or overwrites one entry."""
        self._ask(lambda: self._client.hset(f"{self._prefix}book:{name}", key, value))

    def claim(self, name: str, key: str, value: str) -> str | None:
        """Writes the entry if there is none and returns None; else returns what stands there."""
        if self._ask(lambda: self._client.hsetnx(f"{self._prefix}book:{name}", key, value)):
            return None
        return self.get(name, key)

    def once(self, key: str, keep_s: int) -> bool:
        """True for the first who asks with this key within `keep_s` seconds, over all bots."""
        return bool(self._ask(lambda: self._client.set(f"{self._prefix}once:{key}", "1", nx=True, ex=keep_s)))

    def lease(self, name: str, owner: str, ttl_s: float) -> bool:
        """Takes or renews a lease; False while another owner has it."""
        key = f"{self._prefix}lease:{name}"
        return bool(self._ask(lambda: self._client.eval(_LEASE, 1, key, owner, int(ttl_s * 1000))))

    def release(self, name: str, owner: str) -> None:
        """Lets a lease go, if it is this owner's."""
        self._ask(lambda: self._client.eval(_RELEASE, 1, f"{self._prefix}lease:{name}", owner))
