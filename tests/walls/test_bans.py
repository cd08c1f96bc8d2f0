"""Habits this house does not have, each with the named places that are excused."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

EXCUSED: dict[str, str] = {
    "tests/walls/test_bans.py": "names what is banned",
    "tests/practice/slack/test_delivery.py": "a Slack trigger expires with time itself; asking about it spends it",
}

BANNED_IN_TESTS = ("monkeypatch.setattr", "mock.patch", "freezegun", "sleep(", "unittest.mock")
"""Nobody patches our modules or the clock, and nobody waits for a fixed time."""


def tracked() -> list[Path]:
    """Every file of the project that git would ship; the working tree where there is no git."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return [ROOT / name for name in done.stdout.split("\n") if name and (ROOT / name).is_file()]
    return [p for p in ROOT.rglob("*") if p.is_file() and not {".venv", ".git"} & set(p.parts)]


@pytest.mark.parametrize("word", BANNED_IN_TESTS)
def test_tests_patch_nothing_and_wait_on_conditions(word: str) -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if word in path.read_text("utf-8") and str(path.relative_to(ROOT)) not in EXCUSED
    ]
    assert not found


STANDS_ALONE = re.compile(
    r"DESIGN §|\.\./shared|/(?:work|root)/|/tmp/(?:w)/|\bhttps?://(registry\.npmjs|pypi\.org/simple|files\.pythonhosted)"
    + "|"
    + r"\bhelper session|\bLLM\b|language model",
    re.IGNORECASE,
)


def test_the_repository_stands_alone() -> None:
    """No path of a machine, no page outside the repository, no registry host."""
    found = []
    for path in tracked():
        if str(path.relative_to(ROOT)) in EXCUSED or path.suffix in (".png", ".jpg", ".ico"):
            continue
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if STANDS_ALONE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_no_file_is_called_utils() -> None:
    """A file tells one story; `utils` tells none."""
    assert not [p for p in tracked() if p.stem in ("utils", "util", "helpers", "misc", "common")]
