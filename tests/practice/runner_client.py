"""The runner's wire over unmodified clients, for tests of the practised servers."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from winrm.exceptions import WinRMOperationTimeoutError
from winrm.protocol import Protocol

from workers.remote.launch import COMMAND, Launch, prepare

USER, PASSWORD = "OCSGUY\\svc-lync-dr", "correct horse 1"


@dataclass(frozen=True)
class Asked:
    """One call, as the product's launcher wants it."""

    cmdlet: str
    params: tuple[tuple[str, Any], ...] = ()
    want: tuple[str, ...] = ()


def ask(cmdlet: str, *want: str, **params: Any) -> Asked:
    return Asked(cmdlet, tuple(params.items()), want)


@dataclass
class Answered:
    """What came back. `receives` counts the long polls that brought something."""

    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int | None = None
    frames: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [body for name, body in self.frames if name == kind]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [body["row"] for body in self.of("output")]

    @property
    def errors(self) -> list[str]:
        return [body["message"] for body in self.of("error")]


def frames_of(stdout: bytes, nonce: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in stdout.decode("ascii").splitlines():
        head, kind, body = line.split(" ")
        assert head == f"@@{nonce}"
        yield kind, json.loads(base64.urlsafe_b64decode(body + "=="))


def check_bye(answered: Answered) -> None:
    """`bye` counts the frames before it and hashes their lines."""
    lines = answered.stdout.splitlines(keepends=True)
    kind, bye = answered.frames[-1]
    assert kind == "bye"
    assert bye["frames"] == len(lines) - 1
    assert bye["sha256"] == hashlib.sha256(b"".join(lines[:-1])).hexdigest()


def protocol(url: str, ca: Path, password: str = PASSWORD, transport: str = "ntlm", user: str = USER) -> Protocol:
    return Protocol(
        url,
        transport=transport,
        username=user,
        password=password,
        ca_trust_path=str(ca),
        proxy=None,
        operation_timeout_sec=1,
        read_timeout_sec=2,
    )


def start(winrm: Protocol, launch: Launch) -> tuple[str, str]:
    """Open a shell, start the runner and give it its input: shell and command id."""
    shell = winrm.open_shell(codepage=65001, noprofile=True, idle_timeout="PT1800S")
    arguments = [" ".join(launch.arguments)]
    command = winrm.run_command(shell, COMMAND, arguments, console_mode_stdin=False)
    winrm.send_command_input(shell, command, launch.stdin, end=True)
    return shell, command


def drain(
    winrm: Protocol, shell: str, command: str, nonce: str, seen: Callable[[Answered], None] = lambda _: None
) -> Answered:
    """Receive until done; `seen` is called after each long poll."""
    answered = Answered()
    done = False
    while not done:
        try:
            out, err, code, done = winrm.get_command_output_raw(shell, command)
        except WinRMOperationTimeoutError:
            seen(answered)
            continue
        answered.stdout += out
        answered.stderr += err
        whole = answered.stdout[: answered.stdout.rfind(b"\n") + 1]
        answered.frames = list(frames_of(whole, nonce))
        answered.exit_code = code if done else None
        seen(answered)
    winrm.cleanup_command(shell, command)
    winrm.close_shell(shell)
    return answered


def run(url: str, ca: Path, calls: Sequence[Asked], **how: Any) -> Answered:
    """All calls in one start of the runner."""
    launch = prepare("20261122-fe1-a/look/1", calls)  # type: ignore[arg-type]
    winrm = protocol(url, ca, **how)
    return drain(winrm, *start(winrm, launch), launch.nonce)
