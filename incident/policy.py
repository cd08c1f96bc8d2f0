"""Who may do what: the policy as values, and the rules every decision is given.

Authority belongs to persons, not to Slack ids, names or channels. One person may own several Slack
ids; the same person under two ids is one person. Empty lists mean nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Role = Literal["watch", "declare", "approve", "operate", "audit"]
"""What a person may do. Roles do not include each other."""

AT_ONCE = frozenset({"declare-disaster"})
"""Kinds of work that begin as soon as they are approved; all others may wait for their hour."""

SHARED_NAMES = frozenset({"noc", "ops", "admin", "oncall", "duty", "helpdesk", "soc", "root", "service"})
"""Names that look like a desk instead of a human; such an entry is warned about."""


def _by_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", text):
        # Not repeated: this is where an address with a token in it ends up by mistake, and the policy's text is kept.
        raise ValueError("expected the name of a secret, such as pager, not the secret itself")
    return text


def _known_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"expected a time zone such as Europe/London, found {text!r}") from None
    return text


Reference = Annotated[str, AfterValidator(_by_name)]
"""The name of a secret or an account, which comes from the environment; never the thing itself."""


class Frozen(BaseModel):
    """A value: never changed after it was made, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SlackId(Frozen):
    """One immutable Slack identity: the workspace and the user id in it."""

    team: str = Field(pattern=r"^[TE][A-Z0-9]+$")
    user: str = Field(pattern=r"^[UW][A-Z0-9]+$")


class Person(Frozen):
    """A human with one or more Slack ids and roles."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    name: str = Field(min_length=1, max_length=60)
    slack: tuple[SlackId, ...] = ()
    roles: frozenset[Role] = frozenset()
    mobile: str = ""
    """For the others to call; the desk phones are what has failed."""
    mail: str = ""
    order: int = Field(default=100, ge=1)
    """Contact order: smaller is woken first and named first."""
    shared: bool = False
    """A shared account may watch and nothing else."""

    def may(self, role: Role) -> bool:
        """True when this person holds `role`; a shared account holds only `watch`."""
        return role in self.roles and (not self.shared or role == "watch")

    @property
    def looks_shared(self) -> bool:
        """True where this is a shared account, or bears the name of a desk."""
        return self.shared or self.id in SHARED_NAMES or self.name.casefold() in SHARED_NAMES


class PairPolicy(Frozen):
    """What one pair of pools asks for, beside the common rules."""

    pools: tuple[str, str]
    """The two pools' short names, as in the estate."""
    rto_s: int = Field(default=900, ge=60)
    confirm_by_person: bool = False
    """Ask a person to confirm service before the run counts as recovered."""


class PagerPolicy(Frozen):
    """Where to ring when a declaration is made. The URL is a secret and named by reference only."""

    url: Reference
    """Reference of the secret that holds the URL, for example `pager`."""
    form: Literal["pagerduty-v2", "json"] = "json"
    every_s: int = Field(default=60, ge=1)
    tries: int = Field(default=3, ge=1, le=10)


class MailPolicy(Frozen):
    """Where receipts go by SMTP, beside the two persons' own addresses."""

    host: str
    port: int = Field(default=25, ge=1, le=65535)
    sender: str
    audit: str = ""
    starttls: bool = False
    credential: Reference | Literal[""] = ""
    """Reference of the account to log on with, for example `smtp`."""

    @model_validator(mode="after")
    def _no_password_in_the_open(self) -> Self:
        if self.credential and not self.starttls:
            raise ValueError("a credential without starttls = true would send its password in the open")
        return self


