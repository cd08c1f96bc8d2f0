"""The other side of the curtain: the log, the faults, and what an attacker or an administrator could do.

Tests and the practice controls use it; no person of the workspace can.
"""

from __future__ import annotations

import asyncio
import copy
import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from .deliveries import Ack, Deliveries
from .persons import Impossible, Persons, find_button
from .web_api import WebApi
from .workspace import Message, Refused, Workspace
from .world import Channel, Member


class Order(BaseModel):
    """Base of the orders: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


class Card(Order):
    """A button of a stored message."""

    channel: str
    ts: str
    action: str


class Forgery(Order):
    """A delivery that no honest screen would cause.

    Give one of: ``payload`` (whole, with ``type`` of the envelope), ``press`` (the true payload of ``user``
    pressing a real button, then ``change`` laid over it key by key, and keys in ``drop`` removed), ``replay``
    (an envelope id of the past, same envelope or ``new_envelope``). ``times`` delivers at the same moment;
    ``after_s`` waits first.
    """

    app: str = ""
    type: str = "interactive"
    payload: dict[str, Any] | None = None
    press: Card | None = None
    user: str = ""
    change: dict[str, Any] = Field(default_factory=dict)
    drop: tuple[str, ...] = ()
    replay: str = ""
    new_envelope: bool = False
    envelope_id: str = ""
    times: int = Field(default=1, ge=1, le=500)
    after_s: float = Field(default=0, ge=0, le=120)


class BotPost(Order):
    """A message of another app, or a copy of a card (``like``) as that app or person would repost it."""

    channel: str
    user: str = "UBOTEVIL"
    text: str = ""
    blocks: list[dict[str, Any]] = Field(default_factory=list)
    like: Card | None = None


class MessageEdit(Order):
    """An edit by somebody who holds the app's bot token; ``delete`` removes the message."""

    channel: str
    ts: str
    text: str | None = None
    blocks: list[dict[str, Any]] | None = None
    attachments: list[dict[str, Any]] | None = None
    delete: bool = False


