"""The rehearsal's parts alone: what each prints is all that a bot, a worker or a person needs to use it.

So another Slack, another WinRM client or a real server can take the place of any of them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cli.someone import Someone
from tests.cli.installation import Installation
from tests.waiting import wait_for


@contextmanager
def _running(here: Installation, *argv: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real command as a process; ended as with Ctrl-C, and by nothing harder."""
    name = "-".join(argv[:2])
    with (here.home / f"{name}.out").open("wb") as out, (here.home / f"{name}.err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *argv], env=here.env | env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            cwd=here.home, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, (here.home / f"{name}.err").read_text("utf-8")


def _said(here: Installation, name: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the part prints once it listens."""
    out = here.home / f"{name}.out"

    def printed() -> dict[str, Any]:
        assert process.poll() is None, (here.home / f"{name}.err").read_text("utf-8")
        try:
            found: dict[str, Any] = json.loads(out.read_text("utf-8"))
        except ValueError:
            return {}
        return found

    return wait_for(printed, f"{name} to say where it is", 60)


def test_each_part_alone_prints_the_settings_with_which_others_use_it(installation: Installation) -> None:
    here = installation
    with _running(here, "practice", "sites") as process:
        sites = _said(here, "practice-sites", process)
        controls = here.home / "controls.json"
        controls.write_text(json.dumps(sites["controls"]), "utf-8")
        with _running(here, "worker", "look", "--ready", str(here.home / "look.ready"), **sites["settings"]):
            wait_for((here.home / "look.ready").exists, "the look worker", 60)
            plan = here.lync_dr("plan", "fe1", **sites["settings"])
            data = json.loads(here.lync_dr("plan", "fe1", "--json", **sites["settings"]).stdout)
        assert "Invoke-CsPoolFailOver -PoolFqdn fe1.ocsguy.local -DisasterMode" in plan.stdout, plan.stderr
        for seen in ("## Seen", "- Users affected: ", "- Data loss: ", "PoolState: fe1 Active · fe2 Active", ", TTL "):
            assert seen in plan.stdout
        assert data["pool"] == "fe1"
        assert data["seen"]["pool_state"]["fe2"]["value"] == "Active"
        assert data["seen"]["edge_next_hop"]["edge1"]["value"] == "fe1"

    with _running(here, "practice", "slack", "--controls", str(controls)) as process:
        slack = _said(here, "practice-slack", process)
        with _running(here, "bot", "--ready", str(here.home / "bot.ready"), **slack["settings"]):
            wait_for((here.home / "bot.ready").exists, "the bot", 60)
            rita = Someone(slack["page_url"], "URITA", "Rita Berg")
            rita.type("C0INC", "/lync whoami")
            assert "Rita Berg" in rita.find("TPRACTICE", ephemeral=True).text
