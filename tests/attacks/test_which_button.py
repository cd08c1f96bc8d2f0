"""One open card, and what is pressed is not quite it: another value, another place, another incident."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.attacks.theatre import BOT, CHANNEL, HOME, Card, Message, Theatre, actions_of, words_of
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def wrong(theatre: Theatre) -> Iterator[tuple[str, Message, int]]:
    """London is lost, and Rita, or her phone, declares the other pool: the incident, what was said, calls so far."""
    assert theatre.open_incident() is None
    theatre.begin()
    theatre.control("london", "plug", up=False)
    calls, before = len(theatre.changing_calls()), theatre.newest(CHANNEL)
    theatre.someone("URITA").type(CHANNEL, "/lync declare-disaster fe2 dc1 power")

    def stopped() -> Message | None:
        later = [m for m in theatre.messages() if m["ts"] > before and "STOP" in words_of(m)]
        return next((m for m in later if "lync.declare_instead" in actions_of(m)), None)

    try:
        said = wait_for(stopped, "the stop", 60)
        state = theatre.open_incident()
        assert state is not None
        yield state.id, said, calls
    finally:
        theatre.end()


@pytest.fixture(scope="module")
def other(theatre: Theatre, wrong: tuple[str, Message, int]) -> str:
    """The right pool declared with one tap; and the button of that incident, which is then over."""
    incident, said, calls = wrong
    button = {"channel": CHANNEL, "ts": said["ts"], "action": "lync.declare_instead"}
    theatre.admin("forge", press=button, user="URITA")
    made = theatre.card(calls)
    assert theatre.desk.state(incident).closed == "hard_stopped"
    assert made.state.clocks.t1 == theatre.desk.state(incident).clocks.t1
    drawn = theatre.message(made.channel, made.ts)
    theatre.end()
    return next(
        str(e["value"]) for b in drawn["blocks"] if b["type"] == "actions" for e in b["elements"]
        if e["action_id"] == "lync.approve"
    )  # fmt: skip


@pytest.fixture(scope="module")
def card(theatre: Theatre, other: str) -> Iterator[Card]:
    """Rita asked; nobody has answered."""
    assert other
    with theatre.open_card() as made:
        yield made


def value(card: Card) -> list[str]:
    """The parts of the button: version, incident, question, nonce, digest."""
    request = card.request
    return ["v1", card.incident, str(request.number), request.nonce, request.digest[:16]]


def with_value(*parts: str) -> dict[str, Any]:
    return {"actions": [{"value": "|".join(parts)}]}


def test_c5_the_wrong_pool_of_the_pair_has_no_card_and_the_right_one_is_offered(
    theatre: Theatre, wrong: tuple[str, Message, int]
) -> None:
    incident, said, calls = wrong
    assert "fe2 Leeds answers, fe1 London does not" in words_of(said)
    codes = [r.code for r in theatre.records(incident)]
    assert "PLN002E" in codes, codes
    assert not {"APR001I", "APR003I"} & set(codes)
    assert theatre.changing_calls()[calls:] == []


def test_a1_the_asker_approves_what_she_asked_for(card: Card) -> None:
    card.refuses(lambda: card.press("URITA"), "APR020E", "You asked for this, so another person must approve", "Bo")


@pytest.mark.parametrize(
    ("user", "digest"), [("UBO", "f" * 16), ("UCHEN", ""), ("UDANA", None)], ids=["another", "none", "too short"]
)
def test_a13_only_the_digest_that_was_shown_counts(card: Card, user: str, digest: str | None) -> None:
    parts = value(card)
    change = with_value(*parts[:4], parts[4][:15] if digest is None else digest)
    card.refuses(lambda: card.press(user, change=change), "APR041E", "another plan than the one asked about", who=user)


@pytest.mark.parametrize(("user", "nonce"), [("UBO", "0" * 32), ("UCHEN", "")], ids=["another", "none"])
def test_a13_a_nonce_cannot_be_guessed(card: Card, user: str, nonce: str) -> None:
    parts = value(card)
    change = with_value(*parts[:3], nonce, parts[4])
    card.refuses(lambda: card.press(user, change=change), "APR040E", "belongs to no open question here", who=user)


@pytest.mark.parametrize(("user", "number"), [("UDANA", "7"), ("URITA", "²")], ids=["another", "no number"])
def test_a15_the_button_of_another_question(card: Card, user: str, number: str) -> None:
    parts = value(card)
    change = with_value(*parts[:2], number, *parts[3:])
    card.refuses(lambda: card.press(user, change=change), "APR040E", "belongs to no open question", who=user)


def test_a15_the_button_of_another_incident_on_this_card(card: Card, other: str) -> None:
    head = card.state.seq
    earlier = other.split("|")[1]
    assert earlier != card.incident
    before = card.stage.journal.head(earlier).seq
    said = card.press("UBO", change={"actions": [{"value": other}]})
    assert "was closed at" in said
    assert [r.why for r in card.stage.refusals(earlier, before)] == ["APR060E"]
    # This card's question heard nothing of it.
    assert [r for r in card.stage.records(card.incident, head) if r.code.startswith("APR01")] == []
    assert card.asks()
    card.nothing_ran()


@pytest.mark.parametrize(
    ("user", "incident"),
    [("UBO", "20991231-fe1-a"), ("UCHEN", "register"), ("UDANA", "../keys"), ("UOLAF", "*"), ("UWANDA", "a" * 1500),
     ("UNOC", "\0")],
)  # fmt: skip
def test_b5_a_button_of_no_incident_is_answered_and_written_down(card: Card, user: str, incident: str) -> None:
    head = card.stage.register_head()
    said = card.press(user, change=with_value("v1", incident, *value(card)[2:]))
    assert "not in this journal" in said
    assert "Nothing was run" in said
    assert [r.why for r in card.stage.in_register(head)] == ["REF061E"]
    assert card.asks()
    card.nothing_ran()


def test_a16_a_copy_of_the_card_in_another_channel_is_inert(card: Card) -> None:
    copy = card.stage.admin("post", channel=HOME, user=BOT, like={"channel": CHANNEL, "ts": card.ts, "action": ""})
    where = {"channel": HOME, "ts": copy["ts"]}
    card.refuses(lambda: card.press("UBO", where=where), "APR042E", "This is a copy of the card", who="UBO")


def test_a16_a_copy_beside_the_card_is_inert(card: Card) -> None:
    copy = card.stage.admin("post", channel=CHANNEL, user=BOT, like={"channel": CHANNEL, "ts": card.ts, "action": ""})
    card.refuses(lambda: card.press("UBO", where={"ts": copy["ts"]}), "APR042E", "This is a copy of the card")


@pytest.mark.parametrize(
    ("user", "change"),
    [
        ("UCHEN", {"message": {"ts": "1.000001"}, "container": {"message_ts": "1.000001"}}),
        ("UDANA", {"channel": {"id": "C0GEN"}, "container": {"channel_id": "C0GEN"}}),
    ],
    ids=["another time stamp", "another channel"],
)
def test_a16_a_forged_place(card: Card, user: str, change: dict[str, Any]) -> None:
    card.refuses(lambda: card.press(user, change=change), "APR042E", "This is a copy of the card", who=user)


def test_a16_the_card_of_another_app_reaches_nobody(card: Card) -> None:
    head = card.state.seq
    copy = card.stage.admin(
        "post", channel=CHANNEL, user="UBOTEVIL", like={"channel": CHANNEL, "ts": card.ts, "action": ""}
    )
    pressed = card.stage.admin("forge", app="A0EVIL", press=card.button(ts=copy["ts"]), user="UBO")
    assert not pressed["acks"][0]["acked"]
    assert card.stage.refusals(card.incident, head) == []
    assert card.asks()
    card.nothing_ran()


def test_a16_an_old_button_of_another_version_does_nothing(card: Card) -> None:
    head = card.state.seq
    said = card.press("UBO", change={"actions": [{"action_id": "lync.approve_now"}]})
    assert "from another version and does nothing" in said
    assert card.stage.refusals(card.incident, head) == []
    assert "APPROVE?" in words_of(card.stage.message(card.channel, card.ts))
    card.nothing_ran()
