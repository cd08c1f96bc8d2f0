"""The one door to the servers: what can be asked of a remote host, and the few ways it can answer.

Everything a worker does on a server goes through :class:`Remote`. The answers are values, not exceptions, because
each of them leads to a different decision and none may be overlooked:

=========== =============================================================== =====================================
answer      what is certain                                                 what usually follows
=========== =============================================================== =====================================
`Done`      the call ended and reported no error                            read back
`RedText`   the call ended and reported errors                              show them, then read back
`Refused`   nothing was run                                                 say why; may be asked again
`Unknown`   the call may have been run, may still be running                read back, never repeat blindly
=========== =============================================================== =====================================

Sentences are ready for a person and never contain a secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

Value: TypeAlias = str | int | bool | tuple["str | int | bool | None", ...] | None
"""What a parameter or a property can be. No fractions: they do not survive a canonical record."""

Row: TypeAlias = Mapping[str, Value]
"""The wanted properties of one object. A property the object does not have is not a key; null is `None`."""


class CallLike(Protocol):
    """One cmdlet with ordered parameters and the properties wanted (`docs/runner-protocol.md` §2, §4)."""

    @property
    def cmdlet(self) -> str: ...
    @property
    def params(self) -> Sequence[tuple[str, Value]]: ...
    @property
    def want(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class RunId:
    """Names one attempt at one step of one incident; written in the journal before a byte is sent."""

    incident: str
    step: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.incident}/{self.step}/{self.attempt}"


@dataclass(frozen=True)
class Deadline:
    """A moment on this process's monotonic clock after which nobody waits any more."""

    at: float
    limit_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The deadline `seconds` from now."""
        return cls(time.monotonic() + seconds, seconds)

    def left(self) -> float:
        """Seconds until the deadline, 0 when it is over."""
        return max(0.0, self.at - time.monotonic())

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.at


@dataclass(frozen=True)
class RedLine:
    """One error record of PowerShell.

    `fqid`, `category` and `type` are not localised and safe to decide on; `message` and `text` are for people.
    `text` is the red text made safe to show (no control, colour or direction codes), `raw` is what came.
    """

    message: str
    text: str
    fqid: str = ""
    category: str = ""
    type: str = ""
    target: str = ""
    inner: str = ""
    terminating: bool = False
    raw: str = field(default="", repr=False)


@dataclass(frozen=True)
class Frame:
    """One thing the far side said while it was working.

    `tick` is not a word of the server: it is given at least every few seconds while nothing else comes, so that the
    caller can renew a lease or say "still running"; its `text` is empty, or says that the line is broken and being
    tried again. `call` is the call's number from `"1"` on, empty for hello and tick.
    """

    kind: Literal["hello", "verbose", "warning", "error", "noise", "tick"]
    text: str = ""
    call: str = ""
    red: RedLine | None = None


OnFrame: TypeAlias = Callable[[Frame], None]
"""Called in the caller's thread, in order, while the cmdlet runs. What it raises leaves `run` at once, and the
cmdlet goes on where it is."""


def ignore(_: Frame) -> None:
    """An :data:`OnFrame` for callers who only want the answer."""


StillMine: TypeAlias = Callable[[], str]
"""Asked just before the last byte of a call leaves: empty, or a sentence why it must not be sent any more. Opening a
shell takes up to half a minute, and the worker may have been frozen meanwhile. May be called in another thread than the
caller's."""


def nobody_else() -> str:
    """A :data:`StillMine` for callers whose call nobody can take away."""
    return ""


@dataclass(frozen=True)
class Done:
    """The call ended, the far side's own count and hash prove that nothing was lost, and it reported no error."""

    rows: tuple[Row, ...] = ()
    count: int = 0
    elapsed_ms: int = 0
    warnings: tuple[str, ...] = ()
    red: tuple[RedLine, ...] = ()

    @property
    def sentence(self) -> str:
        return f"It ended without errors after {self.elapsed_ms / 1000:.1f} s."


@dataclass(frozen=True)
class RedText:
    """The call ended and reported errors. What it changed nevertheless is for a read-back to find out."""

    red: tuple[RedLine, ...]
    rows: tuple[Row, ...] = ()
    count: int = 0
    elapsed_ms: int = 0
    warnings: tuple[str, ...] = ()
    terminated: bool = False

    @property
    def sentence(self) -> str:
        first = self.red[0].message if self.red else "an error without text"
        more = f" (and {len(self.red) - 1} more)" if len(self.red) > 1 else ""
        return f"It ended with red text: {first}{more}"


RefusedReason: TypeAlias = Literal[
    "configuration",
    "unreachable",
    "certificate",
    "credentials",
    "policy",
    "quota",
    "runner",
    "taken away",
    "left alone",
]
UnknownReason: TypeAlias = Literal["time", "connection", "server", "answer"]


@dataclass(frozen=True)
class Refused:
    """Nothing was run, for certain: it failed before the command was sent, or the far side never began."""

    sentence: str
    reason: RefusedReason = "unreachable"


@dataclass(frozen=True)
class Unknown:
    """The call may have been run and may be running still. `red` is what it had reported by then."""

    sentence: str
    reason: UnknownReason = "connection"
    red: tuple[RedLine, ...] = ()
    began: bool = False
    """The far side said that it had begun (its `hello` arrived)."""


Answer: TypeAlias = Done | RedText | Refused | Unknown


@dataclass(frozen=True)
class NeverStarted:
    """No trace of the run on the server: it may be started."""


@dataclass(frozen=True)
class Running:
    """The server says that the run is going on."""

    since: str = ""


@dataclass(frozen=True)
class Finished:
    """The server kept the run's end."""

    answer: Done | RedText


@dataclass(frozen=True)
class CannotTell:
    """The server keeps no trace of runs that would answer the question."""

    sentence: str


Trace: TypeAlias = NeverStarted | Running | Finished | CannotTell


class Remote(Protocol):
    """Carries out calls on hosts. Never raises for anything a server or the network does; never waits past a deadline
    by more than a few seconds. One object may be used by several threads at once."""

    def run(
        self,
        host: str,
        call: CallLike,
        run: RunId,
        deadline: Deadline,
        on_frame: OnFrame,
        still_mine: StillMine = nobody_else,
    ) -> Answer:
        """Carries out one call, if it is `still_mine` when the last byte is due; else the answer is `Refused`. At the
        deadline the cmdlet is left alone, not ended, and the answer is `Unknown`: half a failover is worse than a slow
        one."""
        ...

    def run_many(
        self, host: str, calls: Sequence[CallLike], run: RunId, deadline: Deadline, on_frame: OnFrame = ignore
    ) -> tuple[Answer, ...]:
        """Carries out looks (calls that change nothing) with one start of the runner; answers in the order of `calls`.

        Calls that had their answer before the line broke or the time was over keep it; the others are `Unknown`.
        What is still running at the deadline is ended.
        """
        ...

    def trace(self, host: str, run: RunId) -> Trace:
        """What the server knows about an earlier run. Run inline it keeps nothing: always `CannotTell`."""
        ...
