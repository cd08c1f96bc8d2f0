"""Declared disaster: the literal calls, the stops, the warnings, and an answer for every fact, known or not."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from playbooks.catalogue import CATALOGUE
from playbooks.declare_disaster import declare_disaster
from playbooks.estate import Estate
from playbooks.facts import Fact, Facts, FactValue, known, unknown
from playbooks.plan import HardStop, Plan, digest, holds
from playbooks.registry import plan_for
from tests.playbooks.world import AT, file_data, lost_london, practice

NAMES = ("meet", "dialin", "admin", "lyncdiscover", "lyncdiscoverinternal")


def facts_but(**changes: FactValue | None) -> Facts:
    """Lost London, but with these facts; ``__`` stands for a dot, None for unknown."""
    changed = {
        name.replace("__", "."): unknown("no answer") if value is None else known(value, AT, "test")
        for name, value in changes.items()
    }
    return lost_london().having(changed)


def plan(facts: Facts | None = None, estate: Estate | None = None) -> Plan:
    made = declare_disaster(estate or practice(), "fe1", facts or lost_london())
    assert isinstance(made, Plan), made
    return made


def stop(pool: str, facts: Facts) -> HardStop:
    made = declare_disaster(practice(), pool, facts)
    assert isinstance(made, HardStop), made
    return made


def codes(made: Plan, level: str) -> list[str]:
    return [w.code for w in made.warnings if w.level == level]


def test_the_calls_are_literally_these_and_in_this_order() -> None:
    expected = [
        "Invoke-CsManagementServerFailover -BackupSqlServerFqdn fe2.ocsguy.local -BackupSqlInstanceName RTC -Force "
        "-Confirm:$false",
        "Set-CsEdgeServer -Identity EdgeServer:edge1.ocsguy.local -Registrar Registrar:fe2.ocsguy.local "
        "-Confirm:$false",
        "Invoke-CsPoolFailOver -PoolFqdn fe1.ocsguy.local -DisasterMode -Verbose -Confirm:$false",
    ]
    for name in NAMES:
        where = f"-ZoneName ocsguy.local -Name {name}"
        expected += [
            f"Add-DnsServerResourceRecordA {where} -IPv4Address 10.20.0.11 -TimeToLive 00:05:00",
            f"Remove-DnsServerResourceRecord {where} -RRType A -RecordData 10.10.0.11 -Force",
        ]
    made = plan()
    assert [c.literal for c in made.calls] == expected
    assert {s.host for s in made.steps if s.part != "dns"} == {"fe2.ocsguy.local"}
    assert {s.host for s in made.steps if s.part == "dns" and s.changes} == {"dns2.ocsguy.local"}


def test_the_steps_have_the_names_everybody_uses() -> None:
    made = plan()
    ids = [s.id for s in made.steps]
    assert ids[:5] == ["cms", "edge.edge1", "pool", "dns.meet.dns2", "dns.meet.dns2.drop"]
    assert ids[-2:] == ["proof.signin", "proof.meeting"]
    assert {s.id: s.effect for s in made.steps[:4]} == {
        "cms": "once",
        "edge.edge1": "converge",
        "pool": "once",
        "dns.meet.dns2": "converge",
    }
    assert {s.id: s.on_failure for s in made.steps}["dns.meet.dns2"] == "degraded"
    assert made.step("dns.meet.dns2.drop").previous == ("10.10.0.11",)  # type: ignore[union-attr]
    assert made.step("pool").rerun == "documented"  # type: ignore[union-attr]
    assert made.step("cms").rerun == "undocumented"  # type: ignore[union-attr]


def test_what_the_survey_saw_is_not_yet_so_and_untouched() -> None:
    """The truth table starts from here: nothing done, nothing begun."""
    facts = lost_london()
    for step in plan(facts).steps:
        if step.changes and step.probe and step.untouched and not step.id.startswith("edge"):
            assert holds(step.probe.so, facts) is False, step.id
            assert holds(step.untouched, facts) is True, step.id


# Hard stops.


def test_an_unknown_pool_stops_with_suggestions() -> None:
    made = stop("fe11", lost_london())
    assert made.code == "unknown-pool"
    assert made.suggestions[0] == "fe1"
    assert not any(o.pool for o in made.offers)


def test_an_unpaired_pool_stops() -> None:
    data = copy.deepcopy(file_data())
    data["pool"].append({**data["pool"][0], "name": "fe9", "fqdn": "fe9.ocsguy.local"})
    made = declare_disaster(Estate.model_validate(data), "fe9", Facts())
    assert isinstance(made, HardStop)
    assert made.code == "unpaired"
    assert stop("fe1", facts_but(backup_pool__fe1="fe7.ocsguy.local")).code == "unpaired"


def test_the_wrong_pool_of_the_pair_offers_the_other_one() -> None:
    """Somebody declares fe2, which lives, while fe1 is the one that is lost."""
    facts = Facts({"answers.fe2.worker": known(True, AT, "t"), "answers.fe1.worker": known(False, AT, "t")})
    made = stop("fe2", facts)
    assert made.code == "wrong-pool"
    assert made.why.startswith("fe2 Leeds answers, fe1 London does not. fe1 cannot take fe2's users.")
    assert (made.offers[0].text, made.offers[0].pool) == ("Declare fe1 instead", "fe1")


def test_a_silent_partner_stops_and_nothing_is_known_counts_as_silent() -> None:
    assert stop("fe1", Facts()).code == "partner-silent"
    assert "Nothing was changed" in stop("fe1", Facts()).why


def test_a_partner_that_runs_no_cmdlet_for_us_stops() -> None:
    """Its door answers, its account or certificate is refused: no step could be carried out."""
    facts = lost_london()
    mute = {
        name: unknown("fe2.ocsguy.local turned the account down")
        for name, fact in facts.items()
        if getattr(fact, "source", "").endswith(" on fe2.ocsguy.local")
    }
    made = stop("fe1", facts.having(mute))
    assert made.code == "partner-mute"
    assert "turned the account down" in made.why
    assert "account on fe2.ocsguy.local" in made.do


@pytest.mark.parametrize("state", ["FailedOver", "FailingOver"])
def test_a_partner_that_is_itself_failed_over_stops(state: str) -> None:
    made = stop("fe1", facts_but(pool_state__fe2=state))
    assert made.code == "partner-failed-over"
    assert "Fail fe2 back first" in made.do


# Warnings.


def test_a_pool_that_answers_is_red_from_any_place() -> None:
    assert codes(plan(facts_but(answers__fe1__worker=True)), "red") == ["pool-answers"]
    assert codes(plan(facts_but(answers__fe1__fe2=True)), "red") == ["pool-answers"]
    assert not plan().red


def test_no_warning_sends_people_to_what_is_not_built() -> None:
    made = plan(facts_but(**{"answers.fe1.worker": True}))
    (red,) = (w for w in made.warnings if w.code == "pool-answers")
    assert "by hand from the printed runbook" in red.do
    assert not [w for w in made.warnings if "planned" in f"{w.why} {w.do}".lower()]


def test_a_stopped_service_the_plan_needs_is_red() -> None:
    made = plan(facts_but(services__fe2=("RTCSRV",), services_cms__fe2=("MASTER",)))
    assert codes(made, "red") == ["service-stopped"]
    assert "RTCSRV and MASTER are not running" in made.warnings[0].why
    # The CMS services matter only while the CMS has to move.
    stays = facts_but(services_cms__fe2=("MASTER",), cms__scp="fe2", cms__master="fe2", cms__connection="fe2")
    assert codes(plan(stays), "red") == []
    assert codes(plan(facts_but(services__fe2=("RTCSRV (not listed)",))), "amber").count("service-absent") == 1


def test_a_failover_that_somebody_began_is_red() -> None:
    made = plan(facts_but(pool_state__fe1="FailingOver"))
    assert codes(made, "red") == ["half-done"]
    assert made.step("pool") is not None


AMBER: list[tuple[dict[str, Any], str]] = [
    ({"backup_good_at__fe1": None}, "backup-unknown"),
    ({"backup__fe1": ("UserServices.PresenceFocus=NonSteadyState/NormalState",)}, "backup-stale"),
    ({"backup__fe2": ("UserServices.PresenceFocus=FinalState/ErrorState",)}, "import-fault"),
    ({"pool_state__fe1": None}, "state-unknown-fe1"),
    ({"pool_state__fe2": None}, "state-unknown-fe2"),
    ({"services__fe2": None}, "services-unknown"),
    ({"backup_pool__fe1": None}, "pairing-unknown"),
    ({"answers__fe1__worker": None}, "pool-unseen"),
    ({"cms__scp": None, "cms__connection": None}, "cms-unknown"),
    ({"cms__scp": "fe2"}, "cms-views"),
    ({"edge__edge1": "fe9.ocsguy.local"}, "edge-odd-edge1"),
    ({"dns__meet__dns2": None}, "dns-unread-meet-dns2"),
    ({"dns__meet__dns2": ("10.99.0.1",)}, "dns-stranger-meet-dns2"),
    ({"answers__dns2__worker": False}, "dns-none"),
]


@pytest.mark.parametrize(("changes", "code"), AMBER, ids=[c for _, c in AMBER])
def test_what_is_not_as_wished_is_amber_and_says_what_to_do(changes: dict[str, Any], code: str) -> None:
    assert code not in codes(plan(), "amber")
    made = plan(facts_but(**changes))
    assert code in codes(made, "amber")
    assert all(w.why.endswith(".") and w.do.endswith(".") for w in made.warnings)


def test_a_long_ttl_and_an_unreachable_dns_server_are_amber_and_the_server_is_left_out() -> None:
    made = plan()
    assert {"ttl-300", "dns-unreachable-dns1"} <= set(codes(made, "amber"))
    assert made.left_out == ("DNS on dns1 London: not reachable; change its names by hand when it is back.",)
    short = {f"dns_ttl__{n}__dns2": 60 for n in NAMES}
    assert "ttl-300" not in codes(plan(facts_but(**short)), "amber")


# What is already so.


def test_the_cms_moves_only_if_needed() -> None:
    there = plan(facts_but(cms__scp="fe2", cms__master="fe2", cms__connection="fe2"))
    assert there.step("cms") is None
    assert there.already[0] == "The Central Management Store is on fe2 and stays there."
    assert plan(facts_but(cms__scp=None, cms__master=None, cms__connection=None)).step("cms") is not None


def test_what_is_right_is_skipped() -> None:
    right: dict[str, Any] = {f"dns__{n}__dns2": ("10.20.0.11",) for n in NAMES}
    made = plan(facts_but(edge__edge1="fe2", pool_state__fe1="FailedOver", **right))
    assert [c.cmdlet for c in made.calls] == ["Invoke-CsManagementServerFailover"]
    assert len(made.already) == 7
    both = plan(facts_but(dns__meet__dns2=("10.10.0.11", "10.20.0.11")))
    assert [s.id for s in both.steps if s.id.startswith("dns.meet")] == ["dns.meet.dns2.drop"]


def test_an_alias_is_removed_before_it_is_added() -> None:
    data = copy.deepcopy(file_data())
    alias = {"type": "CNAME", "values": {"fe1": ["web1.ocsguy.local"], "fe2": ["web2.ocsguy.local"]}}
    data["dns_record"][0] |= alias
    made = plan(facts_but(dns__meet__dns2=("web1.ocsguy.local",)), Estate.model_validate(data))
    assert [s.literal for s in made.steps if s.id.startswith("dns.meet")] == [
        "Remove-DnsServerResourceRecord -ZoneName ocsguy.local -Name meet -RRType CName -RecordData web1.ocsguy.local. "
        "-Force",
        "Add-DnsServerResourceRecordCName -ZoneName ocsguy.local -Name meet -HostNameAlias web2.ocsguy.local "
        "-TimeToLive 00:05:00",
    ]


def test_without_a_test_user_a_person_proves_it() -> None:
    data = copy.deepcopy(file_data())
    data["test_user"] = []
    made = plan(estate=Estate.model_validate(data))
    assert made.step("proof.signin") is None
    assert made.step("proof.person") is not None
    assert "no-test-user" in codes(made, "amber")
    data = copy.deepcopy(file_data())
    data["pair"][0]["ask_person"] = True
    both = plan(estate=Estate.model_validate(data))
    assert [s.id for s in both.steps[-3:]] == ["proof.signin", "proof.meeting", "proof.person"]


def test_without_names_the_meeting_page_is_not_proven_and_that_is_said() -> None:
    seen = lost_london()
    made = plan(seen.having({fact: unknown("no answer") for fact in seen if fact.startswith("dns")}))
    assert made.step("proof.signin") is not None
    assert made.step("proof.meeting") is None
    assert any("meeting page is not proven" in text for text in made.left_out)


def test_the_cms_of_another_pair_is_moved_only_when_nobody_runs_it() -> None:
    data = copy.deepcopy(file_data())
    for name, site in (("fe3", "London"), ("fe4", "Leeds")):
        data["pool"].append({**data["pool"][0], "name": name, "fqdn": f"{name}.ocsguy.local", "site": site})
    data["pair"].append({"pools": ["fe3", "fe4"]})
    estate = Estate.model_validate(data)
    elsewhere = {"cms__scp": "fe3", "cms__connection": "fe3"}
    dead = plan(facts_but(**elsewhere, cms__master="none"), estate).step("cms")
    assert dead is not None
    assert dead.host == "fe4.ocsguy.local"
    assert "-BackupSqlServerFqdn fe4.ocsguy.local" in dead.literal
    assert plan(facts_but(**elsewhere, cms__master="fe3"), estate).step("cms") is None


def test_kinds_that_are_not_built_say_so() -> None:
    made = plan_for("failback", practice(), "fe1", lost_london())
    assert isinstance(made, HardStop)
    assert made.why == "Failback is not built yet. Nothing was changed."


# Every fact, known or not, usual or odd.

ODD: tuple[FactValue, ...] = (True, False, 0, 86_400, "", "none", "fe1", "fe2", "fe9.x.y", "Active", "FailedOver",
                              "FailingOver", "FailedBack", "FailingBack", (), ("10.10.0.11",), ("10.20.0.11",),
                              ("10.9.9.9", "RTCSRV"))  # fmt: skip
FACT_IDS = sorted(set(lost_london()) | {"cms.service", "answers.fe1.fe2"})
KEEP = "keep"


@st.composite
def worlds(draw: st.DrawFn) -> Facts:
    usual = lost_london()
    facts: dict[str, Fact] = {}
    for name in FACT_IDS:
        match draw(st.sampled_from([KEEP, KEEP, "unknown", "absent", "odd"])):
            case "keep" if name in usual:
                facts[name] = usual[name]
            case "unknown":
                facts[name] = unknown("no answer")
            case "odd":
                facts[name] = known(draw(st.sampled_from(ODD)), AT, "odd")
    return Facts(facts)


ALLOWED = {"Invoke-CsManagementServerFailover", "Set-CsEdgeServer", "Invoke-CsPoolFailOver",
           "Add-DnsServerResourceRecordA", "Remove-DnsServerResourceRecord"}  # fmt: skip
ORDER = {"cms": 0, "edge": 1, "pool": 2, "dns": 3, "proof": 4}
ESTATE = practice()


@settings(max_examples=80, deadline=None)
@given(worlds(), st.sampled_from(["fe1", "fe2", "fe3"]))
def test_every_world_gives_a_plan_or_a_hard_stop(facts: Facts, pool: str) -> None:
    made = declare_disaster(ESTATE, pool, facts)
    assert made == declare_disaster(practice(), pool, Facts.from_data(json.loads(json.dumps(facts.data()))))
    if isinstance(made, HardStop):
        assert made.why.endswith(".")
        assert made.do.endswith(".")
        return
    rfc8785.dumps(made.data())
    assert Plan.from_data(json.loads(json.dumps(made.data()))) == made
    assert len(digest(made, {})) == 64
    assert {c.cmdlet for c in made.calls} <= ALLOWED
    assert all(c.cmdlet in CATALOGUE for c in made.calls)
    parts = [ORDER[s.part] for s in made.steps]
    assert parts == sorted(parts)
    assert len({s.id for s in made.steps}) == len(made.steps)
    for step in made.steps:
        assert step.act is not None or step.verify is not None
        if step.probe:
            holds(step.probe.so, facts)
    # A name is never emptied: whatever is removed, the new value is there or is added first.
    for record in ESTATE.dns_record:
        ours = [s for s in made.steps if s.id.startswith(f"dns.{record.key}.") and s.changes]
        if any(".drop" in s.id for s in ours):
            kept = set(ours[0].previous) & set(record.values[made.partner])
            assert kept or ".drop" not in ours[0].id
