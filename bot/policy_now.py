"""The policy as it is now, for everything the bot draws and asks: a person added while it runs counts at once."""

from __future__ import annotations

from incident.desk import Desk, NoRules
from incident.policy import Policy


class PolicyNow:
    """Calling it gives the policy. While the file cannot be used it is the last good one, and `trouble` says why."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._last = desk.rules.policy
        self.trouble = ""

    def __call__(self) -> Policy:
        """The policy by which is drawn. Nothing is decided by it: the desk asks for its rules itself."""
        try:
            self._last = self._desk.rules.policy
            self.trouble = ""
        except NoRules as unusable:
            self.trouble = str(unusable)
        return self._last
