"""The end: recovered, late, or not, with figures that add up; and the receipts people keep."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from bot.draw import story, untrusted
from bot.draw.post import AMBER, GREEN, Bold, Code, Line, Post, actions, bar, button, header, lines, post
from bot.draw.reader import Reader, span, thousands
from bot.draw.users import moved, users_now
from incident import replicas
from incident.clocks import figures
from incident.ending import GOOD, RECOVERED, headline, meetings_in_words, tone
from incident.plans import literal_of
from incident.state import Incident, Request

MOVED: Final = {
    "yes": "{pool}'s users were moved.",
    "said": "People said that {pool}'s users were moved; it was not read back.",
    "unknown": "Whether {pool}'s users were moved is not known: look at its PoolState first.",
    "no": "{pool}'s users were not moved.",
}
"""What became of the lost pool's users, where the run was not carried to its end."""


def summary(state: Incident, reader: Reader) -> Post:
    """The last message of an incident."""
    if state.closed not in ("recovered", "recovered_late", "incomplete", "aborted") or state.clocks.t3 is None:
        return _nothing_changed(state, reader)
    word, mark, colour = _verdict(state)
    d = state.declared
    body: list[Line] = [*_clocks(state, reader), *_loss(state, reader)]
    after: list[Line] = [*_what_was_done(state), *_until_failback(state)]
    left = [reader.follow_up(k, t, 160) for k, t, settled in state.follow_ups if not settled]
    # What stands above already is among the follow-ups behind the button, and not said twice.
    said_above = f"Until {d.pool} is failed back"
    after += [
        f"☐ {t}" for t in (*story.debts(state), *left) if not story.left_behind(t) and not t.startswith(said_above)
    ]
    buttons = actions(
        "summary",
        button("Stakeholder text", "lync.stakeholders", state.id, spoken="Show a text for stakeholders"),
        button(f"Follow-ups {len(left)}", "lync.follow_ups", state.id) if left else None,
    )
    proof = _proof(state)
    said = untrusted.line(state.closing, 200) if state.closing and state.closed in ("incomplete", "aborted") else ""
    if state.closed in RECOVERED:
        head = f"{mark} {word} · {d.pool} users on {d.partner} {d.partner_site}"
        took = f"{word} {story.pool_at(state)} on {d.partner} {d.partner_site} in {_took(state)}"
    else:
        head = f"{mark} {word} · {story.way(state)}"
        took = f"{word}: {story.way(state)}, after {_took(state)}"
        proof = f"{MOVED[moved(state)].format(pool=d.pool)} {proof}"
    push = f"{took}, target {span(d.rto_s)}. {proof} {_count(len(left), 'follow-up')}. {said}"
    return post(
        "summary",
        push,
        [header(head), lines(body), *([lines(after)] if after else []), lines(_hands(state, reader)), *buttons],
        bar(colour, head),
    )


def _count(number: int, what: str) -> str:
    return f"{number or 'No'} {what}{'' if number == 1 else 's'}"


def _verdict(state: Incident) -> tuple[str, str, str]:
    # Green only where all is back: nobody goes to bed on a green sign over something that is missing.
    mark, colour = ("✅", GREEN) if tone(state) == "good" else ("⚠️", AMBER)
    return headline(state), mark, colour


def _took(state: Incident) -> str:
    end = state.clocks.t5 or state.closed_at or state.at
    return span((end - state.clocks.t1).total_seconds()) if state.clocks.t1 else "–"


def _clocks(state: Incident, reader: Reader) -> list[Line]:
    """The clocks of the incident; the parts of the way from T1 to T5 add up."""
    c = state.clocks
    end = c.t5 or state.closed_at
    found: list[Line] = [_rto(state)]
    if c.t1 and end:
        found.append(f"(T1 {reader.clock(c.t1)} → {'T5' if c.t5 else 'closed'} {reader.clock(end)} {reader.zone})")
        found += [line] if (line := figures(state, end).line()) else []
    if c.t0:
        proposed = ", proposed" if c.t0_proposed else ""
        since = f"from {reader.clock(c.t0)}{proposed}"
        ended = f"Outage {span((c.t5 - c.t0).total_seconds())} ({since})" if c.t5 else f"Outage {since}, no end proven"
        found.append(ended)
    if c.t3 and c.pool_verified:
        found.append(f"Comparable with Microsoft: {span((c.pool_verified - c.t3).total_seconds())} (T3 → PoolState)")
    found.append(_proof(state))
    found += [untrusted.line(one, 300) for one in replicas.told(state, reader.clock)]
    if dns := _old_dns(state):
        found.append(f"Old DNS answers until {reader.clock(dns)}")
    red = sum(1 for s in state.steps for a in s.attempts if a.outcome and a.outcome.result == "red")
    if red:
        found.append(f"Red text {red}: in the channel above")
    return found


