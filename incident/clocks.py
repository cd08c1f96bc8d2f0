"""The figures people are judged by: T0 to T5, parts that add up, and times as a phone shows them.

*Declared RTO* is T5−T1 against the pair's target, *outage* is T5−T0, *comparable with Microsoft* is from the first
state-changing call (T3) until `PoolState` is read back. Parts are differences of one chain of moments, so they add
up; seconds are shared out so that the printed parts add up too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from incident.plans import PARTS
from incident.state import Incident

WAITED = "waited for people"
_ORDER = ("checks", "approval", "CMS", "Edge", "pool", "DNS", "other steps", "between steps", "proof", "other incident",
          WAITED)  # fmt: skip
_NAMES = {"checks": "checks", "approval": "approval", "between": "between steps", "people": WAITED, "proof": "proof",
          "hold": "other incident"}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One part of the way from T1 to T5, in whole seconds as printed."""

    name: str
    seconds: int

    @property
    def text(self) -> str:
        """For example `approval 1:09`."""
        return f"{self.name} {minutes(self.seconds)}"


@dataclass(frozen=True)
class Figures:
    """All figures of one incident, whole seconds; None where the moment has not come or is not known."""

    rto_target_s: int
    rto_s: int | None
    """T5−T1; while running, now−T1."""
    outage_s: int | None
    microsoft_s: int | None
    over: bool
    """T5 has come."""
    late: bool
    parts: tuple[Part, ...]
    deadline: datetime | None

    @property
    def longest(self) -> Part | None:
        """The part that took most of the time."""
        return max(self.parts, key=lambda p: p.seconds, default=None)

    def line(self) -> str:
        """The parts in one line, as on the summary."""
        return " · ".join(part.text for part in self.parts)


def figures(state: Incident, now: datetime) -> Figures:
    """The figures as of `now`; T5 ends them."""
    clocks, target = state.clocks, state.declared.rto_s
    end = clocks.t5 or state.closed_at or now
    t1 = clocks.t1
    rto = None if t1 is None else whole_seconds(end - t1)
    return Figures(
        rto_target_s=target,
        rto_s=rto,
        outage_s=None if clocks.t0 is None else whole_seconds(end - clocks.t0),
        microsoft_s=between(clocks.t3, clocks.pool_verified),
        over=clocks.t5 is not None,
        late=rto is not None and rto > target,
        parts=_parts(state, t1, end, rto),
        deadline=None if t1 is None else t1 + timedelta(seconds=target),
    )


def between(start: datetime | None, end: datetime | None) -> int | None:
    """Whole seconds between two moments, None where one of them has not come."""
    return None if start is None or end is None else whole_seconds(end - start)


def whole_seconds(span: timedelta) -> int:
    """Whole seconds, cut off: a clock that shows 14:59 has not reached 15:00."""
    return max(0, int(span.total_seconds()))


def _parts(state: Incident, t1: datetime | None, end: datetime, total: int | None) -> tuple[Part, ...]:
    if t1 is None or total is None:
        return ()
    spent: dict[str, timedelta] = {}
    chain = [(max(at, t1), what) for at, what in state.activity if at <= end]
    if chain and chain[0][0] > t1:
        # T1 was kept from the incident this one replaces: what went before is time for people to see the mistake.
        chain.insert(0, (t1, "people"))
    for (at, what), (until, _) in zip(chain, [*chain[1:], (end, "")], strict=True):
        name = _part_name(what)
        if name and until > at:
            spent[name] = spent.get(name, timedelta()) + (until - at)
    return _shared_out({name: spent[name] for name in _ORDER if name in spent}, total)


def _part_name(what: str) -> str:
    if what in _NAMES:
        return _NAMES[what]
    return WAITED if what == "end" else PARTS.get(what.split(".")[0], "other steps")


def _shared_out(spent: dict[str, timedelta], total: int) -> tuple[Part, ...]:
    """Whole seconds whose sum is `total`: the largest remainders get the seconds that cutting off took away."""
    seconds = {name: int(span.total_seconds()) for name, span in spent.items()}
    missing = total - sum(seconds.values())
    by_rest = sorted(spent, key=lambda name: spent[name] % timedelta(seconds=1), reverse=True)
    for name in by_rest[: max(0, missing)]:
        seconds[name] += 1
    return tuple(Part(name, count) for name, count in seconds.items() if count)


def minutes(seconds: int) -> str:
    """`0:20`, `11:34`, `1:02:03`; a minus sign for the past."""
    sign, seconds = ("−", -seconds) if seconds < 0 else ("", seconds)
    hours, rest = divmod(seconds, 3600)
    if hours:
        return f"{sign}{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{sign}{rest // 60}:{rest % 60:02d}"


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone by its IANA name. Raises ValueError with a sentence where the host does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"This host knows no time zone {name!r}; use a name such as UTC or Europe/London.") from None


def clock_time(moment: datetime, zone: str = "UTC", *, seconds: bool = True) -> str:
    """The time of day in the policy's zone, without the zone's name: `03:07:12`."""
    local = moment.astimezone(UTC if zone == "UTC" else zone_of(zone))
    return f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"


def zone_label(moment: datetime, zone: str = "UTC") -> str:
    """What is printed behind a time: `UTC`, `CET`."""
    return "UTC" if zone == "UTC" else (moment.astimezone(zone_of(zone)).tzname() or zone)


def day(moment: datetime, zone: str = "UTC") -> str:
    """`22 Nov 2026` in the policy's zone, in English whatever the host's language."""
    local = moment.astimezone(UTC if zone == "UTC" else zone_of(zone))
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{local.day} {months[local.month - 1]} {local.year}"
