"""How long simulated work takes. Only these are scaled in a rehearsal; clocks are always real.

Figures of `REAL` follow Microsoft's published targets where there are any (CMS failover within 5 minutes, pool
failover 15 to 20 minutes for 40,000 users, hence minutes for 4,212) and lab experience otherwise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

#: Seconds, for a rehearsal that a person watches.
DEMO: dict[str, float] = {
    "heartbeat": 0.25,  # between two exchanges of a pair
    "silence": 0.8,  # how long a site waits for its partner before it calls it silent
    "module_import": 0.3,  # Import-Module Lync, once per PowerShell
    "read": 0.05,  # a reading cmdlet
    "cms_dead": 1.0,  # a reading cmdlet while the CMS database does not answer (SQL connection time-out)
    "backup_status": 0.1,
    "cms_failover": 5.0,
    "edge_set": 0.6,
    "pool_failover": 9.0,
    "pool_failback": 9.0,
    "replica": 1.0,  # a Front End's replica catches up
    "edge_replica": 2.5,
    "service": 0.4,  # start or stop one Windows service
    "synthetic": 0.8,
    "synthetic_timeout": 2.0,
    "dns_read": 0.02,
    "dns_write": 0.1,
}

REAL: dict[str, float] = DEMO | {
    "heartbeat": 2.0,
    "silence": 5.0,
    "module_import": 5.0,
    "read": 1.0,
    "cms_dead": 20.0,
    "backup_status": 2.0,
    "cms_failover": 100.0,
    "edge_set": 4.0,
    "pool_failover": 300.0,
    "pool_failback": 1500.0,
    "replica": 60.0,
    "edge_replica": 150.0,
    "service": 20.0,
    "synthetic": 6.9,
    "synthetic_timeout": 30.0,
    "dns_read": 0.1,
    "dns_write": 0.5,
}

#: As fast as the machine allows; a silent partner still needs a moment to be called silent.
ZERO: dict[str, float] = dict.fromkeys(DEMO, 0.0) | {"heartbeat": 0.05, "silence": 0.3, "cms_dead": 0.05}

_NAMED = {"demo": DEMO, "real": REAL, "zero": ZERO}


def load_durations(wanted: str) -> dict[str, float]:
    """Seconds by name, from `demo`, `real`, `zero`, a TOML file with `[durations]`, `name=seconds`, or several.

    Parts are separated by commas, later ones win: `zero,pool_failover=3`. Raises `ValueError` with one sentence for
    what nobody knows.
    """
    durations = dict(DEMO)
    for part in filter(None, (each.strip() for each in wanted.split(","))):
        name, equals, seconds = part.partition("=")
        if part in _NAMED:
            durations |= _NAMED[part]
        elif equals:
            durations |= _checked({name.strip(): _number(seconds)}, part)
        elif Path(part).is_file():
            table = tomllib.loads(Path(part).read_text(encoding="utf-8")).get("durations", {})
            durations |= _checked(table, part)
        else:
            raise ValueError(f"{part}: neither demo, real, zero, a file nor name=seconds.")
    return durations


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _checked(table: Mapping[str, object], where: str) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for name, value in table.items():
        if name not in DEMO:
            raise ValueError(f"{where}: no duration is called {name}. Known: {', '.join(sorted(DEMO))}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"{where}: duration {name} must be seconds, zero or more.")
        seconds[name] = float(value)
    return seconds