def _rto(state: Incident) -> Line:
    """The figure, where service was proven; else that there is none."""
    if state.clocks.t5 is not None:
        return Bold(f"RTO {story.rto(state, state.closed_at or state.at)}")
    return Bold(f"No RTO: service is not proven. Ended after {_took(state)} of {span(state.declared.rto_s)}.")


def _what_was_done(state: Incident) -> list[Line]:
    """For a run that people ended: which steps stand, which do not. Nothing is undone by itself."""
    if state.closed in RECOVERED:
        return []
    found: list[Line] = [Bold(MOVED[moved(state)].format(pool=state.declared.pool))]
    some = story.rows(state)
    done = [f"{r.number} {r.title}" for r in some if all(s.status in GOOD for s in r.steps)]
    left = [f"{r.number} {r.title}" for r in some if not all(s.status in GOOD for s in r.steps)]
    found += [f"✅ {line}" for line in done] + [f"▫️ {line}: not done, or not read back" for line in left]
    return found


def _until_failback(state: Incident) -> list[Line]:
    """What follows from users being on the other pool; where they may be there it is said with that doubt."""
    d, there = state.declared, moved(state)
    if there == "no":
        return []
    doubt = "" if there == "yes" else "If they were moved: "
    return [
        Bold("Not carried by a pool failover:"),
        *(f"• {untrusted.line(t, 160)}" for t in _not_carried(state)),
        f"{doubt}{'keep' if doubt else 'Keep'} {d.pool}'s Lync services off until failback.",
        f"Until then {d.partner} has no backup.",
    ]  # fmt: skip


def _loss(state: Incident, reader: Reader) -> list[Line]:
    if moved(state) == "no":
        return []
    rpo = state.planned.rpo_s if state.planned else None
    if rpo is None:
        return ["Lost: what changed since the last good backup (time unknown)."]
    return [f"Lost: about {max(1, round(rpo / 60))} min of data (estimate)"]


def _proof(state: Incident) -> str:
    if state.proven:
        return f"Proof: {story.low(untrusted.line(state.proven, 160))}"
    if state.confirmed:
        said = untrusted.line(state.confirmed.text, 120) if state.confirmed.text else ""
        return f"Confirmed by a person ({state.confirmed_by}) {said}".strip()
    return "Not proven by a sign-in."


def _old_dns(state: Incident) -> datetime | None:
    """When the last cache of an old answer has run out: the end of the DNS steps plus the longest TTL seen."""
    ended = [s.ended_at for s in state.steps if s.id.startswith("dns.") and s.ended_at and s.attempts]
    ttls = [
        story.fact_value(state, f) for f in (state.survey.facts if state.survey else {}) if f.startswith("dns_ttl.")
    ]
    whole = [t for t in ttls if isinstance(t, int) and not isinstance(t, bool)]
    return max(ended) + timedelta(seconds=max(whole)) if ended and whole else None


def _not_carried(state: Incident) -> tuple[str, ...]:
    """What the plan says stays behind; Microsoft's own list where the plan says nothing."""
    said = tuple(state.planned.plan.get("not_carried", ())) if state.planned else ()
    return said or ("Response Groups, Call Park, announcements",)


def _hands(state: Incident, reader: Reader) -> list[Line]:
    voters = [v.person for r in state.requests if r.state in ("approved", "used") for v in r.votes]
    found: list[Line] = [
        f"Asked {reader.actor(state.declared.actor)} · approved {reader.names(dict.fromkeys(voters))}",
        _checked(state),
        f"{state.id} · head {state.head[:12]}…{state.head[-4:]}",
        f"Report: in the board's thread; on a host: lync-dr audit export {state.id} --html report.html",
    ]
    return found


def _checked(state: Incident) -> str:
    """Chain and signatures were checked as the record was read; here each call is held against the plan's own."""
    calls = [(s, a) for s in state.steps for a in s.attempts]
    other = sum(1 for s, a in calls if (a.host, a.literal) != (s.host, literal_of(s.plan.get("act"))))
    said = f"{other} of {len(calls)} calls NOT as planned" if other else "plan = run"
    return f"Record checked: {state.seq} entries, {said}"


