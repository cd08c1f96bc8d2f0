"""What can be written into a journal: one discriminated union of events.

Every event has a stable six-character code, different for success (`I`), warning (`W`) and refusal or
failure (`E`), and says which kinds of writer may write it. `actor` and `cause` are lifted out of the body
into the record by the record layer. No floats anywhere: durations are integer milliseconds or seconds,
moments are RFC 3339 UTC text in the record or aware datetimes here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, TypeAdapter

from incident.policy import ConfigDigests, Frozen

WriterKind = Literal["bot", "cli", "worker"]
PEOPLE: Final = frozenset({"bot", "cli"})
HANDS: Final = frozenset({"worker"})
ANYONE: Final = frozenset({"bot", "cli", "worker"})

Json = dict[str, Any]
Effect = Literal["observe", "converge", "once"]
Verdict = Literal["retry", "done", "skip", "abort"]
Level = Literal["green", "amber", "red"]


class Account(Frozen):
    """What Slack said of the account at the moment of the act (users.info), or what is known without Slack."""

    deleted: bool = False
    guest: bool = False
    stranger: bool = False
    bot: bool = False
    invited: bool = False
    mail_confirmed: bool = True
    team: str = ""
    enterprise: str = ""
    in_group: bool | None = None
    """Member of the policy's approver group; None where no group narrows."""
    looked_at: datetime | None = None


class Actor(Frozen):
    """Who did it: the person, and the account and way they came by. Names are decoration, ids decide."""

    person: str | None
    """The policy's person id; None for somebody in no person record."""
    name: str
    via: Literal["slack", "cli", "system"]
    user: str = ""
    team: str = ""
    account: Account | None = None
    code_step: int | None = None
    """The TOTP time step that a typed code proved, kept so that no code counts twice."""


class CardRef(Frozen):
    """One posted card: a click counts only from one of these."""

    team: str
    channel: str
    ts: str
    person: str | None = None
    """The approver whose DM this is; None for a channel."""


class Event(Frozen):
    """Base of every event. `kind` discriminates; `code` is the stable event code."""

    CODE: ClassVar[str] = ""
    WRITERS: ClassVar[frozenset[str]] = ANYONE
    SIGNED: ClassVar[bool] = True
    actor: Actor | None = None
    cause: tuple[int, ...] = ()

    @property
    def code(self) -> str:
        """The event code that stands in the record."""
        return self.CODE


# --- people: requests, notes, the clock ------------------------------------------------------------------


class Declared(Event):
    """T1: somebody declared the pool lost (or asked for planned work)."""

    CODE, WRITERS = "INC001I", PEOPLE
    kind: Literal["declared"] = "declared"
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
    """The command as it was typed, verbatim."""
    channel: str
    rto_s: int
    drill: bool = False
    practice: bool = False
    digests: ConfigDigests | None = None
    said_since: datetime | None = None
    """T0 as the declarer said it."""
    kept_t1: datetime | None = None
    """T1 of the incident this one replaces; the clock was not started afresh."""
    linked: str = ""
    """The incident this one replaces."""
    start_at: datetime | None = None
    """Planned work: the hour at which it may begin."""


class Joined(Event):
    """The same pool was declared again while this declaration was open."""

    CODE, WRITERS = "INC002I", PEOPLE
    kind: Literal["joined"] = "joined"
    raw: str = ""


class OutageSet(Event):
    """A person corrected T0, when the outage began."""

    CODE, WRITERS = "INC003I", PEOPLE
    kind: Literal["outage_set"] = "outage_set"
    since: datetime


class Noted(Event):
    """A person's note for the log."""

    CODE, WRITERS = "INC004I", PEOPLE
    kind: Literal["noted"] = "noted"
    text: str


class LeadTaken(Event):
    """Somebody took the lead of the incident."""

    CODE, WRITERS = "INC005I", PEOPLE
    kind: Literal["lead_taken"] = "lead_taken"


class Cancelled(Event):
    """Called off before T3: nothing was changed."""

    CODE, WRITERS = "INC006I", PEOPLE
    kind: Literal["cancelled"] = "cancelled"
    why: str = ""


