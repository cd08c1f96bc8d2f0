"""`lync-dr person` and `lync-dr doctor`: people, their proof, and what is missing before anybody relies on this."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

import click

from cli.roots import now, open_journal_of
from config.load import ConfigError, Configuration, load_all, load_policy, load_settings, web_address
from config.settings import Settings
from incident.doorbell import RqDoorbell
from incident.journal import JournalError
from incident.keys import KeyTrouble
from incident.one_time import Seeds
from incident.persons import account_trouble
from incident.policy import Policy, Role
from incident.register import Register

LEAST_APPROVERS = 3
"""So that whoever asks leaves two."""


@click.group(help="People of the policy and their one-time codes.")
def person() -> None:
    """Group of `lync-dr person`."""


@person.command("add")
@click.argument("key", metavar="ID")
@click.option("--name", required=True, help="As it shall be printed, for example “Bo Lund”.")
@click.option("--slack", required=True, metavar="TEAM/USER", help="As /lync whoami shows it.")
@click.option("--roles", required=True, help="Any of watch,declare,approve,operate,audit, with commas.")
@click.option("--mobile", default="", help="For the others to call; desk phones are what has failed.")
@click.option("--mail", default="")
@click.option("--order", default=100, show_default=True, help="Contact order; smaller is woken first.")
def add(key: str, name: str, slack: str, roles: str, mobile: str, mail: str, order: int) -> None:
    """Append a person to the policy file. The file is replaced only if it is right afterwards."""
    path = load_settings().policy
    team, _, user = slack.partition("/")
    wanted = [role.strip() for role in roles.split(",") if role.strip()]
    if unknown := sorted(set(wanted) - set(get_args(Role))):
        raise click.BadParameter(f"{', '.join(unknown)}: no such role. Roles: {', '.join(get_args(Role))}.")
    lines = [
        "", "[[persons]]", f"id = {_toml(key)}", f"name = {_toml(name)}",
        f"slack = [{{ team = {_toml(team)}, user = {_toml(user)} }}]",
        f"roles = [{', '.join(_toml(role) for role in wanted)}]",
        *([f"mobile = {_toml(mobile)}"] if mobile else []),
        *([f"mail = {_toml(mail)}"] if mail else []),
        f"order = {order}", "",
    ]  # fmt: skip
    new = path.with_name(f".{path.name}.new")
    new.write_text(path.read_text("utf-8").rstrip("\n") + "\n" + "\n".join(lines), "utf-8")
    try:
        load_policy(new)
    except ConfigError as wrong:
        new.unlink()
        raise click.ClickException(str(wrong).replace(str(new), str(path)) + " Nothing was changed.") from None
    new.chmod(path.stat().st_mode & 0o777)
    new.replace(path)
    click.echo(f"{name} is in {path} now; bot and workers read it anew by themselves. Copy it to every host.")
    click.echo(f"For the day Slack is down: lync-dr person enroll {key}")


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(c for c in escaped if c.isprintable())}"'


@person.command("enroll")
@click.argument("key", metavar="ID")
@click.option("--again", is_flag=True, help="Replace an earlier seed; the old phone falls silent.")
def enroll(key: str, again: bool) -> None:
    """Give a person a one-time code: shows a QR code for their authenticator, once."""
    import segno

    settings = load_settings()
    found = load_policy(settings.policy).person(key)
    if found is None:
        raise click.ClickException(f"{key} is no person of {settings.policy}. Add them first: lync-dr person add")
    try:
        address = Seeds(settings.state / "seeds").enroll(found.id, found.name, again=again)
    except FileExistsError as exists:
        raise click.ClickException(str(exists)) from None
    click.echo(f"{found.name}: scan this with an authenticator, now. It is shown once.")
    segno.make(address, error="m").terminal(out=sys.stdout, compact=True)
    click.echo(f"Cannot scan? Type this address into it: {address}")
    click.echo("The seed stays on this host, readable by this account only. Enrol on every host where they approve.")


# --- doctor ------------------------------------------------------------------------------------------------

Verdict = Literal["ok", "warn", "MISSING"]


@dataclass(frozen=True)
class Line:
    """One thing looked at."""

    verdict: Verdict
    text: str


@click.command()
def doctor() -> None:
    """Look at everything this host was given. Exit code 1 where something is missing that a disaster needs."""
    # What this library complains about stands in the list already, in a sentence.
    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)
    found = list(look_at_all())
    for line in found:
        click.echo(f"{line.verdict:<8} {line.text}")
    missing = sum(line.verdict == "MISSING" for line in found)
    if missing:
        click.echo(f"\n{missing} missing. Do not rely on this installation yet.")
        raise SystemExit(1)
    click.echo("\nNothing is missing that this host can see.")


def look_at_all() -> Iterator[Line]:
    """Files, people, secrets, codes, store, the home channel, servers, in this order."""
    settings = load_settings()
    try:
        configuration = load_all(settings)
    except ConfigError as wrong:
        yield Line("MISSING", str(wrong))
        return
    yield Line("ok", f"estate, endpoints and policy fit together ({len(configuration.estate.pair)} pair(s))")
    yield from people_lines(configuration.policy)
    yield from secret_lines(settings, configuration.policy, configuration.endpoints.credentials())
    yield from seed_lines(settings.state / "seeds", configuration.policy)
    yield from store_lines(settings)
    yield from home_lines(settings, configuration.policy)
    yield from sample_lines(settings)
    yield from server_lines(configuration)


def people_lines(policy: Policy) -> Iterator[Line]:
    """Whether enough people can approve, and who looks like a desk instead of a person."""
    approvers = policy.holders("approve")
    need = max(LEAST_APPROVERS, policy.quorum)
    names = ", ".join(p.name for p in approvers) or "nobody"
    if len(approvers) < need:
        yield Line("MISSING", f"{need} persons who may approve, so that any asker leaves two; there are: {names}")
    else:
        yield Line("ok", f"{len(approvers)} persons may approve: {names}")
    for role, why in (("declare", "nobody could start"), ("operate", "nobody could run a step again")):
        if not policy.holders(role):  # type: ignore[arg-type]
            yield Line("MISSING", f"a person with the role {role}: without one, {why}")
    for one in policy.persons:
        if one.looks_shared:
            yield Line("warn", f"{one.name} looks like a shared account; a shared account may only watch")
        elif one.may("approve") and not one.mobile:
            yield Line("warn", f"{one.name} may approve and has no mobile number for the others to call")


def secret_lines(settings: Settings, policy: Policy, references: tuple[str, ...]) -> Iterator[Line]:
    """Whether each secret that is named by reference is here. Values are never shown."""
    wanted = [("Slack bot token", bool(settings.slack_bot_token), "SLACK_BOT_TOKEN")]
    delivery = settings.slack_signing_secret if settings.http_listen else settings.slack_app_token
    wanted.append(
        ("Slack delivery", bool(delivery), "SLACK_SIGNING_SECRET" if settings.http_listen else "SLACK_APP_TOKEN")
    )
    for what, there, name in wanted:
        yield (
            Line("ok", f"{what} is set") if there else Line("warn", f"{name} is not set here; the bot's host needs it")
        )
    for reference in references:
        try:
            settings.credential(reference)
            yield Line("ok", f"credential {reference} is set")
        except ConfigError as wrong:
            yield Line("warn", f"{wrong} (workers' hosts need it)")
    try:
        if policy.pager:
            web_address(settings, policy.pager.url)
            yield Line("ok", f"pager {policy.pager.url} is set")
        if policy.mail and policy.mail.credential:
            settings.credential(policy.mail.credential)
            yield Line("ok", f"mail account {policy.mail.credential} is set")
    except ConfigError as wrong:
        yield Line("MISSING", str(wrong))


def seed_lines(directory: Path, policy: Policy) -> Iterator[Line]:
    """Who could approve in a terminal on this host."""
    seeds = Seeds(directory)
    enrolled = [p.name for p in policy.holders("approve") if p.id in seeds]
    if len(enrolled) < 2:
        yield Line(
            "warn",
            f"for the day Slack is down two approvers need one-time codes here; enrolled: {enrolled or 'nobody'}",
        )
    else:
        yield Line("ok", f"one-time codes here: {', '.join(enrolled)}")


def store_lines(settings: Settings) -> Iterator[Line]:
    """Whether the store answers and would keep what it acknowledges; whose accounts Slack last called inactive."""
    yield from wire_lines(settings.store_url)
    try:
        journal, keys = open_journal_of(settings, None)
        offset = abs(journal.clock_offset_ms())
        yield Line("ok", f"store answers; {len(keys)} writers known")
        if offset > 30_000:
            yield Line(
                "MISSING", f"clock: {offset / 1000:.0f} s off the store; above 30 s this host neither approves nor acts"
            )
        elif offset > 2_000:
            yield Line("warn", f"clock: {offset / 1000:.1f} s off the store")
        policy = load_policy(settings.policy)
        looked = Register(journal).last_look(now())
        for one in policy.persons:
            for slack in one.slack:
                account = looked.get(f"{slack.team}/{slack.user}")
                trouble = account_trouble(policy, account) if account else None
                if trouble is not None:
                    yield Line("warn", f"{one.name}: at the last look at Slack: {trouble[1]}")
    except (JournalError, KeyTrouble) as trouble_text:
        yield Line("MISSING", str(trouble_text))


def wire_lines(url: str) -> Iterator[Line]:
    """Whether records and a password would cross the network in the open on the way to the store."""
    parts = urlsplit(url)
    here = parts.hostname in ("localhost", "::1") or (parts.hostname or "").startswith("127.")
    if parts.scheme == "redis" and not here:
        what = "its password and every record cross" if parts.password else "every record crosses"
        yield Line("warn", f"the store at {parts.hostname} is spoken to without TLS: {what} the network in the open; "
                           "use rediss://")  # fmt: skip


def home_lines(settings: Settings, policy: Policy) -> Iterator[Line]:
    """Whether the bot may speak in the home channel. Asks Slack; where no token is, this is not the bot's host."""
    from bot.web import SlackTrouble, asker, home_trouble, introduce, web_client

    if not settings.slack_bot_token:
        return
    ask = asker(web_client(settings.slack_bot_token.reveal(), settings.slack_api_url))
    try:
        me = introduce(ask, 2.0)
    except SlackTrouble as trouble:
        yield Line("warn", str(trouble))
        return
    said = home_trouble(ask, policy.home_channel, me.name)
    yield Line("MISSING", said) if said else Line("ok", f"the bot @{me.name} may post in {policy.home_channel}")


def sample_lines(settings: Settings) -> Iterator[Line]:
    """Whether the pairs are sampled, and which hosts turned the workers' account away meanwhile."""
    try:
        kept = RqDoorbell(settings.store_url).kept_samples().get("samples")
    except JournalError:
        return  # said of the store already
    if not isinstance(kept, dict):
        yield Line("warn", "no backup was sampled yet: a bot and a look worker must run, or data loss cannot be told")
        return
    yield Line("ok", f"backups were sampled last at {str(kept.get('at'))[:19]} UTC")
    for host in kept.get("denied") or ():
        yield Line("MISSING", f"{host} turned the workers' account away when it was sampled; look at its password")


def server_lines(configuration: Configuration) -> Iterator[Line]:
    """Whether the servers answer what is asked before a failover. Where no password is, this is no worker's host."""
    from cli.servers import trouble_of

    try:
        for where, said in trouble_of(configuration):
            yield Line("MISSING", f"{where}: {said}") if said else Line("ok", f"{where} answers")
    except ConfigError:
        yield Line("warn", "servers were not asked: no account for them here (workers' hosts need it)")
