"""Every kind of message the bot can draw, made from real records of real runs over scripted sites."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

from bot.draw import card, dialogs, log, summary
from bot.draw.post import Json, Post
from bot.draw.reader import Reader
from bot.telling import Message, Tale
from incident import commands as c
from incident.state import Incident
from tests.workers.test_advance import CMS, POOL, cut_and_half, red_and_done, red_and_half, turned_away
from tests.workers.world import CARD, configuration, who
from tests.workers.world import World as Sites

NASTY = "<!channel> <@URITA> <http://evil.example|click> \u202eabc\x1b[31mred\x1b[0m `code` *bold* &amp; ﷽"


def World() -> Sites:  # noqa: N802
    """Scripted sites whose steps are given up quickly."""
    return Sites(own=configuration(limit_s=2, usual_s=[0, 1], verify_limit_s=1))


def tell(world: Sites, reader: Reader) -> Tale:
    """The incident's messages, as a narrator hears them."""
    tale = Tale(reader)
    for record in world.bot.records(world.incident):
        tale.hear(record)
    return tale


def worlds() -> Iterator[tuple[str, Sites]]:
    """Runs that between them show every kind."""
    yield "looking", World().declared()
    yield "asking", World().asked()
    yield "recovered", _run(World().approved())
    red = World().approved()
    red.sites.tricks[POOL] = [red_and_half]
    red.advance()
    yield "failed", red
    ruled = World().approved()
    ruled.sites.tricks[POOL] = [red_and_half]
    ruled.advance()
    ruled.rule("bo", "retry", "pool")
    yield "one word given", ruled
    unknown = World().approved()
    unknown.sites.tricks[POOL] = [cut_and_half]
    unknown.advance()
    yield "unknown", unknown
    refused = World().approved()
    refused.sites.tricks[CMS] = [turned_away]
    refused.advance()
    yield "refused", refused
    with_red = World().approved()
    with_red.sites.tricks[POOL] = [red_and_done]
    yield "done with red text", _run(with_red)
    stopped = World().approved()
    stopped.do(c.Stop(who("chen"), why=NASTY))
    yield "stopped", stopped
    declined = World().asked()
    request = declined.state.request
    assert request is not None
    declined.do(c.Decline(who("bo"), 1, request.nonce, CARD, NASTY))
    yield "declined", declined
    cancelled = World().asked()
    cancelled.do(c.Cancel(who("rita"), why=NASTY))
    yield "cancelled", cancelled
    by_hand = World()
    nobody = by_hand.own.estate.model_copy(update={"test_user": ()})
    by_hand.own = by_hand.own._replace(estate=nobody)
    by_hand.approved().advance()
    yield "a person's task", by_hand
    noted = World().declared()
    noted.do(c.AddNote(who("bo"), NASTY))
    noted.do(c.SetOutage(who("rita"), datetime.now(UTC) - timedelta(minutes=4)))
    yield "noted", noted


def _run(world: Sites) -> Sites:
    world.advance()
    world.do(c.Close(None))
    return world


@cache
def told() -> tuple[tuple[str, Sites], ...]:
    """The runs, made once."""
    return tuple(worlds())


def posts(reader: Reader) -> Iterator[tuple[str, Post]]:
    """(name, post) of everything that can be posted, finished."""
    now = datetime.now(UTC)
    for name, world in told():
        tale = tell(world, reader)
        assert tale.state is not None
        for message in tale.messages.values():
            made = _drawn(message, tale.state, now)
            if made is not None:
                yield f"{name}/{message.key}", reader.finish(made)
        if tale.state.request is not None:
            yield f"{name}/reminder", reader.finish(card.reminder(tale.state, tale.state.request, now, reader))


def _drawn(message: Message, state: Incident, now: datetime) -> Post | None:
    return log.entry([message.line]) if message.line else message.draw(state, now)


def views(reader: Reader) -> Iterator[tuple[str, Json]]:
    """Every modal."""
    world = dict(told())["failed"]
    state = world.state
    request = state.request
    assert request is not None
    for level in ("red", "amber"):
        yield f"approve {level}", dialogs.approve(state, replace(request, level=level), "{}", reader)  # type: ignore[arg-type]
    yield "confirm", dialogs.confirm_approve(state, request, "{}", reader)
    yield "decline", dialogs.decline(state, "{}")
    yield "follow-ups", dialogs.follow_ups(dict(told())["done with red text"].state, "{}", reader)
    yield "outage", dialogs.outage(state, "{}", reader)
    yield "commands", dialogs.commands(state, reader)
    yield "stakeholders", dialogs.note("Stakeholder text", [summary.stakeholder_text(state, reader)])
    for verdict in ("retry", "done", "skip", "abort"):
        yield f"rule {verdict}", dialogs.ruling(state, "pool", verdict, "{}")  # type: ignore[arg-type]
