"""What Slack refuses is refused here, in Slack's words, to the real client library."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from .conftest import Workspace
from .test_conversation import plain


def refused(client: WebClient, method: str, **args: Any) -> dict[str, Any]:
    with pytest.raises(SlackApiError) as no:
        client.api_call(method, json=args)
    data = no.value.response.data
    assert isinstance(data, dict)
    return data


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(**more: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": [{"type": "button", "text": plain("Go"), "action_id": "a", **more}]}


def rich(kind: str, **more: Any) -> dict[str, Any]:
    part = {"type": "rich_text_section", "elements": [{"type": kind, **more}]}
    return {"type": "rich_text", "elements": [part]}


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("C0GEN", "not_in_channel"),
        ("C0BOARD", "channel_not_found"),
        ("C0NONE", "channel_not_found"),
        ("UGONE", "user_disabled"),
        ("UBOTEVIL", "cannot_dm_bot"),
    ],
)
def test_posting_where_the_bot_may_not(space: Workspace, channel: str, error: str) -> None:
    assert refused(space.client(), "chat.postMessage", channel=channel, text="x")["error"] == error


def test_tokens_and_scopes(space: Workspace) -> None:
    ready = space.ready
    assert refused(space.client("xoxb-wrong"), "auth.test")["error"] == "invalid_auth"
    assert refused(space.client(ready["app_token"]), "auth.test")["error"] == "not_allowed_token_type"
    assert refused(space.client(), "apps.connections.open")["error"] == "not_allowed_token_type"
    assert refused(space.client(), "reactions.add")["error"] == "unknown_method"
    missing = refused(space.client(), "conversations.history", channel="C0INC")
    assert (missing["error"], missing["needed"]) == ("missing_scope", "channels:history")
    assert "chat:write" in missing["provided"]
    space.call("/admin/app", {"revoked": True})
    assert refused(space.client(), "auth.test")["error"] == "token_revoked"
    space.call("/admin/app", {"revoked": False})


def test_identities_are_answered_with_their_flags(space: Workspace) -> None:
    client = space.client()
    flags = {user: client.users_info(user=user)["user"] for user in ("UGUEST", "UGONE", "UFOREIGN", "UBOTEVIL", "UNEW")}
    assert flags["UGUEST"]["is_restricted"]
    assert flags["UGONE"]["deleted"]
    assert flags["UBOTEVIL"]["is_bot"]
    assert not flags["UNEW"]["is_email_confirmed"]
    assert (flags["UFOREIGN"]["team_id"], flags["UFOREIGN"]["is_stranger"]) == ("TOTHER", True)
    assert "is_restricted" not in flags["UFOREIGN"], "absent is not false for people of another workspace"
    assert refused(client, "users.info", user="UNOBODY")["error"] == "user_not_found"
    space.call("/admin/user", {"id": "UCHEN", "groups": []})
    assert "UCHEN" not in client.usergroups_users_list(usergroup="S0APPROVE")["users"]
    space.call("/admin/user", {"id": "UCHEN", "groups": ["S0APPROVE"]})
    assert client.conversations_info(channel="C0EXT")["channel"]["is_ext_shared"]


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ({}, "no_text", ""),
        ({"text": "x" * 40_001}, "msg_too_long", ""),
        ({"blocks": [section("x" * 3001)]}, "invalid_blocks", "must be less than 3001 characters"),
        ({"blocks": [section("")]}, "invalid_blocks", "must be more than 0 characters"),
        ({"blocks": [{"type": "header", "text": plain("x" * 151)}]}, "invalid_blocks", "/blocks/0/text/text"),
        ({"blocks": [section("x")] * 51}, "invalid_blocks", "no more than 50 items"),
        ({"blocks": [section("x" * 2700)] * 5}, "msg_blocks_too_long", ""),
        ({"blocks": [{"type": "plan", "title": "t"}]}, "invalid_blocks", "unsupported type: plan"),
        ({"blocks": [{"type": "image", "image_url": "http://x/y", "alt_text": "a"}]}, "invalid_blocks", "image"),
        ({"blocks": [button(value="x" * 2001)]}, "invalid_blocks", "2001 characters"),
        ({"blocks": [button(style="default")]}, "invalid_blocks", "enum"),
        ({"blocks": [button(confirm={"title": plain("t")})]}, "invalid_blocks", "missing required field: confirm"),
        ({"blocks": [button(colour="red")]}, "invalid_blocks", "invalid additional property: colour"),
        ({"blocks": [rich("link", url="http://x")]}, "invalid_blocks", "unsupported type: link"),
        ({"blocks": [rich("text", text="")]}, "invalid_blocks", "more than 0 characters"),
        ({"blocks": [{**section("x"), "block_id": "b"}] * 2}, "invalid_blocks", "already exists"),
        ({"blocks": "nonsense"}, "invalid_blocks_format", ""),
        ({"attachments": [{"color": "red", "blocks": [section("x")]}]}, "invalid_attachments", "color"),
        ({"attachments": [{"text": "old", "blocks": [section("x")]}]}, "invalid_attachments", "additional property"),
        ({"text": "x", "thread_ts": "1.1"}, "thread_not_found", ""),
        ({"text": "x", "username": "Boss"}, "missing_scope", ""),
        ({"text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_format", ""),
    ],
)  # fmt: skip
def test_content_that_slack_refuses(space: Workspace, content: dict[str, Any], error: str, said: str) -> None:
    no = refused(space.client(), "chat.postMessage", channel="C0INC", **content)
    assert no["error"] == error
    assert said in str(no)


def test_only_own_messages_are_edited_and_text_alone_removes_blocks(space: Workspace) -> None:
    client = space.client()
    theirs = space.person("URITA", "type", channel="C0INC", text="hello")["ts"]
    assert refused(client, "chat.update", channel="C0INC", ts=theirs, text="x")["error"] == "cant_update_message"
    assert refused(client, "chat.update", channel="C0INC", ts="1.1", text="x")["error"] == "message_not_found"
    bar = [{"color": "#D92D20", "fallback": "f", "blocks": [section("bar")]}]
    ts = client.chat_postMessage(channel="UBO", text="push", blocks=[section("one")], attachments=bar)["ts"]
    room = next(r for r in space.screen("UBO")["channels"] if r["kind"] == "dm")
    assert room["messages"][-1]["lines"] == ["one", "▌ bar"]
    assert refused(client, "chat.update", channel="UBO", ts=ts, text="x")["error"] == "channel_not_found"
    client.chat_update(channel=room["id"], ts=ts, text="push", blocks=[section("two")])
    kept = space.messages("UBO", room["id"])[-1]
    assert (kept["lines"], kept["edited"]) == (["two", "▌ bar"], False)
    client.chat_update(channel=room["id"], ts=ts, text="only text", attachments=[])
    last = space.messages("UBO", room["id"])[-1]
    assert (last["lines"], last["edited"]) == (["only text"], True)


def test_a_phone_shows_the_text_once_and_a_screen_shows_the_blocks(space: Workspace) -> None:
    client = space.client()
    ts = client.chat_postMessage(channel="C0INC", text="APPROVE? &lt;fe1&gt;", blocks=[section("card")])["ts"]
    client.chat_update(channel="C0INC", ts=ts, text="edited", blocks=[section("card two")])
    mine = [n for n in space.screen("UBO")["notifications"] if n["ts"] == ts]
    assert [n["text"] for n in mine] == ["APPROVE? <fe1>"]
    assert space.messages("UBO")[-1]["lines"] == ["card two"]
    assert not [n for n in space.screen("UGUEST")["notifications"] if n["channel"] == "C0HOME"]


def test_private_things_stay_private(space: Workspace) -> None:
    client = space.client()
    client.chat_postEphemeral(channel="C0INC", user="UBO", text="for Bo alone")
    assert space.messages("UBO")[-1]["lines"] == ["for Bo alone"]
    assert all(m["lines"] != ["for Bo alone"] for user in ("URITA", "UOLAF") for m in space.messages(user))
    no = refused(client, "chat.postEphemeral", channel="C0HOME", user="UOLAF", text="x")
    assert no["error"] == "user_not_in_channel"
    rooms = {user: {r["name"] for r in space.screen(user)["channels"]} for user in ("UOLAF", "UGUEST", "URITA")}
    assert "board-room" in rooms["URITA"]
    assert "board-room" not in rooms["UOLAF"]
    assert rooms["UGUEST"] == {"inc-4411"}
    assert space.person("UGUEST", "type", channel="C0GEN", text="x")["status"] == 404
    home = space.person("UBO", "open", channel="UBOTLYNC")["channel"]
    assert "turned off" in space.person("UBO", "type", channel=home, text="/lync status")["error"]
    pair = space.person("UBO", "open", channel="UCHEN")["channel"]
    assert space.person("UBO", "type", channel=pair, text="psst")["ok"]
    assert space.messages("UCHEN", pair)[-1]["lines"] == ["psst"]
    assert refused(client, "chat.postMessage", channel=pair, text="x")["error"] == "channel_not_found"
    assert space.person("UOLAF", "press", channel="C0BOARD", ts="1.1", action="x")["status"] == 404


def test_a_file_is_shared_where_it_was_sent_and_nowhere_else(space: Workspace) -> None:
    done = space.client().files_upload_v2(
        channel="C0HOME", content="report", filename="no-17.html", initial_comment="Report"
    )
    assert done["ok"]
    (file,) = space.messages("URITA", "C0HOME")[-1]["files"]
    assert (file["name"], file["size"]) == ("no-17.html", 6)
    assert space.read(file["url"]) == b"report"
    assert space.call(file["url"].replace("URITA", "UGUEST"))["status"] == 404


def test_what_stands_in_other_tiers_of_rates(space: Workspace) -> None:
    space.call("/admin/rates", {"enabled": True})
    try:
        client = space.client()
        for _ in range(5):
            client.chat_postMessage(channel="C0EXT", text="burst")
        with pytest.raises(SlackApiError) as no:
            client.chat_postMessage(channel="C0EXT", text="one too many")
        assert no.value.response.status_code == 429
        assert int(no.value.response.headers["Retry-After"]) == 1
        client.chat_postMessage(channel="C0HOME", text="another channel")
        errors = [refused_or_ok(client, n) for n in range(22)]
        assert errors.count("ratelimited") == 2, "tier 2 allows twenty a minute"
    finally:
        space.call("/admin/rates", {"enabled": False})


def refused_or_ok(client: WebClient, _n: int) -> str:
    try:
        client.usergroups_list()
    except SlackApiError as no:
        return str(no.response["error"])
    return ""
