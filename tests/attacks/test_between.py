"""Approved, and before a hand begins something changes: no approval is carried into another world."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from incident.events import RunRefused
from tests.attacks.theatre import Card, Theatre
from tests.waiting import wait_for

HANDS = ("act1", "act2")


@pytest.fixture(scope="module")
def first(theatre: Theatre) -> Iterator[Card]:
    """Rita asked; Slack is asked again after one second instead of sixty."""
    with theatre.policy(recheck_after_s=1), theatre.open_card() as made:
        yield made
        made.nothing_ran()


@pytest.fixture
def card(first: Card) -> Card:
    """An open card of that incident, without a red warning: the one that stands, or one that is asked for again."""
    stage = first.stage

    def look() -> Card | None:
        request, planned = first.state.request, first.state.planned
        assert request is not None
        assert planned is not None
        if planned.level == "red" or request.state not in ("open", "void"):
            return None
        if request.state == "void":
            place = next(c for c in request.cards if c.person is None)
            old = Card(stage, first.incident, request.number, place.channel, place.ts, first.calls)
            return old.again() if request.digest == planned.digest else None
        return stage.card(first.calls)

    return wait_for(look, "a card to approve", 60)


def approve(card: Card, user: str) -> int:
    """A good approval; the number of the record before it."""
    head = card.state.seq
    assert "Your approval counted" in card.press(user)
    return head


def why(card: Card, head: int) -> str:
    """Why the worker would not begin."""
    event = card.recorded("RUN003E", head).event
    assert isinstance(event, RunRefused)
    return event.why


def without_chen(policy: str) -> str:
    """The policy in which Chen may no longer approve."""
    before, after = policy.split('id = "chen"')
    return f'{before}id = "chen"{after.replace("""roles = ["approve", "operate"]""", """roles = ["operate"]""", 1)}'


def test_a10_an_account_that_is_deactivated_between_tap_and_start(card: Card) -> None:
    with card.stage.frozen(*HANDS):
        head = approve(card, "UBO")
        with card.stage.changed("UBO", deleted=True):
            card.recorded("APR016E", head)
    card.over("VOID", "Bo Lund: the account may no longer act")
    assert card.request.state == "void"
    said = card.old_tap("UCHEN")
    assert "This card no longer holds" in said
    assert [r.why for r in card.stage.refusals(card.incident, head)] == ["APR046E"]
    card.nothing_ran()


def test_a10_a_role_that_is_taken_away_between_tap_and_start(card: Card) -> None:
    """The bot stands still, so that it is the worker's own policy that finds it."""
    with card.stage.frozen(*HANDS) as thaw:
        head = approve(card, "UCHEN")
        with card.stage.frozen("bot", "look"), card.stage.policy(without_chen):
            thaw()
            assert why(card, head) in ("RUN025E", "RUN042E")
    card.over("VOID")
    card.nothing_ran()


def test_d7_other_calls_than_the_approved_ones_never_run(card: Card) -> None:
    """The hand makes the plan again from the record with its own files; here its files know one more name."""
    more = '\n[[dns_record]]\nname = "sip"\nzone = "ocsguy.local"\ntype = "A"\nttl_s = 300\n' \
           'values = { fe1 = ["10.10.0.11"], fe2 = ["10.20.0.11"] }\n'  # fmt: skip
    with card.stage.frozen(*HANDS) as thaw:
        head = approve(card, "UBO")
        with card.stage.frozen("look"), card.stage.estate(lambda text: text.replace("\n[survey]", f"{more}\n[survey]")):
            thaw()
            assert why(card, head) == "RUN042E"
    card.over("VOID", "This worker's estate is not what")
    card.nothing_ran()


def test_a14_the_lost_site_answers_between_tap_and_start(card: Card) -> None:
    """The last one here: a card that has been red stays so."""
    stage = card.stage
    with stage.frozen("look"):
        with stage.frozen(*HANDS):
            head = approve(card, "UBO")
            at = datetime.now(UTC)
            stage.control("london", "plug", up=True)
            wait_for(lambda: stage.control("leeds", "state")["partner_alive"], "London to answer")
            wait_for(lambda: datetime.now(UTC) - at > timedelta(seconds=1.5), "the last look to be too old to count")
        assert why(card, head) == "RUN026E"
    card.over("VOID", "No longer so")
    card.nothing_ran()
