"""Slack's mrkdwn as people see it: what is formatting, what is escaped, what stays as it was typed."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from practice.slack import checks, drawing
from practice.slack.workspace import give_ids

from .test_conversation import plain

NAMES = {"UBO": "Bo Lund", "C0INC": "inc-4411", "S0APPROVE": "lync-approvers"}


def name_of(ident: str) -> str:
    return NAMES.get(ident, ident)


def lines(text: str, verbatim: bool = False) -> list[str]:
    return drawing.lines_of(list(drawing.text_pieces(text, name_of, verbatim)))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("*bold* _it_ ~gone~ `a*b*`", ["bold it gone a*b*"]),
        ("2*3*4 and snake_case_name", ["2*3*4 and snake_case_name"]),
        ("&lt;@UBO&gt; &amp;lt;", ["<@UBO> &lt;"]),
        ("<@UBO> <#C0INC> <!channel> <!subteam^S0APPROVE>", ["@Bo Lund #inc-4411 @channel @lync-approvers"]),
        ("<https://a.example/x|open &amp; see>", ["open & see"]),
        ("a\n&gt; said\nb", ["a", "> said", "b"]),
        ("see\n```\n*raw* `x`\n```", ["see", "│ *raw* `x`"]),
        ("<!date^1795982408^{date_num} {time_secs}|fallback>", ["2026-11-29 20:00:08"]),
        (":white_check_mark: 03:07:12 :nosuch:", ["✅ 03:07:12 :nosuch:"]),
    ],
)
def test_mrkdwn(text: str, seen: list[str]) -> None:
    assert lines(text) == seen


def test_links_are_known_so_that_previews_can_be_noticed() -> None:
    pieces = list(drawing.text_pieces("at https://evil.example/a", name_of))
    assert drawing.links_in(pieces) == ["https://evil.example/a"]
    assert drawing.links_in(list(drawing.text_pieces("at https://evil.example/a", name_of, verbatim=True))) == []


@settings(max_examples=60)
@given(st.text(min_size=1))
def test_untrusted_text_in_rich_text_and_plain_text_is_drawn_as_it_is(text: str) -> None:
    part: dict[str, Any] = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}
    blocks = [{"type": "rich_text", "elements": [part]}]
    (piece,) = drawing.block_pieces(blocks, name_of)
    assert drawing.spans_text(piece["pieces"][0]["spans"]) == text
    assert not drawing.links_in(piece)
    assert not drawing.mentions_in([*blocks, {"type": "header", "text": {"type": "plain_text", "text": text}}])


@settings(max_examples=60)
@given(st.text(alphabet="<>&@!|#UBO*_~`\n ab", min_size=1, max_size=60))
def test_escaped_text_mentions_nobody(text: str) -> None:
    assert not drawing.mentions_in(drawing.escape(text))
    spans = [s for p in drawing.text_pieces(drawing.escape(text), name_of) for s in p["spans"]]
    assert not any("mention" in span or "link" in span for span in spans)


def mangled(good: Any, chance: random.Random) -> Any:
    """A copy with one value, anywhere inside, lost or replaced by something that does not belong there."""
    bad = copy.deepcopy(good)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((value, key))
            if isinstance(inner, dict | list):
                walk(inner)

    walk(bad)
    holder, key = chance.choice(places)
    holder[key] = chance.choice([None, 5, "", "text", [], {}, [None], {"type": []}, True, {"type": "button"}])
    return bad


def test_a_mangled_message_is_refused_or_drawn_but_never_a_fault() -> None:
    button = {"type": "button", "text": plain("b"), "action_id": "a", "value": "1"}
    inline = [{"type": "text", "text": "t", "style": {"bold": True}}, {"type": "user", "user_id": "UBO"}]
    part = {"type": "rich_text_section", "elements": inline}
    good = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "*x*"}, "fields": [plain("f")], "accessory": button},
        {"type": "actions", "elements": [button]},
        {"type": "rich_text", "elements": [part, {"type": "rich_text_list", "style": "bullet", "elements": [part]}]},
        {"type": "context", "elements": [plain("c")]},
    ]
    chance = random.Random(4411)
    refused = 0
    for _ in range(1500):
        bad = mangled(good, chance)
        if checks.wrong_blocks(bad):
            refused += 1
            continue
        give_ids(bad)
        drawing.lines_of(drawing.block_pieces(bad, name_of))
        drawing.mentions_in(bad)
    assert 1000 < refused < 1500
