"""What Slack would refuse in blocks, attachments and views.

Limits are those of the Block Kit reference (docs.slack.dev) and of slack_sdk's own models. The workspace
accepts only the blocks that its page draws; any other type is refused with Slack's ``invalid_blocks``, so
that a message that looks right in practice cannot contain something nobody has ever seen drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

MESSAGE_BLOCKS = 50
MODAL_BLOCKS = 100
# One long message was refused from about 13,200 characters on although no documented limit was exceeded
# (github.com/slackapi/bolt-js issue 2509).
ALL_BLOCKS_CHARACTERS = 13_200
TEXT_CHARACTERS = 40_000

Json = dict[str, Any]


class Found:
    """Collects what is wrong, in the words and with the JSON pointers of Slack's ``response_metadata``."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, what: str, at: str) -> None:
        """Note one mistake at a JSON pointer."""
        self.messages.append(f"[ERROR] {what} [json-pointer:{at}]")

    def keys(self, value: Any, at: str, required: str, optional: str = "") -> bool:
        """Check that ``value`` is an object with only allowed keys; say whether it can be looked into."""
        if not isinstance(value, dict):
            self.add("must be an object", at)
            return False
        must, may = set(required.split()), set(optional.split())
        for key in sorted(must - value.keys()):
            self.add(f"missing required field: {key}", at)
        for key in sorted(value.keys() - must - may):
            self.add(f"invalid additional property: {key}", at)
        return must <= value.keys()

    def string(self, value: Any, at: str, most: int, least: int = 1) -> None:
        """Check a string's length in characters, both ends included."""
        if not isinstance(value, str):
            self.add("must be a string", at)
        elif len(value) < least:
            self.add(f"must be more than {least - 1} characters", at)
        elif len(value) > most:
            self.add(f"must be less than {most + 1} characters", at)

    def items(self, value: Any, at: str, most: int, least: int = 1) -> list[Any]:
        """Check an array's length and return it, or an empty list when it is none."""
        if not isinstance(value, list):
            self.add("must be an array", at)
            return []
        if len(value) < least:
            self.add(f"no fewer than {least} items allowed", at)
        if len(value) > most:
            self.add(f"no more than {most} items allowed", at)
        return value

    def flags(self, value: Json, at: str, *names: str) -> None:
        """Check that the named keys, where present, are true or false."""
        for name in names:
            if name in value and not isinstance(value[name], bool):
                self.add("must be a boolean", f"{at}/{name}")


def _kind(value: Any) -> str:
    """Return the ``type`` of an object as text, whatever stands there."""
    return str(value.get("type")) if isinstance(value, dict) else "none"


def _text(found: Found, value: Any, at: str, most: int, plain_only: bool = False) -> None:
    if not found.keys(value, at, "type text", "emoji verbatim"):
        return
    kind = value["type"]
    if kind not in ("plain_text",) + (() if plain_only else ("mrkdwn",)):
        found.add(f"unsupported type: {kind}", f"{at}/type")
    if kind == "plain_text" and "verbatim" in value:
        found.add("invalid additional property: verbatim", at)
    if kind == "mrkdwn" and "emoji" in value:
        found.add("invalid additional property: emoji", at)
    found.flags(value, at, "emoji", "verbatim")
    found.string(value["text"], f"{at}/text", most)


def _confirm(found: Found, value: Any, at: str) -> None:
    if found.keys(value, at, "title text confirm deny", "style"):
        _text(found, value["title"], f"{at}/title", 100, plain_only=True)
        _text(found, value["text"], f"{at}/text", 300)
        _text(found, value["confirm"], f"{at}/confirm", 30, plain_only=True)
        _text(found, value["deny"], f"{at}/deny", 30, plain_only=True)
        if value.get("style", "primary") not in ("primary", "danger"):
            found.add("must be a valid enum value", f"{at}/style")


def _button(found: Found, value: Any, at: str) -> None:
    if not found.keys(value, at, "type text", "action_id url value style confirm accessibility_label"):
        return
    if value["type"] != "button":
        found.add(f"unsupported type: {value['type']}", f"{at}/type")
        return
    _text(found, value["text"], f"{at}/text", 75, plain_only=True)
    for key, most in (("action_id", 255), ("url", 3000), ("value", 2000), ("accessibility_label", 75)):
        if key in value:
            found.string(value[key], f"{at}/{key}", most)
    if "url" in value and not re.match(r"https?://", str(value["url"])):
        found.add("invalid url", f"{at}/url")
    if "style" in value and value["style"] not in ("primary", "danger"):
        found.add("must be a valid enum value", f"{at}/style")
    if "confirm" in value:
        _confirm(found, value["confirm"], f"{at}/confirm")


def _header(found: Found, block: Json, at: str) -> None:
    if found.keys(block, at, "type text", "block_id"):
        _text(found, block["text"], f"{at}/text", 150, plain_only=True)


