"""What was seen stands beside the plan, for the person who decides: as data with stable keys, and as a short page."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from playbooks.declare_disaster import declare_disaster
from playbooks.facts import Facts, known, unknown
from playbooks.plan import as_markdown
from playbooks.seen import Look, page, seen
from tests.playbooks.world import AT, lost_london, practice

BEGAN = datetime(2026, 11, 22, 3, 7, 12, tzinfo=UTC)
LOOK = Look("worker-leeds", BEGAN, BEGAN + timedelta(seconds=6), 287)
KEYS = ["looked", "users", "data_loss", "answers", "cms", "pool_state", "edge_next_hop", "dns"]


def text(facts: Facts, look: Look = LOOK, pool: str = "fe1") -> str:
    return "\n".join(page(seen(practice(), pool, facts, look)))


def test_the_page_says_who_is_affected_what_is_lost_and_what_every_server_told() -> None:
    good = known("2026-11-22T03:02:31.000Z", AT, "samples kept by this installation")
    said = text(lost_london().having({"backup_good_at.fe1": good}))
    for line in (
        "Looked 2026-11-22 03:07:12–03:07:18 UTC (6 s) from worker-leeds.",
        "- Users affected: 4,213 (Get-CsUser on fe2",
        "- Data loss: about 5 min (RPO 287 s; backup last good 2026-11-22T03:02:31Z)",
        "- The lost pool answers: to our worker no",
        "- CMS: Active Directory fe1 · ",
        "active master none",
        "- PoolState: fe1 Active · fe2 Active",
        "- Edge next hop: edge1 ",
        "- DNS dns2: meet.ocsguy.local 10.",
        ", TTL 300 s",
    ):
        assert line in said, (line, said)


def test_what_is_not_known_says_why_once() -> None:
    dark = Facts({f: unknown("dns2 did not answer") for f in lost_london() if f.startswith("dns")})
    said = text(lost_london().having(dark).having({"backup_good_at.fe1": unknown("no sample was kept")}))
    assert "- Data loss: unknown: no sample was kept" in said
    assert said.count("DNS dns2: unknown, dns2 did not answer") == 1
    assert "- Data loss: unknown: " in text(lost_london(), replace(LOOK, rpo_s=None))


def test_the_data_has_the_same_keys_whatever_was_seen() -> None:
    for pool in ("fe1", "fe2", "fe9"):
        for facts in (lost_london(), Facts()):
            found = seen(practice(), pool, facts, LOOK)
            assert list(found) == KEYS
            assert json.loads(json.dumps(found)) == found
            assert page(found)
    whole = seen(practice(), "fe1", lost_london(), LOOK)
    assert whole["pool_state"]["fe2"] == {"value": "Active", "at": AT, "source": whole["pool_state"]["fe2"]["source"]}
    assert {"name", "type", "server", "values", "ttl_s"} == set(whole["dns"][0])
    assert seen(practice(), "fe1", Facts(), LOOK)["cms"]["active_master"] == {
        "value": None,
        "why": "it was not looked at",
    }


def test_no_word_of_a_server_reaches_a_terminal_as_a_command() -> None:
    evil = {"pool_state.fe1": known("\x1b[2J", AT, "x"), "dns.meet.dns2": known(("\x1b]0;",), AT, "x")}
    assert "\x1b" not in text(lost_london().having(evil))


def test_readings_are_beside_the_plan_and_no_part_of_it() -> None:
    made = declare_disaster(practice(), "fe1", lost_london())
    lines = page(seen(practice(), "fe1", lost_london(), LOOK))
    whole, bare = as_markdown(made, seen=lines), as_markdown(made)
    assert whole.index("## Seen") < whole.index("## Steps")
    assert [one for one in whole.split("\n") if one not in lines] == [o for o in bare.split("\n") if o not in lines]
