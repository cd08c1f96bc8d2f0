"""Slack's Web API: the methods a recovery bot may call, each as strict as Slack about who asks for what.

Errors and their words are those of each method's page in the Slack API reference; what is not here answers
``unknown_method``.
"""

from __future__ import annotations

import asyncio
import copy
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from . import checks, drawing
from .deliveries import Deliveries
from .faults import Faults
from .workspace import (
    MODALS_STACKED,
    RESPONSE_URL_USES,
    File,
    Message,
    Refused,
    View,
    Workspace,
    as_answered,
    give_ids,
)
from .world import App, Channel, Member

JSON_ARGUMENTS = ("blocks", "attachments", "metadata", "view", "files")
SECRET_ARGUMENTS = ("token",)


@dataclass(frozen=True)
class Call:
    """One call that has been let in: the app, its arguments, and where it can say which scope it needs."""

    app: App
    args: dict[str, Any]

    def need(self, *scopes: str) -> None:
        """Refuse unless the app holds one of the scopes."""
        if not set(scopes) & set(self.app.scopes):
            raise Refused("missing_scope", needed=scopes[0], provided=",".join(sorted(self.app.scopes)))

    def text(self, name: str, missing: str = "invalid_arguments") -> str:
        """Return an argument that must be there."""
        value = self.args.get(name)
        if not isinstance(value, str) or not value:
            raise Refused(missing, response_metadata={"messages": [f"[ERROR] missing required field: {name}"]})
        return value

    def number(self, name: str, default: float) -> float:
        """Return a numeric argument."""
        try:
            return float(self.args.get(name) or default)
        except (TypeError, ValueError):
            message = f"[ERROR] must be a number: {name}"
            raise Refused("invalid_arguments", response_metadata={"messages": [message]}) from None

    def flag(self, name: str) -> bool:
        """Return a boolean argument however it was written."""
        return str(self.args.get(name, "")).lower() in ("1", "true")


