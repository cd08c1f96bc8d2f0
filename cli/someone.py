"""A person at the practice page, for the demo and for stories: types, presses, reads. Knows none of the rooms.

Everything here goes through the page's own HTTP interface; what a person reads comes from the blocks that were
drawn for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import requests

Message = dict[str, Any]


class NotSeen(Exception):
    """Somebody waited for something to be on their screen, and it did not come."""


@dataclass(frozen=True)
class Seen:
    """A message on somebody's screen: where it is and what it says."""

    channel: str
    room: str
    message: Message

    @property
    def ts(self) -> str:
        return str(self.message["ts"])

    @property
    def text(self) -> str:
        """What is drawn, as lines."""
        return "\n".join(self.message["lines"])

    @property
    def labels(self) -> list[str]:
        """The buttons that can be pressed."""
        return [str(b["label"]) for b in self.message["buttons"]]


def walk(screen: dict[str, Any]) -> Iterator[Seen]:
    """Every message on a screen, threads included, oldest first in each room."""
    for room in screen["channels"]:
        for message in room["messages"]:
            yield Seen(room["id"], room["name"] if room["kind"] != "dm" else "direct message", message)
            for reply in message["thread"]:
                yield Seen(room["id"], f"{room['name']} (thread)", reply)


class Someone:
    """One person signed in at the practice page."""

    def __init__(self, page_url: str, user: str, name: str) -> None:
        self.user, self.name = user, name
        self._base = f"{page_url.rstrip('/')}/person/{user}"
        self._http = requests.Session()
        self._http.trust_env = False

    def _do(self, what: str, **data: Any) -> dict[str, Any]:
        answer = self._http.post(f"{self._base}/{what}", json=data, timeout=30)
        found: dict[str, Any] = answer.json()
        if answer.status_code >= 400:
            raise NotSeen(f"{self.name} could not {what}: {found.get('error', answer.text)}")
        return found

    def screen(self, channel: str = "") -> dict[str, Any]:
        """All this person sees now."""
        answer = self._http.get(f"{self._base}/screen", params={"channel": channel}, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def type(self, channel: str, text: str) -> dict[str, Any]:
        """Type into the message box of a channel."""
        return self._do("type", channel=channel, text=text)

    def press(self, seen: Seen, label: str, *, confirm: bool = True) -> dict[str, Any]:
        """Press a drawn button; its confirm dialog is answered with yes, or left with no. Returns both answers."""
        where = {"channel": seen.channel, "ts": seen.ts, "action": label}
        first = self._do("press", **where)
        if first.get("confirm") and confirm:
            return self._do("press", **where, confirm="yes") | {"confirm": first["confirm"]}
        return first

    def press_in_dialog(self, view: str, label: str) -> dict[str, Any]:
        """Press a button inside the open dialog."""
        return self._do("press", view=view, action=label, confirm="yes")

    def submit(self, values: dict[str, str]) -> dict[str, Any]:
        """Fill in the open dialog by its labels and submit it."""
        modal = self.wait(lambda s: s["modal"], "a dialog")["modal"]
        return self._do("submit", view=modal["view"], values=values)

    def wait(self, look: Callable[[dict[str, Any]], Any], what: str, limit_s: float = 30.0) -> dict[str, Any]:
        """The first screen for which `look` is true. Raises NotSeen naming `what`."""
        ends, after = time.monotonic() + limit_s, 0
        while True:
            left = ends - time.monotonic()
            params = {"after": after, "timeout": max(0.05, min(left, 10.0))}
            answer = self._http.get(f"{self._base}/wait", params=params, timeout=40)
            if answer.status_code >= 400:
                raise NotSeen(f"{self.name} cannot look at the screen: {answer.json().get('error', answer.text)}")
            screen: dict[str, Any] = answer.json()
            if look(screen):
                return screen
            if left <= 0:
                raise NotSeen(f"{self.name} waited {limit_s:g} s for {what}, and it was not on the screen.")
            after = screen["change"]

    def find(
        self,
        *words: str,
        button: str = "",
        dm: bool | None = None,
        channel: str = "",
        ephemeral: bool | None = None,
        since: str = "",
        limit_s: float = 30.0,
    ) -> Seen:
        """Wait for the newest message that shows all these words (and that button); raises NotSeen."""

        def fits(seen: Seen) -> bool:
            return (
                all(word in seen.text for word in words)
                and (not button or any(button in label for label in seen.labels))
                and (dm is None or dm == (seen.room == "direct message"))
                and (not channel or seen.channel == channel)
                and (ephemeral is None or bool(seen.message["ephemeral"]) == ephemeral)
                and seen.ts > since
            )

        def look(screen: dict[str, Any]) -> Seen | None:
            return max((s for s in walk(screen) if fits(s)), key=lambda s: s.ts, default=None)

        what = " and ".join(repr(w) for w in words) or "a message"
        found = look(self.wait(look, what + (f" with a button {button!r}" if button else ""), limit_s))
        assert found is not None
        return found

    def notified(self) -> list[str]:
        """What the locked phone showed, oldest first."""
        return [str(n["text"]) for n in self.screen()["notifications"]]


def label_of(seen: Seen, part: str) -> str:
    """The full label of the button that contains `part`."""
    return next(label for label in seen.labels if part in label)
