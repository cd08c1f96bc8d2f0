"""One contract for three journals: in memory, in files, in a real Redis-compatible server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from incident.copies import Copies
from incident.events import IncidentClosed, IncidentOpened, Refused
from incident.journal import (
    REGISTER,
    BadJournal,
    Fenced,
    Head,
    HeldBy,
    IncidentExists,
    JournalDiffers,
    JournalShorter,
    Moved,
    NoSuchIncident,
    Over,
    PairBusy,
    WrongWriter,
)
from incident.journals.signed import SignedJournal
from incident.keys import Keys
from tests.incident.desk import (
    BOT,
    HAND,
    KEYS,
    PAIR,
    Clock,
    Make,
    a_short_incident,
    closed,
    declared,
    events_of,
    file_journals,
    hand_taken,
    intent,
    memory_journals,
    note,
    output,
    redis_journals,
)

A, B = "20261122-fe1-a", "20261122-fe3-a"


@pytest.fixture(params=["memory", "file", "redis"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Make]:
    if request.param == "memory":
        return memory_journals(tmp_path)
    if request.param == "file":
        return file_journals(tmp_path)
    return redis_journals(tmp_path, request.getfixturevalue("store"))


def test_what_is_appended_is_read_by_others_in_order(kept: tuple[Any, Make]) -> None:
    _, make = kept
    bot, hand = make(BOT), make(HAND)
    opened = bot.open(A, PAIR, [declared(), note("first")])
    head = bot.append(opened, [note("second")])
    assert events_of(hand, A) == [declared(), note("first"), note("second")]
    assert hand.head(A) == head == bot.head(A)
    assert [r.seq for r in hand.read(A, after=2)] == [3]
    assert bot.read(A)[2].actor == note().actor.model_dump(mode="json")  # type: ignore[union-attr]
    assert bot.read(A)[2].cause == (1,)
    assert "actor" not in bot.read(A)[2].body
    with pytest.raises(NoSuchIncident, match=r"20261122-fe9-z"):
        bot.read("20261122-fe9-z")
    for strange in ("", "../other/20261122-fe1-a", "a" * 1500, "a\0", "²"):
        with pytest.raises(NoSuchIncident, match="There is no incident of that name"):
            bot.read(strange)


def test_only_one_of_two_decisions_on_the_same_head_is_stored(kept: tuple[Any, Make]) -> None:
    _, make = kept
    bot, other = make(BOT), make(BOT, "another host")
    at = bot.open(A, PAIR, [declared()])
    bot.append(at, [note("mine")])
    with pytest.raises(Moved, match=r"record 2 of 20261122-fe1-a first"):
        other.append(at, [note("too late")])
    assert events_of(other, A) == [declared(), note("mine")]


def test_twenty_racing_appenders_and_one_winner(kept: tuple[Any, Make]) -> None:
    _, make = kept
    at = make(BOT).open(A, PAIR, [declared()])
    won: list[int] = []
    lost: list[Moved] = []
    start = threading.Barrier(20)

    def race(number: int) -> None:
        journal = make(BOT, f"host{number}")
        journal.read(A)
        start.wait()
        try:
            journal.append(at, [note(str(number))])
            won.append(number)
        except Moved as moved:
            lost.append(moved)

    racers = [threading.Thread(target=race, args=(n,)) for n in range(20)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert len(won) == 1
    assert len(lost) == 19
    assert events_of(make(BOT), A) == [declared(), note(str(won[0]))]


def test_an_older_hand_can_append_nothing_more(kept: tuple[Any, Make]) -> None:
    _, make = kept
    bot, first, second = make(BOT), make(HAND), make(HAND, "another host")
    at = first.append(bot.open(A, PAIR, [declared()]), [hand_taken(1)], epoch=1)
    at = second.append(at, [hand_taken(2)], epoch=2)
    first.read(A)
    with pytest.raises(Fenced, match=r"epoch 2, this hand had 1"):
        first.append(at, [intent(epoch=1)], epoch=1)
    with pytest.raises(Fenced):
        second.append(at, [hand_taken(4)], epoch=4)
    with pytest.raises(Fenced):
        second.append(at, [intent(epoch=3)], epoch=3)
    second.append(at, [intent(epoch=2)], epoch=2)
    assert bot.incidents()[0].epoch == 2


def test_opening_claims_the_pair_and_closing_frees_it(kept: tuple[Any, Make]) -> None:
    _, make = kept
    bot = make(BOT)
    at = bot.open(A, PAIR, [declared()])
    with pytest.raises(PairBusy, match=r"in the hands of incident 20261122-fe1-a") as busy:
        bot.open("20261122-fe1-b", PAIR, [declared()])
    assert busy.value.by == A
    with pytest.raises(IncidentExists):
        bot.open(A, "another pair", [declared()])
    bot.append(at, [closed()])
    bot.open("20261122-fe1-b", PAIR, [declared()])
    assert [(i.incident, i.open, i.pair) for i in bot.incidents()] == [(A, False, None), ("20261122-fe1-b", True, PAIR)]


def test_a_declaration_over_another_run_takes_its_claim_in_one_stroke(kept: tuple[Any, Make]) -> None:
    _, make = kept
    bot = make(BOT)
    old = bot.open(A, PAIR, [declared()])
    stale = Head(A, 1, "0" * 64, old.at)
    with pytest.raises(Moved):
        bot.open("20261122-fe2-a", PAIR, [declared("fe2")], over=Over(stale, (note("stopped"),)))
    assert [i.incident for i in bot.incidents()] == [A]
    bot.open("20261122-fe2-a", PAIR, [declared("fe2")], over=Over(old, (closed(),)))
    assert events_of(bot, A) == [declared(), closed()]
    assert [(i.incident, i.open, i.pair) for i in bot.incidents()] == [(A, False, None), ("20261122-fe2-a", True, PAIR)]
    kinds = [(e.kind, e.number) for e in events_of(bot, REGISTER) if isinstance(e, IncidentOpened | IncidentClosed)]
    assert kinds == [("incident_opened", 1), ("incident_opened", 2), ("incident_closed", 1)]


def test_a_process_that_never_read_the_other_run_may_declare_over_it(kept: tuple[Any, Make]) -> None:
    _, make = kept
    old = make(BOT).open(A, PAIR, [declared()])
    other = make(BOT, "another host")
    other.open("20261122-fe2-a", PAIR, [declared("fe2")], over=Over(old, (closed(),)))
    assert events_of(other, A) == [declared(), closed()]
    with pytest.raises(NoSuchIncident):
        other.open("20261122-fe2-b", PAIR, [declared("fe2")], over=Over(Head(B, 1, old.h, old.at), (closed(),)))


def test_the_register_numbers_incidents_without_a_gap(kept: tuple[Any, Make]) -> None:
    _, make = kept
    starts = threading.Barrier(8)

    def open_one(number: int) -> None:
        journal = make(BOT, f"host{number}")
        starts.wait()
        at = journal.open(f"20261122-p{number}-a", f"pair {number}", lambda no: [declared(), note(f"no. {no}")])
        if number % 2:
            journal.append(at, [closed()])

    openers = [threading.Thread(target=open_one, args=(n,)) for n in range(8)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(30)
    bot = make(BOT)
    told = [e for e in events_of(bot, REGISTER) if isinstance(e, IncidentOpened)]
    assert [e.number for e in told] == list(range(1, 9))
    for entry in told:
        assert events_of(bot, entry.incident)[1] == note(f"no. {entry.number}")
    ended = [e for e in events_of(bot, REGISTER) if isinstance(e, IncidentClosed)]
    assert {e.head for e in ended} == {i.h for i in bot.incidents() if not i.open}
    assert len(ended) == 4


def test_the_register_also_takes_what_belongs_to_no_incident(kept: tuple[Any, Make]) -> None:
    _, make = kept
    bot = make(BOT)
    assert bot.read(REGISTER) == ()
    refused = Refused(why="REF001E", what="declare", text="You may not declare for fe1.")
    head = bot.append(bot.head(REGISTER), [refused])
    assert head.seq == 1
    bot.open(A, PAIR, [declared()])
    with pytest.raises(Moved):
        bot.append(head, [refused])


def test_holds_are_for_the_whole_estate(kept: tuple[Any, Make]) -> None:
    _, make = kept
    bot, hand = make(BOT), make(HAND)
    one, two = bot.open(A, PAIR, [declared()]), bot.open(B, "fe3+fe4", [declared("fe3")])
    one = hand.append(one, [hand_taken()], epoch=1, take=["cms", "pool:fe1"])
    hand.read(B)
    with pytest.raises(HeldBy, match=r"cms is held by incident 20261122-fe1-a") as held:
        hand.append(two, [hand_taken()], epoch=1, take=["edge:edge1", "cms"])
    assert (held.value.hold, held.value.by) == ("cms", A)
    assert dict(bot.holds()) == {"cms": A, "pool:fe1": A}
    silent = bot.last_bell()
    assert hand.append(one, [], epoch=1, give=["cms", "edge:edge1"]) == one
    assert [(bell.incident, bell.seq) for bell in bot.bells(silent, 5)] == [(A, 2)]
    with pytest.raises(Fenced):
        hand.append(one, [], epoch=2, take=["cms"])
    hand.append(one, [intent()], epoch=1, take=["cms"], give=["cms"])
    # Nobody lets go of what another incident holds.
    two = hand.append(two, [hand_taken()], epoch=1, take=["cms"], give=["pool:fe1"])
    assert dict(bot.holds()) == {"cms": B, "pool:fe1": A}
    bot.read(B)
    bot.append(two, [closed()])
    assert dict(bot.holds()) == {"pool:fe1": A}


def test_a_bell_rings_for_every_append(kept: tuple[Any, Make]) -> None:
    _, make = kept
    bot, hand = make(BOT), make(HAND)
    silent = bot.last_bell()
    assert bot.bells(silent, 0) == []
    at = bot.open(A, PAIR, [declared()])
    heard = bot.bells(silent, 5)
    assert {(b.incident, b.seq) for b in heard} == {(A, 1), (REGISTER, 1)}
    last = heard[-1].id
    assert last == bot.last_bell()
    ringer = threading.Thread(target=lambda: (hand.read(A), hand.append(at, [hand_taken()], epoch=1)))
    ringer.start()
    (bell,) = bot.bells(last, 10)
    ringer.join(10)
    assert (bell.incident, bell.seq) == (A, 2)
    assert len(bot.bells("", 0)) == 3


def test_a_lease_has_one_owner_at_a_time(kept: tuple[Any, Make]) -> None:
    _, make = kept
    journal = make(None)
    assert journal.lease(A, "act1", 30)
    assert journal.lease(A, "act1", 30)
    assert not journal.lease(A, "act2", 30)
    journal.release(A, "act2")
    assert journal.leased_by(A) == "act1"
    journal.release(A, "act1")
    assert journal.leased_by(A) is None
    assert abs(journal.clock_offset_ms()) < 2000


def test_a_clock_set_back_never_puts_an_answer_before_its_question(kept: tuple[Any, Make]) -> None:
    _, make = kept
    bot = make(BOT)
    clock: Any = BOT.now
    assert isinstance(clock, Clock)
    at = bot.open(A, PAIR, [declared()])
    clock.move(-3600)
    try:
        later = bot.append(at, [note()])
    finally:
        clock.move(3600)
    assert later.at == at.at == "2026-11-22T03:07:12.345Z"


def test_nobody_writes_what_is_not_theirs(kept: tuple[Any, Make]) -> None:
    _, make = kept
    at = make(BOT).open(A, PAIR, [declared()])
    with pytest.raises(WrongWriter, match=r"bot may not write Intent"):
        make(BOT).append(at, [intent()])
    with pytest.raises(WrongWriter, match=r"only reads"):
        make(None).append(at, [note()])
    assert make(BOT).append(at, []) == at


def test_a_rewritten_journal_is_refused_by_name(kept: tuple[Any, Make]) -> None:
    store, make = kept
    lines = list(a_short_incident(make))
    store.put_raw(A, [*lines[:3], lines[3].replace(b"hydrate", b"Hydrate"), *lines[4:]])
    with pytest.raises(JournalDiffers, match=r"Record 4 of 20261122-fe1-a in the store is not the one this host saw"):
        make(BOT).read(A)
    with pytest.raises(BadJournal, match=r"Record 4 .* was changed after it was written"):
        make(BOT, "a host that saw nothing").read(A)


def test_what_is_known_already_is_compared_and_not_judged_again(kept: tuple[Any, Make]) -> None:
    store, make = kept
    lines = list(a_short_incident(make))
    known = {A: make(BOT).read(A)[:-2]}

    def stranger(**more: Any) -> SignedJournal:
        """It knows no writer's key, so it can believe nothing that it has to judge itself."""
        return SignedJournal(store, keys=Keys(), writer=None, copies=None, **more)

    with pytest.raises(BadJournal, match="Record 1 "):
        stranger().read(A)
    with pytest.raises(BadJournal, match="Record 7 "):
        stranger(known=known).read(A)
    store.put_raw(A, lines[:-2])
    assert [r.line for r in stranger(known=known).read(A)] == lines[:-2]
    store.put_raw(A, [*lines[:3], lines[3].replace(b"hydrate", b"Hydrate"), *lines[4:-2]])
    with pytest.raises(JournalDiffers, match="Record 4 "):
        stranger(known=known).read(A)
    store.put_raw(A, lines[:3])
    with pytest.raises(JournalShorter):
        stranger(known=known).read(A)


