"""The table of docs/approval.md is about the checks there are now, and somebody notices each of them."""

from __future__ import annotations

import re

import pytest

from tests.bite.checks import ROOT, Check, all_checks, without
from tests.bite.listed import listed

AGAIN = "Run `make bite-table` and look at what is not noticed."


@pytest.fixture(scope="module")
def checks() -> list[Check]:
    return all_checks()


@pytest.fixture(scope="module")
def table() -> dict[str, str]:
    return listed((ROOT / "docs" / "approval.md").read_text("utf-8"))


def test_the_table_lists_exactly_the_checks_there_are(table: dict[str, str], checks: list[Check]) -> None:
    now = [check.key for check in checks]
    assert len(now) == len(set(now))
    assert [key for key in now if key not in table] == [], f"new and not in the table. {AGAIN}"
    assert [key for key in table if key not in now] == [], f"in the table and gone. {AGAIN}"


def test_somebody_notices_each(table: dict[str, str]) -> None:
    assert [key for key, test in table.items() if not test] == []
    for test in set(table.values()):
        file, name = test.split("::")[0], re.split(r"[:\[]", test.split("::")[-1])[0]
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), f"{test} is in the table and gone. {AGAIN}"


def test_something_is_taken_away_each_time(checks: list[Check]) -> None:
    sources = {check.file: (ROOT / check.file).read_text("utf-8") for check in checks}
    assert [check.key for check in checks if without(check, sources[check.file]) == sources[check.file]] == []
