"""Each message says what the record knows, and nothing more: who answered, what may be working, what users have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot import mail
from bot.draw import answers, board, card, declare, red, summary
from bot.draw.post import Post, texts
from bot.draw.reader import Reader
from bot.draw.users import users_now
from incident import commands as c
from incident.state import Incident
from tests.bot.gallery import World
from tests.workers.test_advance import CMS, POOL, cut_and_half, red_and_untouched
from tests.workers.world import FE2, POLICY, who

READER = Reader(POLICY, host="bot-leeds")


def shown(post: Post) -> str:
    """What is drawn, with our own line breaks taken out."""
    return " ".join(" ".join(texts([*post.blocks, *post.attachments])).split())


def now_board(state: Incident) -> str:
    return shown(board.board(state, datetime.now(UTC), READER))


def ended(incident: Incident, **how: Any) -> Incident:
    """The same incident, its last question ended thus."""
    assert incident.request is not None
    request = replace(incident.request, ended_at=datetime.now(UTC), **how)
    return replace(incident, requests=(*incident.requests[:-1], request))


@pytest.mark.parametrize(
    ("approved", "how", "word", "line"),
    [
        (False, {"state": "lapsed", "why": ("approval",)}, "NOBODY DECIDED", "nobody decided"),
        (True, {"state": "lapsed", "why": ("window",)}, "NOT BEGUN IN TIME", "APPROVED by Bo · not begun by"),
        (True, {"state": "lapsed", "why": ("approval",)}, "TOO FEW APPROVED", "approved only by Bo"),
        (True, {"state": "void", "why": ("edge1 points at fe3",)}, "APPROVAL VOID", "Bo had approved it."),
        (True, {"state": "void", "ended_by": "bo", "why": ("a guest",)}, "APPROVAL VOID", "Bo's approval no longer"),
    ],
)
def test_a_question_that_ended_says_how(approved: bool, how: dict[str, Any], word: str, line: str) -> None:
    world = World().approved() if approved else World().asked()
    state = ended(world.state, **how)
    assert state.request is not None
    on_board, on_card = now_board(state), shown(card.card(state, state.request, READER))
    assert word in on_board
    assert line in on_card
    if approved:
        assert "nobody" not in on_board.lower()
        assert "nobody" not in on_card.lower()


def test_a_stop_while_a_step_is_unknown_names_it() -> None:
    world = World().approved()
    world.sites.tricks[POOL] = [cut_and_half]
    world.advance()
    world.do(c.Stop(who("chen")))
    said = shown(red.stopped(world.state, READER))
    assert "UNKNOWN: step 3 Pool failover may still be working on fe2" in said
    assert "Nothing is in flight" not in said


@pytest.mark.parametrize(
    ("step", "cmdlet", "trick", "moved"),
    [
        ("cms", CMS, red_and_untouched, "fe1's users were not moved."),
        ("pool", POOL, cut_and_half, "Whether fe1's users were moved is not known"),
    ],
)
def test_a_run_that_people_ended_claims_no_recovery(step: str, cmdlet: str, trick: Any, moved: str) -> None:
    world = World().approved()
    world.sites.tricks[cmdlet] = [trick]
    world.advance()
    for person in ("bo", "chen"):
        if world.state.waiting_step is not None:
            world.rule(person, "abort", step)
    world.advance()
    world.do(c.Close(who("rita")))
    said, text = summary.summary(world.state, READER), summary.stakeholder_text(world.state, READER)
    assert "ABORTED · fe1 London → fe2 Leeds" in shown(said)
    assert moved in shown(said)
    assert moved in said.text
    assert "No RTO: service is not proven" in shown(said)
    assert "restored" not in text
    assert "impaired" in text
    if step == "cms":
        assert "Keep fe1" not in shown(said)
        assert "has no backup" not in shown(said)


def test_what_users_have_is_said_only_where_it_can_be_known() -> None:
    looking, stopped = World().declared(), World()
    stopped.lost = frozenset({FE2})
    stopped.__post_init__()
    stopped.declared().survey()
    assert stopped.state.phase == "hard_stopped"
    assert users_now(looking.state) == users_now(stopped.state) == ()
    assert "Users now" not in now_board(stopped.state)
    cancelled = World().asked()
    assert "(expected)" in " ".join(users_now(cancelled.state))
    cancelled.do(c.Cancel(who("rita")))
    assert users_now(cancelled.state) == ()

    done = World().approved()
    done.advance()
    assert users_now(done.state) == ("Users now:", "calls yes · contacts yes · meetings yes")
    dns = next(s for s in done.state.steps if s.id.startswith("dns."))
    for status in ("degraded", "ruled_skip", "ruled_done"):
        steps = tuple(replace(s, status=status) if s.id == dns.id else s for s in done.state.steps)
        assert "meeting links not everywhere" in users_now(replace(done.state, steps=steps))[1]


def test_the_summary_says_where_the_report_is_and_that_the_record_was_checked() -> None:
    world = World().approved()
    world.advance()
    world.do(c.Close(None))
    said = shown(summary.summary(world.state, READER))
    assert f"Record checked: {world.state.seq} entries, plan = run" in said
    assert f"lync-dr audit export {world.state.id}" in said
    assert "proven by a test user's sign-in" in summary.stakeholder_text(world.state, READER)
    other = replace(world.state.steps[0], host="somewhere.else")
    odd = replace(world.state, steps=(other, *world.state.steps[1:]))
    assert "NOT as planned" in shown(summary.summary(odd, READER))


def test_a_recovery_whose_names_were_not_moved_is_not_green() -> None:
    world = World().approved()
    world.advance()
    world.do(c.Close(None))
    assert "✅ RECOVERED · fe1 users on fe2" in shown(summary.summary(world.state, READER))
    bare = tuple(s for s in world.state.steps if not s.id.startswith("dns.") and s.id != "proof.meeting")
    odd = summary.summary(replace(world.state, steps=bare), READER)
    assert "⚠️ RECOVERED, BUT MEETINGS NOT KNOWN · fe1 users on fe2" in shown(odd)
    assert "✅" not in shown(odd)
    assert odd.text.startswith("RECOVERED, BUT MEETINGS NOT KNOWN fe1")
    assert "calls, chat and meetings are expected to work" in summary.stakeholder_text(world.state, READER)
    said = "RECOVERED, BUT MEETINGS NOT KNOWN"
    less = replace(world.state, steps=bare)
    assert f"· {said}" in now_board(less)
    assert f"London to fe2 Leeds: {said}" in board.board(less, datetime.now(UTC), READER).text
    assert summary.closing_receipt(less, READER).text.startswith(f"{said}: fe1 London")
    assert f"{said} · fe1 London" in shown(summary.closing_receipt(less, READER))
    assert f"Ended: {said}." in mail.receipt(less, "Closed", less.seq, less.head, READER)[1]
    assert "meetings not known" in card.outcome(less, less.requests[-1], READER)[0]
    text = summary.stakeholder_text(less, READER)
    assert "calls and chat are expected to work. It is not known whether meeting links work." in text
    steps = tuple(replace(s, status="degraded") if s.id.startswith("dns.") else s for s in world.state.steps)
    assert "BUT MEETING LINKS NOT EVERYWHERE" in shown(summary.summary(replace(world.state, steps=steps), READER))


def test_planned_work_says_when_it_begins() -> None:
    tonight = datetime.now(UTC) + timedelta(hours=6)
    state = World().asked().state
    assert state.request is not None
    request = replace(state.request, start_at=tonight)
    state = replace(state, requests=(request,), declared=state.declared.model_copy(update={"start_at": tonight}))
    said = card.card(state, request, READER)
    assert f"Begins {READER.moment(tonight)}, not before." in shown(said)
    assert "are moved to fe2 now" not in shown(said)
    assert "It starts at once" not in str(said.blocks)
    assert f"begins {READER.moment(tonight)}" in said.text
    approved = replace(request, state="approved", approved_at=datetime.now(UTC), window_ends=tonight)
    over = card.card(replace(state, requests=(approved,)), approved, READER)
    assert f"begins {READER.moment(tonight)}" in shown(over)
    assert "starting" not in shown(over)
    assert f"{READER.moment(tonight)}" in now_board(replace(state, requests=(approved,)))


def test_who_declared_when_stays_true_where_the_clock_of_another_declaration_goes_on() -> None:
    world = World().asked()
    state = world.state
    earlier = state.declared_at - timedelta(seconds=45)
    kept = replace(state, clocks=replace(state.clocks, t1=earlier))
    for made in (declare.ack(kept, READER), declare.page(kept, READER), card.card(kept, kept.requests[-1], READER)):
        assert READER.clock(kept.declared_at) in shown(made)
        assert READER.clock(earlier) not in shown(made)
    assert READER.stamp(kept.declared_at) in declare.joined_text(kept, READER, "")


def test_the_confirmation_names_every_step_that_cannot_be_stopped() -> None:
    state = World().asked().state
    said = " ".join(texts(card.card(state, state.requests[-1], READER).blocks))
    assert said.count("(cannot be stopped once begun)") == 2
    assert "Steps 1 and 3 cannot be stopped." in said


def test_a_plan_that_was_asked_for_shows_every_call_with_its_host() -> None:
    calls = [[f"dns{n % 2 + 1}.ocsguy.local", f"Add-DnsServerResourceRecordA -Name n{n}"] for n in range(100)]
    said = shown(answers.plan("fe1", "London", {"words": "a b c d", "code": "ABCDEF", "calls": calls}))
    assert "dns2: Add-DnsServerResourceRecordA -Name n89" in said
    assert all(f"-Name n{n} " in f"{said} " for n in range(90))
    assert "And 10 more. All of them, on a host: lync-dr plan fe1" in said
    assert "in the record" not in said, "nothing of it is recorded"
