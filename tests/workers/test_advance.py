"""Carrying out, against two sites in memory: one whole run, and the truth table of what can happen to a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from incident import commands as c
from incident.events import FollowUp, HandTaken, Intent, Outcome, StepFailed, Waits
from incident.journal import NotStored
from incident.restraint import FREE_TRIES, wait_s
from tests.workers.world import ACT2, POLICY, Play, Sites, World, configuration, who
from workers.advance import advance
from workers.redact import Redactor
from workers.remote.door import Answer, CallLike, RunId
from workers.results import Closed, HeldByAnother, Stopped, WaitingForPerson, WaitsForHold

CMS, EDGE, POOL = "Invoke-CsManagementServerFailover", "Set-CsEdgeServer", "Invoke-CsPoolFailOver"
ADD, DROP = "Add-DnsServerResourceRecordA", "Remove-DnsServerResourceRecord"
RED = "Something went wrong in red."


def test_a_run_from_approval_to_proof() -> None:
    world = World().approved()
    assert isinstance(world.advance(), Closed)
    assert world.state.run_ended == "complete"
    assert world.sent() == [CMS, EDGE, POOL, *[ADD, DROP] * 5]
    clocks = world.state.clocks
    assert None not in (clocks.t1, clocks.t2, clocks.t3, clocks.t4, clocks.t5, clocks.pool_verified)
    # An intent stands before each outcome, and nothing is held any more.
    codes = [code for code in world.codes() if code in ("STP002I", "STP003I")]
    assert codes == ["STP002I", "STP003I"] * 13
    assert not world.bot.journal.holds()
    # A second ring finds nothing to do and writes nothing.
    before = world.state.seq
    assert isinstance(world.advance(who=ACT2), Closed)
    assert world.state.seq == before


def test_a_view_that_may_hang_on_a_dead_cms_is_not_asked_once_another_has_decided() -> None:
    world = World().approved()
    world.remote.seen.clear()
    world.advance()
    before = [seen.cmdlet for seen in world.remote.seen if seen.run.step == "cms.look"]
    assert before == ["Get-CsConfigurationStoreLocation"]


def test_a_sign_in_without_the_meeting_page_proves_nothing() -> None:
    world = World(own=configuration(verify_limit_s=1)).approved()

    def fails(sites: Sites, call: CallLike) -> Play:
        return Play(rows=({"Result": "Failure"},))

    world.sites.tricks["Test-CsWebScheduler"] = [fails] * 20
    assert isinstance(world.advance(), Closed)
    assert (world.status("proof.signin"), world.status("proof.meeting")) == ("done", "degraded")
    assert world.state.clocks.t5 is None


# --- the truth table ----------------------------------------------------------------------------------------


def red_and_done(sites: Sites, call: CallLike) -> Play:
    sites.obey(call)
    return Play(errors=(RED,))


def red_and_untouched(sites: Sites, call: CallLike) -> Play:
    return Play(errors=(RED,), terminated=True)


def red_and_half(sites: Sites, call: CallLike) -> Play:
    sites.pools["fe1"] = "FailingOver"
    return Play(errors=(RED,))


def turned_away(sites: Sites, call: CallLike) -> Play:
    return Play(refused="fe2.ocsguy.local refused the shell. Nothing was run.")


def cut_and_done(sites: Sites, call: CallLike) -> Play:
    sites.obey(call)
    return Play(cut=True)


def cut_and_untouched(sites: Sites, call: CallLike) -> Play:
    return Play(cut=True)


def cut_and_half(sites: Sites, call: CallLike) -> Play:
    sites.pools["fe1"] = "FailingOver"
    return Play(cut=True)


def silent(sites: Sites, call: CallLike) -> Play:
    sites.obey(call)
    return Play(hang=True)


@dataclass(frozen=True)
class Row:
    """What a server does with one call, what is then certain, and how many people it takes to run it again."""

    cmdlet: str
    trick: Callable[[Sites, CallLike], Play]
    result: str
    status: str
    begun: str = ""
    retry_takes: int = 0
    """0: nobody is asked, and the run goes on by itself."""
    sent: int = 1


ROWS = {
    "once, red, done": Row(POOL, red_and_done, "red", "done_red"),
    "once, red, not begun": Row(POOL, red_and_untouched, "red", "failed", "not_begun", 1, 2),
    "once, red, half done": Row(POOL, red_and_half, "red", "failed", "half_done", 2, 2),
    "once, turned away": Row(POOL, turned_away, "refused", "failed", "not_begun", 1, 2),
    "once, cut, done": Row(POOL, cut_and_done, "unknown", "done"),
    "once, cut, not begun": Row(POOL, cut_and_untouched, "unknown", "unknown", "not_begun", 2, 2),
    "once, cut, half done": Row(POOL, cut_and_half, "unknown", "unknown", "half_done", 2, 2),
    "once, silent, done": Row(POOL, silent, "unknown", "done"),
    "converge, cut, not begun": Row(EDGE, cut_and_untouched, "unknown", "done", sent=2),
    "converge, turned away": Row(EDGE, turned_away, "refused", "done", sent=2),
    "converge, red, not begun": Row(EDGE, red_and_untouched, "red", "failed", "not_begun", 1, 2),
    "degradable, red": Row(ADD, red_and_untouched, "red", "degraded", "not_begun", sent=5),
}
SLOW_TWINS = ("once, silent, done", "converge, turned away", "degradable, red")
"""Rows that other tests touch as well."""
STEPS = {CMS: "cms", EDGE: "edge.edge1", POOL: "pool", ADD: "dns.meet.dns2"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.all) if n in SLOW_TWINS else n for n in ROWS])
def test_what_is_certain_decides(name: str) -> None:
    row, step = ROWS[name], STEPS[ROWS[name].cmdlet]
    world = World(own=configuration(limit_s=2, usual_s=[0, 1])).approved()
    world.sites.tricks[row.cmdlet] = [row.trick]
    ending = world.advance()
    first = next(e for e in world.events(Outcome) if e.step == step)
    assert (first.result, world.status(step)) == (row.result, row.status)
    if row.begun:
        failed = next(e for e in world.events(StepFailed) if e.step == step)
        assert failed.begun == row.begun
        assert failed.table[0][2]
        assert failed.text.count(".") >= 2, failed.text
    if row.result == "red":
        assert RED in " ".join(first.red)
        assert any(step in e.key for e in world.events(FollowUp)) == (row.status in ("done_red", "degraded"))
    if row.retry_takes:
        assert isinstance(ending, WaitingForPerson)
        # Nobody sends it again before enough people have said so, however often it rings.
        for person in ("bo", "chen")[: row.retry_takes]:
            assert isinstance(world.advance(who=ACT2), WaitingForPerson)
            assert len(world.sent(row.cmdlet)) == 1
            world.rule(person, "retry", step)
        ending = world.advance(who=ACT2)
    assert isinstance(ending, Closed), ending
    assert len(world.sent(row.cmdlet)) == row.sent
    assert world.state.run_ended == "complete"


def test_slower_than_usual_is_said_and_has_no_consequence() -> None:
    world = World(own=configuration(limit_s=2, usual_s=[0, 1])).approved()
    world.sites.tricks[POOL] = [silent]
    world.advance()
    assert world.codes().count("STP009W") == 1
    assert world.state.run_ended == "complete"


@pytest.mark.parametrize(
    ("verdict", "ended", "status"), [("done", "complete", "ruled_done"), ("abort", "aborted", "failed")]
)
def test_people_may_settle_a_step_or_end_the_run(verdict: str, ended: str, status: str) -> None:
    world = World().approved()
    world.sites.tricks[POOL] = [red_and_half]
    world.advance()
    for person in ("bo", "chen"):
        world.rule(person, verdict, "pool")
    assert isinstance(world.advance(), Closed)
    assert (world.state.run_ended, world.status("pool")) == (ended, status)
    assert len(world.sent(POOL)) == 1
    assert bool(world.sent(ADD)) == (ended == "complete")


# --- stops, holds, other hands --------------------------------------------------------------------------------


def test_a_stop_acts_before_the_next_step_and_not_inside_one() -> None:
    world = World().approved()

    def stopped_meanwhile(sites: Sites, call: CallLike) -> Play:
        world.do(c.Stop(actor=who("chen"), why="wait"))
        return sites.obey(call)

    world.sites.tricks[CMS] = [stopped_meanwhile]
    assert isinstance(world.advance(), WaitingForPerson)
    assert (world.status("cms"), world.sent()) == ("done", [CMS])
    world.do(c.GoOn(actor=who("bo")))
    assert isinstance(world.advance(), Closed)


def test_what_another_incident_holds_is_waited_for_and_rung_for() -> None:
    world = World().approved()
    other = "20261122-fe3-a"
    journal = world.desk(ACT2).journal
    declared = world.state.declared.model_copy(update={"pool": "fe3", "partner": "fe4"})
    world.bot.journal.open(other, "fe3+fe4", [declared])
    head = journal.append(journal.head(other), [HandTaken(epoch=1, host="h", worker="act2")], epoch=1, take=["cms"])
    for _ in range(4):
        assert world.advance() == WaitsForHold("cms", other)
    assert len(world.events(HandTaken)) == 1, "what is held is not taken over again and again"
    assert [e.other for e in world.events(Waits)] == [other]
    assert not world.sent()
    journal.append(head, [HandTaken(epoch=2, host="h", worker="act2")], epoch=2, give=["cms"])
    assert isinstance(world.advance(), Closed)
    # Letting go rang for the others.
    assert ("workers.jobs.advance", (other,)) in world.bell.rung


def test_a_step_that_is_already_so_is_skipped() -> None:
    world = World().approved()
    world.sites.edge = "fe2"
    world.advance()
    assert world.status("edge.edge1") == "skipped"
    assert EDGE not in world.sent()


class PowerCut(BaseException):
    """The worker is gone in the middle of everything."""


@dataclass
class Doomed:
    """A door whose worker dies at one cmdlet: before a byte is sent, or when the server has ended."""

    world: World
    cmdlet: str
    sent: bool

    def run(self, host: str, call: CallLike, *given: Any) -> Answer:
        if call.cmdlet != self.cmdlet:
            return self.world.remote.run(host, call, *given)
        if self.sent:
            self.world.remote.run(host, call, *given)
        raise PowerCut

    def run_many(self, *given: Any) -> Any:
        return self.world.remote.run_many(*given)

    def trace(self, host: str, run: RunId) -> Any:
        return self.world.remote.trace(host, run)


@pytest.mark.parametrize(("cmdlet", "sent", "result"), [(POOL, True, "adopted"), (POOL, False, "unknown"),
                                                         (EDGE, False, "not_begun")])  # fmt: skip
def test_another_hand_looks_at_what_a_lost_one_began(cmdlet: str, sent: bool, result: str) -> None:
    world = World().approved()
    with pytest.raises(PowerCut):
        world.advance(remote=Doomed(world, cmdlet, sent))
    assert world.state.open_attempt is not None
    ending = world.advance(who=ACT2)
    outcome = next(e for e in world.events(Outcome) if e.step == STEPS[cmdlet])
    assert outcome.result == result
    assert len(world.sent(cmdlet)) == (0 if result == "unknown" else 1)
    if result == "unknown":
        # An intent without a trace is no permission: two people decide.
        assert isinstance(ending, WaitingForPerson)
        world.rule("bo", "retry", "pool")
        assert isinstance(world.advance(), WaitingForPerson)
        world.rule("chen", "retry", "pool")
        ending = world.advance()
    assert isinstance(ending, Closed)
    assert len(world.sent(cmdlet)) == 1


def test_nothing_is_sent_that_somebody_else_has_begun() -> None:
    world = World().approved()
    world.sites.pools["fe1"] = "FailingOver"
    assert isinstance(world.advance(), WaitingForPerson | Stopped)
    assert POOL not in world.sent()


def test_a_dns_server_that_fails_is_a_debt_and_no_name_is_emptied() -> None:
    world = World().approved()
    world.sites.tricks[ADD] = [red_and_untouched]
    assert isinstance(world.advance(), Closed)
    assert (world.status("dns.meet.dns2"), world.status("dns.meet.dns2.drop")) == ("degraded", "degraded")
    # The old value stays where the new one could not be added; every other name moved.
    assert world.sites.names == {
        name: {"10.10.0.11"} if name == "meet" else {"10.20.0.11"} for name in world.sites.names
    }
    assert len(world.sent(DROP)) == 4
    # The meeting page is found by a name that still points at the lost site: signing in alone proves no service.
    assert (world.status("proof.signin"), world.state.clocks.t5) == ("done", None)


def test_a_hand_that_was_overtaken_writes_nothing_more() -> None:
    """Frozen and thawed, or cut off: another hand has raised the epoch while this one's cmdlet ran."""
    world = World().approved()

    def overtaken(sites: Sites, call: CallLike) -> Play:
        answer = world.desk(ACT2).do(world.incident, c.TakeHand("ops-london", "act2"))
        assert answer.ok
        return sites.obey(call)

    world.sites.tricks[POOL] = [overtaken]
    assert isinstance(world.advance(), HeldByAnother)
    by_act1 = [r for r in world.bot.records(world.incident) if r.by == "act1"]
    assert by_act1[-1].code == "STP002I", "the intent was its last word"
    assert isinstance(world.advance(who=ACT2), Closed)
    assert len(world.sent(POOL)) == 1
    assert [e.result for e in world.events(Outcome) if e.step == "pool"] == ["adopted"]


