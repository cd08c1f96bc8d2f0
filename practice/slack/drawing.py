"""From stored blocks to what a person sees.

One parser for Slack's mrkdwn (docs.slack.dev, "Formatting message text") turns text into *spans*;
blocks become *pieces* (``{"kind": "section", "spans": [...]}``). The page draws pieces
with boxes and colours, the HTTP interface prints the same pieces as plain lines, so the two cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

Span = dict[str, Any]
Piece = dict[str, Any]
NameOf = Callable[[str], str]

# Short names that Slack replaces by a picture in mrkdwn and in plain_text with emoji; others stay as typed.
EMOJI = {
    "red_circle": "🔴", "large_green_circle": "🟢", "large_yellow_circle": "🟡", "large_orange_circle": "🟠",
    "large_blue_circle": "🔵", "white_check_mark": "✅", "heavy_check_mark": "✔️", "warning": "⚠️", "x": "❌",
    "no_entry": "⛔", "octagonal_sign": "🛑", "hourglass_flowing_sand": "⏳", "hourglass": "⌛",
    "white_small_square": "▫️", "ballot_box_with_check": "☑️",
    "information_source": "ℹ️", "rotating_light": "🚨",
    "telephone_receiver": "📞", "bell": "🔔", "lock": "🔒", "memo": "📝", "clipboard": "📋", "wrench": "🔧",
    "fast_forward": "⏩", "arrow_right": "➡️", "stopwatch": "⏱️", "construction": "🚧", "eyes": "👀",
}  # fmt: skip

_TOKEN = re.compile(
    r"(?P<code>`[^`\n]+`)"
    r"|(?P<angle><[^<>\n]+>)"
    r"|(?P<bold>(?<![\w*])\*(?=[^\s*])[^*\n]*?(?<=\S)\*(?![\w*]))"
    r"|(?P<italic>(?<![\w_])_(?=[^\s_])[^_\n]*?(?<=\S)_(?![\w_]))"
    r"|(?P<strike>(?<![\w~])~(?=[^\s~])[^~\n]*?(?<=\S)~(?![\w~]))"
    r"|(?P<emoji>:[a-z0-9_+-]+:)"
    r"|(?P<url>https?://[^\s<>|]+)"
)
_ENTITY = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}


def unescape(text: str) -> str:
    """Undo Slack's three entities, once."""
    return re.sub(r"&(?:lt|gt|amp);", lambda found: _ENTITY[found[0]], text)


