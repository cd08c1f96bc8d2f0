"""The store in files: one directory, one file of lines for each journal, one file for everything else.

``tables.json`` is replaced in one rename, which is the moment of truth: lines behind the heads it names were
written by a process that died before that moment and are overwritten by the next. A lock file keeps processes
apart. It serves one host where no Redis is wanted, and it is slower (some fsyncs for every append).
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from incident.journal import Bell, Listed, NotStored, Unreachable
from incident.journals.memory import Tables
from incident.journals.store import Answer, Batch, Part, Stored

_LOOK_EVERY_S: Final = 0.05


class FileStore:
    """A store in a directory. Processes and threads of one host may share it."""

    def __init__(self, directory: Path) -> None:
        self._dir = directory
        self._threads = threading.RLock()

    def commit(self, batch: Batch) -> Answer:
        """Compares all, writes all. Raises `NotStored` where the disk refuses."""
        try:
            with self._locked():
                tables = self._tables()
                refused = tables.refuse(batch)
                if refused is not None:
                    return refused
                for part in batch.parts:
                    self._write_lines(part)
                tables.take_in(batch)
                self._replace("tables.json", tables.data())
        except OSError as bad:
            raise NotStored(
                f"The journal's directory {self._dir} cannot be written ({bad.strerror}). Nothing was stored. "
                f"Make room or give the rights back, then try again."
            ) from None
        return Stored()

    def lines(self, incident: str, after: int) -> Sequence[bytes]:
        """The lines after number `after`, as far as the head goes; a damaged file gives what is there."""
        with self._reading():
            seq, _ = self._tables().heads.get(incident, (0, ""))
            path = self._journal(incident)
            if seq == 0 or not path.exists():
                return ()
            with path.open("rb") as file:
                return tuple(file.readlines()[:seq][after:])

    def listed(self) -> Sequence[Listed]:
        """Every incident."""
        with self._reading():
            return self._tables().listed()

    def holds(self) -> Mapping[str, str]:
        """Hold -> incident."""
        with self._reading():
            return dict(self._tables().held)

    def bells(self, after: str, wait_s: float) -> Sequence[Bell]:
        """Looks for a bell after `after` until there is one or the time is up."""
        until = time.monotonic() + wait_s
        while True:
            with self._reading():
                found = self._tables().bells_after(after)
            if found or time.monotonic() >= until:
                return found
            time.sleep(_LOOK_EVERY_S)

    def last_bell(self) -> str:
        """The newest bell's id."""
        with self._reading():
            return str(self._tables().rung)

    def lease(self, incident: str, owner: str, ttl_s: float) -> bool:
        """Takes or renews, by the wall clock of this one host."""
        with self._reading():
            leases = self._leases()
            if leases.get(incident, (owner,))[0] != owner:
                return False
            leases[incident] = (owner, time.time() + ttl_s)
            self._replace("leases.json", leases)
            return True

    def leased_by(self, incident: str) -> str | None:
        """The owner whose lease has not run out."""
        with self._reading():
            lease = self._leases().get(incident)
            return None if lease is None else lease[0]

    def release(self, incident: str, owner: str) -> None:
        """Lets go."""
        with self._reading():
            leases = self._leases()
            if leases.get(incident, ("",))[0] == owner:
                del leases[incident]
                self._replace("leases.json", leases)

    def clock_offset_ms(self) -> int:
        """It is this host's own clock."""
        return 0

    def put_raw(self, incident: str, lines: Sequence[bytes]) -> None:
        """Replaces what stands there, as somebody with a hand in the store would. For tests of what is then said."""
        self._journal(incident).write_bytes(b"".join(lines))

    def _journal(self, incident: str) -> Path:
        return self._dir / f"{incident}.jsonl"

    def _write_lines(self, part: Part) -> None:
        """Writes behind record `part.seq`, over anything a dead process left there."""
        path = self._journal(part.incident)
        with path.open("r+b" if path.exists() else "w+b") as file:
            kept = sum(len(file.readline()) for _ in range(part.seq))
            file.truncate(kept)
            file.seek(kept)
            file.write(b"".join(part.lines))
            file.flush()
            os.fsync(file.fileno())

    def _tables(self) -> Tables:
        return Tables.of(self._load("tables.json"))

    def _leases(self) -> dict[str, tuple[str, float]]:
        now = time.time()
        return {name: (by, until) for name, (by, until) in self._load("leases.json").items() if until > now}

    def _load(self, name: str) -> dict[str, Any]:
        path = self._dir / name
        if not path.exists():
            return {}
        try:
            loaded = json.loads(path.read_bytes())
        except ValueError:
            loaded = None
        if not isinstance(loaded, dict):
            raise Unreachable(f"{path} is damaged and cannot be read. Put it back from a backup; change nothing else.")
        return loaded

    def _replace(self, name: str, data: dict[str, Any]) -> None:
        fresh = self._dir / f"{name}.new"
        with fresh.open("w") as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._dir / name)
        handle = os.open(self._dir, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with self._locked():
                yield
        except OSError as bad:
            raise Unreachable(f"The journal's directory {self._dir} cannot be read ({bad.strerror}).") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process and one thread at a time. The lock file is opened anew: a fork must not inherit a lock."""
        with self._threads:
            self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self._dir / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
