"""A person at a screen: what they see, and the few things they can do about it.

Everything here is something the page's own input box, buttons and forms can do; nothing here knows what the
app means by a message. Payload shapes are those of the Slack API reference ("Interaction payloads",
"Slash commands").
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from . import drawing
from .checks import wrong_view
from .deliveries import Ack, Deliveries
from .web_api import WebApi, described_view
from .workspace import Message, Refused, View, Workspace, as_answered, clock
from .world import App, Command, Member

SLACKBOT = "USLACKBOT"
MESSAGES_SHOWN = 300
TROUBLES = 20
FORM_TROUBLE = "We had some trouble connecting. Try again?"


class Impossible(Exception):
    """A person cannot do that, with the sentence the page says about it."""

    def __init__(self, why: str, status: int = 409) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


@dataclass
class Persons:
    """All people of the workspace, each with their own eyes."""

    space: Workspace
    deliveries: Deliveries
    api: WebApi
    troubles: dict[str, deque[dict[str, Any]]] = field(default_factory=dict)

    # --- who ---------------------------------------------------------------------------------------------

    def signed_in(self, user: str) -> Member:
        """Return the person, or say why nobody can sign in as them."""
        member = self.space.members.get(user)
        if member is None:
            raise Impossible(f"There is no account {user} in this workspace.", 404)
        if member.is_bot:
            raise Impossible(f"{member.real_name} is a bot; nobody signs in as a bot.", 403)
        if member.deleted:
            raise Impossible(f"{member.real_name} is deactivated and cannot sign in.", 403)
        return member

    def _channel(self, user: str, ident: str, speak: bool = False) -> str:
        found = next((c.id for c in self.space.channels.values() if c.name == ident.lstrip("#")), ident)
        if not self.space.can_see(user, found):
            raise Impossible(f"{self.space.name_of(user)} cannot see a channel {ident}.", 404)
        if speak and user not in self.space.members_of(found):
            raise Impossible(f"Join #{self.space.name_of(found)} before writing in it.")
        if speak and (app := self._silent_app(found)):
            raise Impossible(f"Sending messages to {app.name} has been turned off; its commands work in any channel.")
        if speak and found in self.space.channels and self.space.channels[found].is_archived:
            raise Impossible(f"#{self.space.name_of(found)} is archived.")
        return found

    def _silent_app(self, channel: str) -> App | None:
        """Return the app whose own conversation this is, where its manifest keeps people from writing there."""
        people = self.space.direct.get(channel, ())
        apps = self.space.apps.values()
        return next((a for a in apps if a.messages_tab_read_only and a.bot_user in people), None)

    def _seen_message(self, user: str, channel: str, ts: str) -> Message:
        message = self.space.message(channel, ts)
        if message is None or message.only_for not in ("", user):
            raise Impossible(f"{self.space.name_of(user)} sees no message {ts} there.", 404)
        return message

    def trouble(self, user: str, text: str, **where: Any) -> None:
        """Show a person the sign that something they did was not taken."""
        shelf = self.troubles.setdefault(user, deque(maxlen=TROUBLES))
        shelf.append({"at": clock(f"{time.time():.6f}"), "text": text, **where})
        self.space.changed()

    # --- typing ------------------------------------------------------------------------------------------

    async def type(self, user: str, channel: str, text: str, thread_ts: str = "") -> dict[str, Any]:
        """Send what stands in the message box: a message, or a slash command."""
        self.signed_in(user)
        channel = self._channel(user, channel, speak=True)
        if not text.strip():
            raise Impossible("There is nothing to send.", 400)
        if text.startswith("/"):
            return await self._command(user, channel, text, thread_ts)
        message = Message(
            ts=self.space.next_ts(), channel=channel, user=user, text=self._written(text), thread_ts=thread_ts
        )
        if thread_ts:
            self._seen_message(user, channel, thread_ts)
        self.space.post(message)
        self._message_events(message)
        return {"kind": "message", "ts": message.ts}

    def _written(self, text: str) -> str:
        """Write what was typed as Slack stores it: escaped, with mentions and channels by id."""
        people = {m.name: m.id for m in self.space.members.values()}
        channels = {c.name: c.id for c in self.space.channels.values()}
        text = drawing.escape(text)
        text = re.sub(r"(?<!\w)@([\w.-]+)", lambda f: f"<@{people[f[1]]}|{f[1]}>" if f[1] in people else f[0], text)
        text = re.sub(
            r"(?<![\w&])#([\w-]+)",
            lambda f: f"<#{channels[f[1]]}|{f[1]}>" if f[1] in channels else f[0],
            text,
        )
        return re.sub(r"https?://[^\s<>]+", lambda f: f"<{f[0]}>", text)

    def _message_events(self, message: Message) -> None:
        kind = "im" if message.channel in self.space.direct else "channels"
        found = self.space.channels.get(message.channel)
        if found and found.is_private:
            kind = "groups"
        for app in self.space.apps.values():
            if app.bot_user not in self.space.members_of(message.channel):
                continue
            event = as_answered(self.space, message) | {"channel": message.channel, "event_ts": message.ts}
            if f"message.{kind}" in app.events and f"{kind}:history" in app.scopes:
                self.space.start(self.deliveries.event(app, event))
            if "app_mention" in app.events and app.bot_user in drawing.mentions_in(message.text):
                self.space.start(self.deliveries.event(app, event | {"type": "app_mention"}))

    def _slackbot(self, user: str, channel: str, text: str) -> None:
        self.space.post(Message(ts=self.space.next_ts(), channel=channel, user=SLACKBOT, text=text, only_for=user))

    async def _command(self, user: str, channel: str, typed: str, thread_ts: str) -> dict[str, Any]:
        name, _, text = typed.strip().partition(" ")
        if name == "/invite":
            return self._invite(user, channel, text)
        if thread_ts:
            self._slackbot(user, channel, f"{name} is not supported in threads. Sorry!")
            return {"kind": "command", "sent": False, "error": "not supported in threads"}
        found = self._registered(name)
        if found is None or self.space.members[user].team_id != self.space.world.team_id:
            self._slackbot(user, channel, f"{name} is not a valid command.")
            return {"kind": "command", "sent": False, "error": "not a valid command"}
        app, command = found
        payload = self._command_payload(app, command, user, channel, text.strip())
        ack = await self.deliveries.deliver(app, "slash_commands", payload)
        self._command_answered(app, user, channel, command.command, ack)
        return {
            "kind": "command",
            "sent": True,
            "acked": ack.ok,
            "ack_ms": round(ack.ms, 1),
            "error": ack.error,
        }

    def _registered(self, name: str) -> tuple[App, Command] | None:
        for app in self.space.apps.values():
            for command in app.commands:
                if command.command == name.lower():
                    return app, command
        return None

    def _invite(self, user: str, channel: str, text: str) -> dict[str, Any]:
        found = next((m for m in self.space.members.values() if m.name == text.strip().lstrip("@")), None)
        if found is None or channel not in self.space.channels:
            self._slackbot(user, channel, f"I could not find {text.strip()} to invite.")
            return {"kind": "command", "sent": False, "error": "not found"}
        before = self.space.channels[channel]
        if found.id not in before.members:
            self.space.channels[channel] = before.model_copy(update={"members": (*before.members, found.id)})
            self.space.reshaped()
            self._slackbot(user, channel, f"You invited {found.real_name} to #{before.name}.")
        return {"kind": "command", "sent": True, "acked": True, "ack_ms": 0.0, "error": ""}

    def _command_payload(self, app: App, command: Command, user: str, channel: str, text: str) -> dict[str, Any]:
        world, member = self.space.world, self.space.members[user]
        found = self.space.channels.get(channel)
        name = "directmessage" if found is None else "privategroup" if found.is_private else found.name
        respond = self.space.new_response_url(user, app.id, channel)
        payload = {
            "token": "practice",
            "team_id": world.team_id,
            "team_domain": world.team_domain,
            "channel_id": channel,
            "channel_name": name,
            "user_id": user,
            "user_name": member.name,
            "command": command.command,
            "text": self._written(text) if command.should_escape else drawing.escape(text),
            "api_app_id": app.id,
            "is_enterprise_install": "false",
            "response_url": f"{self.api.address}commands/{respond}",
            "trigger_id": self.space.new_trigger(user, app.id, channel),
        }
        return payload | ({"enterprise_id": world.enterprise_id} if world.enterprise_id else {})

    def _command_answered(self, app: App, user: str, channel: str, name: str, ack: Ack) -> None:
        if not ack.ok:
            self._slackbot(user, channel, f'{name} failed with the error "{ack.error}"')
            return
        if not ack.answer.get("text") and not ack.answer.get("blocks") and not ack.answer.get("attachments"):
            return
        public = ack.answer.get("response_type") == "in_channel"
        try:
            self.api.new_message(app, channel, ack.answer, only_for="" if public else user)
        except Refused as no:
            self.space.note("refused", method="ack", error=no.error, **no.more)
            self._slackbot(user, channel, f'{name} failed with the error "invalid_command_response"')

    # --- pressing buttons --------------------------------------------------------------------------------

    async def press(
        self,
        user: str,
        action: str,
        channel: str = "",
        ts: str = "",
        view: str = "",
        confirm: str = "",
        block_id: str = "",
        values: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Press a drawn button by its label (or action id); its confirm dialog, if any, comes first.

        ``values`` is what stands in the fields of a dialog while a button inside it is pressed.
        """
        member = self.signed_in(user)
        if view:
            opened = self._open_view(user, view)
            opened.typed = _filled(opened, values or {})[0]
            blocks, app_id, message = [*opened.view["blocks"]], opened.app_id, None
        else:
            channel = self._channel(user, channel)
            message = self._seen_message(user, channel, ts)
            opened, app_id = None, message.app_id
            blocks = [*message.blocks, *(b for a in message.attachments for b in a["blocks"])]
        element, block = find_button(blocks, action, block_id)
        drawn = drawing.button_piece(element, block, self.space.name_of)
        if drawn["confirm"] and confirm != "yes":
            return {"sent": False, "confirm": drawn["confirm"]}
        app = self.space.apps.get(app_id)
        if app is None:
            raise Impossible("No app answers that button.")
        payload = self.click(app, member, element, block, message, opened)
        ack = await self.deliveries.deliver(app, "interactive", payload)
        if not ack.ok:
            self.trouble(user, ack.error, channel=channel, ts=ts, label=drawn["label"])
        return {
            "sent": True, "acked": ack.ok, "ack_ms": round(ack.ms, 1), "error": ack.error, "confirm": None,
            "url": drawn["url"],
        }  # fmt: skip

    def click(
        self,
        app: App,
        member: Member,
        element: dict[str, Any],
        block_id: str,
        message: Message | None,
        view: View | None,
    ) -> dict[str, Any]:
        """Return the ``block_actions`` payload of a click."""
        stamp = f"{time.time():.6f}"
        action = {k: v for k, v in element.items() if k in ("action_id", "type", "text", "value", "style", "url")}
        payload = self._interaction("block_actions", app, member)
        payload |= {
            "trigger_id": self.space.new_trigger(member.id, app.id),
            "actions": [{**action, "block_id": block_id, "action_ts": stamp}],
        }
        if view is not None:
            return payload | {
                "view": described_view(self.space, view, view.typed),
                "container": {"type": "view", "view_id": view.id},
            }
        assert message is not None
        path = self.space.new_response_url(member.id, app.id, message.channel, message.ts, message.thread_ts)
        container: dict[str, Any] = {
            "type": "message", "message_ts": message.ts, "channel_id": message.channel,
            "is_ephemeral": bool(message.only_for),
        }  # fmt: skip
        if message.thread_ts:
            container["thread_ts"] = message.thread_ts
        name = "directmessage" if message.channel in self.space.direct else self.space.name_of(message.channel)
        payload |= {
            "container": container, "channel": {"id": message.channel, "name": name},
            "state": {"values": {}}, "response_url": f"{self.api.address}actions/{path}",
        }  # fmt: skip
        if not message.only_for:
            payload["message"] = as_answered(self.space, message)
        return payload

    def _interaction(self, kind: str, app: App, member: Member) -> dict[str, Any]:
        world = self.space.world
        enterprise = {"id": world.enterprise_id, "name": world.team_name} if world.enterprise_id else None
        return {
            "type": kind,
            "user": {
                "id": member.id,
                "username": member.name,
                "name": member.name,
                "team_id": member.team_id,
            },
            "api_app_id": app.id,
            "token": "practice",
            "team": {"id": world.team_id, "domain": world.team_domain},
            "enterprise": enterprise,
            "is_enterprise_install": False,
        }

    # --- modals ------------------------------------------------------------------------------------------

    def _open_view(self, user: str, view: str) -> View:
        stack = self.space.modals.get(user, [])
        if not stack or stack[-1].id != view:
            raise Impossible(f"{self.space.name_of(user)} has no dialog {view} in front of them.", 404)
        return stack[-1]

    async def submit(self, user: str, view: str, values: dict[str, str]) -> dict[str, Any]:
        """Fill in the fields (by label) and press the dialog's submit button."""
        member = self.signed_in(user)
        opened = self._open_view(user, view)
        if "submit" not in opened.view:
            raise Impossible("This dialog has no submit button.")
        opened.trouble = ""
        opened.typed, opened.errors = _filled(opened, values)
        if opened.errors:
            self.space.changed()
            return {"sent": False, "errors": self._errors(opened), "modal": self.modal(user)}
        app = self.space.apps[opened.app_id]
        payload = self._interaction("view_submission", app, member) | {
            "trigger_id": self.space.new_trigger(user, app.id),
            "view": described_view(self.space, opened, opened.typed),
            "response_urls": [],
        }
        ack = await self.deliveries.deliver(app, "interactive", payload)
        if ack.ok:
            self._submitted(user, opened, ack.answer)
        else:
            opened.trouble = FORM_TROUBLE
        self.space.changed()
        return {
            "sent": True, "acked": ack.ok, "ack_ms": round(ack.ms, 1), "error": ack.error,
            "errors": self._errors(opened), "modal": self.modal(user),
        }  # fmt: skip

    def _submitted(self, user: str, opened: View, answer: dict[str, Any]) -> None:
        """Do what the app answered: close, show errors, show another view, or clear everything."""
        stack = self.space.modals.get(user, [])
        action = answer.get("response_action", "")
        try:
            if action == "errors":
                blocks = {b["block_id"] for b in opened.view["blocks"] if b["type"] == "input"}
                given = answer.get("errors") or {}
                if not given or not set(given) <= blocks:
                    raise Refused("invalid_arguments", errors=sorted(set(given) - blocks))
                opened.errors = {key: str(text) for key, text in given.items()}
            elif action in ("update", "push"):
                if messages := wrong_view(answer.get("view")):
                    raise Refused("invalid_view", response_metadata={"messages": messages})
                if action == "update":
                    self.api.replace_view(opened, answer["view"])
                else:
                    self.api.push_view(opened.app_id, user, answer["view"])
            elif action == "clear" or opened.view.get("clear_on_close"):
                self.space.modals[user] = []
            elif action == "":
                if opened in stack:
                    stack.remove(opened)
            else:
                raise Refused("invalid_response_action")
        except Refused as no:
            self.space.note("refused", method="view_submission", error=no.error, **no.more)
            opened.trouble = FORM_TROUBLE

    def _errors(self, opened: View) -> dict[str, str]:
        labels = {b["block_id"]: b["label"]["text"] for b in opened.view["blocks"] if b["type"] == "input"}
        return {labels.get(key, key): text for key, text in opened.errors.items()}

    async def close(self, user: str, view: str) -> dict[str, Any]:
        """Close the dialog in front; the app is told only if it asked for that."""
        member = self.signed_in(user)
        opened = self._open_view(user, view)
        stack = self.space.modals[user]
        stack.remove(opened)
        if opened.view.get("clear_on_close"):
            stack.clear()
        self.space.changed()
        if opened.view.get("notify_on_close"):
            app = self.space.apps[opened.app_id]
            payload = self._interaction("view_closed", app, member) | {
                "view": described_view(self.space, opened), "is_cleared": False,
            }  # fmt: skip
            await self.deliveries.deliver(app, "interactive", payload)
        return {"modal": self.modal(user)}

    def modal(self, user: str) -> dict[str, Any] | None:
        """Return the dialog a person has in front of them."""
        stack = self.space.modals.get(user)
        if not stack:
            return None
        opened = stack[-1]
        pieces = drawing.block_pieces(opened.view["blocks"], self.space.name_of)
        fields = [{**p, "error": opened.errors.get(p["block_id"], "")} for p in pieces if p["kind"] == "field"]
        for piece in pieces:
            if piece["kind"] == "field":
                piece["error"] = opened.errors.get(piece["block_id"], "")
        return {
            "view": opened.id, "hash": opened.hash, "title": opened.view["title"]["text"],
            "submit": opened.view.get("submit", {}).get("text", ""),
            "close": opened.view.get("close", {}).get("text", "Cancel"),
            "lines": drawing.lines_of(pieces), "fields": fields, "buttons": drawing.buttons_of(pieces),
            "pieces": pieces, "trouble": opened.trouble, "app": self.space.apps[opened.app_id].name,
        }  # fmt: skip

    # --- moving about ------------------------------------------------------------------------------------

    def open(self, user: str, channel: str) -> dict[str, Any]:
        """Look at a channel: it counts as read. An account's id opens the direct message with that account.

        Opening the app's own conversation is an event for the app, if it subscribed to that.
        """
        self.signed_in(user)
        app = next((a for a in self.space.apps.values() if channel == a.bot_user), None)
        direct = channel in self.space.members
        channel = self.space.open_direct(user, channel) if direct else self._channel(user, channel)
        newest = max(self._visible(user, channel), key=lambda m: m.ts, default=None)
        before = self.space.read_up_to.get((user, channel), "")
        self.space.read_up_to[user, channel] = newest.ts if newest else before
        if newest and newest.ts != before:
            self.space.changed()
        for one in self.space.apps.values():
            if "app_home_opened" in one.events and set(self.space.direct.get(channel, ())) == {
                user,
                one.bot_user,
            }:
                event = {"type": "app_home_opened", "user": user, "channel": channel, "tab": "messages",
                         "event_ts": self.space.next_ts()}  # fmt: skip
                if app:
                    self.space.start(self.deliveries.event(one, event))
        return {"channel": channel}

    def join(self, user: str, channel: str) -> dict[str, Any]:
        """Join a public channel one can see."""
        self.signed_in(user)
        ident = self._channel(user, channel)
        found = self.space.channels.get(ident)
        if found and user not in found.members:
            self.space.channels[ident] = found.model_copy(update={"members": (*found.members, user)})
            self.space.reshaped()
        return {"channel": ident}

    # --- seeing ------------------------------------------------------------------------------------------

    def _visible(self, user: str, channel: str) -> list[Message]:
        inside = self.space.messages.get(channel, {}).values()
        return [m for m in inside if m.only_for in ("", user)]

    def screen(self, user: str, channel: str = "", drawn: bool = False) -> dict[str, Any]:
        """Return all that a person sees now; ``drawn`` adds the pieces the page paints.

        Everything in a message comes from its stored blocks; ``text`` appears only in notifications.
        """
        member = self.signed_in(user)
        wanted = self._channel(user, channel) if channel else ""
        rooms = [self._room(user, ident, drawn) for ident in self._rooms(user) if wanted in ("", ident)]
        modal = self.modal(user)
        if modal and not drawn:
            modal.pop("pieces")
        return {
            "change": self.space.change,
            "banner": "PRACTICE",
            "workspace": self.space.world.team_name,
            "person": {
                "id": member.id,
                "name": member.name,
                "real_name": member.real_name,
                "team": member.team_id,
            },
            "channels": rooms,
            "modal": modal,
            "notifications": list(self.space.notifications.get(user, ())),
            "troubles": list(self.troubles.get(user, ())),
            "app_connected": any(self.deliveries.sockets.values()),
            "slack_down": self.api.faults.down,
        }

    def _rooms(self, user: str) -> list[str]:
        channels = [c for c in self.space.channels.values() if self.space.can_see(user, c.id)]
        channels.sort(key=lambda c: (user not in c.members, c.name))
        return [c.id for c in channels] + [i for i, people in self.space.direct.items() if user in people]

    def _room(self, user: str, ident: str, drawn: bool) -> dict[str, Any]:
        found = self.space.channels.get(ident)
        if found:
            kind = "private" if found.is_private else "channel"
            name, topic, other = found.name, found.topic, ""
        else:
            kind = "dm"
            other = next((u for u in self.space.direct[ident] if u != user), user)
            name, topic = self.space.name_of(other), ""
        visible = self._visible(user, ident)
        seen = self.space.read_up_to.get((user, ident), "")
        news = [m for m in visible if m.ts > seen and m.user != user and not m.only_for]
        for_me = [m for m in news if kind == "dm" or user in self.space.mentioned(m)]
        tops = [m for m in visible if not m.thread_ts or m.broadcast][-MESSAGES_SHOWN:]
        return {
            "id": ident, "name": name, "kind": kind, "topic": topic, "with": other,
            "member": user in self.space.members_of(ident),
            "external": bool(found and found.is_ext_shared), "archived": bool(found and found.is_archived),
            "silent": self._silent_app(ident) is not None,
            "members": len(self.space.members_of(ident)),
            "unread": len(news), "mentions": len(for_me),
            "messages": [self._shown(user, m, visible, drawn) for m in sorted(tops, key=lambda m: m.ts)],
        }  # fmt: skip

    def _shown(self, user: str, message: Message, visible: list[Message], drawn: bool) -> dict[str, Any]:
        drawn_now = self.space.drawn(message)
        pieces = drawn_now.pieces
        author = self.space.members.get(message.user)
        replies = [m for m in visible if m.thread_ts == message.ts]
        shown: dict[str, Any] = {
            "ts": message.ts, "at": clock(message.ts),
            "user": {"id": message.user, "name": author.real_name if author else "Slackbot"},
            "bot": bool(message.app_id) or author is None, "app": message.app_id,
            "ephemeral": bool(message.only_for), "edited": message.edited, "revision": message.revision,
            "lines": drawn_now.lines, "buttons": drawing.buttons_of(pieces),
            "colours": [p["colour"] for p in pieces if p["kind"] == "bar"],
            "files": [self._file(user, i) for i in message.files],
            "mentions_me": user in drawn_now.mentioned,
            "in_thread": message.thread_ts,
            "thread": [self._shown(user, m, [], drawn) for m in sorted(replies, key=lambda m: m.ts)],
        }  # fmt: skip
        if drawn:
            shown["pieces"] = pieces
        return shown

    def _file(self, user: str, ident: str) -> dict[str, Any]:
        file = self.space.files[ident]
        return {"id": ident, "name": file.name, "title": file.title, "size": file.length,
                "url": f"/person/{user}/file/{ident}"}  # fmt: skip

    def file(self, user: str, ident: str) -> tuple[str, bytes]:
        """Return name and bytes of a file shared where the person can see it."""
        self.signed_in(user)
        file = self.space.files.get(ident)
        if file is None or file.body is None or not any(self.space.can_see(user, c) for c in file.channels):
            raise Impossible("There is no such file for this person.", 404)
        return file.name, file.body