def _section(found: Found, block: Json, at: str) -> None:
    found.keys(block, at, "type", "block_id text fields accessory expand")
    if "text" not in block and "fields" not in block:
        found.add("missing required field: text", at)
    if "text" in block:
        _text(found, block["text"], f"{at}/text", 3000)
    if "fields" in block:
        for n, one in enumerate(found.items(block["fields"], f"{at}/fields", 10)):
            _text(found, one, f"{at}/fields/{n}", 2000)
    if "accessory" in block:
        _button(found, block["accessory"], f"{at}/accessory")


def _context(found: Found, block: Json, at: str) -> None:
    if found.keys(block, at, "type elements", "block_id"):
        for n, one in enumerate(found.items(block["elements"], f"{at}/elements", 10)):
            _text(found, one, f"{at}/elements/{n}", 2000)


def _divider(found: Found, block: Json, at: str) -> None:
    found.keys(block, at, "type", "block_id")


def _actions(found: Found, block: Json, at: str) -> None:
    if not found.keys(block, at, "type elements", "block_id"):
        return
    seen: set[str] = set()
    for n, one in enumerate(found.items(block["elements"], f"{at}/elements", 25)):
        _button(found, one, f"{at}/elements/{n}")
        action = str(one.get("action_id") or "") if isinstance(one, dict) else ""
        if action and action in seen:
            found.add(f"`action_id` {action} already exists in this block", f"{at}/elements/{n}/action_id")
        seen.add(action)


_INLINE = {
    "text": ("type text", "style"),
    "user": ("type user_id", "style"),
    "channel": ("type channel_id", "style"),
    "emoji": ("type name", "unicode skin_tone style"),
    "date": ("type timestamp format", "fallback url style"),
}
_INLINE_STRINGS = {"text": 13_200, "user_id": 255, "channel_id": 255, "name": 255, "format": 255, "fallback": 3000}
_STYLES = "bold italic strike code underline highlight client_highlight unlink"


def _inline(found: Found, element: Any, at: str, allowed: tuple[str, ...]) -> None:
    kind = _kind(element)
    if kind not in allowed:
        found.add(f"unsupported type: {kind}", f"{at}/type")
        return
    required, optional = _INLINE[kind]
    if not found.keys(element, at, required, optional):
        return
    for key, most in _INLINE_STRINGS.items():
        if key in element:
            found.string(element[key], f"{at}/{key}", most)
    if kind == "date" and not isinstance(element["timestamp"], int):
        found.add("must be an integer", f"{at}/timestamp")
    if "style" in element and found.keys(element["style"], f"{at}/style", "", _STYLES):
        found.flags(element["style"], f"{at}/style", *_STYLES.split())


def _rich_part(found: Found, part: Any, at: str, lists: bool = True) -> None:
    kind = _kind(part)
    extra = {
        "rich_text_section": "",
        "rich_text_quote": "border",
        "rich_text_preformatted": "border language",
        "rich_text_list": "style indent offset border",
    }
    if kind not in extra or (kind == "rich_text_list" and not lists):
        found.add(f"unsupported type: {kind}", f"{at}/type")
        return
    if not found.keys(part, at, "type elements", extra[kind]):
        return
    if kind == "rich_text_list":
        if part.get("style") not in ("bullet", "ordered"):
            found.add("must be a valid enum value", f"{at}/style")
        for key in ("indent", "offset", "border"):
            if type(part.get(key, 0)) is not int or not 0 <= part.get(key, 0) <= 1000:
                found.add("must be an integer from 0 on", f"{at}/{key}")
        for n, one in enumerate(found.items(part["elements"], f"{at}/elements", 100)):
            _rich_part(found, one, f"{at}/elements/{n}", lists=False)
        return
    allowed = ("text",) if kind == "rich_text_preformatted" else tuple(_INLINE)
    for n, one in enumerate(found.items(part["elements"], f"{at}/elements", 500)):
        _inline(found, one, f"{at}/elements/{n}", allowed)


def _rich_text(found: Found, block: Json, at: str) -> None:
    if found.keys(block, at, "type elements", "block_id"):
        for n, one in enumerate(found.items(block["elements"], f"{at}/elements", 100)):
            _rich_part(found, one, f"{at}/elements/{n}")


def _option(found: Found, value: Any, at: str) -> None:
    if found.keys(value, at, "text value", "description"):
        _text(found, value["text"], f"{at}/text", 75, plain_only=True)
        found.string(value["value"], f"{at}/value", 150)
        if "description" in value:
            _text(found, value["description"], f"{at}/description", 75, plain_only=True)


def _select(found: Found, element: Json, at: str) -> None:
    if not found.keys(element, at, "type options", "action_id placeholder initial_option focus_on_load"):
        return
    options = found.items(element["options"], f"{at}/options", 100)
    for n, one in enumerate(options):
        _option(found, one, f"{at}/options/{n}")
    if "initial_option" in element and element["initial_option"] not in options:
        found.add("initial_option must be one of options", f"{at}/initial_option")
    found.flags(element, at, "focus_on_load")


