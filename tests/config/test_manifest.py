"""The Slack manifest asks for what is used, says why, and keeps Slack's limits for manifests."""

from __future__ import annotations

import re
from pathlib import Path

LINES = (Path(__file__).resolve().parents[2] / "config" / "slack-manifest.yaml").read_text("utf-8").splitlines()

WANTED = {"commands", "chat:write", "users:read", "files:write", "im:write", "channels:read", "groups:read"}
OPTIONAL = {"usergroups:read", "channels:history", "groups:history"}


def scopes() -> dict[str, str]:
    """Scope to the comment above it."""
    found, why = {}, ""
    for line in LINES:
        text = line.strip()
        if text.startswith("# "):
            why = f"{why} {text[2:]}".strip()
            continue
        if scope := re.fullmatch(r"- ([a-z]+(?::[a-z]+)?)", text):
            found[scope[1]] = why
        why = ""
    return found


def test_every_scope_has_its_reason_and_none_is_missing_or_spare() -> None:
    assert set(scopes()) == WANTED | OPTIONAL
    assert all(len(why) > 15 for why in scopes().values())


def value(key: str) -> str:
    return next(m[1] for line in LINES if (m := re.fullmatch(rf"\s*(?:- )?{key}: (.*)", line)))


def test_slacks_limits_for_manifests_are_kept() -> None:
    assert len(value("name")) <= 35
    assert len(value("description")) <= 140
    assert len(value("display_name")) <= 80
    assert value("command") == "/lync"
    assert value("socket_mode_enabled") == "true"
    assert not any("url:" in line for line in LINES)  # nothing of ours is reachable from outside