def test_a_journal_that_lost_its_end_is_refused(kept: tuple[Any, Make]) -> None:
    store, make = kept
    lines = list(a_short_incident(make))
    watching = make(BOT)
    watching.read(A)
    store.put_raw(A, lines[:-2])
    for journal in (watching, make(BOT)):
        with pytest.raises(JournalShorter, match=r"ends at record 6, but this host has acknowledged records up to 8"):
            journal.read(A)
    store.put_raw(A, [])
    with pytest.raises(JournalShorter):
        make(BOT).read(A)
    store.put_raw(A, lines)
    assert len(make(BOT).read(A)) == 8


def test_a_register_that_was_emptied_opens_nothing(kept: tuple[Any, Make]) -> None:
    store, make = kept
    a_short_incident(make)
    store.put_raw(REGISTER, [])
    with pytest.raises(JournalShorter):
        make(BOT).open(B, "fe3+fe4", [declared("fe3")])


def test_output_goes_unsigned_and_is_sealed_by_the_next_record(kept: tuple[Any, Make]) -> None:
    _, make = kept
    at = make(HAND).append(make(BOT).open(A, PAIR, [declared()]), [output(), hand_taken()], epoch=1)
    records = make(BOT).read(A)
    assert [r.s is None for r in records] == [False, True, False]
    assert records[2].prev == records[1].h
    assert at.seq == 3


