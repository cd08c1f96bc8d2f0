"""For whom is drawn: the zone, the people's names, and how much detail may leave the house for Slack."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from bot.draw import untrusted
from bot.draw.post import BYTES, Post, copied, header, lines, preformatted, size
from incident.events import Actor
from incident.policy import Person, Policy

_FQDN: Final = re.compile(r"(?<![\w.-])([A-Za-z0-9][A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9-]{1,63})+\.?(?![\w-])")
_ADDRESS: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_ACCOUNT: Final = re.compile(
    r"(?<![\w.\\-])(?:(?:sip:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[A-Za-z][\w-]{0,14}\\[\w$][\w.$-]*)", re.ASCII
)
"""A sign-in address, or DOMAIN\\name. A host name before a backslash is no domain: that is an SQL instance."""
_HIDDEN: Final = "Kept out of Slack by policy (masked). It is in the record."


@dataclass(frozen=True)
class Reader:
    """What drawing needs beside the state. `host` is the name this bot signs boards with."""

    given: Policy | Callable[[], Policy]
    """The policy, or what gives the one in force now."""
    practice: bool = False
    host: str = "bot"

    @property
    def policy(self) -> Policy:
        """The policy in force now."""
        return self.given if isinstance(self.given, Policy) else self.given()

    # --- time -------------------------------------------------------------------------------------------

    @property
    def zone(self) -> str:
        """The zone's name as printed."""
        return "UTC" if self.policy.zone in ("UTC", "Etc/UTC") else self.policy.zone.split("/")[-1].replace("_", " ")

    def clock(self, at: datetime | None) -> str:
        """03:07:12 in the policy's zone."""
        return at.astimezone(ZoneInfo(self.policy.zone)).strftime("%H:%M:%S") if at else "–"

    def moment(self, at: datetime | None) -> str:
        """22 Nov 22:00 in the policy's zone, for what is not today's disaster."""
        return at.astimezone(ZoneInfo(self.policy.zone)).strftime("%-d %b %H:%M") if at else "–"

    def minute(self, at: datetime | None) -> str:
        """03:07 in the policy's zone."""
        return at.astimezone(ZoneInfo(self.policy.zone)).strftime("%H:%M") if at else "–"

    def stamp(self, at: datetime | None) -> str:
        """03:07:12 with the zone's name."""
        return f"{self.clock(at)} {self.zone}"

    # --- people -----------------------------------------------------------------------------------------

    def name(self, person: str | None) -> str:
        """The person's name in the policy; the id where the policy no longer has them."""
        found = self.policy.person(person) if person else None
        return found.name if found else (person or "nobody")

    def names(self, people: Iterable[str | None]) -> str:
        """Several people, by name."""
        return ", ".join(self.name(p) for p in people) or "nobody"

    def actor(self, actor: Actor | None) -> str:
        """Who did it, as a name to read."""
        if actor is None:
            return "the bot"
        return self.name(actor.person) if actor.person else untrusted.line(actor.name or actor.user, 60)

    def slack_ids(self, people: Iterable[Person]) -> tuple[str, ...]:
        """The first Slack id of each person in this workspace, for a mention."""
        ours = (self.policy.team, self.policy.enterprise)
        return tuple(next((s.user for s in p.slack if s.team in ours), "") for p in people if p.slack)

    def approvers(self, but: str = "") -> tuple[Person, ...]:
        """Who may approve, in contact order, without the asker."""
        return tuple(p for p in self.policy.holders("approve") if p.id != but)

    def to_call(self, people: Iterable[Person]) -> str:
        """Names with mobile numbers: the desk phones are what has failed."""
        return ", ".join(f"{p.name} {p.mobile}".strip() for p in people) or "nobody is named in the policy"

    # --- what may leave the house -----------------------------------------------------------------------

    @property
    def masked(self) -> bool:
        """True where host names, addresses and output stay out of Slack."""
        return self.policy.channel_detail == "masked"

    def mask(self, text: str) -> str:
        """Host names cut to their first label, addresses and accounts hidden, where the policy says so."""
        if not self.masked:
            return text
        return _FQDN.sub(r"\1", _ADDRESS.sub("(address)", _ACCOUNT.sub("(account)", text)))

    def printed(self, text: str, most: int) -> str:
        """What a server printed, as one line; where output stays in the house only that it stands in the record."""
        return "(its text is in the record)" if self.masked and text else untrusted.line(text, most)

    def follow_up(self, key: str, text: str, most: int) -> str:
        """A follow-up; one about red text quotes it, and not where output stays in the house."""
        said = text.partition(": ")[0] if self.masked and key.startswith("red-") else text
        return untrusted.line(said, most)

    def finish(self, post: Post) -> Post:
        """The last thing done to every post: the practice banner, the mask, and Slack's limits."""
        blocks: list[Any] = [copied(b) for b in post.blocks]
        attachments = copied(list(post.attachments))
        text = post.text
        if self.masked:
            text = self.mask(text)
            blocks, attachments = self._masked(blocks), self._masked(attachments)
        if self.practice:
            text = untrusted.cut(f"PRACTICE · {text}")
            if blocks:
                banner = "🚧 PRACTICE · nothing here is real"
                blocks = [blocks[0], lines(banner), *blocks[1:]] if blocks[0]["type"] == "header" else [
                    lines(banner), *blocks
                ]  # fmt: skip
        made = replace(post, text=text, blocks=tuple(blocks), attachments=tuple(attachments))
        return made if size(made) <= BYTES else _shortened(made)

    def view(self, view: dict[str, Any]) -> dict[str, Any]:
        """A dialog with host names and addresses cut, where the policy says so. The calls themselves stay: whoever
        approves must be able to read them."""
        return self._cut(view) if self.masked else view

    def _cut(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: self.mask(v) if k == "text" and isinstance(v, str) else self._cut(v) for k, v in value.items()}
        return [self._cut(v) for v in value] if isinstance(value, list) else value

    def _masked(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._masked(v) for v in value]
        if isinstance(value, dict):
            if value.get("type") == "rich_text_preformatted":
                return preformatted([_HIDDEN])["elements"][0]
            return {
                k: self.mask(v) if k == "text" and isinstance(v, str) else self._masked(v) for k, v in value.items()
            }
        return value


def _shortened(post: Post) -> Post:
    """A post that is too long: preformatted parts are cut first, then blocks in the middle; buttons stay."""
    blocks = [
        preformatted([_first_text(b)], 800) if _first_kind(b) == "rich_text_preformatted" else b for b in post.blocks
    ]
    made = replace(post, blocks=tuple(blocks))
    while size(made) > BYTES - 100:
        middle = [n for n, b in enumerate(made.blocks) if b["type"] not in ("actions", "header")]
        if not middle:
            break
        kept = [b for n, b in enumerate(made.blocks) if n != middle[-1]]
        made = replace(made, blocks=tuple(kept))
    cut = lines("Shortened for Slack; the record has it all.")
    return replace(made, blocks=(*made.blocks[:1], cut, *made.blocks[1:]) if made.blocks else (header("–"), cut))


def _first_kind(block: dict[str, Any]) -> str:
    return str(block["elements"][0]["type"]) if block["type"] == "rich_text" else ""


def _first_text(block: dict[str, Any]) -> str:
    return str(block["elements"][0]["elements"][0]["text"])


def span(seconds: float) -> str:
    """A duration as m:ss, or h:mm:ss from an hour on."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def thousands(number: int | None) -> str:
    """4212 as 4,212; an unknown number as a word."""
    return f"{number:,}" if number is not None else "an unknown number of"
