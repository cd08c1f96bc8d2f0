"""Each reason to say no: its code, and that nothing counted. One row each; the play stands at an open question."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from incident import codes, decide
from incident import commands as c
from incident.events import CardRef
from incident.policy import SlackId

from .play import CARD, DECLARE, DIGEST, NONCE, POLICY, RULES, TEAM, Play, account, person, who

COPY = CardRef(team=TEAM, channel="C0OTHER", ts="9.9")


def by(actor) -> c.Approve:
    return c.Approve(actor=actor, request=1, nonce=NONCE, digest=DIGEST[:16], card=CARD)


UNSEEN = who("UBO").model_copy(update={"account": None})
BOT_IN_POLICY = who("UBO", bot=True)
CLICKS = [
    ("APR020E", by(who("URITA")), "You asked for this, so another person must approve. Paged: Bo, Chen, Dana."),
    ("APR020E", by(who("URITA2")), "You asked for this"),  # the same human under another account
    ("APR021E", by(who("UOLAF")), "You are not an approver for fe1. Nothing happened; your tap is on record."),
    ("APR021E", by(who("UOLAF").model_copy(update={"person": "bo", "name": "Bo Lund"})), "not an approver"),
    ("APR022E", by(who("UWIM")), "You are not an approver for fe1"),
    ("APR023E", by(who("UBO", guest=True)), "guest"),
    ("APR024E", by(who("UBO", deleted=True)), "deactivated"),
    ("APR025E", by(who("UBO", team="TFOREIGN")), "another workspace"),
    ("APR025E", by(who("UBO").model_copy(update={"account": account().model_copy(update={"team": ""})})), "workspace"),
    ("APR026E", by(BOT_IN_POLICY), "Bots"),
    ("APR027E", by(who("UBO", stranger=True)), "shared channel"),
    ("APR028E", by(who("UBO", invited=True)), "invited"),
    ("APR029E", by(who("UBO", mail_confirmed=False)), "mail address"),
    ("APR033E", by(UNSEEN), "Slack could not say"),
    ("APR033E", by(who("UBO", looked_at=None)), "Slack could not say"),
    ("APR031E", replace(by(who("bo", via="cli")), card=None), "Wrong code, 1 of 3"),
    ("APR040E", replace(by(who("UBO")), nonce="other"), "no open question"),
    ("APR040E", replace(by(who("UBO")), request=7), "no open question"),
    ("APR041E", replace(by(who("UBO")), digest="8a" * 8), "another plan"),
    ("APR041E", replace(by(who("UBO")), digest=DIGEST[:15]), "another plan"),
    ("APR042E", replace(by(who("UBO")), card=COPY), "copy of the card"),
    ("APR042E", replace(by(who("UBO")), card=None), "copy of the card"),
    ("APR049E", replace(by(who("UBO")), short="ABCDEF"), "six characters"),
    ("APR057E", c.SayStillDisaster(who("URITA"), 1, NONCE, CARD), "no red warning"),
    ("APR022E", c.Decline(who("UWIM"), 1, NONCE, CARD), "not an approver|may not"),
    ("REF065E", c.Rule(who("UBO"), "cms", 1, "retry"), "waits for nobody"),
    ("REF064E", c.GoOn(who("UBO")), "No stop"),
    ("REF021E", c.Stop(who("UOLAF")), "not in the policy"),
    ("REF042E", c.Rule(who("UBO"), "cms", 1, "retry", card=COPY, copy=True), "not one of the bot's"),
    ("REF042E", c.GoOn(who("UBO"), copy=True), "Nothing happened"),
    ("REF042E", c.Confirm(who("UBO"), copy=True), "type the command"),
    ("REF022E", c.GoOn(who("UWIM"), copy=True), "may not lift a stop"),
    ("REF070E", c.SetOutage(who("URITA"), Play().now.replace(hour=4)), "cannot have begun"),
    ("REF069E", c.Close(who("UBO")), None),
    ("REF073E", c.Confirm(who("UBO")), "Nothing has been moved"),
    ("REF071E", c.SettleFollowUp(who("UBO"), "edge"), "No open follow-up"),
    ("REF022E", c.Cancel(who("UBO")), "may not cancel a declaration for fe1. Nothing happened. Call: Dana Ito"),
    ("REF022E", c.GoOn(who("UWIM")), "may not lift a stop for fe1. Nothing happened. Call: Bo Lund"),
    ("REF022E", c.SetOutage(who("UWIM"), Play().now), "may not say when the outage began for fe1"),
]


@pytest.mark.parametrize(("code", "command", "words"), [row for row in CLICKS if row[2] is not None])
def test_a_refused_act_has_its_code_and_sentence_and_changes_nothing(code, command, words):
    play = Play().asked()
    before = play.s
    refusal = play.refused(command)
    assert refusal.code == code
    assert re.search(words, refusal.text), refusal.text
    assert play.s.request == before.request
    assert play.s.stop is None
    assert play.records[-1].event.code == code, "the refusal is on record under its own code"
    assert play.records[-1].event.text == refusal.text


def test_a_group_narrows_and_a_shared_account_only_watches():
    narrowed = RULES.model_copy(update={"policy": POLICY.model_copy(update={"approver_group": "S1"})})
    play = Play(rules=narrowed).asked()
    assert play.refused(by(who("UBO"))).code == "APR034E"
    assert play.refused(by(who("UBO", in_group=False))).code == "APR034E"
    lapsed = Play(rules=narrowed).asked().after(601)
    lapsed.done(c.Tick())
    lapsed.done(c.AskApproval(who("URITA", in_group=False), "n2", again=True))  # whoever asks need not be in it
    play.done(by(who("UBO", in_group=True)))
    noc = person("noc", "approve", shared=True)
    shared = RULES.model_copy(update={"policy": POLICY.model_copy(update={"persons": (*POLICY.persons, noc)})})
    assert Play(rules=shared).asked().refused(by(who("UNOC"))).code == "APR035E"


def test_one_time_codes_are_asked_for_never_used_twice_and_three_wrong_ones_lock():
    play = Play(rules=RULES.model_copy(update={"policy": POLICY.model_copy(update={"one_time_code": True})})).asked()
    assert play.refused(by(who("UBO"))).code == "APR037E"
    texts = [play.refused(replace(by(who("UBO")), code=c.Code(None))).text for _ in range(3)]
    assert texts[0] == "Wrong code, 1 of 3. Nothing was run."
    assert "may no longer approve" in texts[2]
    assert set(play.s.locked) == {"bo"}
    assert play.records[-1].event.code == "APR030W"
    assert play.refused(replace(by(who("UBO")), code=c.Code(500))).code == "APR038E"
    play.done(replace(by(who("UCHEN")), code=c.Code(501)))
    assert play.s.code_steps["chen"] == 501
    # The same code again, for the question that follows.
    play.after(301).done(c.Tick())
    play.done(c.AskApproval(who("URITA"), "n2", again=True))
    play.done(c.RecordCard(2, CARD))
    again = replace(by(who("UCHEN")), request=2, nonce="n2", code=c.Code(501))
    assert play.refused(again).code == "APR032E"
    play.done(replace(again, code=c.Code(502)))


@pytest.mark.parametrize(("level", "typed"), [("red", "fe1"), ("green", None)], ids=["red", "no code asked for"])
def test_who_is_locked_out_cannot_approve_either_where_no_code_is_asked_for(level, typed):
    """The card turned red, or the policy asks for codes no more: the account may be in other hands all the same."""
    play = Play().asked(level)
    if level == "red":
        play.done(c.SayStillDisaster(who("URITA"), 1, NONCE, CARD))
    for _ in range(3):
        play.refused(c.GoOn(who("bo", via="cli")))
    assert set(play.s.locked) == {"bo"}
    assert play.refused(replace(by(who("UBO")), typed=typed)).code == "APR038E"
    play.done(replace(by(who("UCHEN")), typed=typed))


def test_who_is_locked_out_decides_nothing_in_slack_either_and_may_still_stop():
    play = Play().started().failed("cms", "red", "not_begun")
    play.done(c.Stop(who("UBO")))
    for _ in range(3):
        play.refused(c.AddNote(who("bo", via="cli"), "one"))
    assert set(play.s.locked) == {"bo"}
    for command in (c.GoOn(who("UBO")), c.Rule(who("UBO"), "cms", 1, "retry"), c.Confirm(who("UBO"))):
        assert play.refused(command).code == "REF038E"
    play.done(c.GoOn(who("UCHEN")))
    play.done(c.Stop(who("UBO")))


def test_a_terminal_proves_the_person_by_a_code_and_needs_no_card():
    play = Play().asked()
    play.done(replace(by(who("bo", via="cli", step=77)), card=None))
    assert play.s.phase == "approved"
    assert play.s.code_steps["bo"] == 77
    assert play.refused(c.GoOn(who("bo", via="cli", step=77))).code == "REF032E"
    for _ in range(3):
        assert play.refused(c.GoOn(who("dana", via="cli"))).code == "REF031E"
    for command in (c.GoOn(who("dana", via="cli", step=78)), c.AddNote(who("dana", via="cli", step=78), "one")):
        assert play.refused(command).code == "REF038E"
    assert Play().refused(replace(DECLARE, actor=who("rita", via="cli"))).code == "REF036E"


def test_rights_are_those_of_the_moment_of_the_click():
    play = Play().asked()
    without_bo = POLICY.model_copy(update={"persons": tuple(p for p in POLICY.persons if p.id != "bo")})
    play.rules = RULES.model_copy(update={"policy": without_bo})
    assert play.refused(by(who("UBO"))).code == "APR021E"
    moved = person("bo2", "approve", slack=(SlackId(team=TEAM, user="UBO"),))
    play.rules = RULES.model_copy(update={"policy": POLICY.model_copy(
        update={"persons": (*without_bo.persons, moved)})})  # fmt: skip
    play.done(by(who("UBO")))
    assert play.s.request.votes[0].person == "bo2", "the policy says who owns the account, not the click"


@pytest.mark.parametrize("roles", [None, ("approve", "operate")], ids=["in the policy no more", "no right to declare"])
def test_what_somebody_asked_for_who_may_ask_no_more_cannot_be_approved(roles):
    play = Play().asked()
    others = tuple(p for p in POLICY.persons if p.id != "rita")
    persons = others if roles is None else (*others, person("rita", *roles))
    play.rules = RULES.model_copy(update={"policy": POLICY.model_copy(update={"persons": persons})})
    refusal = play.refused(by(who("UBO")))
    assert refusal.code == "APR059E"
    assert "/lync cancel fe1, then declare it again" in refusal.text
    assert play.s.request.votes == ()


def test_the_first_decision_ends_the_question():
    play = Play().asked()
    play.done(c.Decline(who("UCHEN"), 1, NONCE, CARD, "wrong night"))
    assert play.refused(by(who("UBO"))).code == "APR044E"
    play.done(c.Cancel(who("UDANA")))
    assert play.refused(by(who("UBO"))).code == "APR060E"
    assert play.refused(c.Stop(who("UBO"))).code == "REF060E"


def test_every_code_is_in_the_table_once_with_a_meaning_and_every_reason_is_used():
    table = codes.table()
    assert all(re.fullmatch(r"[A-Z]{3}\d{3}[IWE]", code) and meaning for code, meaning in table.items())
    numbers = [f"{family}{r.number}" for r in codes.REASONS.values() for family in r.families]
    assert len(numbers) == len(set(numbers))
    rooms = Path(decide.__file__).parent
    source = "".join(path.read_text() for path in (*rooms.glob("*.py"), rooms.parent / "desk.py"))
    unused = {key for key in codes.REASONS if f'"{key}"' not in source}
    source += (rooms.parent / "persons.py").read_text()
    # What no decision is made about: a request that is refused at the door.
    source += (rooms.parents[1] / "bot" / "app.py").read_text()
    assert {key for key in unused if f'"{key}"' not in source} == set()
    page = Path(decide.__file__).parents[2] / "docs" / "codes.md"
    assert page.read_text("utf-8") == codes.as_markdown(), "docs/codes.md is made by codes.as_markdown()"
