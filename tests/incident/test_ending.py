"""One headline for the end: what is missing is said wherever the result is, and only a whole recovery is good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident import ending, first_screen
from incident.clocks import figures
from incident.state import StepState
from tests.incident.rules.house import House
from tests.incident.rules.play import POLICY


def step(key: str, status: Any) -> StepState:
    return StepState(id=key, title=key, host="fe2.ocsguy.local", index=1, plan={}, status=status)


DNS, PAGE = step("dns.meet.dns2", "done"), step("proof.meeting", "done")


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ((DNS, PAGE), "meetings yes"),
        ((DNS,), "meetings yes"),
        ((PAGE,), "meetings yes"),
        ((), "meetings not known"),
        ((step("proof.meeting", "ruled_done"),), "meetings not known"),
        ((DNS, step("proof.meeting", "degraded")), "meeting page does not answer"),
        ((step("dns.meet.dns2", "waiting"),), "meeting links no"),
        ((DNS, step("dns.meet.dns1", "degraded"), PAGE), "meeting links not everywhere"),
        ((DNS, step("dns.meet.dns1", "ruled_skip"), PAGE), "meeting links not everywhere"),
    ],
)
def test_what_became_of_meetings_is_read_from_the_steps(steps: tuple[StepState, ...], found: str) -> None:
    assert ending.meetings(steps) == found
    assert bool(ending.meetings_in_words(steps)) is (found != "meetings yes")


@pytest.mark.parametrize(
    ("closed", "steps", "headline", "tone"),
    [
        ("recovered", (DNS,), "RECOVERED", "good"),
        ("recovered", (), "RECOVERED, BUT MEETINGS NOT KNOWN", "warn"),
        ("recovered_late", (DNS,), "RECOVERED LATE", "warn"),
        ("recovered_late", (), "RECOVERED LATE, BUT MEETINGS NOT KNOWN", "warn"),
        ("incomplete", (), "INCOMPLETE", "bad"),
        ("aborted", (), "ABORTED", "plain"),
        ("a result of later years", (), "CLOSED", "plain"),
        ("", (), "", "warn"),
    ],
)
def test_the_headline_and_its_colour(closed: str, steps: tuple[StepState, ...], headline: str, tone: str) -> None:
    house = House()
    state = replace(house.bot.state(house.recovered()), closed=closed, steps=steps)
    assert (ending.headline(state), ending.tone(state)) == (headline, tone)


def test_the_first_screen_and_the_list_say_what_is_missing() -> None:
    house = House()
    state = house.bot.state(house.recovered())
    bare = replace(state, steps=tuple(s for s in state.steps if not s.id.startswith("dns")))
    records = house.bot.records(state.id)
    whole = first_screen.first_screen(state, records, POLICY, first_screen.Beside(), "UTC")
    less = first_screen.first_screen(bare, records, POLICY, first_screen.Beside(), "UTC")
    assert (whole.result, whole.result_tone) == ("RECOVERED, 8:20 of 15:00", "good")
    assert (less.result, less.result_tone) == ("RECOVERED, BUT MEETINGS NOT KNOWN, 8:20 of 15:00", "warn")
    assert first_screen.result_line(bare, figures(bare, bare.at)) == less.result
