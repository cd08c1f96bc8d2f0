"""What a person typed after `/lync`, understood.

Phones turn `--` into a long dash, straight quotes into curly ones, `fe1` into `Fe1`; copied text brings no-break
spaces, zero-width characters and directional marks. All of that is forgiven in the verb and in the target.
Which pool is meant is never guessed: a target is plain ASCII, and a letter that only looks like one of ours is
named by its code point. Near misses are answered with suggestions as text; nothing is ever done about them.

The reason is kept exactly as it was typed, because it stands in the record.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

Verb = Literal[
    "declare-disaster", "plan", "status", "stop", "go-on", "cancel", "note", "outage", "lead", "whoami", "who", "audit",
    "help", "close", "confirm", "approve", "decline", "retry", "skip", "done",
]  # fmt: skip

NOT_BUILT: Final = ("failover", "failback", "drill", "sync", "cms-failover")
"""Asked for by name in runbooks, and answered plainly until they exist."""

_VERBS: Final[tuple[str, ...]] = (
    "declare-disaster", "plan", "status", "stop", "go-on", "cancel", "note", "outage", "lead", "whoami", "who", "audit",
    "help", "close", "confirm", "approve", "decline", "retry", "skip", "done", *NOT_BUILT,
)  # fmt: skip
_NEEDS_POOL: Final = frozenset({"declare-disaster", "plan"})
_MAY_NAME_POOL: Final = frozenset(
    {"status", "stop", "go-on", "cancel", "outage", "lead", "close", "confirm", "approve", "decline", "retry", "skip",
     "done"}
)  # fmt: skip
_DASHES: Final = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-")
_FULL_WIDTH: Final = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_QUOTES: Final = "\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"
_TRAILING: Final = ".,;:!?" + _QUOTES
_LINK: Final = re.compile(r"<(?:https?://)?([^|<>]+)(?:\|([^|<>]+))?>")
_CLOCK: Final = re.compile(r"(\d{1,2})[:.h](\d{2})(?:z|utc)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Clock:
    """A clock time as it was said, in the zone of the policy."""

    hour: int
    minute: int


@dataclass(frozen=True)
class Said:
    """A command that was understood. `rest` and `raw` are verbatim."""

    verb: Verb
    raw: str
    target: str = ""
    """The pool (for `audit` the incident) in lower-case ASCII; empty where none was named."""
    since: Clock | None = None
    rest: str = ""
    """The reason, the note, whatever follows: as typed."""
    code: str = ""
    """The six characters of a typed `approve`."""


@dataclass(frozen=True)
class NotUnderstood:
    """No command. `text` is the answer; nothing happened."""

    text: str
    raw: str


@dataclass(frozen=True)
class NotBuilt:
    """A command of the runbook that this version does not carry out."""

    verb: str
    text: str
    raw: str


@dataclass(frozen=True)
class _Word:
    """One word with its place, so that what follows can be taken verbatim."""

    plain: str
    end: int


class LooksAlike(ValueError):
    """A name with a character that is not plain ASCII. The text names the code point."""


def unescape(text: str) -> str:
    """Slack's three entities back to characters, once (Slack docs, "Formatting text": escaping)."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def plain(word: str) -> str:
    """A word without what phones and clipboards add: full width, odd dashes, invisible characters, capitals.

    Only width, dashes and invisible format characters are mended. Everything else stays as it is, so that a letter
    of another alphabet is still there to be named.
    """
    word = "".join(c for c in word if unicodedata.category(c) not in ("Cf", "Cc", "Mn"))
    word = word.translate(_FULL_WIDTH).translate(_DASHES)
    return word.lower() if word.isascii() else word


def name(word: str, what: str = "pool") -> str:
    """A target's name in lower-case ASCII. Raises `LooksAlike` naming the first character that is not."""
    link = _LINK.fullmatch(word)
    if link and link[2] in (None, link[1].rstrip("/")):
        word = link[1].rstrip("/")
    tidy = plain(word).strip(_TRAILING)
    for place, char in enumerate(tidy, start=1):
        if not char.isascii():
            kind = unicodedata.name(char, "a character without a name")
            raise LooksAlike(
                f"The {what} name “{tidy}” has a letter that is not one of ours: number {place} is U+{ord(char):04X}, "
                f"{kind}. Type the name again on a plain keyboard. Nothing happened."
            )
    return tidy.lower()


