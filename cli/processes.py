"""What the operating system can be asked to do about a child process."""

from __future__ import annotations

import ctypes
import signal
import sys


def die_with_parent() -> None:
    """In a child, before it runs: end it when its parent is gone (prctl(2), PR_SET_PDEATHSIG; Linux only).

    The request follows the thread that forked: start such children from the main thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
