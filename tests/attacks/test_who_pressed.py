"""One open card, and everybody who may not approve it: each gets an answer and a code of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.attacks.theatre import BOT, CHANNEL, TEAM, Card, Theatre
from tests.waiting import wait_for

OURS = {"id": TEAM, "domain": "practice"}


@pytest.fixture(scope="module")
def card(theatre: Theatre) -> Iterator[Card]:
    """Rita asked, from her administrator's account; nobody has answered."""
    with theatre.open_card(by="URITAADMIN") as made:
        yield made


def test_a2_the_asker_approves_with_her_other_account(card: Card) -> None:
    refused = card.refuses(lambda: card.press("URITA"), "APR020E", "You asked for this, so another person", who="URITA")
    assert refused.actor is not None
    assert refused.actor.person == "rita"


def test_a3_a_shared_account_may_only_watch(card: Card) -> None:
    card.refuses(lambda: card.press("UNOC"), "APR035E", "shared account", who="UNOC")


def test_a4_nobody_binds_an_account_to_a_person_from_slack(card: Card) -> None:
    head = card.state.seq
    before = card.stage.newest(CHANNEL)
    card.stage.someone("UOLAF").type(CHANNEL, "/lync link UOLAF bo")
    assert "is no command I know" in card.stage.answer("UOLAF", CHANNEL, before)
    assert card.stage.refusals(card.incident, head) == []
    claimed = {"user": {"id": "UOLAF", "name": "bo", "username": "bo", "team_id": TEAM}}
    card.refuses(lambda: card.press("UOLAF", change=claimed), "APR021E", "not an approver", who="UOLAF")


def test_a5_a_guest_of_one_channel_or_of_several(card: Card) -> None:
    card.refuses(lambda: card.press("UGUEST"), "APR023E", "Your account is a guest here", who="UGUEST")
    with card.stage.changed("UWANDA", is_ultra_restricted=True):
        card.refuses(lambda: card.press("UWANDA"), "APR023E", "Your account is a guest here", who="UWANDA")


@pytest.mark.parametrize(
    ("user", "change", "drop"),
    [
        ("UFOREIGN", {}, ()),
        ("UBO", {"team": {"id": "TOTHER"}}, ()),
        ("UCHEN", {"user": {"team_id": ""}}, ("team", "enterprise")),
        ("UDANA", {"team": None, "enterprise": {"id": "EOTHER"}, "is_enterprise_install": True}, ()),
    ],
    ids=["person of another company", "conversation of another company", "no team at all", "another Grid"],
)
def test_a6_a_press_from_another_workspace(
    card: Card, user: str, change: dict[str, Any], drop: tuple[str, ...]
) -> None:
    card.refuses(lambda: card.press(user, change=change, drop=drop), "APR025E", "another workspace", who=user)


def test_a6_a_stranger_through_a_shared_channel(card: Card) -> None:
    with card.stage.changed("UCHEN", is_stranger=True):
        card.refuses(lambda: card.press("UCHEN"), "APR027E", "through a shared channel", who="UCHEN")


def test_a6_nothing_is_declared_in_a_channel_shared_with_another_company(card: Card) -> None:
    head, before = card.state.seq, card.stage.newest("C0EXT")
    card.stage.someone("URITA").type("C0EXT", "/lync declare-disaster fe1 dc1 power")
    assert "shared with another company" in card.stage.answer("URITA", "C0EXT", before)
    assert [r.code for r in card.stage.records(card.incident, head) if r.code == "INC002I"] == []
    assert [m for m in card.stage.messages("C0EXT") if not m["only_for"] and m["user"] == BOT] == []
    card.nothing_ran()


@pytest.mark.parametrize(
    ("user", "flags", "code", "says"),
    [
        ("UGONE", {}, "APR024E", "deactivated"),
        ("UNEW", {}, "APR028E", "have not joined yet"),
        ("UNEW", {"is_invited_user": False}, "APR029E", "not confirmed"),
    ],
    ids=["deactivated", "invited and never joined", "address not confirmed"],
)
def test_a7_an_account_that_is_no_full_member_now(
    card: Card, user: str, flags: dict[str, bool], code: str, says: str
) -> None:
    with card.stage.changed(user, **flags):
        card.refuses(lambda: card.press(user), code, says, who=user)


