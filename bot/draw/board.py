"""The board: one message per incident, edited in place. Its thread is the log."""

from __future__ import annotations

import re
from datetime import datetime

from bot.draw import story, untrusted
from bot.draw.post import Bold, Json, Line, Post, actions, button, confirm, header, lines, post
from bot.draw.reader import Reader, thousands
from bot.draw.task import works_button
from bot.draw.users import moved, users_now
from incident import replicas
from incident.state import Incident


def board(state: Incident, now: datetime, reader: Reader, notices: tuple[str, ...] = (), elsewhere: str = "") -> Post:
    """The board as of `now`. `notices` are what only the bot sees: no free hand, a dead hand, Slack behind.
    `elsewhere` is the channel where the incident is run, for the copy in the home channel."""
    word = story.word(state, reader)
    blocks: list[Json] = [
        header(f"{story.way(state)} · {word}"),
        lines(
            _clock_lines(state, now, reader),
            Bold(f"Waiting for: {story.waiting_for(state, now, reader)}") if not state.closed else "Closed.",
            [Bold(f"⚠️ {n}") for n in notices],
        ),
    ]
    if rows := _rows(state, now, reader):
        blocks.append(lines(rows))
    blocks.append(lines(_foot(state, now, reader)))
    if re.fullmatch(r"[CG][A-Z0-9]+", elsewhere):
        channel = {"type": "channel", "channel_id": elsewhere}
        part = {"type": "rich_text_section", "elements": [{"type": "text", "text": "Run in "}, channel]}
        blocks.append({"type": "rich_text", "elements": [part]})
    if not state.closed:
        blocks += actions("board", *_buttons(state))
    return post("board", _push(state, now, reader, word), blocks)


def _goes_on_by_itself(state: Incident, phases: tuple[str, ...]) -> bool:
    """True where the usual durations say when it ends: not while a person is waited for."""
    return state.phase in phases and story.human_task(state) is None


def _clock_lines(state: Incident, now: datetime, reader: Reader) -> list[Line]:
    found: list[Line] = [f"RTO {story.rto(state, now)}"]
    end = story.expected_end(state, now) if _goes_on_by_itself(state, ("approved", "running")) else None
    if state.clocks.t5 is None and not state.closed:
        found[0] = f"{found[0]} · " + (
            f"done about {reader.minute(end)}" if end else f"deadline {reader.clock(story.deadline(state))}"
        )
    if state.clocks.t5:
        found.append(f"Service proven {reader.clock(state.clocks.t5)}")
    if state.clocks.t0:
        proposed = " or soon after (proposed)" if state.clocks.t0_proposed else ""
        found.append(f"Outage began {reader.clock(state.clocks.t0)}{proposed}")
    return found


def _rows(state: Incident, now: datetime, reader: Reader) -> list[Line]:
    """One line per row of the plan; what runs now says how long it usually takes and its last line."""
    found: list[Line] = []
    for row in story.rows(state):
        took = story.took(row.steps, now)
        done = sum(s.settled for s in row.steps)
        count = f" {done} of {len(row.steps)}" if len(row.steps) > 1 and 0 < done < len(row.steps) else ""
        text = f"{story.MARKS[row.status]} {row.number} {row.title}{count}"
        found.append(Bold(text + f"  {took}") if row.status in ("failed", "unknown") else text + (took and f"  {took}"))
        live = next((s for s in row.steps if s.status in ("running", "verifying")), None)
        if live is not None:
            usual = story.usual(live)
            parts = [f"usual {story.usual_words(*usual)}"] if usual else []
            if live.status == "verifying":
                parts.append("reading back")
            elif live.last_line and not reader.masked:
                parts.append(f"“{untrusted.line(live.last_line, 60)}”")
            found += [f"     {' · '.join(parts)}"] if parts else []
            found += [f"     ⚠️ {untrusted.line(live.slow, 120)}"] if live.slow else []
        for bad in (s for s in row.steps if s.status == "degraded"):
            found.append(f"     ⚠️ {bad.title}: left undone, see the record")
    return found


