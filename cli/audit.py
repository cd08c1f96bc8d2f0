"""`lync-dr audit`: list, show, verify, export and review records; who could do what on a day; what is left to do."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import click

from cli.act import do, person_options, prove
from cli.reporting import make_report
from cli.roots import now, open_journal_of, open_root
from cli.side_by_side import read_side_by_side
from config.load import ConfigError, load_policy, load_settings
from incident import audit as records_of
from incident.commands import SettleFollowUp
from incident.export import export_jsonl
from incident.keys import KeyTrouble, load_keys, load_writer
from incident.policy import Policy
from incident.register import Register
from incident.report import html, markdown
from incident.verify import CannotCheck, Verdict, verify_file, verify_lines
from incident.verify_approval import by_policy

_INCIDENT = re.compile(r"\d{8}-.+-[a-z]+|register")


@click.group(help="List, show, verify, export and review records.")
def audit() -> None:
    """Group of `lync-dr audit`."""


def policy_or_none() -> Policy | None:
    """This host's policy, where there is one: an auditor's laptop has none."""
    try:
        return load_policy(load_settings().policy)
    except ConfigError:
        return None


@audit.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_incidents(as_json: bool) -> None:
    """Every incident, with its number and how it ended."""
    journal, _ = open_journal_of(load_settings(), None)
    if as_json:
        click.echo(
            json.dumps({"incidents": records_of.list_data(journal, read_side_by_side)}, indent=1, ensure_ascii=False)
        )
    else:
        policy = policy_or_none()
        click.echo(records_of.list_text(journal, policy.zone if policy else "UTC", read_side_by_side), nl=False)


@audit.command("show")
@click.argument("incident")
@click.option("--json", "as_json", is_flag=True)
def show(incident: str, as_json: bool) -> None:
    """One incident: the auditor's first screen, the steps, and every record in one line."""
    journal, _ = open_journal_of(load_settings(), None)
    policy = policy_or_none()
    found, beside = journal.read(incident), records_of.beside(journal, incident)
    if as_json:
        click.echo(json.dumps(records_of.show_data(found, policy, beside), indent=1, ensure_ascii=False))
    else:
        click.echo(records_of.show_text(found, policy, beside, policy.zone if policy else "UTC"), nl=False)


@audit.command("verify")
@click.argument("what", metavar="FILE|INCIDENT")
@click.option("--keys", "keys_dir", type=click.Path(path_type=Path), help="Public keys you trust; else: not pinned.")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="Judge approvals by this policy.")
@click.option("--anchor", "anchors", multiple=True, help="A head somebody kept: from a receipt, channel or mail.")
@click.option("--json", "as_json", is_flag=True)
def verify(what: str, keys_dir: Path | None, policy_file: Path | None, anchors: tuple[str, ...], as_json: bool) -> None:
    """Check a record from the file alone (no store needed), or an incident in the store.

    Exit codes: 0 good, 1 integrity, 2 incomplete, 3 not anchored, 4 approval rule broken, 5 cannot be checked.
    """
    try:
        verdict = _verify(what, keys_dir, policy_file, anchors)
    except (CannotCheck, KeyTrouble, ConfigError) as trouble:
        click.echo(str(trouble), err=True)
        raise SystemExit(5) from None
    if as_json:
        click.echo(json.dumps(_verdict_data(verdict), indent=1, ensure_ascii=False))
    else:
        click.echo(verdict.summary)
        for finding in verdict.findings:
            click.echo(f"- {finding}")
    raise SystemExit(verdict.exit_code)


def _verify(what: str, keys_dir: Path | None, policy_file: Path | None, anchors: tuple[str, ...]) -> Verdict:
    keys = load_keys(keys_dir) if keys_dir else None
    policy = load_policy(policy_file) if policy_file else None
    approvals = by_policy(policy)
    if Path(what).is_file() or "/" in what or what.endswith(".jsonl"):
        return verify_file(Path(what), keys=keys, anchors=anchors, approvals=approvals)
    if not _INCIDENT.fullmatch(what):
        raise CannotCheck(
            f"There is no file {what} here, and it is no incident's name (as 20261122-fe1-a). See: lync-dr audit list"
        )
    journal, known = open_journal_of(load_settings(), None)
    # As they stand in the store: reading would refuse a broken record before it could be named.
    return verify_lines(what, journal.lines(what), keys=keys or known, anchors=anchors, approvals=approvals)