@pytest.mark.parametrize(
    ("user", "flags", "change"),
    [
        ("UBOTEVIL", {}, {}),
        ("UBO", {"is_workflow_bot": True}, {}),
        ("UCHEN", {"is_connector_bot": True}, {}),
        ("UDANA", {}, {"bot_id": "B0EVIL"}),
        ("UWANDA", {}, {"user": {"id": "USLACKBOT"}}),
    ],
    ids=["bot", "workflow", "connector", "block action of a bot", "Slackbot"],
)
def test_a8_no_machine_presses(card: Card, user: str, flags: dict[str, bool], change: dict[str, Any]) -> None:
    with card.stage.changed(user, **flags):
        refused = card.refuses(lambda: card.press(user, change=change), "APR026E", "Bots and workflows may not")
    assert refused.actor is not None
    assert refused.actor.account is not None
    assert refused.actor.account.bot


def test_a8_a_press_by_nobody(card: Card) -> None:
    card.refuses(lambda: card.press("UOLAF", drop=["user"]), "APR021E", "not an approver", who="")


def test_a9_a_name_gives_no_right(card: Card) -> None:
    card.stage.admin("user", id="UBOO", name="bo", real_name="Bo Lund")
    card.refuses(lambda: card.press("UBOO"), "APR021E", "not an approver for fe1", who="UBOO")


def test_e4_to_be_in_the_channel_is_no_right(card: Card) -> None:
    members = card.stage.admin("channel", id=CHANNEL)["channel"]["members"]
    assert "UWANDA" in members
    card.refuses(lambda: card.press("UWANDA"), "APR022E", "not an approver for fe1", who="UWANDA")


def test_e2_an_account_that_slack_cannot_be_asked_about_decides_nothing(card: Card) -> None:
    card.stage.admin("fault", api_error={"method": "users.info", "error": "internal_error"})
    card.refuses(lambda: card.press("UBO"), "APR033E", "Slack could not say just now who you are", who="UBO")


def test_b3_the_same_envelope_again_is_heard_once(card: Card) -> None:
    card.stage.admin("user", id="UTWICE", name="twice", real_name="Tom Twice")
    before = card.stage.newest(CHANNEL)
    once = {"envelope_id": "b3-envelope"}
    card.refuses(lambda: card.press("UTWICE", times=3, **once), "APR021E", "not an approver", who="UTWICE")
    acks = card.stage.admin("forge", replay="b3-envelope", times=2)["acks"]
    assert [a["acked"] for a in acks] == [True, True]
    # Heard afresh under another envelope, it is answered, and counted instead of written again.
    head = card.state.seq
    said = card.stage.newest(CHANNEL)
    card.stage.admin("forge", replay="b3-envelope", new_envelope=True)
    card.stage.answer("UTWICE", CHANNEL, said)
    assert len([m for m in card.stage.messages() if m["only_for"] == "UTWICE" and m["ts"] > before]) == 2
    assert card.stage.refusals(card.incident, head) == []
    card.nothing_ran()


def test_e5_a_right_cannot_be_lent(card: Card) -> None:
    head, before = card.state.seq, card.stage.newest(CHANNEL)
    card.stage.someone("UBO").type(CHANNEL, "/lync delegate UOLAF 24h")
    assert "is no command I know" in card.stage.answer("UBO", CHANNEL, before)
    assert card.stage.refusals(card.incident, head) == []
    assert card.asks()
    card.nothing_ran()


def test_e6_one_confirm_names_what_is_at_stake_and_not_yet_decides_nothing(card: Card) -> None:
    head, bo = card.state.seq, card.stage.someone("UBO")
    mine = bo.find("APPROVE?", dm=True, button="Approve")
    asked = bo.press(mine, "Approve fe1 → fe2", confirm=False)["confirm"]
    assert asked["no"] == "Not yet"
    for words in ("fe1 London", "4,212 users", "fe2 Leeds", "cannot be stopped", "after Rita Berg"):
        assert words in f"{asked['title']} {asked['text']}"
    assert [r for r in card.stage.records(card.incident, head) if r.code.startswith("APR01")] == []
    assert card.asks()
    card.nothing_ran()


def test_b7_a_card_edited_with_the_bots_token_is_refused_and_drawn_over(card: Card) -> None:
    drawn = card.stage.message(card.channel, card.ts)
    blocks = [b for b in drawn["blocks"] if b["type"] == "actions"]
    approve = next(e for b in blocks for e in b["elements"] if e["action_id"] == "lync.approve")
    value = approve["value"].split("|")
    approve["value"] = "|".join([*value[:4], "0" * 16])
    card.stage.admin("edit_message", channel=card.channel, ts=card.ts, text="Approve lunch?", blocks=blocks)
    card.refuses(lambda: card.press("UBO"), "APR041E", "another plan than the one asked about", who="UBO")
    wait_for(lambda: "4,212 users" in card.shown(), "the true card over the false one", 60)
