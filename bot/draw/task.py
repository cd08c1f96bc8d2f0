"""What only a person can do: the question in the channel, the button that answers it, and what became of it."""

from __future__ import annotations

from datetime import datetime

from bot.draw import story
from bot.draw.post import (
    AMBER,
    GREEN,
    Bold,
    Json,
    Line,
    Names,
    Post,
    actions,
    bar,
    button,
    confirm,
    header,
    lines,
    post,
)
from bot.draw.reader import Reader
from incident.policy import Person
from incident.state import Incident


def works_button(state: Incident) -> Json:
    """A person says that service works. The dialog says what exactly is stated."""
    d = state.declared
    step = story.human_task(state)
    stated = story.task_words(step)[1] if step else f"You signed in as a user of {story.pool_at(state)} and it works."
    return button(
        "It works", "lync.confirm", state.id, style="primary",
        ask=confirm(f"Does {d.pool} work on {d.partner}?", stated, "Yes, it works", "Not yet", danger=False),
        spoken=f"I signed in: {d.pool}'s users are served",
    )  # fmt: skip


def asked(state: Incident, key: str, now: datetime, reader: Reader) -> Post | None:
    """The question about step `key`, open or answered; None where the plan has no such step."""
    step = state.step(key)
    if step is None:
        return None
    where, what = story.way(state), story.task_words(step)[0]
    if story.human_task(state) is None:
        line = _became(state, reader)
        made = lines(Bold(line), what, where)
        return post("task", f"{line}. {where}.", [made], bar(GREEN if state.confirmed else AMBER, line))
    clock = ("" if state.clocks.t5 else "The clock runs until then: ") + f"RTO {story.rto(state, now)}"
    body: list[Line] = [Bold(what), "Then press “It works”.", clock,
                        "Does it not work? Say what you see: /lync note <text>",
                        "The run waits for this; nothing is in flight."]  # fmt: skip
    if ids := tuple(i for i in reader.slack_ids(_able(state, reader)) if i):
        body.append(Names("For: ", ids))
    push = f"A PERSON IS NEEDED: {where}. {what} Then press “It works”. {clock}. Everything else has ended."
    head = f"A PERSON IS NEEDED · {where} · step {story.number_of(state, key)}"
    return post(
        "task", push, [header(f"✋ {head}"), lines(body), *actions("task", works_button(state))], bar(AMBER, head)
    )


def _became(state: Incident, reader: Reader) -> str:
    if state.confirmed is None:
        return "No longer asked: the run has ended"
    return f"CONFIRMED · {reader.actor(state.confirmed.actor)} {reader.clock(state.confirmed_at)}"


def _able(state: Incident, reader: Reader) -> tuple[Person, ...]:
    """Who may answer: of those who are awake for this incident, else everybody with the role."""
    awake = {state.lead, state.declared.actor.person if state.declared.actor else None}
    awake |= {v.person for r in state.requests if r.state in ("approved", "used") for v in r.votes}
    may = tuple(reader.policy.holders("operate"))
    return tuple(p for p in may if p.id in awake) or may
