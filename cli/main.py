"""`lync-dr`: everything the channel can do and more, for the day Slack is down.

Commands are loaded when they are asked for, so that `lync-dr --help` needs nothing and one broken part does not
hide the others. Exit codes: 0 done, 1 not done (one sentence says why), 2 wrong usage, configuration or key.
"""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from collections.abc import Sequence

import click

_COMMANDS: dict[str, tuple[str, str, str]] = {
    # name: (module, attribute, one line of help)
    "declare": ("cli.act", "declare", "Declare a pool lost, from a terminal."),
    "approve": ("cli.act", "approve", "Approve an open question, from a terminal."),
    "decline": ("cli.act", "decline", "Say no to an open question."),
    "still-a-disaster": ("cli.act", "still_a_disaster", "Insist, where the card is red."),
    "ask-again": ("cli.act", "ask_again", "Open the question again after it lapsed."),
    "cancel": ("cli.act", "cancel", "Call an incident off before anything was changed."),
    "stop": ("cli.act", "stop", "Stop a run after its step in flight."),
    "go-on": ("cli.act", "go_on", "Lift a stop."),
    "confirm": ("cli.act", "confirm", "Say that you signed in and it works."),
    "close": ("cli.act", "close", "End an incident."),
    "note": ("cli.act", "note", "Leave a note in the record."),
    "outage": ("cli.act", "outage", "Correct when the outage began."),
    "lead": ("cli.act", "lead", "Take the lead."),
    "rule": ("cli.act", "rule", "Say what to do about a failed or unknown step."),
    "plan": ("cli.look", "plan", "Show what would run for a pool. Changes nothing."),
    "status": ("cli.look", "status", "Show open incidents; --watch follows them."),
    "audit": ("cli.audit", "audit", "List, show, verify, export and review records."),
    "doctor": ("cli.people", "doctor", "Say what is missing before go-live."),
    "person": ("cli.people", "person", "Add a person, or give them a one-time code."),
    "keys": ("cli.keys", "keys", "Signing keys of this installation."),
    "bot": ("cli.run", "bot", "Run the conversation."),
    "worker": ("cli.run", "worker", "Run a worker: look or act."),
    "store": ("cli.run", "store", "Run the embedded Redis-compatible store."),
    "practice": ("cli.practice", "practice", "Rehearse on this machine."),
    "demo": ("cli.demo", "demo", "Watch a lost data centre being recovered."),
}


class Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.group(cls=Lazy, help=__doc__.split("\n", 1)[0].replace("`", "") if __doc__ else None)
@click.version_option(package_name="lync-dr", message="lync-dr %(version)s")
def group() -> None:
    """The command itself."""


def _known_trouble() -> tuple[type[BaseException], ...]:
    """The errors that are sentences for a person already."""
    from cli.supervise import DidNotStart
    from incident.journal import JournalError
    from incident.one_time import NoSeed

    return (DidNotStart, JournalError, NoSeed, *_wrong_setting())


def _wrong_setting() -> tuple[type[BaseException], ...]:
    """Those that a wrong file or setting of this host is the cause of: trying again without mending it is in vain."""
    from config.load import ConfigError
    from incident.keys import KeyTrouble

    return (ConfigError, KeyTrouble)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit. A known trouble is one sentence; an unknown one says so, without a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        group.main(args=list(argv) if argv is not None else None, prog_name="lync-dr")
    except Exception as trouble:
        if isinstance(trouble, _known_trouble()):
            click.echo(str(trouble), err=True)
            raise SystemExit(2 if isinstance(trouble, _wrong_setting()) else 1) from None
        if isinstance(trouble, OSError) and trouble.filename and trouble.strerror:
            click.echo(
                f"{trouble.filename} cannot be read or written ({trouble.strerror}). Nothing further was done. Look at "
                "its owner, its mode and the space on the disk.",
                err=True,
            )
            raise SystemExit(1) from None
        where = traceback.extract_tb(trouble.__traceback__)[-1]
        name = f"{where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
        click.echo(
            f"lync-dr met a fault of its own ({type(trouble).__name__} at {name}). Nothing further was done. "
            "Run it again; if it stays, keep the record and tell whoever maintains this installation.",
            err=True,
        )
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1:])
