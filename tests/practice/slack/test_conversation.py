"""Commands, clicks and forms between people and a real Bolt app."""

from __future__ import annotations

import threading
from typing import Any

from slack_bolt import App

from .conftest import Workspace


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def card(action: str, confirm: bool = True) -> list[dict[str, Any]]:
    button: dict[str, Any] = {
        "type": "button",
        "action_id": action,
        "text": plain("Approve"),
        "value": "7K2M9Q",
    }
    if confirm:
        button["confirm"] = {"title": plain("Fail over fe1?"), "text": plain("It starts at once."),
                             "confirm": plain("Yes, fail over fe1"), "deny": plain("Not yet")}  # fmt: skip
    return [
        {"type": "header", "text": plain("APPROVE? · fe1 London")},
        {"type": "actions", "block_id": "decide", "elements": [button]},
    ]


def test_a_command_is_acknowledged_and_its_answer_is_seen_by_nobody_else(space: Workspace, bolt: App) -> None:
    @bolt.command("/lync")
    def command(ack: Any, command: dict[str, Any]) -> None:
        ack(f"private: {command['text']} from {command['channel_name']}")

    done = space.person("URITA", "type", channel="C0INC", text="/lync status <fe1> @bo")
    assert done["acked"]
    assert done["error"] == ""
    last = space.messages("URITA")[-1]
    assert last["ephemeral"]
    assert last["lines"] == ["private: status <fe1> @Bo Lund from inc-4411"]
    assert not any(m["ephemeral"] for m in space.messages("UBO"))
    assert space.person("UGONE", "type", channel="C0INC", text="/lync status")["status"] == 403
    assert space.person("UFOREIGN", "type", channel="C0EXT", text="/lync status")["error"] == "not a valid command"


def test_a_confirm_dialog_holds_the_click_back_until_yes(space: Workspace, bolt: App) -> None:
    clicks: list[dict[str, Any]] = []

    @bolt.action("approve")
    def approve(ack: Any, body: dict[str, Any]) -> None:
        clicks.append(body)
        ack()

    ts = space.client().chat_postMessage(channel="C0INC", text="APPROVE? fe1", blocks=card("approve"))["ts"]
    press = {"channel": "C0INC", "ts": ts, "action": "Approve"}
    asked = space.person("UBO", "press", **press)
    assert asked["confirm"]["title"] == "Fail over fe1?"
    assert not space.person("UBO", "press", **press, confirm="no")["sent"]
    assert not clicks
    assert space.person("UBO", "press", **press, confirm="yes")["acked"]
    (click,) = clicks
    assert click["user"] == {"id": "UBO", "username": "bo", "name": "bo", "team_id": "TPRACTICE"}
    assert click["container"]["message_ts"] == click["message"]["ts"] == ts
    assert click["actions"][0]["value"] == "7K2M9Q"


def test_a_modal_is_opened_filled_refused_and_closed(space: Workspace, bolt: App) -> None:
    typed: list[str] = []
    opened = threading.Event()

    @bolt.action("why")
    def why(ack: Any, body: dict[str, Any], client: Any) -> None:
        ack()
        block = {"type": "input", "block_id": "pool", "label": plain("Pool")}
        block["element"] = {"type": "plain_text_input", "action_id": "name"}
        view = {"type": "modal", "callback_id": "pool", "title": plain("Still a disaster?"),
                "submit": plain("Go on"), "blocks": [block]}  # fmt: skip
        client.views_open(trigger_id=body["trigger_id"], view=view)
        opened.set()

    @bolt.view("pool")
    def pool(ack: Any, body: dict[str, Any]) -> None:
        typed.append(body["view"]["state"]["values"]["pool"]["name"]["value"])
        ack() if typed[-1] == "fe1" else ack(response_action="errors", errors={"pool": "Type fe1."})

    ts = space.client().chat_postMessage(channel="C0INC", text="red", blocks=card("why", confirm=False))["ts"]
    space.person("UCHEN", "press", channel="C0INC", ts=ts, action="Approve")
    assert opened.wait(5)
    modal = space.screen("UCHEN")["modal"]
    assert (modal["title"], modal["fields"][0]["label"]) == ("Still a disaster?", "Pool")
    assert space.screen("UBO")["modal"] is None
    empty = space.person("UCHEN", "submit", view=modal["view"], values={"Pool": ""})
    assert not empty["sent"]
    assert "required" in empty["errors"]["Pool"]
    wrong = space.person("UCHEN", "submit", view=modal["view"], values={"Pool": "fe2"})
    assert wrong["errors"] == {"Pool": "Type fe1."}
    assert space.person("UCHEN", "submit", view=modal["view"], values={"Pool": "fe1"})["modal"] is None
    assert typed == ["fe2", "fe1"]
    assert space.screen("UCHEN")["modal"] is None
