"""Pictures of the page, kept where `LYNC_DR_TEST_PICTURES` names a directory and not taken otherwise."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.conftest import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ASKED = os.environ.get("LYNC_DR_TEST_PICTURES", "")
"""A directory (``make pictures`` names ``docs/pictures``); empty: none are taken."""
MOST_BYTES = 400_000
"""A picture larger than this is no picture of a card."""


def take(what: Page | Locator, name: str) -> None:
    """Keep a picture under this name where pictures are asked for; it must be one, and small."""
    if not ASKED:
        return
    path = ROOT / ASKED / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    what.screenshot(path=path, animations="disabled", caret="hide")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < MOST_BYTES, f"{path.name} has {path.stat().st_size} bytes"