class Admin:
    """Carries out control orders on the workspace."""

    def __init__(self, space: Workspace, deliveries: Deliveries, api: WebApi, persons: Persons) -> None:
        self.space = space
        self.deliveries = deliveries
        self.api = api
        self.persons = persons

    def log(self, after: int, kind: str = "") -> dict[str, Any]:
        """Return log entries with a number above ``after``: calls, deliveries, acks, sockets."""
        found = [e for e in self.space.log if e["n"] > after and kind in ("", e["kind"])]
        return {"last": self.space.logged, "entries": found}

    def user(self, order: dict[str, Any]) -> dict[str, Any]:
        """Change an account (name, flags, team) or its user groups (``groups``: ids); makes unknown ids."""
        order = dict(order)
        ident = str(order.get("id", ""))
        groups = order.pop("groups", None)
        before = self.space.members.get(ident)
        data = (before.model_dump() if before else {"name": ident.lower(), "real_name": ident}) | order
        self.space.members[ident] = Member.model_validate(data)
        if groups is not None:
            for group in list(self.space.groups.values()):
                users = [u for u in group.users if u != ident] + ([ident] if group.id in groups else [])
                self.space.groups[group.id] = group.model_copy(update={"users": tuple(users)})
        self.space.reshaped()
        return {"user": self.space.members[ident].model_dump()}

    def channel(self, order: dict[str, Any]) -> dict[str, Any]:
        """Change a channel (name, members, archived, externally shared, …); unknown ids are made."""
        ident = str(order.get("id", ""))
        before = self.space.channels.get(ident)
        data = (before.model_dump() if before else {"name": ident.lower()}) | order
        self.space.channels[ident] = Channel.model_validate(data)
        self.space.reshaped()
        return {"channel": self.space.channels[ident].model_dump()}

    async def app(self, order: dict[str, Any]) -> dict[str, Any]:
        """Change an installed app: scopes, mode, request URL (verified with a challenge), or revoke its tokens."""
        ident = str(order.get("id") or self.space.world.apps[0].id)
        before = self.space.apps.get(ident)
        if before is None:
            raise Impossible(f"There is no app {ident}.", 404)
        app = self.space.apps[ident] = type(before).model_validate(before.model_dump() | order)
        shown = app.model_dump(exclude={"bot_token", "app_token", "signing_secret"})
        verified = await self.deliveries.verify_url(app) if app.mode == "http" else None
        return {"app": shown, "verified": verified}

    async def forge(self, order: Forgery) -> dict[str, Any]:
        """Deliver what was ordered and answer with each acknowledgement."""
        if order.after_s:
            await asyncio.sleep(order.after_s)
        if order.replay:
            acks = await self.deliveries.again(order.replay, order.new_envelope, order.times)
            return {"acks": [_ack(a) for a in acks]}
        app_id, payload = self._forged(order)
        app = self.space.apps[app_id]
        same = order.envelope_id
        work = [
            self.deliveries.deliver(app, order.type, copy.deepcopy(payload), same or str(uuid.uuid4()))
            for _ in range(order.times)
        ]
        return {"acks": [_ack(a) for a in await asyncio.gather(*work)], "payload": payload}

    def _forged(self, order: Forgery) -> tuple[str, dict[str, Any]]:
        main = self.space.world.apps[0].id
        if order.payload is not None:
            return order.app or main, order.payload
        if order.press is None:
            raise Impossible("A forgery needs payload, press or replay.", 400)
        message = self.space.message(order.press.channel, order.press.ts)
        if message is None:
            raise Impossible(f"There is no message {order.press.ts} in {order.press.channel}.", 404)
        blocks = [*message.blocks, *(b for a in message.attachments for b in a["blocks"])]
        element, block_id = find_button(blocks, order.press.action, "")
        app = self.space.apps[order.app or main]
        member = self.space.members.get(order.user) or Member(id=order.user, name=order.user, real_name=order.user)
        payload = _laid_over(self.persons.click(app, member, element, block_id, message, None), order.change)
        return app.id, {key: value for key, value in payload.items() if key not in order.drop}

    def post(self, order: BotPost) -> dict[str, Any]:
        """Store a message of another app or person, blocks unchecked (an attacker's card)."""
        blocks, attachments = copy.deepcopy(order.blocks), []
        text = order.text
        if order.like:
            model = self.space.message(order.like.channel, order.like.ts)
            if model is None:
                raise Impossible("There is no such card to copy.", 404)
            blocks, attachments = copy.deepcopy(model.blocks), copy.deepcopy(model.attachments)
            text = text or model.text
        app = next((a for a in self.space.apps.values() if a.bot_user == order.user), None)
        message = Message(
            ts=self.space.next_ts(), channel=order.channel, user=order.user, text=text, blocks=blocks,
            attachments=attachments, app_id=app.id if app else "", bot_id=app.bot_id if app else "",
        )  # fmt: skip
        return {"ts": self.space.post(message).ts}

    def edit_message(self, order: MessageEdit) -> dict[str, Any]:
        """Edit or delete a message as somebody with the bot token would, limits included, rates not."""
        message = self.space.message(order.channel, order.ts)
        if message is None:
            raise Impossible("There is no such message.", 404)
        if order.delete:
            del self.space.messages[order.channel][order.ts]
            self.space.changed()
            return {"deleted": True}
        given = order.model_dump(include={"text", "blocks", "attachments"}, exclude_none=True)
        try:
            self.api.apply_edit(message, self.api.content(given))
        except Refused as no:
            raise Impossible(f"Slack refuses that edit: {no.error}", 400) from None
        return {"ts": message.ts}

    def messages(self, channel: str) -> dict[str, Any]:
        """Return the stored messages of a channel, ephemerals included, as they were sent."""
        inside = self.space.messages.get(channel, {}).values()
        return {"messages": [vars(m) for m in inside]}


def _ack(ack: Ack) -> dict[str, Any]:
    return {"acked": ack.ok, "ack_ms": round(ack.ms, 1), "error": ack.error, "answer": ack.answer}


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay one object over another, key by key; a list is laid over element by element."""
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            found[key] = _laid_over(old, value)
        elif isinstance(value, list) and isinstance(old, list) and len(value) == len(old):
            pairs = zip(old, value, strict=True)
            found[key] = [_laid_over(o, v) if isinstance(o, dict) and isinstance(v, dict) else v for o, v in pairs]
        else:
            found[key] = value
    return found
