"""Remote shells and the processes in them, with the quotas of a Windows server."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from practice.winrm.messages import (
    INVALID_PARAMETER,
    QUOTA_MAX_OPERATIONS,
    QUOTA_MAX_SHELLS,
    WsmanFault,
    no_such,
)

#: Documented defaults (Installation and Configuration for Windows Remote Management, quotas).
MAX_SHELLS_PER_USER = 30
MAX_OPERATIONS_PER_USER = 1500
#: A pipe nobody reads holds this much; then the writer blocks, as on Windows.
_PIPE = 4 << 20


class ProcessEnded(Exception):
    """The process was terminated; whoever writes to it must stop."""


class Process:
    """One process: bytes in, two streams of bytes out, an exit code."""

    def __init__(self, command_id: str) -> None:
        self.command_id = command_id
        self._changed = threading.Condition()
        self._stdin = bytearray()
        self._stdin_ended = False
        self._out: list[tuple[str, bytes]] = []
        self._exit_code: int | None = None
        self._terminated = False

    @property
    def alive(self) -> bool:
        """Not terminated from outside."""
        return not self._terminated

    def feed(self, data: bytes, end: bool) -> None:
        """Standard input from the client."""
        with self._changed:
            self._stdin += data
            self._stdin_ended = self._stdin_ended or end
            self._changed.notify_all()

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes of standard input, or fewer at its end. Blocks; raises `ProcessEnded`."""
        with self._changed:
            while len(self._stdin) < size and not self._stdin_ended:
                if self._terminated:
                    raise ProcessEnded
                self._changed.wait()
            data = bytes(self._stdin[:size])
            del self._stdin[:size]
            return data

    def write(self, stream: str, data: bytes) -> None:
        """Output of the process; blocks while the pipe is full, raises `ProcessEnded` once terminated."""
        with self._changed:
            while not self._terminated and sum(len(d) for _, d in self._out) > _PIPE:
                self._changed.wait()
            if self._terminated:
                raise ProcessEnded
            self._out.append((stream, data))
            self._changed.notify_all()

    def finish(self, exit_code: int) -> None:
        """The process ended by itself."""
        with self._changed:
            if self._exit_code is None:
                self._exit_code = exit_code
            self._changed.notify_all()

    def terminate(self) -> None:
        """Signal terminate, or the shell went away."""
        with self._changed:
            self._terminated = True
            if self._exit_code is None:
                self._exit_code = 1
            self._changed.notify_all()

    def receive(self, timeout_s: float, limit: int) -> tuple[list[tuple[str, bytes]], int | None] | None:
        """Output so far, at most `limit` raw bytes, and the exit code once all is out; None after `timeout_s`."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while not self._out and self._exit_code is None:
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            taken: list[tuple[str, bytes]] = []
            room = limit
            while self._out and room > 0:
                stream, data = self._out.pop(0)
                taken.append((stream, data[:room]))
                if len(data) > room:
                    self._out.insert(0, (stream, data[room:]))
                room -= len(taken[-1][1])
            self._changed.notify_all()
            return taken, None if self._out else self._exit_code


@dataclass
class Shell:
    """One remote shell of one user. Times are monotonic seconds."""

    shell_id: str
    owner: str
    idle_timeout_s: float
    codepage: int
    created: float
    used: float
    processes: dict[str, Process] = field(default_factory=dict)
    operations: int = 0


class Shells:
    """All shells of one host."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shells: dict[str, Shell] = {}
        self._lock = threading.Lock()

    def create(self, owner: str, idle_timeout_s: float, codepage: int, wanted: str = "") -> Shell:
        """Open a shell, or refuse it by quota."""
        with self._lock:
            self._expire()
            if sum(1 for shell in self._shells.values() if shell.owner == owner) >= MAX_SHELLS_PER_USER:
                raise WsmanFault(
                    QUOTA_MAX_SHELLS,
                    "The WS-Management service cannot process the request. This user is allowed a maximum number of "
                    f"{MAX_SHELLS_PER_USER} concurrent shells, which has been exceeded. Close existing shells or "
                    "raise the quota for this user.",
                    "w:QuotaLimit",
                )
            now = self._clock()
            shell_id = wanted or str(uuid.uuid4()).upper()
            shell = Shell(shell_id, owner, idle_timeout_s, codepage, now, now)
            self._shells[shell_id] = shell
            return shell

    def get(self, shell_id: str, owner: str) -> Shell:
        """The shell of that id, if it is this user's."""
        with self._lock:
            self._expire()
            shell = self._shells.get(shell_id)
            if shell is None or shell.owner != owner:
                raise no_such("shell")
            shell.used = self._clock()
            return shell

    def start(self, shell: Shell, command_id: str) -> Process:
        """A new process. Operations count until the shell is deleted; Signal does not give them back."""
        with self._lock:
            command_id = command_id or str(uuid.uuid4()).upper()
            if command_id in shell.processes:
                raise WsmanFault(INVALID_PARAMETER, "The parameter is incorrect. ", "w:InvalidParameter")
            if shell.operations >= MAX_OPERATIONS_PER_USER:
                raise WsmanFault(
                    QUOTA_MAX_OPERATIONS,
                    "The WS-Management service cannot process the request. The maximum number of concurrent "
                    "operations for this user has been exceeded. Close existing operations for this user, or raise "
                    "the quota for this user.",
                    "w:QuotaLimit",
                )
            shell.operations += 1
            process = shell.processes[command_id] = Process(command_id)
            return process

    def process(self, shell: Shell, command_id: str) -> Process:
        with self._lock:
            if command_id not in shell.processes:
                raise no_such("command")
            return shell.processes[command_id]

    def forget(self, shell: Shell, command_id: str) -> None:
        """Signal terminate: the process ends and its id with it."""
        with self._lock:
            process = shell.processes.pop(command_id, None)
        if process is not None:
            process.terminate()

    def delete(self, shell_id: str) -> None:
        """Close a shell and kill what runs in it."""
        with self._lock:
            shell = self._shells.pop(shell_id, None)
        for process in shell.processes.values() if shell else ():
            process.terminate()

    def delete_all(self) -> None:
        """The host went dark."""
        for shell_id in list(self._shells):
            self.delete(shell_id)

    def _expire(self) -> None:
        now = self._clock()
        for shell in [s for s in self._shells.values() if now - s.used > s.idle_timeout_s]:
            self._shells.pop(shell.shell_id)
            for process in shell.processes.values():
                process.terminate()
