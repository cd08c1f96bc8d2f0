"""One whole run, and the truth table of what happened to a call."""

from __future__ import annotations

from tests.workers.world import World
from workers.results import Closed


def test_a_run_from_approval_to_proof() -> None:
    world = World().approved()
    ending = world.advance()
    assert isinstance(ending, Closed), ending
    assert world.state.run_ended == "complete"
