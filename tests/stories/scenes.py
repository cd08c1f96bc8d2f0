"""One scene for each thing the bot can say, drawn from records of real runs over scripted sites.

The runs take no time; `Heard` gives their records the times of an ordinary night, so that the clocks in the pictures
are those of people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from bot.conversation import HELP
from bot.draw import answers, card, dialogs, halt, log, red, summary, warn
from bot.draw.declare import joined_text
from bot.draw.post import Json, Post, alone
from bot.draw.reader import Reader, span
from bot.telling import Tale
from config.load import load_policy
from incident import commands as c
from incident import events as ev
from incident.journal import BadJournal, JournalShorter
from incident.register import StandingHalt
from incident.state import Incident
from tests.conftest import ROOT
from tests.workers.test_advance import CMS, EDGE, POOL, cut_and_half, turned_away
from tests.workers.world import CARD, FE2, LOST, POLICY, Play, Sites, World, configuration, who

NIGHT = datetime(2026, 11, 22, 3, 7, 12, tzinfo=UTC)
OF_THE_NIGHT = "20261122-fe1-a"
TOOK_S = {
    ("surveyed", ""): 20, ("asked", ""): 1, ("voted", ""): 68, ("hand_taken", ""): 1, ("verified", "cms"): 108,
    ("verified", "edge"): 9, ("verified", "pool"): 362, ("verified", "dns"): 3, ("verified", "proof"): 33,
    ("outcome", "pool"): 42, ("ruling", ""): 50,
}  # fmt: skip
"""How long after the record before it a record stands, by its kind and the first word of its step."""
CUT = str(JournalShorter(OF_THE_NIGHT, 41, 58))
FULL = "The copy of this host cannot be written: no space is left on the device."
NOT_SIGNED = "Its signature is not that of bot-leeds, who is named as its writer."
USUAL_S = {"cms": (60, 150), "edge": (5, 15), "pool": (300, 480), "dns": (1, 5), "proof": (20, 60)}
NEXT_HOP = (
    'This Front-end pool "fe1.ocsguy.local" is specified in topology as the next hop for the Edge server. Failing '
    "over this pool may cause External access/Federation/Meetings to stop working."
)
READER = Reader(load_policy(ROOT / "config" / "policy.practice.toml"), practice=True, host="bot-leeds")


@dataclass(frozen=True)
class Heard:
    """A record as a narrator hears it, at its time of the night."""

    incident: str
    seq: int
    h: str
    when: datetime
    event: ev.Event


def _next_hop(sites: Sites, call: Any) -> Play:
    return Play(errors=(NEXT_HOP,), terminated=True)


def _half(sites: Sites, call: Any) -> Play:
    sites.pools["fe1"] = "FailingOver"
    return Play(errors=('Unable to connect to the servers in pool "fe1.ocsguy.local".',))


def _world(tricks: dict[str, list[Any]] | None = None, lost: frozenset[str] = LOST) -> World:
    world = World(own=configuration(limit_s=2, usual_s=[0, 1], verify_limit_s=1), lost=lost)
    world.sites.tricks.update(tricks or {})
    return world


def _heard(world: World) -> list[Heard]:
    """The world's records, spread over a night."""
    found, at = [], NIGHT
    for record in world.bot.records(world.incident):
        kind, step = record.kind, str(getattr(record.event, "step", "")).split(".")[0]
        at += timedelta(seconds=TOOK_S.get((kind, step), TOOK_S.get((kind, ""), 0)))
        event = record.event
        if isinstance(event, ev.Asked):
            event = event.model_copy(update={"expires": at + timedelta(minutes=10)})
        if isinstance(event, ev.Voted) and event.window_ends is not None:
            event = event.model_copy(update={"window_ends": at + timedelta(minutes=5)})
        if isinstance(event, ev.Surveyed):
            event = event.model_copy(update={"began": at - timedelta(seconds=20), "ended": at})
        if isinstance(event, ev.Planned):
            steps = [{**s, "usual_s": USUAL_S[s["part"]]} for s in event.plan["steps"]]
            event = event.model_copy(update={"plan": {**event.plan, "steps": steps}})
        if isinstance(event, ev.Verified):
            event = event.model_copy(update={"took_ms": 1000 * TOOK_S.get((kind, step), 0)})
        event = _at_night(event, at)
        if event.actor is not None and event.actor.person:
            named = event.actor.model_copy(update={"name": READER.name(event.actor.person)})
            event = event.model_copy(update={"actor": named})
        found.append(Heard(OF_THE_NIGHT, record.seq, record.h, at, event))
    return found


