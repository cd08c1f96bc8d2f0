"""Who may write what, as a table of its own: a worker's key writes no request, a bot's key no deed."""

from __future__ import annotations

from incident.events import event_classes

PEOPLE = """declared joined outage_set noted lead_taken cancelled closed follow_up_settled asked still_disaster voted
declined lapsed locked_out refused told ruling_voted ruling stop_ordered went_on confirmed reviewed"""
SLACK = "card_posted rechecked people_looked"
"""What only the bot can know."""
HANDS = """surveyed planned hard_stopped hand_taken run_started run_refused waits step_skipped intent output outcome
verified step_failed slow proven run_ended replicas_seen halted halt_over"""
ANYBODY = "follow_up voided revoked incident_opened incident_closed text_stated started exported"
"""What gives nobody a right: it takes one away, or says that something is so."""


def test_each_kind_of_event_has_its_writers() -> None:
    meant = {
        kind: writers
        for kinds, writers in (
            (PEOPLE, {"bot", "cli"}),
            (SLACK, {"bot"}),
            (HANDS, {"worker"}),
            (ANYBODY, {"bot", "cli", "worker"}),
        )
        for kind in kinds.split()
    }
    assert {kind: set(cls.WRITERS) for kind, cls in event_classes().items()} == meant
