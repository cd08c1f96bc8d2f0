"""The approval card, in the channel and in each approver's direct message, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from bot.draw import story, untrusted
from bot.draw.over import over
from bot.draw.post import GREEN, Bold, Json, Line, Post, actions, bar, button, confirm, header, lines, post
from bot.draw.reader import Reader, span, thousands
from incident.ending import headline
from incident.state import Incident, Request

DIGEST_SHOWN: Final = 16
"""Characters of the digest that a button carries; the journal has it whole."""
_ORDINAL: Final = ("", "first", "second", "third", "fourth", "next")
_MARK: Final = {"red": "⛔", "amber": "⚠️", "green": "✅"}
WARNINGS_SHOWN: Final = 3
"""Warnings a card shows whole; more than that nobody reads at night. The Commands dialog shows all."""
_TOPICS: Final = {
    "backup": "backup", "import": "backup", "edge": "Edge", "dns": "DNS", "ttl": "DNS TTL", "cms": "CMS",
    "service": "services", "services": "services", "state": "PoolState", "pairing": "pairing", "no": "test user",
    "pool": "lost pool",
}  # fmt: skip
"""What a folded warning is about, by the first word of its code in the plan."""


def button_value(state: Incident, request: Request) -> str:
    """What an approval button carries: incident, request, nonce and digest. Everything else is looked up."""
    return "|".join(("v1", state.id, str(request.number), request.nonce, request.digest[:DIGEST_SHOWN]))


def card(state: Incident, request: Request, reader: Reader, looked: datetime | None = None) -> Post:
    """The card as it stands: open with its buttons, or what became of it. `looked`: the last look, where that is
    later than the recorded one."""
    if request.state == "open" and not state.closed:
        return _open(state, request, reader, looked)
    return _over(state, request, reader)


def _open(state: Incident, request: Request, reader: Reader, looked: datetime | None) -> Post:
    d, planned = state.declared, state.planned
    red = request.level == "red"
    top: list[Line] = [Bold(f"⛔ {red_line(state)}"), *_what_to_do_about_red(state)] if red else []
    if planned and planned.difference:
        top += [Bold("Changed since the last card:"), *(f"± {untrusted.line(t, 200)}" for t in planned.difference)]
    when = "now" if request.start_at is None else f"from {reader.moment(request.start_at)} {reader.zone}"
    top.append(f"{thousands(d.users)} users are moved to {d.partner} {when}.")
    top += _loss(state, reader)
    top.append("Undo: failback, 25–60 min, another day.")
    blocks: list[Json] = [
        header(f"APPROVE? · {story.way(state)}"),
        lines(top),
        lines(_evidence(state, reader, looked)),
        lines(_will_run(state)),
        lines(_asked(state, request, reader)),
    ]
    blocks += actions(f"card.{request.number}", *_buttons(state, request, reader))
    blocks.append(lines("No change 5 s after your tap? Tap again. It cannot start twice."))
    doubt = f" {red_line(state)}" if red else ""
    push = (
        f"APPROVE? Fail over {story.pool_at(state)} to {d.partner} {d.partner_site}, {thousands(d.users)} users."
        f"{doubt} "
        f"Asked by {reader.name(request.asker)} {reader.minute(state.declared_at)}. "
        f"{_what_a_tap_does(state, request, reader)} "
        f"Plan: {' '.join(planned.words) if planned else ''}. Code {request.short}. "
        f"{_until(state, request, reader)}"
    )
    return post("card", push, blocks)


def _what_a_tap_does(state: Incident, request: Request, reader: Reader) -> str:
    """That nothing runs yet, what would begin it, and how it is typed where buttons cannot be tapped."""
    if not may_be_answered(request):
        return f"Nothing runs; first {reader.name(request.asker)} must say “still a disaster”."
    then = "" if request.start_at is None else f"; then it begins {reader.moment(request.start_at)}"
    return f"Nothing runs until you tap{then}, or type /lync approve {state.declared.pool} {request.short}."


def _until(state: Incident, request: Request, reader: Reader) -> str:
    """How long the question stands: planned work is answered by the day, a disaster by the clock."""
    if request.start_at is not None:
        return f"Answer by {reader.moment(request.expires)} {reader.zone}."
    return f"Expires {reader.clock(request.expires)}, deadline {reader.clock(story.deadline(state))} {reader.zone}."


def may_be_answered(request: Request) -> bool:
    """Under red nobody can approve before the asker has insisted."""
    return request.level != "red" or request.still_disaster


def red_line(state: Incident) -> str:
    """Why this card has friction: the red warning of the plan."""
    found = next((w for w in (state.planned.warnings if state.planned else ()) if w.get("level") == "red"), None)
    return untrusted.line(str(found.get("text", "")), 200) if found else "Something does not look like a lost site."


def _what_to_do_about_red(state: Incident) -> list[Line]:
    found = next((w for w in (state.planned.warnings if state.planned else ()) if w.get("level") == "red"), None)
    todo = str(found.get("todo", "")).strip() if found else ""
    return [untrusted.line(todo, 200)] if todo else []


def _loss(state: Incident, reader: Reader) -> list[Line]:
    rpo = state.planned.rpo_s if state.planned else None
    if rpo is None:
        return ["Lost: contacts and meetings changed since the last good backup (time unknown)."]
    good = state.survey.ended - timedelta(seconds=rpo) if state.survey else None
    seen = f"; backup good {reader.minute(good)}" if good else ""
    return [f"Lost: about {max(1, round(rpo / 60))} min of contacts and meetings (estimate{seen})."]


def _evidence(state: Incident, reader: Reader, looked: datetime | None) -> list[Line]:
    """What was looked at and when; what is as wished, then what is not."""
    found: list[Line] = []
    if state.survey:
        last = max(state.survey.ended, looked or state.survey.ended)
        again = ", unchanged" if looked and looked > state.survey.ended else ""
        found.append(f"Looked {reader.stamp(last)}{again}")
    found += [f"{_MARK['green']} {untrusted.line(text, 200)}" for text in _good(state)]
    every = warnings_of(state)
    # That the age of the backup is unknown stands above already, with what it means.
    # The first red one is the first line of the card.
    red = next((w for w in every if w.get("level") == "red"), None)
    told = [w for w in every if w.get("code") != "backup-unknown" and w is not red]
    for one in told[:WARNINGS_SHOWN]:
        found.append(warning_line(one))
    if rest := told[WARNINGS_SHOWN:]:
        topics = dict.fromkeys(_topic(w) for w in rest)
        found.append(f"{_MARK['amber']} and {len(rest)} more: {', '.join(topics)} (all in Commands)")
    return found


def warning_line(warning: dict[str, Any]) -> str:
    """A warning: what is not as wished, and what to do about it or what it means."""
    todo = str(warning.get("todo", "")).strip()
    said = f"{_MARK.get(str(warning.get('level')), '•')} {untrusted.line(str(warning['text']), 200)}"
    return f"{said} {untrusted.line(todo, 200)}" if todo else said


def warnings_of(state: Incident) -> list[dict[str, Any]]:
    """Every warning of the plan, red ones first, and what it leaves out where no warning says so."""
    planned = state.planned
    if planned is None:
        return []
    codes = {str(w.get("why")): str(w.get("code")) for w in planned.plan.get("warnings", ())}
    found = [{**w, "text": str(w.get("text", "")), "code": codes.get(str(w.get("text")), "")} for w in planned.warnings]
    if not any(str(w["code"]).startswith("dns-un") for w in found):
        found += [{"level": "amber", "text": f"Left out: {t}", "code": "dns"} for t in planned.plan.get("left_out", ())]
    if state.request is not None and state.request.differs:
        found.append(_other_files(state.request.differs, state.survey.host if state.survey else "the worker"))
    return sorted(found, key=lambda w: w.get("level") != "red")


def _other_files(names: tuple[str, ...], host: str) -> dict[str, Any]:
    """Files that are not the same on two hosts: the plan was made with the worker's."""
    text = f"{' and '.join(names).capitalize()} on {host}, which looked, is not what the bot has."
    return {"level": "amber", "code": "files", "text": text, "todo": "Give every host the same files."}