@dataclass
class Slow:
    """A door at which something happens between the intent and the last byte of one cmdlet."""

    world: World
    cmdlet: str
    meanwhile: Callable[[], object]

    def run(self, host: str, call: CallLike, *given: Any) -> Answer:
        if call.cmdlet == self.cmdlet:
            self.meanwhile()
        return self.world.remote.run(host, call, *given)

    def run_many(self, *given: Any) -> Any:
        return self.world.remote.run_many(*given)

    def trace(self, host: str, run: RunId) -> Any:
        return self.world.remote.trace(host, run)


@pytest.mark.parametrize("what", ["overtaken", "stopped", "orphaned"])
def test_a_hand_that_was_frozen_before_the_last_byte_sends_nothing(what: str) -> None:
    world = World().approved()
    alive = [True]
    meanwhile: dict[str, Callable[[], object]] = {
        "overtaken": lambda: world.desk(ACT2).do(world.incident, c.TakeHand("ops-london", "act2")),
        "stopped": lambda: world.do(c.Stop(who("chen"), "wait")),
        "orphaned": lambda: alive.__setitem__(0, False),
    }
    ending = world.advance(remote=Slow(world, POOL, meanwhile[what]), alive=lambda: alive[0])
    assert not world.sent(POOL)
    outcomes = [e for e in world.events(Outcome) if e.step == "pool"]
    if what == "overtaken":
        assert isinstance(ending, HeldByAnother)
        assert not outcomes, "the other hand looks for itself"
    else:
        assert [e.result for e in outcomes] == ["refused"]
        assert "Nothing was run" in outcomes[0].sentence


