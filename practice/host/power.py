"""Electricity of one practised host, and time that passes only while there is some."""

from __future__ import annotations

import threading
import time


class PowerLost(Exception):
    """The host lost its power (or was started again) while something on it was running."""


class Power:
    """Whether a host has electricity.

    `boot` counts starts: whatever began in an earlier boot is gone, even if the host is up again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._up = True
        self._ended = False
        self.boot = 1

    @property
    def up(self) -> bool:
        return self._up

    @property
    def ended(self) -> bool:
        """The practice process itself is going away."""
        return self._ended

    def pull(self) -> None:
        """Take the power away: everything running on the host stops where it is."""
        with self._changed:
            self._up = False
            self._changed.notify_all()

    def restore(self) -> None:
        """Give the power back: the host boots, with nothing running from before."""
        with self._changed:
            if not self._up:
                self._up = True
                self.boot += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Let every waiter go, because the process ends."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def check(self, boot: int) -> None:
        """Raise `PowerLost` unless the host is still in that boot."""
        if self._ended or not self._up or self.boot != boot:
            raise PowerLost

    def wait(self, seconds: float, boot: int) -> None:
        """Let `seconds` pass on the host, or raise `PowerLost` as soon as it goes dark."""
        until = time.monotonic() + seconds
        with self._changed:
            while True:
                self.check(boot)
                left = until - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def wait_until_up(self) -> bool:
        """Block while the host is dark; False when the process ends instead."""
        with self._changed:
            while not self._up and not self._ended:
                self._changed.wait()
            return not self._ended
