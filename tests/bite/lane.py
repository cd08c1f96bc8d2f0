"""One lane: a pytest session in a copy, collected once and forked for each check that is taken away.

In the fork the changed function gets its changed code, the tests that pass through that function run until the first
turns red, then all others; the fork's end throws the change away. Reads one JSON object a line and answers with one
(see `Lane` in `__main__`). A change outside any function cannot be put in place so: then pytest runs from the start,
in a fork of a process that has imported the libraries and nothing of ours.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

LIBRARIES = ("hypothesis.stateful", "pydantic", "rfc8785", "redis", "pyotp", "click", "slack_sdk",
             "cryptography.hazmat.primitives.asymmetric.ed25519")  # fmt: skip
OPTIONS = ("-x", "-q", "-p", "no:xdist", "-o", "timeout=60", "-m", "not all and not browser")
HERE = Path.cwd()
NOBODY = '""'


class Noticed:
    """Remembers the first test that turned red."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid


class Loop:
    """Answers questions instead of running the tests once."""

    def __init__(self, from_the_beginning: Callable[[], str]) -> None:
        self._noticed = Noticed()
        self._from_the_beginning = from_the_beginning
        self._questions = os.fdopen(os.dup(0), "r", encoding="utf-8")
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._passes: dict[str, set[tuple[str, str]]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        session.config.pluginmanager.register(self._noticed)
        gc.freeze()
        self._passes = {
            name: {(file, function) for file, function in there}
            for name, there in json.loads(_forked(lambda: json.dumps(self._pass_through(session.items)))).items()
        }
        self._say(json.dumps("ready"))
        for line in self._questions:
            asked = json.loads(line)
            answer = _forked(lambda asked=asked: json.dumps(self._answer(session.items, **asked)))
            self._say(json.dumps(self._from_the_beginning()) if answer == "null" else answer or NOBODY)
        return True

    def _say(self, answer: str) -> None:
        # On a line of its own: pytest writes its dots to the same stream.
        self._answers.write(f"\n{answer}\n")
        self._answers.flush()

    def _pass_through(self, items: Sequence[pytest.Item]) -> dict[str, list[tuple[str, str]]]:
        """Test -> (file, function) of everything of ours that it calls in this process."""
        inside = f"{HERE}/"
        met: set[CodeType] = set()

        def called(frame: Any, event: str, _: object) -> None:
            if event == "call":
                met.add(frame.f_code)

        found = {}
        for item in items:
            met.clear()
            threading.setprofile(called)
            sys.setprofile(called)
            self._run(item)
            sys.setprofile(None)
            threading.setprofile(None)
            ours = [code for code in met.copy() if code.co_filename.startswith(inside)]
            found[item.nodeid] = [(code.co_filename.removeprefix(inside), code.co_qualname) for code in ours]
        return found

    def _answer(self, items: Sequence[pytest.Item], file: str, function: str, first: str) -> str | None:
        if file.endswith(".py") and not _put_in_place(file, function):
            return None
        outer = function.split(".<locals>")[0]

        def order(item: pytest.Item) -> int:
            if first and item.nodeid.split("[")[0] == first:
                return 0
            there = self._passes.get(item.nodeid, set())
            return 1 if any(f == file and q.split(".<locals>")[0] == outer for f, q in there) else 2

        for item in sorted(items, key=order):
            self._run(item)
            if self._noticed.name:
                return self._noticed.name
        return ""

    def _run(self, item: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def _put_in_place(file: str, function: str) -> bool:
    """Gives the live function the code it has in the file now; False where there is no such function."""
    module = importlib.import_module(file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    new: Any = compile(Path(file).read_text("utf-8"), f"{HERE}/{file}", "exec")
    live: Any = module
    for name in function.split("."):
        live = vars(live).get(name)
        new = next((c for c in new.co_consts if isinstance(c, CodeType) and c.co_name == name), None)
        if not isinstance(live, type):
            for inner in ("fget", "func", "__func__", "__wrapped__"):
                live = getattr(live, inner, live)
        if new is None or live is None:
            return False
        if isinstance(live, FunctionType):
            live.__code__ = new
            return True
    return False


def _forked(work: Callable[[], str]) -> str:
    """What `work` answers in a process of its own; whatever that process started is ended with it."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            os.setsid()
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            os.write(answer.fileno(), work().encode())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        answer.seek(0)
        return answer.read().decode() if status == 0 else ""


def _zygote(tests: Sequence[str]) -> Callable[[], str]:
    """Starts a process that runs these tests from the beginning, each time it is asked."""
    ours, theirs = socket.socketpair()
    for name in LIBRARIES:
        importlib.import_module(name)
    if os.fork() == 0:
        ours.close()
        while theirs.recv(1):
            theirs.sendall(_forked(lambda: _afresh(tests)).encode() + b"\n")
        os._exit(0)
    theirs.close()
    answers = ours.makefile()

    def ask() -> str:
        ours.sendall(b"?")
        return answers.readline().strip()

    return ask


def _afresh(tests: Sequence[str]) -> str:
    noticed = Noticed()
    code = int(pytest.main([*OPTIONS, f"--basetemp={HERE}/tmp", *tests], plugins=[noticed]))
    return noticed.name or ("" if code in (0, 5) else f"pytest ended with {code}")


def main(tests: Sequence[str]) -> int:
    loop = Loop(_zygote(tests))
    return int(pytest.main([*OPTIONS, f"--basetemp={HERE}/tmp", *tests], plugins=[loop]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
