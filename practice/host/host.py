"""One practised Windows host: its cmdlets, its power, its call book, and the faults that strike them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from practice.host.callbook import CallBook
from practice.host.cmdlets import (
    Bound,
    Cmdlet,
    Streams,
    bind,
    literal,
    non_interactive,
    prompts_unanswered,
)
from practice.host.faults import Fault, Faults
from practice.host.power import Power, PowerLost
from practice.host.redtext import RedText, not_recognized

_HADR = "ProcessRecord,Microsoft.Rtc.Management.Hadr.InvokePoolFailOverCmdlet"
_DEPLOYMENT = "ProcessingFailed,Microsoft.Rtc.Management.Deployment.InvokeCmsFailoverCmdlet"
#: What a cmdlet says when an armed fault gives no text of its own: before anything happened, and after something did.
#: Practice's own words, except the DCOM text, which administrators have reported (johnacook.wordpress.com, 2015-05-26).
_DEFAULT_RED = {
    ("invoke-cspoolfailover", True): (
        'Cannot fail over pool "{pool}": the Central Management Server has not been fully failed over. Complete the '
        "failover of the Central Management Server, then run Invoke-CsPoolFailOver again.",
        _HADR,
    ),
    ("invoke-cspoolfailover", False): (
        'Unable to connect to the servers in pool "{pool}" due to a Distributed Component Object Model (DCOM) '
        "error. Verify that Front End service is running on servers in this pool. If the pool is set up for load "
        "balancing, verify that load balancer is configured correctly.",
        _HADR,
    ),
    ("invoke-csmanagementserverfailover", True): (
        'Cannot open the Central Management database "xds" on "{here}\\rtc": the file share '
        '"\\\\{here}\\LyncShare" denied access. The Central Management Server was not moved.',
        _DEPLOYMENT,
    ),
    ("invoke-csmanagementserverfailover", False): (
        'Cannot start service MASTER on "{here}". The service connection point has been written, but the Central '
        "Management Server is not active.",
        _DEPLOYMENT,
    ),
}
_LOOK_S = 0.1  # how often a waiting cmdlet looks whether its PowerShell is still there


class ProcessKilled(Exception):
    """The PowerShell that ran the cmdlet was killed; the cmdlet stops where it is."""


@dataclass
class Host:
    """A host is its name and what runs on it. `cut`, `pull` and
    `lose_shells` are set by whoever owns the wires."""

    fqdn: str
    durations: Mapping[str, float]
    cmdlets: dict[str, Cmdlet] = field(default_factory=dict)
    power: Power = field(default_factory=Power)
    faults: Faults = field(default_factory=Faults)
    callbook: CallBook = field(init=False)
    cut: Callable[[], object] = lambda: None
    lose_shells: Callable[[], object] = lambda: None
    pull: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        self.callbook = CallBook(self.fqdn)

    def add(self, cmdlets: Sequence[Cmdlet]) -> None:
        """Install cmdlets (a module, so to say)."""
        self.cmdlets |= {cmdlet.name.lower(): cmdlet for cmdlet in cmdlets}

    def run(
        self,
        name: str,
        params: Sequence[tuple[str, Any]],
        streams: Streams,
        run: str = "",
        call: str = "",
        boot: int | None = None,
        alive: Callable[[], bool] = lambda: True,
    ) -> RedText | None:
        """Carry out one call and return the error that ended it, if one did.

        Non-terminating errors go to `streams`. Raises `PowerLost` when the host goes dark meanwhile, and
        `ProcessKilled` when `alive`, asked while time passes, says that the PowerShell is gone.
        """
        cmdlet = self.cmdlets.get(name.lower())
        changes = cmdlet is not None and cmdlet.changes and dict(params).get("WhatIf") is not True
        entry = self.callbook.begin(literal(name, params), name, params, changes, run, call)
        turn = _HostTurn(self, name, streams, self.power.boot if boot is None else boot, alive)
        try:
            if cmdlet is None or self.faults.lasting("module_missing"):
                raise not_recognized(name)
            if changes and self.faults.lasting("double_hop"):
                raise RedText(
                    "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'.",
                    f"ProcessRecord,{cmdlet.implementing}",
                    "SecurityError",
                    exception="System.Data.SqlClient.SqlException",
                )
            bound = bind(cmdlet, params)
            if prompts_unanswered(cmdlet, bound):
                raise non_interactive(cmdlet.name, cmdlet.implementing)
            turn.begin(cmdlet, bound)
            if changes or not cmdlet.changes:
                cmdlet.body(turn, bound)
            turn.strike("end")
        except RedText as red:
            self.callbook.end(entry, "red", [*turn.errors, red.message])
            return red
        except PowerLost:
            self.callbook.end(entry, "lost", turn.errors)
            raise
        except BaseException:
            self.callbook.end(entry, "killed", turn.errors)
            raise
        self.callbook.end(entry, "red" if turn.errors else "ok", turn.errors)
        return None


class _HostTurn:
    """The running cmdlet's view of its host."""

    def __init__(self, host: Host, cmdlet: str, streams: Streams, boot: int, alive: Callable[[], bool]) -> None:
        self._host = host
        self._cmdlet = cmdlet
        self._streams = streams
        self._boot = boot
        self._alive = alive
        self._factor = 1.0
        self._bound = Bound({})
        self._implementing = ""
        self.errors: list[str] = []

    def begin(self, cmdlet: Cmdlet, bound: Bound) -> None:
        self._bound, self._implementing = bound, cmdlet.implementing
        slow = self._host.faults.strike("slow", self._cmdlet)
        if slow:
            self._factor = slow.factor
        self._host.power.check(self._boot)
        self.strike("begin")

    def verbose(self, text: str) -> None:
        self._streams.verbose(text)

    def warning(self, text: str) -> None:
        self._streams.warning(text)

    def output(self, properties: Mapping[str, Any]) -> None:
        self._streams.output(properties)

    def error(self, red: RedText) -> None:
        self.errors.append(red.message)
        self._streams.error(red)

    def pause(self, duration: str) -> None:
        self._wait(self._host.durations[duration] * self._factor)

    def steps(self, duration: str, lines: Sequence[str], midway: Callable[[], None] | None = None) -> None:
        part = self._host.durations[duration] * self._factor / max(1, len(lines))
        for number, line in enumerate(lines):
            if number == len(lines) // 2:
                if midway:
                    midway()
                self.strike("midway")
            if self._bound.get("Verbose"):
                self.verbose(line)
            self._wait(part)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            if not self._alive():
                raise ProcessKilled
            left = until - time.monotonic()
            self._host.power.wait(min(max(left, 0.0), _LOOK_S), self._boot)
            if left <= _LOOK_S:
                return

    def strike(self, when: str) -> None:
        """Let the armed faults of this moment happen."""
        faults = self._host.faults
        cut = faults.strike("cut", self._cmdlet, when)
        if cut:
            if cut.seconds:
                faults.arm({"kind": "winrm_silent", "seconds": cut.seconds})
            self._host.cut()
        if faults.strike("shell", self._cmdlet, when):
            self._host.lose_shells()
            self._wait(0)
        if faults.strike("plug", self._cmdlet, when):
            # In a thread, because pulling the plug waits for the wires and this cmdlet is on one of them.
            threading.Thread(target=self._host.pull, name="plug", daemon=True).start()
            self._wait(60)
        hang = faults.strike("hang", self._cmdlet, when)
        if hang:
            self._hang(hang)
        red = faults.strike("red", self._cmdlet, when)
        if red:
            raise self._red(red)

    def _hang(self, hang: Fault) -> None:
        if hang.seconds is not None:
            self._wait(hang.seconds)
            return
        while not self._host.faults.cleared.is_set():
            self._wait(0.05)

    def _red(self, fault: Fault) -> RedText:
        known = (self._cmdlet.lower(), fault.when == "begin")
        otherwise = "The operation could not be completed.", f"ProcessRecord,{self._implementing}"
        text, fqid = _DEFAULT_RED.get(known, otherwise)
        pool = str(self._bound.get("PoolFqdn", ""))
        return RedText(
            fault.message or text.format(pool=pool, here=self._host.fqdn),
            fault.fqid or fqid,
            "InvalidResult",
            pool,
            "Fqdn",
        )
