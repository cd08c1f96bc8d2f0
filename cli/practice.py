"""`lync-dr practice`: the rehearsal's parts as processes, alone or together with the real bot and workers.

Nothing here imports the rehearsal: its parts are started as processes and reached through their sockets, so that
another Slack, another WinRM client or a real server can take the place of any of them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli.supervise import DidNotStart, Part, Supervisor
from incident.doorbell import RqDoorbell
from incident.keys import WriterKind, init_key

CONFIG = Path(__file__).resolve().parent.parent / "config"
HANDS = ("act1", "act2")


@dataclass(frozen=True)
class Rehearsal:
    """Where everything of one running rehearsal is. Written as `practice.json` for people and drivers."""

    out: Path
    page_url: str
    env: dict[str, str]
    controls: dict[str, Any]
    keys: Path
    pids: dict[str, int]

    def write(self) -> None:
        """Write `practice.json`, whole or not at all."""
        data = {
            "page_url": self.page_url,
            "env": self.env,
            "controls": self.controls,
            "keys": str(self.keys),
            "pids": self.pids,
        }
        temporary = self.out / "practice.json.new"
        temporary.write_text(json.dumps(data, indent=1), "utf-8")
        temporary.replace(self.out / "practice.json")


def _python(*module: str) -> list[str]:
    return [sys.executable, "-m", *module]


def _json_ready(path: Path) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            return bool(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError):
            return False

    return ready


def _is_ours(name: str) -> bool:
    return name.startswith(("LYNC_DR_", "SLACK_"))


def _base_env(out: Path) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if k not in _LEFT_OUT and not _is_ours(k)}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CONFIG.parent), env.get("PYTHONPATH", ""))))
    env["PYTHONUNBUFFERED"] = "1"
    env["LYNC_DR_STATE"] = str(out / "state")
    return env


_LEFT_OUT = {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}


class _Stage:
    """Puts one rehearsal together: first what the product needs, side by side; then the product."""

    def __init__(self, supervisor: Supervisor, out: Path, settings: dict[str, str]) -> None:
        self.supervisor, self.out = supervisor, out
        self.env = _base_env(out) | settings
        self.keys = out / "keys"

    def part(self, name: str, argv: list[str], ready: Callable[[], bool], **extra: str) -> Part:
        return Part(name, argv, self.env | extra, self.out / "log" / f"{name}.log", ready=ready)

    def world(self, durations: str) -> dict[str, str]:
        """Store, sites and DNS, Slack; returns what the workspace says of itself."""
        estate, state, said = self.out / "estate", self.out / "state", self.out / "slack.json"
        estate.mkdir(parents=True, exist_ok=True)
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        for stale in (estate / "controls.json", said):
            stale.unlink(missing_ok=True)
        sites = _python("practice.estate", "--out", str(estate), *(("--durations", durations) if durations else ()))
        slack = _python("practice.slack", "--state", str(self.out / "slack"), "--port", "0", "--ready", str(said))
        slack += ["--controls", str(estate / "controls.json")]
        self.supervisor.start(
            self.part("store", _python("cli", "store"), (state / "store.sock").exists),
            self.part("sites", sites, _json_ready(estate / "controls.json")),
            self.part("slack", slack, _json_ready(said)),
        )
        told: dict[str, str] = json.loads(said.read_text("utf-8"))
        self.env |= json.loads((estate / "env.json").read_text("utf-8"))
        self.env["LYNC_DR_ENDPOINTS"] = str(estate / "endpoints.toml")
        self.env["SLACK_API_URL"] = told["api_url"]
        self.env["LYNC_DR_REDIS_URL"] = f"unix://{state / 'store.sock'}"
        return told

    def product(self, slack: dict[str, str]) -> None:
        """Bot and workers, with keys of their own."""
        self.env["LYNC_DR_KEYS"] = str(self.keys)
        writers: dict[str, WriterKind] = {
            "bot": "bot",
            "cli": "cli",
            "look": "worker",
            **dict.fromkeys(HANDS, "worker"),
        }
        for name, kind in writers.items():
            init_key(name, kind, state_dir=Path(self.env["LYNC_DR_STATE"]), keys_dir=self.keys)
        self.env.setdefault("LYNC_DR_ESTATE", str(CONFIG / "estate.practice.toml"))
        self.env.setdefault("LYNC_DR_POLICY", str(CONFIG / "policy.practice.toml"))
        tokens = {"SLACK_BOT_TOKEN": slack["bot_token"], "SLACK_APP_TOKEN": slack["app_token"]}
        parts = []
        for name, argv, extra in (
            ("bot", ["bot"], tokens),
            ("look", ["worker", "look"], {}),
            *((hand, ["worker", "act"], {}) for hand in HANDS),
        ):
            ready = self.out / f"{name}.ready"
            ready.unlink(missing_ok=True)
            parts.append(
                self.part(name, _python("cli", *argv, "--name", name, "--ready", str(ready)), ready.exists, **extra)
            )
        self.supervisor.start(*parts)

    def first_sample(self, asked: threading.Event, limit_s: float = 12.0) -> None:
        """Wait until the pairs were asked once, so that a plug pulled at once finds a sample; not for ever."""
        bell, ends = RqDoorbell(self.env["LYNC_DR_REDIS_URL"]), time.monotonic() + limit_s
        while not bell.kept_samples() and time.monotonic() < ends and not asked.wait(0.05):
            pass


@contextmanager
def rehearse(
    out: Path, durations: str, settings: dict[str, str], say: Callable[[str], None], asked: threading.Event
) -> Iterator[Rehearsal]:
    """Start everything, yield where it is, stop everything; `asked` ends a start that is under way.

    Raises DidNotStart naming the part and its last words.
    """
    with Supervisor(say, asked) as supervisor:
        stage = _Stage(supervisor, out, settings)
        slack = stage.world(durations)
        stage.product(slack)
        stage.first_sample(asked)
        estate = json.loads((out / "estate" / "estate.json").read_text("utf-8"))
        controls = {name: member["control"] for name, member in estate.items()}
        ours = {name: value for name, value in stage.env.items() if _is_ours(name) or os.environ.get(name) != value}
        rehearsal = Rehearsal(out, slack["page_url"], ours, controls, stage.keys, supervisor.pids())
        rehearsal.write()
        stopping = threading.Event()
        watcher = threading.Thread(target=supervisor.watch, args=(stopping,), daemon=True)
        watcher.start()
        try:
            yield rehearsal
        finally:
            stopping.set()
            watcher.join(5)


@contextmanager
def until_told_to_stop() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a second Ctrl-C changes nothing about a stop that is under way."""
    asked = threading.Event()
    before = {s: signal.signal(s, lambda *_: asked.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _out_dir(out: Path | None) -> tuple[Path, bool]:
    """The directory to use, and whether it is ours to remove. Short, since socket paths are limited."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        return out.resolve(), False
    return Path(tempfile.mkdtemp(prefix="lync-dr-")), True


@click.group(help="The rehearsal: Slack, sites and DNS on this machine, nothing else.")
def practice() -> None:
    """Group of `lync-dr practice`."""


@practice.command("all", help="Everything together; prints the page's address and runs until Ctrl-C.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to keep logs and records; default: temporary.")
@click.option("--durations", default="", help="Seconds the simulated cmdlets take, as name=seconds,…")
def practice_all(out: Path | None, durations: str) -> None:
    """Run the whole rehearsal until told to stop."""
    where, ours = _out_dir(out)
    try:
        with until_told_to_stop() as asked:
            settings = {k: v for k, v in os.environ.items() if k in _PASSED_ON}
            with rehearse(where, durations, settings, click.echo, asked) as rehearsal:
                click.echo(f"Practice is ready. Open {rehearsal.page_url}")
                click.echo("Pull the plug on London with the controls there, then type: /lync declare-disaster fe1")
                click.echo(f"Logs and records: {where}. Ctrl-C ends it.")
                while not asked.wait(1):
                    pass
                click.echo("Stopping.")
    except DidNotStart as trouble:
        click.echo(f"The rehearsal could not start. {trouble}", err=True)
        raise SystemExit(1) from None
    finally:
        if ours:
            shutil.rmtree(where, ignore_errors=True)


_PASSED_ON = {
    "LYNC_DR_ESTATE",
    "LYNC_DR_POLICY",
    "LYNC_DR_APPROVAL_EXPIRY_S",
    "LYNC_DR_EXECUTION_WINDOW_S",
    "LYNC_DR_LEASE_S",
    "LYNC_DR_RECONCILE_S",
    "LYNC_DR_RELOOK_S",
    "LYNC_DR_FRESH_S",
}


def _alone(name: str, argv: list[str], ready: Path, say: Callable[[Any], dict[str, Any]]) -> None:
    """Run one part alone until told to stop; print as JSON what `say` makes of what it wrote of itself."""
    with until_told_to_stop() as asked, Supervisor(click.echo, asked) as supervisor:
        log = ready.parent / f"{name}.log"
        try:
            part = Part(name, argv, _base_env(ready.parent), log, _json_ready(ready), restart=False)
            supervisor.start(part)
        except DidNotStart as trouble:
            click.echo(str(trouble), err=True)
            raise SystemExit(1) from None
        click.echo(json.dumps(say(json.loads(ready.read_text("utf-8"))), indent=1))
        while not asked.wait(0.5):
            assert part.process is not None
            if part.process.poll() is not None:
                click.echo(f"{name} ended with exit code {part.process.returncode}; see {log}", err=True)
                raise SystemExit(1)


@practice.command("slack", help="Only the practice Slack workspace; prints its page and a bot's settings as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to keep its log; default: temporary.")
@click.option("--port", default=0, help="Port of the page; default: any free one.")
@click.option("--controls", type=click.Path(path_type=Path), help="controls.json of the sites: buttons on the page.")
def practice_slack(out: Path | None, port: int, controls: Path | None) -> None:
    """Run the workspace alone."""
    where, ours = _out_dir(out)
    ready = where / "slack.json"
    argv = _python("practice.slack", "--state", str(where / "slack"), "--port", str(port), "--ready", str(ready))
    if controls is not None:
        argv += ["--controls", str(controls.resolve())]

    def say(told: dict[str, Any]) -> dict[str, Any]:
        settings = {
            "SLACK_API_URL": told["api_url"],
            "SLACK_BOT_TOKEN": told["bot_token"],
            "SLACK_APP_TOKEN": told["app_token"],
            "LYNC_DR_POLICY": str(CONFIG / "policy.practice.toml"),
        }
        return {"page_url": told["page_url"], "settings": settings}

    try:
        _alone("slack", argv, ready, say)
    finally:
        if ours:
            shutil.rmtree(where, ignore_errors=True)


@practice.command("sites", help="Only the sites and DNS servers; prints a worker's settings and controls as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="Where its files go; default: temporary.")
@click.option("--durations", default="", help="Seconds the simulated cmdlets take, as name=seconds,…")
def practice_sites(out: Path | None, durations: str) -> None:
    """Run the estate alone; `endpoints.toml` and the credential file lie beside the controls."""
    where, ours = _out_dir(out)
    argv = _python("practice.estate", "--out", str(where))
    if durations:
        argv += ["--durations", durations]

    def say(controls: dict[str, Any]) -> dict[str, Any]:
        settings = {"LYNC_DR_ENDPOINTS": str(where / "endpoints.toml"), **json.loads((where / "env.json").read_text())}
        settings["LYNC_DR_ESTATE"] = str(CONFIG / "estate.practice.toml")
        return {"settings": settings, "controls_file": str(where / "controls.json"), "controls": controls}

    try:
        _alone("sites", argv, where / "controls.json", say)
    finally:
        if ours:
            shutil.rmtree(where, ignore_errors=True)
