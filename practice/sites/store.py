"""The Central Management Store: the one configuration of a deployment, and the replicas of it on each server."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from practice.host.callbook import stamp


@dataclass
class ConfigStore:
    """Contents of one `xds` database. `master` is the pool whose Master Replicator runs on it, empty for none."""

    revision: int
    master: str
    edges: dict[str, str]
    pool_state: dict[str, str]
    changed: str = field(default_factory=stamp)

    def write(self, change: Mapping[str, Any]) -> None:
        """Apply `{"edges": {...}, "pool_state": {...}, "master": …}`; one revision each time."""
        self.edges |= change.get("edges", {})
        self.pool_state |= change.get("pool_state", {})
        self.master = change.get("master", self.master)
        self.revision += 1
        self.changed = stamp()

    def data(self) -> dict[str, Any]:
        return asdict(self)

    def copy(self) -> ConfigStore:
        return copy.deepcopy(self)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> ConfigStore:
        return cls(**data)


@dataclass
class Replica:
    """The read-only copy on one server (RTCLOCAL). `due` is the monotonic second at which it has caught up."""

    store: ConfigStore
    due: float | None = None

    def offer(self, store: ConfigStore, now: float, delay: float) -> None:
        """Master replication: a newer revision arrives, but only after `delay` seconds."""
        if store.revision <= self.store.revision:
            self.due = None
        elif self.due is None:
            self.due = now + delay
        if self.due is not None and now >= self.due:
            self.store, self.due = store.copy(), None


@dataclass
class Report:
    """What a replica last said of itself."""

    revision: int
    at: str
