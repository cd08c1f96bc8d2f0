"""What phones and attackers type: odd characters in commands, live markup in a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

from cli.someone import walk
from incident.events import Event, Joined, Noted
from tests.attacks.theatre import BOT, CHANNEL, HOME, Card, Theatre
from tests.waiting import wait_for

E = TypeVar("E", bound=Event)
REASON = (
    "it’s “dark” <!channel> <@UOLAF> @olaf ```rm``` `x` *b* _i_ "
    "<https://evil.example/x|the runbook> https://evil.example"
)


@pytest.fixture(scope="module")
def card(theatre: Theatre) -> Iterator[Card]:
    """Rita asked, with a reason that tries to come alive."""
    with theatre.open_card(REASON) as made:
        yield made


def typed(card: Card, text: str, user: str = "URITA") -> str:
    """What somebody is answered to a slash command in the channel."""
    before = card.stage.newest(CHANNEL)
    card.stage.someone(user).type(CHANNEL, f"/lync {text}")
    return card.stage.answer(user, CHANNEL, before)


def codes(card: Card, after: int) -> list[str]:
    """What was written since, except that somebody was told."""
    return [r.code for r in card.stage.records(card.incident, after) if not r.code.startswith(("NTF", "APR003"))]


def heard(card: Card, after: int, kind: type[E]) -> E:
    """The one record of a kind since."""
    return next(r.event for r in card.stage.records(card.incident, after) if isinstance(r.event, kind))


def unharmed(card: Card) -> None:
    assert card.request.state == "open"
    assert card.asks()
    card.nothing_ran()


@pytest.mark.parametrize("dash", "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d")
def test_c1_any_dash_of_a_phone_is_a_dash_and_the_record_has_it_as_typed(card: Card, dash: str) -> None:
    head = card.state.seq
    assert "fe1 London is declared already, by Rita Berg" in typed(card, f"declare{dash}disaster fe1", "UDANA")
    assert codes(card, head) == ["INC002I"]
    assert heard(card, head, Joined).raw == f"declare{dash}disaster fe1"
    unharmed(card)


def test_c2_quotes_are_words_and_break_nothing(card: Card) -> None:
    head = card.state.seq
    words = 'it\'s “down” ‘again’ "now" `so` — isn’t it'
    assert "Noted, word for word" in typed(card, f"note {words}")
    assert codes(card, head) == ["INC004I"]
    assert heard(card, head, Noted).text == words
    assert card.state.declared.reason.startswith("it’s “dark” <!channel>")
    unharmed(card)


@pytest.mark.parametrize(
    "pool",
    ["Fe1", "\u00a0fe1", "ｆｅ１", "f\u200be\u200b1", "f\u00ade1", "\u202efe1\u202c", "fe1.OCSguy.local", "“fe1”"],
    ids=[
        "capital",
        "no-break space",
        "full width",
        "zero width",
        "soft hyphen",
        "right-to-left",
        "whole name",
        "quotes",
    ],
)
def test_c3_a_pool_is_understood_through_what_phones_do(card: Card, pool: str) -> None:
    head = card.state.seq
    assert "fe1 London is declared already" in typed(card, f"declare-disaster {pool}", "UDANA")
    assert codes(card, head) == ["INC002I"]
    unharmed(card)


@pytest.mark.parametrize("command", ["declare-disaster fе1", "approve fе1 {code}", "status fе1"])
def test_c4_a_letter_that_only_looks_like_ours_is_named_and_refused(card: Card, command: str) -> None:
    head = card.state.seq
    said = typed(card, command.format(code=card.request.short), "UDANA")
    assert "U+0435, CYRILLIC SMALL LETTER IE" in said
    assert "Nothing happened" in said
    assert codes(card, head) == []
    assert card.stage.someone("UDANA").screen()["modal"] is None
    unharmed(card)


def test_c5_the_other_pool_of_the_pair_is_never_meant(card: Card) -> None:
    head = card.state.seq
    said = typed(card, f"approve fe2 {card.request.short}", "UBO")
    assert "The card is about fe1, not fe2. Nothing happened." in said
    assert codes(card, head) == []
    assert card.stage.someone("UBO").screen()["modal"] is None
    unharmed(card)


def test_c5_a_typed_approval_needs_the_six_characters_of_the_card(card: Card) -> None:
    card.refuses(lambda: typed(card, "approve fe1 AAAAAA", "UBO"), "APR049E", "not the six characters on the card")
    card.refuses(lambda: typed(card, "approve fe1 AAAAAA", "UOLAF"), "APR021E", "not an approver for fe1")
    unharmed(card)


def test_c5_typing_opens_a_dialog_that_names_the_pool_and_an_outsider_gets_nowhere_with_it(card: Card) -> None:
    """The words alone decide nothing; the dialog is refused for who submits it."""
    noc = card.stage.someone("UNOC")
    head, before = card.state.seq, card.stage.newest(CHANNEL)
    noc.type(CHANNEL, f"/lync Approve FE1 {card.request.short.lower()}")
    modal = noc.wait(lambda s: s["modal"], "the dialog")["modal"]
    assert "fe1 London → fe2 Leeds" in " ".join(modal["lines"])
    assert codes(card, head) == []
    noc.submit({})
    assert "shared account" in card.stage.answer("UNOC", CHANNEL, before)
    assert codes(card, head) == ["APR035E"]
    unharmed(card)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("declare-disaster fe11", "Pools with a name like it: fe1"),
        ("declare-disaster f1", "There is no pool “f1”"),
        ("aprove fe1 {code}", "Close to it: approve"),
        ("declare-disasters fe1", "Close to it: declare-disaster"),
        ("yes", "is no command I know"),
    ],
)
def test_c6_what_is_nearly_a_command_is_answered_and_never_done(card: Card, command: str, says: str) -> None:
    head = card.state.seq
    said = typed(card, command.format(code=card.request.short), "UDANA")
    assert says in said
    assert "Nothing happened" in said
    assert codes(card, head) == []
    unharmed(card)


def test_d1_one_pair_has_one_incident_and_the_second_call_joins_it(card: Card) -> None:
    head = card.state.seq
    assert "You joined it; nothing was opened or stopped" in typed(card, "declare-disaster fe1 me too", "UDANA")
    assert codes(card, head) == ["INC002I"]
    assert [i.id for i in card.stage.desk.open_incidents()] == [card.incident]
    unharmed(card)


# --- markup in a reason ----------------------------------------------------------------------------------


def posts(card: Card) -> list[dict[str, Any]]:
    """Everything the bot said since the declaration, wherever it said it."""
    places = [CHANNEL, HOME, *{c.channel for c in card.request.cards}]
    began = card.state.at if card.state.clocks.t1 is None else card.state.clocks.t1
    return [
        m for place in places for m in card.stage.messages(place)
        if m["user"] == BOT and float(m["ts"]) >= began.timestamp()
    ]  # fmt: skip


def test_f1_a_reason_calls_nobody_and_links_nowhere(card: Card) -> None:
    assert "<!channel> <@UOLAF>" in card.shown()
    for post in posts(card):
        assert "<!" not in post["text"]
        assert "<@" not in post["text"]
        for part in _parts(post["blocks"]):
            assert part["type"] != "mrkdwn" or "<" not in part["text"].replace("<!date", "")
            assert part["type"] not in ("link", "usergroup", "broadcast", "emoji")
            assert part.get("user_id") != "UOLAF"
    olaf = card.stage.someone("UOLAF").screen(CHANNEL)
    assert next(r for r in olaf["channels"] if r["id"] == CHANNEL)["mentions"] == 0
    unharmed(card)


def test_f2_backticks_and_stars_are_letters(card: Card) -> None:
    olaf = card.stage.someone("UOLAF")
    drawn = next(s for s in walk(olaf.screen(CHANNEL)) if s.ts == card.ts)
    assert "```rm``` `x` *b* _i_" in drawn.text
    assert "\n4 DNS" in drawn.text
    unharmed(card)


def test_f3_nothing_is_unfurled(card: Card) -> None:
    url = f"{card.stage.place.page_url}admin/log"
    log = card.stage.http.get(url, params={"after": 0, "kind": "call"}, timeout=20).json()["entries"]
    sent = [e["args"] for e in log if e["method"] == "chat.postMessage" and "evil.example" in json.dumps(e["args"])]
    assert sent
    assert all(str(a["unfurl_links"]).lower() == "false" == str(a["unfurl_media"]).lower() for a in sent)
    unharmed(card)


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every object with a type inside blocks."""
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, list):
        for one in node:
            yield from _parts(one)


def test_f4_directions_and_controls_of_a_note_do_not_reach_the_channel(card: Card) -> None:
    head = card.state.seq
    assert "Noted" in typed(card, "note f4-here a\u202eb\u2066c\u200bd \x1b[31me\x07", "URITA")
    assert codes(card, head) == ["INC004I"]
    told = wait_for(lambda: [m for m in posts(card) if "f4-here" in json.dumps(m["blocks"])], "the note")
    shown = json.dumps([[m["blocks"], m["text"]] for m in told], ensure_ascii=False)
    assert not {"\u202e", "\u2066", "\u200b", "\x1b", "\x07"} & set(shown)
    assert "\\u001b" not in shown
    unharmed(card)
