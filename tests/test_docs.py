"""What the documents say of the code is what the code says; where a place in them points, there is something."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import click
import pytest

from bot.words import NotUnderstood, parse
from cli.main import group
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
    for line in re.findall(r"(?:`|^ *|&& )(?:venv/bin/|\.venv/bin/)?lync-dr ([^`\n]+)", text, re.MULTILINE):
        try_command(page.name, line.split())


def try_command(page: str, words: list[str]) -> None:
    """Every command, its sub-command and its options are there, as far as the words are theirs."""
    here: click.Command = group
    for word in words:
        if isinstance(here, click.Group) and not word.startswith("-"):
            found = here.get_command(click.Context(here), word)
            assert found is not None, f"{page} speaks of lync-dr {' '.join(words)}"
            here = found
        elif word.startswith("--"):
            known = {option for parameter in here.params for option in parameter.opts}
            assert word in known, f"{page} speaks of lync-dr {' '.join(words)}"


ROOMS = ("bot", "workers", "playbooks", "incident", "config", "cli", "practice", "tests", "docs", "bench", ".ci")
UNDER_TESTS = ("attacks", "hostile", "stories", "runner", "properties")
NO_FILES = {"config/keys", "config/estate.toml", "config/endpoints.toml", "config/policy.toml", "incident/step/attempt"}
"""What an installation brings itself, and the form of a run's name."""


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda p: p.name)
def test_files_and_tests_that_are_named_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    rooms = "|".join(map(re.escape, (*ROOMS, *UNDER_TESTS)))
    for named, test in set(re.findall(rf"(?<![\w/.-])((?:{rooms})/[\w./-]*\w)(?:::(\w+))?", text)):
        file = next((f for f in (ROOT / named, ROOT / "tests" / named) if f.exists()), None)
        assert file is not None or named in NO_FILES, f"{page.name} names {named}"
        assert not test or (file is not None and f"def {test}(" in file.read_text("utf-8")), f"{page.name} names {test}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_targets_modules_settings_and_words_that_are_named_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^ +)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    for module in re.findall(r"python3? -m ([a-z_.]+)", text):
        assert importlib.util.find_spec(module) is not None, f"{page.name} runs {module}"
    known = (ROOT / "config" / "load.py").read_text("utf-8") + (ROOT / "config" / "settings.py").read_text("utf-8")
    for name in set(re.findall(r"\bLYNC_DR_[A-Z_]*[A-Z]", text)):
        base = name.removesuffix("_FILE")
        secret = base.startswith(("LYNC_DR_CREDENTIAL", "LYNC_DR_SECRET"))
        assert secret or base in known or base.startswith("LYNC_DR_TEST_"), f"{page.name} speaks of {name}"
    # What was not built and is named as that: an account is bound to a person in the policy file only.
    for verb in set(re.findall(r"/lync ([a-z][a-z-]*)", text)) - {"link"}:
        assert not isinstance(parse(f"{verb} fe1", ["fe1", "fe2"]), NotUnderstood), f"{page.name}: /lync {verb}"


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
