"""One rehearsal for all attacks of a test process; an incident for each module."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.practice import CONFIG, rehearse
from tests.attacks.theatre import CHANNEL, HOME, Theatre

POLICY = Path(__file__).with_name("policy.toml")
GENEROUS = {"users.info": 6000, "chat.update": 6000, "chat.postEphemeral": 6000, "views.open": 6000}


@pytest.fixture(scope="session")
def theatre() -> Iterator[Theatre]:
    """Everything started, with files of its own that a test may change."""
    out = Path(tempfile.mkdtemp(prefix="la-"))
    policy, estate = out / "policy.toml", out / "estate.toml"
    shutil.copy(POLICY, policy)
    # A dead host is given up after 2 s instead of 3: every declaration waits for that.
    text = (CONFIG / "estate.practice.toml").read_text("utf-8")
    estate.write_text(text.replace("dns_s = 3\nport_s = 3\n", "dns_s = 2\nport_s = 2\n"), "utf-8")
    settings = {
        "LYNC_DR_POLICY": str(policy),
        "LYNC_DR_ESTATE": str(estate),
        "LYNC_DR_RECONCILE_S": "1",
        "LYNC_DR_RELOOK_S": "3",
        "LYNC_DR_FRESH_S": "1",
    }
    try:
        with rehearse(out, "zero,heartbeat=0.2", settings, lambda _: None, threading.Event()) as place:
            stage = Theatre(place, policy, estate)
            _people(stage)
            yield stage
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _people(stage: Theatre) -> None:
    """Everybody who tries something, in the channel; and rates that are not what is looked at here."""
    stage.admin("user", id="URITAADMIN", name="rita.admin", real_name="Rita Berg (admin)")
    stage.admin("user", id="UNOC", name="noc", real_name="Night desk")
    stage.admin("user", id="UWANDA", name="wanda", real_name="Wanda Watch")
    for channel in (CHANNEL, HOME):
        everybody = stage.admin("channel", id=channel)["channel"]["members"]
        more = [u for u in ("URITAADMIN", "UNOC", "UWANDA") if u not in everybody]
        stage.admin("channel", id=channel, members=[*everybody, *more])
    stage.admin("rates", per_minute=GENEROUS, burst=GENEROUS, channel_per_minute=6000, channel_burst=100)
