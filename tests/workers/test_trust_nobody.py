"""A worker believes nobody: whoever can write to the store, or holds one true key, can stop a run and start none."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident import commands as c
from incident.copies import Copies
from incident.desk import Desk
from incident.events import Event, Planned, RunRefused, RunStarted, Voted
from incident.journals.signed import SignedJournal
from incident.keys import Keys, Writer
from incident.policy import Policy
from incident.record import write_record
from playbooks.plan import Plan, digest
from tests.workers.world import ACT1, ACT2, BOT, CARD, KEYS, NONCE, POLICY, World, person, who, writer
from workers.advance import advance
from workers.fresh import leave_note, looked_lately
from workers.results import Stopped
from workers.tools import Tools

FE2_INSTEAD = ("fe1.ocsguy.local", "fe2.ocsguy.local")


def reaches_nothing(world: World, tools: Tools | None = None, says: str = "") -> Stopped:
    """Rings, and sees that not one call that changes anything reached a server."""
    ending = advance(world.incident, tools or world.tools())
    assert isinstance(ending, Stopped), ending
    assert says in ending.sentence
    assert world.sites.told == []
    return ending


def forge(world: World, event: Event, by: Writer, key: Writer | None = None) -> None:
    """Puts a record behind the last one, as somebody with a hand in the store would: well formed, in `by`'s name."""
    journal = world.bot.journal
    head = journal.head(world.incident)
    record = write_record(
        event, incident=world.incident, seq=head.seq + 1, prev=head.h, not_before=head.at, now=by.now(),
        mono_ms=1, boot="0a1b2c3d", by=by.name, sign=(key or by).sign,
    )  # fmt: skip
    lines = [r.line for r in journal.read(world.incident)]
    world.store.put_raw(world.incident, [*lines, record.line])


def test_another_plan_in_the_name_of_a_true_worker_is_not_the_approved_one() -> None:
    """A worker's stolen key writes a plan with another target and people approve it: the next worker builds its own."""
    world = World().declared()
    world.survey()
    planned = world.state.planned
    assert planned is not None
    edited = Plan.from_data(json.loads(json.dumps(planned.plan).replace(*FE2_INSTEAD)))
    seal = digest(edited, world.own.slices("fe1"))
    evil = world.desk(ACT2).journal
    evil.append(evil.head(world.incident), [planned.model_copy(update={"plan": edited.data(), "digest": seal})])
    ask_and_approve(world)
    reaches_nothing(world, says="not the approved one")
    assert world.events(RunRefused)
    assert not world.events(RunStarted)


def ask_and_approve(world: World) -> None:
    world.do(c.AskApproval(actor=None, nonce=NONCE))
    world.do(c.RecordCard(request=1, card=CARD))
    world.do(world.approve("bo"))


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (POLICY.model_copy(update={"quorum": 3}), "is not what ops-leeds made the plan with"),
        (POLICY.model_copy(update={"persons": POLICY.persons[:1]}), "is not what ops-leeds made the plan with"),
        (
            POLICY.model_copy(update={"persons": (POLICY.persons[0], person("bo", "watch"), POLICY.persons[2])}),
            "is not what ops-leeds made the plan with",
        ),
    ],
    ids=["quorum of three", "approver unknown", "approver may only watch"],
)
def test_an_approval_by_another_policy_starts_nothing(policy: Policy, says: str) -> None:
    world = World().approved()
    own = world.own._replace(policy=policy)
    reaches_nothing(world, world.tools(own=own), says)
    assert [e.why[:3] for e in world.events(RunRefused)] == ["RUN"]


def test_another_estate_starts_nothing() -> None:
    world = World().approved()
    estate = world.own.estate.model_copy(update={"cms_home": "fe2"})
    reaches_nothing(world, world.tools(own=world.own._replace(estate=estate)), "is not what ops-leeds made")


def test_what_is_no_longer_so_asks_again() -> None:
    world = World().approved()
    world.sites.pools["fe2"] = "FailedOver"
    reaches_nothing(world, world.tools(fresh_s=0.0), "No longer so: PoolState of fe2")
    assert "APR013W" in world.codes()


