"""The desk over a real journal: races, refusals that are counted, joining and taking over, the register."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from incident import commands as c
from incident.events import Refused
from incident.journal import REGISTER, Fenced
from incident.plans import literal_of
from incident.register import Register

from .house import House, approve
from .play import DECLARE, DIGEST, DIGESTS, RULES, T1, person, planned, who


def test_an_incident_is_opened_joined_and_carried_by_a_worker_with_an_epoch():
    house = House()
    first = house.bot.declare(DECLARE)
    assert (first.incident, first.opened) == ("20261122-fe1-a", True)
    again = house.other_bot.declare(replace(DECLARE, actor=who("UDANA")))
    assert again.joined
    assert again.incident == first.incident
    assert not again.opened
    house = House()
    key = house.asked()
    house.after(30)
    assert house.bot.do(key, approve("UBO")).state.phase == "approved"
    taken = house.worker.do(key, c.TakeHand("w2", "act-1"))
    assert taken.state.epoch == 1
    started = house.worker.do(key, c.StartRun(1, DIGEST, DIGESTS))
    assert started.ok
    assert started.state.phase == "running"
    act = started.state.steps[0].plan["act"]
    begin = c.BeginCall(1, "cms", 1, "fe2.ocsguy.local", literal_of(act), act, "once")
    house.worker.do(key, c.TakeHand("w2", "act-2"))
    assert house.worker.do(key, begin).refusal.code == "RUN020E", "an older hand writes nothing"
    assert house.worker.do(key, replace(begin, epoch=2), take=("cms",)).ok
    assert house.bot.journal.holds() == {"cms": key}
    with pytest.raises(Fenced):
        house.worker.journal.append(house.worker.journal.head(key), [planned()], epoch=1)


def test_racing_clicks_over_two_bots_count_once_and_every_click_is_answered():
    crowd = tuple(person(f"p{n}", "approve") for n in range(20))
    policy = RULES.policy.model_copy(update={"persons": (*RULES.policy.persons, *crowd)})
    house = House(RULES.model_copy(update={"policy": policy}))
    key = house.asked()
    answers = []

    def click(n: int) -> None:
        desk = house.bot if n % 2 else house.other_bot
        answers.append(desk.do(key, approve(f"UP{n % 20}")))

    threads = [threading.Thread(target=click, args=(n,)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 60
    assert sum(a.ok for a in answers) == 1
    assert {a.refusal.code for a in answers if a.refusal} <= {"APR043E", "APR047E"}
    kinds = [r.kind for r in house.bot.records(key)]
    assert kinds.count("voted") == 1


def test_one_refusal_is_written_once_then_counted_and_the_rest_is_written_when_the_question_ends():
    house = House()
    key = house.asked()
    for _ in range(13):
        answer = house.bot.do(key, approve("URITA"))
        assert answer.refusal.code == "APR020E"
    written = [r.event for r in house.bot.records(key) if r.kind == "refused"]
    assert [e.count for e in written] == [1, 10]
    house.bot.do(key, approve("UBO"))
    written = [r.event for r in house.bot.records(key) if r.kind == "refused"]
    assert [e.count for e in written] == [1, 10, 13]
    assert [r.code for r in house.bot.records(key) if r.kind == "refused"] == ["APR020E"] * 3


def test_what_belongs_to_no_incident_stands_in_the_register():
    house = House()
    answer = house.bot.declare(replace(DECLARE, actor=who("UOLAF")))
    assert answer.refusal.code == "REF021E"
    assert answer.state is None
    lacks = house.bot.declare(replace(DECLARE, actor=who("UBO")))
    assert lacks.refusal.code == "REF022E"
    assert lacks.refusal.text.startswith("You may not declare a disaster for fe1. Nothing happened. Call: Dana Ito")
    assert house.bot.do("20261122-fe9-a", c.Stop(who("UBO"))).refusal.code == "REF061E"
    written = [r.event for r in house.bot.records(REGISTER)]
    assert all(isinstance(e, Refused) for e in written)
    assert len(written) == 3


def test_the_wrong_pool_first_then_the_right_one_keeps_the_clock_and_ends_the_other():
    house = House()
    wrong = replace(DECLARE, pool="fe2", partner="fe1")
    first = house.bot.declare(wrong)
    house.after(45)
    second = house.bot.declare(DECLARE)
    assert second.opened
    assert second.state.declared.linked == first.incident
    assert second.state.clocks.t1 == T1
    assert second.state.declared_at == T1 + timedelta(seconds=45)
    assert house.bot.state(first.incident).closed == "cancelled"
    assert [i.id for i in house.bot.open_incidents()] == [second.incident]
    kinds = [r.kind for r in house.bot.records(REGISTER)]
    assert kinds == ["incident_opened", "incident_opened", "incident_closed"]


def test_a_one_time_code_counts_once_in_the_whole_installation():
    """Whoever saw it being typed for one thing can do no other thing with it, in any incident."""
    house = House()
    key = house.asked()
    rita = who("rita", via="cli", step=500)
    other_pair = replace(DECLARE, actor=rita, pool="fe3", pool_fqdn="fe3.x", partner="fe4", partner_fqdn="fe4.x")
    other = house.other_bot.declare(other_pair)
    assert other.opened
    assert house.bot.do(key, c.AddNote(rita, "seen over a shoulder")).refusal.code == "REF032E"
    third = house.bot.declare(replace(other_pair, pool="fe5", partner="fe6"))
    assert (third.refusal.code, third.opened) == ("REF032E", False)
    # In the incident that was closed meanwhile, and for a review.
    assert house.other_bot.do(other.incident, c.Cancel(who("rita", via="cli", step=501))).ok
    assert house.bot.do(key, c.AddNote(who("rita", via="cli", step=501), "again")).refusal.code == "REF032E"
    Register(house.bot.journal).reviewed(who("dana", via="cli", step=600), other.incident)
    late = replace(approve("UDANA"), actor=who("dana", via="cli", step=600), card=None)
    assert house.other_bot.do(key, late).refusal.code == "APR032E"
    assert house.bot.spent() == {"rita": 501, "dana": 600}
    # A wrong guess spends nothing, another person's step neither, and the next code counts.
    assert house.bot.do(key, c.AddNote(who("rita", via="cli", step=502), "in time")).ok
    assert house.other_bot.do(key, replace(late, actor=who("dana", via="cli", step=601))).ok