def _topic(warning: dict[str, Any]) -> str:
    known = _TOPICS.get(str(warning.get("code", "")).split("-")[0])
    return known or untrusted.line(str(warning["text"]), 30)


def _good(state: Incident) -> Iterator[str]:
    """Facts that are as wished. What is unknown is not claimed; the plan's warnings name it."""
    lost, heir = state.declared.pool, state.declared.partner
    facts = state.survey.facts if state.survey else {}
    answers = {f.rsplit(".", 1)[1]: story.fact_value(state, f) for f in facts if f.startswith(f"answers.{lost}.")}
    could = {place: answer for place, answer in answers.items() if answer is not None}
    if could and not any(could.values()):
        # A place that cannot look is not counted: it says nothing about the pool.
        where = f"1 place ({_place(next(iter(could)))})" if len(could) == 1 else f"{len(could)} of {len(could)} places"
        yield f"{lost} dead from {where}"
    stands = story.fact_value(state, f"pool_state.{heir}")
    stopped = story.fact_value(state, f"services.{heir}")
    if stands in ("Active", "FailedBack"):
        yield f"{heir} {'healthy, ' if stopped == [] else ''}not failed over"
    good_at = story.fact_value(state, f"backup_good_at.{lost}")
    if isinstance(good_at, str) and not any(
        str(w.get("text", "")).lower().find("backup") >= 0 for w in (state.planned.warnings if state.planned else ())
    ):
        yield "Backup was steady"
    for text in state.planned.plan.get("already", ()) if state.planned else ():
        yield f"Already so: {text}"


