"""The one boundary through which text written by others comes to Slack.

Cmdlet output, reasons, notes, host names and display names may hold anything: `<!channel>`, links that Slack would
fetch, colour codes of a terminal, marks that turn the reading direction, a megabyte of lines. Two doors lead out of
here and no third:

* blocks carry such text only as a `rich_text` text element or as `plain_text`, in which Slack parses nothing, so
  `shown` strips what cannot be seen and nothing else;
* the notification line (`text`) is parsed as mrkdwn by Slack, so `pushed` escapes its three characters
  (docs.slack.dev, "Formatting message text") and breaks the `//` of a link.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

KEEP_FIRST: Final = 20
KEEP_LAST: Final = 20
OUTPUT_CHARACTERS: Final = 2500
"""One text of Slack holds 3,000 characters; the rest is for what we write around it."""
PUSH_CHARACTERS: Final = 600
LINE_CHARACTERS: Final = 400

# ECMA-48 control sequences and operating-system commands, as terminals and PowerShell 7 write them.
_ANSI: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_].*?\x1b\\|\x1b[ -/]*[0-~]", re.S
)
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINER: Final = "\u200d\ufe0f"


def shown(text: str) -> str:
    """Text without what a reader cannot see: colour codes, control, zero-width and direction marks. Lines stay."""
    text = _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    text = re.sub("[\u2028\u2029\x85\x0b\x0c]", "\n", text)
    return "".join(c for c in text if c == "\n" or c in _JOINER or unicodedata.category(c) not in _UNSEEN)


def line(text: str, limit: int = LINE_CHARACTERS) -> str:
    """The text as one line of at most `limit` characters, never empty."""
    flat = " ".join(shown(text).split())
    if len(flat) > limit:
        flat = flat[: limit - 1].rstrip() + "…"
    return flat or "–"


def output(lines: Iterable[str], limit: int = OUTPUT_CHARACTERS) -> str:
    """Output of a server for a preformatted block: the first 20 and the last 20 lines, `limit` characters at most.

    Says how many lines are missing and that the record holds them all. Never empty, because Slack refuses an empty
    text and an error report must not be lost over that.
    """
    every = [one.rstrip() for text in lines for one in shown(text).split("\n")]
    every = [one if len(one) <= LINE_CHARACTERS else one[: LINE_CHARACTERS - 1] + "…" for one in every]
    while every and not every[0]:
        every.pop(0)
    while every and not every[-1]:
        every.pop()
    first, last = KEEP_FIRST, KEEP_LAST
    while True:
        text = _cut(every, first, last)
        if len(text) <= limit or first + last <= 2:
            return text[:limit] or "(no text)"
        first, last = max(1, first * 3 // 4), max(1, last * 3 // 4)


def _cut(every: list[str], first: int, last: int) -> str:
    if len(every) <= first + last:
        return "\n".join(every)
    left = len(every) - first - last
    return "\n".join([*every[:first], f"… {left} more lines are in the record …", *every[-last:]])


def pushed(text: str, limit: int = PUSH_CHARACTERS) -> str:
    """The notification line: one line, escaped for mrkdwn, links broken, at most `limit` characters after escaping.

    Use it on the whole sentence. What it gives holds no `<`, so nothing in it can mention anybody.
    """
    flat = re.sub(r"(?<=:)//", "\u2009//", " ".join(shown(text).split()))
    flat = re.sub(r"(?i)mailto:", "mailto ", flat).replace("`", "'")
    if len(_escaped(flat)) <= limit:
        return _escaped(flat) or "–"
    while len(_escaped(flat)) > limit - 1:
        flat = flat[: len(flat) - max(1, (len(_escaped(flat)) - limit) // 4)]
    return _escaped(flat.rstrip()) + "…"


def cut(pushed_text: str, limit: int = PUSH_CHARACTERS) -> str:
    """An escaped notification line at most `limit` characters long; no entity is cut in half."""
    if len(pushed_text) <= limit:
        return pushed_text
    kept = pushed_text[: limit - 1]
    return re.sub(r"&[a-z]{0,3}$", "", kept).rstrip() + "…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
