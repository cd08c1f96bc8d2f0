"""Everything the bot can say, posted through the practice workspace's own rules and looked at in a browser.

`make pictures` keeps what is seen in `docs/pictures/`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

import bot
import bot.draw
from bot.draw import dialogs
from bot.draw.post import Post
from tests.bot.stage import Slack
from tests.browser import PHONE, WIDE, overflows
from tests.conftest import ROOT
from tests.stories import scenes
from tests.stories.pictures import take
from tests.waiting import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

BUILDS = ("bot.draw.post", "bot.draw.reader")
"""What messages are built with and finished by: these give posts and draw none."""
CHANNEL = "C0INC"
TALL = 2400
"""Pixels: the longest message stands on the page whole, so that its picture is not covered by the message box."""
WIDTHS = {"1280": (WIDE[0], TALL), "390": (PHONE[0], TALL)}
ALL_BYTES = 6_000_000


@pytest.fixture(scope="module")
def slack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slack]:
    """A workspace with Slack's limits; its rates would only make the test slow."""
    started = Slack(tmp_path_factory.mktemp("slack"), "--rates", "off")
    yield started
    started.stop()


def _drawing() -> Iterator[ModuleType]:
    """Every module of `bot.draw` that draws; a new one is among them by being there."""
    for found in pkgutil.iter_modules(bot.draw.__path__, "bot.draw."):
        if found.name not in BUILDS:
            yield importlib.import_module(found.name)


def _draws(module: ModuleType) -> Iterator[str]:
    """Every function of a module that makes a message, and in `dialogs` every one that makes a view."""
    for name, made in inspect.getmembers(module, inspect.isfunction):
        gives = str(made.__annotations__.get("return"))
        makes = gives.startswith("Post") or (module is dialogs and gives == "Json")
        if made.__module__ == module.__name__ and makes:
            yield f"{module.__name__}.{name}"


def test_no_drawing_is_left_out() -> None:
    reached: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            reached.add(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}")

    scenes.messages.cache_clear()
    scenes.views.cache_clear()
    sys.setprofile(note)
    try:
        scenes.messages(), scenes.views()
    finally:
        sys.setprofile(None)
    wanted = {name for module in _drawing() for name in _draws(module)}
    assert len(wanted) > 35
    left_out = sorted(wanted - reached)
    assert not left_out, "give each of these a scene in tests/stories/scenes.py"


def test_messages_are_drawn_in_one_room_only() -> None:
    """So that the test above sees each of them: `post(…)` and `Post(…)` stand nowhere in the bot but in `bot.draw`."""
    for found in pkgutil.walk_packages(bot.__path__, "bot."):
        if found.name.startswith("bot.draw"):
            continue
        tree = ast.parse(inspect.getsource(importlib.import_module(found.name)))
        called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not called & {"post", "Post", "lines"}, f"{found.name} draws by itself: give it a function in bot/draw"


def test_a_locked_phone_reads_whole_sentences() -> None:
    for name, made in scenes.messages().items():
        assert 20 < len(made.text) <= 600, name
        assert "…" not in made.text[-2:], (name, made.text)
        assert not re.search(r"Nothing was changed\.\W+Nothing was changed", made.text), name


@pytest.mark.browser
def test_every_message_and_dialog_fits_both_widths(slack: Slack, open_page: Callable[..., Any]) -> None:
    client = WebClient(token=slack.ready["bot_token"], base_url=slack.ready["api_url"], timeout=10)
    stood = {name: _post(client, made) for name, made in scenes.messages().items()}
    app, asking = _app(client)
    handler = SocketModeHandler(app, slack.ready["app_token"])
    handler.connect()
    try:
        wait_for(lambda: slack.someone("bo").screen()["app_connected"], "the app to connect")
        for width, size in WIDTHS.items():
            page = open_page(f"{slack.ready['page_url'].rstrip('/')}/?as=UBO&channel={CHANNEL}", size)
            _look_at_messages(page, stood, width)
            for name in scenes.views():
                _look_at_dialog(page, asking[name], f"{name}-{width}")
    finally:
        handler.close()


def _post(client: WebClient, made: Post) -> str:
    posted = client.chat_postMessage(
        channel=CHANNEL, text=made.text, blocks=list(made.blocks), attachments=list(made.attachments)
    )
    return str(posted["ts"])


def _app(client: WebClient) -> tuple[App, dict[str, str]]:
    """An app that opens each dialog from a button, because Slack opens none unasked; name -> button's label."""
    app = App(client=client)
    asking = {name: f"Open {name}" for name in scenes.views()}
    buttons = [
        {"type": "button", "action_id": f"open.{name}", "text": {"type": "plain_text", "text": label}}
        for name, label in asking.items()
    ]
    for start in range(0, len(buttons), 5):
        blocks = [{"type": "actions", "block_id": f"open.{start}", "elements": buttons[start : start + 5]}]
        client.chat_postMessage(channel=CHANNEL, text="Dialogs to look at", blocks=blocks)

    @app.action(re.compile(r"open\..*"))
    def opened(ack: Any, body: dict[str, Any]) -> None:
        ack()
        name = str(body["actions"][0]["action_id"]).removeprefix("open.")
        client.views_open(trigger_id=body["trigger_id"], view=scenes.views()[name])

    return app, asking


def _look_at_messages(page: Page, stood: dict[str, str], width: str) -> None:
    page.locator(f'#messages [data-ts="{max(stood.values())}"]').wait_for()
    page.get_by_role("button", name=re.compile("^Acting as")).first.wait_for(state="attached")
    assert not overflows(page)
    assert not page.locator(".undrawn").count(), page.locator(".undrawn").all_inner_texts()
    for name, ts in stood.items():
        take(page.locator(f'#messages [data-ts="{ts}"] .body'), f"{name}-{width}")


def _look_at_dialog(page: Page, label: str, picture: str) -> None:
    page.get_by_role("button", name=label, exact=True).click()
    dialog = page.locator("dialog#modal[open]")
    dialog.wait_for()
    assert not overflows(page)
    take(dialog, picture)
    dialog.get_by_role("button", name="Close dialog").click()
    dialog.wait_for(state="detached")


def test_each_scene_has_its_pictures() -> None:
    kept = {p.stem for p in (ROOT / "docs" / "pictures").glob("*.png")}
    wanted = {f"{n}-{w}" for n in (*scenes.messages(), *scenes.views(), "channel") for w in WIDTHS}
    assert kept == wanted, "run: make pictures"
    assert sum(p.stat().st_size for p in (ROOT / "docs" / "pictures").glob("*.png")) < ALL_BYTES
