"""`python -m tests.bite [--only REGEX] [--write] [--new]`: take each check away in turn; name who notices."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bite.checks import ROOT, Check, all_checks, without
from tests.bite.listed import listed, with_table

LEFT_OUT = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".lync-dr", "demo-out", "*.egg-info")


@dataclass
class Lane:
    """A copy of the project, and a pytest session in it for one set of tests at a time."""

    where: Path
    _tests: tuple[str, ...] = ()
    _session: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        shutil.copytree(ROOT, self.where, ignore=LEFT_OUT)
        self._env = os.environ | {"PYTHONPATH": str(self.where), "PYTHONDONTWRITEBYTECODE": ""}

    def bite(self, check: Check, first: str) -> str:
        """The test that notices that this check is gone; empty when none does."""
        if check.tests != self._tests:
            self.rest()
            self._begin(check.tests)
        path = self.where / check.file
        source = path.read_text("utf-8")
        self._write(path, without(check, source))
        try:
            return self._ask(check, first)
        finally:
            self._write(path, source)

    def rest(self) -> None:
        """Ends the session."""
        if self._session is not None and self._session.stdin is not None:
            self._session.stdin.close()
            self._session.wait()
        self._session = None

    def _begin(self, tests: tuple[str, ...]) -> None:
        self._tests = tests
        self._session = subprocess.Popen(
            [sys.executable, "-m", "tests.bite.lane", *tests], cwd=self.where, env=self._env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        # Nothing is changed before the session has read the copy as it was.
        self._hear()

    def _ask(self, check: Check, first: str) -> str:
        assert self._session is not None
        assert self._session.stdin is not None
        question = {"file": check.file, "function": check.function, "first": first}
        self._session.stdin.write(json.dumps(question) + "\n")
        self._session.stdin.flush()
        return self._hear()

    def _hear(self) -> str:
        assert self._session is not None
        assert self._session.stdout is not None
        for line in self._session.stdout:
            if line.startswith('"'):
                return str(json.loads(line))
        raise RuntimeError(f"The tests {self._tests} cannot be collected; run them alone and see.")

    def _write(self, path: Path, source: str) -> None:
        path.write_text(source, "utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            # Python tells by the second and the length whether it is still good.
            compiled.unlink()


@dataclass
class Work:
    """What is left to do and what was found, shared by the lanes."""

    todo: deque[Check]
    known: dict[str, str]
    keep: Callable[[dict[str, str]], None]
    """Called with what was found so far."""
    found: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock, self._all = threading.Lock(), len(self.todo)

    def next(self, tests: tuple[str, ...]) -> Check | None:
        """The next check, one for the same tests where there is one."""
        with self._lock:
            if not self.todo:
                return None
            check = next((c for c in self.todo if c.tests == tests), self.todo[0])
            self.todo.remove(check)
            return check

    def tell(self, check: Check, test: str) -> None:
        """Keeps and prints what was found."""
        with self._lock:
            self.found[check.key] = test
            said = f"noticed by {test}" if test else "NOT NOTICED"
            print(f"{len(self.found):>4}/{self._all}  {check.key}\n           {said}", flush=True)
            self.keep(self.found)

    def lane(self, where: Path) -> None:
        """Works until nothing is left."""
        lane = Lane(where)
        check = self.next(())
        while check is not None:
            self.tell(check, lane.bite(check, self.known.get(check.key, "")))
            check = self.next(check.tests)
        lane.rest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only checks whose name matches this")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "approval.md", help="where the table stands")
    parser.add_argument("--write", action="store_true", help="write the table")
    parser.add_argument("--new", action="store_true", help="only checks that the table does not name yet")
    parser.add_argument("--lanes", type=int, default=2)
    options = parser.parse_args()
    every = all_checks()
    known = listed(options.page.read_text("utf-8"))
    checks = [c for c in every if re.search(options.only, c.key) and not (options.new and known.get(c.key))]
    began = time.monotonic()

    def keep(found: dict[str, str]) -> None:
        if options.write:
            text = options.page.read_text("utf-8")
            options.page.write_text(with_table(text, every, listed(text) | found), "utf-8")

    work = Work(deque(checks), known, keep)
    with tempfile.TemporaryDirectory(prefix="bite-") as base:
        lanes = [threading.Thread(target=work.lane, args=(Path(base) / str(n),)) for n in range(options.lanes)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    missed = [c for c in checks if not work.found.get(c.key)]
    print(f"{len(checks) - len(missed)} of {len(checks)} noticed in {time.monotonic() - began:.0f} s")
    for check in missed:
        print(f"NOT NOTICED: {check.key}  (line {check.span[0]})")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
