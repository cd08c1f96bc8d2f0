"""Red text the moment it appears, the question what to do, unknown, and stop."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from bot.draw import story, untrusted
from bot.draw.board import go_on_button
from bot.draw.card import quoted
from bot.draw.post import (
    AMBER,
    RED,
    Bold,
    Json,
    Line,
    Post,
    actions,
    bar,
    button,
    confirm,
    header,
    lines,
    post,
    preformatted,
)
from bot.draw.reader import Reader
from bot.draw.users import users_now
from incident.events import Outcome, Verdict
from incident.rulings import quorum
from incident.state import Attempt, Failure, Incident, StepState

_BEGUN: Final = {
    "not_begun": "Nothing moved.",
    "half_done": "HALF DONE.",
    "done": "It is done, by the read-back.",
    "cannot_tell": "Cannot tell whether it began.",
}
_NOT_LISTED: Final = "not in our list of known failures"
"""As the catalogue's own last entry has it."""
LABELS: Final[dict[Verdict, str]] = {"retry": "Run again", "done": "It is done", "skip": "Skip", "abort": "Abort"}


def read_back(now: StepState | None, attempt: Attempt) -> str:
    """What became of a call that ended with red text, as far as it is known."""
    if now is not None and now.attempts and now.attempts[-1].number > attempt.number:
        return "It was run again since."
    if now is None or now.status in ("running", "verifying", "waiting"):
        return "Now reading back what is so. What to do comes next."
    if now.status in ("done", "done_red", "ruled_done"):
        return "Read back: done all the same. The run goes on; the red text is a follow-up."
    if now.status == "degraded":
        return "Read back: not so. It is left undone and named as debt; the run goes on."
    return "Read back: not so. What to do is below."


def red_text(state: Incident, step: StepState, attempt: Attempt, reader: Reader, now: StepState | None = None) -> Post:
    """The server said bye with errors. Said at once; the read-back decides what it means for the run. `now` is the
    step as it stands when this is drawn."""
    out = attempt.outcome
    red = out.red if out and out.red else ((out.sentence,) if out else ())
    name = story.step_name(state, step)
    host = story.host(step.host)
    refused = out is not None and out.result == "refused"
    word = "REFUSED" if refused else "RED TEXT"
    first = reader.printed(red[0] if red else "", 160)
    below: list[Line] = [] if refused else [*_meaning(out)[:1]]
    below.append(_nothing_run(now or step, attempt) if refused else read_back(now or step, attempt))
    below += users_now(state)
    push = (
        f"{word}: {name} on {host}: {first} RTO {story.rto(state, attempt.ended_at or state.at)}. "
        f"{'' if refused else untrusted.line(_meaning(out)[0], 200) + ' Being read back;'} "
        f"{'What' if refused else 'what'} to do comes next."
    )
    at = f"{reader.stamp(attempt.ended_at)} · RTO {story.rto(state, attempt.ended_at or state.at)}"
    return post(
        "red",
        push,
        [header(f"🔴 {word} · {name} · on {host}"), lines(story.way(state), at), preformatted(red), lines(below)],
        bar(RED, f"{word} · {name} · {host}"),
    )


def _nothing_run(now: StepState, attempt: Attempt) -> str:
    """A call that a server turned away changed nothing there; what comes next."""
    if now.attempts and now.attempts[-1].number > attempt.number:
        return "Nothing was run by this call. It was sent again since."
    return "Nothing was run by this call. What to do comes next."


def _meaning(out: Outcome | None) -> list[str]:
    """What the catalogue knows of this red text, and what to do about it; two lines, or one."""
    if out is None or not out.meaning:
        return [f"Means: {_NOT_LISTED}."]
    means, _, todo = untrusted.line(out.meaning, 400).partition(" Do: ")
    return [f"Means: {means.rstrip('.')}.", *([f"Do: {todo}"] if todo else [])]


def failed(state: Incident, step: StepState, reader: Reader) -> Post:
    """The step is not so: what failed, what it means, what was read back, and the buttons that decide."""
    fail = step.failure
    last = step.attempts[-1] if step.attempts else None
    out = last.outcome if last else None
    unknown = step.status == "unknown" or (fail is not None and fail.unknown)
    at = fail.at if fail else state.at
    name, host = story.step_name(state, step), story.host(step.host)
    word = "UNKNOWN" if unknown else "FAILED"
    blocks: list[Json] = [
        header(f"{'⚠️' if unknown else '🔴'} {word} · {name} · on {host}"),
        lines(story.way(state), f"{reader.stamp(at)} · RTO {story.rto(state, at)}"),
    ]
    red = out.red if out and out.red else ()
    if red:
        blocks.append(preformatted(red))
    blocks.append(lines(_what_it_means(state, step, reader, unknown)))
    open_question = state.waiting_step is not None and state.waiting_step.id == step.id and not state.closed
    if open_question:
        blocks += actions(f"rule.{step.id}", *_rulings(state, step))
    first = _in_short(out, fail, reader)
    first += " It may still be working; this is not a failure." if unknown else ""
    moved = untrusted.line(fail.state, 160) if fail and fail.state else _BEGUN[fail.begun if fail else "cannot_tell"]
    lead = "DECIDE: " if open_question else ""
    said = "is UNKNOWN" if unknown else "FAILED"
    push = f"{lead}{name} {said} on {host}. {first} State: {moved} Repeat: {_repeat(step)} RTO {story.rto(state, at)}."
    return post("failed", push, blocks, bar(AMBER if unknown else RED, f"{word} · {name} · {host}"))


