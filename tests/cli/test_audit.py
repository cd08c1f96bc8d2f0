"""`lync-dr audit`: a record made here, taken away as a file, and checked where there is nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import redis

from cli.side_by_side import ALONE
from incident import commands as c
from incident.audit import list_data
from incident.commands import Cancel
from incident.keys import init_key
from incident.register import Register
from tests.cli.installation import WRITERS, Installation
from tests.incident.rules import play

NO_STORE = "redis://127.0.0.1:9/0"


def _short_incident(here: Installation) -> str:
    """Declared, called off, closed."""
    desk = here.desk("bot")
    policy = desk.rules.policy
    Register(desk.journal).state_policy(policy)
    name = desk.declare(play.DECLARE).incident
    assert desk.do(name, Cancel(play.who("URITA"), why="power is back")).ok
    return name


def _export(here: Installation) -> Path:
    name = _short_incident(here)
    file, page = here.home / "record.jsonl", here.home / "record.html"
    done = here.lync_dr("audit", "export", name, "--jsonl", str(file), "--html", str(page))
    assert done.returncode == 0, done.stderr
    assert "<html" in page.read_text("utf-8")
    return file


def test_a_file_is_checked_where_there_is_no_store_and_no_configuration(installation: Installation) -> None:
    here = installation
    file = _export(here)
    alone = {"PATH": os.environ["PATH"], "LYNC_DR_REDIS_URL": NO_STORE, "LYNC_DR_STATE": str(here.home / "elsewhere")}
    loose = here.lync_dr("audit", "verify", str(file), drop=tuple(here.env.keys() - {"PATH", "PYTHONPATH"}))
    assert loose.returncode == 0, loose.stdout + loose.stderr
    assert loose.stdout.startswith("Consistent, signers not pinned.")

    def verify(content: bytes, keys: Path) -> subprocess.CompletedProcess[str]:
        changed = here.home / "changed.jsonl"
        changed.write_bytes(content)
        return here.within("audit", "verify", str(changed), "--keys", str(keys), env=alone)

    whole = file.read_bytes()
    assert verify(whole, here.keys).stdout.startswith("Authentic.")
    lines = whole.splitlines(keepends=True)
    ends = [sum(map(len, lines[: n + 1])) for n in range(len(lines))]
    for number, end in enumerate(ends[:-1], 1):  # the middle of each record; every position: tests/incident
        at = end - len(lines[number - 1]) // 2
        said = verify(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], here.keys)
        assert said.returncode == 1
        assert f"ecord {number}" in said.stdout, said.stdout
    for cut in (whole[: ends[-2]], b"".join(lines[:-2]) + lines[-1]):
        said = verify(cut, here.keys)
        assert said.returncode == 1, said.stdout
        assert said.stdout.startswith("NOT WHOLE.")
    others = here.home / "others-keys"
    for name, kind in WRITERS.items():
        init_key(name, kind, state_dir=here.home / "others-state", keys_dir=others)
    said = verify(whole, others)
    assert said.returncode == 1
    assert "ecord 1" in said.stdout
    assert here.within("audit", "verify", str(here.home / "nothing.jsonl"), env=alone).returncode == 5
    neither = here.within("audit", "verify", "record", env=alone)
    assert neither.returncode == 5
    assert "There is no file record here, and it is no incident's name" in neither.stderr
    page = here.within("audit", "verify", str(here.home / "record.html"), env=alone)
    assert page.returncode == 5
    assert "record.html is no record" in page.stderr


def test_a_record_broken_in_the_store_is_named_and_not_only_refused(installation: Installation, store: str) -> None:
    here = installation
    name = _short_incident(here)
    whole = here.within("audit", "verify", name)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    with redis.Redis.from_url(store) as client:
        journal = f"lync-dr:journal:{name}"
        entries = client.xrange(journal)
        client.delete(journal)
        for at, fields in entries:
            client.xadd(journal, {k: v.replace(b"power is back", b"power is gone") for k, v in fields.items()}, id=at)
    broken = here.within("audit", "verify", name, "--json")
    assert broken.returncode == 1
    assert json.loads(broken.stdout)["findings"][0]["record"] == 2
    refused = here.within("audit", "show", name)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "ecord 2" in refused.stderr


def test_who_could_do_what_on_that_day_and_the_sign_off(installation: Installation) -> None:
    here = installation
    name = _short_incident(here)
    today = datetime.now(UTC).date().isoformat()
    people = here.within("audit", "people", "--on", today)
    assert people.returncode == 0, people.stderr
    assert people.stdout.startswith(f"At the end of {today} (UTC), by the policy in the register:\n")
    assert "Bo Lund" in people.stdout
    later = here.within("audit", "people", "--on", "2999-01-01")
    assert later.returncode == 2
    assert "2999-01-01 has not come yet" in later.stderr
    before = here.within("audit", "people", "--on", "2020-01-01")
    assert (before.returncode, before.stdout) == (1, "")
    assert "no policy from 2020-01-01 or before" in before.stderr
    here.enroll("dana", "bo")
    review = ["audit", "review", name, "--text", "seen", "--person"]
    refused = here.within(*review, "bo", "--otp", here.code("bo"))
    assert refused.returncode == 1
    assert "does not hold the role audit. Nothing happened. It is held by: Dana Ito." in refused.stderr
    wrong = here.within(*review, "dana", "--otp", "000000")
    assert (wrong.returncode, wrong.stderr) == (1, "Error: That is not your one-time code. Nothing happened.\n")
    assert here.within(*review, "dana", "--otp", here.code("dana")).returncode == 0
    shown = here.within("audit", "show", name)
    assert shown.returncode == 0, shown.stderr
    assert "Dana Ito" in shown.stdout
    listed = json.loads(here.within("audit", "list", "--json").stdout)["incidents"]
    assert [(one["incident"], one["number"]) for one in listed] == [(name, 1)]


def test_many_incidents_are_read_side_by_side_and_judged_as_ever(installation: Installation) -> None:
    here = installation
    desk = here.desk("bot")
    for number in range(2 * ALONE + 1):
        name = desk.declare(replace(play.DECLARE, raw=f"/lync declare-disaster fe1 {number}")).incident
        assert desk.do(name, c.AddNote(play.who("UBO"), f"note {number}")).ok
        assert desk.do(name, c.OpenFollowUp(f"left-{number}", "see to it")).ok
        assert desk.do(name, c.Cancel(play.who("URITA"))).ok
    listed = json.loads(here.lync_dr("audit", "list", "--json").stdout)["incidents"]
    # The same as one process reads, one after the other.
    assert listed == list_data(desk.journal)
    assert [one["number"] for one in listed] == list(range(1, 2 * ALONE + 2))
    assert f"{len(listed)} open. When one is done: lync-dr audit settle" in here.within("audit", "follow-ups").stdout
    left = json.loads(here.lync_dr("audit", "follow-ups", "--json").stdout)
    assert [one["key"] for one in left] == [f"left-{number}" for number in range(2 * ALONE + 1)]
    # One that cannot be believed is said with its own sentence, as before.
    client = redis.Redis.from_url(here.env["LYNC_DR_REDIS_URL"])
    stream = f"lync-dr:journal:{listed[-1]['id']}"
    stands = client.xrange(stream)
    client.delete(stream)
    for key, fields in stands:
        client.xadd(stream, {b"l": fields[b"l"].replace(b"Nothing was changed", b"Nothing was touched")}, id=key)
    broken = here.lync_dr("audit", "list")
    assert broken.returncode == 1
    assert f"of {listed[-1]['id']} cannot be believed" in broken.stderr
    assert "Traceback" not in broken.stderr
