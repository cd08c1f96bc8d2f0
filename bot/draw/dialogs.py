"""The modals: a typed pool name under red, a one-time code, a reason, a time, and the literal commands.

One field, sometimes one more: on a phone a modal is a full screen, and the keyboard hides half of it.
"""

from __future__ import annotations

from bot.draw import story, untrusted
from bot.draw.card import red_line, warning_line, warnings_of
from bot.draw.post import Bold, Json, Line, lines, plain, preformatted
from bot.draw.reader import Reader, thousands
from bot.draw.red import LABELS
from incident.events import Verdict
from incident.rulings import quorum
from incident.state import Incident, Request
from playbooks.plan import Plan


def modal(
    title: str, callback: str, blocks: list[Json], meta: str = "", submit: str = "", close: str = "Not yet"
) -> Json:
    """A view of Slack."""
    view: Json = {"type": "modal", "callback_id": callback, "title": plain(title, 24), "close": plain(close, 24)}
    if submit:
        view["submit"] = plain(submit, 24)
    return {**view, "private_metadata": meta[:3000], "blocks": blocks}


def field(
    block: str, label: str, hint: str = "", *, optional: bool = False, most: int = 300, initial: str = ""
) -> Json:
    """One line of input. Never multiline: that hides the submit button behind a phone's keyboard."""
    element: Json = {"type": "plain_text_input", "action_id": "value", "max_length": most}
    if initial:
        element["initial_value"] = initial[:most]
    shape: Json = {"type": "input", "block_id": block, "label": plain(label, 150), "element": element}
    if hint:
        shape["hint"] = plain(hint, 300)
    return {**shape, "optional": True} if optional else shape


def approve(state: Incident, request: Request, meta: str, reader: Reader) -> Json:
    """Under red the pool's name, else a one-time code: never both."""
    d = state.declared
    what = f"{thousands(d.users)} users move to {d.partner} {d.partner_site}. {story.begins(request, reader)}"
    if request.level == "red":
        blocks = [
            lines(Bold(f"⛔ {red_line(state)}"), what),
            field("typed", f"Type {d.pool} to go on", "The name of the pool that is lost.", most=60),
        ]
        return modal(f"Fail over {d.pool}?", "lync.approve", blocks, meta, f"Fail over {d.pool}")
    blocks = [
        lines(Bold(story.way(state)), what),
        field("code", "Your one-time code", "Six digits from your authenticator.", most=12),
    ]
    return modal(f"Fail over {d.pool}?", "lync.approve", blocks, meta, f"Fail over {d.pool}")


def confirm_approve(state: Incident, request: Request, meta: str, reader: Reader) -> Json:
    """The card's question as a dialog, for an approval that was typed. Nothing to fill in."""
    d = state.declared
    body: list[Line] = [
        Bold(story.way(state)),
        f"{thousands(d.users)} users move to {d.partner} {d.partner_site}. {story.begins(request, reader)}",
        f"Asked by {reader.name(request.asker)}. Code {request.short}.",
    ]
    return modal(f"Fail over {d.pool}?", "lync.approve", [lines(body)], meta, f"Fail over {d.pool}")


def decline(state: Incident, meta: str) -> Json:
    """One optional reason."""
    blocks = [
        lines(Bold(story.way(state)), "The question ends. Nothing is run."),
        field("why", "Why not?", optional=True),
    ]
    return modal(f"Decline {state.declared.pool}?", "lync.decline", blocks, meta, "Decline")


def ruling(state: Incident, step: str, verdict: Verdict, meta: str) -> Json:
    """A verdict on a step, with a reason that stands in the record."""
    found = state.step(step)
    what = {
        "retry": "The step is sent again.",
        "done": "You state that the step is done. The report marks it where the read-back says otherwise.",
        "skip": "The step is left out. The run goes on with the next one; this stays on the report as debt.",
        "abort": "The run ends here. What was done stays done; nothing is undone.",
    }[verdict]
    if found is not None and quorum(found, verdict) > 1:
        what += " Two operators must say this."
    table: list[Line] = [*story.table(found.failure.table if found and found.failure else ())]
    state_line = untrusted.line(found.failure.state, 300) if found and found.failure and found.failure.state else ""
    blocks = [
        lines(Bold(f"{story.step_name(state, found, step)} · {story.way(state)}"), what,
              *([f"State: {state_line}"] if state_line else []), *table),
        field("why", "Why?", "In the record, in your words.", optional=verdict == "retry"),
    ]  # fmt: skip
    return modal(LABELS[verdict], "lync.rule", blocks, meta, LABELS[verdict])


def outage(state: Incident, meta: str, reader: Reader) -> Json:
    """T0, as a clock time."""
    proposed = ", as the last sample of the pool proposes" if state.clocks.t0_proposed else ""
    now = f"Set to {reader.clock(state.clocks.t0)} now{proposed}." if state.clocks.t0 else "Not said yet."
    blocks = [
        lines(Bold(story.way(state)), now),
        field("at", f"Outage began at (hh:mm, {reader.zone})", "For example 03:02.", most=12),
    ]
    return modal("Outage began", "lync.outage", blocks, meta, "Set")


def follow_ups(state: Incident, meta: str, reader: Reader) -> Json:
    """What is still open, and a way to say that one of it is done."""
    left = [(key, reader.follow_up(key, text, 200)) for key, text, done in state.follow_ups if not done]
    if not left:
        return note("Follow-ups", ["None is open."])
    options = [
        {"text": plain(f"{n} {text}", 75), "value": key[:150]} for n, (key, text) in enumerate(left[:50], start=1)
    ]
    choice: Json = {"type": "static_select", "action_id": "value", "options": options}
    blocks = [
        lines([f"{n} {text}" for n, (_, text) in enumerate(left, start=1)]),
        {"type": "input", "block_id": "key", "label": plain("This one is done", 150), "element": choice},
        field("why", "What was done?", optional=True),
    ]
    return modal("Follow-ups", "lync.follow_ups", blocks, meta, "It is done", "Close")


def literals(state: Incident) -> list[tuple[str, str, str]]:
    """(number, host, literal call or what is done instead) for every step of the plan."""
    try:
        plan = Plan.from_data(state.planned.plan) if state.planned else None
    except ValueError:
        plan = None
    found: list[tuple[str, str, str]] = []
    for step in plan.steps if plan else ():
        text = step.literal or (step.act.text if step.act is not None and hasattr(step.act, "text") else step.title)
        found.append((str(story.number_of(state, step.id)), step.host, text))
    return found


def commands(state: Incident, reader: Reader) -> Json:
    """Every literal call, as it will go to the servers, and every warning, also those that a card folds."""
    blocks: list[Json] = [
        lines(Bold(story.way(state)), f"Plan {' '.join(state.planned.words)}" if state.planned else "")
    ]
    if warned := [warning_line(one) for one in warnings_of(state)]:
        blocks.append(lines(warned))
    shown = literals(state)
    for number, host, text in shown[:60]:
        blocks.append(lines(f"{number} on {reader.mask(host)}"))
        blocks.append(preformatted([reader.mask(text)], 900))
    if not shown:
        blocks.append(lines("The calls cannot be shown here. lync-dr plan shows them."))
    return modal("Commands", "lync.none", blocks[:98], close="Close")


def note(title: str, said: list[Line], close: str = "Close") -> Json:
    """Something to read."""
    return modal(title, "lync.none", [lines(said)], close=close)
