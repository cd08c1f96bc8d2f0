"""``python -m practice.slack``: start the practice workspace and say in a file where it listens."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

from .server import Settings, running
from .world import read_world


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m practice.slack", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="where the log is kept at the end")
    parser.add_argument("--port", type=int, default=0, help="port of the page (0: any free one)")
    parser.add_argument("--api-port", type=int, default=0, help="port of the API (0: any free one)")
    parser.add_argument("--ready", type=Path, metavar="FILE", help="written as JSON once both sockets listen")
    parser.add_argument("--world", type=Path, metavar="FILE", help="people, channels and apps, TOML or JSON")
    parser.add_argument("--controls", type=Path, metavar="FILE", help="practice controls: JSON, name to URL")
    parser.add_argument("--rates", choices=("strict", "off"), default="strict", help="Slack's rate limits")
    parser.add_argument("--ack-seconds", type=float, default=3.0, help="how long an acknowledgement may take")
    parser.add_argument("--trigger-seconds", type=float, default=3.0, help="how long a trigger id opens a dialog")
    parser.add_argument(
        "--retries", default="0,60,300", help="seconds between deliveries of an event nobody acknowledged"
    )
    return parser.parse_args()


def write_ready(path: Path, ready: dict[str, str]) -> None:
    """Write the ready file whole and readable only by its owner (it holds tokens)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump({**ready, "pid": os.getpid()}, out, indent=2)
    draft.replace(path)


async def run(options: argparse.Namespace) -> None:
    """Serve until told to stop."""
    options.state.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        world=read_world(options.world),
        port=options.port,
        api_port=options.api_port,
        rates=options.rates == "strict",
        ack_seconds=options.ack_seconds,
        trigger_seconds=options.trigger_seconds,
        retries=tuple(float(one) for one in options.retries.split(",") if one),
        controls=options.controls,
    )
    ended = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, ended.set)
    async with running(settings) as practice:
        print(f"Practice Slack: {practice.page_url}", flush=True)
        if options.ready:
            write_ready(options.ready, practice.ready())
        await ended.wait()
        log = options.state / "slack-log.jsonl"
        log.write_text("".join(json.dumps(entry) + "\n" for entry in practice.space.log))


if __name__ == "__main__":
    asyncio.run(run(arguments()))