def _at_night(event: ev.Event, at: datetime) -> ev.Event:
    """The event with its own moment and the people's whole names where its sentences have others."""
    told = re.sub(
        r"\d\d:\d\d:\d\d UTC|(?<= (?:at|by) )\d\d:\d\d:\d\d(?=\.)", f"{at:%H:%M:%S} UTC", event.model_dump_json()
    )
    if isinstance(event, ev.Closed):
        told = re.sub(r"(?<= after )\d+:\d\d", span((at - NIGHT).total_seconds()), told)
    for person in POLICY.persons:
        told = told.replace(f"by {person.name} at", f"by {READER.name(person.id)} at")
    return type(event).model_validate_json(told)


def _tale(heard: list[Heard], *more: ev.Event) -> Tale:
    """A narrator who has heard this, and then these events."""
    tale = Tale(READER)
    for one in heard:
        tale.hear(one)
    for event in more:
        last = heard[-1]
        heard = [*heard, Heard(last.incident, last.seq + 1, last.h, last.when + timedelta(seconds=40), event)]
        tale.hear(heard[-1])
    return tale


def _says(tale: Tale, kind: str, later_s: int = 0, where: str = "") -> Post:
    """The newest message of a kind, as it stands now."""
    assert tale.state is not None
    for message in reversed(tale.messages.values()):
        if message.kind == kind and where in ("", message.where):
            made = message.draw(tale.state, tale.state.at + timedelta(seconds=later_s))
            assert made is not None
            return made
    raise AssertionError(f"nothing of kind {kind} in {[m.kind for m in tale.messages.values()]}")


def _upto(heard: list[Heard], last: Callable[[Heard], bool]) -> list[Heard]:
    """The records up to and with the first that fits."""
    place = next(n for n, one in enumerate(heard) if last(one))
    return heard[: place + 1]


def _began(step: str) -> Callable[[Heard], bool]:
    return lambda one: isinstance(one.event, ev.Intent) and one.event.step == step


# --- messages -------------------------------------------------------------------------------------------------


def _first_minutes() -> Iterator[tuple[str, Post]]:
    declared = _tale(_heard(_world().declared()))
    yield "declared", _says(declared, "declared")
    yield "page", _says(declared, "page")
    yield "board-looking", _says(declared, "board", 4)
    asked = _tale(_heard(_world().asked()))
    yield "card", _says(asked, "card")
    yield "board-asking", _says(asked, "board", 30)
    request = _request(asked)
    assert asked.state is not None
    yield "reminder", card.reminder(asked.state, request, asked.state.at + timedelta(seconds=60), READER)
    lapsed = _tale(_heard(_world().asked()), ev.Lapsed(request=1))
    yield "card-expired", _says(lapsed, "card")
    yield "over-expired", _says(lapsed, "card_over")
    world = _world().asked()
    world.do(c.Decline(who("bo"), 1, request.nonce, CARD, "Power is back in two minutes, says the site."))
    yield "over-declined", _says(_tale(_heard(world)), "card_over")
    world = _world().asked()
    world.sites.edge = "fe3"
    world.survey()
    yield "over-void", _says(_tale(_heard(world)), "card_over")
    world = _world().asked()
    world.do(c.Cancel(who("rita"), why="London was only slow"))
    yield "summary-cancelled", _says(_tale(_heard(world)), "summary")
    world = _world(lost=frozenset({FE2})).declared()
    world.survey()
    yield "hard-stop", _says(_tale(_heard(world)), "hard_stop")


def _cut_state() -> tuple[Incident, Any]:
    tale = _tale(_heard(_world(lost=frozenset({"dns1.ocsguy.local"})).asked()))
    assert tale.state is not None
    return tale.state, _request(tale)


