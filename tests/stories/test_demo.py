"""`lync-dr demo` from outside: it succeeds only when all went well, says what did not, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_for

CALLS = [
    "Invoke-CsManagementServerFailover -BackupSqlServerFqdn fe2.ocsguy.local -BackupSqlInstanceName RTC -Force "
    "-Confirm:$false",
    "Set-CsEdgeServer -Identity EdgeServer:edge1.ocsguy.local -Registrar Registrar:fe2.ocsguy.local -Confirm:$false",
    "Invoke-CsPoolFailOver -PoolFqdn fe1.ocsguy.local -DisasterMode -Verbose -Confirm:$false",
    "Invoke-CsPoolFailOver -PoolFqdn fe1.ocsguy.local -DisasterMode -Verbose -Confirm:$false",
]
"""The pool's step twice: red text, then run again by a person."""
ORDER = [
    "DISASTER DECLARED",
    "APPROVE? · fe1 London → fe2 Leeds",
    "[Rita Berg presses Approve on her own request]",
    "You asked for this, so another person must approve",
    "[Olaf Out, who is in the channel but in no policy, presses Approve]",
    "You are not an approver for fe1",
    "[Bo Lund, woken by the direct message, presses Approve there and confirms]",
    "APPROVED · Bo Lund",
    "🔴 FAILED · step 3 Pool failover · on fe2",
    "[Chen Wu, who may operate, reads the red text and presses Run again]",
    "DECIDED · run again · Chen Wu",
    "RECOVERED · fe1 users on fe2 Leeds",
    "$ lync-dr audit verify",
    "Authentic.",
    "What the servers saw, in order:",
]
"""What a reader is shown, each before the next: nobody presses what has not been printed yet."""
NAMES = ["meet", "dialin", "admin", "lyncdiscover", "lyncdiscoverinternal"]


class Demo:
    """One run of the command. Every process it starts, however deep, inherits its mark."""

    def __init__(self, out: Path, *options: str) -> None:
        self._mark = uuid.uuid4().hex
        self.said = out / "said.txt"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "cli", "demo", "--out", str(out / "kept"), *options],
                env=os.environ | {"STORY_MARK": self._mark, "TMPDIR": str(out)},
                stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def text(self) -> str:
        return self.said.read_text("utf-8")

    def wait(self, limit_s: float) -> tuple[int, str]:
        """Exit code and everything that was printed."""
        code = self.process.wait(limit_s)
        return code, self.text()

    def left(self) -> list[str]:
        """Command lines of the processes of this run that are still there."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if f"STORY_MARK={self._mark}".encode() in (place / "environ").read_bytes():
                    found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue  # it ended meanwhile, or is somebody else's
        return found


@contextmanager
def demo(*options: str) -> Iterator[Demo]:
    """A run in a short directory of its own (sockets have short paths); ended by its own pid, whatever happened."""
    with tempfile.TemporaryDirectory(prefix="ldd-") as out:
        run = Demo(Path(out), *options)
        try:
            yield run
        finally:
            if run.process.poll() is None:
                run.process.terminate()
                run.process.wait(60)


def test_an_approver_who_may_not_spoils_it_and_is_named() -> None:
    with demo("--spoil", "approver") as run:
        code, said = run.wait(120)
        assert code == 1
        assert "approver: Bo Lund's approval was refused. He was told:" in said
        assert "another person must approve" in said
        assert "not an approver" in said
        assert "Traceback" not in said
        assert run.left() == []


def test_ctrl_c_twice_ends_it_and_everything_it_started() -> None:
    with demo() as run:
        wait_for(lambda: len(run.left()) > 3, "the rehearsal's processes to start")
        os.killpg(run.process.pid, signal.SIGINT)
        os.killpg(run.process.pid, signal.SIGINT)
        code, said = run.wait(60)
        assert code == 130
        assert "Interrupted; everything that was started has been stopped." in said
        assert "Traceback" not in said
        assert run.left() == []


@pytest.mark.all
def test_ctrl_c_in_the_middle_of_the_story_ends_it_too() -> None:
    with demo() as run:
        wait_for(lambda: "DISASTER DECLARED" in run.text(), "the story to begin", 60)
        os.killpg(run.process.pid, signal.SIGINT)
        code, said = run.wait(60)
        assert (code, run.left()) == (130, [])
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        ("sites", "sites: No approval was asked for, so nothing ran."),
        ("dns", "on dns2 do not lead to fe2 (10.20.0.11). The summary says: ☐ DNS on dns2 Leeds: not reachable"),
        ("record", "record: the exported record does not verify"),
    ],
)
def test_each_other_spoil_is_named(spoil: str, named: str, tmp_path: Path) -> None:
    told = tmp_path / "demo.json"
    told.write_text('{"verdict": "of an earlier run"}', "utf-8")
    with demo("--spoil", spoil, "--json", str(told)) as run:
        code, said = run.wait(170)
        assert code == 1
        assert not told.exists()
        assert named in said
        assert "Traceback" not in said
        assert run.left() == []


def test_the_honest_story_writes_what_happened(tmp_path: Path) -> None:
    told = tmp_path / "demo.json"
    with demo("--json", str(told)) as run:
        code, said = run.wait(170)
        assert code == 0, said
        assert run.left() == []
        places = [said.find(words) for words in ORDER]
        assert -1 not in places
        assert places == sorted(places)
        typed = said.split("\n$ lync-dr ")[1].split("\n")[0]
        verified = subprocess.run(
            [sys.executable, "-m", "cli", *shlex.split(typed)], capture_output=True, text=True, timeout=60, check=False,
            env={k: v for k, v in os.environ.items() if not k.startswith("LYNC_DR_")},
        )  # fmt: skip
        assert verified.stdout.startswith("Authentic."), "the command that is shown can be typed again"
        found = json.loads(told.read_text("utf-8"))
        assert Path(found["jsonl"]).is_file()
        assert "<html" in Path(found["html"]).read_text("utf-8")
    calls = [call["call"] for call in found["calls"]]
    assert calls[:4] == CALLS
    assert [call.split(" -Name ")[1].split()[0] for call in calls[4:]] == [n for n in NAMES for _ in range(2)]
    assert [call["outcome"] for call in found["calls"][:4]] == ["ok", "ok", "red", "ok"]
    assert [(r["person"], r["code"]) for r in found["refusals"]] == [
        ("rita", "APR020E"),
        ("TPRACTICE/UOLAF", "APR021E"),
    ]
    assert (found["approvals"][-1]["asker"], found["approvals"][-1]["approved_by"]) == ("rita", ["bo"])
    assert "Invoke-CsPoolFailOver" in found["red_text"][0]
    assert found["verdict"].startswith(f"Authentic. {found['incident']}:")
    assert all(found["clocks"][clock] for clock in ("t0", "t1", "t2", "t3", "t4", "t5"))
    assert found["digest"] == found["approvals"][-1]["digest"]
