"""The table in docs/approval.md: written from what was found, and read back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from tests.bite.checks import Check

BEGINS: Final = "<!-- bite -->"
ENDS: Final = "<!-- /bite -->"
_FILE: Final = re.compile(r"\*\*`(.+)`\*\*")
_ROW: Final = re.compile(r"\| `(.+?)` \| ``? ?(.+?) ?``? \| (?:`(.+)`|\*\*nobody\*\*) \|")


def with_table(page: str, checks: Sequence[Check], found: Mapping[str, str]) -> str:
    """The page with a new table: one part for each file, one row for each check."""
    head, rest = page.split(BEGINS, 1)
    tail = rest.split(ENDS, 1)[1]
    lines = []
    for file, rows in itertools.groupby(checks, key=lambda c: c.file):
        lines += [f"**`{file}`**", "", "| in | taken away | turns red |", "|---|---|---|"]
        lines += [_row(check, found.get(check.key, "")) for check in rows]
        lines.append("")
    return f"{head}{BEGINS}\n\n" + "\n".join(lines) + f"{ENDS}{tail}"


def _row(check: Check, test: str) -> str:
    marks = "``" if "`" in check.asks else "`"
    asks = check.asks.replace("|", "\\|")
    where = f"`{_short(test)}`" if test else "**nobody**"
    return f"| `{check.function}` | {marks}{asks}{marks} | {where} |"


def _short(test: str) -> str:
    """The test without the row of its table: rows are renumbered, and names are read."""
    return test.split("[")[0]


def listed(page: str) -> dict[str, str]:
    """Key of each check in the table -> the test that notices, as pytest names it; empty for nobody."""
    if BEGINS not in page:
        return {}
    found, file = {}, ""
    for line in page.split(BEGINS, 1)[1].split(ENDS, 1)[0].splitlines():
        heading, row = _FILE.fullmatch(line), _ROW.fullmatch(line)
        if heading:
            file = heading[1]
        elif row:
            test = _short(row[3] or "")
            test = f"tests/{test}" if test and not test.startswith("tests/") else test
            found[f"{file} · {row[1]} · {row[2]}".replace("\\|", "|")] = test
    return found
