"""Unmodified pywinrm and pypsrp take the practised endpoint for Windows."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path

import pytest
import requests
from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan
from winrm.exceptions import InvalidCredentialsError, WSManFaultError

from practice.winrm import powershell
from practice.winrm.certificates import Authority
from tests.practice.runner_client import (
    PASSWORD,
    USER,
    Answered,
    ask,
    check_bye,
    drain,
    frames_of,
    protocol,
    run,
    start,
)
from tests.practice.winrm.conftest import Bench
from tests.waiting import wait_for
from workers.remote.launch import COMMAND, bootstrap, prepare, runner

LONG = ask("Invoke-Long", "poolfqdn", "Modules.State", "Nothing", PoolFqdn="fe1.ocsguy.local")


def test_verbose_lines_arrive_while_the_cmdlet_runs(bench: Bench) -> None:
    launch = prepare("20261122-fe1-a/pool/1", [LONG, ask("Get-Nothing")])  # type: ignore[list-item]
    winrm = protocol(bench.winrm.url, bench.ca)
    polls: list[list[str]] = []

    def seen(so_far: Answered) -> None:
        polls.append([kind for kind, _ in so_far.frames])
        # Nothing comes for a whole operation time-out (2150858793): a normal fault, after which we let it go on.
        if len(polls) > 1 and polls[-1] == polls[-2] == ["hello", "verbose"]:
            bench.go_on.set()

    answered = drain(winrm, *start(winrm, launch), launch.nonce, seen)
    assert ["hello", "verbose"] in polls
    assert answered.of("verbose")[0]["text"] == "first half, trêsor ✓"
    assert answered.rows == [{"poolfqdn": "fe1.ocsguy.local", "Modules.State": ["Good", None]}]
    assert [r["errors"] for r in answered.of("result")] == [1, 1]
    assert [e["terminating"] for e in answered.of("error")] == [False, True]
    assert "The term 'Get-Nothing' is not recognized" in answered.errors[1]
    assert answered.exit_code == 10
    check_bye(answered)
    entry = bench.host.callbook.entries()[0]
    assert (entry["literal"], entry["changing"], entry["run"], entry["outcome"]) == (
        "Invoke-Long -PoolFqdn fe1.ocsguy.local",
        True,
        "20261122-fe1-a/pool/1",
        "red",
    )


@pytest.mark.parametrize("auth", ["ntlm", "negotiate", "basic"])
def test_pypsrp_runs_the_same_wire(bench: Bench, auth: str) -> None:
    bench.go_on.set()
    launch = prepare("r", [LONG])  # type: ignore[list-item]
    client = WSMan(
        "127.0.0.1",
        port=bench.winrm.port,
        username=USER,
        password=PASSWORD,
        auth=auth,
        cert_validation=str(bench.ca),
        no_proxy=True,
    )
    with client, WinRS(client, codepage=65001, no_profile=True) as shell:
        process = Process(shell, COMMAND, list(launch.arguments))
        process.begin_invoke()
        process.send(launch.stdin, end=True)
        process.end_invoke()
        process.signal(SignalCode.TERMINATE)
    kinds = [kind for kind, _ in frames_of(process.stdout, launch.nonce)]
    assert kinds == ["hello", "verbose", "error", "output", "result", "bye"]


def test_who_may_come_in(bench: Bench, tmp_path: Path) -> None:
    for transport in ("ntlm", "basic"):
        with pytest.raises(InvalidCredentialsError):
            protocol(bench.winrm.url, bench.ca, "wrong", transport).open_shell()
    with pytest.raises(InvalidCredentialsError):
        protocol(bench.winrm.url, bench.ca, user="OCSGUY\\somebody").open_shell()
    stranger = Authority("somebody else's CA").write(tmp_path / "other.pem")
    with pytest.raises(requests.exceptions.SSLError):
        protocol(bench.winrm.url, stranger).open_shell()
    # As in Windows' own security log, and nothing else.
    assert [(e["literal"], e["outcome"]) for e in bench.host.callbook.entries()] == [("logon", "refused")] * 3


def test_only_the_known_runner_runs(bench: Bench) -> None:
    assert hashlib.sha256(runner()).hexdigest() in powershell.KNOWN_RUNNERS
    assert bootstrap() == powershell.BOOTSTRAP
    winrm = protocol(bench.winrm.url, bench.ca)
    shell = winrm.open_shell(codepage=65001)
    launch = prepare("r", [LONG])  # type: ignore[list-item]
    changed = runner().replace(b"exit 0", b"exit 7")
    other = hashlib.sha256(changed).hexdigest()
    script = bootstrap().replace("{runner_sha256}", other)
    for place in ("runner_length", "payload_length"):
        script = script.replace("{" + place + "}", "10")
    script = script.replace("{nonce}", launch.nonce).replace("{payload_sha256}", other)
    for command, says in (
        (("cmd.exe", ["/c", "whoami"]), b"blocked by group policy"),
        ((COMMAND, ["-EncodedCommand", _encoded("Get-CsPool")]), b"#< CLIXML\r\n<Objs"),
        ((COMMAND, ["-EncodedCommand", _encoded(script)]), b"language mode"),
        ((COMMAND, ["-EncodedCommand", "A" * 8200]), b"The command line is too long."),
    ):
        command_id = winrm.run_command(shell, *command)
        done, err = False, b""
        while not done:
            _, more, code, done = winrm.get_command_output_raw(shell, command_id)
            err += more
        assert (code, says in err) == (1, True), err
        winrm.cleanup_command(shell, command_id)
    assert [entry["outcome"] for entry in bench.host.callbook.entries()] == ["refused"] * 4


def _encoded(script: str) -> str:
    return base64.b64encode(script.encode("utf-16-le")).decode()


def test_damaged_input_runs_nothing(bench: Bench) -> None:
    launch = prepare("r", [LONG])  # type: ignore[list-item]
    winrm = protocol(bench.winrm.url, bench.ca)
    damaged = type(launch)(launch.nonce, launch.arguments, launch.stdin[:-3])
    answered = drain(winrm, *start(winrm, damaged), launch.nonce)
    assert answered.frames == [("refused", {})]
    assert answered.exit_code == 11
    assert bench.host.callbook.entries()[0]["outcome"] == "refused"


def test_a_cut_line_leaves_the_cmdlet_running(bench: Bench) -> None:
    launch = prepare("r", [LONG])  # type: ignore[list-item]
    # The line is cut while the client waits in a long poll: then it cannot but notice.
    bench.host.cut = lambda: wait_for(lambda: bench.winrm.polls, "a long poll", 5) and bench.winrm.cut()
    bench.host.faults.arm({"kind": "cut", "cmdlet": "Invoke-Long", "when": "midway"})
    winrm = protocol(bench.winrm.url, bench.ca)
    shell, command = start(winrm, launch)
    first = winrm.get_command_output_raw(shell, command)[0]
    while b"verbose" not in first:
        first += winrm.get_command_output_raw(shell, command)[0]
    bench.go_on.set()
    with pytest.raises((requests.exceptions.ConnectionError, ConnectionError)):
        winrm.get_command_output_raw(shell, command)
    again = protocol(bench.winrm.url, bench.ca)
    rest = drain(again, shell, command, launch.nonce)
    assert rest.exit_code == 10
    assert bench.host.callbook.entries()[0]["outcome"] == "red"


def test_a_lost_shell_kills_the_cmdlet_and_a_slow_line_comes_back(bench: Bench) -> None:
    bench.go_on.set()
    bench.host.faults.arm({"kind": "shell", "cmdlet": "Invoke-Long"})
    launch = prepare("r", [LONG])  # type: ignore[list-item]
    winrm = protocol(bench.winrm.url, bench.ca)
    with pytest.raises(WSManFaultError) as gone:
        drain(winrm, *start(winrm, launch), launch.nonce)
    assert gone.value.wsman_fault_code == 2150858843
    assert bench.host.callbook.entries()[-1]["outcome"] == "killed"
    bench.host.faults.arm({"kind": "winrm_silent", "seconds": 0.3})
    assert run(bench.winrm.url, bench.ca, [LONG]).exit_code == 10
    assert bench.host.faults.armed() == []


def test_a_hanging_cmdlet_goes_on_when_cleared_and_ends_when_terminated(bench: Bench) -> None:
    bench.go_on.set()
    bench.host.faults.arm({"kind": "hang", "cmdlet": "Invoke-Long", "when": "end", "times": 2})
    launch = prepare("r", [LONG])  # type: ignore[list-item]
    winrm = protocol(bench.winrm.url, bench.ca)
    shell, command = start(winrm, launch)
    wait_for(lambda: bench.host.faults.armed()[0]["times"] == 1, "the first to hang")
    winrm.cleanup_command(shell, command)
    wait_for(lambda: bench.host.callbook.entries()[0]["outcome"] == "killed", "it to be killed")
    shell, command = start(winrm, launch)
    wait_for(lambda: not bench.host.faults.armed(), "the second to hang")
    bench.host.faults.clear()
    assert drain(winrm, shell, command, launch.nonce).of("result")


def test_a_dark_host_is_silent_for_old_and_new_connections(bench: Bench) -> None:
    old = protocol(bench.winrm.url, bench.ca)
    shell = old.open_shell()
    bench.host.power.pull()
    bench.winrm.silence()
    began = time.monotonic()
    with pytest.raises(requests.exceptions.ReadTimeout):
        old.close_shell(shell)
    with pytest.raises(requests.exceptions.ConnectTimeout):
        protocol(bench.winrm.url, bench.ca).open_shell()
    assert time.monotonic() - began > 3
    bench.host.power.restore()
    bench.winrm.resume()
    bench.go_on.set()
    assert run(bench.winrm.url, bench.ca, [LONG]).of("result")
    with pytest.raises(WSManFaultError) as gone:  # the shell went with the power
        protocol(bench.winrm.url, bench.ca).run_command(shell, "x")
    assert gone.value.wsman_fault_code == 2150858843


def test_faults_of_the_service_itself(bench: Bench) -> None:
    winrm = protocol(bench.winrm.url, bench.ca)
    bench.host.faults.arm({"kind": "wsman", "action": "Create", "code": 2150859173})
    with pytest.raises(WSManFaultError) as quota:
        winrm.open_shell()
    assert quota.value.wsman_fault_code == 2150859173
    with pytest.raises(WSManFaultError) as schema:  # Windows wants a duration, not milliseconds
        winrm.open_shell(idle_timeout=1800000)
    assert schema.value.wsman_fault_code == 2150858817
    shells = [winrm.open_shell() for _ in range(30)]
    with pytest.raises(WSManFaultError) as full:
        winrm.open_shell()
    assert full.value.wsman_fault_code == 2150859173
    for shell in shells:
        winrm.close_shell(shell, close_session=False)
    bench.host.faults.arm({"kind": "auth"})
    with pytest.raises(InvalidCredentialsError):
        winrm.open_shell()
