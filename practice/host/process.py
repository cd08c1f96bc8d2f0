"""What every practice process has in common: its options, its credential and certificate, and how it ends."""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from practice.host.durations import load_durations


def parser(program: str, what: str) -> argparse.ArgumentParser:
    """The options shared by sites and DNS servers."""
    options = argparse.ArgumentParser(prog=f"python -m {program}", description=what)
    options.add_argument("--durations", default="demo", help="demo, real, zero, a TOML file, name=seconds,…")
    options.add_argument(
        "--credential-file",
        type=Path,
        required=True,
        help="file with one line DOMAIN\\user:password: the account that may log on",
    )
    options.add_argument("--certificate", type=Path, help="certificate (PEM); made afresh with its CA when missing")
    options.add_argument("--key", type=Path, help="its key (PEM)")
    options.add_argument("--state", type=Path, help="directory for the account store; a temporary one when missing")
    options.add_argument("--winrm-port", type=int, default=0)
    options.add_argument("--control-port", type=int, default=0)
    options.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    return options


def read_options(options: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line; a wrong duration or credential file is one sentence and exit 2."""
    given = options.parse_args()
    try:
        given.durations = load_durations(given.durations)
    except ValueError as problem:
        options.error(str(problem))
    try:
        line = given.credential_file.read_text(encoding="utf-8").strip()
    except OSError as problem:
        options.error(f"The credential file cannot be read: {problem.strerror} ({given.credential_file}).")
    given.user, colon, given.password = line.partition(":")
    if not colon or not given.user or not given.password:
        options.error(f"{given.credential_file} must hold one line user:password.")
    if given.state is None:
        given.state = Path(tempfile.mkdtemp(prefix="lync-dr-practice-"))
    if bool(given.certificate) != bool(given.key):
        options.error("--certificate and --key belong together.")
    return given


def run_until_told(ready: Mapping[str, Any], with_parent: bool, close: Callable[[], None]) -> None:
    """Print one line of JSON when ready, then wait for SIGTERM, SIGINT or the end of standard input."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    if with_parent:
        threading.Thread(target=_wait_for_parent, args=(told,), daemon=True).start()
    print(json.dumps({"ready": True, **ready}), flush=True)
    told.wait()
    close()


def _wait_for_parent(told: threading.Event) -> None:
    # Not through sys.stdin: its lock would still be held by this thread when the interpreter shuts down.
    while os.read(0, 4096):
        pass
    told.set()
