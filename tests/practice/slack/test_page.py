"""The page, in a browser, at desk and phone width: only what is drawn is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from slack_bolt import App

from tests.browser import PHONE, WIDE, overflows

from .conftest import Workspace
from .test_conversation import plain

EVIL = "<img src=x onerror=alert(1)> *not bold* <!channel> &lt; :fire:"


def red_text() -> dict[str, Any]:
    """A message with everything the page can draw, and untrusted text where it belongs."""
    confirm = {"title": plain("Run step 3 again?"), "text": plain("Repeat is safe."), "confirm": plain("Yes, run it"),
               "deny": plain("Not yet")}  # fmt: skip
    run: dict[str, Any] = {"type": "button", "action_id": "page_run", "text": plain("Run again"), "confirm": confirm}
    other = {"type": "button", "action_id": "page_other", "text": plain("Other…"), "style": "danger"}
    pre = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": EVIL + "\n" + "x" * 300}]}
    return {
        "text": "DECIDE: step 3 failed",
        "blocks": [
            {"type": "header", "text": plain("🔴 FAILED · step 3")},
            {"type": "section", "text": {"type": "mrkdwn", "text": "*bold* a &lt;b&gt; <@URITA>"}},
            {"type": "rich_text", "elements": [pre]},
            {"type": "actions", "block_id": "rule", "elements": [run, other]},
        ],
        "attachments": [{"color": "#D92D20", "fallback": "f",
                         "blocks": [{"type": "section", "text": plain("fe1 Active, nothing moved")}]}],
    }  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1280", "390"])
def test_a_person_reads_confirms_fills_in_and_switches(
    space: Workspace,
    bolt: App,
    open_page: Callable[..., Any],
    size: tuple[int, int],
) -> None:
    @bolt.action("page_run")
    def run(ack: Any, client: Any, body: dict[str, Any]) -> None:
        ack()
        done = [{"type": "section", "text": plain(f"RUNNING AGAIN · {body['user']['id']}")}]
        client.chat_update(channel="C0INC", ts=body["message"]["ts"], text="running", blocks=done, attachments=[])

    @bolt.action("page_other")
    def other(ack: Any, client: Any, body: dict[str, Any]) -> None:
        ack()
        block = {"type": "input", "block_id": "name", "label": plain("Pool"),
                 "element": {"type": "plain_text_input", "action_id": "n"}}  # fmt: skip
        client.views_open(trigger_id=body["trigger_id"], view={
            "type": "modal", "callback_id": "page_rule", "title": plain("Rule"), "submit": plain("Go on"),
            "blocks": [block]})  # fmt: skip

    @bolt.view("page_rule")
    def rule(ack: Any, body: dict[str, Any]) -> None:
        ack(response_action="errors", errors={"name": "That is not fe1."})

    posted = space.client().chat_postMessage(channel="C0INC", **red_text())
    space.client().chat_postEphemeral(channel="C0INC", user="UBO", text=f"Only Bo, at {size[0]}")
    page = open_page(f"{space.ready['page_url']}?as=UBO&channel=C0INC", size)
    card = page.locator(f'.messages [data-ts="{posted["ts"]}"]')
    assert card.locator("pre").inner_text().startswith(EVIL)
    assert not card.locator("img").count()
    assert card.locator(".bar").get_attribute("data-colour") == "#D92D20"
    assert card.locator("p", has_text="bold a <b> @Rita Berg").count() == 1
    assert not page.get_by_text("DECIDE: step 3 failed").count()
    assert page.get_by_text(f"Only Bo, at {size[0]}").is_visible()
    assert not overflows(page)

    card.get_by_role("button", name="Other…").click()
    form = page.get_by_role("dialog", name="Rule")
    form.get_by_label("Pool").fill("fe2")
    form.get_by_role("button", name="Go on").click()
    form.get_by_text("That is not fe1.").wait_for()
    assert form.get_by_label("Pool").input_value() == "fe2"
    assert not overflows(page)
    form.get_by_role("button", name="Cancel").click()

    card.get_by_role("button", name="Run again").click()
    asked = page.get_by_role("dialog", name="Run step 3 again?")
    assert not overflows(page)
    asked.get_by_role("button", name="Yes, run it").click()
    card.get_by_text("RUNNING AGAIN · UBO").wait_for()
    assert not card.get_by_role("button", name="Run again").count()
    assert not card.locator(".bar").count()

    page.get_by_role("button", name="Act as somebody else").locator("visible=true").click()
    page.get_by_role("menuitemradio", name="Rita Berg").click()
    card.get_by_text("RUNNING AGAIN").wait_for()
    page.get_by_role("textbox", name="Message #inc-4411").fill("/nonsense")
    page.keyboard.press("Enter")
    page.get_by_text("/nonsense is not a valid command.").last.wait_for()
    assert not page.get_by_text(f"Only Bo, at {size[0]}").count()
