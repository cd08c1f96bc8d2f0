"""A small installation for tests of the command line: files, keys and a real store; no Slack, no servers, no workers.

The estate is the practised one. Its hosts stand at closed ports and its passwords are planted, so that a test can
look for them in everything that was printed or written.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyotp

from cli.main import main
from config.load import load_policy, load_settings
from incident.desk import Desk
from incident.journal import Journal
from incident.journals.opening import open_journal
from incident.keys import WriterKind, init_key, load_keys, load_writer
from incident.one_time import STEP_S, Seeds
from incident.policy import Rules
from incident.record import Record
from incident.state import Incident
from tests.conftest import ROOT
from tests.waiting import wait_for

SECRETS = {
    "password": "planted-Windows-passw0rd",
    "bot_token": "xoxb-planted-bot-token",
    "app_token": "xapp-planted-app-token",
    "store": "planted-store-passw0rd",
}
WRITERS: dict[str, WriterKind] = {"bot": "bot", "cli": "cli", "look": "worker", "act": "worker"}
HOSTS = ("fe1", "fe2", "dns1", "dns2")


def _exit_code(argv: Sequence[str]) -> int:
    try:
        main(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    raise AssertionError("the command line always leaves by SystemExit")


class Installation:
    """Files of one host and the environment that names them."""

    def __init__(self, store_url: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="ldi-"))
        self.state, self.keys = self.home / "state", self.home / "keys"
        for name, kind in WRITERS.items():
            init_key(name, kind, state_dir=self.state, keys_dir=self.keys)
        for name in ("estate", "policy"):
            (self.home / f"{name}.toml").write_bytes((ROOT / "config" / f"{name}.practice.toml").read_bytes())
        self.credential = self.home / "lync.credential"
        self.credential.write_text(f"OCSGUY\\svc-lync-dr:{SECRETS['password']}\n", "utf-8")
        self.credential.chmod(0o600)
        (self.home / "ca.pem").write_bytes(b"")
        self.endpoints = self.home / "endpoints.toml"
        self.endpoints.write_text("\n".join(self._host(host) for host in HOSTS), "utf-8")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LYNC_DR_", "SLACK_"))}
        self.env = clean | {
            "LYNC_DR_STATE": str(self.state),
            "LYNC_DR_KEYS": str(self.keys),
            "LYNC_DR_ESTATE": str(self.home / "estate.toml"),
            "LYNC_DR_POLICY": str(self.home / "policy.toml"),
            "LYNC_DR_ENDPOINTS": str(self.endpoints),
            "LYNC_DR_REDIS_URL": store_url,
            "LYNC_DR_CREDENTIAL_LYNC_FILE": str(self.credential),
            "SLACK_BOT_TOKEN": SECRETS["bot_token"],
            "SLACK_APP_TOKEN": SECRETS["app_token"],
            "SLACK_API_URL": "http://127.0.0.1:9/api/",
        }

    def _host(self, host: str) -> str:
        lines = [f'[hosts."{host}.ocsguy.local"]', 'url = "https://127.0.0.1:9/wsman"']
        lines += [f'ca = "{self.home / "ca.pem"}"', 'transport = "ntlm"', 'credential = "lync"']
        return "\n".join([*lines, *(['dns = "127.0.0.1:9"'] if host.startswith("dns") else []), ""])

    def lync_dr(
        self, *argv: str, limit_s: float = 60, drop: Sequence[str] = (), typed: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command; `drop` are variables it shall not have, `typed` is what stands in its standard input."""
        given = {k: v for k, v in (self.env | env).items() if k not in drop}
        return subprocess.run(
            [sys.executable, "-m", "cli", *argv], env=given, input=typed, capture_output=True, text=True,
            timeout=limit_s, check=False, cwd=self.home,
        )  # fmt: skip

    def within(self, *argv: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The same command in this process: same entry, same store, without the second that a start takes."""
        out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
        os.environ.clear()
        os.environ.update(self.env if env is None else env)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = _exit_code(argv)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return subprocess.CompletedProcess(argv, code, out.getvalue(), err.getvalue())

    # --- people ----------------------------------------------------------------------------------------------

    def enroll(self, *persons: str) -> None:
        """Seeds as `lync-dr person enroll` makes them."""
        for person in persons:
            Seeds(self.state / "seeds").enroll(person, person.title())

    def code(self, person: str) -> str:
        """A code that was not taken from this person yet.

        The present one, so that it still counts half a minute later; the next one where the present one is spent.
        """
        seed = (self.state / "seeds" / f"{person}.seed").read_text("ascii").strip()
        spent = self.desk("cli").spent().get(person, 0)
        wait_for(lambda: spent <= int(time.time()) // STEP_S, "the code after the next one", STEP_S + 5)
        return pyotp.TOTP(seed).generate_otp(max(spent + 1, int(time.time()) // STEP_S))

    # --- the other processes' part -----------------------------------------------------------------------------

    def desk(self, writer: str) -> Desk:
        """A desk with another process's key: what bot and workers would have done."""
        settings = load_settings(self.env)
        keys = load_keys(settings.keys)
        by = load_writer(writer, state_dir=settings.state, keys=keys)
        journal = open_journal(settings.store_url, by, keys, self.home / "others")
        return Desk(journal, lambda: Rules(policy=load_policy(settings.policy)), lambda: datetime.now(UTC))

    @property
    def journal(self) -> Journal:
        return self.desk("cli").journal

    def incident(self) -> Incident:
        """The incident that was opened last."""
        return self.desk("cli").state(self.journal.incidents()[-1].incident)

    def records(self, incident: str = "") -> Sequence[Record]:
        """The verified records of an incident; without a name, of the one opened last."""
        return self.journal.read(incident or self.journal.incidents()[-1].incident)