class Closed(Event):
    """The end of the incident."""

    CODE, WRITERS = "INC090I", PEOPLE
    kind: Literal["closed"] = "closed"
    result: Literal["recovered", "recovered_late", "aborted", "cancelled", "hard_stopped", "false_alarm", "incomplete"]
    sentence: str = ""


class FollowUp(Event):
    """Something left for a person after the run, for example an unexplained red text."""

    CODE = "FUP001I"
    kind: Literal["follow_up"] = "follow_up"
    key: str
    text: str


class FollowUpSettled(Event):
    """A follow-up was done."""

    CODE, WRITERS = "FUP002I", PEOPLE
    kind: Literal["follow_up_settled"] = "follow_up_settled"
    key: str
    text: str = ""


# --- the look and the plan --------------------------------------------------------------------------------


class Surveyed(Event):
    """One look at the estate, ended. Written again only when a predicate changed."""

    CODE, WRITERS = "SRV001I", HANDS
    kind: Literal["surveyed"] = "surveyed"
    facts: Json
    """Facts as data: id -> {value, at, from} or {unknown: reason}."""
    began: datetime
    ended: datetime
    digests: ConfigDigests
    host: str
    outage_from: datetime | None = None
    """T0 as kept samples propose it; a person's word goes before it."""


class Planned(Event):
    """The plan made from the last survey."""

    CODE, WRITERS = "PLN001I", HANDS
    kind: Literal["planned"] = "planned"
    plan: Json
    digest: str
    words: tuple[str, ...]
    short: str
    """Six characters for typing."""
    level: Level
    warnings: tuple[Json, ...] = ()
    """{level, text, todo} each."""
    difference: tuple[str, ...] = ()
    """What changed against the plan before, in words a person can read; empty for the first."""
    rpo_s: int | None = None


class HardStopped(Event):
    """No plan can be made; nothing will run."""

    CODE, WRITERS = "PLN002E", HANDS
    kind: Literal["hard_stopped"] = "hard_stopped"
    why: str
    text: str
    todo: str
    offer: str | None = None
    """The pool to declare instead, where that is the answer."""


# --- approval ---------------------------------------------------------------------------------------------


class Asked(Event):
    """An approval question was opened: this digest, this nonce, until then."""

    CODE, WRITERS = "APR001I", PEOPLE
    kind: Literal["asked"] = "asked"
    request: int
    digest: str
    nonce: str
    short: str
    expires: datetime
    quorum: int
    others_needed: int
    """How many distinct persons beside the asker must still approve."""
    asker: str
    asker_counts: bool
    """True where the asker holds `approve` and so their request is a vote for pool and playbook."""
    level: Level
    start_at: datetime | None = None
    again: bool = False
    differs: tuple[str, ...] = ()
    """Which of estate, endpoints, policy and playbook the worker that looked has otherwise than who asks."""


class StillDisaster(Event):
    """Under red, the asker said: still a disaster."""

    CODE, WRITERS = "APR002I", PEOPLE
    kind: Literal["still_disaster"] = "still_disaster"
    request: int


class CardPosted(Event):
    """A card for this request stands in Slack at this place."""

    CODE, WRITERS = "APR003I", frozenset({"bot"})
    kind: Literal["card_posted"] = "card_posted"
    request: int
    card: CardRef


class Voted(Event):
    """One person's approval that counted."""

    CODE, WRITERS = "APR010I", PEOPLE
    kind: Literal["voted"] = "voted"
    request: int
    digest: str
    nonce: str
    card: CardRef | None = None
    """The card it was given on; None in a terminal."""
    typed: str | None = None
    """The pool's name as typed, under red."""
    completes: bool = False
    """True for the vote that made the quorum: T2."""
    window_ends: datetime | None = None


class Declined(Event):
    """A person said no. The request is over."""

    CODE, WRITERS = "APR011I", PEOPLE
    kind: Literal["declined"] = "declined"
    request: int
    why: str = ""


class Lapsed(Event):
    """Nobody answered in time: neither yes nor no."""

    CODE, WRITERS = "APR014W", PEOPLE
    kind: Literal["lapsed"] = "lapsed"
    request: int
    which: Literal["approval", "window"] = "approval"


