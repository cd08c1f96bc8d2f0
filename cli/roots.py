"""The composition root: settings from the environment become a journal, a desk and a bell, handed to the rooms."""

from __future__ import annotations

import importlib.metadata
import socket
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from config.load import ConfigError, Configuration, load_all, load_settings, ruled_by, under_policy
from config.load import load_policy as read_policy
from config.settings import Settings
from incident.desk import Desk, NoRules
from incident.doorbell import RqDoorbell
from incident.journal import Journal
from incident.journals.opening import open_journal
from incident.keys import Keys, load_keys, load_writer
from incident.policy import ConfigDigests, Rules
from incident.state import Incident


def now() -> datetime:
    """The wall clock of this host, in UTC."""
    return datetime.now(UTC)


def version() -> str:
    """This program's version, as its package says it; of a checkout that is not installed, as its project file says."""
    try:
        return importlib.metadata.version("lync-dr")
    except importlib.metadata.PackageNotFoundError:
        project = Path(__file__).parent.parent / "pyproject.toml"
        known = tomllib.loads(project.read_text("utf-8"))["project"]["version"] if project.is_file() else "0"
        return f"{known}+checkout"


def host() -> str:
    """The short name of this host."""
    return socket.gethostname().split(".")[0]


@dataclass(frozen=True)
class Root:
    """Everything a command needs to speak to the installation."""

    configuration: Configuration
    journal: Journal
    desk: Desk
    bell: RqDoorbell
    keys: Keys

    @property
    def settings(self) -> Settings:
        """What the environment said."""
        return self.configuration.settings


def open_journal_of(settings: Settings, writer: str | None) -> tuple[Journal, Keys]:
    """The journal, for `writer` or (None) for reading only, and the keys it believes."""
    keys = load_keys(settings.keys)
    by = load_writer(writer, state_dir=settings.state, keys=keys) if writer else None
    journal = open_journal(settings.store_url, by, keys, settings.state, weak_ok=settings.weak_store)
    return journal, keys


def fresh_rules(settings: Settings, configuration: Configuration) -> Callable[[], Rules]:
    """The rules; the policy is read anew when its file has changed, so a right that was taken away counts at once.

    With a file that cannot be used nothing is decided that could start anything: `NoRules`, with the loader's
    sentence and the last good rules, by which a run may still be held back.
    """
    kept: dict[str, tuple[tuple[int, int], Rules]] = {}

    def rules() -> Rules:
        last = kept["rules"][1] if "rules" in kept else None
        try:
            status = settings.policy.stat()
        except OSError as gone:
            raise NoRules(f"{settings.policy} cannot be read ({gone.strerror}).", last) from None
        mark = (status.st_mtime_ns, status.st_size)
        known = kept.get("rules")
        if known is None or known[0] != mark:
            try:
                policy = ruled_by(read_policy(settings.policy), settings)
            except ConfigError as wrong:
                raise NoRules(str(wrong), last) from None
            practice = bool(configuration.endpoints.practice)
            seals = digests_of(configuration._replace(policy=policy))
            known = kept["rules"] = (
                mark, Rules(policy=policy, digests=seals, practice=practice, version=version())
            )  # fmt: skip
        return known[1]

    return rules


def digests_of(configuration: Configuration) -> dict[str, ConfigDigests]:
    """What these files say about each paired pool: compared with what the worker that looked was given."""
    ruled = configuration._replace(estate=under_policy(configuration.estate, configuration.policy))
    return {name: ruled.digests(name) for pair in ruled.estate.pair for name in pair.pools}


def open_root(writer: str | None) -> Root:
    """Load every file, open the journal as `writer`, and put a desk over it. Raises the rooms' own sentences."""
    settings = load_settings()
    configuration = load_all(settings)
    journal, keys = open_journal_of(settings, writer)
    desk = Desk(journal, fresh_rules(settings, configuration), now)
    return Root(configuration, journal, desk, RqDoorbell(settings.store_url), keys)


def find_incident(desk: Desk, name: str | None) -> Incident:
    """The open incident called `name`, or of the pool `name`, or the only open one. Leaves with a sentence."""
    around = desk.look_around()
    found = around.incidents
    if name:
        chosen = [i for i in found if name in (i.id, i.declared.pool)]
    else:
        chosen = list(found)
    if len(chosen) == 1:
        return chosen[0]
    for incident, bad in around.unreadable.items():
        if not name or name == incident or f"-{name}-" in incident:
            raise click.ClickException(str(bad))
    listed = ", ".join(f"{i.id} ({i.declared.pool})" for i in found) or "none"
    raise click.ClickException(
        f"There is no open incident {name}. Open now: {listed}." if name else f"Say which incident. Open now: {listed}."
    )