def escape(text: str) -> str:
    """Escape the three characters Slack treats specially."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def spans_of(text: str, name_of: NameOf, verbatim: bool = False, **style: bool) -> list[Span]:
    """Parse one stretch of mrkdwn (no fences, no quotes) into styled spans."""
    found: list[Span] = []
    end = 0
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "url" and verbatim:
            continue
        if token.start() > end:
            found.append({"text": unescape(text[end : token.start()]), **style})
        found.extend(_token(token.lastgroup or "", token[0], name_of, verbatim, style))
        end = token.end()
    if end < len(text):
        found.append({"text": unescape(text[end:]), **style})
    return found


def _token(kind: str, raw: str, name_of: NameOf, verbatim: bool, style: dict[str, bool]) -> list[Span]:
    if kind == "code":
        return [{"text": unescape(raw[1:-1]), **style, "code": True}]
    if kind == "angle":
        return [{**_angle(raw[1:-1], name_of), **style}]
    if kind == "emoji":
        return [{"text": EMOJI.get(raw[1:-1], raw), **style}]
    if kind == "url":
        return [{"text": unescape(raw), "link": unescape(raw), **style}]
    return spans_of(raw[1:-1], name_of, verbatim, **{**style, kind: True})


def _angle(inside: str, name_of: NameOf) -> Span:
    target, _, label = inside.partition("|")
    if target.startswith("@"):
        return {"text": f"@{name_of(target[1:])}", "mention": target[1:]}
    if target.startswith("#"):
        return {"text": f"#{name_of(target[1:])}", "channel": target[1:]}
    if target.startswith("!date^"):
        stamp, form = [*target.split("^"), "", ""][1:3]
        return {"text": date_text(stamp, form, unescape(label))}
    if target.startswith("!subteam^"):
        return {"text": f"@{name_of(target.removeprefix('!subteam^'))}", "mention": target[1:]}
    if target.startswith("!"):
        return {"text": f"@{target[1:]}", "mention": target}
    return {"text": unescape(label or target.removeprefix("mailto:")), "link": unescape(target)}


def date_text(stamp: str, form: str, fallback: str) -> str:
    """Write a Slack date in the practice reader's zone, which is UTC; the fallback if it is not a date."""
    try:
        at = datetime.fromtimestamp(int(stamp), UTC)
    except (ValueError, OverflowError, OSError):
        return fallback
    parts = {
        "date_num": f"{at:%Y-%m-%d}", "date": f"{at:%B} {at.day}, {at:%Y}",
        "date_short": f"{at:%b} {at.day}, {at:%Y}",
        "date_long": f"{at:%A, %B} {at.day}, {at:%Y}", "date_pretty": f"{at:%B} {at.day}",
        "time": f"{at:%H:%M}",
        "date_short_pretty": f"{at:%b} {at.day}", "date_long_pretty": f"{at:%A, %B} {at.day}",
        "time_secs": f"{at:%H:%M:%S}",
    }  # fmt: skip
    return re.sub(r"\{(\w+)\}", lambda found: parts.get(found[1], found[0]), form) or fallback


def text_pieces(text: str, name_of: NameOf, verbatim: bool = False) -> Iterator[Piece]:
    """Split mrkdwn into paragraphs, quotes and fences, in order."""
    for n, part in enumerate(text.split("```")):
        if n % 2:
            yield {"kind": "preformatted", "spans": [{"text": unescape(part.strip("\n"))}]}
        elif part.strip():
            yield from _paragraphs(part.strip("\n") if n else part.rstrip("\n"), name_of, verbatim)


def _paragraphs(text: str, name_of: NameOf, verbatim: bool) -> Iterator[Piece]:
    run: list[str] = []
    quoting = False

    def flush() -> Iterator[Piece]:
        if run:
            kind = "quote" if quoting else "text"
            yield {"kind": kind, "spans": spans_of("\n".join(run), name_of, verbatim)}

    for line in text.split("\n"):
        quoted = re.match(r"(?:&gt;|>) ?", line)
        if bool(quoted) != quoting:
            yield from flush()
            run, quoting = [], bool(quoted)
        run.append(line[quoted.end() :] if quoted else line)
    yield from flush()


def plain_spans(text: str, emoji: bool = True) -> list[Span]:
    """Draw plain_text: nothing is parsed but emoji names."""
    if emoji:
        text = re.sub(r":([a-z0-9_+-]+):", lambda found: EMOJI.get(found[1], found[0]), text)
    return [{"text": text}]


def _object(value: dict[str, Any], name_of: NameOf) -> list[Piece]:
    if value["type"] == "plain_text":
        return [{"kind": "text", "spans": plain_spans(value["text"], value.get("emoji", True))}]
    return list(text_pieces(value["text"], name_of, bool(value.get("verbatim"))))


def button_piece(element: dict[str, Any], block_id: str, name_of: NameOf) -> Piece:
    """Draw one button; the confirm dialog comes along as plain strings."""
    piece: Piece = {
        "label": element["text"]["text"],
        "action_id": element.get("action_id", ""),
        "block_id": block_id,
        "style": element.get("style", ""),
        "url": element.get("url", ""),
        "accessible": element.get("accessibility_label", ""),
        "confirm": None,
    }
    if confirm := element.get("confirm"):
        piece["confirm"] = {
            "title": confirm["title"]["text"],
            "text": "\n".join(lines_of(_object(confirm["text"], name_of))),
            "yes": confirm["confirm"]["text"],
            "no": confirm["deny"]["text"],
            "style": confirm.get("style", "primary"),
        }
    return piece


