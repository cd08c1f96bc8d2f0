"""The host's own log: every cmdlet as it arrived, in order, and everything it turned away."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any


def stamp() -> str:
    """Now, as RFC 3339 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Entry:
    """One cmdlet call or one refusal. `outcome`: running, ok, red, lost (power went) or refused."""

    number: int
    host: str
    at: str
    literal: str
    cmdlet: str = ""
    params: list[list[Any]] = field(default_factory=list)
    changing: bool = False
    run: str = ""
    call: str = ""
    outcome: str = "running"
    ended: str = ""
    errors: list[str] = field(default_factory=list)


class CallBook:
    """Append-only in memory; handed out whole by the control page."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def begin(
        self, text: str, cmdlet: str, params: Sequence[tuple[str, Any]], changes: bool, run: str, call: str
    ) -> Entry:
        """Note a call before anything of it happens."""
        with self._lock:
            entry = Entry(
                len(self._entries) + 1,
                self._host,
                stamp(),
                text,
                cmdlet,
                [[name, value] for name, value in params],
                changes,
                run,
                call,
            )
            self._entries.append(entry)
        return entry

    def end(self, entry: Entry, outcome: str, errors: Sequence[str]) -> None:
        """Note how it ended."""
        with self._lock:
            entry.outcome, entry.ended, entry.errors = outcome, stamp(), list(errors)

    def refuse(self, text: str, why: str) -> None:
        """Note something that was turned away and touched nothing."""
        with self._lock:
            now = stamp()
            self._entries.append(
                Entry(len(self._entries) + 1, self._host, now, text, outcome="refused", ended=now, errors=[why])
            )

    def entries(self) -> list[dict[str, Any]]:
        """Everything so far, as plain data."""
        with self._lock:
            return [asdict(entry) for entry in self._entries]
