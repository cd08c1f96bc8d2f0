"""What `cmd.exe /c …` on a practised host does: it runs the one runner it knows, and nothing else.

The host decides only by what arrives on the wire. It is locked down as an administrator would do it with an
allow-list: one script, by SHA-256. Whatever else is sent is turned away, logged, and touches nothing.
The wire is docs/runner-protocol.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from practice.host.host import Host, ProcessKilled
from practice.host.power import PowerLost
from practice.host.redtext import RedText
from practice.winrm import clixml
from practice.winrm.rows import row
from practice.winrm.shells import Process, ProcessEnded

#: SHA-256 of the runner scripts this host lets run. Kept equal to the product's file by a test.
KNOWN_RUNNERS = frozenset({"baea52c188f16acec12c841e74dca26a20d0f357c007cf4873b8b3771a6d7fd2"})

#: The bootstrap, letter for letter; only lengths, hashes and the nonce differ from call to call.
BOOTSTRAP = """\
$ProgressPreference = 'SilentlyContinue'
$ErrorActionPreference = 'Stop'
$in = [Console]::OpenStandardInput()
function Read-Part($size, $want) {
  $all = New-Object byte[] $size
  $at = 0
  while ($at -lt $size) {
    $n = $in.Read($all, $at, $size - $at)
    if ($n -le 0) { break }
    $at += $n
  }
  $sha = New-Object Security.Cryptography.SHA256CryptoServiceProvider
  $got = [BitConverter]::ToString($sha.ComputeHash($all)).Replace('-', '').ToLower()
  if (($at -ne $size) -or ($got -ne $want)) {
    [Console]::Out.WriteLine('@@{nonce} refused e30')
    exit 11
  }
  [Text.Encoding]::UTF8.GetString($all)
}
$run = Read-Part {runner_length} '{runner_sha256}'
$job = Read-Part {payload_length} '{payload_sha256}'
& ([ScriptBlock]::Create($run)) $job
"""

_PLACES = {
    "nonce": r"(?P<nonce>[0-9a-f]{32})",
    "runner_length": r"(?P<runner_length>[0-9]{1,7})",
    "runner_sha256": r"(?P<runner_sha256>[0-9a-f]{64})",
    "payload_length": r"(?P<payload_length>[0-9]{1,7})",
    "payload_sha256": r"(?P<payload_sha256>[0-9a-f]{64})",
}
_COMMAND_LINE = re.compile(
    r'^\s*"?(?:[a-z]:\\[^"\s]*\\|%systemroot%\\[^"\s]*\\)?powershell(?:\.exe)?"?'
    r"(?P<options>(?:\s+-(?:nologo|noprofile|noninteractive|executionpolicy\s+bypass))*)"
    r"\s+-encodedcommand\s+(?P<script>[A-Za-z0-9+/=]+)\s*$",
    re.IGNORECASE,
)
_LONGEST = 8191  # characters of a command line cmd.exe takes
_BLOCKED = "This program is blocked by group policy. For more information, contact your system administrator."
_CONSTRAINED = (
    "Cannot invoke method. Method invocation is supported only on core types in this language mode."
    " Only the scripts allowed on this host may run."
)
_VERSION = 1


def _bootstrap_pattern() -> re.Pattern[str]:
    pattern = re.escape(BOOTSTRAP)
    for name, place in _PLACES.items():
        first, _, rest = pattern.partition(re.escape("{" + name + "}"))
        pattern = first + place + rest
    return re.compile(pattern)


_BOOTSTRAP_PATTERN = _bootstrap_pattern()


def execute(host: Host, command_line: str, process: Process) -> None:
    """Run a command line to its end. Never raises; a dark host leaves the process without an exit code."""
    try:
        process.finish(_execute(host, command_line, process))
    except (PowerLost, ProcessEnded, ProcessKilled):
        process.terminate()


def _execute(host: Host, command_line: str, process: Process) -> int:
    if len(command_line) > _LONGEST:
        host.callbook.refuse(command_line[:200], "The command line is too long.")
        process.write("stderr", b"The command line is too long.\r\n")
        return 1
    match = _COMMAND_LINE.match(command_line)
    if match is None:
        host.callbook.refuse(command_line[:500], _BLOCKED)
        process.write("stderr", _BLOCKED.encode() + b"\r\n")
        return 1
    script = _decode(match["script"])
    bootstrap = _BOOTSTRAP_PATTERN.fullmatch(script)
    if bootstrap is None or bootstrap["runner_sha256"] not in KNOWN_RUNNERS:
        why = "unknown script" if bootstrap is None else f"unknown runner {bootstrap['runner_sha256'][:12]}"
        host.callbook.refuse(f"powershell.exe, {why}: {script[:300]}", _CONSTRAINED)
        red = RedText(_CONSTRAINED, "MethodInvocationNotSupportedInConstrainedLanguage")
        process.write("stderr", clixml.HEADER)
        process.write("stderr", clixml.errors(red.rendered("powershell.exe", script.split("\n", 1)[0])))
        return 1
    return _bootstrapped(host, bootstrap.groupdict(), process)


def _decode(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-16-le")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _bootstrapped(host: Host, places: Mapping[str, str], process: Process) -> int:
    for part in ("runner", "payload"):
        data = process.read(int(places[f"{part}_length"]))
        if len(data) != int(places[f"{part}_length"]) or _sha256(data) != places[f"{part}_sha256"]:
            host.callbook.refuse(f"{part} cut or damaged on the way", "The bootstrap refused its input.")
            process.write("stdout", f"@@{places['nonce']} refused e30\r\n".encode())
            return 11
    return _Runner(host, process, json.loads(data)).run()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Runner:
    """Does what runner.ps1 does: calls in order, records as frames, one result each, one bye."""

    def __init__(self, host: Host, process: Process, payload: Mapping[str, Any]) -> None:
        self._host = host
        self._process = process
        self._payload = payload
        self._boot = host.power.boot
        self._sha = hashlib.sha256()
        self._frames = 0
        self._call: Mapping[str, Any] = {}
        self._errors = 0
        self._count = 0

    def run(self) -> int:
        calls = self._payload["calls"]
        version = self._payload["v"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
        self._frame(
            "hello",
            v=_VERSION,
            run=str(self._payload["run"]),
            calls=len(calls),
            host=self._host.fqdn.split(".", 1)[0].upper(),
            user="svc-lync-dr",
            ps="4.0",
            utc=now,
        )
        if version != _VERSION:
            return 12
        self._host.power.wait(self._host.durations["module_import"], self._boot)
        total = sum(self._one(call) for call in calls)
        self._frame("bye", frames=self._frames, sha256=self._sha.hexdigest(), errors=total, lost=0)
        return 10 if total else 0

    def _one(self, call: Mapping[str, Any]) -> int:
        self._call, self._errors, self._count = call, 0, 0
        began = time.monotonic()
        params = [(str(name), value) for name, value in call["params"]]
        ended_by = self._host.run(
            str(call["cmdlet"]),
            params,
            self,
            run=str(self._payload["run"]),
            call=str(call["id"]),
            boot=self._boot,
            alive=lambda: self._process.alive,
        )
        if ended_by is not None:
            self._error(ended_by, terminating=True)
        self._frame(
            "result",
            call=str(call["id"]),
            errors=self._errors,
            count=self._count,
            terminated=ended_by is not None,
            ms=int((time.monotonic() - began) * 1000),
        )
        return self._errors

    def verbose(self, text: str) -> None:
        self._frame("verbose", call=str(self._call["id"]), text=text)

    def warning(self, text: str) -> None:
        self._frame("warning", call=str(self._call["id"]), text=text)

    def error(self, red: RedText) -> None:
        self._error(red, terminating=False)

    def output(self, properties: Mapping[str, Any]) -> None:
        self._count += 1
        want = self._call.get("want", [])
        if "@count" not in want:
            self._frame("output", call=str(self._call["id"]), row=row(properties, want))

    def _error(self, red: RedText, terminating: bool) -> None:
        self._errors += 1
        cmdlet = str(self._call["cmdlet"])
        self._frame(
            "error",
            call=str(self._call["id"]),
            terminating=terminating,
            message=red.message,
            fqid=red.fqid,
            category=red.category,
            activity=cmdlet,
            reason=red.exception.rsplit(".", 1)[-1],
            target=red.target,
            type=red.exception,
            inner="",
            red=red.rendered(cmdlet, "& $lyncDrFound @lyncDrParams", 4096),
        )

    def _frame(self, kind: str, **body: Any) -> None:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        encoded = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        line = f"@@{self._payload['nonce']} {kind} {encoded}\n".encode("ascii")
        if kind != "bye":
            self._sha.update(line)
            self._frames += 1
        self._process.write("stdout", line)
