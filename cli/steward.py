"""The bot's duties, done from a terminal while there is no bot: ask, lapse, and ring for the look and for the hand.

Everything here is a ring, or a command the rules decide upon. A living bot does all of it within a second; so these
duties wait until an incident has been quiet for some seconds, and doing one twice is harmless.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field

from cli.roots import Root, now
from incident.commands import AskApproval, Close, Tick
from incident.state import Incident

QUIET_S = 4
"""Seconds without a record after which nobody else seems to attend to an incident."""
LOOK_EVERY_S = 15.0


@dataclass
class Steward:
    """One terminal that stands in."""

    root: Root
    _rung: dict[str, float] = field(default_factory=dict)

    def attend(self, state: Incident) -> Incident:
        """Do what is due for this incident, and return it as it is afterwards. Raises the journal's sentences."""
        if state.closed or (now() - state.at).total_seconds() < QUIET_S:
            return state
        if self._over(state):
            self.root.desk.do(state.id, Tick())
        elif state.ask_due:
            self.root.desk.do(state.id, AskApproval(None, secrets.token_hex(16)))
        elif state.phase in ("looking", "asking", "hard_stopped"):
            self.look(state)
        elif state.phase in ("approved", "running") and self.root.journal.leased_by(state.id) is None:
            self.root.bell.ring_act(state.id, state.head)
        elif state.phase == "ended":
            self.root.desk.do(state.id, Close(None))
        return self.root.desk.state(state.id)

    @staticmethod
    def _over(state: Incident) -> bool:
        request = state.request
        if request is None or state.clocks.t3 is not None:
            return False
        open_too_long = request.state == "open" and now() >= request.expires
        return open_too_long or (request.window_ends is not None and now() >= request.window_ends)

    def look(self, state: Incident) -> None:
        """Ring for a look, unless this terminal did so just now."""
        if time.monotonic() - self._rung.get(state.id, float("-inf")) >= LOOK_EVERY_S:
            self._rung[state.id] = time.monotonic()
            self.root.bell.ring_look(state.id, state.head)

    def until_asked(self, incident: str, limit_s: float = 45.0) -> Incident:
        """Ring for the look and wait until the question is open, or a hard stop says why not."""
        ends = time.monotonic() + limit_s
        state = self.root.desk.state(incident)
        self.look(state)
        while state.request is None and state.hard_stop is None and not state.closed and time.monotonic() < ends:
            threading.Event().wait(0.3)
            state = self.attend(self.root.desk.state(incident))
        return state


def ring_for_hand(root: Root, state: Incident) -> None:
    """After a person's word in a terminal: a hand is rung for at once, as the bot may be gone with Slack."""
    if state.phase in ("approved", "running"):
        root.bell.ring_act(state.id, state.head)