def _in_short(out: Outcome | None, fail: Failure | None, reader: Reader) -> str:
    """What a locked phone says of it: four lines are shown, so what red text means comes instead of the red text."""
    if out is not None and out.red:
        known = untrusted.line(out.meaning, 200).partition(" Do: ")[0].rstrip(".") if out.meaning else _NOT_LISTED
        return f"{known[:1].upper()}{known[1:]}." if known != _NOT_LISTED else reader.printed(out.red[0], 160)
    return untrusted.line(_uncertain(fail), 200) if fail else ""


def _what_it_means(state: Incident, step: StepState, reader: Reader, unknown: bool) -> list[Line]:
    fail = step.failure
    out = step.attempts[-1].outcome if step.attempts else None
    # Where the server's own words stand above, ours about them would only say it again.
    found: list[Line] = []
    if fail and fail.text and not (out and out.red):
        found.append(untrusted.line(_uncertain(fail), 400))
    if unknown:
        found += [
            Bold("It may still be working; this is not a failure."),
            f"Do not run it by hand on {story.host(step.host)}.",
        ]
    elif out and out.red:
        found += _meaning(out)
    if fail:
        found.append(Bold(f"State: {untrusted.line(fail.state, 300) if fail.state else _BEGUN[fail.begun]}"))
        if unknown or quorum(step, "retry") > 1:
            found += story.table(fail.table)
    found.append(f"Repeat: {_repeat(step)}")
    found += users_now(state)
    ruled = _ruled(state, step, reader)
    if fail and not ruled:
        found += [f"{reader.name(p)}: {LABELS[v].lower()} {quoted(why)}".rstrip() for p, v, why in fail.votes]
        found += [Bold("Still needed: a second operator with the same word.")] if fail.votes else []
    found += ruled
    return found


def _uncertain(fail: Failure) -> str:
    """Of our own words about a failure what is not certain, where they say so; else all but the advice."""
    uncertain = "Uncertain:" + fail.text.partition("Uncertain:")[2] if "Uncertain:" in fail.text else fail.text
    return uncertain.partition(" Next:")[0]


def _repeat(step: StepState) -> str:
    """What the record says about repeating, and how many people it takes."""
    out = step.attempts[-1].outcome if step.attempts else None
    if quorum(step, "retry") > 1:
        return "two persons decide."
    return (
        f"{untrusted.line(out.repeat, 160).rstrip('.')}; one operator decides."
        if out and out.repeat
        else ("one operator decides.")
    )


def _ruled(state: Incident, step: StepState, reader: Reader) -> list[Line]:
    """The people's word, once they have given it."""
    attempt = step.failure.attempt if step.failure else (step.attempts[-1].number if step.attempts else 0)
    return [
        Bold(f"DECIDED · {LABELS[verdict].lower()} · {reader.names(persons)}" + (" · against the probe" if odd else ""))
        for key, number, verdict, persons, _, odd in state.rulings
        if key == step.id and number == attempt
    ]


def _rulings(state: Incident, step: StepState) -> list[Json | None]:
    number = step.failure.attempt if step.failure else step.attempts[-1].number
    name = f"step {story.number_of(state, step.id)} {step.title}"
    where = f"{state.declared.partner} {state.declared.partner_site}"

    def one(verdict: Verdict, text: str, style: str = "") -> Json:
        return button(
            LABELS[verdict] + ("…" if verdict in ("done", "skip", "abort") else ""), f"lync.rule.{verdict}",
            "|".join(("v1", state.id, step.id, str(number), verdict)), style=style,
            ask=confirm(f"{LABELS[verdict]}: {step.title}?", text, f"Yes: {LABELS[verdict].lower()}", "Not yet")
            if verdict == "retry" else None,
            spoken=f"{LABELS[verdict]}: {name}",
        )  # fmt: skip

    unsafe = " Two persons are needed." if quorum(step, "retry") > 1 else ""
    return [
        one("retry", f"{name} is sent again to {where} for {story.pool_at(state)}.{unsafe}", "primary"),
        one("done", ""),
        one("skip", ""),
        one("abort", ""),
    ]


