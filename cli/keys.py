"""`lync-dr keys`: making a writer's keys, and showing which writers this installation knows."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import click

from incident.keys import KeyTrouble, WriterKind, init_key, load_keys


def state_dir() -> Path:
    """LYNC_DR_STATE, or ``.lync-dr`` here."""
    return Path(os.environ.get("LYNC_DR_STATE") or ".lync-dr")


def keys_dir() -> Path:
    """LYNC_DR_KEYS, or ``config/keys`` here."""
    return Path(os.environ.get("LYNC_DR_KEYS") or "config/keys")


@click.group("keys")
def keys_command() -> None:
    """Writers' keys: every process that writes into a journal signs with its own."""


@keys_command.command("init")
@click.argument("name")
@click.option("--kind", type=click.Choice(["bot", "cli", "worker"]), required=True, help="What this writer may write.")
def init_command(name: str, kind: WriterKind) -> None:
    """Make the keys of writer NAME on this host. Never overwrites a key."""
    try:
        public = init_key(name, kind, state_dir=state_dir(), keys_dir=keys_dir())
    except (KeyTrouble, OSError) as bad:
        click.echo(f"keys: {bad}", err=True)
        sys.exit(1)
    click.echo(f"Made the keys of {name} ({kind}). Copy {public} to every host; the private key stays on this one.")


@keys_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_command(as_json: bool) -> None:
    """Show the writers this installation knows, with fingerprints to compare by voice."""
    try:
        known = load_keys(keys_dir())
    except KeyTrouble as bad:
        click.echo(f"keys: {bad}", err=True)
        sys.exit(1)
    rows = [
        {
            "name": key.name,
            "kind": key.kind,
            "fingerprint": hashlib.sha256(key.key.public_bytes_raw()).hexdigest()[:16],
        }
        for key in known.values()
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(f"{row['fingerprint']}  {row['kind']:<6}  {row['name']}")
