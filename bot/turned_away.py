"""Requests that Slack did not send, in the register: the first at once, the others counted, whatever their number.

Whoever can reach the address of HTTP mode can send as many as they like, so no request of theirs may cost a record.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from incident.codes import reason_code
from incident.events import Refused
from incident.journal import REGISTER, Journal, JournalError, Moved

log: Final = logging.getLogger("lync-dr.bot")
MINUTE_S: Final = 60.0
_TRIES: Final = 20


@dataclass
class _Minute:
    """What has come for one reason since its last record."""

    sentence: str
    count: int
    timer: threading.Timer | None = None


class TurnedAway:
    """At most one record a minute and reason for each bot. Callable from many threads; never raises."""

    def __init__(self, journal: Journal, minute_s: float = MINUTE_S) -> None:
        self._journal, self._minute_s = journal, minute_s
        self._minutes: dict[str, _Minute] = {}
        self._lock = threading.Lock()
        self._ended = False

    def __call__(self, why: str, sentence: str) -> None:
        """One request with its reason (forged, replayed) and a sentence that says what was done with it."""
        with self._lock:
            if self._ended:
                return
            running = self._minutes.get(why)
            if running is not None:
                running.count += 1
                return
            self._begin(why, _Minute(sentence, 0))
        self._tell(why, sentence, 1)

    def stop(self) -> None:
        """Write what is counted and not written yet."""
        with self._lock:
            self._ended = True
            left = dict(self._minutes)
            self._minutes.clear()
        for why, minute in left.items():
            if minute.timer is not None:
                minute.timer.cancel()
            if minute.count:
                self._write(why, minute.sentence, minute.count)

    def _begin(self, why: str, minute: _Minute) -> None:
        """Count until a minute has passed. The lock is held."""
        minute.timer = threading.Timer(self._minute_s, self._over, (why, minute))
        minute.timer.daemon = True
        self._minutes[why] = minute
        minute.timer.start()

    def _over(self, why: str, minute: _Minute) -> None:
        """A minute has passed: its count, and another minute; where nothing came, the next one is a first again."""
        with self._lock:
            if self._minutes.get(why) is not minute:
                return
            del self._minutes[why]
            if minute.count:
                self._begin(why, _Minute(minute.sentence, 0))
        if minute.count:
            self._tell(why, minute.sentence, minute.count)

    def _tell(self, why: str, sentence: str, count: int) -> None:
        """Into the register; while it cannot be written, it is counted on into the next record."""
        log.warning("%s (%s within %.0f s)", sentence, count, self._minute_s)
        if self._write(why, sentence, count):
            return
        with self._lock:
            if why in self._minutes:
                self._minutes[why].count += count

    def _write(self, why: str, sentence: str, count: int) -> bool:
        """Whether it stands in the register."""
        event = Refused(why=reason_code(why, "request"), what="request", text=sentence, count=count)
        try:
            for _ in range(_TRIES):
                with suppress(Moved):
                    self._journal.append(self._journal.head(REGISTER), [event])
                    return True
        except JournalError as bad:
            log.warning("A refused request could not be recorded: %s", bad)
        return False
