"""People, their codes, their keys, and watching: `lync-dr person`, `doctor`, `keys`, `status --watch`."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys

import pyotp
import pytest

from cli.people import wire_lines
from incident.commands import Cancel
from tests.cli.installation import Installation
from tests.incident.rules import play
from tests.waiting import wait_for


def test_a_person_is_added_and_enrolled(installation: Installation) -> None:
    here, policy = installation, installation.home / "policy.toml"
    added = here.within(
        "person", "add", "eve", "--name", 'Eve "E" Dahl', "--slack", "TPRACTICE/UEVE", "--roles", "approve,operate"
    )
    assert added.returncode == 0, added.stderr
    assert "lync-dr person enroll eve" in added.stdout
    once = policy.read_text("utf-8")
    for argv, code, said in (
        (("eve", "--name", "Eve", "--slack", "TPRACTICE/UEVE2", "--roles", "approve"), 1, "Nothing was changed."),
        (("finn", "--name", "Finn", "--slack", "TPRACTICE/UFINN", "--roles", "boss"), 2, "no such role"),
    ):
        refused = here.within("person", "add", *argv)
        assert (refused.returncode, said in refused.stderr) == (code, True), refused.stderr
        assert policy.read_text("utf-8") == once

    shown = here.within("person", "enroll", "eve")
    assert shown.returncode == 0, shown.stderr
    assert "█" in shown.stdout
    seed = here.state / "seeds" / "eve.seed"
    assert stat.S_IMODE(seed.stat().st_mode) == 0o600
    address = next(line for line in shown.stdout.splitlines() if "otpauth://" in line)
    (parsed,) = [pyotp.parse_uri(word) for word in address.split() if word.startswith("otpauth://")]
    assert isinstance(parsed, pyotp.TOTP)
    assert parsed.secret == seed.read_text("ascii").strip()
    again = here.within("person", "enroll", "eve")
    assert again.returncode == 1
    assert "--again" in again.stderr
    assert here.within("person", "enroll", "eve", "--again").returncode == 0
    assert "no person of" in here.within("person", "enroll", "olaf").stderr


def test_doctor_refuses_too_few_approvers_and_warns_of_shared_accounts(installation: Installation) -> None:
    here = installation
    path = here.home / "policy.toml"
    text = path.read_text("utf-8")
    for one in ("Chen Wu", "Dana Ito"):
        before, found, after = text.partition(f'name = "{one}"')
        text = before + found + after.replace('"approve", ', "", 1)
    path.write_text(text.replace('name = "Rita Berg"', 'name = "NOC"'), "utf-8")
    done = here.within("doctor")
    assert done.returncode == 1
    assert "MISSING  3 persons who may approve, so that any asker leaves two; there are: NOC, Bo Lund" in (done.stdout)
    assert "NOC looks like a shared account" in done.stdout
    assert "Do not rely on this installation yet." in done.stdout


def test_a_writer_is_made_once(installation: Installation) -> None:
    here = installation
    made = here.within("keys", "init", "act3", "--kind", "worker")
    assert made.returncode == 0, made.stderr
    assert "Writer act3 (worker) is made." in made.stdout
    assert here.within("keys", "init", "act3", "--kind", "bot").returncode == 2
    listed = here.within("keys", "list").stdout.split()
    assert listed[listed.index("act3") + 1] == "worker"
    private = next(p for p in here.state.rglob("act3*") if p.is_file())
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_status_is_followed_until_ctrl_c(installation: Installation) -> None:
    here = installation
    desk = here.desk("bot")
    name = desk.declare(play.DECLARE).incident
    said = here.home / "watch.txt"
    with said.open("wb") as out:
        watching = subprocess.Popen(
            [sys.executable, "-u", "-m", "cli", "status", "--watch"], env=here.env, stdout=out, stderr=out
        )
    try:
        wait_for(lambda: name in said.read_text("utf-8"), "the incident")
        assert desk.do(name, Cancel(play.who("URITA"))).ok
        wait_for(lambda: "CLOSED" in said.read_text("utf-8"), "the end of it")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
    finally:
        if watching.poll() is None:
            watching.kill()
            watching.wait()
    assert "Traceback" not in said.read_text("utf-8")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://:planted@store.example.com:6379", "its password and every record cross the network in the open"),
        ("redis://store.example.com", "every record crosses"),
        ("redis://:planted@127.0.0.1:6379", ""),
        ("rediss://:planted@store.example.com", ""),
        ("unix:///run/store.sock", ""),
    ],
)
def test_doctor_warns_of_an_open_line_to_the_store(url: str, said: str) -> None:
    text = "".join(line.text for line in wire_lines(url))
    assert said in text
    assert bool(text) == bool(said)
    assert "planted" not in text


def test_a_wrong_key_ends_like_a_wrong_setting(installation: Installation) -> None:
    here = installation
    private = next(p for p in here.state.rglob("act*") if p.is_file())
    private.chmod(0o644)
    argv = [sys.executable, "-m", "cli", "worker", "act", "--name", "act"]
    open_to_others = subprocess.run(argv, env=here.env, capture_output=True, text=True, timeout=60)
    assert (open_to_others.returncode, open_to_others.stdout) == (2, "")
    assert "Others can read the private key" in open_to_others.stderr
    assert "Traceback" not in open_to_others.stderr
    private.unlink()
    gone = subprocess.run(argv, env=here.env, capture_output=True, text=True, timeout=60)
    assert gone.returncode == 2, gone.stderr
    assert "make a writer with a new name: lync-dr keys init NAME --kind worker" in gone.stderr


def test_doctor_says_in_its_list_alone_that_slack_is_away(installation: Installation) -> None:
    done = installation.lync_dr("doctor")
    assert "warn     Slack cannot be reached" in done.stdout
    assert done.stderr == "", "and nothing of the library's own"
