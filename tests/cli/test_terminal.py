"""The day Slack is gone: two persons, each proved by a one-time code, in a terminal over a real store.

What bot and look worker would have written is written here with their keys; the commands are the real ones.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime

from incident.commands import AskApproval, RecordSurvey
from incident.events import Account, LockedOut, Refused, StopOrdered, Voted
from incident.register import Register
from tests.cli.installation import Installation
from tests.incident.rules import play
from tests.waiting import wait_for


def _asked(here: Installation, level: str = "green") -> str:
    """Declared in the terminal, which waits for the question while look worker and bot do their part."""
    here.enroll("rita", "bo", "chen")
    others = threading.Thread(target=_others_part, args=(here, level))
    others.start()
    done = here.within("declare", "fe1", "dc1", "power", "--person", "rita", "--otp", here.code("rita"))
    others.join(30)
    assert done.returncode == 0, done.stderr
    assert "fe1 London: declared as" in done.stdout
    assert "A second person must approve" in done.stdout
    assert here.incident().request is not None
    return here.incident().id


def _others_part(here: Installation, level: str) -> None:
    """The look worker's survey and plan, and the bot's question, as soon as there is an incident."""
    look, bot = here.desk("look"), here.desk("bot")
    name = wait_for(lambda: next((i.id for i in look.open_incidents()), ""), "the declaration")
    look.do(name, RecordSurvey((play.surveyed(datetime.now(UTC)), play.planned(level=level))))
    bot.do(name, AskApproval(None, "n0" * 16))


def _refusals(here: Installation) -> list[tuple[str, int]]:
    return [(r.event.why, r.event.count) for r in here.records() if isinstance(r.event, Refused)]


def test_two_persons_wholly_in_a_terminal(installation: Installation) -> None:
    here = installation
    _asked(here)
    shown = here.within("status")
    assert "code 7K2M9Q" in shown.stdout
    assert f"lync-dr approve {here.incident().id} --code 7K2M9Q" in shown.stdout

    alone = here.within("approve", "--code", "7K2M9Q", "--person", "rita", "--otp", here.code("rita"))
    assert alone.returncode == 1
    assert "another person must approve" in alone.stderr
    guessed = here.within("approve", "--code", "AAAAAA", "--person", "bo", "--otp", here.code("bo"))
    assert (guessed.returncode, "APR049E") == (1, _refusals(here)[-1][0])

    code = here.code("bo")
    done = here.lync_dr("approve", "fe1", "--code", "7k2m9q", "--person", "bo", "--otp", f"{code[:3]} {code[3:]}")
    assert done.returncode == 0, done.stderr
    assert "Your approval counted at" in done.stdout
    vote = next(r for r in here.records() if isinstance(r.event, Voted))
    assert vote.actor is not None
    assert (vote.by, vote.actor["person"], vote.actor["via"]) == ("cli", "bo", "cli")
    assert isinstance(vote.actor["code_step"], int)

    again = here.within("go-on", "--person", "bo", "--otp", code)
    assert again.returncode == 1
    assert "This one-time code was used before" in again.stderr
    stopped = here.lync_dr("stop", "--person", "chen", "--otp", here.code("chen"))
    assert (stopped.returncode, stopped.stdout) == (0, "Stopped after the step in flight.\n")
    assert sum(isinstance(r.event, StopOrdered) for r in here.records()) == 1
    assert [why for why, _ in _refusals(here)] == ["APR020E", "APR049E", "REF032E"]


def test_three_wrong_codes_lock_and_nothing_happens_in_anothers_name(installation: Installation) -> None:
    here = installation
    _asked(here)
    said = []
    for argv in (("go-on",), ("approve", "--code", "7K2M9Q"), ("approve", "--code", "7K2M9Q")):
        done = here.within(*argv, "--person", "bo", "--otp", "00000x")
        assert done.returncode == 1
        said.append(done.stderr.strip())
    assert said[0].startswith("Wrong code, 1 of 3.")
    assert said[2] == "Wrong code, 3 of 3. You may no longer approve or decide here; the channel is told."
    late = here.within("approve", "--code", "7K2M9Q", "--person", "bo", "--otp", here.code("bo"))
    assert late.returncode == 1
    assert "Ask another person" in late.stderr
    assert here.incident().stop is None
    assert [r.event.person for r in here.records() if isinstance(r.event, LockedOut)] == ["bo"]
    # Stopping is safe: it counts without a code too, and the record names nobody for it.
    assert here.within("stop", "--person", "bo", "--otp", "00000x").returncode == 0
    stopped = here.incident().stop
    assert stopped is not None
    assert stopped.by is not None
    assert (stopped.by.person, "who says to be Bo Lund (not proven)" in stopped.by.name) == (None, True)


def test_under_red_the_asker_insists_and_the_pool_is_typed(installation: Installation) -> None:
    here = installation
    name = _asked(here, "red")
    assert "RED" in here.within("status").stdout
    approve = ("approve", name, "--code", "7K2M9Q", "--person", "bo")
    assert "Still a disaster" in here.within(*approve, "--otp", here.code("bo")).stderr
    insisted = here.within("still-a-disaster", name, "--person", "rita", "--otp", here.code("rita"))
    assert insisted.returncode == 0, insisted.stderr
    assert "Type fe1 to approve" in here.within(*approve, "--otp", here.code("bo")).stderr
    done = here.within(*approve, "--type-pool", "FE1", "--otp", here.code("bo"))
    assert done.returncode == 0, done.stderr


def test_whom_slack_last_saw_deactivated_is_refused(installation: Installation) -> None:
    here = installation
    _asked(here)
    gone = Account(deleted=True, team="TPRACTICE")
    Register(here.desk("bot").journal).looked({"TPRACTICE/UBO": gone})
    done = here.within("approve", "--code", "7K2M9Q", "--person", "bo", "--otp", here.code("bo"))
    assert done.returncode == 1
    assert "deactivated" in done.stderr
    assert _refusals(here)[-1][0] == "APR024E"


def test_decline_then_cancel(installation: Installation) -> None:
    here = installation
    name = _asked(here)
    declined = here.within("decline", "--why", "not tonight", "--person", "chen", "--otp", here.code("chen"))
    assert (declined.returncode, declined.stdout) == (0, "Declined. Nothing was run.\n")
    mine = here.within("cancel", "--person", "bo", "--otp", here.code("bo"))
    assert (mine.returncode, _refusals(here)[-1][0]) == (1, "REF022E")
    assert here.within("cancel", name, "--person", "rita", "--otp", here.code("rita")).returncode == 0
    shown = json.loads(here.within("audit", "list", "--json").stdout)["incidents"][-1]
    assert shown["incident"] == name
    assert here.within("status").stdout == "No incident is open.\n"


def test_what_is_refused_before_anything_is_on_record(installation: Installation) -> None:
    here = installation
    unknown = here.within("declare", "fe9", "--person", "rita", "--otp", "000000")
    assert unknown.returncode == 1
    assert "There is no pool fe9" in unknown.stderr
    stranger = here.within("declare", "fe1", "--person", "olaf", "--otp", "000000")
    assert "olaf is no person of the policy" in stranger.stderr
    unenrolled = here.within("declare", "fe1", "--person", "rita", "--otp", "000000")
    assert "Enrol: lync-dr person enroll rita" in unenrolled.stderr
    here.enroll("rita")
    wrong = here.within("declare", "fe1", "--person", "rita", "--otp", "000000")
    assert (wrong.returncode, "one-time code" in wrong.stderr) == (1, True)
    assert not here.journal.incidents()
    # The policy it was judged by and the wrong code are in the register; the rest named nobody to be held to it.
    assert [r.code for r in here.journal.read("register")] == ["REG010I", "REF036E"]