def stopped(state: Incident, reader: Reader) -> Post:
    """A stop, and what is in flight and cannot be stopped."""
    by = reader.actor(state.stop.by) if state.stop else "somebody"
    at: datetime | None = state.stop.at if state.stop else state.at
    live = next((s for s in state.steps if s.status in ("running", "verifying")), None)
    lost = next((s for s in state.steps if _may_be_working(s)), None)
    if live is not None:
        flight = f"In flight and not stoppable: {story.step_name(state, live)} on {story.host(live.host)}."
    elif lost is not None:
        where = story.host(lost.host)
        flight = f"UNKNOWN: {story.step_name(state, lost)} may still be working on {where}; it cannot be stopped."
    else:
        flight = "Nothing is in flight."
    why = quoted(state.stop.why) if state.stop else ""
    body: list[Line] = [Bold(f"🛑 STOPPED by {by} {reader.clock(at)} {why}".rstrip()), story.way(state), flight,
                        "Nothing after it will start until an operator presses “Go on”.",
                        *users_now(state)]  # fmt: skip
    blocks = [lines(body), *(actions("stopped", go_on_button(state)) if state.stop and not state.closed else [])]
    return post(
        "stopped",
        f"STOPPED by {by} {reader.clock(at)}: {story.way(state)}. {flight} Nothing after it will start until an "
        f"operator goes on. RTO deadline {reader.clock(story.deadline(state))} {reader.zone}. {why}",
        blocks,
        bar(AMBER, "STOPPED"),
    )


def _may_be_working(step: StepState) -> bool:
    """A call whose end nobody saw."""
    last = step.attempts[-1].outcome if step.attempts else None
    return step.status == "unknown" and last is not None and last.result == "unknown"


def unknown(state: Incident, step: StepState, attempt: Attempt, reader: Reader) -> Post:
    """The server went silent in the middle. Amber, never red: a time-out is no failure."""
    name, host = story.step_name(state, step), story.host(step.host)
    out = attempt.outcome
    said = untrusted.line(out.sentence, 300) if out else "The server stopped answering."
    at = attempt.ended_at or state.at
    # The door's own sentence names step and host again and ends in the same advice; ours stands in bold.
    said = said.partition(" It may still be running.")[0].removeprefix(f"{step.title} on {step.host}: ")
    push = (
        f"UNKNOWN: {name} on {host}. {said} It may still be working; this is not a failure. Do not run it "
        f"by hand. It is being looked at; what was found comes here. RTO {story.rto(state, at)}."
    )
    body: list[Line] = [story.way(state), f"{reader.stamp(at)} · RTO {story.rto(state, at)}", said,
                        Bold("It may still be working; this is not a failure."),
                        f"Do not run it by hand on {host}.",
                        "It is being looked at now; what was found comes here next.", *users_now(state)]  # fmt: skip
    return post("unknown", push, [header(f"⚠️ UNKNOWN · {name} · on {host}"), lines(body)],
                bar(AMBER, f"UNKNOWN · {name} · {host}"))  # fmt: skip


def run_refused(state: Incident, reader: Reader, after: Incident | None = None) -> Post:
    """The worker would not begin. Nothing was changed. `after`: how the incident stands by now."""
    why, text = state.run_refused or ("", "The worker will not begin.")
    said = untrusted.line(text, 500)
    said = said.replace(" Nothing was changed.", "")
    body: list[Line] = [said, Bold("Nothing was changed."), _after_refusal(after or state, reader),
                        f"{reader.stamp(state.at)} · code {why}"]  # fmt: skip
    return post(
        "run_refused",
        f"NOT STARTED: {story.way(state)}. {said} Nothing was changed. {_after_refusal(after or state, reader)}",
        [header(f"🛑 NOT STARTED · {story.pool_at(state)}"), lines(body)],
        bar(AMBER, "NOT STARTED"),
    )


def _after_refusal(state: Incident, reader: Reader) -> str:
    """What becomes of an approval under which no worker would begin."""
    request = state.request
    if request is None or request.state != "void":
        until = f" until {reader.clock(request.window_ends)}" if request is not None and request.window_ends else ""
        return f"Workers try again{until}; after that it can be asked again."
    return "The approval is void; the next message says what follows."


def lifted(seen: Incident, state: Incident, reader: Reader) -> Post:
    """A stop that no longer stands. The button is gone."""
    by = reader.actor(seen.stop.by) if seen.stop else "somebody"
    at = seen.stop.at if seen.stop else seen.at
    who = next((a for a, when, _ in reversed(state.went_on) if when >= at), None)
    after = f"Lifted by {reader.actor(who)}." if who else "The stop stands no longer."
    said = f"Stopped by {by} {reader.clock(at)}."
    return post(
        "stopped",
        f"{said} {after} {story.way(state)}.",
        [lines(Bold(after), said, story.way(state))],
        bar(AMBER, "Stop lifted"),
    )