def _cut_line() -> Iterator[tuple[str, Post]]:
    world = _world(lost=frozenset({"dns1.ocsguy.local"})).asked()
    asked = _tale(_heard(world))
    yield "card-red", _says(asked, "card")
    assert asked.state is not None
    now = asked.state.at + timedelta(seconds=60)
    yield "reminder-red", card.reminder(asked.state, _request(asked), now, READER)
    world.do(c.SayStillDisaster(who("rita"), 1, _request(asked).nonce, CARD))
    yield "card-red-still", _says(_tale(_heard(world)), "card")


def _the_run() -> Iterator[tuple[str, Post]]:
    world = _world({POOL: [_next_hop]}).approved()
    world.advance()
    heard = _heard(world)
    failed = _tale(heard)
    yield "card-approved", _says(failed, "card")
    yield "receipt", _says(failed, "receipt")
    yield "board-running", _says(_tale(_upto(heard, _began("pool"))), "board", 21)
    yield "red-text", _says(failed, "red")
    yield "failed", _says(failed, "failed")
    yield "board-decide", _says(failed, "board", 12)
    world.rule("bo", "retry", "pool")
    world.advance()
    world.do(c.Close(None))
    done = _tale(_heard(world))
    yield "failed-decided", _says(done, "failed")
    yield "board-recovered", _says(done, "board")
    yield "summary", _says(done, "summary")
    yield "receipt-closing", _says(done, "receipt")
    yield "log", log.entry([m.line for m in done.messages.values() if m.line][-8:])
    assert done.state is not None
    yield "summary-late", summary.summary(_late(done.state), READER)


def _trouble() -> Iterator[tuple[str, Post]]:
    world = _world({POOL: [_half]}).approved()
    world.advance()
    world.rule("bo", "retry", "pool")
    yield "failed-half-done", _says(_tale(_heard(world)), "failed")
    world = _world({POOL: [cut_and_half]}).approved()
    world.advance()
    unknown = _tale(_heard(world))
    yield "unknown", _says(unknown, "unknown")
    yield "unknown-asks", _says(unknown, "failed")
    world = _world({CMS: [turned_away]}).approved()
    world.advance()
    yield "refused", _says(_tale(_heard(world)), "red")
    world = _world().approved()

    def stopped_meanwhile(sites: Sites, call: Any) -> Play:
        world.do(c.Stop(who("chen"), why="wait for the carrier"))
        return sites.obey(call)

    world.sites.tricks[EDGE] = [stopped_meanwhile]
    world.advance()
    stopped = _tale(_heard(world))
    yield "stopped", _says(stopped, "stopped")
    yield "board-stopped", _says(stopped, "board", 8)
    assert stopped.state is not None
    world.do(c.GoOn(who("bo")))
    after = _tale(_heard(world))
    assert after.state is not None
    yield "stop-lifted", red.lifted(stopped.state, after.state, READER)
    approved = _heard(_world().approved())
    text = (
        "This worker's estate is not what ops-leeds made the plan with. Nothing was changed. Give both hosts the same "
        "files, then ask again."
    )
    refused = ev.RunRefused(request=1, why="RUN042E", text=text)
    yield "not-started", _says(_tale(approved, refused, ev.Voided(request=1, why=(text,))), "run_refused")
    yield "locked-out", _says(_tale(approved, ev.LockedOut(person="bo")), "locked")


def _by_hand() -> Iterator[tuple[str, Post]]:
    """Where no test user can sign in, a person has to."""
    world = _world()
    world.own = world.own._replace(estate=world.own.estate.model_copy(update={"test_user": ()}))
    world.approved().advance()
    waits = _tale(_heard(world))
    yield "task", _says(waits, "task", 20)
    yield "board-person", _says(waits, "board", 20)
    world.do(c.Confirm(who("bo"), "Signed in as a London user, contacts are there."))
    yield "task-confirmed", _says(_tale(_heard(world)), "task")
    world = _world({POOL: [_next_hop]}).approved()
    world.advance()
    world.rule("bo", "abort", "pool")
    world.advance()
    world.do(c.Close(who("bo")))
    yield "summary-aborted", _says(_tale(_heard(world)), "summary")


