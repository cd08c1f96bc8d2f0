"""The runner: what can be said about the file without a PowerShell, and with one, that it answers as the fixtures say.

A fixture holds the frames of one start, one per line (`type JSON`), without `bye`, which follows from the others; `"*"`
stands for a value that differs each time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tree_sitter
import tree_sitter_powershell

from workers.redact import Redactor
from workers.remote import launch
from workers.remote.door import Done, Frame, RedText, RunId
from workers.remote.frames import Broken, FrameReader
from workers.remote.gather import Gathering
from workers.remote.scripted import FarSide

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUN = RunId("look", "stub", 1)
NONCE = "0123456789abcdef" * 2


@dataclass(frozen=True)
class Call:
    cmdlet: str
    params: tuple[tuple[str, Any], ...] = ()
    want: tuple[str, ...] = ()


POOL = ("PoolFqdn", "fe1.ocsguy.local")
NOTHING = Call("Set-CsStubNothing")
PATHS = ("Identity", "PoolState", "Users", "Ttl", "Empty", "Absent", "Modules.Name", "Modules.Good")
CASES = {
    "warning": (Call("Get-CsStubWarning", (POOL, ("Verbose", True)), PATHS),),
    "terminating-error": (
        Call("Invoke-CsStubTerminating", (POOL, ("DisasterMode", True), ("Verbose", True), ("Confirm", False))),
        NOTHING,
    ),
    "non-terminating-error": (Call("Set-CsStubNonTerminating", (("Names", ("one", "bad", "two")),), ("Name",)),),
    "no-output": (NOTHING,),
    "one-mebibyte": (Call("Get-CsStubMebibyte", (), ("Text",)),),
}


def fixture(name: str) -> list[tuple[str, dict[str, Any]]]:
    text = (HERE / f"{name}.txt").read_text("utf-8").replace("{MEBIBYTE}", "x" * 1048576)
    lines = [line.split(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return [(kind, json.loads(body)) for kind, body in lines]


def wire(name: str) -> bytes:
    """The fixture as it stands on the wire, with its `bye`."""
    far = FarSide(NONCE, str(RUN), 1)
    frames = fixture(name)
    out = b"".join(far.frame(kind, {k: 7 if k == "ms" else v for k, v in body.items()}) for kind, body in frames)
    return out + far.bye()


def gather(name: str, pieces: int) -> tuple[list[Frame], Any]:
    gathering = Gathering("fe2", NONCE, CASES[name], Redactor(), looks=False)
    data, frames = wire(name), []
    size = len(data) // pieces + 1
    for at in range(0, len(data), size):
        frames += gathering.stdout(data[at : at + size])
    last, answers = gathering.ended(0)
    return frames + last, answers


def test_fixtures_are_understood_in_any_pieces() -> None:
    for pieces in (1, 7, 400):
        frames, (answer,) = gather("warning", pieces)
        assert isinstance(answer, Done)
        assert answer.rows[0]["Modules.Name"] == ("CMS", "UserData")
        assert answer.rows[0]["Empty"] is None
        assert "Absent" not in answer.rows[0]
        assert [f.kind for f in frames] == ["hello", "verbose", "warning"]
    _, (red, nothing) = gather("terminating-error", 11)
    assert isinstance(red, RedText)
    assert (red.terminated, red.red[0].fqid) == (True, "EdgeNextHop,Invoke-CsStubTerminating")
    assert isinstance(nothing, Done)
    _, (partly,) = gather("non-terminating-error", 3)
    assert isinstance(partly, RedText)
    assert ([row["Name"] for row in partly.rows], partly.terminated) == (["one", "two"], False)
    _, (none,) = gather("no-output", 1)
    assert none == Done(elapsed_ms=7)
    _, (big,) = gather("one-mebibyte", 90)
    assert big.rows[0]["Text"] == "x" * 1048576


@pytest.mark.parametrize(
    "line", ["verbose !!!!", "verbose bnVsbA", "VERBOSE e30", " e30", "verbose eyJjYWxsIjoiMSJ9 x", "verbose gICA"]
)
def test_a_frame_that_breaks_the_protocol_is_not_guessed_at(line: str) -> None:
    with pytest.raises(Broken):
        FrameReader(NONCE).feed(f"@@{NONCE} {line}\n".encode())


def test_frames_of_another_nonce_are_noise() -> None:
    reader = FrameReader(NONCE)
    foreign = f"@@{NONCE[::-1]} bye e30\n"
    assert [f.type for f in reader.feed(foreign.encode() + b"x" * 20_000)] == ["noise", "noise"]
    assert [f.type for f in reader.feed(f"y@@{NONCE} hello e30\r\n".encode())] == ["noise", "hello"]
    assert reader.sha256 == hashlib.sha256(f"@@{NONCE} hello e30\n".encode()).hexdigest()


@pytest.mark.parametrize("name", ["runner.ps1", "bootstrap.ps1"])
def test_the_scripts_parse_and_are_plain_text(name: str) -> None:
    raw = (ROOT / "workers" / "remote" / name).read_bytes()
    assert b"\r" not in raw
    assert raw.isascii()
    assert raw.count(b"\n") < 200
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    assert not parser.parse(raw).root_node.has_error
    assert not re.search(rb"(?i)invoke-expression|\biex\b|\$input\b|::new\(|Get-FileHash", raw)


def test_the_page_says_what_is_sent() -> None:
    page = (ROOT / "docs" / "runner-protocol.md").read_text("utf-8")
    assert f"```powershell\n{launch.bootstrap()}```" in page
    made = launch.prepare(RUN, CASES["warning"])
    script = base64.b64decode(made.arguments[-1]).decode("utf-16-le")
    assert "{" + "nonce" + "}" not in script
    assert hashlib.sha256(launch.runner()).hexdigest() in script
    assert made.stdin.startswith(launch.runner() + b'{"v":1,"nonce":"' + made.nonce.encode())


def test_the_real_runner_answers_as_the_fixtures_say() -> None:
    pwsh = shutil.which("pwsh") or shutil.which("powershell.exe")
    if pwsh is None:
        pytest.skip("no PowerShell on the PATH: the runner has still never been run by one")
    for name, calls in CASES.items():
        made = launch.prepare(RUN, calls)
        path = os.pathsep.join((str(HERE / "stubs"), os.environ.get("PSModulePath", "")))  # noqa: SIM112
        done = subprocess.run(
            [pwsh, *(a for a in made.arguments if a not in ("-ExecutionPolicy", "Bypass"))],
            input=made.stdin,
            env={**os.environ, "PSModulePath": path},
            capture_output=True,
            timeout=60,
            check=False,
        )
        reader = FrameReader(made.nonce)
        frames = reader.feed(done.stdout) + reader.end()
        seen = [(f.type, f.body) for f in frames if f.type not in ("noise", "bye")]
        expected = fixture(name)
        masked = [
            (kind, {k: "*" if expected[i][1].get(k) == "*" else v for k, v in body.items()})
            for i, (kind, body) in enumerate(seen)
        ]
        assert masked == expected, (name, done.stderr)
        bye = frames[-1].body
        assert (bye["frames"], bye["sha256"], bye["lost"]) == (reader.frames, reader.sha256, 0)
