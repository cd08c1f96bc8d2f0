"""What can be asked of an incident. `decide` turns a command into events, or into a refusal with an answer.

Commands carry what only the caller can know (who, from where, what Slack said, what a probe read);
`decide` holds every rule. A command is a value and asks for nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from incident.events import (
    Account,
    Actor,
    CardRef,
    Effect,
    Event,
    Json,
    Refused,
    ReplicaSeen,
    Verdict,
)
from incident.policy import ConfigDigests


@dataclass(frozen=True)
class Refusal:
    """No. `code` is the reason's event code, `text` the sentence for the person; `record` is what to write."""

    code: str
    text: str
    record: Refused | None = None
    offer: str | None = None
    """A pool to declare instead, or another next thing to press."""
    events: tuple[Event, ...] = ()
    """Further events that go with the refusal, for example a lock after three wrong codes."""


# --- people ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declare:
    """Open an incident, or join the one that is open for this pool."""

    actor: Actor
    playbook: str
    pool: str
    pool_fqdn: str
    site: str
    partner: str
    partner_fqdn: str
    partner_site: str
    users: int | None
    reason: str
    raw: str
    channel: str
    since: datetime | None = None
    t1: datetime | None = None
    """T1 kept from the incident this one replaces (the wrong pool of the pair was declared first)."""
    linked: str = ""
    """The incident this one replaces."""
    start_at: datetime | None = None
    """Planned work: the hour at which it may begin. A disaster begins at once."""


@dataclass(frozen=True)
class SetOutage:
    """Correct T0."""

    actor: Actor
    since: datetime


@dataclass(frozen=True)
class AddNote:
    """A note for the log."""

    actor: Actor
    text: str


@dataclass(frozen=True)
class TakeLead:
    """I take over."""

    actor: Actor


@dataclass(frozen=True)
class Cancel:
    """Call it off before anything was changed (`false_alarm` closes it as such)."""

    actor: Actor
    why: str = ""
    false_alarm: bool = False


@dataclass(frozen=True)
class AskApproval:
    """Open the approval question for the last plan (the bot, after a plan; a person, after a lapse)."""

    actor: Actor | None
    nonce: str
    again: bool = False


@dataclass(frozen=True)
class SayStillDisaster:
    """Under red, the asker insists."""

    actor: Actor
    request: int
    nonce: str
    card: CardRef | None = None


@dataclass(frozen=True)
class RecordCard:
    """The bot posted a card."""

    request: int
    card: CardRef


@dataclass(frozen=True)
class Code:
    """What became of a typed one-time code: `step` when it was right, None when it was wrong or unreadable."""

    step: int | None


@dataclass(frozen=True)
class Approve:
    """One person's yes, exactly as the button or the terminal carried it."""

    actor: Actor
    request: int
    nonce: str
    digest: str
    """The digest, or a leading part of it of at least 16 characters, as the button carries it."""
    card: CardRef | None = None
    typed: str | None = None
    """The pool's name as typed (red)."""
    code: Code | None = None
    short: str | None = None
    """The six characters, where approving was typed instead of tapped."""
    clock_off_s: int = 0
    """The store's clock minus this host's, measured by the desk: expiry is judged by it."""


@dataclass(frozen=True)
class Decline:
    """One person's no."""

    actor: Actor
    request: int
    nonce: str
    card: CardRef | None = None
    why: str = ""


@dataclass(frozen=True)
class Tick:
    """Time has passed: lapse what is over."""


@dataclass(frozen=True)
class Recheck:
    """What Slack says now of everybody the approval rests on."""

    request: int
    accounts: dict[str, Account] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """One person's word on a failed or unknown attempt."""

    actor: Actor
    step: str
    attempt: int
    verdict: Verdict
    reason: str = ""
    card: CardRef | None = None
    copy: bool = False
    """Pressed on a message that the bot did not post for this incident."""


@dataclass(frozen=True)
class Stop:
    """Nothing after the step in flight."""

    actor: Actor
    why: str = ""
    host: str = ""
    """The host of the terminal this came from, for one who could not prove who they are."""


@dataclass(frozen=True)
class GoOn:
    """Lift the stop."""

    actor: Actor
    copy: bool = False
    """See `Rule`."""


