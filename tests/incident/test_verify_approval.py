"""An auditor's judgement of the approval, on records in which one thing was not as it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from incident import commands as c
from incident.approvals_check import recheck_due
from incident.events import Event, Intent, Lapsed, Rechecked, RunStarted, StopOrdered, Voided
from incident.verify_approval import breaches, by_policy
from tests.incident.rules.play import DIGEST, POLICY, Play, Rec, planned, who

HONEST: list[Any] = Play().recovered().records
SOON = timedelta(hours=1)


def changed(kind: str, **update: Any) -> list[Any]:
    """The honest records with every event of that kind altered."""
    return [
        replace(record, event=record.event.model_copy(update=update)) if _kind(record.event) == kind else record
        for record in HONEST
    ]


def without(kind: str) -> list[Any]:
    return [record for record in HONEST if _kind(record.event) != kind]


def with_before(kind: str, event: Event) -> list[Any]:
    at = next(n for n, record in enumerate(HONEST) if _kind(record.event) == kind)
    return [*HONEST[:at], replace(HONEST[at], event=event), *HONEST[at:]]


def delayed(kind: str) -> list[Any]:
    return [replace(r, when=r.when + SOON) if _kind(r.event) == kind else r for r in HONEST]


def _kind(event: Event) -> str:
    return str(event.kind)  # type: ignore[attr-defined]


def test_the_honest_record_holds() -> None:
    assert breaches(HONEST) == ()
    assert by_policy(POLICY)(HONEST) == ()


@pytest.mark.parametrize(
    ("records", "says"),
    [
        (lambda: changed("voted", actor=who("URITA")), "the asker approved their own request"),
        (lambda: changed("voted", actor=None), "0 of 1 approvals beside the asker hold"),
        (lambda: changed("voted", digest="8a" * 32), "another question or another plan"),
        (lambda: changed("voted", nonce="another"), "another question or another plan"),
        (lambda: delayed("voted"), "not given while the question was open"),
        (lambda: changed("asked", quorum=3), "1 of 2 approvals beside the asker hold"),
        (lambda: changed("asked", asker="bo"), "another asker than the declaration"),
        (lambda: changed("run_started", digest="8a" * 32), "another plan than the one that was asked about"),
        (lambda: changed("run_started", request=2), "question 2, which was never asked"),
        (lambda: delayed("run_started"), "after the time for its first act was over"),
        (lambda: with_before("run_started", Voided(request=1, why=("edge3 was added",))), "was over by then (void)"),
        (lambda: without("run_started"), "sent without an approval"),
        (lambda: changed("intent", call={"cmdlet": "Remove-CsUser"}), "holds no such call"),
        (lambda: changed("intent", effect="observe"), "calls its effect once, not observe"),
        (lambda: changed("intent", host="somewhere.else"), "sends it to fe2.ocsguy.local, not to somewhere.else"),
        (lambda: changed("intent", literal="Get-CsUser"), "reads Invoke-CsManagementServerFailover -PoolFqdn"),
        (lambda: with_before("intent", StopOrdered()), "while a stop was standing"),
        (lambda: with_before("intent", Lapsed(request=1, which="window")), "sent without an approval"),
    ],
)
def test_what_was_not_as_it_must_be_is_named(records: Callable[[], list[Any]], says: str) -> None:
    given = records()
    found = breaches(given)
    assert found
    assert any(says in text for _, text in found)
    by_seq: dict[int, Rec] = {record.seq: record for record in given}
    assert all(isinstance(by_seq[seq].event, Intent) or _kind(by_seq[seq].event) == "run_started" for seq, _ in found)


def test_a_right_that_was_not_held_shows_by_the_policy_alone() -> None:
    stripped = tuple(
        p.model_copy(update={"roles": frozenset({"watch"})}) if p.id == "bo" else p for p in POLICY.persons
    )
    found = by_policy(POLICY.model_copy(update={"persons": stripped}))(HONEST)
    assert breaches(HONEST) == ()
    assert any("of 1 approvals beside the asker hold" in text for _, text in found)


# --- each thing alone, in a run that was not smooth --------------------------------------------------------


def texts(play: Play, *, policy: Any = POLICY) -> str:
    return "\n".join(text for _, text in breaches(play.records, policy))


def sent(play: Play, key: str, attempt: int = 1, **change: Any) -> Play:
    """The intent of a step put into the record without asking anybody."""
    begin = play.begin(key)
    intent = Intent(step=key, attempt=attempt, call_no=1, host=begin.host, literal=begin.literal, call=begin.call,
                    effect=begin.effect, epoch=1)  # fmt: skip
    play.take(intent.model_copy(update=change))
    return play


def approved() -> Play:
    play = Play().approved()
    play.done(c.TakeHand("w2", "a"))
    return play


STARTED = RunStarted(request=1, digest=DIGEST)


@pytest.mark.parametrize(
    ("seconds", "looked_at_s", "says"),
    [
        (62, None, ""),
        (66, None, "nobody was looked at again"),
        (66, 10, ""),
        (66, -5, "nobody was looked at again"),
        (299, 290, ""),
    ],
)
def test_long_after_the_last_approval_everybody_is_looked_at_again(
    seconds: int, looked_at_s: int | None, says: str
) -> None:
    play = Play().asked().after(60)
    looked = Rechecked(request=1, accounts={}, lost=())
    if looked_at_s is not None and looked_at_s < 0:
        play.take(looked)
        play.after(-looked_at_s)
    play.done(play.approve())
    if looked_at_s is not None and looked_at_s > 0:
        play.after(looked_at_s)
        play.take(looked)
        play.after(-looked_at_s)
    play.after(seconds)
    play.take(STARTED)
    assert texts(play) == (f"The run begins long after the last approval, and {says}." if says else "")


def test_a_look_that_is_older_than_the_window_is_none() -> None:
    request = approved().s.requests[0]
    at = request.votes[0].at + SOON
    seen = replace(request, rechecked_at=request.votes[0].at + timedelta(seconds=1))
    assert recheck_due(POLICY, seen, at)
    assert not recheck_due(POLICY, replace(seen, rechecked_at=at - timedelta(seconds=299)), at)
    terminal = replace(request.votes[0], actor=who("bo", via="cli", step=7))
    assert not recheck_due(POLICY, replace(request, votes=(terminal,)), at)


def test_the_approval_is_judged_at_the_start_and_again_at_each_change() -> None:
    found = [text for _, text in breaches(changed("voted", actor=who("URITA")))]
    for place in (
        "The run begins though: ",
        "the call of step cms was sent though: ",
        "the call of step pool was sent ",
    ):
        assert any(text.startswith(place) and "their own request" in text for text in found)


def test_a_plan_that_changed_under_the_approval_is_named() -> None:
    play = approved()
    play.take(planned("8a" * 32), STARTED)
    assert "another plan than the one that was asked about" in texts(play)
    play = Play().started()
    play.take(planned("8a" * 32))
    assert "under an approval of another plan" in texts(sent(play, "cms"))


def test_a_step_that_the_plan_does_not_have_is_named() -> None:
    assert "has no such step" in texts(sent(Play().started(), "cms", step="reboot"))


def test_a_first_call_too_late_is_named_and_a_later_one_is_not() -> None:
    assert "first, after the time to begin had ended" in texts(sent(Play().started().after(310), "cms"))
    assert texts(sent(Play().started().carry_out("cms").after(310), "pool")) == ""


def test_a_look_needs_no_approval_but_is_the_plans_own() -> None:
    play = Play().started().carry_out("cms").carry_out("pool").carry_out("dns.meet.dns2")
    fewer = POLICY.model_copy(update={"persons": tuple(p for p in POLICY.persons if p.id != "bo")})
    before = texts(play, policy=fewer)
    assert before
    assert texts(sent(play, "proof.signin"), policy=fewer) == before
    assert "sends it to" in texts(sent(play, "proof.signin", host="elsewhere"))


@pytest.mark.parametrize(
    ("result", "begun"), [("red", "not_begun"), ("unknown", "cannot_tell"), ("not_begun", "not_begun")]
)
def test_a_call_sent_again_without_a_ruling_is_named(result: str, begun: str) -> None:
    play = Play().started().failed("cms", result, begun)
    assert "a second time, and people had not ruled that it may be" in texts(sent(play, "cms", attempt=2))
    dns = Play().started().carry_out("cms").carry_out("pool").failed("dns.meet.dns2", result, begun)
    assert "a second time" in texts(sent(dns, "dns.meet.dns2", attempt=2)), "harmless, but people were asked"


def test_a_call_sent_again_before_anybody_looked_is_named() -> None:
    play = Play().started()
    play.done(play.begin("cms"))
    play.done(play.end("cms", "unknown"))
    assert "a second time" in texts(sent(play, "cms", attempt=2))


def test_a_call_after_people_gave_up_at_another_steps_turn_in_flight_or_settled_is_named() -> None:
    play = Play().started().failed("cms", "red", "not_begun")
    play.done(play.rule("UBO", "abort"))
    assert "after people had ended the run" in texts(sent(play, "cms", attempt=2))
    assert "before its turn" in texts(sent(Play().started(), "pool"))
    play = Play().started()
    play.done(play.begin("cms"))
    assert "while a call of step cms was in flight" in texts(sent(play, "cms", attempt=2))
    assert "although the step was settled" in texts(sent(Play().started().carry_out("cms"), "cms", attempt=2))


def test_the_next_call_of_an_attempt_goes_on_under_a_stop_and_after_a_call_that_ended_well() -> None:
    play = Play().started()
    play.done(play.begin("cms"))
    play.done(play.end("cms"))
    play.done(c.Stop(who("UWIM")))
    play.done(replace(play.begin("cms"), call_no=2))
    assert texts(play) == ""


def test_a_ruling_and_a_lifted_stop_by_people_without_the_right_are_named() -> None:
    play = Play().started().failed("cms", "red", "not_begun")
    play.done(play.rule("UBO", "retry"))
    play.done(c.Stop(who("UWIM")))
    play.done(c.GoOn(who("UCHEN")))
    play.done(play.begin("cms"))
    assert texts(play) == ""
    for person, says in (("bo", "The ruling retry about cms does not hold"), ("chen", "does not hold operate")):
        fewer = tuple(
            p.model_copy(update={"roles": frozenset({"approve"})}) if p.id == person else p for p in POLICY.persons
        )
        found = breaches(play.records, POLICY.model_copy(update={"persons": fewer}))
        assert any(says in text and text.startswith("the call of step cms") for _, text in found)
        assert any(text.startswith("The ruling") for _, text in found) == (person == "bo")


def test_a_journal_that_begins_with_no_declaration_holds_no_calls() -> None:
    assert breaches(HONEST[1:]) == ()
