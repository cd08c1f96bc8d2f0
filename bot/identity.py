"""Who clicked or typed: immutable ids from Slack's payload, and what Slack says about the account right now.

Names are decoration. The payload's `user.team_id` is the person's own workspace, `team.id` the one of the
conversation; where they differ the click came through a shared channel. Flags are those of `users.info`
(docs.slack.dev). Nothing is judged here: the flags travel in the actor, and `decide` refuses with its own codes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from slack_sdk.errors import SlackApiError

from incident.events import Account, Actor
from incident.policy import Policy

log: Final = logging.getLogger("lync-dr.identity")
GROUP_KEPT_S: Final = 300
"""`usergroups.users.list` is a slow tier at Slack: 20 calls a minute."""
_NO_SUCH: Final = frozenset({"user_not_found", "users_not_found"})
"""What `users.info` says of an id that is in this workspace no more (docs.slack.dev, users.info: errors)."""

Ask = Callable[..., Mapping[str, Any]]
"""Calls one Web API method and returns its answer; raises on any failure."""


@dataclass(frozen=True)
class Identified:
    """An account with its person, where it has one."""

    actor: Actor


@dataclass(frozen=True)
class NotAllowed:
    """No human: a bot, or a payload without a user. `actor` is what can be said of it, so that it is refused on
    record where it tried to decide something."""

    text: str
    actor: Actor


def ids_of(payload: Mapping[str, Any], policy: Policy) -> tuple[str, str]:
    """(team, user) of whoever sent this command or click.

    Where the conversation's workspace is not ours, its id is returned as the team, so that it is refused.
    """
    if "user_id" in payload:
        return str(payload.get("team_id") or payload.get("enterprise_id") or ""), str(payload["user_id"])
    user = payload.get("user") or {}
    here = (payload.get("team") or {}).get("id") or (payload.get("enterprise") or {}).get("id") or ""
    team = str(user.get("team_id") or here)
    homes = {policy.team, policy.enterprise} - {""}
    return (team if here in homes else str(here)), str(user.get("id") or "")


def account_of(info: Mapping[str, Any], in_group: bool | None, now: datetime) -> Account:
    """The flags of `users.info` as they go into the record."""
    user = info.get("user", info)
    grid = user.get("enterprise_user") or {}
    return Account(
        deleted=bool(user.get("deleted")),
        guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
        stranger=bool(user.get("is_stranger")),
        bot=bool(user.get("is_bot") or user.get("is_workflow_bot") or user.get("is_connector_bot"))
        or user.get("id") == "USLACKBOT",
        invited=bool(user.get("is_invited_user")),
        mail_confirmed=bool(user.get("is_email_confirmed", True)),
        team=str(user.get("team_id") or ""),
        enterprise=str(grid.get("enterprise_id") or ""),
        in_group=in_group,
        looked_at=now,
    )


def who(
    payload: Mapping[str, Any], people: Policy, users_info: Callable[[str], tuple[Account, str] | None]
) -> Identified | NotAllowed:
    """The actor of this payload. `users_info` is asked afresh and may answer None: then nothing that needs a right
    can be done, and the answer says so."""
    team, user = ids_of(payload, people)
    if not user:
        unnamed = Actor(person=None, name="nobody named", via="slack", team=team)
        return NotAllowed("Slack did not say who you are. Nothing happened. Try again.", unnamed)
    if payload.get("bot_id") or (payload.get("user") or {}).get("is_bot") or user == "USLACKBOT":
        flagged = Account(team=team, bot=True)
        robot = Actor(person=None, name=user, via="slack", user=user, team=team, account=flagged)
        return NotAllowed("Bots and workflows may not do this. Nothing happened.", robot)
    found = users_info(user)
    account, name = found if found else (None, "")
    person = people.by_slack(team, user)
    shown = name or (person.name if person else user)
    return Identified(
        Actor(
            person=person.id if person else None, name=shown[:80], via="slack", user=user, team=team, account=account
        )
    )  # fmt: skip


class Accounts:
    """Asks Slack about accounts. Never answers from memory about a person; the group's list is kept five minutes
    except where a right depends on it."""

    def __init__(self, ask: Ask, policy: Policy | Callable[[], Policy], now: Callable[[], datetime]) -> None:
        self._ask, self._given, self._now = ask, policy, now
        self._group: tuple[float, frozenset[str] | None] = (float("-inf"), None)
        self._lock = threading.Lock()

    @property
    def _policy(self) -> Policy:
        return self._given if isinstance(self._given, Policy) else self._given()

    @property
    def _homes(self) -> tuple[str, str]:
        return self._policy.team, self._policy.enterprise

    def look(self, user: str, *, fresh_group: bool = True) -> tuple[Account, str] | None:
        """The account and the name as Slack shows it now; None where Slack could not say."""
        try:
            info = self._ask("users.info", user=user)
        except SlackApiError as no:
            if no.response.get("error") not in _NO_SUCH:
                log.warning("Slack would not say who %s is: %s", user, no.response.get("error"))
                return None
            # That is an answer: an account that was taken out of the workspace is as good as deactivated.
            return Account(team=self._policy.team, deleted=True, looked_at=self._now()), ""
        except Exception as bad:
            log.warning("Slack could not be asked about %s: %s", user, type(bad).__name__)
            return None
        found = info.get("user") or {}
        members = self._members(fresh_group) if self._policy.approver_group else None
        in_group = None if not self._policy.approver_group else (members is not None and user in members)
        profile = found.get("profile") or {}
        name = str(profile.get("display_name") or found.get("real_name") or found.get("name") or "")
        return account_of(info, in_group, self._now()), name

    def _members(self, fresh: bool) -> frozenset[str] | None:
        with self._lock:
            at, kept = self._group
            if not fresh and time.monotonic() - at < GROUP_KEPT_S:
                return kept
        try:
            answer = self._ask("usergroups.users.list", usergroup=self._policy.approver_group)
        except Exception as bad:
            # A group only narrows: where it cannot be read, nobody is in it.
            log.warning("The approver group could not be read: %s", type(bad).__name__)
            return None
        members = frozenset(str(u) for u in answer.get("users", ()))
        with self._lock:
            self._group = (time.monotonic(), members)
        return members

    def everybody(self) -> dict[str, Account]:
        """`TEAM/USER` -> what Slack says, for every account in the policy that Slack could be asked about."""
        found: dict[str, Account] = {}
        for person in self._policy.persons:
            for ident in person.slack:
                looked = self.look(ident.user, fresh_group=False)
                # Another workspace's ids are none of ours to be missing.
                if looked is not None and (ident.team in self._homes or looked[0].team == ident.team):
                    found[f"{ident.team}/{ident.user}"] = looked[0]
        return found
