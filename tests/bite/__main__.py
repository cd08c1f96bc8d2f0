"""`python -m tests.bite [--only REGEX] [--table FILE]`: take each check away in turn and name the test that notices."""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bite.checks import ROOT, Check, all_checks, without

MARKS = ("<!-- bite -->", "<!-- /bite -->")
LIMIT_S = 240


def copy_to(where: Path) -> None:
    """A copy of the project without environments and history."""
    shutil.copytree(
        ROOT, where, ignore=shutil.ignore_patterns(".venv", ".git", "__pycache__", ".lync-dr", "docs", "demo-out")
    )


def run(where: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Run these tests in a copy until the first fails: exit code and that test's name."""
    env = os.environ | {"PYTHONPATH": str(where), "PYTHONDONTWRITEBYTECODE": "1"}
    for part in tests:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-m", "not all and not browser", part],
            cwd=where, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        if done.returncode == 1:
            found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
            return 1, found[1] if found else "?"
        if done.returncode not in (0, 5):
            return 1, "the tests could not be collected"
    return 0, ""


def bite(where: Path, check: Check) -> str:
    """The test that notices that this check is gone; empty when none does."""
    path = where / check.file
    source = path.read_text("utf-8")
    path.write_text(without(check, source), "utf-8")
    try:
        return run(where, check.tests)[1]
    except subprocess.TimeoutExpired:
        return "(the tests no longer end)"
    finally:
        path.write_text(source, "utf-8")


def lanes(checks: list[Check], count: int) -> dict[str, str]:
    """Every check bitten, in `count` copies side by side."""
    todo: queue.Queue[Check] = queue.Queue()
    for check in checks:
        todo.put(check)
    found: dict[str, str] = {}
    lock = threading.Lock()

    def lane(where: Path) -> None:
        copy_to(where)
        while True:
            try:
                check = todo.get_nowait()
            except queue.Empty:
                return
            test = bite(where, check)
            with lock:
                found[check.key] = test
                print(
                    f"{len(found):>4}/{len(checks)}  {'noticed' if test else 'NOT NOTICED':<12} {check.key}", flush=True
                )
                print(f"                        {test}" if test else "", flush=True)

    with tempfile.TemporaryDirectory(prefix="bite-") as base:
        threads = [threading.Thread(target=lane, args=(Path(base) / str(n),)) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return found


def table(checks: list[Check], found: dict[str, str]) -> str:
    """The table of docs/approval.md."""
    rows = ["| check taken away | test that turns red |", "|---|---|"]
    for check in checks:
        asks = check.asks.replace("|", "\\|")
        rows.append(f"| {check.file} `{check.function}`: `{asks}` | `{found[check.key] or '—'}` |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only checks whose name matches this")
    parser.add_argument("--table", type=Path, help="write the table between its marks in this file")
    parser.add_argument("--lanes", type=int, default=3)
    options = parser.parse_args()
    checks = [c for c in all_checks() if re.search(options.only, c.key)]
    began = time.monotonic()
    found = lanes(checks, options.lanes)
    missed = [c for c in checks if not found[c.key]]
    if options.table and not options.only:
        text = options.table.read_text("utf-8")
        head, rest = text.split(MARKS[0], 1)
        tail = rest.split(MARKS[1], 1)[1]
        options.table.write_text(f"{head}{MARKS[0]}\n{table(checks, found)}\n{MARKS[1]}{tail}", "utf-8")
    print(f"{len(checks) - len(missed)} of {len(checks)} noticed in {time.monotonic() - began:.0f} s")
    for check in missed:
        print(f"NOT NOTICED: {check.key}  (line {check.line})")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
