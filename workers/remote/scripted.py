"""A twin of the real remote that plays from a script, in memory: for tests of everything that stands behind the door.

It keeps the contract of :class:`workers.remote.door.Remote` (the same tests run against it and against real WinRM), and
its answers take the same way: what a scripted server says is turned into framed bytes and gathered from them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.redact import Redactor
from workers.remote.door import (
    Answer,
    CallLike,
    CannotTell,
    Deadline,
    Frame,
    OnFrame,
    Refused,
    RunId,
    StillMine,
    Trace,
    Unknown,
    ignore,
    nobody_else,
)
from workers.remote.gather import Gathering
from workers.remote.launch import CannotBeSent, prepare


@dataclass(frozen=True)
class Play:
    """What a scripted server does with one call.

    `verbose`, `warnings`, `errors` (message, or a mapping of an error frame's fields) and `rows` are reported in this
    order. `cut` breaks the line off after them; `hang` stays silent until the deadline; `waits_for` holds the end back
    until the event is set. `refused` turns the call away before anything is run.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    verbose: Sequence[str] = ()
    warnings: Sequence[str] = ()
    errors: Sequence[str | Mapping[str, Any]] = ()
    terminated: bool = False
    count: int | None = None
    ms: int = 0
    cut: bool = False
    hang: bool = False
    refused: str = ""
    waits_for: threading.Event | None = None


Answering = Callable[[str, CallLike], Play]
"""Given host and call, what the server does. Called once per call, in order, in the caller's thread."""


@dataclass(frozen=True)
class Seen:
    """One call as it reached a scripted server."""

    host: str
    cmdlet: str
    params: tuple[tuple[str, Any], ...]
    want: tuple[str, ...]
    run: RunId


@dataclass
class ScriptedRemote:
    """Plays `answering`; hosts in `dead` do not answer. `seen` holds every call that reached a server, in order."""

    answering: Answering
    dead: set[str] = field(default_factory=set)
    seen: list[Seen] = field(default_factory=list)

    def run(
        self,
        host: str,
        call: CallLike,
        run: RunId,
        deadline: Deadline,
        on_frame: OnFrame,
        still_mine: StillMine = nobody_else,
    ) -> Answer:
        """See :meth:`workers.remote.door.Remote.run`."""
        return self._play(host, (call,), run, deadline, on_frame, still_mine, looks=False)[0]

    def run_many(
        self, host: str, calls: Sequence[CallLike], run: RunId, deadline: Deadline, on_frame: OnFrame = ignore
    ) -> tuple[Answer, ...]:
        """See :meth:`workers.remote.door.Remote.run_many`."""
        calls = tuple(calls)
        return self._play(host, calls, run, deadline, on_frame, nobody_else, looks=True) if calls else ()

    def trace(self, host: str, run: RunId) -> Trace:
        """Like the real one run inline."""
        return CannotTell(f"{host} runs commands inline and keeps no trace of {run}.")

    def _play(
        self,
        host: str,
        calls: tuple[CallLike, ...],
        run: RunId,
        deadline: Deadline,
        on_frame: OnFrame,
        still_mine: StillMine,
        *,
        looks: bool,
    ) -> tuple[Answer, ...]:
        try:
            launch = prepare(run, calls)
        except CannotBeSent as error:
            return tuple(Refused(f"{error} Nothing was run.", "configuration") for _ in calls)
        if host in self.dead:
            return tuple(Refused(f"{host} does not answer. Nothing was run.") for _ in calls)
        if why := still_mine():
            return tuple(Refused(f"{why} Nothing was run.", "taken away") for _ in calls)
        far = FarSide(launch.nonce, str(run), len(calls))
        gathering = Gathering(host, launch.nonce, calls, Redactor(), looks=looks)

        def arrive(data: bytes) -> None:
            for frame in gathering.stdout(data):
                on_frame(frame)

        for number, call in enumerate(calls, 1):
            play = self.answering(host, call)
            if play.refused and not far.began:
                return tuple(Refused(play.refused, "policy") for _ in calls)
            if not far.began:
                arrive(far.hello())
            self.seen.append(Seen(host, call.cmdlet, tuple(call.params), tuple(call.want), run))
            arrive(far.says(str(number), call, play))
            if play.hang or play.cut or not _waited(play.waits_for, deadline, on_frame):
                if play.hang:
                    _waited(threading.Event(), deadline, on_frame)
                return _broke_off(gathering, host, play.cut, deadline)
            arrive(far.result(str(number), play))
        arrive(far.bye())
        _, answers = gathering.ended(0)
        return answers


def _waited(event: threading.Event | None, deadline: Deadline, on_frame: OnFrame) -> bool:
    """Waits for the event with ticks; False if the deadline came first."""
    while event is not None and not event.wait(min(0.5, deadline.left())):
        if deadline.over:
            return False
        on_frame(Frame("tick"))
    return True


def _broke_off(gathering: Gathering, host: str, cut: bool, deadline: Deadline) -> tuple[Answer, ...]:
    if cut:
        sentence = Unknown(f"{host} broke the connection off after the command was sent.").sentence
        return gathering.broke_off(f"{sentence} It may still be running.", "connection")
    return gathering.broke_off(
        f"{host} had not finished after {deadline.limit_s:g} s. It may still be working.", "time"
    )


class FarSide:
    """Speaks like the runner: makes framed bytes, counts and hashes them (`docs/runner-protocol.md` §3)."""

    def __init__(self, nonce: str, run: str, calls: int) -> None:
        self._nonce = nonce
        self._run = run
        self._calls = calls
        self._frames = 0
        self._errors = 0
        self._count = 0
        self._sha = hashlib.sha256()
        self.began = False

    def frame(self, kind: str, body: Mapping[str, Any]) -> bytes:
        """One frame as bytes with its line end."""
        code = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()
        line = f"@@{self._nonce} {kind} {code}\n".encode()
        if kind != "bye":
            self._frames += 1
            self._sha.update(line)
        return line

    def hello(self) -> bytes:
        """The first frame."""
        self.began = True
        body = {"v": 1, "run": self._run, "calls": self._calls, "host": "FE2", "user": "svc", "ps": "5.1.0"}
        return self.frame("hello", body)

    def says(self, number: str, call: CallLike, play: Play) -> bytes:
        """Everything a call reports before its result."""
        out = b"".join(self.frame("verbose", {"call": number, "text": text}) for text in play.verbose)
        out += b"".join(self.frame("warning", {"call": number, "text": text}) for text in play.warnings)
        for error in play.errors:
            fields = {"message": error} if isinstance(error, str) else dict(error)
            body = {"call": number, "terminating": play.terminated, "red": fields.get("message", ""), **fields}
            out += self.frame("error", body)
        if "@count" not in call.want:
            out += b"".join(self.frame("output", {"call": number, "row": dict(row)}) for row in play.rows)
        return out

    def result(self, number: str, play: Play) -> bytes:
        """The end of one call."""
        self._errors += len(play.errors)
        count = len(play.rows) if play.count is None else play.count
        body = {"call": number, "errors": len(play.errors), "count": count, "terminated": play.terminated}
        return self.frame("result", {**body, "ms": play.ms})

    def bye(self) -> bytes:
        """The last frame."""
        body = {"frames": self._frames, "sha256": self._sha.hexdigest(), "errors": self._errors, "lost": 0}
        return self.frame("bye", body)
