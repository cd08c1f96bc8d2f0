"""How long the next hand waits where hands came to nothing: a rule of the record, known to workers and to the board.

Hands that took a run over and wrote nothing else are counted, and the next one waits longer and longer. Any other
record, such as a person's note, makes the next one count at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from incident.events import Event, FollowUp, HandTaken, ReplicasSeen, RunRefused
from incident.state import Incident

FREE_TRIES: Final = 2
"""Hands in a row that may come to nothing before the next one waits: one was killed, and one more."""
FIRST_WAIT_S: Final = 5
LONGEST_WAIT_S: Final = 300
STANDS: Final = "stands-"
"""Keys of follow-ups that say why a run does not go on begin with this."""


def wait_s(tries: int) -> int:
    """Seconds to wait after so many hands in a row that came to nothing."""
    if tries < FREE_TRIES:
        return 0
    return min(LONGEST_WAIT_S, FIRST_WAIT_S << min(tries - FREE_TRIES, 10))


def next_hand_at(state: Incident) -> datetime:
    """From when on the next hand may take the run over."""
    return state.at + timedelta(seconds=wait_s(state.hands_in_vain))


def counted(before: int, event: Event) -> int:
    """Hands that came to nothing, after one more record. What a hand writes about its coming to nothing, and what is
    only watched beside the run, is no progress."""
    if isinstance(event, HandTaken):
        return before + 1
    beside = isinstance(event, RunRefused | ReplicasSeen)
    return before if beside or (isinstance(event, FollowUp) and event.key.startswith(STANDS)) else 0
