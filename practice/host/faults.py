"""Faults a trainer arms over the control page; each strikes a fixed number of times and is then spent."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = {
    "red": "the cmdlet ends with red text (`message`, `fqid`); `when`: begin, midway or end",
    "hang": "the cmdlet stands still for `seconds` (default: until the faults are cleared); `when`",
    "cut": "connections are reset while the cmdlet goes on; with `seconds` WinRM is silent so long; `when`",
    "shell": "all remote shells are lost and what runs in them is killed; `when`",
    "plug": "the host loses its power in the middle of the cmdlet; `when`",
    "slow": "everything the cmdlet waits for takes `factor` times as long",
    "module_missing": "no cmdlet is known on the host; until cleared",
    "double_hop": "changing cmdlets reach SQL and AD as nobody (a second hop without delegation); until cleared",
    "auth": "the host answers 401 to everybody; until cleared",
    "wsman": "the next `times` messages with this `action` are answered by fault `code`",
    "winrm_silent": "WinRM falls silent, the rest of the host goes on; for `seconds` or until cleared",
    "dns_silent": "DNS questions are not answered; for `seconds` or until cleared",
}
_WHEN = ("begin", "midway", "end")


@dataclass
class Fault:
    """One armed fault. `cmdlet` empty means any."""

    kind: str
    cmdlet: str = ""
    when: str = "midway"
    times: int = 1
    message: str = ""
    fqid: str = ""
    seconds: float | None = None
    factor: float = 5.0
    action: str = ""
    code: int = 0
    armed_at: float = field(default_factory=time.monotonic)


class Faults:
    """What is armed on one host."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._lock = threading.Lock()
        self.cleared = threading.Event()

    def arm(self, wanted: Mapping[str, Any]) -> Fault:
        """Arm a fault from its JSON form; `ValueError` with a sentence for one that does not exist."""
        kind = wanted.get("kind")
        if kind not in KINDS:
            raise ValueError(f"No fault is called {kind!r}. Known: {', '.join(sorted(KINDS))}.")
        unknown = set(wanted) - (set(Fault.__dataclass_fields__) - {"armed_at"})
        if unknown:
            raise ValueError(f"Fault {kind} has no {', '.join(sorted(unknown))}.")
        fault = Fault(**wanted)
        if fault.when not in _WHEN:
            raise ValueError(f"Fault {kind}: when must be one of {', '.join(_WHEN)}.")
        with self._lock:
            self.cleared.clear()
            self._armed.append(fault)
        return fault

    def strike(self, kind: str, cmdlet: str = "", when: str | None = None, action: str = "") -> Fault | None:
        """Take the first armed fault that fits, and spend one of its times."""
        with self._lock:
            for fault in self._armed:
                fits = fault.kind == kind and fault.cmdlet.lower() in ("", cmdlet.lower())
                if fits and (when is None or fault.when == when) and fault.action in ("", action):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._armed.remove(fault)
                    return fault
        return None

    def lasting(self, kind: str) -> bool:
        """Is a fault of this kind armed, and its `seconds` not over? Asking does not spend it."""
        now = time.monotonic()
        with self._lock:
            over = [f for f in self._armed if f.kind == kind and f.seconds and now > f.armed_at + f.seconds]
            self._armed = [f for f in self._armed if f not in over]
            return any(fault.kind == kind for fault in self._armed)

    def clear(self) -> None:
        """Disarm everything and let what hangs go on."""
        with self._lock:
            self._armed.clear()
            self.cleared.set()

    def armed(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._armed]
