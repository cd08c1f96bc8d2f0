"""The pairing rules, each with the sentence a person gets who breaks it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from playbooks.estate import Estate
from tests.playbooks.world import file_data, practice

Change = Callable[[dict[str, Any]], None]


def third_pool(data: dict[str, Any], **more: Any) -> None:
    data["pool"].append({**data["pool"][1], "name": "fe3", "fqdn": "fe3.ocsguy.local", **more})


def unlike(data: dict[str, Any]) -> None:
    data["pool"][1] |= {"edition": "EE", "sql_fqdn": "sql2.ocsguy.local", "front_end": "fe2a.ocsguy.local"}


def two_pairs(data: dict[str, Any]) -> None:
    third_pool(data)
    data["pair"].append({"pools": ["fe1", "fe3"]})


BROKEN: list[tuple[Change, str]] = [
    (lambda d: d["pair"].append({"pools": ["fe2", "fe1"]}), "declared twice; a pair is reciprocal"),
    (lambda d: d["pair"][0].update(pools=["fe1", "fe1"]), "paired with itself"),
    (two_pairs, "pool fe1 is in two pairs .fe1 and fe2, fe1 and fe3.; a pool has one partner"),
    (unlike, "fe1 is SE and fe2 is EE; only like with like"),
    (lambda d: d["pool"][0].update(edition="EE"), "pool fe1 is Enterprise Edition: give sql_fqdn"),
    (lambda d: d["pool"][1].update(name="fe1"), "'fe1' is declared twice"),
    (lambda d: d["edge"][0].update(next_hop="fe9"), "edge edge1 next_hop names pool 'fe9'"),
    (lambda d: d["pool"][0].update(site="Paris"), "fe1 is in site 'Paris'"),
    (lambda d: d["dns_record"][0].update(values={"fe1": ["10.0.0.1"]}), "must give values for both pools"),
    (lambda d: d["dns_record"][0]["values"].update(fe2=["10.10.0.11"]), "belongs to both pools; nothing would move"),
    (lambda d: d["dns_record"][0]["values"].update(fe2=["10.10.0.1.1"]), "expected an IPv4 address"),
    (lambda d: d["dns_record"].append(d["dns_record"][0]), "two dns_record entries are called 'meet'"),
    (lambda d: d["pool"][0].update(fqdn="FE1.ocsguy.local"), "expected a full host name in lower case"),
    (lambda d: d["timing"]["cms"].update(usual_s=[30, 10]), "must be a rising range"),
    (lambda d: d.update(pears=[]), "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("change", "sentence"), BROKEN, ids=[s for _, s in BROKEN])
def test_a_rule_that_is_broken_is_said(change: Change, sentence: str) -> None:
    data = copy.deepcopy(file_data())
    change(data)
    with pytest.raises(ValidationError, match=sentence):
        Estate.model_validate(data)


def test_a_pool_is_found_by_either_name_and_never_guessed() -> None:
    estate = practice()
    assert estate.find_pool(" FE1 ") == estate.find_pool("fe1.ocsguy.local") == estate.the_pool("fe1")
    assert estate.find_pool("fe11") is None
    assert estate.suggestions("fe11")[0] == "fe1"
    assert set(estate.suggestions("zzz")) == {"fe1", "fe2"}
    partner = estate.partner_of("fe1")
    assert partner is not None
    assert partner.sql_fqdn == partner.front_end == "fe2.ocsguy.local"


def test_the_slice_of_a_pair_leaves_other_pairs_out() -> None:
    data = copy.deepcopy(file_data())
    third_pool(data)
    third_pool(data, name="fe4", fqdn="fe4.ocsguy.local")
    data["pair"].append({"pools": ["fe3", "fe4"]})
    wider = Estate.model_validate(data)
    pair = practice().pair[0]
    assert wider.slice_of(pair) == practice().slice_of(pair)
