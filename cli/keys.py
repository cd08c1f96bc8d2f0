"""`lync-dr keys`: who may write into this installation's records."""

from __future__ import annotations

import click


@click.group(help="Signing keys of this installation.")
def keys() -> None:
    """Group of `lync-dr keys`."""


@keys.command("init", help="Make a writer's pair of keys. Never replaces one.")
@click.argument("name")
@click.option("--kind", type=click.Choice(["bot", "cli", "worker"]), required=True, help="What this writer is.")
def init(name: str, kind: str) -> None:
    """Make a private key in the state directory and its public half in the keys directory."""
    from config.load import load_settings
    from incident.keys import init_key

    settings = load_settings()
    public = init_key(name, kind, state_dir=settings.state, keys_dir=settings.keys)  # type: ignore[arg-type]
    click.echo(f"Writer {name} ({kind}) is made. Put {public} into the keys directory of every host.")


@keys.command("list", help="The writers this installation knows.")
def list_keys() -> None:
    """Name and kind of every known writer."""
    from config.load import load_settings
    from incident.keys import load_keys

    for key in load_keys(load_settings().keys).values():
        click.echo(f"{key.name:<24} {key.kind}")
