"""What an incident is, once its record is folded: plain frozen values that boards, hands and rules read.

`incident.fold.apply` makes these from records and from nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from incident.events import (
    Account,
    Actor,
    CardRef,
    Confirmed,
    Declared,
    HardStopped,
    Json,
    Outcome,
    Planned,
    ReplicasSeen,
    Surveyed,
    Verdict,
)

Phase = Literal["looking", "hard_stopped", "asking", "lapsed", "declined", "approved", "running", "stopped",
                "waiting_for_ruling", "ended", "closed"]  # fmt: skip


@dataclass(frozen=True)
class Vote:
    """One approval that counted."""

    person: str
    at: datetime
    seq: int
    actor: Actor
    card: CardRef | None
    typed: str | None
    digest: str = ""
    """The digest as the vote's own record has it."""
    nonce: str = ""


@dataclass(frozen=True)
class RulingVote:
    """One person's word about one attempt, as recorded."""

    actor: Actor
    step: str
    attempt: int
    verdict: Verdict
    reason: str
    at: datetime
    seq: int


@dataclass(frozen=True)
class Request:
    """One approval question and what became of it."""

    number: int
    seq: int
    at: datetime
    digest: str
    nonce: str
    short: str
    expires: datetime
    quorum: int
    others_needed: int
    asker: str
    asker_counts: bool
    level: Literal["green", "amber", "red"]
    start_at: datetime | None = None
    differs: tuple[str, ...] = ()
    """Which files of the worker that looked are not those of the bot; said on the card before anybody approves."""
    still_disaster: bool = False
    still_by: Actor | None = None
    still_seq: int = 0
    cards: tuple[CardRef, ...] = ()
    votes: tuple[Vote, ...] = ()
    state: Literal["open", "approved", "declined", "lapsed", "void", "used"] = "open"
    """used = the run has begun under it."""
    ended_at: datetime | None = None
    ended_seq: int = 0
    ended_by: str = ""
    why: tuple[str, ...] = ()
    approved_at: datetime | None = None
    window_ends: datetime | None = None
    rechecked_at: datetime | None = None
    accounts: MappingProxyType[str, Account] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def still_needed(self) -> int:
        """How many more persons beside the asker must approve."""
        return max(0, self.others_needed - len({v.person for v in self.votes}))


@dataclass(frozen=True)
class Attempt:
    """One attempt at one step's call."""

    number: int
    call_no: int
    literal: str
    host: str
    effect: Literal["observe", "converge", "once"]
    epoch: int
    at: datetime
    seq: int
    outcome: Outcome | None = None
    ended_at: datetime | None = None
    mode: Literal["inline", "task"] = "inline"


@dataclass(frozen=True)
class Failure:
    """A step that waits for the people's word (or was left degraded)."""

    attempt: int
    text: str
    state: str
    begun: Literal["not_begun", "half_done", "done", "cannot_tell"]
    table: tuple[tuple[str, str, str], ...]
    at: datetime
    seq: int
    unknown: bool = False
    votes: tuple[tuple[str, Verdict, str], ...] = ()
    """(person, verdict, reason) given so far on this attempt."""


@dataclass(frozen=True)
class StepState:
    """One step of the plan and where it stands."""

    id: str
    title: str
    host: str
    index: int
    plan: Json
    """The step as the plan has it."""
    status: Literal["waiting", "running", "verifying", "done", "done_red", "skipped", "failed", "unknown",
                    "degraded", "ruled_done", "ruled_skip"] = "waiting"  # fmt: skip
    attempts: tuple[Attempt, ...] = ()
    failure: Failure | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None
    last_line: str = ""
    text: str = ""
    slow: str = ""
    retry: bool = False
    """A ruling said: run it again."""

    @property
    def settled(self) -> bool:
        """Nothing more will be done about this step."""
        return self.status in ("done", "done_red", "skipped", "degraded", "ruled_done", "ruled_skip")

    def continues(self, call_no: int) -> bool:
        """Whether this is the next call of an attempt whose calls so far ended well."""
        last = self.attempts[-1] if self.attempts else None
        ended_well = last is not None and last.outcome is not None and last.outcome.result in ("done", "adopted")
        return ended_well and self.status == "verifying" and last is not None and call_no > last.call_no

    def repeats_by_itself(self, once: bool) -> bool:
        """Whether the last attempt may be followed by another one without people's word: never after a call of effect
        `once`, except in task mode after the look said that it never began."""
        last = self.attempts[-1] if self.attempts else None
        if last is None or not once:
            return True
        return last.outcome is not None and last.outcome.result == "not_begun" and last.mode == "task"


@dataclass(frozen=True)
class Clocks:
    """T0 to T5 and their source."""

    t0: datetime | None = None
    t0_by: str = ""
    """Who said so; empty for a proposal from samples."""
    t1: datetime | None = None
    t2: datetime | None = None
    t3: datetime | None = None
    t4: datetime | None = None
    t5: datetime | None = None
    pool_verified: datetime | None = None
    """`PoolState` read back after the pool failover: the end of Microsoft's own interval."""
    t0_proposed: bool = False
    """T0 is what samples propose; nobody has said or confirmed it."""


@dataclass(frozen=True)
class RefusalCount:
    """How often one person was refused for one reason on one card."""

    code: str
    who: str
    what: str
    text: str
    at: datetime
    count: int


