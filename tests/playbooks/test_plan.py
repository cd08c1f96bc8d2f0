"""A plan as data: its digest, its words, what breaks it, what a person reads about a change."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from playbooks.declare_disaster import declare_disaster
from playbooks.facts import Facts, known, unknown
from playbooks.plan import (
    CODE_ALPHABET,
    Plan,
    Predicate,
    altered_calls,
    as_json,
    as_markdown,
    broken,
    code,
    difference,
    digest,
    every,
    fact_is,
    holds,
    listed,
    negated,
    word_list,
    words,
)
from tests.playbooks.world import AT, lost_london, practice

SLICES = {"estate": {"a": 1}, "endpoints": {"b": 2}, "policy": {"quorum": 2}}


def plan() -> Plan:
    made = declare_disaster(practice(), "fe1", lost_london())
    assert isinstance(made, Plan)
    return made


def changed(change: Callable[[dict[str, Any]], None]) -> Plan:
    data = json.loads(json.dumps(plan().data()))
    change(data)
    return Plan.from_data(data)


def drop_step(data: dict[str, Any]) -> None:
    del data["steps"][3]


def other_pool(data: dict[str, Any]) -> None:
    data["steps"][2]["act"]["params"][0][1] = "fe2.ocsguy.local"


def other_host(data: dict[str, Any]) -> None:
    data["steps"][2]["host"] = "fe3.ocsguy.local"


def other_limit(data: dict[str, Any]) -> None:
    data["steps"][2]["limit_s"] += 1


def other_assumption(data: dict[str, Any]) -> None:
    data["assumptions"][0]["predicate"]["values"] = [False]


def swapped(data: dict[str, Any]) -> None:
    steps = data["steps"]
    steps[0], steps[1] = steps[1], steps[0]


@pytest.mark.parametrize("change", [drop_step, other_pool, other_host, other_limit, other_assumption, swapped])
def test_the_digest_covers_every_part_of_the_plan(change: Callable[[dict[str, Any]], None]) -> None:
    assert digest(changed(change), SLICES) != digest(plan(), SLICES)
    assert difference(plan(), changed(change))


@pytest.mark.parametrize("part", sorted(SLICES))
def test_the_digest_covers_the_configuration_of_the_pair(part: str) -> None:
    other = {**SLICES, part: {"changed": True}}
    assert digest(plan(), other) != digest(plan(), SLICES)
    assert difference(plan(), plan(), SLICES, other) == (f"changed configuration: {part}",)


def test_the_same_plan_has_the_same_digest_words_and_code() -> None:
    seal = digest(plan(), SLICES)
    assert seal == digest(Plan.from_data(json.loads(json.dumps(plan().data()))), dict(reversed(SLICES.items())))
    assert re.fullmatch(r"[0-9a-f]{64}", seal)
    assert len(words(seal).split()) == 4
    assert re.fullmatch(f"[{CODE_ALPHABET}]{{6}}", code(seal))
    assert not set("01IO") & set(CODE_ALPHABET)


def test_the_words_cannot_be_misheard_for_each_other() -> None:
    listed_words = word_list()
    assert len(listed_words) == len(set(listed_words)) == 2048
    assert all(re.fullmatch(r"[a-z]{3,8}", w) for w in listed_words)
    # No two words that differ in one letter: each word with one letter blanked out is seen once only.
    blanked = [(i, w[:i] + "*" + w[i + 1 :]) for w in listed_words for i in range(len(w))]
    assert len(blanked) == len(set(blanked))


def test_a_plan_from_elsewhere_is_held_against_the_catalogue() -> None:
    def smuggle(data: dict[str, Any]) -> None:
        data["steps"][0]["act"]["cmdlet"] = "Remove-Item"

    with pytest.raises(ValidationError, match="not in the catalogue"):
        changed(smuggle)


def test_predicates_know_what_they_cannot_tell() -> None:
    facts = Facts(
        {"a": known(True, AT, "t"), "n": known(1, AT, "t"), "l": known(("x", "y"), AT, "t"), "u": unknown("?")}
    )
    yes, no, dunno = fact_is("a", True), fact_is("a", False), fact_is("u", True)
    assert holds(fact_is("n", True), facts) is False  # one is not yes
    assert [holds(every(yes, p), facts) for p in (yes, no, dunno)] == [True, False, None]
    assert holds(every(no, dunno), facts) is False
    assert holds(Predicate(op="any", of=(yes, dunno)), facts) is True
    assert holds(negated(dunno), facts) is None
    assert holds(listed("has", "l", ["x"]), facts) is True
    assert holds(listed("lacks", "l", ["z"]), facts) is True
    assert holds(listed("within", "l", ["x"]), facts) is False
    assert holds(listed("same_set", "l", ["y", "x"]), facts) is True
    assert holds(listed("has", "a", ["x"]), facts) is None


PREDICATES = st.recursive(
    st.builds(fact_is, st.sampled_from(["a", "b"]), st.booleans() | st.text(max_size=2)),
    lambda inner: (
        st.builds(lambda a, b, op: Predicate(op=op, of=(a, b)), inner, inner, st.sampled_from(["all", "any"]))
        | inner.map(negated)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(PREDICATES, st.booleans(), st.booleans())
def test_what_an_unknown_fact_cannot_decide_is_the_same_whatever_it_turns_out_to_be(
    predicate: Predicate, a: bool, b: bool
) -> None:
    """Sound three-valued logic: a yes or no given without knowing ``b`` stays when ``b`` becomes known."""
    before = holds(predicate, Facts({"a": known(a, AT, "t")}))
    after = holds(predicate, Facts({"a": known(a, AT, "t"), "b": known(b, AT, "t")}))
    assert before in (None, after)
    assert predicate.words
    assert Predicate.model_validate(predicate.data()) == predicate


def test_what_breaks_an_approved_plan_and_what_does_not() -> None:
    facts = lost_london()
    assert broken(plan(), facts) == ()
    lives = facts.having({"answers.fe1.worker": known(True, AT, "TCP")})
    assert [b.said for b in broken(plan(), lives)] == ["fe1 does not answer us"]
    moved = facts.having({"pool_state.fe2": known("FailedOver", AT, "t")})
    assert broken(plan(), moved)[0].now == "PoolState of fe2: FailedOver"
    # Already so, or a reading that did not come in: no news.
    done = facts.having({"cms.scp": known("fe2", AT, "t"), "dns.meet.dns2": known(("10.20.0.11",), AT, "t")})
    assert broken(plan(), done) == ()
    assert broken(plan(), facts.having({"pool_state.fe2": unknown("late"), "backup.fe2": unknown("late")})) == ()
    # But the partner itself must be seen.
    blind = facts.having({"answers.fe2.worker": unknown("late")})
    assert [b.said for b in broken(plan(), blind)] == ["fe2 answers us"]
    foreign = facts.having({"dns.meet.dns2": known(("10.99.0.1",), AT, "t")})
    assert [b.said for b in broken(plan(), foreign, "dns.meet.dns2")] != []
    assert broken(plan(), foreign, "cms") == ()


def test_a_change_is_told_in_words() -> None:
    lines = difference(plan(), changed(other_pool))
    assert lines == (
        "altered: pool, was Invoke-CsPoolFailOver -PoolFqdn fe1.ocsguy.local -DisasterMode -Verbose -Confirm:$false on "
        "fe2.ocsguy.local, is Invoke-CsPoolFailOver -PoolFqdn fe2.ocsguy.local -DisasterMode -Verbose -Confirm:$false "
        "on fe2.ocsguy.local",
    )
    assert altered_calls(plan(), changed(other_pool))[0].startswith("pool on fe2.ocsguy.local: Invoke-CsPoolFailOver")
    assert altered_calls(plan(), changed(drop_step)) == ()
    assert len(altered_calls(changed(drop_step), plan())) == 1
    assert difference(plan(), plan()) == ()


def test_the_pages_show_every_call_word_for_word() -> None:
    page, data = as_markdown(plan(), SLICES), json.loads(as_json(plan(), SLICES))
    for call in plan().calls:
        assert call.literal in page
    assert data["calls"] == [c.literal for c in plan().calls]
    assert data["digest"] in page
    assert Plan.from_data(data["plan"]) == plan()
