"""Makes one start of the runner: the command line and the bytes for standard input (`docs/runner-protocol.md`)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from workers.remote.door import CallLike, RunId

COMMAND = "powershell.exe"
OPTIONS = ("-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand")
LONGEST_LINE = 8191
"""Characters `cmd.exe` takes (Microsoft Learn, "Command prompt line string limitation")."""

_CMDLET = re.compile(r"[A-Z][A-Za-z]*-[A-Za-z0-9]+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_PATH = re.compile(r"@count|@text|[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_WHOLE = 2**31


class CannotBeSent(ValueError):
    """The call is not one that the runner can carry out; says why."""


@dataclass(frozen=True)
class Launch:
    """One start of the runner, ready to be sent."""

    nonce: str
    arguments: tuple[str, ...]
    stdin: bytes


@cache
def runner() -> bytes:
    """The runner, byte for byte as it is sent."""
    return resources.files(__package__).joinpath("runner.ps1").read_bytes()


@cache
def bootstrap() -> str:
    """The bootstrap with its placeholders."""
    return resources.files(__package__).joinpath("bootstrap.ps1").read_text("ascii")


def prepare(run: RunId, calls: Sequence[CallLike]) -> Launch:
    """One start of the runner for these calls. Raises :class:`CannotBeSent` for a call that breaks the protocol."""
    nonce = secrets.token_hex(16)
    payload = json.dumps(
        {"v": 1, "nonce": nonce, "run": str(run), "calls": [_call(i, c) for i, c in enumerate(calls, 1)]},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    parts = {
        "{nonce}": nonce,
        "{runner_length}": str(len(runner())),
        "{runner_sha256}": hashlib.sha256(runner()).hexdigest(),
        "{payload_length}": str(len(payload)),
        "{payload_sha256}": hashlib.sha256(payload).hexdigest(),
    }
    script = bootstrap()
    for place, value in parts.items():
        script = script.replace(place, value)
    arguments = (*OPTIONS, base64.b64encode(script.encode("utf-16-le")).decode())
    if len(" ".join((COMMAND, *arguments))) > LONGEST_LINE:
        raise CannotBeSent("The command line for the runner is too long for cmd.exe.")
    return Launch(nonce, arguments, runner() + payload)


def _call(number: int, call: CallLike) -> dict[str, object]:
    if not _CMDLET.fullmatch(call.cmdlet):
        raise CannotBeSent(f"{call.cmdlet!r} is not the name of a cmdlet.")
    names = [name for name, _ in call.params]
    if len({name.lower() for name in names}) != len(names):
        raise CannotBeSent(f"{call.cmdlet} is given the same parameter twice.")
    for name in names:
        if not _NAME.fullmatch(name):
            raise CannotBeSent(f"{name!r} is not the name of a parameter of {call.cmdlet}.")
    for path in call.want:
        if not _PATH.fullmatch(path):
            raise CannotBeSent(f"{path!r} is not a property that can be asked of {call.cmdlet}.")
    return {
        "id": str(number),
        "cmdlet": call.cmdlet,
        "params": [[name, _value(call.cmdlet, name, value)] for name, value in call.params],
        "want": list(call.want),
    }


def _value(cmdlet: str, name: str, value: object) -> object:
    if isinstance(value, (list, tuple)):
        items = [_value(cmdlet, name, item) for item in value]
        if all(isinstance(item, str) or type(item) is int for item in items):
            return items
    elif isinstance(value, (str, bool)) or (isinstance(value, int) and -_WHOLE <= value < _WHOLE):
        return value
    raise CannotBeSent(f"The value of -{name} of {cmdlet} cannot travel: only text, yes/no, whole numbers and lists.")
