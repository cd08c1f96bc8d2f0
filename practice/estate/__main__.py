"""`python -m practice.estate --out DIR`: run the practised estate until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from practice.estate.launch import DidNotStart, PractisedEstate
from practice.host.durations import load_durations


def main() -> int:
    """Exit 0 when told to stop, 1 when a process fails, 2 for wrong options."""
    options = argparse.ArgumentParser(prog="python -m practice.estate", description=__doc__)
    options.add_argument("--out", type=Path, required=True, help="directory for endpoints.toml and its companions")
    options.add_argument("--durations", default="demo", help="demo, real, zero, a TOML file, name=seconds,…")
    options.add_argument("--ttl", type=int, default=300, help="TTL of the simple names, seconds")
    given = options.parse_args()
    try:
        load_durations(given.durations)
    except ValueError as problem:
        options.error(str(problem))
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    try:
        with PractisedEstate(given.out.resolve(), given.durations, given.ttl) as estate:
            print(json.dumps({"ready": True, "out": str(estate.out)}), flush=True)
            while not told.wait(0.5):
                ended = estate.ended()
                if ended is not None:
                    print(f"{ended.name} ended with exit code {ended.process.returncode}.", file=sys.stderr)
                    return 1
    except DidNotStart as trouble:
        print(f"The practised estate could not start. {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
