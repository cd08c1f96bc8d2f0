"""Time: a question that nobody answers, an answer that comes late, an approval that nobody begins in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.attacks.theatre import CHANNEL, Card, Theatre, actions_of, words_of
from tests.waiting import wait_for

EXPIRY_S, WINDOW_S = 12, 2


@pytest.fixture(scope="module")
def late(theatre: Theatre) -> Iterator[tuple[Card, str]]:
    """A question that nobody answered in time; and what Chen is answered, whose tap was on its way too long."""
    short = {"approval_expiry_s": EXPIRY_S, "execution_window_s": WINDOW_S, "remind_every_s": 3}
    with theatre.policy(**short), theatre.open_card() as card:
        theatre.admin("fault", delivery_delay_s=EXPIRY_S + 1)
        heard = card.press("UCHEN")
        theatre.admin("fault", delivery_delay_s=0)
        yield card, heard
        card.nothing_ran()


@pytest.fixture
def card(late: tuple[Card, str]) -> Card:
    """The question that lapsed."""
    return late[0]


def test_b6_a_tap_that_arrives_too_late(late: tuple[Card, str]) -> None:
    card, heard = late
    assert "Expired" in heard
    assert "Nothing was run" in heard
    found = [r for r in card.stage.refusals(card.incident, 0) if r.actor and r.actor.user == "UCHEN"]
    assert [r.why for r in found] == ["APR045E"]
    card.over("EXPIRED", "nobody decided")
    card.nothing_ran()


def test_d2_it_does_not_expire_unseen(card: Card) -> None:
    told = [words_of(m) for m in card.stage.messages(card.dm("bo")["channel"]) if m["ts"] > card.ts]
    assert any("Still waiting" in t for t in told)
    wait_for(
        lambda: [
            m for m in card.stage.messages() if m["ts"] > card.ts and "EXPIRED" in words_of(m) and not m["only_for"]
        ],
        "a message of its own, because an edit wakes nobody",
    )
    card.nothing_ran()


def test_d4_silence_is_neither_yes_nor_no(card: Card) -> None:
    codes = [r.code for r in card.stage.records(card.incident)]
    assert "APR014W" in codes
    assert not {"APR010I", "APR011I"} & set(codes)
    assert card.request.state == "lapsed"
    card.over("Neither yes nor no. Nothing was run.")
    assert "lync.ask_again" in actions_of(card.stage.message(card.channel, card.ts))
    card.nothing_ran()


def test_e1_when_nobody_wakes_nothing_begins_by_itself_and_the_numbers_are_at_hand(card: Card) -> None:
    before = card.stage.newest(CHANNEL)
    card.stage.someone("URITA").type(CHANNEL, "/lync who")
    assert "+44 7700 900103" in card.stage.answer("URITA", CHANNEL, before)
    before = card.stage.newest(CHANNEL)
    card.stage.someone("URITA").type(CHANNEL, "/lync break-glass fe1")
    assert "is no command I know" in card.stage.answer("URITA", CHANNEL, before)
    assert card.state.run_request is None
    card.nothing_ran()


@pytest.fixture(scope="module")
def second(late: tuple[Card, str]) -> Card:
    """The question asked again with one tap, approved at once, while no hand is there to begin in time."""
    card = late[0]
    new = card.again("UDANA")
    assert new.request.digest == card.request.digest
    assert new.request.nonce != card.request.nonce
    return new


def test_a15_the_button_of_the_lapsed_question_on_the_new_card_and_the_other_way_round(
    card: Card, second: Card
) -> None:
    head = second.state.seq
    assert "This is a copy of the card" in card.old_tap("UBO", at=second)
    assert "This is a copy of the card" in second.old_tap("UBO", at=card)
    assert [r.why for r in second.stage.refusals(second.incident, head)] == ["APR042E", "APR042E"]
    assert not [r for r in second.stage.records(second.incident, head) if r.code == "APR010I"]
    second.nothing_ran()


def test_d3_the_window_runs_from_the_approval_and_the_clock_from_the_declaration(late: tuple[Card, str]) -> None:
    stage = late[0].stage
    with stage.frozen("act1", "act2"):
        card = stage.card(late[0].calls) if _open(late[0]) else late[0].again("UDANA")
        head = card.state.seq
        assert "Your approval counted" in card.press("UBO")
        card.recorded("APR014W", head)
    request = card.request
    assert request.approved_at is not None
    assert request.window_ends is not None
    assert round((request.window_ends - request.approved_at).total_seconds()) == WINDOW_S
    assert request.window_ends < request.expires
    assert card.state.clocks.t1 == datetime.fromisoformat(stage.records(card.incident)[0].at)
    head = card.state.seq
    said = card.old_tap("UCHEN")
    assert "Approved, but not begun by" in said
    assert "Nothing was run" in said
    assert "Ask again" in said
    assert [r.why for r in stage.refusals(card.incident, head)] == ["APR053E"]
    card.over("APPROVED by", "not begun by")
    card.nothing_ran()


def _open(card: Card) -> bool:
    request = card.state.request
    return request is not None and request.state == "open"
