"""The way in when Slack is gone: declare, approve, decline, stop, rule in a terminal. Same rules, same record.

A person proves themselves with their one-time code; the record says `via=cli`. Where the last look at Slack saw an
account deactivated, that person is refused here too.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click

from cli.look import lines
from cli.roots import Root, find_incident, host, now, open_root
from cli.steward import Steward, ring_for_hand
from incident.commands import (
    AddNote,
    Approve,
    AskApproval,
    Cancel,
    Close,
    Code,
    Command,
    Confirm,
    Declare,
    Decline,
    GoOn,
    Rule,
    SayStillDisaster,
    SetOutage,
    Stop,
    TakeLead,
)
from incident.decide.hands import CLOCK_LIMIT_S
from incident.desk import Answer
from incident.events import Account, Actor
from incident.journal import JournalError
from incident.one_time import NoSeed, Seeds
from incident.persons import account_trouble
from incident.policy import Person
from incident.register import Register
from incident.state import Incident, Request

F = Callable[..., Any]


def person_options(function: F) -> F:
    """`--person` and `--otp`: who you are, and the code that proves it."""
    function = click.option("--writer", default="cli", show_default=True, help="The signing key of this terminal.")(
        function
    )
    function = click.option("--otp", help="Your one-time code; asked for when not given.")(function)
    return click.option("--person", "who", required=True, help="Your id in the policy, for example rita.")(function)


def prove(root: Root, who: str, otp: str | None) -> Actor:
    """The person at this terminal. A wrong one-time code proves nothing, and the rules refuse it, on record."""
    person = root.desk.rules.policy.person(who)
    if person is None:
        raise click.ClickException(f"{who} is no person of the policy. Nothing happened.")
    typed = otp if otp is not None else click.prompt("One-time code", hide_input=True)
    code = Seeds(root.settings.state / "seeds").check(person.id, typed, now())
    return actor_of(root, person, code)


def actor_of(root: Root, person: Person, code: Code) -> Actor:
    """The actor as the record will have it, with what Slack last said of their accounts."""
    # So that what is decided here can be read later by the policy that was in force.
    Register(root.journal).state_policy(root.desk.rules.policy)
    first = person.slack[0] if person.slack else None
    account = worst_account(root, person)
    return Actor(
        person=person.id,
        name=person.name,
        via="cli",
        user=first.user if first else "",
        team=first.team if first else "",
        account=account,
        code_step=code.step,
    )


def worst_account(root: Root, person: Person) -> Account | None:
    """What the last look at Slack (at most a day old) said of this person: the worst of their accounts, if any."""
    looked = Register(root.journal).last_look(now())
    found = [looked[key] for s in person.slack if (key := f"{s.team}/{s.user}") in looked]
    policy = root.desk.rules.policy
    return next((a for a in found if account_trouble(policy, a) is not None), found[0] if found else None)


def tell(answer: Answer, done: str) -> None:
    """Print what became of a command, and leave with 1 where it was refused."""
    if answer.refusal is not None:
        click.echo(answer.refusal.text, err=True)
        raise SystemExit(1)
    click.echo(done)


def do(root: Root, state: Incident, command: Command, done: str) -> None:
    """Ask the desk and print the answer."""
    clock_or_leave(root)
    answer = root.desk.do(state.id, command)
    if answer.ok and answer.state is not None:
        ring_for_hand(root, answer.state)
    tell(answer, done)


def clock_or_leave(root: Root) -> None:
    """Leave with a sentence where this host's clock is too far off to judge expiry and codes by."""
    off_s = root.journal.clock_offset_ms() / 1000
    if abs(off_s) > CLOCK_LIMIT_S:
        raise click.ClickException(
            f"This host's clock is {off_s:+.0f} s off the store's, so nothing is decided here and nothing happened. "
            "Mend the time synchronisation, or use another host."
        )


