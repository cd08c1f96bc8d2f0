"""One thing wrong at a time, with the real command: it ends in time, in one sentence that says what to do, and no
secret comes out anywhere."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
import pytest
import redis

from tests.cli.conftest import installation as installation
from tests.cli.installation import SECRETS, Installation
from tests.stories.rehearsal import Rehearsal, walk

LIMIT_S = 45.0
"""For a whole command on a machine that is busy with other things; alone they take one to eleven seconds."""


def _spoil(name: str, old: str, new: str) -> Callable[[Installation], None]:
    def spoil(here: Installation) -> None:
        path = here.home / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    return spoil


def _no_door(here: Installation) -> None:
    (here.keys / "bot.pub").unlink(missing_ok=True)
    for public in here.keys.glob("bot*"):
        public.unlink()


NOTHING: Callable[[Installation], None] = lambda here: None  # noqa: E731
STORE = f"redis://:{SECRETS['store']}@127.0.0.1:9/0"

CASES = {
    "an unknown key in the estate": (
        _spoil("estate.toml", "budget_s", "budgett_s"), ("worker", "look"), {}, (), 2,
        ("estate.toml: unknown key survey.budgett_s; did you mean budget_s?",),
    ),
    "a quorum of one": (
        _spoil("policy.toml", "quorum = 2", "quorum = 1"), ("bot",), {}, (), 2, ("policy.toml", "quorum", "2"),
    ),
    "a password where its reference belongs": (
        _spoil("endpoints.toml", 'credential = "lync"', f'credential = "{SECRETS["password"]}"'), ("worker", "act"), {},
        (), 2, ("endpoints.toml", "credential: expected the name of a credential"),
    ),
    "no endpoints file": (
        NOTHING, ("status",), {"LYNC_DR_ENDPOINTS": "nowhere.toml"}, (), 2,
        ("nowhere.toml: there is no such file. Set LYNC_DR_ENDPOINTS",),
    ),
    "no bot token": (NOTHING, ("bot",), {}, ("SLACK_BOT_TOKEN",), 2, ("SLACK_BOT_TOKEN_FILE",)),
    "no app token": (NOTHING, ("bot",), {}, ("SLACK_APP_TOKEN",), 2, ("SLACK_APP_TOKEN_FILE",)),
    "no Windows account": (
        NOTHING, ("worker", "act"), {}, ("LYNC_DR_CREDENTIAL_LYNC_FILE",), 2,
        ("LYNC_DR_CREDENTIAL_LYNC_FILE is set; expected one line user:password",),
    ),
    "no signing key": (_no_door, ("bot",), {}, (), 2, ("bot", "keys")),
    "Redis unreachable": (
        NOTHING, ("worker", "look"), {"LYNC_DR_REDIS_URL": STORE}, (), 1,
        ("127.0.0.1 port 9 cannot be reached. Start it (lync-dr store)",),
    ),
    "Slack unreachable": (NOTHING, ("bot",), {}, (), 1, ("Slack cannot be reached", "SLACK_API_URL")),
}  # fmt: skip


def _hushed(*texts: str) -> None:
    for text in texts:
        assert "Traceback" not in text
        for secret in SECRETS.values():
            assert secret not in text


def _in_store(url: str) -> str:
    """Everything the store holds, as text."""
    with redis.Redis.from_url(url) as client:
        keys: list[bytes] = list(client.scan_iter(count=1000))
        return "\n".join(repr(client.dump(key)) for key in keys)


def _files_of(place: Path) -> str:
    return "\n".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.suffix not in (".credential",)
    )


@pytest.mark.parametrize("name", CASES)
def test_the_command_says_what_is_wrong_and_ends(name: str, installation: Installation) -> None:
    spoil, argv, env, drop, code, said = CASES[name]
    spoil(installation)
    began = time.monotonic()
    done = installation.lync_dr(*argv, drop=drop, limit_s=LIMIT_S, **env)
    assert time.monotonic() - began < LIMIT_S
    assert done.returncode == code, done.stderr
    for part in said:
        assert part in done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, "one sentence, and no noise of libraries around it"
    _hushed(done.stdout, done.stderr, _files_of(installation.state), _in_store(installation.env["LYNC_DR_REDIS_URL"]))


def test_a_store_that_may_forget_is_refused_unless_told_otherwise(installation: Installation, store: str) -> None:
    with redis.Redis.from_url(store) as client:
        client.config_set("appendfsync", "everysec")
        try:
            refused = installation.lync_dr("worker", "act", limit_s=LIMIT_S)
            told = installation.lync_dr("audit", "list", limit_s=LIMIT_S, LYNC_DR_WEAK_STORE="ok")
        finally:
            client.config_set("appendfsync", "always")
    assert refused.returncode == 1
    assert "could lose what it has acknowledged" in refused.stderr
    assert "appendfsync always" in refused.stderr
    assert "LYNC_DR_WEAK_STORE=ok" in refused.stderr
    assert told.returncode == 0, told.stderr
    _hushed(refused.stderr, told.stderr)


# --- what is wrong at the servers: the real look worker is asked by the real command -------------------------


@contextmanager
def _changed(path: Path, text: str) -> Iterator[None]:
    before = path.read_text("utf-8")
    path.write_text(text, "utf-8")
    try:
        yield
    finally:
        path.write_text(before, "utf-8")


def _nothing_leaks(rehearsal: Rehearsal, done: subprocess.CompletedProcess[str], *secrets: str) -> None:
    """Not in the answer, the processes' logs, the store, the state directories, nor on anybody's screen."""
    posts = "\n".join(seen.text for seen in walk(rehearsal.rita.screen()))
    written = _files_of(rehearsal.out / "log") + _files_of(rehearsal.out / "state" / "copies")
    for text in (done.stdout, done.stderr, posts, written, _in_store(rehearsal.env["LYNC_DR_REDIS_URL"])):
        assert "Traceback" not in text
        for secret in secrets:
            assert secret not in text


def _endpoint_of(rehearsal: Rehearsal) -> tuple[Path, str]:
    path = Path(rehearsal.env["LYNC_DR_ENDPOINTS"])
    return path, path.read_text("utf-8")


def _doctor(rehearsal: Rehearsal, *said: str, secret: str = "") -> None:
    """`lync-dr doctor` names what is missing, host by host, and ends with 1."""
    began = time.monotonic()
    done = rehearsal.lync_dr("doctor", limit_s=LIMIT_S)
    assert time.monotonic() - began < LIMIT_S
    assert done.returncode == 1
    missing = [line for line in done.stdout.splitlines() if line.startswith("MISSING")]
    assert missing
    for part in said:
        assert part in missing[-1]
    assert done.stderr == ""
    _nothing_leaks(rehearsal, done, secret or _password(rehearsal))


def _password(rehearsal: Rehearsal) -> str:
    return Path(rehearsal.env["LYNC_DR_CREDENTIAL_LYNC_FILE"]).read_text("utf-8").split(":")[1].strip()


def test_winrm_refused(rehearsal: Rehearsal) -> None:
    path, text = _endpoint_of(rehearsal)
    url = text.split('[hosts."fe2.ocsguy.local"]')[1].split('url = "')[1].split('"')[0]
    with _changed(path, text.replace(url, "https://127.0.0.1:9/wsman")):
        _doctor(rehearsal, "fe2.ocsguy.local refuses connections", "Look whether its WinRM service runs")


def test_wrong_certificate(rehearsal: Rehearsal) -> None:
    path, text = _endpoint_of(rehearsal)
    ca = text.split('ca = "')[1].split('"')[0]
    with _changed(path, text.replace(f'ca = "{ca}"', f'ca = "{certifi.where()}"')):
        _doctor(rehearsal, "fe2.ocsguy.local showed a certificate that is not accepted", "Look at the CA file")


def test_dns_silent(rehearsal: Rehearsal) -> None:
    rehearsal.control("dns2", "fault", kind="dns_silent")
    _doctor(rehearsal, "dns2.ocsguy.local did not answer for meet.ocsguy.local")


def test_wrong_password(rehearsal: Rehearsal) -> None:
    """By the command itself, and by the look worker, whose plan names it."""
    credential = Path(rehearsal.env["LYNC_DR_CREDENTIAL_LYNC_FILE"])
    with _changed(credential, f"OCSGUY\\svc-lync-dr:{SECRETS['password']}\n"):
        said = "Look whether the password is right"
        _doctor(rehearsal, "fe2.ocsguy.local turned the account", said, secret=SECRETS["password"])
        rehearsal.lose_london()
        done = rehearsal.lync_dr("plan", "fe1", "--wait", "30", limit_s=LIMIT_S)
    assert done.returncode == 1
    assert "STOP: partner-mute" in done.stdout
    assert "fe2 Leeds can be reached, but no cmdlet could be run there" in done.stdout
    assert "password" in done.stdout
    _nothing_leaks(rehearsal, done, SECRETS["password"])


def test_a_token_slack_does_not_know(rehearsal: Rehearsal) -> None:
    done = rehearsal.lync_dr("bot", SLACK_BOT_TOKEN=SECRETS["bot_token"], SLACK_APP_TOKEN=SECRETS["app_token"])
    assert done.returncode == 1
    assert "Slack does not accept the bot token (invalid_auth)" in done.stderr
    assert done.stderr.count("\n") == 1
    _nothing_leaks(rehearsal, done, *SECRETS.values())


def test_an_app_token_slack_does_not_know(rehearsal: Rehearsal) -> None:
    good = json.loads((rehearsal.out / "slack.json").read_text("utf-8"))["bot_token"]
    done = rehearsal.lync_dr("bot", SLACK_BOT_TOKEN=good, SLACK_APP_TOKEN=SECRETS["app_token"])
    assert done.returncode == 1
    assert "Slack does not open Socket Mode to this app token (invalid_auth)" in done.stderr
    assert done.stderr.count("\n") == 1, "and nothing of Bolt's own"
    _nothing_leaks(rehearsal, done, *SECRETS.values())
