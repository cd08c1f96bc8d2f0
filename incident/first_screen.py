"""What an auditor asks, in the order they ask it, with the answer the record gives: the first screen of the report.

Words before colours: every answer begins with YES, NO or a figure. What the record cannot show is said in a row of
its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from incident.approvals_check import judge
from incident.clocks import Figures, between, clock_time, day, figures, minutes, zone_label
from incident.ending import headline, tone
from incident.events import Actor, Intent, Outcome
from incident.plans import PARTS, changes, departs, part_of
from incident.policy import Policy
from incident.record import Record
from incident.state import Incident, Request, StepState
from incident.verify_approval import breaches

_LONGER = {
    "aborted": "ENDED BY PEOPLE",
    "cancelled": "CANCELLED, NOTHING CHANGED",
    "hard_stopped": "STOPPED, NOTHING CHANGED",
    "false_alarm": "FALSE ALARM, NOTHING CHANGED",
    "": "OPEN",
}
"""Ends that changed nothing or were not carried through, as a page says them that is read a year later."""


@dataclass(frozen=True)
class Row:
    """One question and its answer. `word` is YES, NO or empty; `tone` only colours what the words already say."""

    question: str
    word: str
    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Beside:
    """What stands outside the incident's own record: its number, reviews, and what verifying said."""

    number: int | None = None
    register_gapless: bool | None = None
    reviews: tuple[tuple[datetime, str, str], ...] = ()
    verified: str = ""
    """The verdict in words, for example `whole: 214 entries, 3 signers`; empty where nobody verified."""
    verified_ok: bool | None = None


@dataclass(frozen=True)
class FirstScreen:
    """Headline, bar and rows."""

    kind: str
    title: str
    result: str
    result_tone: str
    figure: Figures
    rows: tuple[Row, ...]
    zone: str
    notes: tuple[str, ...] = field(default=())


def first_screen(
    state: Incident, records: Sequence[Record], policy: Policy | None, beside: Beside, zone: str
) -> FirstScreen:
    """The first screen, from verified records and what stands beside them."""
    figure = figures(state, state.closed_at or state.at)
    declared = state.declared
    number = f" · no. {beside.number}" if beside.number is not None else ""
    title = (
        f"{declared.playbook} · {declared.pool} {declared.site} → {declared.partner} {declared.partner_site}"
        f" · {day(state.declared_at, zone)}{number}"
    )
    kind = "DRILL" if declared.drill else "PRACTICE" if declared.practice else "REAL"
    rows = (
        _two_people(state, policy, zone),
        _before_change(state, records, policy, zone),
        _as_approved(state, records),
        _changed(state),
        _went_wrong(state, records),
        _told_refused(state),
        _data(state),
        _record(records, beside),
        _cannot(state),
        _after(state, beside, zone),
    )
    return FirstScreen(kind, title, result_line(state, figure), tone(state), figure, rows,
                       zone_label(state.at, zone))  # fmt: skip


def result_line(state: Incident, figure: Figures) -> str:
    """`RECOVERED, 11:34 of 15:00`; never the word success."""
    if state.declared.drill:
        return "DRILL · RTO NOT MEASURED"
    word = _LONGER.get(state.closed) or headline(state)
    if state.clocks.t5 is None or figure.rto_s is None:
        return word
    return f"{word}, {minutes(figure.rto_s)} of {minutes(figure.rto_target_s)}"


def the_request(state: Incident) -> Request | None:
    """The question the run went under, else the last one."""
    used = next((r for r in state.requests if r.number == state.run_request), None)
    return used or state.request


def _way(actor: Actor | None, dm: bool = False) -> str:
    if actor is None:
        return ""
    return "terminal" if actor.via == "cli" else "Slack DM" if dm else "Slack"


def _two_people(state: Incident, policy: Policy | None, zone: str) -> Row:
    question = "Two different people"
    asker = state.declared.actor
    asked = f"asked {asker.name if asker else 'nobody'} {clock_time(state.declared_at, zone)} ({_way(asker)})"
    request = the_request(state)
    if request is None or not request.votes:
        return Row(question, "NONE", f"{asked} · nobody approved", "plain")
    votes = " · ".join(
        f"approved {v.actor.name} {clock_time(v.at, zone)} ({_way(v.actor, bool(v.card and v.card.person))})"
        for v in request.votes
    )
    if request.approved_at is None:
        return Row(question, "NOT YET", f"{asked} · {votes}", "warn")
    findings = judge(state, policy, request)
    if findings:
        return Row(question, "NO", f"{asked} · {votes} · {findings[0].text}", "bad")
    return Row(question, "YES", f"{asked} · {votes}", "good")


def _before_change(state: Incident, records: Sequence[Record], policy: Policy | None, zone: str) -> Row:
    question = "Approved before change"
    t2, t3 = state.clocks.t2, state.clocks.t3
    if t3 is None:
        return Row(question, "NO CHANGE", "nothing was changed by this tool")
    wrong = breaches(records, policy)
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return Row(question, "NO", f"record {wrong[0][0]}: {wrong[0][1]}{more}", "bad")
    after = between(t2, t3)
    return Row(question, "YES", f"first change {clock_time(t3, zone)}, {after} s after", "good")


