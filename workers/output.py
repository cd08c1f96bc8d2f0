"""What a step's cmdlet said, on its way to the record: batched, bounded, and kept whole beside the journal.

A verbose cmdlet can say thousands of lines a minute. The record gets them in batches (at most one a second or 8 KiB at
a time; errors at once) and no more than 1 MiB of them per step; after that they are counted. Everything, also what the
record leaves out, goes redacted into one file named by its own SHA-256, so that the record can point to it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers.redact import Redactor
from workers.remote.door import Frame

BATCH_SECONDS = 1.0
BATCH_BYTES = 8 * 1024
STEP_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Line:
    """One line or record of output as the journal keeps it. `kind` is that of the frame it came from."""

    kind: str
    text: str


@dataclass(frozen=True)
class Batch:
    """Lines for one record. `left_out` counts bytes of this step that the record does not hold (running total)."""

    lines: tuple[Line, ...]
    left_out: int = 0
    urgent: bool = False


@dataclass(frozen=True)
class Blob:
    """Where the whole output lies: SHA-256 of the file, its length in bytes, and its path."""

    sha256: str
    size: int
    path: Path


class Blobs:
    """Files named by the SHA-256 of their content, under the state directory. Writing the same twice is harmless."""

    def __init__(self, state_dir: Path) -> None:
        self._dir = state_dir / "blobs"

    def path(self, sha256: str) -> Path:
        return self._dir / sha256[:2] / sha256

    def draft(self) -> Draft:
        """A file that is being written and has no name yet."""
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Draft(self)

    def put(self, content: bytes) -> Blob:
        """Keeps `content` and says under which name."""
        draft = self.draft()
        draft.write(content)
        return draft.keep()


class Draft:
    """A blob in the making: hashed while it is written, named and made durable by :meth:`keep`."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        handle, name = tempfile.mkstemp(prefix=".draft-", dir=blobs.path("00").parent.parent)
        self._file = os.fdopen(handle, "wb")
        self._name = Path(name)
        self._sha = hashlib.sha256()
        self._size = 0

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._sha.update(content)
        self._size += len(content)

    def keep(self) -> Blob:
        """Gives the file its name, after its content has reached the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        digest = self._sha.hexdigest()
        place = self._blobs.path(digest)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.replace(self._name, place)
        return Blob(digest, self._size, place)

    def drop(self) -> None:
        """Forgets the file."""
        self._file.close()
        self._name.unlink(missing_ok=True)


class StepOutput:
    """Takes the frames of one step's attempt and gives batches for the record.

    Use it as the `on_frame` of a run (ticks let a batch out when its second is over) and call :meth:`close` at the end.
    `send` is called in the same thread and may raise (a fenced journal does): the run is then left at once.
    """

    def __init__(
        self,
        send: Callable[[Batch], None],
        redactor: Redactor,
        blobs: Blobs | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._redactor = redactor
        self._draft = blobs.draft() if blobs else None
        self._clock = clock
        self._lines: list[Line] = []
        self._waiting = 0
        self._kept = 0
        self._left_out = 0
        self._told = 0
        self._sent_at = float("-inf")

    def __call__(self, frame: Frame) -> None:
        """Takes one frame."""
        if frame.kind in ("verbose", "warning", "noise", "error"):
            self._take(frame)
        if frame.kind == "error" or self._due():
            self.flush(urgent=frame.kind == "error")

    def _take(self, frame: Frame) -> None:
        text = self._redactor.text(frame.red.text if frame.red else frame.text)
        if self._draft:
            whole = self._redactor.text(frame.red.raw) if frame.red and frame.red.raw else text
            self._draft.write(f"{frame.kind}: {whole}\n".encode("utf-8", "replace"))
        size = len(text.encode("utf-8", "replace"))
        room = STEP_BYTES - self._kept
        # An error is always kept, shortened if need be: it is what people will look for.
        if size > room and frame.kind == "error":
            text = text.encode("utf-8", "replace")[: max(room, 4096)].decode("utf-8", "ignore")
            self._left_out += size - len(text.encode())
            size = len(text.encode())
        elif size > room:
            self._left_out += size
            return
        for part in _parts(text):
            part_size = len(part.encode("utf-8", "replace"))
            if self._lines and self._waiting + part_size > BATCH_BYTES:
                self.flush()
            self._lines.append(Line(frame.kind, part))
            self._waiting += part_size
            self._kept += part_size

    def _due(self) -> bool:
        something = bool(self._lines) or self._left_out > self._told
        return something and (self._waiting >= BATCH_BYTES or self._clock() - self._sent_at >= BATCH_SECONDS)

    def flush(self, *, urgent: bool = False) -> None:
        """Sends what is waiting, if anything."""
        if not self._lines and self._left_out == self._told:
            return
        batch = Batch(tuple(self._lines), self._left_out, urgent)
        self._lines, self._waiting, self._told = [], 0, self._left_out
        self._sent_at = self._clock()
        self._send(batch)

    def close(self) -> Blob | None:
        """Sends the rest and keeps the whole; None if no blobs are kept."""
        self.flush()
        draft, self._draft = self._draft, None
        return draft.keep() if draft else None


def _parts(text: str) -> list[str]:
    """The text in pieces of at most one batch, so that one giant record does not make one giant line."""
    if len(text) * 4 <= BATCH_BYTES:
        return [text]
    size = BATCH_BYTES // 4
    return [text[i : i + size] for i in range(0, len(text), size)]
