"""The people, channels and apps of the practice workspace, as values read from a file.

The field names of people and channels are Slack's own (``users.info`` and ``conversations.info`` in the Slack
API reference), so that a world file reads like what the API answers.
"""

from __future__ import annotations

import json
import secrets
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Part(BaseModel):
    """A value of the world file; unknown keys are errors so that a typing mistake is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(Part):
    """One account: a person, a guest, a stranger of another workspace, or a bot.

    ``notify`` is the account's own notification setting for channels: ``all`` new messages, or ``mentions``.
    """

    id: str
    name: str
    real_name: str
    team_id: str = "TPRACTICE"
    tz: str = "Etc/UTC"
    deleted: bool = False
    is_bot: bool = False
    is_app_user: bool = False
    is_workflow_bot: bool = False
    is_connector_bot: bool = False
    is_admin: bool = False
    is_owner: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    is_invited_user: bool = False
    is_email_confirmed: bool = True
    enterprise_user: dict[str, Any] | None = None
    notify: Literal["all", "mentions"] = "all"
    hint: str = ""


class Channel(Part):
    """A public or private channel and who is in it (direct messages come into being when they are opened)."""

    id: str
    name: str
    members: tuple[str, ...] = ()
    is_private: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False
    is_org_shared: bool = False
    is_pending_ext_shared: bool = False
    topic: str = ""


class Group(Part):
    """A user group; ``date_delete`` other than 0 means disabled, as in ``usergroups.list``."""

    id: str
    handle: str
    name: str
    users: tuple[str, ...] = ()
    date_delete: int = 0


class Command(Part):
    """A slash command an app has registered (the manifest's ``features.slash_commands``)."""

    command: str
    description: str = ""
    usage_hint: str = ""
    should_escape: bool = False


class App(Part):
    """An installed app with its bot user, tokens, scopes and the way Slack reaches it."""

    id: str
    name: str
    bot_user: str
    bot_id: str
    bot_token: str = Field(default_factory=lambda: f"xoxb-practice-{secrets.token_hex(12)}", repr=False)
    app_token: str = Field(default_factory=lambda: f"xapp-practice-{secrets.token_hex(12)}", repr=False)
    signing_secret: str = Field(default_factory=lambda: secrets.token_hex(16), repr=False)
    scopes: tuple[str, ...] = ()
    app_scopes: tuple[str, ...] = ("connections:write",)
    commands: tuple[Command, ...] = ()
    events: tuple[str, ...] = ()
    messages_tab_read_only: bool = False
    mode: Literal["socket", "http"] = "socket"
    request_url: str = ""
    revoked: bool = False


class World(Part):
    """A whole workspace. The first app is the one whose tokens the ready file hands out."""

    team_id: str = "TPRACTICE"
    team_name: str = "Practice"
    team_domain: str = "practice"
    enterprise_id: str | None = None
    members: tuple[Member, ...]
    channels: tuple[Channel, ...]
    groups: tuple[Group, ...] = ()
    apps: tuple[App, ...]


def built_in_world() -> World:
    """Return the world used when no file is given: an incident channel, a home channel, their people.

    It holds one account of each awkward kind (outsider, guest, deactivated, stranger from another workspace,
    invited but unconfirmed, foreign bot), because an approval must be refused to each of them.
    """
    staff = ("URITA", "UBO", "UCHEN", "UDANA")
    bot = "UBOTLYNC"
    return World(
        members=(
            Member(id="URITA", name="rita", real_name="Rita Berg", hint="approve her own request"),
            Member(id="UBO", name="bo", real_name="Bo Lund"),
            Member(id="UCHEN", name="chen", real_name="Chen Wu"),
            Member(id="UDANA", name="dana", real_name="Dana Ito"),
            Member(id="UOLAF", name="olaf", real_name="Olaf Out", hint="approve as an outsider"),
            Member(id="UGUEST", name="gus", real_name="Gus Guest", is_restricted=True, hint="approve as a guest"),
            Member(id="UGONE", name="gone", real_name="Gone Gale", deleted=True),
            Member(
                id="UFOREIGN", name="fay", real_name="Fay Foreign", team_id="TOTHER", is_stranger=True,
                hint="approve from another company",
            ),
            Member(
                id="UNEW", name="nia", real_name="Nia New", is_invited_user=True, is_email_confirmed=False,
                hint="approve before her mail is confirmed",
            ),
            Member(id=bot, name="lync", real_name="Lync Recovery", is_bot=True, is_app_user=True),
            Member(id="UBOTEVIL", name="helperbot", real_name="Helper Bot", is_bot=True, is_app_user=True),
        ),
        channels=(
            Channel(
                id="C0INC", name="inc-4411", topic="Major incident 4411",
                members=(*staff, "UOLAF", "UGUEST", "UNEW", bot),
            ),
            Channel(id="C0HOME", name="lync-dr", topic="Home of the recovery bot", members=(*staff, bot)),
            Channel(id="C0GEN", name="general", topic="Everybody", members=(*staff, "UOLAF", "UNEW")),
            Channel(id="C0BOARD", name="board-room", is_private=True, members=("URITA", "UDANA")),
            Channel(
                id="C0EXT", name="ext-carrier", is_ext_shared=True, topic="Shared with the carrier",
                members=("URITA", "UBO", "UFOREIGN", bot),
            ),
        ),
        groups=(Group(id="S0APPROVE", handle="lync-approvers", name="Lync approvers", users=staff),),
        apps=(
            App(
                id="A0LYNC", name="Lync Recovery", bot_user=bot, bot_id="B0LYNC",
                scopes=(
                    "commands", "chat:write", "users:read", "files:write", "im:write", "channels:read",
                    "groups:read", "usergroups:read",
                ),
                commands=(
                    Command(
                        command="/lync", description="Declare a lost pool, approve, follow, stop",
                        usage_hint="declare-disaster fe1 | status | plan fe1 | help", should_escape=True,
                    ),
                ),
                messages_tab_read_only=True,
            ),
            App(
                id="A0EVIL", name="Helper Bot", bot_user="UBOTEVIL", bot_id="B0EVIL",
                scopes=("chat:write", "chat:write.public"),
            ),
        ),
    )  # fmt: skip


def read_world(path: Path | None) -> World:
    """Read a world file (``.toml`` or JSON), or return the built-in world for ``None``.

    Raises ``SystemExit`` with one sentence naming file and key when the file cannot be used.
    """
    if path is None:
        return built_in_world()
    try:
        raw = path.read_bytes()
        data = tomllib.loads(raw.decode()) if path.suffix == ".toml" else json.loads(raw)
        return World.model_validate(data)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise SystemExit(f"World file {path}: {where}: {first['msg']}. Correct that key and start again.") from None
    except (OSError, ValueError) as wrong:
        raise SystemExit(f"World file {path} cannot be read: {wrong}. Correct it and start again.") from None