@dataclass(frozen=True)
class Confirm:
    """A person saw service work."""

    actor: Actor
    text: str = ""
    copy: bool = False
    """See `Rule`."""


@dataclass(frozen=True)
class Close:
    """End the incident (the bot when the run ended; a person otherwise)."""

    actor: Actor | None
    sentence: str = ""


@dataclass(frozen=True)
class SettleFollowUp:
    """A follow-up was done."""

    actor: Actor
    key: str
    text: str = ""


@dataclass(frozen=True)
class RecordTold:
    """The outcome of one DM, page or mail."""

    person: str
    how: Literal["dm", "pager", "mail", "channel"]
    ok: bool
    what: str
    sentence: str = ""


# --- hands -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecordSurvey:
    """A look has ended; `plan` or `stop` is what the playbook made of it. `events` are ready made."""

    events: tuple[Event, ...]


@dataclass(frozen=True)
class TakeHand:
    """This worker takes the run over."""

    host: str
    worker: str


@dataclass(frozen=True)
class StartRun:
    """Begin the approved plan: the worker's own digest of the rebuilt plan, and its own files' digests."""

    epoch: int
    digest: str
    digests: ConfigDigests
    assumptions_lost: tuple[str, ...] = ()
    clock_off_s: int = 0


@dataclass(frozen=True)
class WaitFor:
    """Another incident holds what the next step needs."""

    epoch: int
    hold: str
    other: str


@dataclass(frozen=True)
class SkipStep:
    """The probe says: already so."""

    epoch: int
    step: str
    text: str


@dataclass(frozen=True)
class BeginCall:
    """About to send one call of one step."""

    epoch: int
    step: str
    call_no: int
    host: str
    literal: str
    call: Json
    effect: Effect
    mode: Literal["inline", "task"] = "inline"


@dataclass(frozen=True)
class RecordOutput:
    """A batch of lines from the server, already redacted."""

    epoch: int
    step: str
    attempt: int
    lines: tuple[tuple[str, str], ...]
    dropped: int = 0


@dataclass(frozen=True)
class EndCall:
    """What became of the call in flight."""

    epoch: int
    step: str
    attempt: int
    call_no: int
    result: Literal["done", "red", "refused", "unknown", "adopted", "not_begun"]
    sentence: str
    red: tuple[str, ...] = ()
    meaning: str = ""
    repeat: str = ""
    took_ms: int = 0
    blob: str = ""


@dataclass(frozen=True)
class VerifyStep:
    """Read back: it is so."""

    epoch: int
    step: str
    text: str
    took_ms: int


@dataclass(frozen=True)
class FailStep:
    """Read back: it is not so (or cannot be told), and the limit is over."""

    epoch: int
    step: str
    text: str
    state: str
    begun: Literal["not_begun", "half_done", "done", "cannot_tell"]
    table: tuple[tuple[str, str, str], ...] = ()
    degraded: bool = False


@dataclass(frozen=True)
class SaySlow:
    """Slower than usual."""

    epoch: int
    step: str
    text: str


@dataclass(frozen=True)
class OpenFollowUp:
    """Leave something for a person."""

    key: str
    text: str


@dataclass(frozen=True)
class Prove:
    """Service proven automatically."""

    epoch: int
    text: str


@dataclass(frozen=True)
class RecordReplicas:
    """The replicas of the Central Management Store as just read, or why they could not be. `limit_s` is how long they
    are watched, in seconds after the last change."""

    replicas: tuple[ReplicaSeen, ...]
    began: datetime
    """When the reading began: what was written to the store later is not in it."""
    limit_s: int
    why: str = ""


@dataclass(frozen=True)
class EndRun:
    """Every step is settled, or the run was aborted."""

    epoch: int
    result: Literal["complete", "aborted"]
    text: str = ""


Command = (
    Declare | SetOutage | AddNote | TakeLead | Cancel | AskApproval | SayStillDisaster | RecordCard | Approve
    | Decline | Tick | Recheck | Rule | Stop | GoOn | Confirm | Close | SettleFollowUp | RecordTold | RecordSurvey
    | TakeHand | StartRun | WaitFor | SkipStep | BeginCall | RecordOutput | EndCall | VerifyStep | FailStep | SaySlow
    | OpenFollowUp | Prove | RecordReplicas | EndRun
)  # fmt: skip
