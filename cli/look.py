"""`lync-dr plan` and `lync-dr status`: looking without changing anything."""

from __future__ import annotations

import json
import secrets
import threading
from typing import Any

import click

from cli.roots import Root, find_incident, now, open_root
from cli.steward import Steward
from config.load import load_settings
from incident.clocks import figures, minutes
from incident.ending import headline
from incident.journal import BadJournal, JournalDiffers, JournalShorter, NoSuchIncident, Unreachable
from incident.keys import private_key_path
from incident.state import Incident, Request
from playbooks.plan import Plan


@click.command()
@click.argument("pool")
@click.option("--json", "as_json", is_flag=True, help="The plan and what was seen, as data.")
@click.option("--wait", default=40, show_default=True, help="Seconds to wait for a look worker.")
def plan(pool: str, as_json: bool, wait: int) -> None:
    """Show what would run if POOL were declared lost now. Nothing is opened and nothing is changed."""
    root = open_root(None)
    answer = ask(root, {"what": "plan", "pool": pool}, wait)
    whole = {**answer["plan"], "seen": answer.get("seen")}
    click.echo(json.dumps(whole, indent=1, ensure_ascii=False) if as_json else answer["markdown"])
    raise SystemExit(0 if answer.get("ok", True) else 1)


def ask(root: Root, question: dict[str, Any], wait_s: float) -> dict[str, Any]:
    """Ask a look worker. Leaves with a sentence when none answers in time."""
    key = secrets.token_hex(8)
    root.bell.ring_look_now(key, question)
    answer = root.bell.wait_answer(key, wait_s)
    if answer is None:
        raise click.ClickException(
            f"No look worker answered within {wait_s:g} s. Is one running? Start it: lync-dr worker look"
        )
    return dict(answer)