class Voided(Event):
    """The question or the approval no longer holds, and why."""

    CODE = "APR013W"
    kind: Literal["voided"] = "voided"
    request: int
    why: tuple[str, ...]


class Rechecked(Event):
    """Slack was asked again about everybody the approval rests on, after the click and before the ring."""

    CODE, WRITERS = "APR015I", frozenset({"bot"})
    kind: Literal["rechecked"] = "rechecked"
    request: int
    accounts: dict[str, Account]
    """Person id -> what Slack said now."""
    lost: tuple[str, ...] = ()


class Revoked(Event):
    """Somebody whose approval counted no longer may: the approval is void before the first act."""

    CODE = "APR016E"
    kind: Literal["revoked"] = "revoked"
    request: int
    person: str
    why: str


class LockedOut(Event):
    """Too many wrong codes: this person may not approve in this incident any more."""

    CODE, WRITERS = "APR030W", PEOPLE
    kind: Literal["locked_out"] = "locked_out"
    person: str


class Refused(Event):
    """A refused act. Identical refusals are written once per person and card, then counted."""

    WRITERS = PEOPLE
    kind: Literal["refused"] = "refused"
    why: str
    """The reason's code, which is the record's code: APR020E … and REF001E …"""
    what: str
    """What was tried: approve, decline, declare, ruling …"""
    text: str
    """The answer the person saw."""
    request: int | None = None
    card: CardRef | None = None
    count: int = 1
    raw: str = ""

    @property
    def code(self) -> str:
        """The reason is the code."""
        return self.why


class Told(Event):
    """Somebody was woken or told: the outcome of one DM, page or mail."""

    CODE, WRITERS = "NTF001I", PEOPLE
    kind: Literal["told"] = "told"
    person: str
    how: Literal["dm", "pager", "mail", "channel"]
    ok: bool
    what: str
    sentence: str = ""

    @property
    def code(self) -> str:
        """Reached or not reached."""
        return "NTF001I" if self.ok else "NTF001E"


# --- the run ----------------------------------------------------------------------------------------------


class HandTaken(Event):
    """A worker took the run over: epoch + 1. Older epochs can append nothing more."""

    CODE, WRITERS = "RUN001I", HANDS
    kind: Literal["hand_taken"] = "hand_taken"
    epoch: int
    host: str
    worker: str


class RunStarted(Event):
    """The worker has checked chain, signatures, persons, digest and window by its own files, and begins."""

    CODE, WRITERS = "RUN002I", HANDS
    kind: Literal["run_started"] = "run_started"
    request: int
    digest: str


class RunRefused(Event):
    """The worker will not begin, and why. Nothing was changed."""

    CODE, WRITERS = "RUN003E", HANDS
    kind: Literal["run_refused"] = "run_refused"
    request: int
    why: str
    text: str


class Waits(Event):
    """The run waits for something another incident holds."""

    CODE, WRITERS = "RUN004I", HANDS
    kind: Literal["waits"] = "waits"
    hold: str
    other: str


class StepSkipped(Event):
    """Probe says: already so. Nothing was sent."""

    CODE, WRITERS = "STP001I", HANDS
    kind: Literal["step_skipped"] = "step_skipped"
    step: str
    text: str


class Intent(Event):
    """Written and acknowledged before a byte goes to a server."""

    CODE, WRITERS = "STP002I", HANDS
    kind: Literal["intent"] = "intent"
    step: str
    attempt: int
    call_no: int
    host: str
    literal: str
    call: Json
    effect: Effect
    epoch: int
    mode: Literal["inline", "task"] = "inline"


class Output(Event):
    """A batch of framed lines from the server, redacted. Not signed itself; the next signed record seals it."""

    CODE, WRITERS, SIGNED = "OUT001I", HANDS, False
    kind: Literal["output"] = "output"
    step: str
    attempt: int
    lines: tuple[tuple[str, str], ...]
    """(stream, text): verbose, warning, error, output."""
    dropped: int = 0