def _place(place: str) -> str:
    return "our worker" if place == "worker" else place


def _will_run(state: Incident) -> list[Line]:
    found: list[Line] = []
    total = [story.usual(s) for s in story.steps_of(state)]
    known = [u for u in total if u]
    about = f", {story.about(sum(low + high for low, high in known) / 2)}" if known else ""
    found.append(Bold(f"Will run{about}"))
    for row in story.rows(state):
        found.append(f"{row.number} {row.title}")
        if _once(row):
            found.append("  (cannot be stopped once begun)")
    found.append("Runs inline, not crash-safe: if the line is lost during a step, two persons decide.")
    return found


def _once(row: story.Row) -> bool:
    """Whether nobody can stop it once it has begun."""
    return any(s.plan.get("effect") == "once" for s in row.steps)


def _asked(state: Incident, request: Request, reader: Reader) -> list[Line]:
    reason = quoted(state.declared.reason)
    found: list[Line] = [f"Asked: {reader.name(request.asker)} {reader.clock(state.declared_at)} {reason}".rstrip()]
    if state.planned:
        found.append(f"Plan: {' '.join(state.planned.words)}")
    found.append(f"Code: {request.short}")
    if request.start_at is not None:
        found.append(f"Begins {reader.moment(request.start_at)}, not before.")
        found.append(f"Answer by {reader.moment(request.expires)}.")
    else:
        found.append(f"Expires {reader.clock(request.expires)} · Deadline {reader.clock(story.deadline(state))}")
    if not may_be_answered(request):
        found.append(Bold(f"First {reader.name(request.asker)} presses “Still a disaster…”, then another approves."))
    if request.still_disaster:
        found.append(Bold(f"{reader.name(request.asker)} says: still a disaster."))
    if not request.asker_counts:
        found.append(
            f"{reader.name(request.asker)} may not approve, so {request.others_needed} others must, not one."
            if request.others_needed > 1
            else f"{reader.name(request.asker)} may not approve; others must."
        )
    if request.votes:
        found.append(Bold(f"Approved so far: {reader.names(v.person for v in request.votes)}"))
    if request.still_needed > 1 or request.votes:
        found.append(Bold(f"Still needed: {request.still_needed} more"))
    return found


