"""Where pictures of the page go: into the documentation when asked for, else beside the test's other leavings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ASKED = os.environ.get("LYNC_DR_TEST_PICTURES", "")
"""A directory (``make pictures`` names ``docs/pictures``); empty: nobody keeps them."""
MOST_BYTES = 400_000
"""A picture larger than this is no picture of a card."""


def album(instead: Path) -> Path:
    """The directory for pictures: the one that was asked for, else ``instead``."""
    found = (ROOT / ASKED) if ASKED else instead
    found.mkdir(parents=True, exist_ok=True)
    return found


def take(what: Page | Locator, path: Path) -> None:
    """Keep a picture; it must be one, and small."""
    what.screenshot(path=path, animations="disabled", caret="hide")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < MOST_BYTES, f"{path.name} has {path.stat().st_size} bytes"