class WebApi:
    """Answers ``POST /api/{method}``."""

    def __init__(self, space: Workspace, deliveries: Deliveries, faults: Faults) -> None:
        self.space = space
        self.deliveries = deliveries
        self.faults = faults
        self.address = ""
        self.page_address = ""
        self.methods: dict[str, Callable[[Call], dict[str, Any]]] = {
            "auth.test": self.auth_test,
            "apps.connections.open": self.apps_connections_open,
            "chat.postMessage": self.chat_post_message,
            "chat.postEphemeral": self.chat_post_ephemeral,
            "chat.update": self.chat_update,
            "chat.delete": self.chat_delete,
            "chat.getPermalink": self.chat_get_permalink,
            "conversations.open": self.conversations_open,
            "conversations.info": self.conversations_info,
            "conversations.members": self.conversations_members,
            "conversations.list": self.conversations_list,
            "conversations.history": self.conversations_history,
            "conversations.replies": self.conversations_replies,
            "users.info": self.users_info,
            "usergroups.list": self.usergroups_list,
            "usergroups.users.list": self.usergroups_users_list,
            "views.open": self.views_open,
            "views.push": self.views_push,
            "views.update": self.views_update,
            "files.getUploadURLExternal": self.files_get_upload_url,
            "files.completeUploadExternal": self.files_complete_upload,
            "team.info": self.team_info,
        }

    # --- the door ----------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Let a call in, answer it, write it into the log."""
        began = time.monotonic()
        method = request.match_info["method"]
        if self.faults.down == "hang":
            await asyncio.Event().wait()
        if self.faults.down == "error":
            self.space.note("call", method=method, outcome="http_500")
            return web.Response(status=500, text="Internal Server Error")
        token, args = await _arguments(request)
        entry = self.space.note("call", method=method, args=_for_log(args), outcome="", ms=None)
        if slow := self.faults.due("slow", method):
            await asyncio.sleep(slow.seconds)
        status, headers, body = self._answer(method, token, args, entry)
        entry.update(outcome="ok" if body["ok"] else body["error"], ms=round((time.monotonic() - began) * 1000, 1))
        if "ts" in body:
            entry["ts"] = body["ts"]
        if self.faults.due("drop_reply", method) and request.transport:
            entry["reply"] = "dropped"
            request.transport.abort()
        return web.json_response(body, status=status, headers=headers)

    def _answer(
        self, method: str, token: str, args: dict[str, Any], entry: dict[str, Any]
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        try:
            app = self._app_of(token, method)
            entry["app"] = app.id
            self._rate(app, method, args)
            if planned := self.faults.due("api_error", method):
                raise Refused(planned.error)
            return (
                200,
                {"x-oauth-scopes": ",".join(app.scopes)},
                {"ok": True, **self.methods[method](Call(app, args))},
            )
        except Refused as no:
            if no.error == "ratelimited":
                after = str(no.more["retry_after"])
                return 429, {"Retry-After": after}, {"ok": False, "error": "ratelimited"}
            return 200, {}, {"ok": False, "error": no.error, **no.more}

    def _app_of(self, token: str, method: str) -> App:
        if method not in self.methods:
            raise Refused("unknown_method", req_method=method)
        if not token:
            raise Refused("not_authed")
        wants_app_token = method == "apps.connections.open"
        for app in self.space.apps.values():
            if token not in (app.bot_token, app.app_token):
                continue
            if app.revoked:
                raise Refused("token_revoked")
            if self.space.members[app.bot_user].deleted:
                raise Refused("account_inactive")
            if (token == app.app_token) != wants_app_token:
                raise Refused("not_allowed_token_type")
            return app
        raise Refused("invalid_auth")

    def _rate(self, app: App, method: str, args: dict[str, Any]) -> None:
        if planned := self.faults.due("rate_limit", method):
            raise Refused("ratelimited", retry_after=planned.retry_after)
        wait = self.space.rates.wait_for(app.id, method, str(args.get("channel", "")), time.monotonic())
        if wait:
            raise Refused("ratelimited", retry_after=wait)

    # --- channels, as an app sees them -------------------------------------------------------------------

    def _readable(self, call: Call, ident: str, action: str = "read") -> str:
        """Return a channel the app may look at, with the scope its kind needs."""
        if ident in self.space.direct:
            call.need(f"im:{action}", f"mpim:{action}")
            if call.app.bot_user not in self.space.direct[ident]:
                raise Refused("channel_not_found")
            return ident
        found = self.space.channels.get(ident)
        if found is None:
            raise Refused("channel_not_found")
        call.need(f"groups:{action}" if found.is_private else f"channels:{action}")
        if found.is_private and call.app.bot_user not in found.members:
            raise Refused("channel_not_found")
        return ident

    def _writable(self, call: Call, ident: str) -> str:
        """Return the channel to post in; an account's id means its direct message with the app."""
        call.need("chat:write")
        if ident in self.space.members:
            return self._direct_with(call.app, [ident])
        if ident in self.space.direct:
            if call.app.bot_user not in self.space.direct[ident]:
                raise Refused("channel_not_found")
            return ident
        found = self.space.channels.get(ident)
        if found is None:
            raise Refused("channel_not_found")
        if found.is_archived:
            raise Refused("is_archived")
        if call.app.bot_user not in found.members:
            if found.is_private:
                raise Refused("channel_not_found")
            if "chat:write.public" not in call.app.scopes:
                raise Refused("not_in_channel")
        return ident

    def _direct_with(self, app: App, users: list[str]) -> str:
        for user in users:
            member = self.space.members.get(user)
            if member is None:
                raise Refused("user_not_found")
            if member.deleted:
                raise Refused("user_disabled")
            if member.is_bot:
                raise Refused("cannot_dm_bot")
        return self.space.open_direct(app.bot_user, *users)

    # --- chat --------------------------------------------------------------------------------------------

    def content(self, args: dict[str, Any]) -> dict[str, Any]:
        """Check text, blocks and attachments of a post or an edit; only what was given is returned."""
        found: dict[str, Any] = {}
        ids: set[str] = set()
        for name, wrong in (("blocks", checks.wrong_blocks), ("attachments", checks.wrong_attachments)):
            value = args.get(name)
            if value is None:
                continue
            if not isinstance(value, list):
                raise Refused(f"invalid_{name}_format" if name == "blocks" else "invalid_attachments")
            if messages := wrong(value, ids):
                raise Refused(f"invalid_{name}", errors=messages, response_metadata={"messages": messages})
            found[name] = copy.deepcopy(value)
        text = args.get("text")
        if text is not None:
            if len(str(text)) > checks.TEXT_CHARACTERS:
                raise Refused("msg_too_long")
            found["text"] = str(text)
        if not any(found.values()):
            raise Refused("no_text")
        if sum(checks.characters(found.get(n, [])) for n in ("blocks", "attachments")) > checks.ALL_BLOCKS_CHARACTERS:
            raise Refused("msg_blocks_too_long")
        if (metadata := args.get("metadata")) is not None:
            found["metadata"] = _metadata(metadata)
        return found

    def new_message(self, app: App, channel: str, args: dict[str, Any], **more: Any) -> Message:
        """Store a message of an app; ``more`` are further fields of the message."""
        found = self.content(args)
        message = Message(
            ts=self.space.next_ts(),
            channel=channel,
            user=app.bot_user,
            bot_id=app.bot_id,
            app_id=app.id,
            thread_ts=self._thread(channel, str(args.get("thread_ts") or "")),
            **{**found, **more},
        )
        return self.space.post(message)

    def _thread(self, channel: str, ts: str) -> str:
        if not ts:
            return ""
        parent = self.space.message(channel, ts)
        if parent is None or parent.only_for:
            raise Refused("thread_not_found")
        return parent.thread_ts or parent.ts

    def chat_post_message(self, call: Call) -> dict[str, Any]:
        """``chat.postMessage``."""
        channel = self._writable(call, call.text("channel", "channel_not_found"))
        for name in ("username", "icon_emoji", "icon_url"):
            if call.args.get(name):
                call.need("chat:write.customize")
        message = self.new_message(call.app, channel, call.args, broadcast=call.flag("reply_broadcast"))
        links = drawing.links_in(self.space.drawn(message).pieces)
        if links and str(call.args.get("unfurl_links")).lower() != "false":
            # Slack would now fetch these addresses for a preview; here it is only written down.
            self.space.note("unfurl", ts=message.ts, channel=channel, links=links)
        return {"channel": channel, "ts": message.ts, "message": as_answered(self.space, message)}

    def chat_post_ephemeral(self, call: Call) -> dict[str, Any]:
        """``chat.postEphemeral``: for one person who is in the channel; nothing is kept for anybody else."""
        channel = self._writable(call, call.text("channel", "channel_not_found"))
        user = call.text("user", "user_not_found")
        if user not in self.space.members:
            raise Refused("user_not_found")
        if user not in self.space.members_of(channel):
            raise Refused("user_not_in_channel")
        message = self.new_message(call.app, channel, call.args, only_for=user)
        return {"message_ts": message.ts}

    def _own_message(self, call: Call, channel: str, ts: str, cannot: str) -> Message:
        if channel not in self.space.direct and channel not in self.space.channels:
            raise Refused("channel_not_found")
        message = self.space.message(channel, ts)
        if message is None or message.only_for:
            raise Refused("message_not_found")
        if message.app_id != call.app.id:
            raise Refused(cannot)
        return message

    def chat_update(self, call: Call) -> dict[str, Any]:
        """``chat.update``: only the app's own messages; text without blocks removes the old blocks."""
        call.need("chat:write")
        channel, ts = call.text("channel", "channel_not_found"), call.text("ts", "message_not_found")
        message = self._own_message(call, channel, ts, "cant_update_message")
        self.apply_edit(message, self.content(call.args))
        return {
            "channel": channel,
            "ts": ts,
            "text": message.text,
            "message": as_answered(self.space, message),
        }

    def apply_edit(self, message: Message, found: dict[str, Any]) -> None:
        """Put new content into a message; attachments that are not named stay (``[]`` removes them)."""
        if "text" in found and "blocks" not in found:
            message.blocks = []
            message.edited = True
        for name, value in found.items():
            setattr(message, name, value)
        self.space.edit(message)

    def chat_delete(self, call: Call) -> dict[str, Any]:
        """``chat.delete``: only the app's own messages."""
        call.need("chat:write")
        channel, ts = call.text("channel", "channel_not_found"), call.text("ts", "message_not_found")
        self._own_message(call, channel, ts, "cant_delete_message")
        del self.space.messages[channel][ts]
        self.space.changed()
        return {"channel": channel, "ts": ts}

    def chat_get_permalink(self, call: Call) -> dict[str, Any]:
        """``chat.getPermalink``."""
        channel, ts = call.text("channel", "channel_not_found"), call.text("message_ts", "message_not_found")
        message = self.space.message(channel, ts)
        if message is None or message.only_for:
            raise Refused("message_not_found" if self.space.members_of(channel) else "channel_not_found")
        link = f"{self.page_address}archives/{channel}/p{ts.replace('.', '')}"
        if message.thread_ts:
            link += f"?thread_ts={message.thread_ts}&cid={channel}"
        return {"channel": channel, "permalink": link}

    # --- conversations -----------------------------------------------------------------------------------

    def conversations_open(self, call: Call) -> dict[str, Any]:
        """``conversations.open``."""
        users = [one for one in str(call.args.get("users") or "").split(",") if one]
        call.need(*(("im:write",) if len(users) < 2 else ("mpim:write",)))
        if not users:
            raise Refused("users_list_not_supplied")
        known = set(self.space.direct)
        ident = self._direct_with(call.app, users)
        return {"channel": {"id": ident}, "already_open": ident in known, "no_op": ident in known}

    def conversations_info(self, call: Call) -> dict[str, Any]:
        """``conversations.info``."""
        ident = self._readable(call, call.text("channel", "channel_not_found"))
        return {"channel": self._described(call.app, ident)}

    def _described(self, app: App, ident: str) -> dict[str, Any]:
        if ident in self.space.direct:
            other = next((u for u in self.space.direct[ident] if u != app.bot_user), app.bot_user)
            return {"id": ident, "is_im": True, "is_channel": False, "is_private": True, "user": other,
                    "is_archived": False, "is_ext_shared": False, "is_shared": False}  # fmt: skip
        found: Channel = self.space.channels[ident]
        return {
            "id": ident, "name": found.name, "is_channel": not found.is_private, "is_group": found.is_private,
            "is_im": False, "is_mpim": False,
            "is_private": found.is_private, "is_archived": found.is_archived,
            "is_general": found.name == "general", "is_shared": found.is_ext_shared or found.is_org_shared,
            "is_ext_shared": found.is_ext_shared, "is_org_shared": found.is_org_shared,
            "is_pending_ext_shared": found.is_pending_ext_shared, "is_member": app.bot_user in found.members,
            "topic": {"value": found.topic}, "num_members": len(found.members),
            "context_team_id": self.space.world.team_id,
        }  # fmt: skip

    def conversations_members(self, call: Call) -> dict[str, Any]:
        """``conversations.members``."""
        ident = self._readable(call, call.text("channel", "channel_not_found"))
        return _page(call, list(self.space.members_of(ident)), "members")

    def conversations_list(self, call: Call) -> dict[str, Any]:
        """``conversations.list``: the kinds asked for, each with its scope."""
        kinds = str(call.args.get("types") or "public_channel").split(",")
        scopes = {"public_channel": "channels:read", "private_channel": "groups:read", "im": "im:read",
                  "mpim": "mpim:read"}  # fmt: skip
        for kind in kinds:
            if kind not in scopes:
                raise Refused("invalid_types")
            call.need(scopes[kind])
        bot = call.app.bot_user
        found = [
            c.id
            for c in self.space.channels.values()
            if ("private_channel" in kinds and c.is_private and bot in c.members)
            or ("public_channel" in kinds and not c.is_private)
        ]
        found = [c for c in found if not (call.flag("exclude_archived") and self.space.channels[c].is_archived)]
        if "im" in kinds:
            found += [ident for ident, members in self.space.direct.items() if bot in members]
        return _page(call, [self._described(call.app, ident) for ident in found], "channels")

    def conversations_history(self, call: Call) -> dict[str, Any]:
        """``conversations.history``: newest first; only with the history scope and as a member."""
        return self._history(call, "")

    def conversations_replies(self, call: Call) -> dict[str, Any]:
        """``conversations.replies``: the parent and its replies, oldest first."""
        return self._history(call, call.text("ts", "thread_not_found"))

    def _history(self, call: Call, thread: str) -> dict[str, Any]:
        ident = self._readable(call, call.text("channel", "channel_not_found"), "history")
        if call.app.bot_user not in self.space.members_of(ident):
            raise Refused("not_in_channel")
        oldest, latest = call.number("oldest", 0), call.number("latest", 10**12)
        found = [
            m
            for m in self.space.messages.get(ident, {}).values()
            if not m.only_for
            and oldest <= float(m.ts) <= latest
            and (thread in (m.ts, m.thread_ts) if thread else not m.thread_ts or m.broadcast)
        ]
        if thread and not found:
            raise Refused("thread_not_found")
        shapes = []
        for message in sorted(found, key=lambda m: m.ts, reverse=not thread):
            shape = as_answered(self.space, message)
            if call.flag("include_all_metadata") and message.metadata:
                shape["metadata"] = message.metadata
            shapes.append(shape)
        return {**_page(call, shapes, "messages"), "has_more": False}

    # --- people ------------------------------------------------------------------------------------------

    def auth_test(self, call: Call) -> dict[str, Any]:
        """``auth.test``."""
        world, member = self.space.world, self.space.members[call.app.bot_user]
        found = {"url": self.page_address, "team": world.team_name, "team_id": world.team_id,
                 "user": member.name, "user_id": member.id, "bot_id": call.app.bot_id, "app_id": call.app.id,
                 "is_enterprise_install": False}  # fmt: skip
        return found | ({"enterprise_id": world.enterprise_id} if world.enterprise_id else {})

    def apps_connections_open(self, call: Call) -> dict[str, Any]:
        """``apps.connections.open``: a one-time socket address."""
        if "connections:write" not in call.app.app_scopes:
            raise Refused("missing_scope", needed="connections:write", provided=",".join(call.app.app_scopes))
        if call.app.mode != "socket":
            raise Refused("socket_mode_disabled")
        ticket = self.deliveries.new_ticket(call.app.id)
        return {"url": f"{self.address.replace('http', 'ws', 1)}link/?ticket={ticket}&app_id={call.app.id}"}

    def users_info(self, call: Call) -> dict[str, Any]:
        """``users.info``."""
        call.need("users:read")
        member = self.space.members.get(call.text("user", "user_not_found"))
        if member is None:
            raise Refused("user_not_found")
        return {"user": described_member(member)}

    def usergroups_list(self, call: Call) -> dict[str, Any]:
        """``usergroups.list``: enabled groups."""
        call.need("usergroups:read")
        groups = [
            {"id": g.id, "handle": g.handle, "name": g.name, "team_id": self.space.world.team_id,
             "date_delete": g.date_delete, "user_count": len(g.users)}
            for g in self.space.groups.values()
            if call.flag("include_disabled") or not g.date_delete
        ]  # fmt: skip
        return {"usergroups": groups}

    def usergroups_users_list(self, call: Call) -> dict[str, Any]:
        """``usergroups.users.list``: members of a group; a disabled group is hidden."""
        call.need("usergroups:read")
        group = self.space.groups.get(call.text("usergroup", "no_such_subteam"))
        if group is None or (group.date_delete and not call.flag("include_disabled")):
            raise Refused("no_such_subteam")
        return {"users": list(group.users)}

    def team_info(self, call: Call) -> dict[str, Any]:
        """``team.info``."""
        call.need("team:read")
        world = self.space.world
        return {"team": {"id": world.team_id, "name": world.team_name, "domain": world.team_domain}}

    # --- modals ------------------------------------------------------------------------------------------

    def _view_argument(self, call: Call) -> dict[str, Any]:
        view = call.args.get("view")
        if not isinstance(view, dict):
            raise Refused("invalid_arguments", response_metadata={"messages": ["[ERROR] missing required field: view"]})
        if messages := checks.wrong_view(view):
            raise Refused("invalid_arguments", response_metadata={"messages": messages})
        return copy.deepcopy(view)

    def views_open(self, call: Call) -> dict[str, Any]:
        """``views.open``: a trigger id opens one modal within three seconds."""
        view = self._view_argument(call)
        trigger = self.space.spend_trigger(call.text("trigger_id", "invalid_trigger_id"), call.app.id)
        self.space.modals[trigger.user] = []
        return {"view": described_view(self.space, self.push_view(call.app.id, trigger.user, view))}

    def views_push(self, call: Call) -> dict[str, Any]:
        """``views.push``: on top of an open modal, at most three high."""
        view = self._view_argument(call)
        trigger = self.space.spend_trigger(call.text("trigger_id", "invalid_trigger_id"), call.app.id)
        stack = self.space.modals.get(trigger.user, [])
        if not stack:
            raise Refused("not_found")
        if len(stack) >= MODALS_STACKED:
            raise Refused("push_limit_reached")
        return {"view": described_view(self.space, self.push_view(call.app.id, trigger.user, view))}

    def push_view(self, app_id: str, user: str, view: dict[str, Any]) -> View:
        """Put a modal on top of a person's stack."""
        stack = self.space.modals.setdefault(user, [])
        ident = f"V0{secrets.token_hex(5).upper()}"
        root, previous = (stack[0].id, stack[-1].id) if stack else (ident, "")
        give_ids(view["blocks"])
        opened = View(ident, app_id, user, view, root, previous, f"{time.time():.3f}.{secrets.token_hex(4)}")
        stack.append(opened)
        self.space.changed()
        return opened

    def replace_view(self, opened: View, view: dict[str, Any]) -> None:
        """Put other content into an open modal; what was typed at blocks of the same id stays."""
        give_ids(view["blocks"])
        opened.view, opened.errors, opened.trouble = view, {}, ""
        opened.hash = f"{time.time():.3f}.{secrets.token_hex(4)}"
        self.space.changed()

    def views_update(self, call: Call) -> dict[str, Any]:
        """``views.update``: by view id or external id; an old ``hash`` is refused."""
        view = self._view_argument(call)
        wanted, external = call.args.get("view_id"), call.args.get("external_id")
        for stack in self.space.modals.values():
            for opened in stack:
                same = opened.id == wanted or (external and opened.view.get("external_id") == external)
                if same and opened.app_id == call.app.id:
                    if call.args.get("hash") not in (None, "", opened.hash):
                        raise Refused("hash_conflict")
                    self.replace_view(opened, view)
                    return {"view": described_view(self.space, opened)}
        raise Refused("not_found")

    # --- files -------------------------------------------------------------------------------------------

    def files_get_upload_url(self, call: Call) -> dict[str, Any]:
        """``files.getUploadURLExternal``."""
        call.need("files:write")
        name, length = call.text("filename"), int(call.number("length", 0))
        if length < 1:
            raise Refused("invalid_arguments", response_metadata={"messages": ["[ERROR] invalid length"]})
        file = File(f"F0{secrets.token_hex(5).upper()}", name, length, call.app.id)
        self.space.files[file.id] = file
        secret = secrets.token_urlsafe(18)
        self.space.uploads[secret] = file.id
        return {"upload_url": f"{self.address}upload/v1/{secret}", "file_id": file.id}

    async def upload(self, request: web.Request) -> web.Response:
        """Take the bytes of an upload: the raw body, or one part of a form."""
        ident = self.space.uploads.pop(request.match_info["secret"], "")
        if not ident:
            return web.Response(status=404, text="unknown upload")
        if request.content_type.startswith("multipart/"):
            form = await request.post()
            part = next((p for p in form.values() if isinstance(p, web.FileField)), None)
            body = part.file.read() if part else b""
        else:
            body = await request.read()
        file = self.space.files[ident]
        if len(body) != file.length:
            return web.Response(status=400, text=f"expected {file.length} bytes, got {len(body)}")
        file.body = body
        self.space.note("upload", file=ident, name=file.name, bytes=len(body))
        return web.Response(text=f"OK - {len(body)}")

    def files_complete_upload(self, call: Call) -> dict[str, Any]:
        """``files.completeUploadExternal``: share uploaded files in a channel or thread."""
        call.need("files:write")
        given = call.args.get("files")
        if not isinstance(given, list) or not given:
            raise Refused(
                "invalid_arguments", response_metadata={"messages": ["[ERROR] missing required field: files"]}
            )
        files = []
        for one in given:
            file = self.space.files.get(str(one.get("id"))) if isinstance(one, dict) else None
            if file is None or file.app_id != call.app.id or file.body is None:
                raise Refused("file_not_found")
            file.title = str(one.get("title") or file.name)
            files.append(file)
        wanted = str(call.args.get("channel_id") or call.args.get("channels") or "")
        for ident in [one for one in wanted.split(",") if one]:
            channel = self._writable(call, ident)
            args = {"text": call.args.get("initial_comment") or "", "thread_ts": call.args.get("thread_ts")}
            for file in files:
                file.channels.add(channel)
            self._share(call.app, channel, args, [file.id for file in files])
        return {"files": [{"id": f.id, "title": f.title, "name": f.name, "size": f.length} for f in files]}

    def _share(self, app: App, channel: str, args: dict[str, Any], files: list[str]) -> None:
        message = Message(
            ts=self.space.next_ts(), channel=channel, user=app.bot_user, bot_id=app.bot_id, app_id=app.id,
            text=str(args["text"]),
            thread_ts=self._thread(channel, str(args["thread_ts"] or "")), files=files,
        )  # fmt: skip
        self.space.post(message)

    # --- response urls -----------------------------------------------------------------------------------

    async def respond(self, request: web.Request) -> web.Response:
        """Answer a post to a response URL: private unless ``in_channel``, five within thirty minutes."""
        path = request.match_info["path"]
        entry = self.space.note("call", method="response_url", outcome="", ms=None)
        try:
            data = json.loads(await request.text())
            self._respond(path, data if isinstance(data, dict) else {})
            entry.update(outcome="ok", args=_for_log(data))
            return web.Response(text="ok")
        except ValueError:
            entry["outcome"] = "invalid_payload"
            return web.json_response({"ok": False, "error": "invalid_payload"}, status=400)
        except Refused as no:
            entry["outcome"] = no.error
            status = 404 if no.error in ("expired_url", "used_url") else 400
            return web.json_response({"ok": False, "error": no.error, **no.more}, status=status)

    def _respond(self, path: str, data: dict[str, Any]) -> None:
        found = self.space.response_urls.get(path)
        if found is None or time.monotonic() > found.until:
            raise Refused("expired_url")
        if found.uses >= RESPONSE_URL_USES:
            raise Refused("used_url")
        found.uses += 1
        app = self.space.apps[found.app_id]
        original = self.space.message(found.channel, found.message_ts) if found.message_ts else None
        if data.get("delete_original"):
            if original:
                del self.space.messages[found.channel][original.ts]
                self.space.changed()
            return
        if data.get("replace_original") and original:
            self.apply_edit(original, self.content(data))
            return
        public = data.get("response_type") == "in_channel"
        self.new_message(app, found.channel, data, only_for="" if public else found.user)


def described_member(member: Member) -> dict[str, Any]:
    """Return an account in the shape of ``users.info``."""
    shape: dict[str, Any] = {
        "id": member.id, "team_id": member.team_id, "name": member.name, "deleted": member.deleted,
        "real_name": member.real_name, "tz": member.tz,
        "is_bot": member.is_bot, "is_app_user": member.is_app_user,
        "updated": 0, "profile": {"real_name": member.real_name, "display_name": member.name},
    }  # fmt: skip
    if member.is_workflow_bot or member.is_connector_bot:
        shape |= {"is_workflow_bot": member.is_workflow_bot, "is_connector_bot": member.is_connector_bot}
    if member.is_stranger:
        return shape | {"is_stranger": True}
    if member.enterprise_user:
        shape["enterprise_user"] = member.enterprise_user
    if member.is_invited_user:
        shape["is_invited_user"] = True
    return shape | {
        "is_admin": member.is_admin, "is_owner": member.is_owner, "is_restricted": member.is_restricted,
        "is_ultra_restricted": member.is_ultra_restricted, "is_email_confirmed": member.is_email_confirmed,
    }  # fmt: skip


def described_view(space: Workspace, opened: View, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an open modal in the shape of the API's ``view`` object."""
    app = space.apps[opened.app_id]
    shown = copy.deepcopy(opened.view)
    for key, default in (("callback_id", ""), ("private_metadata", ""), ("external_id", ""), ("submit", None),
                         ("close", None), ("clear_on_close", False), ("notify_on_close", False)):  # fmt: skip
        shown.setdefault(key, default)
    return shown | {
        "id": opened.id, "team_id": space.world.team_id, "app_id": app.id, "bot_id": app.bot_id,
        "app_installed_team_id": space.world.team_id, "hash": opened.hash, "root_view_id": opened.root,
        "previous_view_id": opened.previous or None, "state": {"values": values or {}},
    }  # fmt: skip


def _metadata(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != {"event_type", "event_payload"}:
        raise Refused("invalid_metadata_format")
    if not isinstance(value["event_payload"], dict):
        raise Refused("invalid_metadata_format")
    return value


def _page(call: Call, items: list[Any], name: str) -> dict[str, Any]:
    """Cut a list at ``limit`` and say with a cursor where it goes on."""
    limit = int(call.number("limit", 100))
    cursor = str(call.args.get("cursor") or "at:0").removeprefix("at:")
    if not cursor.isdigit():
        raise Refused("invalid_cursor")
    start = int(cursor)
    rest = f"at:{start + limit}" if start + limit < len(items) else ""
    return {name: items[start : start + limit], "response_metadata": {"next_cursor": rest}}


async def _arguments(request: web.Request) -> tuple[str, dict[str, Any]]:
    """Read arguments from query, form or JSON body, and the token from header or arguments."""
    args: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            body = {}
        args |= body if isinstance(body, dict) else {}
    elif request.can_read_body:
        args |= {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
    for name in JSON_ARGUMENTS:
        if isinstance(args.get(name), str):
            try:
                args[name] = json.loads(args[name])
            except ValueError:
                args[name] = {"unreadable": True}
    header = request.headers.get("Authorization", "")
    token = header.removeprefix("Bearer ").strip() if header.startswith("Bearer ") else str(args.get("token", ""))
    return token, args


def _for_log(args: Any) -> Any:
    if not isinstance(args, dict):
        return {}
    return {key: value for key, value in args.items() if key not in SECRET_ARGUMENTS and value is not None}
