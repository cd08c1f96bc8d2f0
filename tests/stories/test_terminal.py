"""Slack is gone, and the whole failover is done from a terminal; when Slack is back, the channel hears of it."""

from __future__ import annotations

import os
import signal

from incident.events import Declared, RulingVoted, Voted
from tests.stories.rehearsal import Rehearsal


def test_the_whole_way_in_a_terminal(rehearsal: Rehearsal) -> None:
    here = rehearsal
    here.enroll("rita", "bo", "chen")
    here.lose_london()
    here.control("leeds", "fault", kind="red", cmdlet="Invoke-CsPoolFailOver", when="begin")
    here.admin("fault", down="error")

    done = here.lync_dr("declare", "fe1", "dc1", "power", "--person", "rita", "--otp", here.code("rita"))
    assert done.returncode == 0, done.stderr
    here.until(lambda: here.incident().phase == "asking", "the question")
    shown = here.lync_dr("status").stdout
    assert "fe2.ocsguy.local     Invoke-CsPoolFailOver -PoolFqdn fe1.ocsguy.local -DisasterMode" in shown
    assert "AMBER" in shown
    short = shown.split(" · code ")[1].split()[0]

    done = here.lync_dr("approve", "--code", short, "--person", "bo", "--otp", here.code("bo"))
    assert done.returncode == 0, done.stderr
    here.until(lambda: here.incident().waiting_step, "the red text")
    failed = next(line for line in here.lync_dr("status").stdout.splitlines() if line.startswith("!!"))
    assert "Invoke-CsPoolFailOver : Cannot fail over pool" in failed
    assert "At line:1" not in here.lync_dr("status").stdout, "one line for each step"
    told = here.lync_dr("audit", "show", here.incident().id).stdout
    assert "Means: " in told
    assert ".." not in told
    again = here.lync_dr(
        "rule", "pool", "retry", "--reason", "CMS is over", "--person", "chen", "--otp", here.code("chen")
    )
    assert again.returncode == 0, again.stderr
    here.until(lambda: here.incident().clocks.t5, "the run to end without Slack")

    told = {type(r.event): r.actor for r in here.records()}
    for event, person in ((Declared, "rita"), (Voted, "bo"), (RulingVoted, "chen")):
        actor = told[event]
        assert actor is not None
        assert (actor["person"], actor["via"]) == (person, "cli")
    approved_at = here.incident().requests[-1].votes[-1].at
    here.admin("fault", clear=True)
    here.rita.find("RECOVERED", "Asked Rita Berg · approved Bo Lund", limit_s=60)
    line = here.rita.find("Approved by Bo Lund in a terminal", limit_s=60)
    assert f"{approved_at:%H:%M:%S} Approved by Bo Lund in a terminal" in line.text, "with its own time"


def test_with_no_bot_at_all_a_terminal_asks_and_rings_by_itself(rehearsal: Rehearsal) -> None:
    here = rehearsal
    here.enroll("rita", "bo")
    here.lose_london()
    bot = int(here.place["pids"]["bot"])
    os.kill(bot, signal.SIGSTOP)  # frozen: it neither asks nor rings, and is not started again
    try:
        done = here.lync_dr("declare", "fe1", "dc1", "power", "--person", "rita", "--otp", here.code("rita"))
        assert done.returncode == 0, done.stderr
        assert "Answer here: lync-dr approve" in done.stdout, "the question is open when declare returns"
        short = done.stdout.split(" · code ")[1].split()[0]
        done = here.lync_dr("approve", "--code", short, "--person", "bo", "--otp", here.code("bo"))
        assert done.returncode == 0, done.stderr
        here.until(lambda: here.incident().clocks.t5, "the run to end without a bot", 60)
    finally:
        os.kill(bot, signal.SIGCONT)
    asked = next(r for r in here.records() if r.kind == "asked")
    assert asked.by == "cli"
    here.rita.find("RECOVERED", "Asked Rita Berg · approved Bo Lund", limit_s=60)
