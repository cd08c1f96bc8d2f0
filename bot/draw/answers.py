"""What the bot answers privately: a sentence, the help, who somebody is, who may do what, where a record stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.draw import story
from bot.draw.card import ask_again_button
from bot.draw.post import Bold, Code, Post, actions, lines, post, preformatted
from bot.draw.reader import Reader
from incident.events import Account, Actor
from incident.record import is_name
from incident.state import Incident

CALLS = 30
"""Calls in one block; a block with more would leave some out."""


def say(text: str) -> Post:
    """An answer in one sentence or two."""
    return post("answer", text, [lines(text)])


def refused(text: str, ask_again: Incident | None = None) -> Post:
    """The words of a refusal; with the button that asks again where that is the next thing to press."""
    blocks = [lines(text)]
    if ask_again is not None:
        blocks += actions("again", ask_again_button(ask_again))
    return post("answer", text, blocks)


def help_text(commands: Sequence[str]) -> Post:
    """What may be typed."""
    return post("help", "What I understand: " + "; ".join(commands), [lines(Bold("What I understand"), *commands)])


def whoami(actor: Actor, reader: Reader) -> Post:
    """The two ids that a policy file needs, and what it makes of them."""
    person = reader.policy.person(actor.person) if actor.person else None
    flags = _flags(actor.account)
    known = (
        f"In the policy as {person.name} ({person.id}), roles: {', '.join(sorted(person.roles)) or 'none'}."
        if person else "Not in the policy of this installation."
    )  # fmt: skip
    text = f"Slack team {actor.team}, user {actor.user}. {known} {flags}"
    return post("answer", text, [lines(f"Team {actor.team}", f"User {actor.user}", known, flags)])


def who(reader: Reader) -> Post:
    """Every person with their roles and the number to call."""
    policy = reader.policy
    said = [f"{p.name} · {p.mobile or 'no mobile'} · {', '.join(sorted(p.roles)) or 'none'}" for p in policy.persons]
    needed = f"Needed to approve: {policy.quorum} persons, whoever asks included if they may approve."
    return post("answer", f"{'; '.join(said)}. {needed}", [lines(*said, needed)])


def audited(state: Incident, reader: Reader) -> Post:
    """Where a record stands, and how to check it without this bot."""
    word = story.word(state, reader)
    text = (
        f"{state.id}: {story.way(state)}, {word}. {state.seq} records, head {state.head}. Each record was verified as "
        f"it came in. Check the whole yourself: lync-dr audit verify {state.id}"
    )
    told = (
        Bold(f"{story.way(state)} · {word}"),
        f"{state.seq} records of {state.id}, each verified as it came in. Head:",
        Code(state.head),
        "Check the whole yourself, on a host:",
        Code(f"lync-dr audit verify {state.id}"),
    )
    return post("answer", text, [lines(*told)])


def no_record(name: str, newest: Sequence[str]) -> str:
    """There is no record of that name: which there are, and what can be typed here."""
    first = f"There is no incident {name if is_name(name) else 'of that name'} in this journal."
    if not newest:
        return f"{first} No incident stands in it yet."
    known = f"The newest: {', '.join(reversed(newest))}."
    return f"{first} {known} Type /lync audit and one of these. All of them, on a host: lync-dr audit list"


def plan(name: str, site: str, answer: Mapping[str, Any]) -> Post:
    """The plan as a look made it just now, every call spelled out; or why there is none."""
    if "hard_stop" in answer:
        stop = answer["hard_stop"]
        return say(f"STOP: {stop.get('why', '')} {stop.get('do', '')} Nothing was changed.")
    warned = [f"{str(w.get('level')).upper()}: {w.get('why', '')}" for w in answer.get("warnings", ())]
    calls = [f"{str(host).split('.', 1)[0]}: {call}" for host, call in answer.get("calls", ())]
    text = (
        f"Plan for {name} {site}: {answer.get('words', '')}, code {answer.get('code', '')}, {len(calls)} calls. "
        f"{' '.join(warned)} Nothing was changed."
    )
    title = Bold(f"Plan for {name} {site}: {answer.get('words', '')}")
    above = lines(title, *warned, "These calls would be sent. Nothing was changed:")
    blocks = [preformatted(calls[at : at + CALLS]) for at in range(0, min(len(calls), 3 * CALLS), CALLS)]
    left = len(calls) - 3 * CALLS
    more = [lines(f"And {left} more. All of them, on a host:", Code(f"lync-dr plan {name}"))] if left > 0 else []
    return post("answer", text, [above, *(blocks or [preformatted(["No calls."])]), *more])


def _flags(account: Account | None) -> str:
    if account is None:
        return "Slack could not say more about your account just now."
    names = ("deleted", "guest", "stranger", "bot", "invited")
    found = [n for n in names if getattr(account, n)]
    return f"Slack says of your account: {', '.join(found)}." if found else "Slack says nothing against your account."
