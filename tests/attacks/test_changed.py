"""While a card is open the world or the rules change: a new card with the difference, and the old one is dead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.attacks.theatre import Card, Theatre, actions_of, old_button
from tests.waiting import wait_for

SIP = """
[[dns_record]]
name = "sip"
zone = "ocsguy.local"
type = "A"
ttl_s = 300
values = { fe1 = ["10.10.0.11"], fe2 = ["10.20.0.11"] }
"""


@pytest.fixture(scope="module")
def changes() -> Iterator[ExitStack]:
    """Changes that last until the module is over."""
    with ExitStack() as kept:
        yield kept


@pytest.fixture(scope="module")
def first(theatre: Theatre, changes: ExitStack) -> Iterator[Card]:
    """Rita asked; the estate is looked at again every three seconds."""
    with theatre.open_card() as made:
        yield made
        made.nothing_ran()


@pytest.fixture
def card(first: Card) -> Card:
    """The card that is open now."""
    return first.stage.card(first.calls)


def replaced(card: Card) -> Card:
    """The card that takes this one's place, once this one says so; pressing the old one is refused."""
    head = card.state.seq
    card.recorded("APR013W", head if card.request.state == "open" else 0)
    card.over("VOID", "A new card follows")
    assert actions_of(card.stage.message(card.channel, card.ts)) == []
    return card.stage.card(card.calls)


def press_old(card: Card, user: str) -> None:
    """A tap on a phone that has not heard of the new card yet."""
    head = card.state.seq
    said = card.old_tap(user)
    assert "This card no longer holds" in said
    assert "Look at the newest card" in said
    assert [r.why for r in card.stage.refusals(card.incident, head)] == ["APR046E"]
    card.nothing_ran()


def test_a12_a_plan_that_changed_after_the_card_was_shown(card: Card, changes: ExitStack) -> None:
    changes.enter_context(card.stage.estate(lambda text: text.replace("\n[survey]", f"{SIP}\n[survey]")))
    new = replaced(card)
    assert "Changed since the last card:" in new.shown()
    assert "sip" in new.shown()
    press_old(card, "UBO")


def test_d6_the_rules_changed_after_the_card_was_shown(card: Card, changes: ExitStack) -> None:
    def promoted(policy: str) -> str:
        return policy.replace('roles = ["watch"]', 'roles = ["watch", "approve", "operate"]')

    changes.enter_context(card.stage.policy(promoted))
    new = replaced(card)
    assert new.request.digest != card.request.digest
    press_old(card, "UCHEN")


@pytest.mark.parametrize(
    ("edit", "user", "code"),
    [
        (lambda text: text.replace('user = "UBO"', 'user = "UBOLD"'), "UBO", "APR021E"),
        (lambda text: text.replace('"approve", ', ""), "UCHEN", "APR022E"),
    ],
    ids=["an account that is taken out", "nobody left who may"],
)
def test_e3_rights_are_those_of_the_moment(card: Card, edit: Callable[[str], str], user: str, code: str) -> None:
    with card.stage.frozen("look"), card.stage.policy(edit):
        card.refuses(lambda: card.press(user), code, "You are not an approver for fe1", who=user)


@pytest.mark.parametrize("broken", ["quorum = 1", "quorum = 0", "quorum = 'two'"])
def test_d5_a_threshold_below_two_is_no_rule_and_nothing_is_decided_by_it(card: Card, broken: str) -> None:
    head = card.state.seq
    with card.stage.frozen("look"), card.stage.policy(lambda text: text.replace("quorum = 2", broken)):
        said = card.press("UBO")
        assert "policy.toml" in said
        assert "quorum" in said
        assert "Nothing happened" in said
    assert [r for r in card.stage.records(card.incident, head) if r.code.startswith("APR010")] == []
    assert card.asks()
    card.nothing_ran()


# --- red ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def red(first: Card) -> Card:
    """fe1 answers again: a card with friction took the place of the last one."""
    stage = first.stage
    stage.control("london", "plug", up=True)

    def look() -> Card | None:
        card = stage.card(first.calls)
        return card if card.request.level == "red" else None

    return wait_for(look, "a red card", 60)


def test_a14_a_pool_that_answers_makes_a_red_card_and_the_asker_must_insist(red: Card) -> None:
    assert "fe1 ANSWERS from London" in red.shown()
    assert not red.asks()
    head, stage, bo = red.state.seq, red.stage, red.stage.someone("UBO")
    before = stage.newest(red.channel)
    stage.admin("forge", press=red.button("lync.commands"), user="UBO", change=old_button(red))
    modal = bo.wait(lambda s: s["modal"], "the dialog")["modal"]
    bo.submit({modal["fields"][0]["label"]: "fe1"})
    assert "Rita Berg must first tap “Still a disaster”" in stage.answer("UBO", red.channel, before)
    assert [r.why for r in red.stage.refusals(red.incident, head)] == ["APR051E"]
    red.nothing_ran()


def test_e6_under_red_the_pool_is_typed_and_another_name_is_refused(red: Card) -> None:
    stage = red.stage
    assert "Said: still a disaster" in red.press("URITA", "lync.still_disaster")
    wait_for(red.asks, "the approving button")
    bo = stage.someone("UBO")
    stage.admin("forge", press=red.button(), user="UBO")
    for typed in ("fe2", "fе1", ""):
        head = red.state.seq
        modal = bo.wait(lambda s: s["modal"], "the dialog")["modal"]
        assert "fe1 ANSWERS" in " ".join(modal["lines"])
        answer = bo.submit({modal["fields"][0]["label"]: typed})
        assert answer["errors"], typed
        if typed:
            assert "Type fe1 to approve" in str(answer["errors"])
        assert {r.why for r in stage.refusals(red.incident, head)} <= {"APR052E"}
    assert red.state.refusals
    assert any(r.code == "APR052E" for r in red.state.refusals.values())
    assert red.request.state == "open"
    assert red.asks()
    red.nothing_ran()


def test_a1_under_red_nobody_but_the_asker_insists_and_she_still_cannot_approve(red: Card) -> None:
    head = red.state.seq
    said = red.press("UDANA", "lync.commands", change={"actions": [{"action_id": "lync.still_disaster"}]})
    assert "Rita Berg asked for this and must say so" in said
    assert [r.why for r in red.stage.refusals(red.incident, head)] == ["APR056E"]
    head, rita = red.state.seq, red.stage.someone("URITA")
    before = red.stage.newest(red.channel)
    red.stage.admin("forge", press=red.button(), user="URITA")
    modal = rita.wait(lambda s: s["modal"], "the dialog")["modal"]
    rita.submit({modal["fields"][0]["label"]: "fe1"})
    assert "another person must approve" in red.stage.answer("URITA", red.channel, before)
    assert [r.why for r in red.stage.refusals(red.incident, head)] == ["APR020E"]
    red.nothing_ran()
