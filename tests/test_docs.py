"""What the documents say of the code is what the code says; where a place in them points, there is something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.main import _COMMANDS
from config.settings import Settings
from tests import documents
from tests.conftest import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])


@pytest.mark.parametrize("path", [*documents.parts(), *documents.whole()], ids=lambda p: p.name)
def test_the_parts_made_from_the_code_are_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == documents.wanted(path), "write them anew: python -m tests.documents"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_commands_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    # Pictures are made by `make pictures` and looked after by the gallery's own test.
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert "pictures/" in target or (page.parent / target).exists(), f"{page.name} points to {target}"
    for command in re.findall(r"`lync-dr ([a-z][a-z-]*)", text):
        assert command in _COMMANDS, f"{page.name} speaks of lync-dr {command}"


def test_the_defaults_are_those_of_the_settings() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `LYNC_DR_([A-Z_]+_S)` \| (\d+) \|", page, re.MULTILINE))
    assert {name.lower(): int(default) for name, default in told.items()} == {
        name: default for name, default in vars(Settings()).items() if name.endswith("_s") and default is not None
    }


def test_the_exit_codes_of_verify_are_those_it_tells() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith("| `audit verify`")]
    assert [int(n) for n in re.findall(r"(\d) [a-z]", row)] == [0, 1, 2, 3, 4, 5]
