"""One practised host behind real WS-Man, in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from practice.host.cmdlets import Bound, Cmdlet, Parameter, Turn
from practice.host.durations import ZERO
from practice.host.host import Host
from practice.host.redtext import RedText
from practice.winrm.authentication import Account
from practice.winrm.certificates import Authority
from practice.winrm.server import WinRM
from tests.practice.runner_client import PASSWORD, USER

FQDN = "fe2.ocsguy.local"


@dataclass
class Bench:
    """The endpoint, its CA, and a cmdlet that stops in the middle until `go_on` is set."""

    host: Host
    winrm: WinRM
    ca: Path
    go_on: threading.Event = field(default_factory=threading.Event)

    def long_body(self, turn: Turn, bound: Bound) -> None:
        turn.verbose("first half, trêsor ✓")
        self.go_on.wait(20)
        turn.steps("read", ["second half"])
        turn.error(RedText("a complaint", "Complaint,Practice.Long"))
        turn.output({"PoolFqdn": bound["PoolFqdn"], "Modules": [{"State": "Good"}, {"State": None}]})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    authority = Authority()
    ca = authority.write(tmp_path / "ca.pem")
    host = Host(FQDN, ZERO)
    account = Account.create(USER, PASSWORD, tmp_path / "accounts")
    bench = Bench(host, WinRM(host, account, *authority.issue(FQDN, tmp_path)), ca)
    pool = Parameter("PoolFqdn", "Fqdn", required=True)
    host.add([Cmdlet("Invoke-Long", (pool,), bench.long_body, "Practice.Long", changes=True, should_process=True)])
    bench.winrm.start()
    yield bench
    bench.go_on.set()
    host.power.end()
    bench.winrm.close()