def _buttons(state: Incident, request: Request, reader: Reader) -> list[Json | None]:
    value = button_value(state, request)
    pool = state.declared.pool
    commands = button("Commands", "lync.commands", value, spoken=f"Show the commands for {pool}")
    if not may_be_answered(request):
        return [
            button("Still a disaster…", "lync.still_disaster", value, ask=confirm(
                f"Is {pool} still lost?",
                f"{red_line(state)} If you go on, an approver types {pool} to move "
                f"{thousands(state.declared.users)} users to {state.declared.partner} {state.declared.partner_site}.",
                "Still a disaster", "Not yet",
            )),
            button("False alarm, close", "lync.false_alarm", value, ask=confirm(
                f"Close {pool} as false alarm?", f"The declaration for {story.pool_at(state)} ends. Nothing was "
                "changed.", "Yes, false alarm", "Keep it open", danger=False)),
            commands,
        ]  # fmt: skip
    asks_text = request.level == "red" or reader.policy.one_time_code
    approve = button(
        f"Approve {pool} → {state.declared.partner}" + ("…" if asks_text else ""), "lync.approve", value,
        style="primary", ask=None if asks_text else _confirm(state, request, reader),
        spoken=f"Approve failover of pool {pool} to {state.declared.partner}",
    )  # fmt: skip
    return [approve, button("Decline", "lync.decline", value, spoken=f"Decline failover of pool {pool}"), commands]


def _confirm(state: Incident, request: Request, reader: Reader) -> Json:
    """Names pool, site, users and evidence, because that is what the thumb must see."""
    d = state.declared
    rows = [str(r.number) for r in story.rows(state) if _once(r)]
    which = f"Step {rows[0]}" if len(rows) == 1 else f"Steps {' and '.join(rows)}"
    end = f" {story.begins(request, reader)}" + (f" {which} cannot be stopped." if rows else "")
    best = next(_good(state), "")
    seen = f" {untrusted.line(best, 90)}." if best else ""
    return confirm(
        f"Fail over {story.pool_at(state)}?",
        f"{thousands(d.users)} users move to {d.partner} {d.partner_site}.{seen} You are the "
        f"{_ORDINAL[min(5, len({v.person for v in request.votes}) + (2 if request.asker_counts else 1))]} person"
        f"{f' after {reader.name(request.asker)}' if request.asker_counts else ''}.{end}",
        f"Yes, fail over {d.pool}",
        "Not yet",
    )


def ask_again_button(state: Incident) -> Json:
    """Opens the question again with the last plan."""
    return button("Ask again", "lync.ask_again", state.id, style="primary",
                  spoken=f"Ask again for approval of {state.declared.pool}")  # fmt: skip


def _over(state: Incident, request: Request, reader: Reader) -> Post:
    """A card that is decided: what became of it, by whom, when. The buttons are gone."""
    line, more = outcome(state, request, reader)
    body: list[Line] = [
        f"{story.way(state)} · {thousands(state.declared.users)} users",
        *more,
        f"Asked: {reader.name(request.asker)} {reader.clock(state.declared_at)}",
    ]
    if state.planned and state.planned.digest == request.digest:
        body.append(f"Plan: {' '.join(state.planned.words)}")
    body.append(f"Code: {request.short} · {state.id}")
    blocks: list[Json] = [header(line), lines(body)]
    if can_ask_again(state, request):
        blocks += actions(f"card.{request.number}", ask_again_button(state), _cancel(state))
    decided = request.state in ("approved", "used")
    return post(
        "card",
        f"{line}. {story.way(state)}. {' '.join(str(m) for m in more)}",
        blocks,
        bar(GREEN, line) if decided else (),
    )


