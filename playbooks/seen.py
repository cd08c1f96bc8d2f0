"""What a look saw, in the order a person asks before saying yes: shown beside a plan, and no part of it.

Readings age and count by themselves, so they stand in no digest and nobody assumes them; people decide by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from playbooks.estate import Estate, Pool
from playbooks.facts import HERE, Facts, FactValue, Known

_CMS: Final = (
    ("active_directory", "cms.scp", "Active Directory"),
    ("topology", "cms.service", "topology"),
    ("this_server", "cms.connection", "the partner's own view"),
    ("active_master", "cms.master", "active master"),
)
"""(key, fact, words): the views of who hosts the Central Management Store."""


@dataclass(frozen=True)
class Look:
    """One look: from which host, when it began and ended, and the age in seconds of the last good backup, where
    known."""

    host: str
    began: datetime
    ended: datetime
    rpo_s: int | None = None


def seen(estate: Estate, pool: str, facts: Facts, look: Look) -> dict[str, Any]:
    """What was seen, as data with stable keys (docs/playbook.md). Each reading has `value`, `at` and `source`, or
    `value` null and `why`. Without a pool of that name, or without its partner, only what is known of it."""
    lost, heir, pair = estate.find_pool(pool), estate.partner_of(pool), estate.pair_of(pool)
    pools = [one for one in (lost, heir) if one is not None]
    records = estate.records_of(pair) if pair else ()
    return {
        "looked": {
            "from": look.host,
            "began": _utc(look.began),
            "ended": _utc(look.ended),
            "took_s": round((look.ended - look.began).total_seconds()),
        },
        "users": _reading(facts, f"users.{lost.name}") if lost else None,
        "data_loss": {"last_good": _reading(facts, f"backup_good_at.{lost.name}"), "rpo_s": look.rpo_s}
        if lost
        else None,
        "answers": _answers(lost, facts),
        "cms": {key: _reading(facts, fact) for key, fact, _ in _CMS},
        "pool_state": {one.name: _reading(facts, f"pool_state.{one.name}") for one in pools},
        "edge_next_hop": {edge.name: _reading(facts, f"edge.{edge.name}") for edge in estate.edge},
        "dns": [
            {
                "name": record.fqdn,
                "type": record.type,
                "server": server.name,
                "values": _reading(facts, f"dns.{record.key}.{server.name}"),
                "ttl_s": _reading(facts, f"dns_ttl.{record.key}.{server.name}"),
            }
            for record in records
            for server in estate.servers_of(record)
        ],
    }


def _answers(lost: Pool | None, facts: Facts) -> dict[str, Any]:
    """From each place that looked, whether the lost pool answers."""
    start = f"answers.{lost.name}." if lost else ""
    places = [fact.removeprefix(start) for fact in facts if start and fact.startswith(start)]
    return {place: _reading(facts, start + place) for place in sorted(places, key=lambda p: (p != HERE, p))}


def _reading(facts: Facts, fact: str) -> dict[str, Any]:
    found = facts[fact]
    if isinstance(found, Known):
        return {"value": _clean(found.value), "at": found.at, "source": found.source}
    return {"value": None, "why": _clean(found.reason)}


def _clean(value: FactValue) -> FactValue | list[str]:
    """A server's word for a terminal: what cannot be printed would be obeyed there."""
    if isinstance(value, tuple):
        return [str(_clean(one)) for one in value]
    return "".join(c if c.isprintable() else "?" for c in value) if isinstance(value, str) else value


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def page(found: Mapping[str, Any]) -> list[str]:
    """What `seen` gave, as lines of Markdown."""
    looked = found["looked"]
    lines = [
        "## Seen",
        "",
        f"Looked {looked['began'][:10]} {looked['began'][11:19]}–{looked['ended'][11:19]} UTC "
        f"({looked['took_s']} s) from {looked['from']}. Shown, and no part of the plan.",
        "",
    ]
    if found["users"]:
        lines.append(f"- Users affected: {_users(found['users'])}")
    if found["data_loss"]:
        lines.append(f"- Data loss: {_loss(found['data_loss'])}")
    if answers := found["answers"]:
        lines.append(f"- The lost pool answers: {_listed({_place(p): r for p, r in answers.items()})}")
    lines.append(f"- CMS: {_listed({words: found['cms'][key] for key, _, words in _CMS})}")
    for what, key in (("PoolState", "pool_state"), ("Edge next hop", "edge_next_hop")):
        lines += [f"- {what}: {_listed(found[key])}"] if found[key] else []
    return [*lines, *_names(found["dns"]), ""]


def _names(rows: list[dict[str, Any]]) -> list[str]:
    """The DNS answers of each server; a server that told nothing is one line."""
    lines: list[str] = []
    for server in dict.fromkeys(row["server"] for row in rows):
        mine = [row for row in rows if row["server"] == server]
        whys = {row["values"].get("why") for row in mine}
        if len(whys) == 1 and None not in whys:
            lines.append(f"- DNS {server}: unknown, {whys.pop()}")
            continue
        lines += [f"- DNS {server}: {row['name']} {_said(row['values'])}{_ttl(row['ttl_s'])}" for row in mine]
    return lines


def _ttl(reading: Mapping[str, Any]) -> str:
    return "" if reading["value"] is None else f", TTL {reading['value']} s"


def _users(reading: Mapping[str, Any]) -> str:
    if reading["value"] is None:
        return _said(reading)
    return f"{reading['value']:,} ({reading['source']})"


def _loss(loss: Mapping[str, Any]) -> str:
    good, rpo = loss["last_good"], loss["rpo_s"]
    if good["value"] is None or rpo is None:
        return f"unknown: {good.get('why', 'the time of the last good backup cannot be read')}"
    return f"about {max(1, round(rpo / 60))} min (RPO {rpo} s; backup last good {str(good['value'])[:19]}Z)"


def _listed(readings: Mapping[str, Mapping[str, Any]]) -> str:
    return " · ".join(f"{name} {_said(reading)}" for name, reading in readings.items())


def _said(reading: Mapping[str, Any]) -> str:
    value = reading["value"]
    if value is None:
        return f"unknown ({reading['why']})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(value) or "nothing") if isinstance(value, list) else str(value)


def _place(place: str) -> str:
    return "to our worker" if place == HERE else f"to {place}"