class Full:
    """A journal that cannot store intents any more."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def append(self, at: Any, events: Any, **more: Any) -> Any:
        if any(isinstance(event, Intent) for event in events):
            raise NotStored("The store's disk is full. Nothing was stored.")
        return self._journal.append(at, events, **more)


def test_no_append_no_act() -> None:
    world = World().approved()
    tools = world.tools()
    tools.desk.journal = Full(tools.desk.journal)
    ending = advance(world.incident, tools)
    assert isinstance(ending, Stopped)
    assert "disk is full" in ending.sentence
    assert world.sent() == []
    assert isinstance(world.advance(), Closed)


def test_without_a_test_user_a_person_proves_it() -> None:
    own = configuration()
    world = World(own=own._replace(estate=own.estate.model_copy(update={"test_user": ()}))).approved()
    assert isinstance(world.advance(), WaitingForPerson)
    assert world.state.clocks.t4
    assert world.state.clocks.t5 is None
    before = world.state.seq
    assert isinstance(world.advance(), WaitingForPerson)
    assert world.state.seq == before, "a ring in vain leaves no trace"
    world.do(c.Confirm(actor=who("chen"), text="I signed in, no red banner."))
    assert isinstance(world.advance(), Closed)
    assert "no red banner" in world.state.steps[-1].text


def test_a_change_that_shows_late_is_waited_for() -> None:
    world = World(own=configuration(verify_limit_s=4)).approved()
    asked: list[str] = []

    def not_yet(sites: Sites, call: CallLike) -> Play:
        asked.append(call.cmdlet)
        return Play(rows=({"Identity": "EdgeServer:edge1.ocsguy.local", "Registrar": "Registrar:fe1.ocsguy.local"},))

    def set_now(sites: Sites, call: CallLike) -> Play:
        sites.tricks["Get-CsService"] = [not_yet, not_yet, not_yet]
        return sites.obey(call)

    world.sites.tricks[EDGE] = [set_now]
    assert isinstance(world.advance(), Closed)
    assert (len(asked), world.status("edge.edge1"), len(world.sent(EDGE))) == (3, "done", 1)


class Broken:
    """Eyes that meet a fault nobody foresaw."""

    def __init__(self, looker: Any) -> None:
        self._looker = looker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._looker, name)

    def look(self, *given: Any) -> Any:
        raise ValueError("hunter2 is not a number")


def test_a_fault_of_our_own_is_said_once_and_tried_less_and_less_often() -> None:
    world = World().approved()
    tools = world.tools()
    broken = replace(tools, looker=Broken(tools.looker), redactor=Redactor(["hunter2"]))
    for _ in range(8):
        assert isinstance(advance(world.incident, broken), Stopped)
    (said,) = [e for e in world.events(FollowUp) if e.key.startswith("stands-")]
    assert "ValueError at test_advance.py" in said.text
    assert "hunter2" not in said.text
    assert len(world.events(HandTaken)) == 1 + FREE_TRIES, "later rings write nothing"
    # A person's word makes the next ring count.
    world.do(c.AddNote(who("bo"), "the worker is mended"))
    assert isinstance(world.advance(), Closed)


def test_a_run_that_a_rule_refuses_does_not_spin() -> None:
    """This worker's own policy has lost the approver after the run began: it says so once, and does not go on."""
    world = World().approved()
    world.sites.tricks[CMS] = [red_and_untouched]
    assert isinstance(world.advance(), WaitingForPerson)
    world.rule("bo", "retry", "cms")
    without_bo = POLICY.model_copy(update={"persons": tuple(p for p in POLICY.persons if p.id != "bo")})
    own = world.own._replace(policy=without_bo)
    for _ in range(8):
        assert isinstance(world.advance(own=own), Stopped)
    assert len([e for e in world.events(FollowUp) if e.key.startswith("stands-")]) == 1
    assert len(world.sent(CMS)) == 1
    hands = len(world.events(HandTaken))
    assert hands <= 1 + FREE_TRIES
    # A worker whose policy knows him goes on when the wait is over.
    assert [wait_s(n) for n in (0, 1, 2, 3, 9, 50)] == [0, 0, 5, 10, 300, 300]
