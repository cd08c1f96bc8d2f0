"""An auditor's judgement of the approval, on records in which one thing was not as it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from incident.events import Event, Intent, Lapsed, StopOrdered, Voided
from incident.verify_approval import breaches, by_policy
from tests.incident.rules.play import POLICY, Play, Rec, who

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
