"""Which person is behind an account, and whether the account may act at all.

The account is looked up by its immutable ids; the person id and the name that came along are decoration. What Slack
says about an account stands in users.info: `deleted`, `is_restricted`, `is_ultra_restricted`, `is_stranger`,
`is_bot`, `is_invited_user`, `is_email_confirmed`, `team_id` (Slack API reference, user type).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from incident.events import Account, Actor
from incident.policy import Person, Policy

LOOK_KEPT: Final = timedelta(hours=24)
"""How long what Slack said of an account counts where Slack is gone; there a one-time code proves the person."""


def account_trouble(policy: Policy, account: Account, *, team: bool = True) -> tuple[str, str] | None:
    """(reason, words) where the account as Slack describes it may not act at all; None where it may."""
    homes = {policy.team, policy.enterprise} - {""}
    if team and account.team not in homes:
        return "foreign", "Your account belongs to another workspace"
    if policy.enterprise and account.enterprise not in ("", policy.enterprise):
        return "foreign", "Your account belongs to another organisation"
    if account.bot:
        return "bot", "Bots and workflows may not do this"
    if account.stranger:
        return "stranger", "You are here through a shared channel"
    if account.guest:
        return "guest", "Your account is a guest here"
    if account.deleted:
        return "deleted", "Your account is deactivated"
    if account.invited:
        return "invited", "You were invited and have not joined yet"
    if not account.mail_confirmed:
        return "mail", "Your account's mail address is not confirmed"
    return None


def person_of(policy: Policy, actor: Actor) -> Person | None:
    """The person behind an actor: by Slack id where the act came through Slack, by person id in a terminal."""
    if actor.via == "slack":
        return policy.by_slack(actor.team, actor.user)
    if actor.via == "cli":
        return policy.person(actor.person or "")
    return None
