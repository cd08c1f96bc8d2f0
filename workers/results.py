"""How one round of carrying out can end: a value that says what the run waits for, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class WaitingForPerson:
    """Nothing can go on before somebody approves, rules, lifts a stop or confirms."""

    sentence: str


@dataclass(frozen=True)
class HeldByAnother:
    """Another hand is at work on this incident, or has just taken it over."""

    sentence: str


@dataclass(frozen=True)
class WaitsForHold:
    """Another incident has something the next step needs. Its letting go rings for this one."""

    hold: str
    other: str

    @property
    def sentence(self) -> str:
        """For the log."""
        return f"waits for {self.hold} of {self.other}"


@dataclass(frozen=True)
class Closed:
    """The hands are done: the run has ended or the incident is closed."""

    sentence: str


@dataclass(frozen=True)
class Stopped:
    """Something made this hand let go: a record that cannot be believed, a store that is away, a lost lease."""

    sentence: str


Ending: TypeAlias = WaitingForPerson | HeldByAnother | WaitsForHold | Closed | Stopped
