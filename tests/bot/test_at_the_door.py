"""What is turned away before anybody thinks about it: each reason by itself, at a door with nothing behind it."""

from __future__ import annotations

import http.client
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.app import BODY_BYTES, Doors, HttpDoor, Socket
from bot.identity import GROUP_KEPT_S, Accounts, Identified, NotAllowed, account_of, ids_of, who
from bot.web import Me
from incident.events import Account
from incident.persons import account_trouble
from incident.policy import Person, SlackId
from tests.waiting import wait_for
from tests.workers.world import POLICY

SECRET = "s3cret-of-the-app"
NOW = datetime(2026, 11, 22, 3, 7, 12, tzinfo=UTC)


class Behind:
    """Counts what comes in; the notes remember each key once; the client hears acknowledgements."""

    logger = logging.getLogger("behind")

    def __init__(self) -> None:
        self.came: list[str] = []
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.seen: set[str] = set()

    def click(self, body: dict[str, Any], reply: object) -> None:
        self.came.append(body["actions"][0]["value"])

    def submission(self, body: dict[str, Any], reply: object) -> dict[str, str]:
        self.came.append(body["view"]["private_metadata"])
        return {}

    def once(self, key: str, keep_s: int) -> bool:
        new = key not in self.seen
        self.seen.add(key)
        return new

    def send_socket_mode_response(self, response: Any) -> None:
        self.acknowledged.append(response.envelope_id)


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def doors(behind: Behind) -> Iterator[Doors]:
    it: Any = behind
    client = WebClient(token="xoxb-1", base_url="http://127.0.0.1:9/api/", timeout=1)
    made = Doors(client, Me("TPRACTICE", "", "UBOT", "B1"), it, it, it, it)
    yield made
    made.stop()


def click(value: str) -> dict[str, Any]:
    return {
        "type": "block_actions", "user": {"id": "UBO", "team_id": "TPRACTICE"}, "team": {"id": "TPRACTICE"},
        "channel": {"id": "C0INC"}, "actions": [{"action_id": "approve", "block_id": "b", "value": value}],
    }  # fmt: skip


def dialog(value: str, **more: Any) -> dict[str, Any]:
    view = {"type": "modal", "callback_id": "approve", "private_metadata": value, "state": {"values": {}}}
    return {"type": "view_submission", "user": {"id": "UBO"}, "team": {"id": "TPRACTICE"}, "view": view, **more}


# --- Socket Mode -----------------------------------------------------------------------------------------------


def test_an_envelope_or_event_that_was_seen_before_is_left(behind: Behind, doors: Doors) -> None:
    socket, client = Socket(doors, "xapp-1"), behind
    try:

        def comes(envelope: str, payload: dict[str, Any]) -> None:
            socket.handle(client, SocketModeRequest("interactive", envelope, payload))  # type: ignore[arg-type]

        comes("e1", click("tap"))
        wait_for(lambda: behind.came == ["tap"], "the tap")
        comes("e1", click("the same again"))
        comes("e2", click("another"))
        wait_for(lambda: "another" in behind.came, "the other tap")
        comes("e3", dialog("dialog"))
        comes("e3", dialog("the same dialog"))
        comes("e4", dialog("event", event_id="Ev1"))
        comes("e5", dialog("the same event", event_id="Ev1"))
        comes("e6", dialog("last", event_id="Ev2"))
        socket._leaving = True
        comes("e7", click("while leaving"))
        comes("e8", dialog("while leaving"))
        assert behind.came == ["tap", "another", "dialog", "event", "last"]
        assert {"e1", "e2", "e3", "e5"} <= set(behind.acknowledged)
        assert not {"e7", "e8"} & set(behind.acknowledged)
    finally:
        socket.client.close()


# --- HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def address(behind: Behind, doors: Doors) -> Iterator[tuple[str, int]]:
    door = HttpDoor(doors, SECRET, ("127.0.0.1", 0), lambda why, text: behind.refused.append(why))
    door.start()
    yield door.address
    door.stop()


def post(address: tuple[str, int], body: str, *, length: str = "", secret: str = SECRET) -> int:
    at = str(int(time.time()))
    signature = str(SignatureVerifier(secret).generate_signature(timestamp=at, body=body))
    to = http.client.HTTPConnection(*address, timeout=10)
    to.putrequest("POST", "/slack/events")
    for name, value in (
        ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", length or str(len(body))),
        ("X-Slack-Request-Timestamp", at), ("X-Slack-Signature", signature),
    ):  # fmt: skip
        to.putheader(name, value)
    to.endheaders(body.encode())
    status = to.getresponse().status
    to.close()
    return status


