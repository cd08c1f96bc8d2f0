"""What the bot itself must remember across a restart: what was posted where, what was seen before, who narrates.

Nothing here is truth about an incident; losing it costs at worst a look back into the channel. It lies where all
bots of the installation see it: beside the journal in the store, or in the state directory for a single host.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol


class Notes(Protocol):
    """A few small books of text, one-time marks, and leases. May raise `incident.journal.Unreachable`."""

    def book(self, name: str) -> Mapping[str, str]:
        """Everything in one book."""
        ...

    def get(self, name: str, key: str) -> str | None:
        """One entry of a book."""
        ...

    def put(self, name: str, key: str, value: str) -> None:
        """Writes or overwrites one entry."""
        ...

    def claim(self, name: str, key: str, value: str) -> str | None:
        """Writes the entry if there is none and returns None; else returns what stands there."""
        ...

    def once(self, key: str, keep_s: int) -> bool:
        """True for the first who asks with this key within `keep_s` seconds, over all bots."""
        ...

    def lease(self, name: str, owner: str, ttl_s: float) -> bool:
        """Takes or renews a lease; False while another owner has it."""
        ...

    def release(self, name: str, owner: str) -> None:
        """Lets a lease go, if it is this owner's."""
        ...


class FileNotes:
    """Notes in one JSON file, shared by the processes of one host under a file lock. Written whole and fsynced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def _open(self, *, write: bool) -> Iterator[dict[str, Any]]:
        with self._lock, open(self._path.with_suffix(".lock"), "a+") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            try:
                data = json.loads(self._path.read_text("utf-8"))
            except FileNotFoundError:
                data = {"books": {}, "once": {}, "leases": {}}
            yield data
            if write:
                new = self._path.with_suffix(".new")
                with open(new, "w", encoding="utf-8") as out:
                    json.dump(data, out)
                    out.flush()
                    os.fsync(out.fileno())
                new.replace(self._path)

    def book(self, name: str) -> Mapping[str, str]:
        """See `Notes`."""
        with self._open(write=False) as data:
            return dict(data["books"].get(name, {}))

    def get(self, name: str, key: str) -> str | None:
        """See `Notes`."""
        return self.book(name).get(key)

    def put(self, name: str, key: str, value: str) -> None:
        """See `Notes`."""
        with self._open(write=True) as data:
            data["books"].setdefault(name, {})[key] = value

    def claim(self, name: str, key: str, value: str) -> str | None:
        """See `Notes`."""
        with self._open(write=True) as data:
            found = data["books"].setdefault(name, {}).setdefault(key, value)
            return None if found is value else str(found)

    def once(self, key: str, keep_s: int) -> bool:
        """See `Notes`."""
        now = time.time()
        with self._open(write=True) as data:
            data["once"] = {k: until for k, until in data["once"].items() if until > now}
            if key in data["once"]:
                return False
            data["once"][key] = now + keep_s
            return True

    def lease(self, name: str, owner: str, ttl_s: float) -> bool:
        """See `Notes`."""
        now = time.time()
        with self._open(write=True) as data:
            holder, until = data["leases"].get(name, ("", 0.0))
            if holder not in ("", owner) and until > now:
                return False
            data["leases"][name] = (owner, now + ttl_s)
            return True

    def release(self, name: str, owner: str) -> None:
        """See `Notes`."""
        with self._open(write=True) as data:
            if data["leases"].get(name, ("", 0))[0] == owner:
                del data["leases"][name]