class ClockOff:
    """A journal whose store tells another time."""

    def __init__(self, journal: SignedJournal, off_ms: int) -> None:
        self._journal, self._off_ms = journal, off_ms

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def clock_offset_ms(self) -> int:
        return self._off_ms


def test_a_clock_that_is_off_starts_nothing() -> None:
    world = World().approved()
    tools = world.tools()
    tools.desk.journal = ClockOff(tools.desk.journal, 31_000)  # type: ignore[assignment, arg-type]
    reaches_nothing(world, tools, "clock is off by 31 s")


FORGED = {
    "a bot's hand in a worker's event": lambda w: forge(w, RunStarted(request=1, digest="0" * 64), BOT),
    "a worker's hand in the people's event": lambda w: forge(w, approval(w), ACT2),
    "a stranger's key in a known name": lambda w: forge(w, approval(w), BOT, writer("bot", "bot")),
    "an unknown writer": lambda w: forge(w, approval(w), writer("bot-9", "bot")),
}


def approval(world: World) -> Event:
    planned = world.state.planned
    assert isinstance(planned, Planned)
    return Voted(actor=who("bo"), request=1, digest=planned.digest, nonce=NONCE, card=CARD, completes=True)


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_record_halts_the_hands(name: str) -> None:
    world = World().asked()
    FORGED[name](world)
    ending = reaches_nothing(world, says="HALT")
    assert "cannot be believed" in ending.sentence


def test_a_cut_tail_halts_the_hands_of_a_host_that_saw_it(tmp_path: Path) -> None:
    world = World().approved()
    journal = SignedJournal(world.store, keys=KEYS, writer=ACT1, copies=Copies(tmp_path))
    tools = world.tools()
    tools = replace(tools, desk=Desk(journal, tools.desk.rules, tools.desk.clock))
    journal.read(world.incident)
    # A stop that somebody would rather not have said.
    world.do(c.Stop(actor=who("chen")))
    journal.read(world.incident)
    lines = [r.line for r in journal.read(world.incident)]
    world.store.put_raw(world.incident, lines[:-1])
    # Another process of the same host has only the copy to go by.
    fresh = SignedJournal(world.store, keys=KEYS, writer=ACT1, copies=Copies(tmp_path))
    reaches_nothing(world, replace(tools, desk=Desk(fresh, tools.desk.rules, tools.desk.clock)), "HALT")


def test_an_incident_replayed_under_another_name_halts_the_hands() -> None:
    world = World().approved()
    lines = [r.line for r in world.bot.journal.read(world.incident)]
    world.store.put_raw("20261122-fe1-z", lines)
    world.incident = "20261122-fe1-z"
    reaches_nothing(world, says="HALT")


def test_without_keys_nobody_is_believed() -> None:
    world = World().approved()
    journal = SignedJournal(world.store, keys=Keys([ACT1.public]), writer=ACT1, copies=None)
    tools = world.tools()
    reaches_nothing(world, replace(tools, desk=Desk(journal, tools.desk.rules, tools.desk.clock)), "unknown here")


def test_a_note_about_the_last_look_counts_only_from_a_worker_for_this_plan_and_while_young() -> None:
    world = World().asked()
    now = datetime.now(UTC)
    tools = world.tools(keys=KEYS, sign=ACT1.sign, fresh_s=15.0)
    state = world.state
    assert state.survey is not None
    assert state.planned is not None
    old = replace(state, survey=state.survey.model_copy(update={"ended": now - timedelta(seconds=60)}))
    for who_signs, name, plan, age_s, counts in (
        (ACT1, "act1", state.planned.digest, 3, True),
        (ACT1, "act1", state.planned.digest, 20, False),
        (ACT1, "act1", "0" * 64, 3, False),
        (ACT1, "act2", state.planned.digest, 3, False),
        (BOT, "bot", state.planned.digest, 3, False),
        (writer("act1", "worker"), "act1", state.planned.digest, 3, False),
    ):
        said = replace(old, planned=old.planned.model_copy(update={"digest": plan}))  # type: ignore[union-attr]
        leave_note(replace(tools, name=name, sign=who_signs.sign), said, now - timedelta(seconds=age_s))
        assert looked_lately(tools, old) == counts, (name, plan, age_s)
    assert not looked_lately(tools, old), "a note is good once"
