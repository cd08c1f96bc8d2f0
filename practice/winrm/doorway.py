"""A host's WinRM endpoint from a process's options: account, certificate, and a CA of its own when none is given."""

from __future__ import annotations

import argparse
from pathlib import Path

from practice.host.host import Host
from practice.winrm.authentication import Account
from practice.winrm.certificates import Authority
from practice.winrm.server import WinRM


def open_door(host: Host, options: argparse.Namespace) -> tuple[WinRM, Path | None]:
    """The endpoint, not yet started, and the CA file if one was made here."""
    options.state.mkdir(parents=True, exist_ok=True)
    account = Account.create(options.user, options.password, options.state / f"{host.fqdn}.accounts")
    made: Path | None = None
    certificate, key = options.certificate, options.key
    if certificate is None:
        authority = Authority()
        made = authority.write(options.state / "ca.pem")
        certificate, key = authority.issue(host.fqdn, options.state)
    return WinRM(host, account, certificate, key, options.winrm_port), made
