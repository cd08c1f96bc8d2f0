"""The lease: who looks after a run at the moment. It only says when another hand should look.

What fences a stale hand is the epoch in the journal, not this: a lease can lapse while its owner is frozen and
believes in it. It is still asked before every call, because the servers cannot check an epoch.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Protocol, Self


class Leases(Protocol):
    """What the journal offers: see `incident.journal.Journal`."""

    def lease(self, incident: str, owner: str, ttl_s: float) -> bool:
        """Takes or renews; False while another owner has it."""
        ...

    def release(self, incident: str, owner: str) -> None:
        """Lets go."""
        ...


class Lease:
    """One owner's lease on one incident, renewed by a thread until it is left. `held` may be asked at any time."""

    def __init__(self, leases: Leases, incident: str, owner: str, ttl_s: float) -> None:
        self._leases, self._incident, self._owner, self._ttl_s = leases, incident, owner, ttl_s
        self._until = 0.0
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease-{incident}", daemon=True)

    def take(self) -> bool:
        """Tries once. False: another hand is at work, or the store cannot say."""
        asked = time.monotonic()
        if not self._leases.lease(self._incident, self._owner, self._ttl_s):
            return False
        self._until = asked + self._ttl_s
        return True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._left.set()
        self._thread.join(timeout=self._ttl_s)
        self._until = 0.0
        try:
            self._leases.release(self._incident, self._owner)
        except Exception:
            # It lapses by itself; what matters was written to the journal before.
            return

    @property
    def held(self) -> bool:
        """Whether the lease certainly still stands: a renewal succeeded, and its time is not over."""
        return time.monotonic() < self._until

    def _renew(self) -> None:
        while not self._left.wait(self._ttl_s / 3):
            asked = time.monotonic()
            try:
                if self._leases.lease(self._incident, self._owner, self._ttl_s):
                    self._until = asked + self._ttl_s
                else:
                    self._until = 0.0
            except Exception:
                # An unreachable store renews nothing: `held` turns false when the time is over.
                continue