def _as_approved(state: Incident, records: Sequence[Record]) -> Row:
    question = "Ran what was approved"
    planned = [step for step in state.steps if changes(step)]
    intents = [r.event for r in records if isinstance(r.event, Intent)]
    altered = [i for i in intents if (s := state.step(i.step)) is None or departs(s, i)]
    sent = [i for i in intents if i in altered or any(i.step == step.id for step in planned)]
    if not sent:
        return Row(question, "NOTHING RAN", f"{len(planned)} calls planned, none sent")
    first = {i.step for i in sent}
    again = len(sent) - len({(i.step, i.call_no) for i in sent})
    skipped = sum(1 for step in planned if step.status in ("skipped", "ruled_skip") and step.id not in first)
    text = f"{len(first)} of {len(planned)} planned calls sent"
    text += f", {skipped} not needed or left out" if skipped else ""
    text += f"; {again} run again" if again else ""
    text += f"; {len(altered)} altered"
    return Row(question, "NO" if altered else "YES", text, "bad" if altered else "good")


def _changed(state: Incident) -> Row:
    done = [step for step in state.steps if changes(step) and step.status in ("done", "done_red", "ruled_done")]
    counted = Counter(part_of(step) for step in done)
    words = {"dns": "DNS change", "edge": "Edge next hop"}
    parts = [
        f"{count} {words[part]}{'s' if count > 1 else ''}" if part in words else PARTS.get(part, part)
        for part, count in counted.items()
    ]
    return Row("Changed", "", ", ".join(parts) or "nothing")


def _named(where: Sequence[str]) -> str:
    """Which steps, in brackets, each once; nothing where it was no step's."""
    names = ", ".join(dict.fromkeys(name for name in where if name))
    return f" ({names})" if names else ""


def _went_wrong(state: Incident, records: Sequence[Record]) -> Row:
    codes = Counter(r.code for r in records)

    def ended(code: str) -> list[str]:
        """The parts whose calls ended so, once for each call."""
        steps = [state.step(r.event.step) for r in records if r.code == code and isinstance(r.event, Outcome)]
        return [PARTS.get(part_of(step), step.id) for step in steps if step is not None]

    found = [
        (ended("STP003E"), "red text"),
        (ended("STP004E"), "call refused before it ran"),
        (ended("STP003W"), "call whose end is not known"),
        ([s.title for s in state.steps if s.status == "degraded"], "step left degraded"),
        ([""] * codes["APR013W"], "approval voided"),
        ([""] * codes["APR014W"], "question lapsed"),
        ([""] * codes["RUN003E"], "refusal by a worker"),
    ]
    text = ", ".join(f"{len(where)} × {what}{_named(where)}" for where, what in found if where)
    rulings = len(state.rulings)
    if rulings:
        text += f"; {rulings} decided by people"
    return Row("Went wrong", "", text or "nothing", "warn" if text else "plain")


_REASONS = {"020": "self-approval", "021": "outsider", "022": "without the role", "043": "late", "045": "after expiry",
            "042": "from a copy", "041": "other plan", "047": "repeated", "049": "wrong characters of the card",
            "023": "guest", "024": "deactivated", "025": "foreign", "031": "wrong code", "032": "code used before",
            "038": "locked out", "052": "wrong name typed"}  # fmt: skip


def _told_refused(state: Incident) -> Row:
    reached = {person for person, _, ok, _ in state.told if ok}
    missed = {person for person, _, ok, _ in state.told if not ok} - reached
    text = f"{len(reached)} told" + (f", {len(missed)} not reached" if missed else "")
    request = the_request(state)
    if request is not None:
        text += f", {len(request.votes)} answered" if request.votes else ""
    counts: Counter[str] = Counter()
    for refusal in state.refusals.values():
        person = refusal.code.startswith(("APR", "REF"))
        counts[_REASONS.get(refusal.code[3:6], refusal.code) if person else refusal.code] += refusal.count
    refused = ", ".join(f"{count} {why}" for why, count in counts.items())
    return Row("Told / refused", "", f"{text}; refused: {refused or 'nobody'}")


def _data(state: Incident) -> Row:
    planned = state.planned
    if planned is None:
        return Row("Data", "", "no plan was made")
    rpo = planned.rpo_s
    lost = (
        "not known" if rpo is None else f"about {max(1, round(rpo / 60))} min (estimate from the backup's last sample)"
    )
    left = [str(text) for text in planned.plan.get("not_carried", ())]
    return Row("Data", "", f"lost: {lost}" + (f"; not carried: {', '.join(left)}" if left else ""))


def _record(records: Sequence[Record], beside: Beside) -> Row:
    signers = len({r.by for r in records})
    own = f"{len(records)} entries, {signers} signer{'s' if signers != 1 else ''}"
    register = {True: "; register without gap", False: "; REGISTER HAS A GAP", None: ""}[beside.register_gapless]
    if beside.verified_ok is None:
        return Row("Record", "NOT CHECKED", f"{own}{register}", "warn")
    word = "WHOLE" if beside.verified_ok else "NOT WHOLE"
    return Row("Record", word, f"{beside.verified or own}{register}", "good" if beside.verified_ok else "bad")


def _cannot(state: Incident) -> Row:
    seen = f"given by {state.confirmed_by}" if state.confirmed else "not given"
    return Row("Cannot be shown", "", f"what people did by hand on the servers; a person’s “no red banner”: {seen}")


def _after(state: Incident, beside: Beside, zone: str) -> Row:
    reviews = ", ".join(f"{who} {day(at, zone)}" for at, who, _ in beside.reviews) or "nobody yet"
    left = sum(1 for _, _, done in state.follow_ups if not done)
    return Row("After", "", f"reviewed by: {reviews} · follow-ups {left} open")


def took(step: StepState) -> str:
    """How long the step took, in `m:ss`."""
    seconds = between(step.began_at, step.ended_at)
    return "" if seconds is None else minutes(seconds)