@click.command()
@click.argument("pool")
@click.argument("reason", nargs=-1)
@click.option("--since", help="When the outage began, hh:mm UTC.")
@person_options
def declare(pool: str, reason: tuple[str, ...], since: str | None, who: str, otp: str | None, writer: str) -> None:
    """Declare POOL lost. Starts the clock; a second person must approve before anything changes."""
    root = open_root(writer)
    estate = root.configuration.estate
    lost = estate.find_pool(pool)
    if lost is None:
        near = estate.suggestions(pool)
        hint = f" Pools here: {', '.join(near)}." if near else ""
        raise click.ClickException(f"There is no pool {pool} in the estate. Nothing happened.{hint}")
    heir = estate.partner_of(lost.name)
    if heir is None:
        raise click.ClickException(f"{lost.name} is in no pair, so nothing can take its users. Nothing happened.")
    clock_or_leave(root)
    actor = prove(root, who, otp)
    answer = root.desk.declare(
        Declare(
            actor=actor, playbook="declare-disaster", pool=lost.name, pool_fqdn=lost.fqdn, site=lost.site,
            partner=heir.name, partner_fqdn=heir.fqdn, partner_site=heir.site, users=lost.users,
            reason=" ".join(reason), raw=f"lync-dr declare {pool} {' '.join(reason)}".strip(), channel="",
            since=clock_time(since) if since else None,
        )
    )  # fmt: skip
    verb = "joined" if answer.joined else "declared"
    tell(answer, f"{lost.name} {lost.site}: {verb} as {answer.incident}. Nothing has changed yet.")
    click.echo("Looking, read-only, 20 s at most …")
    try:
        state = Steward(root).until_asked(answer.incident)
    except JournalError as gone:
        raise click.ClickException(f"It is declared. {gone} Go on with: lync-dr status --watch") from None
    click.echo(lines(state))
    click.echo("A second person must approve; nothing runs until then.")


def clock_time(text: str) -> datetime:
    """hh:mm UTC as the last such moment. Leaves with a sentence."""
    try:
        given = datetime.strptime(text, "%H:%M")
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time of day; give hh:mm in UTC.") from None
    at = now().replace(hour=given.hour, minute=given.minute, second=0, microsecond=0)
    return at if at <= now() else at - timedelta(days=1)


def open_question(state: Incident) -> Request:
    """The last question of this incident. Leaves with a sentence when none was asked."""
    if state.request is None:
        raise click.ClickException(f"Nothing has been asked for {state.id} yet. Watch: lync-dr status --watch")
    return state.request


@click.command()
@click.argument("incident", required=False)
@click.option("--code", "short", required=True, help="The six characters of the question, as shown.")
@click.option("--type-pool", "typed", help="The pool's name, where the question is red.")
@person_options
def approve(incident: str | None, short: str, typed: str | None, who: str, otp: str | None, writer: str) -> None:
    """Say yes to the open question of INCIDENT, as the second person."""
    root = open_root(writer)
    state = find_incident(root.desk, incident)
    question = open_question(state)
    actor = prove(root, who, otp)
    command = Approve(
        actor, question.number, question.nonce, question.digest, None, typed, Code(actor.code_step), short
    )
    do(
        root,
        state,
        command,
        f"Your approval counted at {now():%H:%M:%S} UTC for question {question.number} of {state.id}.",
    )


@click.command()
@click.argument("incident", required=False)
@click.option("--why", default="")
@person_options
def decline(incident: str | None, why: str, who: str, otp: str | None, writer: str) -> None:
    """Say no to the open question of INCIDENT."""
    root = open_root(writer)
    state = find_incident(root.desk, incident)
    question = open_question(state)
    actor = prove(root, who, otp)
    do(root, state, Decline(actor, question.number, question.nonce, None, why), "Declined. Nothing was run.")