def parse(raw: str, pools: Collection[str] = ()) -> Said | NotUnderstood | NotBuilt:
    """Understand the text of a slash command.

    `pools` are the short and full names that exist; they decide only whether the first word after a verb like
    `stop` is a pool or already the reason. A name is matched exactly or not at all.
    """
    text = unescape(raw)
    words = _words(text)
    verb, used = _verb(words)
    if verb is None:
        return NotUnderstood(_no_such_verb(words), raw)
    if verb in NOT_BUILT:
        hint = "Is a pool lost? Type: /lync declare-disaster <pool>. " if verb == "failover" else ""
        text = f"“{verb}” is not built in this version. Nothing happened. {hint}What there is: /lync help"
        return NotBuilt(verb, text, raw)
    try:
        return _arguments(verb, raw, text, words[used:], words[used - 1].end if used else 0, pools)
    except LooksAlike as why:
        return NotUnderstood(str(why), raw)


def _words(text: str) -> list[_Word]:
    """Words between any white space, as plain as they can be made; words of invisible characters only vanish."""
    found = (_Word(plain(m.group()), m.end()) for m in re.finditer(r"\S+", text))
    return [w for w in found if w.plain]


def _verb(words: list[_Word]) -> tuple[str | None, int]:
    """The verb and how many words it took. No word at all asks for help."""
    if not words:
        return "help", 0
    heads = [w.plain.strip(_TRAILING).strip("-/").casefold() for w in words[:2]]
    if len(heads) == 2 and "-".join(heads) in _VERBS:
        return "-".join(heads), 2
    if heads[0] in _VERBS:
        return heads[0], 1
    squeezed = {v.replace("-", ""): v for v in _VERBS}
    return squeezed.get(re.sub(r"[-_]", "", heads[0])), 1


def _no_such_verb(words: list[_Word]) -> str:
    typed = words[0].plain[:40]
    near = difflib.get_close_matches(typed.casefold(), _VERBS, n=2, cutoff=0.6)
    hint = f" Close to it: {', '.join(near)}." if near else ""
    return f"“{typed}” is no command I know.{hint} Nothing happened. What there is: /lync help"


def _arguments(
    verb: str, raw: str, text: str, words: list[_Word], start: int, pools: Collection[str]
) -> Said | NotUnderstood:
    """Target, time and reason of a known verb."""
    target, since, code = "", None, ""
    known = frozenset(p.lower() for p in pools)
    if words and (verb in _NEEDS_POOL or verb == "audit"):
        target, start = name(_spelt(text, words[0]), "incident" if verb == "audit" else "pool"), words[0].end
        words = words[1:]
    elif words and verb in _MAY_NAME_POOL:
        target, start, words = _optional_pool(verb, text, words, start, known)
    if verb in _NEEDS_POOL and not target:
        names = ", ".join(sorted(p for p in known if "." not in p)) or "none"
        return NotUnderstood(f"Which pool? Type: /lync {verb} <pool>. Pools: {names}. Nothing happened.", raw)
    if verb == "approve" and target and target not in known and not words:
        target, code = "", target.upper()
    if verb == "approve" and words:
        code, start, words = words[0].plain.strip(_TRAILING).upper(), words[0].end, words[1:]
    if verb in ("declare-disaster", "outage"):
        lead = bool(words) and words[0].plain.casefold() in ("since", "from", "at")
        place = 1 if lead else 0
        if (lead or verb == "outage") and len(words) > place:
            found = _clock(words[place].plain)
            if isinstance(found, str):
                return NotUnderstood(found, raw)
            if found is not None:
                since, start = found, words[place].end
    if verb == "outage" and since is None:
        return NotUnderstood("When did the outage begin? Type: /lync outage 03:02. Nothing happened.", raw)
    rest = text[start:].strip()
    if verb == "note" and not rest:
        return NotUnderstood("A note needs words: /lync note <text>. Nothing happened.", raw)
    return Said(verb, raw, target, since, rest, code)  # type: ignore[arg-type]


def _spelt(text: str, word: _Word) -> str:
    """The word as typed, for naming what is wrong with it."""
    return re.split(r"\s+", text[: word.end])[-1]


def _optional_pool(
    verb: str, text: str, words: list[_Word], start: int, known: frozenset[str]
) -> tuple[str, int, list[_Word]]:
    """A first word that names a pool exactly; for `status` any first word, so that a wrong name is answered."""
    try:
        first = name(_spelt(text, words[0]))
    except LooksAlike:
        if verb in ("status", "approve"):
            raise
        return "", start, words
    if first in known or verb in ("status", "approve"):
        return first, words[0].end, words[1:]
    return "", start, words


def _clock(word: str) -> Clock | str | None:
    """hh:mm, None for a word that is no time, or the sentence for a time that cannot be."""
    match = _CLOCK.fullmatch(word.strip(_QUOTES + ",;"))
    if match is None:
        return None
    hour, minute = int(match[1]), int(match[2])
    if hour > 23 or minute > 59:
        return f"“{word}” is no time of day. Type it as hh:mm, for example 03:02. Nothing happened."
    return Clock(hour, minute)
