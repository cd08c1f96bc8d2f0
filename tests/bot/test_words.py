"""What phones make of a command, and what is never guessed."""

from __future__ import annotations

import pytest

from bot.words import Clock, NotBuilt, NotUnderstood, Said, parse

POOLS = ("fe1", "fe2", "fe1.ocsguy.local", "fe2.ocsguy.local")


@pytest.mark.parametrize(
    "typed",
    [
        "declare-disaster fe1 dc1 power",
        "declare disaster fe1 dc1 power",
        "Declare–Disaster Fe1 dc1 power",
        "DECLARE—DISASTER FE1 dc1 power",
        "declare\u2212disaster\u00a0fe1 dc1 power",
        "declare\uff0ddisaster ｆｅ１ dc1 power",
        "decl\u00adare-disaster f\u200be1 dc1 power",
        "\u202edeclare-disaster fe1 dc1 power",
        "declare-disaster “fe1” dc1 power",
        "declare-disaster fe1. dc1 power",
        "/declare-disaster <http://fe1|fe1> dc1 power",
    ],
)
def test_the_pool_is_understood_through_what_phones_do(typed: str) -> None:
    said = parse(typed, POOLS)
    assert isinstance(said, Said)
    assert (said.verb, said.target, said.rest) == ("declare-disaster", "fe1", "dc1 power")


def test_a_reason_is_kept_word_for_word() -> None:
    said = parse("declare-disaster fe1 since 03:02 it’s down &amp; “dark” — &lt;!channel&gt;", POOLS)
    assert isinstance(said, Said)
    assert said.since == Clock(3, 2)
    assert said.rest == "it’s down & “dark” — <!channel>"


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("declare-disaster fе1", "U+0435, CYRILLIC SMALL LETTER IE"),
        ("plan fe¹", "U+00B9, SUPERSCRIPT ONE"),
        ("status ﬁe1", "U+FB01"),
        ("plan \u212ae1", "U+212A, KELVIN SIGN"),
    ],
)
def test_a_letter_that_only_looks_like_ours_is_named(typed: str, names: str) -> None:
    said = parse(typed, POOLS)
    assert isinstance(said, NotUnderstood)
    assert names in said.text
    assert "Nothing happened" in said.text


@pytest.mark.parametrize("typed", ["declare-disastre fe1", "declar fe1", "stpo", "aprove fe1"])
def test_near_misses_are_only_text(typed: str) -> None:
    said = parse(typed, POOLS)
    assert isinstance(said, NotUnderstood)
    assert "Close to it:" in said.text


@pytest.mark.parametrize(
    ("typed", "verb", "target", "rest"),
    [
        ("stop", "stop", "", ""),
        ("stop fe1 carrier is back", "stop", "fe1", "carrier is back"),
        ("stop carrier is back", "stop", "", "carrier is back"),
        ("go on", "go-on", "", ""),
        ("note fe1 rack 4 smells", "note", "", "fe1 rack 4 smells"),
        ("", "help", "", ""),
        ("audit 20261122-fe1-a", "audit", "20261122-fe1-a", ""),
        ("close FE1 all good", "close", "fe1", "all good"),
        ("Confirm contacts are there", "confirm", "", "contacts are there"),
        ("declare-disaster fe1 since the storm", "declare-disaster", "fe1", "since the storm"),
    ],
)
def test_words_and_what_follows_them(typed: str, verb: str, target: str, rest: str) -> None:
    said = parse(typed, POOLS)
    assert isinstance(said, Said)
    assert (said.verb, said.target, said.rest) == (verb, target, rest)


@pytest.mark.parametrize(("typed", "target"), [("approve fe1 7k2m9q", "fe1"), ("approve ７Ｋ２Ｍ９Ｑ", "")])
def test_a_typed_approval_carries_its_code(typed: str, target: str) -> None:
    said = parse(typed, POOLS)
    assert isinstance(said, Said)
    assert (said.target, said.code) == (target, "7K2M9Q")


def test_no_pool_no_time_no_words() -> None:
    for typed in ("declare-disaster", "outage", "outage 25:00", "note", "declare-disaster fe1 since 03:75"):
        assert isinstance(parse(typed, POOLS), NotUnderstood), typed
    assert isinstance(parse("failback fe1", POOLS), NotBuilt)