def _nothing_changed(state: Incident, reader: Reader) -> Post:
    word = headline(state) or "CLOSED"
    said = untrusted.line(state.closing, 300) if state.closing else ""
    sure = "Nothing was changed." if state.clocks.t3 is None else "See the log for what was touched."
    said = said.removesuffix(sure).rstrip()
    body: list[Line] = [Bold(f"{word} · {story.pool_at(state)}"), *([said] if said else []), Bold(sure),
                        f"{reader.stamp(state.closed_at)} · {state.id}",
                        f"Record: {state.seq} entries, head {state.head[:12]}…"]  # fmt: skip
    return post("summary", f"{word}: {story.way(state)}. {said} {sure}", [lines(body)])


def stakeholder_text(state: Incident, reader: Reader) -> str:
    """A paragraph for people who do not know what a pool is; only what is known, by how the incident stands."""
    d, c = state.declared, state.clocks
    began = f"since {reader.minute(c.t0 or c.t1)} {reader.zone}"
    if state.closed and c.t3 is None:
        return (
            f"The disaster declared for {d.site} telephony at {reader.minute(c.t1)} {reader.zone} was called off at "
            f"{reader.minute(state.closed_at)}. Nothing was changed."
        )
    if state.run_ended == "aborted" or state.closed in ("aborted", "incomplete"):
        tried = f"The switch to the {d.partner_site} data centre was ended before it was complete."
        seen = f" A sign-in there worked at {reader.minute(c.t5)}." if c.t5 else ""
        return f"Telephony for {d.site} users is impaired {began}. {tried}{seen} The next update says what is done now."
    if c.t5 is None:
        works = " Calls are expected to work in a reduced way." if users_now(state) and not _doubtful(state) else ""
        return (
            f"Telephony for {d.site} users is impaired {began}.{works} It is not yet proven that the "
            f"{d.partner_site} data centre serves everything; the next update says so."
        )
    return _restored(state, c.t5, reader)


def _doubtful(state: Incident) -> bool:
    """The lost pool may still serve its users, so nobody can say what they have."""
    return state.planned is not None and state.planned.level == "red" and state.clocks.t3 is None


def _restored(state: Incident, at: datetime, reader: Reader) -> str:
    """Service was proven at `at`: by what, and what that does not cover."""
    d = state.declared
    began = state.clocks.t0 or state.clocks.t1
    minutes = max(1, round((at - began).total_seconds() / 60)) if began else 0
    since = "the outage began" if state.clocks.t0 else "it was declared"
    page = next((s for s in state.steps if s.id == "proof.meeting"), None)
    how = "by a test user's sign-in" if state.proven else "by a person who signed in"
    how += " and by the meeting page" if page is not None and page.status in GOOD else ""
    missing = meetings_in_words(state.steps)
    works = "calls and chat" if missing else "calls, chat and meetings"
    return (
        f"Telephony for {d.site} users was restored at {reader.minute(at)} {reader.zone} from the {d.partner_site} "
        f"data centre, {minutes} minutes after {since}. This was proven {how}; {works} are expected "
        f"to work.{' ' if missing else ''}{missing} Call queues (Response Groups) do not work yet. "
        f"Changes made to contacts or meetings shortly before the outage may be lost."
    )


def receipt(state: Incident, request: Request, person: str, seq: int, head: str, at: datetime, reader: Reader) -> Post:
    """For an approver: the approval counted. Two phones hold a copy of the record's head."""
    words = " ".join(state.planned.words) if state.planned else ""
    voted = any(v.person == person for v in request.votes)
    first = (
        f"Your approval counted, {reader.stamp(at)}." if voted
        else f"Your request was approved by {reader.names(v.person for v in request.votes)}, {reader.stamp(at)}."
    )  # fmt: skip
    said = (
        f"{first} Plan {words}, {state.declared.pool} → {state.declared.partner}, asked by "
        f"{reader.name(request.asker)}. Keep this message: it is evidence. Record {seq}, head {head}."
    )
    return post("receipt", said, [lines(Bold(first), f"Plan {words}", story.way(state),
                f"{thousands(state.declared.users)} users, asked by {reader.name(request.asker)}",
                "Keep this message: it is evidence.", f"Record {seq} of {state.id}, head", Code(head))])  # fmt: skip


def closing_receipt(state: Incident, reader: Reader) -> Post:
    """At the end, the last head to both persons."""
    word = headline(state) or "CLOSED"
    said = (
        f"{word}: {story.way(state)}, closed {reader.stamp(state.closed_at)}. Keep this message: it is evidence. "
        f"Record {state.seq}, head {state.head}."
    )
    body: list[Line] = [
        Bold(f"{word} · {story.way(state)}"),
        f"Closed {reader.stamp(state.closed_at)}",
        "Keep this message: it is evidence.",
        f"Record {state.seq} of {state.id}, head",
        Code(state.head),
    ]
    return post("receipt", said, [lines(body)])