@dataclass(frozen=True)
class Stopped:
    """A standing stop."""

    by: Actor | None
    at: datetime
    why: str


@dataclass(frozen=True)
class Hand:
    """The worker that has the run."""

    epoch: int
    host: str
    worker: str
    at: datetime


@dataclass(frozen=True)
class Incident:
    """One incident, folded."""

    id: str
    seq: int
    head: str
    at: datetime
    """The time of the last record."""
    declared: Declared
    declared_seq: int = 1
    clocks: Clocks = Clocks()
    joined: tuple[tuple[Actor, datetime], ...] = ()
    lead: str = ""
    notes: tuple[tuple[datetime, str, str], ...] = ()
    """(at, name, text)."""
    survey: Surveyed | None = None
    surveys: int = 0
    planned: Planned | None = None
    planned_seq: int = 0
    hard_stop: HardStopped | None = None
    requests: tuple[Request, ...] = ()
    hand: Hand | None = None
    epoch: int = 0
    hands_in_vain: int = 0
    """Hands in a row that took the run over and wrote nothing else; see `incident.restraint`."""
    run_request: int | None = None
    """The request under which the run began."""
    run_refused: tuple[str, str] | None = None
    """(why, text) of the last refusal by a worker."""
    waits: tuple[str, str] | None = None
    steps: tuple[StepState, ...] = ()
    stop: Stopped | None = None
    rulings: tuple[tuple[str, int, Verdict, tuple[str, ...], str, bool], ...] = ()
    """(step, attempt, verdict, persons, reason, against_probe)."""
    ruling_votes: tuple[RulingVote, ...] = ()
    went_on: tuple[tuple[Actor | None, datetime, int], ...] = ()
    """Who lifted a stop, and when."""
    activity: tuple[tuple[datetime, str], ...] = ()
    """What time was spent on: from each moment on, until the next: checks, approval, between, people, hold, end or
    a step's id. The figures of the report are differences of these, and so add up."""
    replicas: ReplicasSeen | None = None
    """Replicas of the CMS as last recorded; what `incident.replicas` says about them."""
    replicas_at: datetime | None = None
    proven: str = ""
    confirmed: Confirmed | None = None
    confirmed_by: str = ""
    confirmed_at: datetime | None = None
    run_ended: Literal["", "complete", "aborted"] = ""
    closed: str = ""
    """The result, once closed."""
    closed_at: datetime | None = None
    closing: str = ""
    refusals: MappingProxyType[tuple[str, str, str], RefusalCount] = field(default_factory=lambda: MappingProxyType({}))
    locked: MappingProxyType[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Person -> the record since which they may not approve in this incident any more."""
    wrong_codes: MappingProxyType[str, int] = field(default_factory=lambda: MappingProxyType({}))
    code_steps: MappingProxyType[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Person -> the last TOTP time step that was spent."""
    told: tuple[tuple[str, str, bool, datetime], ...] = ()
    """(person, how, ok, at)."""
    follow_ups: tuple[tuple[str, str, bool], ...] = ()
    """(key, text, settled)."""

    @property
    def declared_at(self) -> datetime:
        """When this incident was declared; T1 is earlier where the clock of another declaration goes on."""
        return self.activity[0][0] if self.activity else self.at

    @property
    def request(self) -> Request | None:
        """The last approval question."""
        return self.requests[-1] if self.requests else None

    @property
    def ask_due(self) -> bool:
        """Whether the plan that stands is one that nobody was asked about: the first, another one than was voided, or
        the same one found again after a look that had made an end of it."""
        if self.planned is None or self.hard_stop is not None or self.run_request is not None:
            return False
        last = self.request
        if last is None:
            return True
        return last.state == "void" and (last.digest != self.planned.digest or self.planned_seq > last.ended_seq)

    @property
    def aborted(self) -> bool:
        """The people have ruled that nothing more is to be sent."""
        return any(verdict == "abort" for _, _, verdict, _, _, _ in self.rulings)

    @property
    def open_attempt(self) -> tuple[StepState, Attempt] | None:
        """The intent whose outcome is not yet recorded: something may be running on a server."""
        for step in self.steps:
            for attempt in step.attempts:
                if attempt.outcome is None:
                    return step, attempt
        return None

    def step(self, key: str) -> StepState | None:
        """The step with this id."""
        return next((s for s in self.steps if s.id == key), None)

    @property
    def waiting_step(self) -> StepState | None:
        """The first step that waits for the people's word."""
        if self.aborted:
            return None
        return next((s for s in self.steps if s.status in ("failed", "unknown") and not s.retry), None)

    @property
    def phase(self) -> Phase:
        """Where the incident stands, in one word."""
        if self.closed:
            return "closed"
        if self.run_ended:
            return "ended"
        if self.run_request is not None:
            if self.waiting_step is not None:
                return "waiting_for_ruling"
            return "stopped" if self.stop else "running"
        if self.hard_stop is not None:
            return "hard_stopped"
        if self.request is None:
            return "looking"
        state = self.request.state
        if state == "open":
            return "asking"
        if state == "approved":
            return "stopped" if self.stop else "approved"
        if state == "declined":
            return "declined"
        return "lapsed"
