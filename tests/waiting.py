"""Waiting on a condition, never on a clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_PAUSE = threading.Event()


def wait_for(look: Callable[[], T], what: str, limit_s: float = 30.0, every_s: float = 0.05) -> T:
    """The first true answer of `look`; AssertionError naming `what` and the last answer after `limit_s` seconds."""
    ends = time.monotonic() + limit_s
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise AssertionError(f"waited {limit_s:g} s for {what}; last saw {answer!r}")
        _PAUSE.wait(every_s)
