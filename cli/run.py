"""`lync-dr store`, `bot` and `worker`: the processes of an installation."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import click

from cli.store import store_command as store

__all__ = ["bot", "store", "worker"]


@click.command()
@click.option("--name", default="bot", show_default=True, help="The signing key of this process.")
@click.option("--ready", type=click.Path(path_type=Path), help="A file to write once the bot is up.")
def bot(name: str, ready: Path | None) -> None:
    """Run the conversation until told to stop."""
    from bot.notes import FileNotes
    from bot.serve import House, SlackSettings, serve
    from bot.watch import Outside, Waits
    from bot.web import CannotListen, SlackTrouble
    from cli.reporting import report_of
    from cli.roots import host, now, open_root, version
    from config.load import load_settings, need, web_address
    from incident.journals.redis_notes import RedisNotes
    from incident.one_time import Seeds
    from incident.register import Register

    # What these libraries complain about is said by the bot itself, in sentences, or mended without a word.
    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)
    logging.getLogger("slack_bolt").setLevel(logging.ERROR)
    told = load_settings()
    need(told, "slack_bot_token")
    need(told, "slack_signing_secret" if told.http_listen else "slack_app_token")
    root = open_root(name)
    settings, policy = root.settings, root.configuration.policy
    practice = bool(root.configuration.endpoints.practice)
    mail_login = None
    if policy.mail is not None and policy.mail.credential:
        account = settings.credential(policy.mail.credential)
        mail_login = (account.username, account.password.reveal())
    register = Register(root.journal)
    register.state_policy(policy)
    register.state_text("estate", settings.estate.read_text("utf-8"))
    register.started("bot", version(), host())
    house = House(
        desk=root.desk,
        doorbell=root.bell,
        # Beside the journal, so that a second bot knows what the first one posted.
        notes=FileNotes(settings.state / "bot" / "notes.json")
        if settings.store_url.startswith("file://")
        else RedisNotes(settings.store_url),
        estate=root.configuration.estate,
        seeds=Seeds(settings.state / "seeds"),
        slack=SlackSettings(
            bot_token=settings.slack_bot_token.reveal(),
            app_token=settings.slack_app_token.reveal(),
            signing_secret=settings.slack_signing_secret.reveal(),
            api_url=settings.slack_api_url,
            http_listen=settings.http_listen,
        ),
        waits=Waits(
            reconcile_s=settings.reconcile_s,
            relook_s=settings.relook_s,
            free_hand_s=settings.free_hand_s,
            sample_s=settings.sample_s,
            board_s=settings.board_s,
            scan_s=settings.scan_s,
        ),
        outside=Outside(
            pager_url=web_address(settings, policy.pager.url) if policy.pager else None,
            mail_login=mail_login,
            # The report names every host and holds all output: where the policy masks the channel, it stays here.
            report=None if policy.channel_detail == "masked" else lambda incident: report_of(root, name, incident),
        ),
        practice=practice,
        host=host(),
        clock=now,
    )
    # Bolt would look for the token in the environment by itself, and say at each start that it does not use it.
    os.environ.pop("SLACK_BOT_TOKEN", None)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def up() -> None:
        if ready is not None:
            ready.write_text("up\n", "utf-8")

    try:
        serve(house, stop, up)
    except SlackTrouble as trouble:
        click.echo(str(trouble), err=True)
        raise SystemExit(2 if isinstance(trouble, CannotListen) else 1) from None


@click.command()
@click.argument("kind", type=click.Choice(["look", "act"]))
@click.option("--name", default="", help="The signing key of this process; default: look or act.")
@click.option("--ready", type=click.Path(path_type=Path), help="A file to write once the worker listens.")
def worker(kind: str, name: str, ready: Path | None) -> None:
    """Run one worker until told to stop: `look` surveys, `act` carries approved plans out."""
    from workers.serve import serve

    serve(kind, name or kind, ready)  # type: ignore[arg-type]
