"""Slack's Web API as one function, without retries of its own: who calls knows what may be repeated.

Which methods take JSON is documented at docs.slack.dev, "Web API": the writing ones do, the reading ones want a form.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from bot.draw.post import Post
from bot.draw.reader import Reader
from bot.identity import Ask

log: Final = logging.getLogger("lync-dr.slack")
TIMEOUT_S: Final = 5
START_S: Final = 10.0
"""How long Slack may be unreachable at the start before the bot gives up; a supervisor starts it again."""
SHARED_OUTSIDE: Final = "shared outside the company"
_JSON: Final = ("chat.", "views.")


class SlackTrouble(Exception):
    """Slack refuses this bot or cannot be reached: one sentence for the person who starts it."""


class CannotListen(SlackTrouble):
    """The address for requests from Slack cannot be had: a wrong setting, or another process has it."""


@dataclass(frozen=True)
class Me:
    """Who Slack says this bot is."""

    team: str
    enterprise: str
    user: str
    bot: str
    name: str = ""
    """What the bot is called in this workspace: what `/invite @` needs."""


def web_client(token: str, api_url: str = "") -> WebClient:
    """A client with a short time-out and no retries."""
    more: dict[str, Any] = {"base_url": api_url} if api_url else {}
    return WebClient(token=token, timeout=TIMEOUT_S, retry_handlers=[], **more)


def asker(client: WebClient) -> Ask:
    """Calls one method; raises `SlackApiError` where Slack says no, and what the transport raises."""

    def ask(method: str, **arguments: Any) -> Mapping[str, Any]:
        given = {k: v for k, v in arguments.items() if v is not None}
        if method.startswith(_JSON):
            answer = client.api_call(method, json=given)
        else:
            answer = client.api_call(method, data=given)
        data = answer.data
        return data if isinstance(data, dict) else {}

    return ask


def introduce(ask: Ask, limit_s: float = START_S) -> Me:
    """Ask Slack who this token is. Raises `SlackTrouble` with one sentence."""
    until, pause = time.monotonic() + limit_s, 0.5
    while True:
        try:
            said = ask("auth.test")
            return Me(
                str(said.get("team_id", "")), str(said.get("enterprise_id") or ""), str(said.get("user_id", "")),
                str(said.get("bot_id", "")), str(said.get("user", "")),
            )  # fmt: skip
        except SlackApiError as bad:
            error = str(bad.response.get("error", "")) or str(bad.response.status_code)
            if error in ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
                         "not_allowed_token_type"):  # fmt: skip
                raise SlackTrouble(
                    f"Slack does not accept the bot token ({error}). Put the bot token (xoxb-…) of this app into "
                    "SLACK_BOT_TOKEN or the file named by SLACK_BOT_TOKEN_FILE."
                ) from None
            why = f"Slack answered {error}"
        except Exception as bad:
            why = type(bad).__name__
        if time.monotonic() + pause > until:
            raise SlackTrouble(
                f"Slack cannot be reached ({why}, tried for {limit_s:.0f} s). Check the network, the proxy settings "
                "and SLACK_API_URL. A run that is going on is not affected; lync-dr status works without Slack."
            )
        time.sleep(pause)
        pause = min(4.0, pause * 2)


def may_post(ask: Ask, channel: str) -> tuple[bool | None, str]:
    """Whether the bot may speak in this channel, and why not; None where Slack could not be asked."""
    if not channel.startswith(("C", "G")):
        return False, "a direct message"
    try:
        info = ask("conversations.info", channel=channel)["channel"]
    except SlackApiError as bad:
        error = str(bad.response.get("error", ""))
        if error in ("channel_not_found", "not_in_channel", "missing_scope", "access_denied"):
            return False, error
        return None, error
    except Exception as bad:
        return None, type(bad).__name__
    if info.get("is_ext_shared") or info.get("is_pending_ext_shared"):
        return False, SHARED_OUTSIDE
    if info.get("is_archived"):
        return False, "archived"
    return bool(info.get("is_member")), "not a member"


def home_trouble(ask: Ask, home: str, me: str) -> str:
    """One sentence where the bot may not speak in the home channel; empty where it may, or Slack cannot say."""
    can, why = may_post(ask, home)
    if can is not False:
        return ""
    return (
        f"The bot cannot post in the home channel {home} ({why}). Boards, warnings and whatever another channel "
        f"refuses are lost there. In that channel type: /invite @{me}"
    )


def check_app_token(token: str, api_url: str) -> None:
    """Whether Socket Mode is open to this app token. Raises `SlackTrouble`."""
    client = web_client(token, api_url)
    try:
        client.apps_connections_open(app_token=token)
    except SlackApiError as bad:
        error = str(bad.response.get("error", "")) or str(bad.response.status_code)
        if error == "ratelimited":
            return
        raise SlackTrouble(
            f"Slack does not open Socket Mode to this app token ({error}). Put an app-level token (xapp-…) with the "
            "scope connections:write into SLACK_APP_TOKEN or the file named by SLACK_APP_TOKEN_FILE."
        ) from None
    except Exception as bad:
        raise SlackTrouble(
            f"Slack cannot be reached ({type(bad).__name__}). Check the network, the proxy settings and SLACK_API_URL."
        ) from None


def respond(reader: Reader, ask: Ask, url: str, user: str, channel: str = "") -> Callable[[Post], None]:
    """A private answer: by the response URL of the command or click, else as an ephemeral message, else as a DM."""

    def reply(answer: Post) -> None:
        made = reader.finish(answer)
        if url:
            try:
                hook = WebhookClient(url, timeout=TIMEOUT_S, retry_handlers=[])
                said = hook.send(
                    text=made.text, blocks=list(made.blocks), response_type="ephemeral", replace_original=False
                )
                if said.status_code == 200:
                    return
                log.warning("A private answer was refused by its response URL (%s)", said.status_code)
            except Exception as bad:
                log.warning("A private answer could not be sent: %s", type(bad).__name__)
        _otherwise(made)

    def _otherwise(made: Post) -> None:
        method, where = "chat.postMessage", {"channel": user}
        if channel.startswith(("C", "G")):
            method, where = "chat.postEphemeral", {"channel": channel, "user": user}
        try:
            ask(method, text=made.text, blocks=list(made.blocks), **where)
        except Exception as bad:
            log.warning("An answer to %s could not be given: %s", user, type(bad).__name__)

    return reply
