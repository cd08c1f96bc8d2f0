"""The bot rings for samples while no incident looks, and says when a host turns the workers away."""

from __future__ import annotations

from incident.doorbell import SAMPLE
from tests.bot.stage import Stage
from tests.waiting import wait_for

SINCE = "2026-11-22T03:02:00Z"


def test_samples_are_rung_for_and_their_trouble_is_told_at_home(stage: Stage) -> None:
    bell = stage.world.bell
    wait_for(lambda: (SAMPLE, ()) in bell.rung, "a ring for a sample")
    bell.keep_samples({"samples": {"denied": {"fe1.ocsguy.local": {"since": SINCE}}}})
    said = stage.slack.someone("rita").find("fe1.ocsguy.local", "turns the account", channel="C0HOME")
    assert "Windows does not lock" in said.text
