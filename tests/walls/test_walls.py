"""The walls of the house. Each test says why its wall stands; a failure names the file and the import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("bot", "cli", "config", "incident", "playbooks", "practice", "workers")


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, anywhere in it, as absolute dotted names."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                parts = path.relative_to(ROOT).with_suffix("").parts[: -node.level]
                yield ".".join((*parts, node.module or "")).rstrip(".")
            elif node.module:
                yield node.module


def who_imports(top: str, rooms: tuple[str, ...] = ROOMS) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for room in rooms
        for path in files(room)
        if any(name.split(".")[0] == top for name in imports(path))
    }


WALLS = [
    ("bot", {"workers", "practice", "winrm"}, "the conversation knows no WinRM and meets the hands in the journal"),
    ("workers", {"bot", "practice", "slack_sdk", "slack_bolt"}, "the hands know no Slack"),
    (
        "playbooks",
        {"incident", "bot", "workers", "practice", "cli", "config", "winrm", "redis", "rq", "slack_sdk"},
        "a runbook is a pure function: no wires, and the journal holds plans as data",
    ),
    (
        "incident",
        {"playbooks", "bot", "workers", "practice", "cli", "config", "winrm", "slack_sdk", "slack_bolt"},
        "the memory knows no Slack, no WinRM and no runbook",
    ),
    (
        "practice",
        {"incident", "playbooks", "bot", "workers", "cli", "config"},
        "the rehearsal must not know the product's rules, or it would agree with their mistakes",
    ),
]


@pytest.mark.parametrize(("room", "closed", "why"), WALLS, ids=[w[0] for w in WALLS])
def test_a_room_imports_only_what_it_may(room: str, closed: set[str], why: str) -> None:
    broken = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(room)
        for name in imports(path)
        if name.split(".")[0] in closed
    }
    assert not broken, f"{why}: {sorted(broken)}"


def test_nobody_imports_the_rehearsal() -> None:
    """Practice is reached only through sockets, so that the same product can meet the real thing."""
    rooms = tuple(room for room in ROOMS if room != "practice")
    assert not who_imports("practice", rooms)


def test_slack_is_spoken_in_one_room() -> None:
    """Another chat would be another room."""
    assert {Path(p).parts[0] for p in who_imports("slack_sdk") | who_imports("slack_bolt")} <= {"bot"}


def test_windows_has_one_door() -> None:
    """One module drives pywinrm, so that there is one place where bytes reach a server."""
    assert who_imports("winrm") == {"workers/remote/winrm_remote.py"}


def test_the_store_is_behind_the_journal() -> None:
    """No Redis type crosses the journal's line; roots alone may make clients."""
    allowed = ("incident/journals/", "incident/doorbell.py", "cli/", "workers/serve.py")
    assert not {p for p in who_imports("redis") if not p.startswith(allowed)}


def test_rq_is_where_a_job_is_rung_and_where_it_is_run() -> None:
    """RQ is a doorbell, never a truth."""
    allowed = {"incident/doorbell.py", "workers/serve.py", "workers/guard.py"}
    assert who_imports("rq") <= allowed


IMPORT_ALL = """
import sys, builtins, os, socket, importlib, pathlib
names = sys.argv[1:]
for name in ("slack_bolt", "slack_sdk", "winrm", "rq", "redis", "pydantic", "aiohttp", "dns.resolver", "jinja2",
             "cryptography.hazmat.primitives.asymmetric.ed25519", "requests", "spnego", "pyotp", "segno", "click",
             "email.policy", "smtplib", "ssl", "xml.etree.ElementTree", "rfc8785", "zoneinfo", "asyncio",
             "dns.message", "dns.query", "dns.zone", "dns.rdtypes", "dns.asyncresolver", "logging.handlers",
             "cryptography.x509", "urllib3", "pydantic.mypy", "unicodedata", "websocket", "http.server"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
root = pathlib.Path.cwd()
seen = []
def hook(event, args):
    if event.startswith("socket.") and event not in ("socket.gethostname",):
        seen.append((event, str(args)[:80]))
    if event == "open" and isinstance(args[0], str):
        path = pathlib.Path(args[0])
        if path.suffix not in (".py", ".pyc") and root in path.parents and "__pycache__" not in path.parts \
                and ".venv" not in path.parts:
            seen.append((event, args[0]))
class Environ(dict):
    pass
real = os.environ
class Watch(type(real)):
    def __getitem__(self, key):
        frame = sys._getframe(1)
        while frame and "os.py" in frame.f_code.co_filename:
            frame = frame.f_back
        if frame and frame.f_code.co_filename.startswith(str(root)) and ".venv" not in frame.f_code.co_filename:
            seen.append(("environ", key))
        return super().__getitem__(key)
sys.addaudithook(hook)
real.__class__ = Watch
for name in names:
    importlib.import_module(name)
print(seen)
sys.exit(bool(seen))
"""


def test_importing_opens_nothing() -> None:
    """Importing any module opens no socket, reads no file and looks at no environment variable."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in ROOMS
        for path in files(room)
        if path.name != "__main__.py"
    ]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