def _of_itself() -> Iterator[tuple[str, Post]]:
    """A journal that cannot be believed, a drawing that failed, blocks that Slack refused, warnings at home."""
    host = READER.host
    yield "halt-cut", halt.post_of(OF_THE_NIGHT, JournalShorter(OF_THE_NIGHT, 41, 58), READER)
    yield "halt-unbelievable", halt.post_of(OF_THE_NIGHT, BadJournal(OF_THE_NIGHT, 42, NOT_SIGNED), READER)
    for name, what, said in (("halt-worker", "shorter", CUT), ("worker-stands", "copy", FULL)):
        seen = StandingHalt(OF_THE_NIGHT, what, said, "act1", "ops-leeds", NIGHT + timedelta(minutes=3), 58)
        yield name, halt.worker_post(seen, READER)
    yield "undrawn", warn.undrawn(OF_THE_NIGHT, "33:failed")
    asked = _tale(_heard(_world().asked()))
    yield "text-alone", alone(_says(asked, "card"))
    trouble = "config/policy.toml, line 14: quorum must be at least 2."
    until = "Until it is mended nothing can be approved or begun; stop, decline, cancel and note still work."
    yield "warning", warn.warning("The policy file cannot be used", [trouble, until])
    yield "warning-over", warn.warning("The policy file can be used again", [f"{host} works as before."], over=True)


def _answers() -> Iterator[tuple[str, Post]]:
    """What one person is answered privately."""
    done = _recovered()
    yield "answer-help", answers.help_text(HELP)
    yield "answer-who", answers.who(READER)
    yield "answer-whoami", answers.whoami(who("bo"), READER)
    yield "answer-audit", answers.audited(done, READER)
    asked = _tale(_heard(_world().asked())).state
    assert asked is not None
    assert asked.planned is not None
    yield "answer-joined", answers.say(joined_text(asked, READER, "bo"))
    calls = [[host, literal] for _, host, literal in dialogs.literals(asked)]
    warned = [{"level": w["level"], "why": w["text"]} for w in asked.planned.warnings]
    planned = {"words": " ".join(asked.planned.words), "code": asked.planned.short, "calls": calls, "warnings": warned}
    yield "answer-plan", answers.plan("fe1", "London", planned)
    lapsed = _tale(_heard(_world().asked()), ev.Lapsed(request=1)).state
    yield "answer-refused", answers.refused("Expired 03:17:33. Nothing was run.", lapsed)


def _request(tale: Tale) -> Any:
    assert tale.state is not None
    assert tale.state.request is not None
    return tale.state.request


def _late(state: Incident) -> Incident:
    """The same night, had proof come after the target."""
    assert state.clocks.t5 is not None
    late = state.clocks.t5 + timedelta(minutes=8)
    return replace(state, closed="recovered_late", closed_at=late, clocks=replace(state.clocks, t5=late))


@cache
def messages() -> dict[str, Post]:
    """Every message by the name of its picture, finished as it goes to Slack."""
    acts = (_first_minutes, _cut_line, _the_run, _trouble, _by_hand, _of_itself, _answers)
    return {name: READER.finish(made) for act in acts for name, made in act()}


# --- dialogs --------------------------------------------------------------------------------------------------


@cache
def _recovered() -> Incident:
    world = _world().approved()
    world.advance()
    world.do(c.Close(None))
    state = _tale(_heard(world)).state
    assert state is not None
    return state


@cache
def views() -> dict[str, Json]:
    """Every dialog by the name of its picture."""
    world = _world({POOL: [_half]}).approved()
    world.advance()
    tale = _tale(_heard(world))
    state, request = tale.state, _request(tale)
    assert state is not None
    found = {
        "dialog-approve-red": dialogs.approve(*_cut_state(), "{}", READER),
        "dialog-approve-code": dialogs.approve(state, request, "{}", READER),
        "dialog-approve-typed": dialogs.confirm_approve(state, request, "{}", READER),
        "dialog-decline": dialogs.decline(state, "{}"),
        "dialog-outage": dialogs.outage(state, "{}", READER),
        "dialog-commands": dialogs.commands(state, READER),
        "dialog-follow-ups": dialogs.follow_ups(_recovered(), "{}", READER),
        "dialog-stakeholders": dialogs.note("Stakeholder text", [summary.stakeholder_text(_recovered(), READER)]),
    }
    verdicts: tuple[ev.Verdict, ...] = ("retry", "done", "abort")
    return found | {f"dialog-{verdict}": dialogs.ruling(state, "pool", verdict, "{}") for verdict in verdicts}
