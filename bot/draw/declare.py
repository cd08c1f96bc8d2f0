"""The first minute: declared, paged, and the stop that says why there can be no plan."""

from __future__ import annotations

from bot.draw import story, untrusted
from bot.draw.board import cancel_button
from bot.draw.card import quoted
from bot.draw.post import AMBER, Bold, Json, Line, Names, Post, actions, bar, button, confirm, header, lines, post
from bot.draw.reader import Reader, span, thousands
from incident.ending import headline
from incident.state import Incident


def ack(state: Incident, reader: Reader) -> Post:
    """A declaration, said aloud in the channel at once."""
    d = state.declared
    by = reader.actor(d.actor)
    paged = reader.approvers(d.actor.person or "" if d.actor else "")
    body: list[Line] = [
        f"To be taken over by {d.partner} {d.partner_site}",
        f"{thousands(d.users)} users · by {by} {reader.stamp(state.declared_at)}",
    ]
    if d.reason.strip():
        body.append(f"Reason: {quoted(d.reason)}")
    body += ["", *(["Checking, read-only, 20 s at most."] if state.phase == "looking" else [])]
    body += [Names("Paged: ", reader.slack_ids(paged)), f"Deadline {reader.clock(story.deadline(state))} "
             f"({span(d.rto_s)})", "", Bold(_so_far(state))]  # fmt: skip
    push = (
        f"DISASTER DECLARED {story.pool_at(state)} by {by} {reader.minute(state.declared_at)} {reader.zone}. "
        f"{thousands(d.users)} users, to be taken over by {d.partner} {d.partner_site}. Approvers paged. "
        f"Nothing has changed yet. Deadline {reader.clock(story.deadline(state))}. {quoted(d.reason)}"
    )
    blocks: list[Json] = [header(f"🔴 DISASTER DECLARED · {story.pool_at(state)}"), lines(body)]
    if not state.closed and state.clocks.t3 is None:
        blocks += actions("declared", cancel_button(state), button("Outage began…", "lync.outage", state.id))
    return post("declared", push, blocks)


def _so_far(state: Incident) -> str:
    """What has changed; the message is redrawn, so it must not say for ever that nothing has."""
    word = headline(state)
    if state.clocks.t3 is not None:
        return f"{word}: see the summary." if word else "Changes have begun: see the board."
    return f"{word}. Nothing was changed." if word else "Nothing has changed yet."


def page(state: Incident, reader: Reader) -> Post:
    """The DM that wakes an approver at T1, before there is a card."""
    d = state.declared
    push = (
        f"YOU ARE NEEDED: disaster declared for {story.pool_at(state)}, {thousands(d.users)} users, by "
        f"{reader.actor(d.actor)} {reader.clock(state.declared_at)} {reader.zone}. A second person must approve the "
        f"failover to {d.partner} {d.partner_site}; the card follows here after a look. Nothing has changed yet. "
        f"{quoted(d.reason)}"
    )
    body: tuple[Line, ...] = (
        Bold(f"🔴 Disaster declared · {story.pool_at(state)}"),
        f"By {reader.actor(d.actor)} {reader.stamp(state.declared_at)} {quoted(d.reason)}".rstrip(),
        f"{thousands(d.users)} users. Deadline {reader.clock(story.deadline(state))}.",
        "You may approve. The card follows here after a look at the estate. Nothing has changed yet.",
    )
    return post("page", push, [lines(*body)])


def stop(state: Incident, reader: Reader) -> Post:
    """No plan can be made: why, and what to do instead."""
    d, hard = state.declared, state.hard_stop
    why = hard.text if hard else "There is no plan."
    why = why.removesuffix("Nothing was changed.").rstrip()
    todo = hard.todo if hard else ""
    offer = hard.offer if hard else None
    body: list[Line] = [Bold(untrusted.line(why, 400))]
    if todo:
        body.append(f"Do: {untrusted.line(todo, 400)}")
    body += [Bold("Nothing was changed."), f"Deadline {reader.clock(story.deadline(state))} ({span(d.rto_s)})"]
    instead = button(
        f"Declare {offer} instead", "lync.declare_instead", f"{state.id}|{offer}", style="primary",
        ask=confirm(
            f"Declare {offer} lost?",
            f"The clock keeps running from {reader.clock(state.clocks.t1)}. {d.pool}'s declaration is closed, a plan "
            f"for {offer} is made, and a second person is asked.",
            f"Yes, declare {offer}", "Not yet",
        ),
    ) if offer else None  # fmt: skip
    return post(
        "hard_stop",
        f"STOP: {untrusted.line(why, 300)} Nothing was changed. {untrusted.line(todo, 200) if todo else ''}",
        [
            header(f"🛑 STOP · {story.pool_at(state)}"),
            lines(body),
            *([] if state.closed else actions("stop", instead, cancel_button(state))),
        ],
        bar(AMBER, "STOP: nothing was changed"),
    )


def joined_text(state: Incident, reader: Reader, person: str = "") -> str:
    """The answer to a second declaration of the same pool: who declared it when, and what `person` may do now."""
    d, asks = state.declared, state.phase == "asking" and state.request is not None
    other = state.request is not None and person in {p.id for p in reader.approvers(state.request.asker)}
    answer = " You may approve or decline on the card." if asks and other else ""
    return (
        f"{story.pool_at(state)} is declared already, by {reader.actor(d.actor)} at {reader.stamp(state.declared_at)}. "
        f"You joined it; nothing was opened or stopped. It waits for {story.waiting_for(state, state.at, reader)}."
        f"{answer} You may stop it or add to it: /lync stop, /lync note <text>."
    )
