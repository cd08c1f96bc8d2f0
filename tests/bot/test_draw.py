"""What is drawn: within Slack's limits, complete for a locked phone, and never alive with somebody else's text."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.draw import untrusted
from bot.draw.card import warnings_of
from bot.draw.post import BYTES, WIDTH, Bold, Post, header, lines, post, preformatted, size, texts
from bot.draw.reader import Reader
from practice.slack.checks import wrong_attachments, wrong_blocks, wrong_view
from tests.bot.gallery import World, posts, views
from tests.workers.world import POLICY

FULL = Reader(POLICY, practice=True, host="bot-leeds")
MASKED = Reader(POLICY.model_copy(update={"channel_detail": "masked"}), host="bot-leeds")
KINDS = {
    "declared", "page", "board", "card", "card_over", "receipt", "red", "failed", "unknown", "stopped", "summary",
    "log", "reminder", "task",
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> list[tuple[str, Post]]:
    return list(posts(FULL))


def test_every_kind_keeps_slacks_limits(drawn: list[tuple[str, Post]]) -> None:
    assert {p.kind for _, p in drawn} >= KINDS
    for name, one in drawn:
        ids: set[str] = set()
        assert not wrong_blocks(list(one.blocks), ids), name
        assert not wrong_attachments(list(one.attachments), ids), name
        assert size(one) <= BYTES, name
        assert 0 < len(one.text) <= 600, name
        assert "mrkdwn" not in str(one.blocks), name


def shown_lines(one: Post) -> list[str]:
    """The lines of a post's running text, as we end them."""
    sections = [b["elements"][0] for b in one.blocks if b["type"] == "rich_text"]
    some = [s["elements"] for s in sections if s["type"] == "rich_text_section"]
    return [line for elements in some for line in "".join(e.get("text", "") for e in elements).split("\n")]


def test_rows_with_a_duration_fit_a_phone(drawn: list[tuple[str, Post]]) -> None:
    rows = [line for _, p in drawn for line in shown_lines(p) if re.match(r"\W+ \d [A-Z].*  \d+:\d\d$", line)]
    assert len(rows) > 20
    assert max(map(len, rows)) <= WIDTH, max(rows, key=len)


def test_running_text_is_left_to_the_client_to_wrap() -> None:
    said = "The store lost its end, or somebody cut it: keep the state directory as it is, restart nothing."
    (block,) = lines(said)["elements"]
    assert [e["text"] for e in block["elements"]] == [said]


def test_every_dialog_keeps_slacks_limits() -> None:
    for name, view in views(FULL):
        assert not wrong_view(view), name


def test_the_push_alone_says_what_is_wanted(drawn: list[tuple[str, Post]]) -> None:
    said = {name.split("/")[0] + "/" + p.kind: p.text for name, p in drawn}
    assert re.search(
        r"APPROVE\? Fail over fe1 London to fe2 Leeds, 4,212 users\..*Nothing runs until", said["asking/card"]
    )
    assert re.search(r"DECIDE: step 3 Pool failover FAILED on fe2\. Something went wrong in red", said["failed/failed"])
    assert "UNKNOWN" in said["unknown/failed"]
    assert re.search(r"RECOVERED fe1 London on fe2 Leeds in \d+:\d\d, target 15:00", said["recovered/summary"])


def test_masked_keeps_names_addresses_and_output_in_the_house() -> None:
    for name, one in posts(MASKED):
        everything = " ".join([one.text, *texts(list(one.blocks)), *texts(list(one.attachments))])
        assert "ocsguy.local" not in everything, name
        assert not re.search(r"\b10\.\d+\.\d+\.\d+\b", everything), name
        assert "Something went wrong in red" not in everything, name
        assert "is working" not in everything, name
    for name, view in views(MASKED):
        assert "Something went wrong in red" not in str(view), name


@pytest.mark.parametrize(
    ("said", "masked"),
    [
        ("fe2.ocsguy.local and dns2.ocsguy.local.", "fe2 and dns2"),
        ("OCSGUY\\svc-dr was turned away by 10.20.0.11", "(account) was turned away by (address)"),
        ("sip:drtest1@ocsguy.local signs in", "(account) signs in"),
        ("the CMS is on fe1.ocsguy.local\\RTC", "the CMS is on fe1\\RTC"),
    ],
)
def test_masked_means_what_the_security_page_says(said: str, masked: str) -> None:
    assert MASKED.mask(said) == masked
    assert FULL.mask(said) == said


# --- the boundary ----------------------------------------------------------------------------------------


def harmless(value: Any) -> None:
    """Nothing that Slack parses, and nothing a reader cannot see."""
    if isinstance(value, dict):
        assert value.get("type") not in ("mrkdwn", "link", "broadcast", "usergroup", "markdown")
        for one in value.values():
            harmless(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            harmless(one)


LIVE = re.compile(r"<[!@#]|<https?:|(?<!&lt;)https?://|mailto:")
PIECES = st.sampled_from(
    [
        "<!channel>", "<@URITA>", "<http://x|y>", "https://evil.example", "mailto:a@b.c", "&", "&lt;", "`", "```",
        "\x1b[2J", "\u202e", "\u200b", "\x00", "\r\n", "*a*", "_b_", ":tada:", "\U0001f600", "é",
    ]
)  # fmt: skip
NASTY = st.lists(PIECES | st.text(max_size=20), max_size=40).map("".join)


@settings(max_examples=60, deadline=None)
@given(NASTY)
def test_no_text_of_others_comes_alive(text: str) -> None:
    made = post("x", f"FAILED: {text}", [header(text), lines(text, Bold(text)), preformatted([text])])
    done = FULL.finish(made)
    assert not LIVE.search(done.text)
    assert len(done.text) <= 600
    harmless(list(done.blocks))
    assert not wrong_blocks(list(done.blocks))
    for shown in texts(list(done.blocks)):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200b\ufeff]", shown)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=200))
def test_huge_output_keeps_its_first_and_last_lines(given_lines: list[str]) -> None:
    text = untrusted.output(given_lines)
    assert 0 < len(text) <= untrusted.OUTPUT_CHARACTERS


def test_what_is_cut_away_is_counted() -> None:
    text = untrusted.output([f"line {n}" for n in range(100)])
    assert text.startswith("line 0\n")
    assert text.endswith("line 99")
    assert "… 60 more lines are in the record …" in text


def test_a_message_that_is_too_long_keeps_its_buttons(drawn: list[tuple[str, Post]]) -> None:
    card = next(p for _, p in drawn if p.kind == "card" and p.blocks[-2]["type"] == "actions")
    huge = replace(card, blocks=(card.blocks[0], *[lines("x" * 2000)] * 8, *card.blocks[1:]))
    made = FULL.finish(huge)
    assert size(made) <= BYTES
    assert any(b["type"] == "actions" for b in made.blocks)


def test_files_that_differ_stand_on_the_card_before_anybody_approves() -> None:
    state = World().asked().state
    assert state.request is not None
    assert not [w for w in warnings_of(state) if w["code"] == "files"]
    asked = replace(state, requests=(replace(state.request, differs=("policy",)),))
    (said,) = [w for w in warnings_of(asked) if w["code"] == "files"]
    assert said["text"].startswith("Policy on ")
    assert "is not what the bot has" in said["text"]