def _foot(state: Incident, now: datetime, reader: Reader) -> list[Line]:
    found: list[Line] = [*users_now(state)]
    if known := replicas.short(state):
        late = state.replicas is not None and state.replicas.over == "limit"
        found.append(untrusted.line(f"⚠️ {known}" if late else known, 160))
    if not state.clocks.t3 or not state.closed:
        found.append(_changed(state))
    if state.clocks.t2:
        found.append(_keep_off(state))
    if state.stop:
        found.append(Bold(f"STOPPED by {reader.actor(state.stop.by)} {reader.clock(state.stop.at)}"))
    left = [
        *(story.debts(state) if state.clocks.t2 else ()),
        *(
            reader.follow_up(k, t, 140)
            for k, t, settled in state.follow_ups
            if not settled and not story.left_behind(t)
        ),
    ]
    found += [f"☐ {untrusted.line(t, 140)}" for t in left[:5]]
    found += [f"☐ and {len(left) - 5} more" for _ in left[5:6]]
    approved = [v.person for r in state.requests if r.state in ("approved", "used") for v in r.votes]
    found.append(
        f"Lead {reader.name(state.lead)}" + (f" · approved {reader.names(dict.fromkeys(approved))}" if approved else "")
    )
    if state.hand and not state.run_ended and state.epoch > 1:
        found.append(f"Carried on by the worker on {story.host(state.hand.host)}")
    found.append(f"{reader.stamp(now)}, {reader.host} · {state.id}")
    return found


def _keep_off(state: Incident) -> str:
    """The lost pool must not come back by itself beside the one that serves its users."""
    if state.closed and moved(state) != "no":
        return f"Keep {state.declared.pool}'s Lync services off until failback."
    return f"Do not power on {state.declared.pool}."


def _changed(state: Incident) -> str:
    done = [s for s in state.steps if s.attempts and s.status != "skipped"]
    if not done and state.clocks.t3 is None:
        return "Nothing has changed yet."
    numbers = sorted({story.number_of(state, s.id) for s in done})
    return f"Touched so far: step {', '.join(map(str, numbers))}"


def _buttons(state: Incident) -> list[Json | None]:
    phase, value = state.phase, state.id
    stop = button(
        "Stop after this step", "lync.stop", value,
        ask=confirm(
            f"Stop {state.declared.pool}?",
            f"What runs now at {state.declared.partner} {state.declared.partner_site} is not interrupted. Nothing "
            "after it will start until an operator goes on.",
            "Yes, stop", "Keep going",
        ),
        spoken=f"Stop the run for {state.declared.pool} after this step",
    )  # fmt: skip
    lead = button("I take over", "lync.lead", value, spoken=f"I take the lead for {state.declared.pool}")
    if story.human_task(state) is not None:
        return [works_button(state), go_on_button(state) if state.stop else stop, lead]
    if phase in ("approved", "running", "waiting_for_ruling"):
        return [stop, lead]
    if phase == "stopped":
        return [go_on_button(state), lead]
    if phase == "ended":
        return [
            works_button(state),
            lead,
            button("Close", "lync.close", value, spoken=f"Close the incident for {state.declared.pool}"),
        ]
    return [cancel_button(state), button("Outage began…", "lync.outage", value), lead]


def go_on_button(state: Incident) -> Json:
    """Lifts a stop."""
    return button(
        "Go on · operator", "lync.go_on", state.id, style="primary",
        ask=confirm(
            f"Go on with {story.pool_at(state)}?",
            f"The next step of {story.way(state)} starts at once.",
            "Yes, go on", "Not yet", danger=False,
        ),
    )  # fmt: skip


def cancel_button(state: Incident) -> Json:
    """Calls the incident off while nothing has changed."""
    return button(
        "Wrong pool / cancel", "lync.cancel", state.id,
        ask=confirm(
            f"Cancel {state.declared.pool}?",
            f"The declaration for {story.pool_at(state)} is closed. Nothing was changed. It can be declared again.",
            "Yes, cancel it", "Keep it open",
        ),
        spoken=f"Cancel the declaration for {state.declared.pool}",
    )  # fmt: skip


def _push(state: Incident, now: datetime, reader: Reader, word: str) -> str:
    """The board in one sentence, complete by itself."""
    d = state.declared
    live = next((r for r in story.rows(state) if r.status in ("running", "verifying", "failed", "unknown")), None)
    parts = [f"{d.pool} {d.site} to {d.partner} {d.partner_site}: {word}"]
    if live is not None and not state.closed:
        parts.append(f"step {live.number} of {len(story.rows(state))} {live.title} {live.status}")
    parts.append(f"RTO {story.rto(state, now)}")
    if state.clocks.t5 is None and not state.closed:
        parts.append(f"deadline {reader.clock(story.deadline(state))}")
    end = story.expected_end(state, now) if _goes_on_by_itself(state, ("running",)) else None
    if end:
        parts.append(f"expected done {reader.minute(end)}")
    waiting = "" if state.closed else f" Waiting for {story.waiting_for(state, now, reader)}."
    return f"{', '.join(parts)}.{waiting} {thousands(d.users)} users. {reader.stamp(now)}."