@click.command()
@click.argument("incident", required=False)
@click.option("--watch", is_flag=True, help="Follow every open incident until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True)
def status(incident: str | None, watch: bool, as_json: bool) -> None:
    """Show the open incidents, or one of them."""
    root = open_root(writer_here() if watch else None)
    after = root.journal.last_bell()  # before looking, so that nothing falls between the look and the watch
    around = root.desk.look_around()
    shown = [find_incident(root.desk, incident)] if incident else list(around.incidents)
    for bad in around.unreadable.values():
        click.echo(f"HALT: {bad}", err=True)
    if as_json:
        click.echo(json.dumps([as_data(i) for i in shown], indent=1, ensure_ascii=False))
    elif not shown:
        click.echo("No other incident is open." if around.unreadable else "No incident is open.")
    else:
        click.echo("\n\n".join(lines(i) for i in shown))
    if watch:
        follow(root, incident, after)


def follow(root: Root, only: str | None, after: str) -> None:
    """Print each incident again whenever something was appended to it; ends with Ctrl-C."""
    last: dict[str, str] = {}
    steward = Steward(root) if writer_here() else None
    lost = False
    try:
        while True:
            try:
                bells = root.journal.bells(after, 2.0)
                stand_in(steward)
            except Unreachable as gone:
                if not lost:
                    click.echo(f"{gone} Still watching.", err=True)
                lost = True
                threading.Event().wait(2.0)
                continue
            lost = False
            after = bells[-1].id if bells else after
            for name in dict.fromkeys(b.incident for b in bells if b.incident != "register"):
                try:
                    state = root.desk.state(name)
                except (BadJournal, JournalDiffers, JournalShorter, NoSuchIncident) as bad:
                    if last.get(name) != str(bad):
                        click.echo(f"HALT: {bad}", err=True)
                    last[name] = str(bad)
                    continue
                text = lines(state)
                if only not in (None, state.id, state.declared.pool) or last.get(name) == text:
                    continue
                last[name] = text
                click.echo(f"\n{now():%H:%M:%S} UTC\n{text}")
    except KeyboardInterrupt:
        click.echo("")


def writer_here() -> str | None:
    """The terminal's signing key, where this host has one: watching then also does the duties of a bot that is gone."""
    return "cli" if private_key_path("cli", load_settings().state).exists() else None


def stand_in(steward: Steward | None) -> None:
    """Ask, lapse and ring as the bot would, where it does not. A reader without a key only watches."""
    if steward is not None:
        for state in steward.root.desk.open_incidents():
            steward.attend(state)


MARKS = {
    "waiting": "  ", "running": "> ", "verifying": "> ", "done": "ok", "done_red": "ok", "skipped": "--",
    "failed": "!!", "unknown": "??", "degraded": "! ", "ruled_done": "ok", "ruled_skip": "--",
}  # fmt: skip


def lines(state: Incident) -> str:
    """One incident for a terminal: where it stands, who is waited for, the steps."""
    told = state.declared
    head = [f"{state.id} · {told.pool} {told.site} → {told.partner} {told.partner_site} · {where(state)}"]
    rto = figures(state, now()).rto_s
    if rto is not None:
        head.append(f"RTO {minutes(rto)} of {minutes(told.rto_s)}")
    head.append(f"Waiting for: {waiting_for(state)}")
    question = state.request
    if state.phase == "asking" and question is not None:
        head += asked(state, question)
    steps = []
    for number, step in enumerate(state.steps, 1):
        said = next((line.strip() for line in step.last_line.splitlines() if line.strip()), "")
        steps.append(f"{MARKS[step.status]} {number:>2} {step.title}" + (f" · {said[:160]}" if said else ""))
    if state.hard_stop is not None:
        steps.append(f"STOP: {state.hard_stop.text} {state.hard_stop.todo}")
    return "\n".join((*head, *steps))


def where(state: Incident) -> str:
    """Where it stands, in a word or two."""
    words = {"hard_stopped": "STOPPED, NO PLAN", "waiting_for_ruling": "DECIDE", "lapsed": "ASK AGAIN"}
    return f"CLOSED: {headline(state)}" if state.closed else words.get(state.phase, state.phase.upper())


def asked(state: Incident, question: Request) -> list[str]:
    """The open question as the card has it: how sure, every warning, every call as it will go to the servers."""
    planned = state.planned
    words = " ".join(planned.words) if planned else ""
    found = [
        f"Question {question.number} · {question.level.upper()} · plan {words} · code {question.short} · expires "
        f"{question.expires:%H:%M:%S} UTC"
    ]
    for warning in planned.warnings if planned else ():
        todo = f" {warning['todo']}" if warning.get("todo") else ""
        found.append(f"  {str(warning.get('level', '')).upper():<6} {warning.get('text', '')}{todo}")
    found += [f"  {host:<20} {call}" for host, call in calls_of(state)]
    typed = f" --type-pool {state.declared.pool}" if question.level == "red" else ""
    if question.level == "red" and not question.still_disaster:
        found.append(f"The asker must insist first: lync-dr still-a-disaster {state.id} --person {question.asker}")
    found.append(f"Answer here: lync-dr approve {state.id} --code {question.short}{typed} --person YOU")
    return found


def calls_of(state: Incident) -> list[tuple[str, str]]:
    """(host, literal call) of the plan's steps; from the record, so that it is what would be approved."""
    try:
        plan = Plan.from_data(state.planned.plan) if state.planned else None
    except ValueError:
        return [("", "The calls of this plan cannot be read by this version. Do not approve here.")]
    return [(step.host, step.literal) for step in plan.steps if step.literal] if plan else []


def waiting_for(state: Incident) -> str:
    """Who or what everything waits for, in a few words."""
    step = state.waiting_step
    return {
        "looking": "the look at the estate",
        "hard_stopped": "a person: nothing can be run",
        "asking": "an approver",
        "lapsed": "somebody to ask again",
        "declined": "a person: the question was declined",
        "approved": "a worker to take it up",
        "running": f"{state.waits[0]} held by {state.waits[1]}" if state.waits else "nobody",
        "stopped": "an operator to go on",
        "waiting_for_ruling": f"an operator: {step.title if step else 'a step'} did not succeed",
        "ended": "closing",
        "closed": "nobody",
    }[state.phase]


def as_data(state: Incident) -> dict[str, Any]:
    """One incident as data for a program."""
    question = state.request
    return {
        "incident": state.id,
        "pool": state.declared.pool,
        "partner": state.declared.partner,
        "phase": state.phase,
        "waiting_for": waiting_for(state),
        "question": None
        if question is None
        else {"number": question.number, "code": question.short, "digest": question.digest, "state": question.state},
        "steps": [{"id": s.id, "title": s.title, "status": s.status} for s in state.steps],
    }