def _verdict_data(verdict: Verdict) -> dict[str, object]:
    return {
        "incident": verdict.incident,
        "records": verdict.count,
        "head": verdict.head,
        "state": verdict.state,
        "signers": list(verdict.signers),
        "pinned": verdict.pinned,
        "anchored_to": verdict.anchored_to,
        "exit_code": verdict.exit_code,
        "summary": verdict.summary,
        "findings": [{"area": f.area, "record": f.seq, "text": f.sentence} for f in verdict.findings],
    }


@audit.command("export")
@click.argument("incident")
@click.option("--jsonl", "jsonl_file", type=click.Path(path_type=Path), help="Default: INCIDENT.jsonl here.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Also the report as one page.")
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path), help="Also a short summary.")
@click.option("--writer", default="cli", show_default=True, help="The signing key that seals the export.")
def export(
    incident: str, jsonl_file: Path | None, html_file: Path | None, markdown_file: Path | None, writer: str
) -> None:
    """The record as a file that needs nobody, with a signed trailer. That it was exported is on record too."""
    root = open_root(writer)
    by = load_writer(writer, state_dir=root.settings.state, keys=root.keys)
    jsonl = export_jsonl(root.journal, incident, writer=by, keys=root.keys)
    target = jsonl_file or Path(f"{incident}.jsonl")
    target.write_bytes(jsonl)
    click.echo(f"Record: {target}")
    if html_file or markdown_file:
        report = make_report(root, writer, incident, jsonl)
        for path, text in ((html_file, html), (markdown_file, markdown)):
            if path is not None:
                path.write_text(text(report), "utf-8")
                click.echo(f"Report: {path}")
    click.echo(f"Check it: lync-dr audit verify {target} --keys DIR")


@audit.command("people")
@click.option("--on", "day", required=True, help="A day, as 2026-11-22.")
def people(day: str) -> None:
    """Who could do what on that day, from the policy's text in the register."""
    try:
        on = date.fromisoformat(day)
    except ValueError:
        raise click.BadParameter(f"{day!r} is no day; give it as 2026-11-22.") from None
    if on > now().date():
        raise click.BadParameter(f"{day} has not come yet. The last day that can be told is {now():%Y-%m-%d}.")
    journal, _ = open_journal_of(load_settings(), None)
    try:
        click.echo(records_of.people_text(journal, on), nl=False)
    except LookupError as none:
        raise click.ClickException(str(none)) from None


@audit.command("review")
@click.argument("incident")
@click.option("--text", default="", help="What you found.")
@person_options
def review(incident: str, text: str, who: str, otp: str | None, writer: str) -> None:
    """Sign off that you have looked at a record. Needs the role audit and your one-time code."""
    root = open_root(writer)
    actor = prove(root, who, otp)
    person = root.desk.rules.policy.person(who)
    if actor.code_step is None:
        raise click.ClickException("That is not your one-time code. Nothing happened.")
    if actor.code_step <= root.desk.spent().get(who, 0):
        raise click.ClickException("This one-time code was used before. Nothing happened. Wait for the next one.")
    if person is None or not person.may("audit"):
        may = ", ".join(p.name for p in root.desk.rules.policy.persons if p.may("audit")) or "nobody in the policy"
        raise click.ClickException(
            f"{actor.name} does not hold the role audit. Nothing happened. It is held by: {may}."
        )
    root.journal.head(incident)
    Register(root.journal).reviewed(actor, incident, text)
    click.echo(f"{actor.name} reviewed {incident} at {now():%Y-%m-%d %H:%M:%S} UTC; it is in the register.")


@audit.command("follow-ups")
@click.option("--json", "as_json", is_flag=True)
def follow_ups(as_json: bool) -> None:
    """What is left for people to do, over all incidents."""
    journal, _ = open_journal_of(load_settings(), None)
    left = [
        {"incident": one.id, "key": key, "text": text}
        for one in records_of.briefs(journal, read_side_by_side)
        for key, text in one.left
    ]
    if as_json:
        click.echo(json.dumps(left, indent=1, ensure_ascii=False))
    else:
        for item in left:
            click.echo(f"{item['incident']:<18} {item['key']:<24} {item['text']}")
        how = "When one is done: lync-dr audit settle INCIDENT KEY --person YOU --text 'what was done'"
        click.echo(f"{len(left)} open. {how}" if left else "Nothing is left to do.")


@audit.command("settle")
@click.argument("incident")
@click.argument("key")
@click.option("--text", default="", help="What was done.")
@person_options
def settle(incident: str, key: str, text: str, who: str, otp: str | None, writer: str) -> None:
    """Say that a follow-up is done."""
    root = open_root(writer)
    actor = prove(root, who, otp)
    do(root, root.desk.state(incident), SettleFollowUp(actor, key, text), f"{key} of {incident} is settled.")