def test_what_is_too_long_unsigned_or_seen_before_is_turned_away(behind: Behind, address: tuple[str, int]) -> None:
    body = urlencode({"payload": json.dumps(click("tap"))})
    assert [post(address, body, length=length) for length in (str(BODY_BYTES + 1), "-1", "some", "²")] == [413] * 4
    assert (behind.came, behind.refused) == ([], [])
    assert post(address, body, secret="other") == 401
    assert (behind.came, behind.refused) == ([], ["forged"])
    # Within one second both have the same signature.
    assert post(address, body) == 200
    wait_for(lambda: behind.came == ["tap"], "the tap")
    for key in list(behind.seen):
        assert key.startswith("body:")
    behind.once = lambda key, keep_s: False  # type: ignore[method-assign]
    assert post(address, body) == 200
    assert (behind.came, behind.refused) == (["tap"], ["forged", "replayed"])


# --- who it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "field"),
    [("is_restricted", "guest"), ("is_ultra_restricted", "guest"), ("is_bot", "bot"), ("is_workflow_bot", "bot"),
     ("is_connector_bot", "bot"), ("deleted", "deleted"), ("is_stranger", "stranger"), ("is_invited_user", "invited")],
)  # fmt: skip
def test_each_flag_goes_into_the_record(flag: str, field: str) -> None:
    plain = account_of({"id": "UBO", "team_id": "TPRACTICE"}, None, NOW)
    assert not getattr(plain, field)
    assert getattr(account_of({"id": "UBO", flag: True}, None, NOW), field)


def test_teams_that_do_not_fit_are_not_ours() -> None:
    ours = {"id": "TPRACTICE"}
    assert ids_of({"user": {"id": "UBO", "team_id": "TPRACTICE"}, "team": ours}, POLICY) == ("TPRACTICE", "UBO")
    for here in ({"id": "TOTHER"}, None):
        assert ids_of({"user": {"id": "UBO", "team_id": "TPRACTICE"}, "team": here}, POLICY)[0] != "TPRACTICE"


@pytest.mark.parametrize(
    "payload",
    [{"user": {}}, {"user": {"id": "USLACKBOT"}}, {"user": {"id": "UBO"}, "bot_id": "B1"},
     {"user": {"id": "UBO", "is_bot": True}}],
)  # fmt: skip
def test_who_is_no_human_is_nobody(payload: dict[str, Any]) -> None:
    def seen(_: str) -> tuple[Account, str]:
        return Account(team="TPRACTICE"), "Bo"

    assert isinstance(who(payload, POLICY, seen), NotAllowed)
    assert isinstance(who({"user": {"id": "UBO"}}, POLICY, seen), Identified)


def test_an_account_that_slack_knows_no_more_is_gone_and_one_it_will_not_speak_of_is_unseen() -> None:
    said = {"UBO": "user_not_found", "UCHEN": "internal_error", "UFAY": "user_not_found"}

    def ask(method: str, user: str) -> dict[str, Any]:
        if user in said:
            raise SlackApiError("no", {"ok": False, "error": said[user]})
        return {"user": {"id": user, "team_id": "TPRACTICE"}}

    fay = Person(id="fay", name="Fay", slack=(SlackId(team="TOTHER", user="UFAY"),), roles=frozenset({"approve"}))
    accounts = Accounts(ask, POLICY.model_copy(update={"persons": (*POLICY.persons, fay)}), lambda: NOW)
    gone, unseen = accounts.look("UBO"), accounts.look("UCHEN")
    assert gone is not None
    assert account_trouble(POLICY, gone[0]) == ("deleted", "Your account is deactivated")
    assert unseen is None
    everybody = accounts.everybody()
    assert everybody["TPRACTICE/UBO"].deleted
    assert not {"TPRACTICE/UCHEN", "TOTHER/UFAY"} & set(everybody)


def test_the_groups_list_is_kept_for_a_while_but_not_where_a_right_depends_on_it() -> None:
    asked: list[str] = []

    def ask(method: str, **_: object) -> dict[str, Any]:
        asked.append(method)
        return {"users": ["UBO"], "user": {"id": "UBO", "team_id": "TPRACTICE"}}

    accounts = Accounts(ask, POLICY.model_copy(update={"approver_group": "S1"}), lambda: NOW)

    def lists(fresh: bool) -> int:
        before = asked.count("usergroups.users.list")
        looked = accounts.look("UBO", fresh_group=fresh)
        assert looked is not None
        assert looked[0].in_group is True
        return asked.count("usergroups.users.list") - before

    assert [lists(False), lists(False), lists(True)] == [1, 0, 1]
    accounts._group = (time.monotonic() - GROUP_KEPT_S - 1, frozenset({"UBO"}))
    assert [lists(False), lists(False)] == [1, 0]