class Outcome(Event):
    """What became of one attempt: exactly one for each intent."""

    WRITERS = HANDS
    kind: Literal["outcome"] = "outcome"
    step: str
    attempt: int
    call_no: int
    result: Literal["done", "red", "refused", "unknown", "adopted", "not_begun"]
    """done · red = the server said bye with errors · refused = certainly nothing was run · unknown = no bye ·
    adopted = unknown, and the probe shows it done · not_begun = unknown, and the probe shows it never began."""
    sentence: str
    red: tuple[str, ...] = ()
    meaning: str = ""
    repeat: str = ""
    """Whether repeating is safe, in words."""
    took_ms: int = 0
    blob: str = ""
    """SHA-256 of the whole output beside the journal."""

    @property
    def code(self) -> str:
        """Success, with red text, or not known: each its own code."""
        return {
            "done": "STP003I",
            "adopted": "STP004I",
            "not_begun": "STP005I",
            "red": "STP003E",
            "refused": "STP004E",
            "unknown": "STP003W",
        }[self.result]


class Verified(Event):
    """Read back: the step is so."""

    CODE, WRITERS = "STP007I", HANDS
    kind: Literal["verified"] = "verified"
    step: str
    attempt: int
    text: str
    took_ms: int
    with_red: bool = False


class StepFailed(Event):
    """The step is not so within its limit, or its call was refused. The run waits for a ruling unless degraded."""

    CODE, WRITERS = "STP008E", HANDS
    kind: Literal["step_failed"] = "step_failed"
    step: str
    attempt: int
    text: str
    state: str
    """What was read back, in words."""
    begun: Literal["not_begun", "half_done", "done", "cannot_tell"]
    table: tuple[tuple[str, str, str], ...] = ()
    """Rows of intended / recorded / actual."""
    degraded: bool = False


class Slow(Event):
    """Slower than usual, said long before the limit."""

    CODE, WRITERS = "STP009W", HANDS
    kind: Literal["slow"] = "slow"
    step: str
    attempt: int
    text: str


class RulingVoted(Event):
    """One person's word on a failed or unknown step."""

    CODE, WRITERS = "RUL002I", PEOPLE
    kind: Literal["ruling_voted"] = "ruling_voted"
    step: str
    attempt: int
    verdict: Verdict
    reason: str = ""
    card: CardRef | None = None


class Ruling(Event):
    """The people have decided about one attempt."""

    CODE, WRITERS = "RUL001I", PEOPLE
    kind: Literal["ruling"] = "ruling"
    step: str
    attempt: int
    verdict: Verdict
    persons: tuple[str, ...]
    reason: str = ""
    against_probe: bool = False
    """`done` although the probe says not done: marked in the report."""


class StopOrdered(Event):
    """Nothing after the step in flight will start."""

    CODE, WRITERS = "STO001I", PEOPLE
    kind: Literal["stop_ordered"] = "stop_ordered"
    why: str = ""


class WentOn(Event):
    """The stop was lifted."""

    CODE, WRITERS = "STO002I", PEOPLE
    kind: Literal["went_on"] = "went_on"


class Proven(Event):
    """T5: service proven automatically on the surviving pool."""

    CODE, WRITERS = "PRV001I", HANDS
    kind: Literal["proven"] = "proven"
    text: str


class Confirmed(Event):
    """A person confirmed service: they signed in, or saw no red banner."""

    CODE, WRITERS = "PRV002I", PEOPLE
    kind: Literal["confirmed"] = "confirmed"
    text: str = ""


class RunEnded(Event):
    """The hands are done: every step settled, or the run was aborted."""

    CODE, WRITERS = "RUN010I", HANDS
    kind: Literal["run_ended"] = "run_ended"
    result: Literal["complete", "aborted"]
    text: str = ""


class ReplicaSeen(Frozen):
    """One server's replica of the Central Management Store, as the servers report it."""

    fqdn: str
    pool: str = ""
    """Short name of the pool it belongs to; empty where the estate knows none."""
    up_to_date: bool = False
    dead: bool = False
    """It belongs to the lost pool, which answers nobody: that it stays behind is expected."""


