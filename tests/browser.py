"""A real browser for tests: Debian's Chromium, driven by Playwright.

The fixtures are known to every test. Where there is no Chromium such a test says so in one line and is skipped;
under ``LYNC_DR_REQUIRE_BROWSER=1`` it fails instead, so that a build which promised a browser cannot pass without.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("LYNC_DR_CHROMIUM", "/usr/bin/chromium")
WIDE = (1280, 800)
PHONE = (390, 844)


def _without(why: str) -> NoReturn:
    if os.environ.get("LYNC_DR_REQUIRE_BROWSER") == "1":
        pytest.fail(f"A browser is required here (LYNC_DR_REQUIRE_BROWSER=1): {why}", pytrace=False)
    pytest.skip(f"browser test not run: {why}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once for the whole run."""
    if not shutil.which(CHROMIUM):
        _without(f"there is no {CHROMIUM}")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _without("the Python package playwright is not installed")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return ``open_page(url, size)``; at the end each page must have run without an error of its own script."""
    pages: list[Page] = []
    errors: list[str] = []

    def open_one(url: str, size: tuple[int, int] = WIDE) -> Page:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        pages.append(page)
        page.goto(url)
        return page

    yield open_one
    for page in pages:
        page.close()
    assert not errors, f"the page's script failed: {errors}"


def overflows(page: Page) -> bool:
    """Say whether the page, or anything visible in it, needs scrolling sideways."""
    return bool(
        page.evaluate(
            """() => document.documentElement.scrollWidth > innerWidth
              || [...document.querySelectorAll('main, main *, dialog[open], dialog[open] *')].some((e) =>
                   e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1
                   && getComputedStyle(e).position !== 'absolute')"""
        )
    )
