"""Replicas of the CMS, watched beside a run: when, what is written, whose staying behind is expected, and the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from incident import commands as c
from incident import replicas
from incident.events import FollowUp, ReplicaSeen, ReplicasSeen

from .play import Play, surveyed

LIMIT = 900


def reading(play: Play, edge: bool, *more: ReplicaSeen, fe2: bool = True, ago: float = 0) -> c.RecordReplicas:
    """What was read `ago` seconds before now: the lost pool's server never catches up."""
    seen = (
        ReplicaSeen(fqdn="edge1.ocsguy.local", up_to_date=edge),
        # Who reads does not judge: what it says about the dead is not believed.
        ReplicaSeen(fqdn="fe1.ocsguy.local", dead=False),
        ReplicaSeen(fqdn="fe2.ocsguy.local", pool="fe2", up_to_date=fe2, dead=True),
        *more,
    )
    return c.RecordReplicas(seen, play.now - timedelta(seconds=ago), LIMIT)


def unread(play: Play, why: str = "fe2 did not answer") -> c.RecordReplicas:
    return c.RecordReplicas((), play.now, LIMIT, why)


def moved() -> Play:
    return Play().started().after(1).carry_out("cms")


def test_nothing_is_watched_before_the_move_was_read_back():
    play = Play().started()
    assert play.refused(reading(play, True)).code == "RUN045E"
    play.done(play.begin("cms"))
    play.after(60).done(play.end("cms"))
    assert not replicas.watched(play.s)
    assert play.refused(reading(play, True)).code == "RUN045E"
    play.after(1).done(c.VerifyStep(1, "cms", "read back", 1000))
    assert replicas.watched(play.s)


def test_where_people_only_said_that_it_moved_nothing_is_watched():
    play = Play().started().failed("cms", "unknown", "cannot_tell")
    for user in ("UBO", "UCHEN"):
        play.done(play.rule(user, "done"))
    assert play.s.step("cms").status == "ruled_done"
    assert not replicas.watched(play.s)


def test_a_reading_is_written_when_it_differs_and_ends_when_all_that_live_have_caught_up():
    play = moved()
    (first,) = play.done(reading(play, False))
    assert isinstance(first, ReplicasSeen)
    assert (first.code, first.over) == ("RPL001I", "")
    assert [(r.fqdn[:4], r.up_to_date, r.dead) for r in first.replicas] == [
        ("edge", False, False), ("fe1.", False, True), ("fe2.", True, False),
    ]  # fmt: skip
    assert replicas.short(play.s) == "CMS replicas 1 of 2 · not yet: edge1 · fe1 dead, expected"
    for _ in range(3):
        assert play.after(10).done(reading(play, False)) == ()
    (last,) = play.after(10).done(reading(play, True))
    assert (last.code, last.over) == ("RPL002I", "all")
    assert replicas.short(play.s) == "CMS replicas 2 of 2 · fe1 dead, expected"
    assert not replicas.watched(play.s)
    assert play.refused(reading(play, False)).code == "RUN045E"
    assert play.s.phase == "running"


def test_a_reading_that_began_before_the_change_ends_nothing():
    play = moved()
    (seen,) = play.done(reading(play, True, ago=5))
    assert seen.over == ""
    (seen,) = play.after(10).done(reading(play, True))
    assert seen.over == "all"


def test_a_lost_pool_that_answers_is_not_called_dead():
    play = Play().started()
    look = surveyed(play.now)
    play.done(c.RecordSurvey((look.model_copy(update={"facts": look.facts | {"answers.fe1.fe2": {"value": True}}}),)))
    play.after(1).carry_out("cms")
    (seen,) = play.done(reading(play, True))
    assert (seen.over, [r.dead for r in seen.replicas]) == ("", [False] * 3)
    assert [r.fqdn for r in replicas.behind(play.s)] == ["fe1.ocsguy.local"]


def test_what_could_not_be_read_is_news_only_at_first():
    play = moved()
    (seen,) = play.done(unread(play))
    assert (seen.code, seen.why, replicas.short(play.s)) == (
        "RPL001I", "fe2 did not answer", "CMS replicas could not be read",
    )  # fmt: skip
    assert play.after(10).done(unread(play, "fe2 was silent")) == ()
    (seen,) = play.after(10).done(reading(play, False))
    assert seen.why == ""
    assert play.after(10).done(unread(play)) == ()
    assert [r.fqdn for r in replicas.up_to_date(play.s)] == ["fe2.ocsguy.local"]


def test_after_its_limit_the_watch_ends_and_leaves_what_is_behind_to_people():
    play = moved()
    play.done(reading(play, False))
    assert play.after(LIMIT - 2).done(reading(play, False)) == ()
    seen, left = play.after(3).done(reading(play, False))
    assert isinstance(left, FollowUp)
    assert (seen.code, seen.over, left.key) == ("RPL002W", "limit", "replica-edge1.ocsguy.local")
    assert left.text == (
        "CMS replica of edge1 not up to date at 03:24:36. Read Get-CsManagementStoreReplicationStatus by hand."
    )
    assert not replicas.watched(play.s)
    # No effect on the run: it goes on and ends as it would have.
    for key in ("pool", "dns.meet.dns2"):
        play.after(1).carry_out(key)
    play.done(c.VerifyStep(1, "proof.signin", "signed in", 5000))
    play.done(c.Prove(1, "test user signed in"))
    play.done(c.EndRun(1, "complete"))
    play.done(c.Close(None))
    assert play.s.closed == "recovered_late"
    assert [k for k, _, _ in play.s.follow_ups if k.startswith("replica")] == ["replica-edge1.ocsguy.local"]


def test_a_server_that_never_answered_is_left_to_people_too():
    play = moved()
    play.done(unread(play))
    seen, left = play.after(LIMIT).done(unread(play))
    assert (seen.over, left.key) == ("limit", "replicas")
    assert "could not be read by 03:24:35 (fe2 did not answer)" in left.text


def test_the_end_of_the_incident_ends_the_watch():
    for readings, keys in (((), ["replicas"]), ((False,), ["replica-edge1.ocsguy.local"]), ((True,), [])):
        play = moved()
        for edge in readings:
            play.done(reading(play, edge))
        for key in ("pool", "dns.meet.dns2"):
            play.after(1).carry_out(key)
        play.done(c.VerifyStep(1, "proof.signin", "signed in", 5000))
        play.done(c.Prove(1, "test user signed in"))
        play.done(c.EndRun(1, "complete"))
        *_, closed = play.done(c.Close(None))
        assert closed.kind == "closed"
        assert play.s.closed == "recovered"
        assert [k for k, _, _ in play.s.follow_ups if k.startswith("replica")] == keys
        assert not replicas.watched(play.s)
        assert play.refused(reading(play, True)).code == "RUN045E"


def test_names_are_short_and_not_too_many():
    some = tuple(ReplicaSeen(fqdn=f"fe{n}.ocsguy.local") for n in range(1, 6))
    assert replicas.names(some) == "fe1, fe2, fe3 and 2 more"
    play = moved()
    play.done(replace(reading(play, True), replicas=some))
    assert replicas.told(play.s, lambda at: f"{at:%H:%M}") == (
        "CMS replicas up to date at 03:09: none",
        "Not up to date: fe2, fe3, fe4, fe5",
        "Dead, so not up to date as expected: fe1",
    )