def _rich_spans(elements: list[dict[str, Any]], name_of: NameOf) -> list[Span]:
    found: list[Span] = []
    for one in elements:
        style = {k: True for k, on in (one.get("style") or {}).items() if on}
        match one["type"]:
            case "text":
                found.append({"text": one["text"], **style})
            case "user":
                found.append({"text": f"@{name_of(one['user_id'])}", "mention": one["user_id"], **style})
            case "channel":
                found.append({"text": f"#{name_of(one['channel_id'])}", "channel": one["channel_id"], **style})
            case "emoji":
                found.append({"text": EMOJI.get(one["name"], f":{one['name']}:"), **style})
            case "date":
                shown = date_text(str(one["timestamp"]), one["format"], one.get("fallback", ""))
                found.append({"text": shown, **style})
    return found


def _rich_pieces(block: dict[str, Any], name_of: NameOf) -> Iterator[Piece]:
    kinds = {
        "rich_text_section": "text",
        "rich_text_quote": "quote",
        "rich_text_preformatted": "preformatted",
    }
    for part in block["elements"]:
        if part["type"] == "rich_text_list":
            items = [_rich_spans(one["elements"], name_of) for one in part["elements"]]
            yield {"kind": "list", "ordered": part["style"] == "ordered", "indent": part.get("indent", 0),
                   "start": part.get("offset", 0) + 1, "items": items}  # fmt: skip
        else:
            yield {"kind": kinds[part["type"]], "spans": _rich_spans(part["elements"], name_of)}


def block_pieces(blocks: list[dict[str, Any]], name_of: NameOf) -> list[Piece]:
    """Draw stored blocks, in order; ``name_of`` turns an id of a person, channel or group into its name."""
    found: list[Piece] = []
    for block in blocks:
        match block["type"]:
            case "header":
                found.append({"kind": "header", "spans": plain_spans(block["text"]["text"])})
            case "section":
                found.append(_section(block, name_of))
            case "context":
                items = [_object(one, name_of) for one in block["elements"]]
                found.append({"kind": "context", "items": items})
            case "divider":
                found.append({"kind": "divider"})
            case "actions":
                buttons = [button_piece(one, block["block_id"], name_of) for one in block["elements"]]
                found.append({"kind": "actions", "buttons": buttons})
            case "rich_text":
                found.append({"kind": "rich", "pieces": list(_rich_pieces(block, name_of))})
            case "input":
                found.append({"kind": "field", **field_piece(block)})
    return found


def _section(block: dict[str, Any], name_of: NameOf) -> Piece:
    piece: Piece = {"kind": "section", "pieces": [], "fields": [], "button": None}
    if "text" in block:
        piece["pieces"] = _object(block["text"], name_of)
    piece["fields"] = [_object(one, name_of) for one in block.get("fields", ())]
    if "accessory" in block:
        piece["button"] = button_piece(block["accessory"], block["block_id"], name_of)
    return piece


def field_piece(block: dict[str, Any]) -> Piece:
    """Draw one input of a modal."""
    element = block["element"]
    options = [
        {
            "text": o["text"]["text"],
            "value": o["value"],
            "description": o.get("description", {}).get("text", ""),
        }
        for o in element.get("options", ())
    ]
    return {
        "label": block["label"]["text"],
        "hint": block.get("hint", {}).get("text", ""),
        "optional": bool(block.get("optional")),
        "block_id": block["block_id"],
        "action_id": element["action_id"],
        "element": element["type"],
        "multiline": bool(element.get("multiline")),
        "placeholder": element.get("placeholder", {}).get("text", ""),
        "initial": element.get("initial_value", element.get("initial_option", {}).get("value", "")),
        "min_length": element.get("min_length", 0),
        "max_length": element.get("max_length", 3000),
        "options": options,
    }


