"""Everything a worker works with, put together once by its root and handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from incident.desk import Desk
from incident.doorbell import Doorbell
from incident.journal import Journal, JournalError
from incident.keys import Keys
from incident.policy import ConfigDigests, Policy
from playbooks.estate import Estate
from workers.looking import Looker
from workers.output import Blobs
from workers.redact import Redactor
from workers.remote.door import Remote


class Own(Protocol):
    """What this worker was given itself, from its own files. Every judgement before the first act uses this and not
    what a record says about it."""

    @property
    def estate(self) -> Estate:
        """The estate."""
        ...

    @property
    def policy(self) -> Policy:
        """The policy."""
        ...

    def slices(self, pool: str) -> dict[str, Any]:
        """What of estate, endpoints and policy concerns the pair of `pool`: the digest of a plan covers it."""
        ...

    def digests(self, pool: str) -> ConfigDigests:
        """The digests a survey carries, so that a difference between hosts is seen before anybody approves."""
        ...


@dataclass(frozen=True)
class Tools:
    """A worker's journal, bell, eyes, hands and own files."""

    name: str
    """The worker's name in the record."""
    host: str
    desk: Desk
    bell: Doorbell
    remote: Remote
    looker: Looker
    own: Own
    redactor: Redactor
    blobs: Blobs | None = None
    keys: Keys = field(default_factory=Keys)
    """The writers this host knows."""
    sign: Callable[[bytes], bytes] | None = None
    """Signs a short-lived note as this worker; None: it leaves none."""
    lease_s: float = 15.0
    probe_s: float = 20.0
    """How long one look of a step may take, in seconds."""
    patience_s: float = 60.0
    """How long an outcome is kept in hand while the store is away, in seconds."""
    fresh_s: float = 15.0
    """A survey that ended at most this long ago counts at the start, in seconds."""
    alive: Callable[[], bool] = lambda: True
    """Whether the process this hand belongs to is still there."""

    rest: Callable[[], None] = lambda: None
    """Called when a job is over and its process is about to end: lets what is being closed be closed."""

    @property
    def journal(self) -> Journal:
        """The journal behind the desk."""
        return self.desk.journal

    def ring_others(self, incident: str) -> None:
        """Rings for every other open incident: one of them may have waited for what was just let go."""
        try:
            for listed in self.journal.incidents():
                if listed.open and listed.incident != incident:
                    self.bell.ring_act(listed.incident, listed.h)
        except JournalError:
            # The reconciler rings again within seconds; a bell is never worth a run.
            return
