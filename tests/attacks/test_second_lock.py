"""Where the policy asks for more: a Slack group that narrows, a one-time code; and the bot killed in between."""

from __future__ import annotations

from collections.abc import Iterator

import pyotp
import pytest

from incident.events import LockedOut
from incident.one_time import Seeds
from tests.attacks.theatre import CHANNEL, Card, Theatre, words_of
from tests.waiting import wait_for

STAFF = ("URITA", "UBO", "UCHEN", "UDANA")


def _narrow(policy: str) -> str:
    return policy.replace("quorum = 2", 'quorum = 2\napprover_group = "S0APPROVE"\none_time_code = true')


@pytest.fixture(scope="module")
def card(theatre: Theatre) -> Iterator[Card]:
    """An open card under such a policy. The bot is killed after it was posted, and comes back."""
    seeds = Seeds(theatre.place.out / "state" / "seeds")
    for person, name in (("bo", "Bo Lund"), ("chen", "Chen Wu")):
        seeds.enroll(person, name)
    with theatre.policy(_narrow):
        theatre.restart_bot()
        with theatre.open_card() as made:
            theatre.restart_bot()
            yield made
            made.nothing_ran()
    theatre.restart_bot()


def submitted(card: Card, user: str, code: str) -> str:
    """Press Approve and give a code in the dialog; what the person then reads, at the field or as an answer."""
    someone = card.stage.someone(user)
    before = card.stage.newest(CHANNEL)
    card.stage.admin("forge", press=card.button(), user=user)
    modal = someone.wait(lambda s: s["modal"], "the dialog")["modal"]
    errors = someone.submit({modal["fields"][0]["label"]: code})["errors"]
    if errors:
        card.stage.http.post(f"{card.stage.place.page_url}person/{user}/close", json={"view": modal["view"]})
        return str(errors)
    return card.stage.answer(user, CHANNEL, before)


def test_b5_a_card_outlives_the_bot_that_posted_it(card: Card) -> None:
    """Nothing of the question was in the dead process: the new one knows card, nonce and asker from the record."""
    card.refuses(lambda: submitted(card, "UNOC", "123456"), "APR035E", "shared account", who="UNOC")
    cards = [m for m in card.stage.messages() if m["ts"] >= card.ts and "APPROVE?" in words_of(m)]
    assert len(cards) == 1


def test_a11_out_of_the_group_no_role_helps_and_a_namesake_of_the_group_does_not_either(card: Card) -> None:
    card.stage.admin("user", id="UDANA", groups=[])
    try:
        said = card.refuses(lambda: submitted(card, "UDANA", "123456"), "APR034E", "not in the Slack group")
    finally:
        card.stage.admin("user", id="UDANA", groups=["S0APPROVE"])
    assert said.actor is not None
    assert said.actor.account is not None
    assert said.actor.account.in_group is False


def test_a11_in_the_group_and_in_no_policy_is_nobody(card: Card) -> None:
    card.stage.admin("user", id="UOLAF", groups=["S0APPROVE"])
    try:
        card.refuses(lambda: submitted(card, "UOLAF", "123456"), "APR021E", "not an approver for fe1", who="UOLAF")
    finally:
        card.stage.admin("user", id="UOLAF", groups=[])


def test_e6_who_has_no_seed_here_is_told_so_and_has_no_code_to_guess(card: Card) -> None:
    said = card.refuses(lambda: submitted(card, "UDANA", "123456"), "APR037E", "dana is not enrolled on this host")
    assert said.actor is not None
    assert (said.actor.person, said.actor.code_step) == ("dana", None)


def test_e6_a_code_that_was_read_over_a_shoulder_is_spent(card: Card) -> None:
    """Chen proves himself in a terminal; the same digits, still good by the clock, are typed on a card right after."""
    stage = card.stage
    seed = (stage.place.out / "state" / "seeds" / "chen.seed").read_text("ascii").strip()
    code = pyotp.TOTP(seed).now()
    noted = stage.lync_dr("note", "on my way", "--person", "chen", "--otp", code)
    assert noted.returncode == 0, noted.stderr
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code)
    card.refuses(lambda: submitted(card, "UCHEN", wide), "APR032E", "was used before", who="UCHEN")


def test_e6_a_stolen_account_has_no_code_and_is_locked_after_three_guesses(card: Card) -> None:
    head = card.state.seq
    for guess, said in (("000000", "Wrong code, 1 of 3"), ("not six", "2 of 3"), ("１２３", "3 of 3")):
        assert said in submitted(card, "UBO", guess)
    assert [r.why for r in card.stage.refusals(card.incident, head)] == ["APR031E"] * 3
    assert [r.event.person for r in card.stage.records(card.incident, head) if isinstance(r.event, LockedOut)] == ["bo"]

    def told() -> bool:
        said = [words_of(m) for m in card.stage.messages() if m["ts"] > card.ts and not m["only_for"]]
        return any("Bo Lund" in words and "wrong" in words.lower() for words in said)

    wait_for(told, "the channel to be told")
    card.refuses(lambda: submitted(card, "UBO", "000000"), "APR038E", "3 wrong codes")


def test_e6_who_is_locked_out_is_so_on_a_red_card_too(card: Card) -> None:
    """No code is asked for under red, so whoever holds the account would only have to read the pool's name."""
    stage = card.stage
    stage.control("london", "plug", up=True)

    def look() -> Card | None:
        new = stage.card(card.calls)
        return new if new.request.level == "red" else None

    red = wait_for(look, "a red card", 60)
    assert "Said: still a disaster" in red.press("URITA", "lync.still_disaster")
    wait_for(red.asks, "the approving button")
    red.refuses(lambda: submitted(red, "UBO", "fe1"), "APR038E", "3 wrong codes", who="UBO")
