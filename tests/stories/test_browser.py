"""The main job in a browser, at desk and phone width: two people, one page, and nothing used but what is drawn.

Behind the page stand the real bot, workers, store and sites of `lync-dr practice all`, as processes. The faults are
the page's own practice controls.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import PHONE, WIDE, overflows
from tests.stories.pictures import take
from tests.waiting import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

DURATIONS = "zero,heartbeat=0.2,pool_failover=1.5"
PATIENCE_MS = 60_000
RED = "rgb(217, 45, 32)"


@pytest.fixture
def page_url() -> Iterator[str]:
    """The address of a rehearsal in which nothing has happened yet; all of it is gone afterwards."""
    out = Path(tempfile.mkdtemp(prefix="ldr-"))  # short: a socket's path is limited
    with (out / "practice.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "practice", "all", "--out", str(out), "--durations", DURATIONS],
            env=os.environ | {"LYNC_DR_RECONCILE_S": "1"}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        place = out / "practice.json"
        wait_for(lambda: place.exists() or process.poll() is not None, "the rehearsal to start", 90)
        assert process.poll() is None, (out / "practice.log").read_text("utf-8", errors="replace")
        yield json.loads(place.read_text("utf-8"))["page_url"].rstrip("/")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(40)
        shutil.rmtree(out, ignore_errors=True)


class Sitting:
    """Somebody at the page: reads headings, presses named buttons, answers dialogs."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE_MS)

    def practise(self, *labels: str) -> None:
        """Press practice controls."""
        drawer = self.page.get_by_role("button", name="Channels", exact=True)
        if drawer.is_visible():
            drawer.click()
        self.page.get_by_role("button", name="Practice controls").click()
        for label in labels:
            self.page.get_by_role("button", name=label, exact=True).click()
            self.page.get_by_text(f"{label}: done.").wait_for()
        assert not overflows(self.page)
        self.page.get_by_role("button", name="Close panel").click()

    def become(self, name: str) -> None:
        """Act as somebody else."""
        self.page.get_by_role("button", name="Act as somebody else").locator("visible=true").click()
        self.page.get_by_role("menuitemradio", name=f"Act as {name}").click()
        self.page.get_by_role("button", name=f"Acting as {name}").locator("visible=true").wait_for()

    def say(self, text: str) -> None:
        """Type into the message box and send."""
        self.page.get_by_role("textbox", name="Message #inc-4411").fill(text)
        self.page.keyboard.press("Enter")

    def message(self, heading: str) -> Locator:
        """The newest message with this heading; it is still that message when it has been edited."""
        found = self.page.get_by_role("heading", name=re.compile(heading))
        newest = self.page.locator("#messages").get_by_role("article").filter(has=found).last
        return self.page.locator(f'#messages [data-ts="{newest.get_attribute("data-ts")}"]')

    def private(self, text: str) -> Locator:
        """What only this person sees, with these words."""
        only = self.page.get_by_role("article").filter(has=self.page.get_by_text("Only visible to you"))
        return only.filter(has_text=text)

    def press(self, message: Locator, label: str, *, asked: str = "", yes: str = "") -> None:
        """Press a button of a message, and say yes to the dialog that asks."""
        message.get_by_role("button", name=re.compile(label)).click()
        if asked:
            dialog = self.page.get_by_role("dialog", name=asked)
            assert not overflows(self.page)
            dialog.get_by_role("button", name=yes).click()

    def fill(self, dialog: str, field: str, text: str, submit: str) -> None:
        """Fill in a dialog by its label and send it."""
        form = self.page.get_by_role("dialog", name=dialog)
        form.get_by_label(field).fill(text)
        assert not overflows(self.page)
        form.get_by_role("button", name=submit, exact=True).click()
        form.wait_for(state="hidden")


def buttons(message: Locator) -> int:
    """How many of the app's buttons a message has."""
    return message.locator(".block-actions").get_by_role("button").count()


def bar_colour(message: Locator) -> str:
    """The colour beside a message, as the browser paints it."""
    return str(message.locator(".bar-colour").first.evaluate("(e) => getComputedStyle(e).backgroundColor"))


@pytest.mark.browser
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1280", "390"])
def test_two_people_recover_a_site_at_the_page(
    page_url: str, open_page: Callable[..., Any], size: tuple[int, int]
) -> None:
    at = Sitting(open_page(f"{page_url}/?as=URITA&channel=C0INC", size))
    at.practise("Pull the plug on London", "Red text once: pool failover", "Hang in mid-failover", "Slow pool failover")

    at.say("/lync declare-disaster fe1 dc1 power")
    declared = at.message("DISASTER DECLARED · fe1 London")
    at.private("You are the first of two").wait_for()
    board = at.message("fe1 London → fe2 Leeds · (LOOKING|APPROVAL)")
    first_words = board.inner_text()

    began = (datetime.now(UTC) - timedelta(minutes=4)).strftime("%H:%M")
    at.press(declared, "Outage began…")
    at.fill("Outage began", "Outage began at", began, "Set")
    board.get_by_text(f"Outage began {began}:00").wait_for()

    card = at.message("^APPROVE\\?")
    assert buttons(card) == 3
    at.press(card, "Approve failover", asked="Fail over fe1 London?", yes="Yes, fail over fe1")
    at.private("another person must approve").wait_for()
    assert buttons(card) == 3
    assert not overflows(at.page)

    at.become("Bo Lund")
    card = at.message("^APPROVE\\?")
    assert not at.private("another person must approve").count()
    at.press(card, "Approve failover", asked="Fail over fe1 London?", yes="Yes, fail over fe1")
    card.get_by_role("heading", name="APPROVED · Bo Lund").wait_for()
    assert not buttons(card)

    failed = at.message("FAILED · step 3")
    assert bar_colour(failed) == RED
    words = failed.locator("pre")
    assert "Invoke-CsPoolFailOver" in words.inner_text() or "ProcessRecord" in words.inner_text()
    assert words.evaluate("(e) => getComputedStyle(e).whiteSpace").startswith("pre")
    assert not overflows(at.page)
    failed.get_by_role("heading").first.evaluate("(e) => e.scrollIntoView({block: 'start'})")
    if size == WIDE:
        # What this person's locked phone shows stands beside the channel.
        at.page.get_by_role("button", name="Locked phone").click()
        at.page.get_by_text("UTC · locked").wait_for()
        failed.get_by_role("heading").first.evaluate("(e) => e.scrollIntoView({block: 'start'})")
    take(at.page, f"channel-{size[0]}")
    if size == WIDE:
        at.page.get_by_role("button", name="Close panel").click()

    at.press(failed, "^Run again", asked="Run again: Pool failover of fe1, disaster mode?", yes="Yes: run again")
    failed.get_by_text("DECIDED · run again · Bo Lund").wait_for()
    assert not buttons(failed)
    board.get_by_role("heading", name=re.compile("RUNNING")).wait_for()
    at.practise("Clear the faults of Leeds")  # what hung goes on

    at.message("RECOVERED · fe1 users on fe2 Leeds")
    board.get_by_role("heading", name="fe1 London → fe2 Leeds · RECOVERED").wait_for()
    assert board.inner_text() != first_words
    assert at.page.get_by_role("heading", name="fe1 London → fe2 Leeds").count() == 1
    assert not buttons(board)
    assert not overflows(at.page)