def attachment_pieces(attachments: list[dict[str, Any]], name_of: NameOf) -> list[Piece]:
    """Draw coloured attachments: one bar each, with the blocks inside."""
    named = {"good": "#2EB67D", "warning": "#ECB22E", "danger": "#D92D20"}
    found: list[Piece] = []
    for one in attachments:
        colour = one.get("color", "#DDDDDD")
        colour = named.get(colour) or "#" + colour.lstrip("#").upper()
        found.append({"kind": "bar", "colour": colour, "pieces": block_pieces(one["blocks"], name_of)})
    return found


def spans_text(spans: list[Span]) -> str:
    """Return spans as the characters a person reads."""
    return "".join(span["text"] for span in spans)


def lines_of(pieces: list[Piece]) -> list[str]:
    """Return pieces as plain lines, as the demo prints them and tests read them."""
    lines: list[str] = []
    for piece in pieces:
        match piece["kind"]:
            case "header" | "text":
                lines += spans_text(piece["spans"]).split("\n")
            case "quote":
                lines += [f"> {line}" for line in spans_text(piece["spans"]).split("\n")]
            case "preformatted":
                lines += [f"│ {line}" for line in spans_text(piece["spans"]).split("\n")]
            case "list":
                for n, item in enumerate(piece["items"]):
                    mark = f"{piece['start'] + n}." if piece["ordered"] else "•"
                    lines.append("  " * piece["indent"] + f"{mark} {spans_text(item)}")
            case "section":
                lines += lines_of(piece["pieces"])
                for one in piece["fields"]:
                    lines += lines_of(one)
                if piece["button"]:
                    lines.append(f"[{piece['button']['label']}]")
            case "context":
                joined = "  ".join(" ".join(lines_of(one)) for one in piece["items"])
                lines += joined.split("\n")
            case "divider":
                lines.append("────────")
            case "actions":
                lines.append(" ".join(f"[{button['label']}]" for button in piece["buttons"]))
            case "rich":
                lines += lines_of(piece["pieces"])
            case "bar":
                lines += [f"▌ {line}" for line in lines_of(piece["pieces"])]
            case "field":
                optional = " (optional)" if piece["optional"] else ""
                lines.append(f"{piece['label']}{optional}: ____")
    return lines


def buttons_of(pieces: list[Piece]) -> list[Piece]:
    """Return every button among pieces, in reading order."""
    found: list[Piece] = []
    for piece in pieces:
        if piece["kind"] == "actions":
            found += piece["buttons"]
        elif piece["kind"] == "section" and piece["button"]:
            found.append(piece["button"])
        elif piece["kind"] == "bar":
            found += buttons_of(piece["pieces"])
    return found


def links_in(value: Any) -> list[str]:
    """Return the web addresses that Slack would make clickable in what is drawn, in order."""
    if isinstance(value, dict):
        own = [str(value["link"])] if str(value.get("link", "")).startswith("http") else []
        return own + [link for inner in value.values() for link in links_in(inner)]
    return [link for one in value for link in links_in(one)] if isinstance(value, list) else []


def mentions_in(value: Any) -> set[str]:
    """Return the ids mentioned in text, blocks or attachments (people, groups, and !channel and !here)."""
    if isinstance(value, str):
        people = set(re.findall(r"<@(\w+)", value))
        groups = set(re.findall(r"<!subteam\^(\w+)", value))
        return people | groups | set(re.findall(r"<(!channel|!here|!everyone)", value))
    if isinstance(value, dict):
        if value.get("type") in ("plain_text", "text"):
            return set()  # literal text: only mrkdwn and typed elements can mention anybody
        own = {value["user_id"]} if value.get("type") == "user" and "user_id" in value else set()
        inner = [mentions_in(v) for k, v in value.items() if k in ("text", "elements", "fields", "blocks")]
        return own.union(*inner)
    if isinstance(value, list):
        return set().union(*(mentions_in(v) for v in value)) if value else set()
    return set()
