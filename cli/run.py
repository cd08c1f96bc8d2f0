"""`lync-dr store`, `bot` and `worker`: the processes of an installation."""

from __future__ import annotations

from pathlib import Path

import click

from cli.store import store_command as store

__all__ = ["bot", "store", "worker"]


@click.command()
@click.option("--name", default="bot", show_default=True, help="The signing key of this process.")
@click.option("--ready", type=click.Path(path_type=Path), help="A file to write once the bot is up.")
def bot(name: str, ready: Path | None) -> None:
    """Run the conversation until told to stop."""
    from bot.serve import serve
    from cli.roots import host, open_root, version

    root = open_root(name)
    raise SystemExit(serve(root, name=name, host=host(), version=version(), ready=ready))  # type: ignore[call-arg]


@click.command()
@click.argument("kind", type=click.Choice(["look", "act"]))
@click.option("--name", default="", help="The signing key of this process; default: look or act.")
@click.option("--ready", type=click.Path(path_type=Path), help="A file to write once the worker listens.")
def worker(kind: str, name: str, ready: Path | None) -> None:
    """Run one worker until told to stop: `look` surveys, `act` carries approved plans out."""
    from workers.serve import run  # type: ignore[attr-defined]

    raise SystemExit(run(kind, name=name or kind, ready=ready))
