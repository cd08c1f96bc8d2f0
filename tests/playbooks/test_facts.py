"""Looks only look, answers become facts leniently, and nothing that a server says crashes the reading."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from playbooks.catalogue import call
from playbooks.facts import (
    AnyAnswer,
    CallAnswer,
    CallLook,
    Facts,
    NoAnswer,
    PortAnswer,
    Unknown,
    backup_faults,
    batches,
    feeding,
    good_backups,
    looks,
    read,
    read_facts,
    sample_looks,
    title,
    unknown,
)
from tests.playbooks.world import AT, answers, lost_london, practice

ESTATE = practice()
LOOKS = looks(ESTATE, "fe1")
CALLS = [look for look in LOOKS if isinstance(look, CallLook)]


def test_a_look_may_only_observe() -> None:
    fail_over = call("Invoke-CsPoolFailOver", PoolFqdn="fe1.ocsguy.local", Confirm=False)
    with pytest.raises(ValidationError, match="a look may only observe"):
        CallLook(host="fe2.ocsguy.local", call=fail_over, feeds=())


def test_the_survey_asks_the_surviving_side_and_what_can_hang_comes_last() -> None:
    by_host = batches(LOOKS)
    assert list(by_host) == ["fe2.ocsguy.local"]
    order = [look.call.cmdlet for look in by_host["fe2.ocsguy.local"]]
    works_without_cms = {
        "Get-CsConfigurationStoreLocation",
        "Get-CsRegistrarConfiguration",
        "Get-CsPoolBackupRelationship",
        "Get-CsWindowsService",
    }
    assert set(order[:4]) == works_without_cms
    assert len({look.id for look in LOOKS}) == len(LOOKS)
    assert [look.feeds for look in feeding(LOOKS, ["pool_state.fe2"])] == [("pool_state.fe1", "pool_state.fe2")]


def test_a_lost_site_as_facts() -> None:
    facts = lost_london()
    assert facts.value("answers.fe1.worker") is False
    assert facts.value("answers.fe2.worker") is True
    assert facts.value("cms.scp") == "fe1"
    assert facts.value("cms.master") == "none"  # red text about a dead CMS is an answer: nobody is master
    assert facts.value("pool_state.fe1") == facts.value("pool_state.fe2") == "Active"
    assert facts.value("backup_pool.fe1") == "fe2"
    assert facts.value("services.fe2") == ()
    assert facts.value("backup_good_at.fe1") == "2026-11-22T03:02:31.000Z"
    assert facts.value("dns.meet.dns2") == ("10.10.0.11",)
    assert facts.value("users.fe1") == 4213
    assert "did not answer" in facts.why("dns.meet.dns1")
    assert facts.why("edge.edge1") == (
        "Get-CsService on fe2.ocsguy.local: the Central Management Store did not answer, and this cmdlet needs it"
    )


def test_a_refused_connection_is_an_answer_and_silence_is_none() -> None:
    for how, alive in (("accepted", True), ("refused", True), ("silent", False), ("unreachable", False)):
        found = answers(ESTATE)
        found["port fe1.ocsguy.local winrm"] = PortAnswer(at=AT, how=how)  # type: ignore[arg-type]
        assert read_facts(ESTATE, "fe1", found).value("answers.fe1.worker") is alive


def test_a_live_backup_status_beats_the_kept_sample() -> None:
    found = answers(ESTATE)
    asked = next(c for c in CALLS if "backup_good_at.fe1" in c.feeds)
    found[asked.id] = CallAnswer(
        at=AT, rows=({"BackupModules": ["UserServices.PresenceFocus:[SteadyState,NormalState]"]},)
    )
    facts = read_facts(ESTATE, "fe1", found)
    assert facts.value("backup_good_at.fe1") == AT
    assert facts.value("answers.fe1.fe2") is True


def test_what_a_good_backup_is() -> None:
    good = ["UserServices.PresenceFocus=FinalState/NormalState", "CentralMgmt.CMSMaster=NotInitialized/NormalState"]
    bad = ["ConfServices.DataConf=NonSteadyState/NormalState", "UserServices.PresenceFocus=NotInitialized/NormalState"]
    assert backup_faults(good) == ()
    assert backup_faults([*good, *bad]) == tuple(bad)


def test_a_sample_is_good_when_one_side_exports_and_the_other_imports() -> None:
    asked = sample_looks(ESTATE)
    assert [look.host for look in asked if isinstance(look, CallLook)] == ["fe1.ocsguy.local", "fe2.ocsguy.local"]
    steady, importing = "UserServices.PresenceFocus:[SteadyState,{}]", ("NormalState", "ErrorState")
    for theirs, expected in zip(importing, ({"fe1": AT, "fe2": AT}, {}), strict=True):
        texts = [steady.format("NormalState"), steady.format(theirs)]
        found = {a.id: CallAnswer(at=AT, rows=({"BackupModules": [t]},)) for a, t in zip(asked, texts, strict=True)}
        assert good_backups(ESTATE, read(ESTATE, asked, found)) == expected


def test_users_fall_back_on_the_estate_file_and_say_so() -> None:
    facts = read_facts(ESTATE, "fe1", {})
    fact = facts["users.fe1"]
    assert not isinstance(fact, Unknown)
    assert (fact.value, fact.source) == (4212, "estate file")
    assert facts["cms.scp"] == unknown("it was not answered within the look")
    assert facts["nonsense"] == unknown("it was not looked at")


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "Running", "fe9.x.y\\rtc", "a", "🙂", "Active"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_that_a_server_says_crashes_the_reading(data: st.DataObject) -> None:
    found: dict[str, AnyAnswer] = {}
    for look in CALLS:
        names = [*look.call.want, "Odd"]
        rows = data.draw(st.lists(st.dictionaries(st.sampled_from(names), JUNK, max_size=4), max_size=2))
        errors = data.draw(st.sampled_from([(), ("boom",)]))
        found[look.id] = CallAnswer(at=AT, rows=tuple(rows), errors=errors)
    facts = read(ESTATE, LOOKS, found)
    assert Facts.from_data(json.loads(json.dumps(facts.data()))) == facts
    assert set(facts) == {feed for look in LOOKS for feed in look.feeds}


def test_facts_go_through_json_and_carry_no_fraction() -> None:
    facts = lost_london()
    assert Facts.from_data(json.loads(json.dumps(facts.data()))) == facts
    with pytest.raises(ValidationError):
        Facts.from_data({"x": {"kind": "known", "value": 1.5, "at": AT, "source": "s"}})
    assert NoAnswer(reason="r").kind == "none"
    assert title("pool_state.fe2") == "PoolState of fe2"
