"""This host's own copy of what it was told: the witness against a store that lost its end or was rewritten.

One file of lines for each journal and writer. It is written after the store accepted and before the caller is
told, and it is on the disk before the caller is told. Nothing here is ever deleted.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from incident.journal import CopyTrouble, JournalDiffers


class Copies:
    """The copies in one directory. Processes may share it: each writing takes the lock of that one file.

    The file is opened for each use: a forked process must not inherit a lock or a position.
    """

    def __init__(self, directory: Path) -> None:
        self._dir = directory

    def path(self, incident: str) -> Path:
        """Where the copy of this journal lies."""
        return self._dir / f"{incident}.jsonl"

    def lines(self, incident: str, after: int = 0) -> list[bytes]:
        """The lines copied so far after number `after`. Half a line at the end, left by a crash, does not count."""
        try:
            with self.path(incident).open("rb") as file:
                lines = file.readlines()
        except FileNotFoundError:
            return []
        except OSError as bad:
            raise self._unreadable(incident, bad) from None
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        return lines[after:]

    def add(self, incident: str, after: int, lines: Sequence[bytes]) -> None:
        """Writes the lines that follow number `after`, those that another process of this host wrote excepted.

        Raises `CopyTrouble`; `JournalDiffers` where another process copied something else in that place.
        """
        if not lines:
            return
        try:
            with self._locked(incident) as file:
                stands = file.readlines()
                if stands and not stands[-1].endswith(b"\n"):
                    half = stands.pop()
                    file.truncate(file.tell() - len(half))
                if len(stands) < after:
                    raise CopyTrouble(
                        f"The copy {self.path(incident)} ends at record {len(stands)}, before record {after}, which "
                        f"this process saw in it. Somebody shortened the file; put it back or move it away."
                    )
                there = stands[after : after + len(lines)]
                for number, (old, new) in enumerate(zip(there, lines, strict=False), after + 1):
                    if old != new:
                        raise JournalDiffers(incident, number)
                file.seek(0, os.SEEK_END)
                file.write(b"".join(lines[len(there) :]))
                file.flush()
                os.fsync(file.fileno())
        except OSError as bad:
            raise CopyTrouble(
                f"This host cannot write its own copy {self.path(incident)} ({bad.strerror}). The record is in the "
                f"store, but it does not count here until it is copied. Make room or give the rights back."
            ) from None

    @contextmanager
    def _locked(self, incident: str) -> Iterator[IO[bytes]]:
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = not self.path(incident).exists()
        with self.path(incident).open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if fresh:
                self._keep_name()
            file.seek(0)
            yield file

    def _keep_name(self) -> None:
        """A new file is only safe once its directory is on the disk too."""
        handle = os.open(self._dir, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _unreadable(self, incident: str, bad: OSError) -> CopyTrouble:
        return CopyTrouble(f"This host's copy {self.path(incident)} cannot be read ({bad.strerror}).")