class Yes:
    """A store that says yes to every append and keeps what it likes."""

    def __init__(self, store: Any) -> None:
        self._store, self.given = store, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, batch: object) -> None:
        self.given += 1


def test_what_was_decided_on_another_head_is_not_even_given_to_the_store(tmp_path: Path) -> None:
    store, make = memory_journals(tmp_path)
    first = make(BOT).open(A, PAIR, [declared()])
    head = make(BOT, "another host").append(first, [note()])
    yes = Yes(store)
    journal = SignedJournal(yes, keys=KEYS, writer=BOT, copies=None)  # type: ignore[arg-type]
    for stale in (first, Head(A, head.seq, "7c" * 32, head.at), Head(A, 3, head.h, head.at)):
        with pytest.raises(Moved):
            journal.append(stale, [note("too late")])
    with pytest.raises(NoSuchIncident):
        journal.append(Head(B, 1, head.h, head.at), [note()])
    assert yes.given == 0


def test_open_incidents_are_copied_and_a_closed_one_that_was_never_copied_is_not(tmp_path: Path) -> None:
    _, make = memory_journals(tmp_path)
    a_short_incident(make)
    make(BOT).open(B, "fe3+fe4", [declared("fe3")])
    for incident, copied in ((A, 0), (B, 1)):
        make(BOT, "a late host").read(incident)
        assert len(Copies(tmp_path / "a late host" / "bot").lines(incident)) == copied
