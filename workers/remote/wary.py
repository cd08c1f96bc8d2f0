"""A host that turned our account away is looked at less and less often, so that Windows does not lock the account.

Each refused logon counts, and an account is locked after a few of them (Microsoft, "Account lockout threshold"); a
survey every ten seconds with a wrong password would be enough. What is held back are looks: surveys, samples,
read-backs. A call of an approved step goes through: it is sent once, and again only after a person's word.

The book lies beside the worker's own key and outlives each job's process. A denial belongs to one host and one secret:
another password is tried at once. A worker that is started anew begins with an empty book.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from workers.remote.door import (
    Answer,
    CallLike,
    CannotTell,
    Deadline,
    OnFrame,
    Refused,
    Remote,
    RunId,
    StillMine,
    Trace,
    ignore,
    nobody_else,
)

FIRST_PAUSE_S: Final = 120
LONGEST_PAUSE_S: Final = 1800
"""How long a host that turned our account away is left alone: first, and at most, in seconds."""


def pause_after(before_s: int) -> int:
    """The next pause: it doubles. `before_s` is the last one, 0 for none."""
    return min(2 * before_s, LONGEST_PAUSE_S) if before_s else FIRST_PAUSE_S


def seal_of(sign: Callable[[bytes], bytes], username: str, password: str) -> str:
    """Names an account and its password without telling either, also to whoever reads the book: only the owner of the
    key could compare."""
    return hashlib.sha256(sign(hashlib.sha256(f"wary\0{username}\0{password}".encode()).digest())).hexdigest()[:32]


class Book:
    """What hosts did to our account, in one small file that processes of this worker share."""

    def __init__(self, path: Path, now_s: Callable[[], float] = time.time) -> None:
        self._path, self._now_s = path, now_s

    def clear(self) -> None:
        """Forgets everything."""
        with self._open() as (_, write):
            write({})

    def held(self, host: str, seal: str) -> bool:
        """Whether the host is to be left alone now."""
        with self._open() as (book, _):
            one = book.get(host)
            return one is not None and one["seal"] == seal and self._now_s() < one["until"]

    def denied(self, host: str, seal: str) -> None:
        """The host turned the account away."""
        with self._open() as (book, write):
            old, now = book.get(host), self._now_s()
            if old is not None and old["seal"] == seal and now < old["until"]:
                # Several looks went out together: one mistake, one pause.
                return
            pause = pause_after(old["pause"] if old is not None and old["seal"] == seal else 0)
            write(book | {host: {"seal": seal, "pause": pause, "until": now + pause}})

    def let_in(self, host: str) -> None:
        """The host took the account."""
        with self._open() as (book, write):
            if host in book:
                write({name: one for name, one in book.items() if name != host})

    @contextmanager
    def _open(self) -> Iterator[tuple[dict[str, Any], Callable[[Mapping[str, Any]], None]]]:
        """The book and how to write it, under its lock. A book that cannot be read or written holds nobody back."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = self._path.open("a+", encoding="utf-8")
        except OSError:
            yield {}, lambda _: None
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)

            def write(book: Mapping[str, Any]) -> None:
                file.seek(0)
                file.truncate()
                file.write(json.dumps(book))
                file.flush()

            yield _read(file.read()), write


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {h: e for h, e in entries if isinstance(e, dict) and {"seal", "pause", "until"} <= e.keys()}


class Wary:
    """A :class:`Remote` that leaves such hosts alone. `seals` is host -> `seal_of` its account."""

    def __init__(self, remote: Remote, seals: Mapping[str, str], book: Book) -> None:
        self._remote, self._seals, self._book = remote, seals, book

    def run(
        self,
        host: str,
        call: CallLike,
        run: RunId,
        deadline: Deadline,
        on_frame: OnFrame,
        still_mine: StillMine = nobody_else,
    ) -> Answer:
        """See `Remote`. Never held back, but what became of it is noted."""
        answer = self._remote.run(host, call, run, deadline, on_frame, still_mine)
        self._note(host, (answer,))
        return answer

    def run_many(
        self, host: str, calls: Sequence[CallLike], run: RunId, deadline: Deadline, on_frame: OnFrame = ignore
    ) -> tuple[Answer, ...]:
        """See `Remote`. A host that turned the account away is not connected to before its pause is over."""
        if host in self._seals and self._book.held(host, self._seals[host]):
            said = (
                f"{host} turned the account away; it is asked less often now, so that Windows does not lock the "
                "account. Look whether the password is right; another one is tried at once."
            )
            return tuple(Refused(said, "left alone") for _ in calls)
        answers = self._remote.run_many(host, calls, run, deadline, on_frame)
        self._note(host, answers)
        return answers

    def trace(self, host: str, run: RunId) -> Trace:
        """See `Remote`."""
        if host in self._seals and self._book.held(host, self._seals[host]):
            return CannotTell(f"{host} turned the account away and is left alone for a while.")
        return self._remote.trace(host, run)

    def _note(self, host: str, answers: Sequence[Answer]) -> None:
        if host not in self._seals or not answers:
            return
        refused = [a for a in answers if isinstance(a, Refused)]
        if any(a.reason == "credentials" for a in refused):
            self._book.denied(host, self._seals[host])
        elif len(refused) < len(answers):
            self._book.let_in(host)
