"""Processes side by side: started in order, watched, restarted when they die, and stopped by their own pid.

Used by `lync-dr practice all` and, through it, by the demo. On a real host systemd does this work; see
`docs/operations.md`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.processes import die_with_parent

GRACE_S = 8.0
"""Seconds a process has between SIGTERM and SIGKILL."""


class DidNotStart(Exception):
    """A process ended, or said nothing, before it was ready."""


@dataclass
class Part:
    """One process: how it is started and how one sees that it is ready."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    ready: Callable[[], bool] | None = None
    ready_within_s: float = 40.0
    restart: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    restarts: int = 0
    note: str = ""


class Supervisor:
    """Starts parts, wave by wave, and keeps them up. Use as a context: leaving it stops everything, newest wave first.

    `asked` ends a start that is under way, so that Ctrl-C need not wait for a slow part.
    """

    def __init__(self, say: Callable[[str], None], asked: threading.Event | None = None) -> None:
        self._say = say
        self._asked = asked or threading.Event()
        self._waves: list[list[Part]] = []
        self._stopping = threading.Event()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *parts: Part) -> None:
        """Start parts that do not need each other, side by side, and wait until each is ready.

        Raises DidNotStart with the end of the log of the one that failed.
        """
        wave: list[Part] = []
        self._waves.append(wave)
        for part in parts:
            self._spawn(part)
            wave.append(part)
        began = time.monotonic()
        for part in parts:
            self._await(part, began)

    def _await(self, part: Part, began: float) -> None:
        while part.ready is not None and not part.ready():
            assert part.process is not None
            code = part.process.poll()
            if code is not None:
                raise DidNotStart(f"{part.name} ended with exit code {code} before it was ready. {self._tail(part)}")
            if time.monotonic() > began + part.ready_within_s:
                raise DidNotStart(f"{part.name} was not ready within {part.ready_within_s:g} s. {self._tail(part)}")
            if self._asked.wait(0.05):
                raise DidNotStart(f"Stopped while {part.name} was starting.")

    def watch(self, until: threading.Event, every_s: float = 0.3) -> None:
        """Keep the parts up until `until` is set: one that ended is started again, and said."""
        while not until.wait(every_s):
            for part in self._parts():
                assert part.process is not None
                code = part.process.poll()
                if code is None or not part.restart or self._stopping.is_set():
                    continue
                part.restarts += 1
                self._say(f"{part.name} ended with exit code {code}; started again ({part.restarts}).")
                self._spawn(part)

    def stop(self) -> None:
        """Stop everything, newest wave first, so that nobody outlives what it needs and complains about that."""
        self._stopping.set()
        for wave in reversed(self._waves):
            self._stop(wave)
        self._waves.clear()

    @staticmethod
    def _stop(wave: Sequence[Part]) -> None:
        """SIGTERM to each part, then SIGKILL to what is left of its process group."""
        running = [part.process for part in wave if part.process is not None]
        for process in running:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
        ends = time.monotonic() + GRACE_S
        for process in running:
            try:
                process.wait(max(0.1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _parts(self) -> list[Part]:
        return [part for wave in self._waves for part in wave]

    def pids(self) -> dict[str, int]:
        """Name -> pid of every part that runs."""
        running = ((p.name, p.process) for p in self._parts())
        return {name: process.pid for name, process in running if process is not None and process.poll() is None}

    @staticmethod
    def _spawn(part: Part) -> None:
        part.log.parent.mkdir(parents=True, exist_ok=True)
        with part.log.open("ab") as log:
            part.process = subprocess.Popen(
                list(part.argv),
                env=dict(part.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @staticmethod
    def _tail(part: Part) -> str:
        text = part.log.read_text("utf-8", errors="replace").strip().splitlines()
        return "Its last words: " + " / ".join(text[-6:]) if text else "It said nothing."
