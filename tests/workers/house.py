"""The real thing around a test: store, practised sites and workers as processes, and the bot's desk beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.load import Configuration, load_all, load_settings
from incident.desk import Desk
from incident.doorbell import RqDoorbell
from incident.journals.opening import open_journal
from incident.keys import init_key, load_keys, load_writer
from incident.policy import Rules
from practice.estate.launch import PractisedEstate
from tests.waiting import wait_for
from tests.workers.world import ROOT, Conversation

WRITERS = {
    "bot": "bot", "bot-a": "bot", "bot-b": "bot", "look": "worker", "act1": "worker", "act2": "worker",
}  # fmt: skip
QUICK = """
[timing.{part}]
usual_s = [0, 15]
limit_s = 20
verify_limit_s = 4
poll_s = 1
"""


def quick_estate(out: Path) -> Path:
    """The practice estate's file with limits of seconds."""
    text = (ROOT / "config" / "estate.practice.toml").read_text("utf-8")
    whole = text[: text.index("[timing.")] + "".join(
        QUICK.format(part=p) for p in ("cms", "edge", "pool", "dns", "proof")
    )
    path = out / "estate.toml"
    path.write_text(whole, "utf-8")
    return path


@dataclass
class House(Conversation):
    """What a test has in hand: processes by name, and the conversation of an incident."""

    env: Mapping[str, str]
    out: Path
    config: Configuration
    sites: PractisedEstate
    bot: Desk
    bell: RqDoorbell
    incident: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *names: str, **extra: str) -> None:
        """Starts workers and waits until each listens."""
        for name in names:
            ready = self.out / f"{name}.ready"
            ready.unlink(missing_ok=True)
            bell = "look" if name == "look" else "act"
            code = "import sys, pathlib, workers.serve as w; w.serve(*sys.argv[1:3], pathlib.Path(sys.argv[3]))"
            argv = [sys.executable, "-c", code, bell, name, str(ready)]
            with (self.out / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    argv,
                    env={**os.environ, **self.env, **extra},
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                )
        for name in names:
            wait_for(lambda name=name: (self.out / f"{name}.ready").exists() or self._died(name), f"{name} to listen")  # type: ignore[misc]

    def _died(self, name: str) -> bool:
        if self.processes[name].poll() is not None:
            raise AssertionError(f"{name} ended: {(self.out / f'{name}.log').read_text()[-2000:]}")
        return False

    def kill(self, name: str) -> None:
        """Ends one worker as a power cut would, by its own pid."""
        self.processes[name].kill()
        self.processes[name].wait()

    def stop(self) -> None:
        """Ends every worker, by its own pid."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def ring(self) -> None:
        """Rings for a hand, as the bot would."""
        self.bell.ring_act(self.incident, self.state.head)

    def survey(self) -> None:
        """Rings for a look and waits for what it brings."""
        self.bell.ring_look(self.incident, self.state.head)
        wait_for(lambda: self.state.planned or self.state.hard_stop, "a plan", 40)

    def calls(self) -> list[str]:
        """Every call that would change something, as the sites' own logs have it, in the order of arrival."""
        found: list[tuple[Any, str]] = []
        for name in ("london", "leeds", "dns1", "dns2"):
            found += [(line["at"], line["cmdlet"]) for line in self.sites.members[name].ask("/log") if changing(line)]
        return [cmdlet for _, cmdlet in sorted(found)]

    def pull_the_plug(self) -> None:
        """London is lost."""
        for name in ("london", "dns1"):
            self.sites.members[name].ask("/plug", {"up": False})


def changing(line: Mapping[str, Any]) -> bool:
    """Whether a line of a site's log is a call that changes something."""
    return str(line.get("cmdlet", "")).startswith(("Invoke-", "Set-", "Add-", "Remove-"))


@contextmanager
def house(out: Path, store_url: str, durations: str = "zero", **settings: str) -> Iterator[House]:
    """Everything but the workers, which `House.start` brings up."""
    with PractisedEstate(out / "estate", durations) as sites:
        env = {
            "LYNC_DR_STATE": str(out / "state"),
            "LYNC_DR_KEYS": str(out / "keys"),
            "LYNC_DR_ESTATE": str(quick_estate(out)),
            "LYNC_DR_POLICY": str(ROOT / "config" / "policy.practice.toml"),
            "LYNC_DR_ENDPOINTS": str(out / "estate" / "endpoints.toml"),
            "LYNC_DR_CREDENTIAL_LYNC_FILE": str(out / "estate" / "lync.credential"),
            "LYNC_DR_REDIS_URL": store_url,
            **settings,
        }
        for name, kind in WRITERS.items():
            init_key(name, kind, state_dir=out / "state", keys_dir=out / "keys")  # type: ignore[arg-type]
        loaded = load_settings(env)
        config = load_all(loaded)
        keys = load_keys(loaded.keys)
        writer = load_writer("bot", state_dir=loaded.state, keys=keys)
        journal = open_journal(store_url, writer, keys, loaded.state)
        desk = Desk(journal, Rules(policy=config.policy), lambda: datetime.now(UTC))
        made = House(env=env, out=out, config=config, sites=sites, bot=desk, bell=RqDoorbell(store_url))
        try:
            yield made
        finally:
            made.stop()