class Policy(Frozen):
    """The installation's rules about people, as loaded from `policy.toml`."""

    team: str = Field(pattern=r"^[TE][A-Z0-9]+$")
    enterprise: str = Field(default="", pattern=r"^(E[A-Z0-9]+)?$")
    zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    home_channel: str = Field(pattern=r"^[CG][A-Z0-9]+$")
    quorum: int = Field(default=2, ge=2, le=9)
    approval_expiry_s: int = Field(default=600, ge=1)
    execution_window_s: int = Field(default=300, ge=1)
    planned_expiry_s: int = Field(default=86_400, ge=60)
    """How long the question for planned work and failback stays open."""
    recheck_after_s: int = Field(default=60, ge=1, le=60)
    """More seconds than this between a click and the first act: Slack is asked again. It can be made stricter only."""
    remind_every_s: int = Field(default=60, ge=1)
    one_time_code: bool = False
    """Approving asks for a TOTP code, except where the pool's name is typed under red."""
    wrong_codes: int = Field(default=3, ge=1, le=10)
    channel_detail: Literal["full", "masked"] = "full"
    approver_group: str = Field(default="", pattern=r"^(S[A-Z0-9]+)?$")
    """A Slack user-group id that narrows who may approve; never widens."""
    persons: tuple[Person, ...]
    pairs: tuple[PairPolicy, ...] = ()
    pager: PagerPolicy | None = None
    mail: MailPolicy | None = None

    @model_validator(mode="after")
    def _one_human_one_entry(self) -> Self:
        seen: dict[object, str] = {}
        for person in self.persons:
            keys: list[tuple[str, object]] = [("id", person.id), *(("Slack id", s) for s in person.slack)]
            if person.mail:
                keys.append(("mail address", person.mail.casefold()))
            for what, key in keys:
                other = seen.setdefault((what, key), person.id)
                if other != person.id or (what == "id" and sum(p.id == person.id for p in self.persons) > 1):
                    raise ValueError(f"persons {other} and {person.id} share one {what}; one human is one entry")
        sets = [frozenset(p.pools) for p in self.pairs]
        if len(set(sets)) != len(sets):
            raise ValueError("the same pair stands twice under [[pairs]]")
        return self

    def person(self, key: str) -> Person | None:
        """The person with this id, or None."""
        return next((p for p in self.persons if p.id == key), None)

    def by_slack(self, team: str, user: str) -> Person | None:
        """The person who owns this Slack identity, or None."""
        return next((p for p in self.persons if SlackId.model_construct(team=team, user=user) in p.slack), None)

    def holders(self, role: Role) -> tuple[Person, ...]:
        """Everybody who holds `role`, in contact order."""
        return tuple(sorted((p for p in self.persons if p.may(role)), key=lambda p: (p.order, p.name)))

    def pair(self, one: str, other: str) -> PairPolicy:
        """The rules of this pair of pools; the defaults where the policy says nothing."""
        wanted = frozenset((one, other))
        return next((p for p in self.pairs if frozenset(p.pools) == wanted), PairPolicy(pools=(one, other)))

    @property
    def approval_expiry(self) -> timedelta:
        """How long one approval question stays open."""
        return timedelta(seconds=self.approval_expiry_s)

    def open_for(self, playbook: str) -> timedelta:
        """How long a question about this kind of work stays open: a disaster minutes, planned work hours."""
        return self.approval_expiry if playbook in AT_ONCE else timedelta(seconds=self.planned_expiry_s)

    @property
    def execution_window(self) -> timedelta:
        """How long after the last needed vote the first act may still be sent."""
        return timedelta(seconds=self.execution_window_s)


class ConfigDigests(Frozen):
    """SHA-256 (hex) of what this process was given for one pair: a difference is shown before anybody approves."""

    estate: str
    endpoints: str
    policy: str
    playbook: str

    def differences(self, other: ConfigDigests) -> tuple[str, ...]:
        """Which of the four are not the other's, by the names people know them by."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) != getattr(other, name))


class Rules(Frozen):
    """All that `decide` may know beside the record: the policy and the digests of this process."""

    policy: Policy
    digests: Mapping[str, ConfigDigests] = {}
    """Pool -> what this process's own files say about its pair."""
    practice: bool = False
    """True where the endpoints say that this is a rehearsal; printed as a banner."""
    version: str = "0"
    spent: Mapping[str, int] = {}
    """Person -> the step of the last one-time code that proved them just now, in whichever incident or for a review."""