def _simple(name: str, text: str, make: Callable[[Incident, Actor], Command], done: str) -> click.Command:
    """A command on one incident that needs only the proven person."""

    @click.argument("incident", required=False)
    @person_options
    def run(incident: str | None, who: str, otp: str | None, writer: str) -> None:
        root = open_root(writer)
        state = find_incident(root.desk, incident)
        actor = prove(root, who, otp)
        do(root, state, make(state, actor), done)

    return click.command(name, help=text)(run)


def _insist(state: Incident, actor: Actor) -> Command:
    question = open_question(state)
    return SayStillDisaster(actor, question.number, question.nonce)


still_a_disaster = _simple(
    "still-a-disaster", "Insist, where the question is red.", _insist, "Noted. Now a second person must approve."
)
ask_again = _simple(
    "ask-again",
    "Open the question again after it lapsed.",
    lambda _, actor: AskApproval(actor, secrets.token_hex(16), again=True),
    "Asked again. lync-dr status shows the new code.",
)
cancel = _simple(
    "cancel",
    "Call it off before anything was changed.",
    lambda _, actor: Cancel(actor),
    "Cancelled. Nothing was changed.",
)


@click.command(help="Nothing after the step in flight will start.")
@click.argument("incident", required=False)
@person_options
def stop(incident: str | None, who: str, otp: str | None, writer: str) -> None:
    """Stop the run. Whoever has no code, or no enrolment on this host, may stop all the same: the record says so."""
    root = open_root(writer)
    state = find_incident(root.desk, incident)
    try:
        actor = prove(root, who, otp)
    except NoSeed:
        person = root.desk.rules.policy.person(who)
        assert person is not None
        actor = actor_of(root, person, Code(None))
    do(root, state, Stop(actor, host=host()), "Stopped after the step in flight.")


lead = _simple("lead", "Take the lead.", lambda _, actor: TakeLead(actor), "You have the lead.")
confirm = _simple(
    "confirm",
    "Say that you signed in and it works.",
    lambda _, actor: Confirm(actor),
    "Noted: service confirmed by you.",
)
close = _simple("close", "End an incident.", lambda _, actor: Close(actor), "Closed.")
go_on = _simple("go-on", "Lift the stop.", lambda _, actor: GoOn(actor), "The run goes on.")


@click.command()
@click.argument("text")
@click.option("--incident")
@person_options
def note(text: str, incident: str | None, who: str, otp: str | None, writer: str) -> None:
    """Leave a note in the record of the open incident."""
    root = open_root(writer)
    do(root, find_incident(root.desk, incident), AddNote(prove(root, who, otp), text), "Noted.")


@click.command()
@click.argument("since")
@click.option("--incident")
@person_options
def outage(since: str, incident: str | None, who: str, otp: str | None, writer: str) -> None:
    """Correct when the outage began: hh:mm UTC."""
    root = open_root(writer)
    command = SetOutage(prove(root, who, otp), clock_time(since))
    do(root, find_incident(root.desk, incident), command, f"The outage began at {since} UTC.")


@click.command()
@click.argument("step")
@click.argument("verdict", type=click.Choice(["retry", "done", "skip", "abort"]))
@click.option("--incident")
@click.option("--reason", default="")
@person_options
def rule(step: str, verdict: str, incident: str | None, reason: str, who: str, otp: str | None, writer: str) -> None:
    """Say what to do about a STEP that failed or whose fate is unknown."""
    root = open_root(writer)
    state = find_incident(root.desk, incident)
    found = state.step(step)
    if found is None or found.failure is None:
        waiting = state.waiting_step
        hint = f" The step that waits is {waiting.id}." if waiting else ""
        raise click.ClickException(f"Step {step} of {state.id} waits for nobody's word.{hint}")
    actor = prove(root, who, otp)
    command = Rule(actor, step, found.failure.attempt, verdict, reason)  # type: ignore[arg-type]
    do(root, state, command, f"Your word on {step} is on record: {verdict}.")
