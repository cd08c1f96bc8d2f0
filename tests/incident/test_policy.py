"""What a policy must not say: each bound by itself, at the value just beyond it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from incident.policy import MailPolicy, PagerPolicy, PairPolicy, Person, Policy, SlackId
from tests.incident.rules.play import DIGESTS, POLICY

GOOD: dict[type[BaseModel], dict[str, Any]] = {
    SlackId: {"team": "TPRACTICE", "user": "UBO"},
    Person: {"id": "bo", "name": "Bo Lund"},
    PairPolicy: {"pools": ("fe1", "fe2")},
    PagerPolicy: {"url": "pager"},
    MailPolicy: {"host": "mail", "sender": "dr@ocsguy.local"},
    Policy: {"team": "TPRACTICE", "home_channel": "C0HOME", "persons": ()},
}


def test_the_plainest_of_each_is_good() -> None:
    for kind, fields in GOOD.items():
        assert kind.model_validate(fields)


@pytest.mark.parametrize(
    ("kind", "field", "values"),
    [
        (SlackId, "team", ["practice"]),
        (SlackId, "user", ["bo"]),
        (Person, "id", ["Bo Lund", "../bo"]),
        (Person, "name", ["", "B" * 61]),
        (Person, "order", [0]),
        (Person, "rolls", [["approve"]]),
        (PairPolicy, "rto_s", [59]),
        (PagerPolicy, "every_s", [0]),
        (PagerPolicy, "tries", [0, 11]),
        (MailPolicy, "port", [0, 65_536]),
        (Policy, "team", ["practice"]),
        (Policy, "enterprise", ["ours"]),
        (Policy, "home_channel", ["#lync-dr"]),
        (Policy, "approver_group", ["approvers"]),
        (Policy, "quorum", [1, 10]),
        (Policy, "approval_expiry_s", [0]),
        (Policy, "execution_window_s", [0]),
        (Policy, "planned_expiry_s", [59]),
        (Policy, "recheck_after_s", [0, 61]),
        (Policy, "remind_every_s", [0]),
        (Policy, "wrong_codes", [0, 11]),
    ],
)
def test_what_is_out_of_bounds_is_refused(kind: type[BaseModel], field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValidationError):
            kind.model_validate({**GOOD[kind], field: value})


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ({"slack": [{"team": "T1", "user": "U1"}]}, {"slack": [{"team": "T1", "user": "U1"}]}, "share one Slack id"),
        ({"mail": "b@x"}, {"mail": "B@X"}, "share one mail address"),
        ({"id": "bo"}, {"id": "bo"}, "share one id"),
    ],
)
def test_one_human_is_one_entry(one: dict[str, Any], other: dict[str, Any], says: str) -> None:
    persons = [{"id": "a", "name": "A", **one}, {"id": "b", "name": "B", **other}]
    with pytest.raises(ValidationError, match=says):
        Policy.model_validate({**GOOD[Policy], "persons": persons})


def test_a_pair_stands_once_whatever_the_order() -> None:
    with pytest.raises(ValidationError, match="stands twice"):
        Policy.model_validate({**GOOD[Policy], "pairs": [{"pools": ["fe1", "fe2"]}, {"pools": ["fe2", "fe1"]}]})


def test_files_that_differ_are_named_and_others_are_not() -> None:
    assert DIGESTS.differences(DIGESTS) == ()
    assert DIGESTS.differences(DIGESTS.model_copy(update={"policy": "9" * 64})) == ("policy",)


def test_a_shared_account_holds_nothing_but_to_watch() -> None:
    desk = Person(id="noc", name="NOC", roles=frozenset({"watch", "approve"}), shared=True)
    assert desk.may("watch")
    assert not desk.may("approve")
    assert not Person(id="bo", name="Bo", roles=frozenset({"watch"})).may("approve")
    assert [p.id for p in POLICY.holders("declare")] == ["dana", "rita"]


def test_an_entry_with_the_name_of_a_desk_looks_shared() -> None:
    for more in ({"shared": True}, {"id": "noc"}, {"name": "OnCall"}):
        assert Person(**{"id": "bo", "name": "Bo", **more}).looks_shared, more
    assert not Person(id="bo", name="Bo").looks_shared