def _plain_input(found: Found, element: Json, at: str) -> None:
    keys = "action_id placeholder initial_value multiline min_length max_length focus_on_load"
    if not found.keys(element, at, "type", keys):
        return
    for key, least in (("min_length", 0), ("max_length", 1)):
        number = element.get(key, least)
        if not isinstance(number, int) or not least <= number <= 3000:
            found.add(f"must be between {least} and 3000", f"{at}/{key}")
    if "initial_value" in element:
        found.string(element["initial_value"], f"{at}/initial_value", 3000, least=0)
    found.flags(element, at, "multiline", "focus_on_load")


def _input(found: Found, block: Json, at: str) -> None:
    if not found.keys(block, at, "type label element", "block_id hint optional"):
        return
    _text(found, block["label"], f"{at}/label", 2000, plain_only=True)
    if "hint" in block:
        _text(found, block["hint"], f"{at}/hint", 2000, plain_only=True)
    found.flags(block, at, "optional")
    element, here = block["element"], f"{at}/element"
    kind = _kind(element)
    if kind == "static_select":
        _select(found, element, here)
    elif kind == "plain_text_input":
        _plain_input(found, element, here)
    else:
        found.add(f"unsupported type: {kind}", f"{here}/type")
        return
    if "action_id" in element:
        found.string(element["action_id"], f"{here}/action_id", 255)
    if "placeholder" in element:
        _text(found, element["placeholder"], f"{here}/placeholder", 150, plain_only=True)


_Check = Callable[[Found, Json, str], None]
IN_MESSAGES: dict[str, _Check] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "divider": _divider,
    "actions": _actions,
    "rich_text": _rich_text,
}
IN_MODALS: dict[str, _Check] = {**IN_MESSAGES, "input": _input}


def _blocks(found: Found, blocks: Any, at: str, most: int, known: dict[str, _Check], ids: set[str]) -> None:
    for n, block in enumerate(found.items(blocks, at, most, least=0)):
        here = f"{at}/{n}"
        kind = _kind(block)
        if kind not in known:
            found.add(f"unsupported type: {kind}", f"{here}/type")
            continue
        known[kind](found, block, here)
        if "block_id" in block:
            found.string(block["block_id"], f"{here}/block_id", 255)
            if str(block["block_id"]) in ids:
                found.add(f"`block_id` {block['block_id']} already exists", f"{here}/block_id")
            ids.add(str(block["block_id"]))


def wrong_blocks(blocks: Any, ids: set[str] | None = None) -> list[str]:
    """Return what Slack would say against the blocks of a message; an empty list means accepted."""
    found = Found()
    _blocks(found, blocks, "/blocks", MESSAGE_BLOCKS, IN_MESSAGES, ids if ids is not None else set())
    return found.messages


def wrong_attachments(attachments: Any, ids: set[str] | None = None) -> list[str]:
    """Return what Slack would say against attachments: colour, fallback and blocks only, as we draw them."""
    found = Found()
    seen = ids if ids is not None else set()
    for n, one in enumerate(found.items(attachments, "/attachments", 100, least=0)):
        at = f"/attachments/{n}"
        if not found.keys(one, at, "blocks", "color fallback"):
            continue
        if not re.fullmatch(r"good|warning|danger|#?[0-9A-Fa-f]{6}", str(one.get("color", "good"))):
            found.add("must be a valid color", f"{at}/color")
        if "fallback" in one:
            found.string(one["fallback"], f"{at}/fallback", TEXT_CHARACTERS)
        _blocks(found, one["blocks"], f"{at}/blocks", MESSAGE_BLOCKS, IN_MESSAGES, seen)
    return found.messages


def wrong_view(view: Any) -> list[str]:
    """Return what Slack would say against a modal."""
    found = Found()
    optional = "callback_id private_metadata clear_on_close notify_on_close external_id submit close"
    if not found.keys(view, "/view", "type title blocks", optional):
        return found.messages
    if view["type"] != "modal":
        found.add(f"unsupported type: {view['type']}", "/view/type")
    for key in ("title", "submit", "close"):
        if key in view:
            _text(found, view[key], f"/view/{key}", 24, plain_only=True)
    for key, most in (("callback_id", 255), ("private_metadata", 3000), ("external_id", 255)):
        if key in view:
            found.string(view[key], f"/view/{key}", most, least=0)
    found.flags(view, "/view", "clear_on_close", "notify_on_close")
    _blocks(found, view["blocks"], "/view/blocks", MODAL_BLOCKS, IN_MODALS, set())
    has_input = isinstance(view["blocks"], list) and any(_kind(b) == "input" for b in view["blocks"])
    if has_input and "submit" not in view:
        found.add("submit is required when an input block is present", "/view")
    return found.messages


def characters(value: Any) -> int:
    """Count the characters of every ``text`` inside blocks or attachments, as the total limit does."""
    if isinstance(value, dict):
        own = len(value["text"]) if isinstance(value.get("text"), str) else 0
        return own + sum(characters(v) for v in value.values())
    if isinstance(value, list):
        return sum(characters(v) for v in value)
    return 0