class ReplicasSeen(Event):
    """The replicas of the Central Management Store after it moved. Written again only when one of them changed."""

    WRITERS = HANDS
    kind: Literal["replicas_seen"] = "replicas_seen"
    replicas: tuple[ReplicaSeen, ...] = ()
    why: str = ""
    """Why they could not be read; empty where they were."""
    over: Literal["", "all", "limit"] = ""
    """The end of the watch: all that live are up to date, or its time is over."""

    @property
    def code(self) -> str:
        """Still watched, all up to date, or given up."""
        return {"": "RPL001I", "all": "RPL002I", "limit": "RPL002W"}[self.over]


# --- the register -----------------------------------------------------------------------------------------


class IncidentOpened(Event):
    """A number was given to an incident."""

    CODE = "REG001I"
    kind: Literal["incident_opened"] = "incident_opened"
    number: int
    incident: str
    head: str


class IncidentClosed(Event):
    """An incident was closed at this head."""

    CODE = "REG002I"
    kind: Literal["incident_closed"] = "incident_closed"
    number: int
    incident: str
    head: str


class TextStated(Event):
    """The text of policy or estate as a process was given it, written when its digest is new."""

    CODE = "REG010I"
    kind: Literal["text_stated"] = "text_stated"
    what: Literal["policy", "estate"]
    digest: str
    text: str


class Started(Event):
    """A process came up."""

    CODE = "REG020I"
    kind: Literal["started"] = "started"
    what: str
    version: str
    host: str


class Exported(Event):
    """A record was exported, by whom."""

    CODE = "REG030I"
    kind: Literal["exported"] = "exported"
    incident: str
    head: str


class Reviewed(Event):
    """Somebody looked at a record afterwards and signed it off."""

    CODE, WRITERS = "REG040I", PEOPLE
    kind: Literal["reviewed"] = "reviewed"
    incident: str
    text: str = ""


class PeopleLooked(Event):
    """What Slack said about the accounts of everybody in the policy; kept for the day Slack is gone."""

    CODE, WRITERS = "REG050I", frozenset({"bot"})
    kind: Literal["people_looked"] = "people_looked"
    accounts: dict[str, Account]
    """`TEAM/USER` -> what Slack said."""


class Halted(Event):
    """A worker cannot believe, or cannot keep, the journal of an incident, and does nothing on it. Written here because
    nothing is written into a journal that cannot be believed."""

    CODE, WRITERS = "REG060E", HANDS
    kind: Literal["halted"] = "halted"
    incident: str
    what: Literal["shorter", "differs", "unbelievable", "copy"]
    text: str
    host: str


class HaltOver(Event):
    """The worker that could not believe the journal of an incident reads it again as it should be."""

    CODE, WRITERS = "REG061I", HANDS
    kind: Literal["halt_over"] = "halt_over"
    incident: str
    host: str


AnyEvent = Annotated[
    Declared | Joined | OutageSet | Noted | LeadTaken | Cancelled | Closed | FollowUp | FollowUpSettled
    | Surveyed | Planned | HardStopped
    | Asked | StillDisaster | CardPosted | Voted | Declined | Lapsed | Voided | Rechecked | Revoked | LockedOut
    | Refused | Told
    | HandTaken | RunStarted | RunRefused | Waits | StepSkipped | Intent | Output | Outcome | Verified
    | StepFailed | Slow | RulingVoted | Ruling | StopOrdered | WentOn | Proven | Confirmed | RunEnded
    | ReplicasSeen
    | IncidentOpened | IncidentClosed | TextStated | Started | Exported | Reviewed | PeopleLooked
    | Halted | HaltOver,
    Field(discriminator="kind"),
]  # fmt: skip

_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def event_classes() -> dict[str, type[Event]]:
    """Kind -> class, for every event there is."""
    return {str(cls.model_fields["kind"].default): cls for cls in Event.__subclasses__()}


def body_of(event: Event) -> Json:
    """The event as the record's body: JSON values only, without actor and cause."""
    return event.model_dump(mode="json", exclude={"actor", "cause"})


def parse_event(body: Json, actor: Json | None = None, cause: tuple[int, ...] = ()) -> Event:
    """The event that a record's body, actor and cause mean.

    Raises pydantic.ValidationError for a body that is no event of this version.
    """
    return _ADAPTER.validate_python({**body, "actor": actor, "cause": cause})
