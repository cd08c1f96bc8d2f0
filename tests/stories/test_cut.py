"""The line to the surviving site is cut while a cmdlet runs: what people read, and that nothing is sent twice."""

from __future__ import annotations

from tests.stories.rehearsal import CHANNEL, Rehearsal


def test_a_cut_line_is_unknown_never_a_failure_and_what_was_done_all_the_same_is_adopted(rehearsal: Rehearsal) -> None:
    # It works for a second, so that somebody listens when the line is cut.
    rehearsal.control("leeds", "fault", kind="hang", cmdlet="Invoke-CsPoolFailOver", when="begin", seconds=1.0)
    rehearsal.control("leeds", "fault", kind="cut", cmdlet="Invoke-CsPoolFailOver", when="midway")
    rehearsal.declare()
    rehearsal.approve()
    said = rehearsal.rita.find("UNKNOWN", "step 3 Pool failover", "this is not a failure", channel=CHANNEL, limit_s=60)
    assert "Do not run it by hand" in said.text
    rehearsal.rita.find("RECOVERED", "Asked Rita Berg · approved Bo Lund", channel=CHANNEL, limit_s=60)
    cmdlets = [call["cmdlet"] for call in rehearsal.calls()]
    assert cmdlets.count("Invoke-CsPoolFailOver") == 1