def _cancel(state: Incident) -> Json:
    from bot.draw.board import cancel_button

    return cancel_button(state)


def can_ask_again(state: Incident, request: Request) -> bool:
    """True where asking again is the next thing to press."""
    last = state.request is not None and state.request.number == request.number
    ended = request.state in ("lapsed", "declined", "void") and not state.ask_due
    return last and ended and not state.closed and state.run_request is None


def outcome(state: Incident, request: Request, reader: Reader) -> tuple[str, list[str]]:
    """What became of a card: one line, and what there is to say more."""
    who = reader.names(dict.fromkeys(v.person for v in request.votes))
    if request.state in ("approved", "used"):
        later = request.start_at is not None and request.start_at > (request.approved_at or request.at)
        waits = f"begins {reader.moment(request.start_at)}" if later else "starting"
        running = "running" if request.state == "used" else waits
        if state.closed:
            running = headline(state).lower()
        return f"APPROVED · {who} {reader.clock(request.approved_at)} · {running}", []
    at = reader.clock(request.ended_at)
    if request.state == "declined":
        return f"DECLINED · {reader.name(request.ended_by)} {at}", [
            "Nothing was run.", *(f"Said: {quoted(w)}" for w in request.why if w)
        ]  # fmt: skip
    if request.state in ("lapsed", "void"):
        ended = over(state, request, reader)
        return ended.line, list(ended.more)
    word = headline(state) or "CLOSED"
    return f"{word} · this question is closed", ["Nothing was run under it."]


def quoted(text: str) -> str:
    """Somebody's own words in quotes; nothing where there are none."""
    tidy = untrusted.line(text.strip().strip('"“”'), 200) if text.strip() else ""
    return f"“{tidy}”" if tidy else ""


def short_outcome(state: Incident, request: Request, reader: Reader) -> Post:
    """A short new message for a card that ended without a yes: an edit wakes nobody."""
    line, more = outcome(state, request, reader)
    blocks: list[Json] = [lines(Bold(line), *more, f"{story.way(state)} · deadline "
                                f"{reader.clock(story.deadline(state))}")]  # fmt: skip
    if can_ask_again(state, request):
        blocks += actions(f"again.{request.number}", ask_again_button(state), _cancel(state))
    return post("card_over", f"{line}. {story.way(state)}. {' '.join(more)} RTO deadline "
                f"{reader.clock(story.deadline(state))} {reader.zone}.", blocks)  # fmt: skip


def reminder(state: Incident, request: Request, now: datetime, reader: Reader) -> Post:
    """The DM that comes every minute until somebody acts."""
    left = span((request.expires - now).total_seconds())
    if not may_be_answered(request):
        return _insist(state, request, left, reader)
    push = (
        f"STILL WAITING: approve or decline {story.way(state)}, {thousands(state.declared.users)} users. "
        f"RTO {story.rto(state, now)}. The card above in this conversation expires at {reader.stamp(request.expires)}, "
        f"in {left}."
    )
    body = (Bold(f"⏰ Still waiting · {story.way(state)}"), "Approve or decline on the card above.",
            f"It expires {reader.stamp(request.expires)}, in {left}.",
            f"RTO {story.rto(state, now)} · deadline {reader.clock(story.deadline(state))}")  # fmt: skip
    return post("reminder", push, [lines(*body)])


def _insist(state: Incident, request: Request, left: str, reader: Reader) -> Post:
    """For the asker: under red nobody can approve before they have spoken."""
    said = f"Nobody can approve {story.way(state)} before {reader.name(request.asker)} presses “Still a disaster”."
    ends = f"The card expires {reader.stamp(request.expires)}, in {left}."
    body = (Bold("⏰ Your word is needed"), said, red_line(state), ends)
    return post("reminder", f"YOUR WORD IS NEEDED: {said} {red_line(state)} {ends}", [lines(*body)])
