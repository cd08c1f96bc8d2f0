"""A post as a value, the few blocks it is made of, and Slack's limits.

Only blocks that every client draws: header, section (plain_text), rich_text, actions, divider, context. No mrkdwn
anywhere, so nothing written by others can become a mention or a link. Limits are those of the Block Kit reference
(docs.slack.dev) and, for a whole message, those other projects measured (slackapi/bolt-js issue 2509): 9,000 bytes
of text keep clear of all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bot.draw import untrusted

Json = dict[str, Any]

WIDTH: Final = 41
"""Characters of a row that must stay on one line (a step, its mark and its duration): what a phone of 390 pixels
shows without wrapping. Running text is never broken by us: the client wraps it to whatever width it has."""
BYTES: Final = 9_000
BLOCKS: Final = 40
VALUE: Final = 2_000
RED: Final = "#D92D20"
AMBER: Final = "#ECB22E"
GREEN: Final = "#2EB67D"


_NO_BUTTONS: Final = " (Slack did not take the buttons: type /lync help)"


@dataclass(frozen=True)
class Post:
    """One message. `text` alone is what a locked phone and a screen reader get, so it is complete by itself."""

    kind: str
    text: str
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()


class Bold(str):
    """A line in bold."""

    __slots__ = ()


class Code(str):
    """A line in code style: never linked by the client."""

    __slots__ = ()


@dataclass(frozen=True)
class Names:
    """A line that mentions people by their Slack ids: `label` and then the mentions, so that they are notified."""

    label: str
    users: tuple[str, ...]


Line = str | Names


def header(text: str) -> Json:
    """A heading of at most 150 characters."""
    return {"type": "header", "text": {"type": "plain_text", "text": untrusted.line(text, 150), "emoji": False}}


def divider() -> Json:
    """A thin line."""
    return {"type": "divider"}


def lines(*given: Line | Iterable[Line]) -> Json:
    """Lines as one rich_text section. A line ends where its sentence or row ends; the client wraps what is longer."""
    elements: list[Json] = []
    flat: list[Line] = []
    for one in given:
        flat.extend([one] if isinstance(one, (str, Names)) else one)
    for place, one in enumerate(flat):
        end = "" if place == len(flat) - 1 else "\n"
        if isinstance(one, Names):
            _mention(elements, one, end)
            continue
        text = untrusted.shown(one)
        style = {"bold": True} if isinstance(one, Bold) else {"code": True} if isinstance(one, Code) else None
        _append(elements, text if style else text + end, style)
        if style and end:
            _append(elements, end, None)
    if not elements:
        elements = [{"type": "text", "text": "–"}]
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def _mention(elements: list[Json], who: Names, end: str) -> None:
    _append(elements, who.label, None)
    for place, user in enumerate(who.users):
        if re.fullmatch(r"[UW][A-Z0-9]+", user):
            elements.append({"type": "user", "user_id": user})
            _append(elements, ", " if place < len(who.users) - 1 else end, None)


def _append(elements: list[Json], text: str, style: Json | None) -> None:
    if not text:
        return
    last = elements[-1] if elements else None
    if last and last.get("type") == "text" and last.get("style") == style:
        last["text"] += text
    else:
        elements.append({"type": "text", "text": text, **({"style": style} if style else {})})


def preformatted(given: Iterable[str], limit: int = untrusted.OUTPUT_CHARACTERS) -> Json:
    """Output as it came, in a preformatted block."""
    element = {"type": "text", "text": untrusted.output(given, limit)}
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [element]}]}


def plain(text: str, limit: int, default: str = "–") -> Json:
    """A plain_text object."""
    return {"type": "plain_text", "text": untrusted.line(text, limit) if text.strip() else default, "emoji": False}


def confirm(title: str, text: str, yes: str, no: str, danger: bool = True) -> Json:
    """A confirm dialog, drawn by the client. A courtesy, no control: the payload does not say that it was shown."""
    shape: Json = {
        "title": plain(title, 100),
        "text": plain(text, 300),
        "confirm": plain(yes, 30),
        "deny": plain(no, 30),
    }
    return {**shape, "style": "danger"} if danger else shape


def button(
    label: str, action: str, value: str = "", *, style: str = "", ask: Json | None = None, spoken: str = ""
) -> Json:
    """A button. `value` is opaque to Slack; `spoken` is what a screen reader says."""
    shape: Json = {"type": "button", "text": plain(label, 75), "action_id": action}
    if value:
        shape["value"] = value[:VALUE]
    if style:
        shape["style"] = style
    if ask:
        shape["confirm"] = ask
    if spoken:
        shape["accessibility_label"] = untrusted.line(spoken, 75)
    return shape


def actions(block_id: str, *buttons: Json | None) -> list[Json]:
    """A row of buttons, or nothing where there are none."""
    real = [b for b in buttons if b]
    return [{"type": "actions", "block_id": block_id[:255], "elements": real}] if real else []


def bar(colour: str, text: str) -> tuple[Json, ...]:
    """A coloured bar with one short line below the message: decoration, the message is whole without it."""
    block = {"type": "section", "text": plain(text, 200)}
    return ({"color": colour, "fallback": untrusted.line(text, 200), "blocks": [block]},)


def post(kind: str, push: str, blocks: Sequence[Json], attachments: Sequence[Json] = ()) -> Post:
    """A post within Slack's limits; `push` is escaped here and nowhere else."""
    return Post(kind, untrusted.pushed(push), tuple(blocks)[:BLOCKS], tuple(attachments))


def size(one: Post) -> int:
    """UTF-8 bytes of everything that is drawn."""
    return sum(len(t.encode()) for t in texts(list(one.blocks) + list(one.attachments)))


def texts(value: Any) -> list[str]:
    """Every text inside blocks."""
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [t for v in value.values() for t in texts(v)]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in texts(v)]
    return []


def alone(one: Post) -> Post:
    """The same post as its notification line only: what is sent when Slack refuses the blocks."""
    tapped = any(b["type"] == "actions" for b in one.blocks)
    text = untrusted.cut(one.text, untrusted.PUSH_CHARACTERS - len(_NO_BUTTONS)) + _NO_BUTTONS if tapped else one.text
    return replace(one, text=text, blocks=(), attachments=())


def copied(value: Any) -> Any:
    """A deep copy of JSON values."""
    return json.loads(json.dumps(value))