def find_button(blocks: list[dict[str, Any]], action: str, block_id: str) -> tuple[dict[str, Any], str]:
    """Find a button by action id or label; a label borne by two buttons needs the block's id as well."""
    found = []
    for block in blocks:
        for element in (*block.get("elements", ()), block.get("accessory") or {}):
            if element.get("type") == "button" and block_id in ("", block["block_id"]):
                found.append((element, block["block_id"]))
    exact = [one for one in found if one[0]["action_id"] == action]
    exact = exact or [one for one in found if one[0]["text"]["text"] == action]
    if not exact:
        labels = ", ".join(f"[{one[0]['text']['text']}]" for one in found) or "no buttons"
        raise Impossible(f"There is no button {action!r} there; there are {labels}.", 404)
    if len(exact) > 1 and len({one[0].get("value") for one in exact}) > 1:
        raise Impossible(f"There are {len(exact)} buttons {action!r} there; say which block_id.")
    return exact[0]


def _filled(opened: View, values: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a view's state with typed values in it, and what the client itself refuses, by field."""
    state: dict[str, Any] = {}
    errors: dict[str, str] = {}
    known = set()
    for block in opened.view["blocks"]:
        if block["type"] != "input":
            continue
        drawn = drawing.field_piece(block)
        known |= {drawn["label"], drawn["block_id"], drawn["action_id"]}
        typed = next((values[k] for k in (drawn["label"], drawn["block_id"], drawn["action_id"]) if k in values), None)
        value = drawn["initial"] if typed is None else typed
        if error := _field_error(drawn, value):
            errors[drawn["block_id"]] = error
        state[drawn["block_id"]] = {drawn["action_id"]: _state_of(drawn, block["element"], value)}
    if strange := set(values) - known:
        raise Impossible(f"There is no field {sorted(strange)[0]!r} in this dialog.", 404)
    return state, errors


def _field_error(drawn: dict[str, Any], value: str) -> str:
    if not value:
        return "" if drawn["optional"] else "Please complete this required field."
    if drawn["element"] == "static_select":
        if value not in {text for o in drawn["options"] for text in (o["text"], o["value"])}:
            raise Impossible(f"{drawn['label']!r} has no option {value!r}.", 404)
        return ""
    if len(value) < drawn["min_length"]:
        return f"Please use at least {drawn['min_length']} characters."
    if len(value) > drawn["max_length"]:
        return f"Please use at most {drawn['max_length']} characters."
    return ""


def _state_of(drawn: dict[str, Any], element: dict[str, Any], value: str) -> dict[str, Any]:
    if drawn["element"] == "plain_text_input":
        return {"type": "plain_text_input", "value": value or None}
    chosen = next((o for o in element["options"] if value and value in (o["value"], o["text"]["text"])), None)
    return {"type": "static_select", "selected_option": chosen}
