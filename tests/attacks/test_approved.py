"""Approved, begun, and failed in red: late and doubled taps start nothing twice, and a server's words stay words."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cli.someone import walk
from incident.events import RunStarted, Voted
from tests.attacks.theatre import BOT, CHANNEL, HOME, Card, Message, Theatre, at_once, words_of
from tests.waiting import wait_for

MOVING = "Invoke-CsManagementServerFailover"


@dataclass
class Failed:
    """A run whose first call ended in the reddest text there is."""

    card: Card
    said: dict[str, str]
    """What each of those who tapped at the same moment was answered."""
    secret: str
    red: Message
    """The message about it in the channel."""

    @property
    def stage(self) -> Theatre:
        return self.card.stage


def nasty(secret: str) -> str:
    """What a server might print, were it asked by somebody who hates us: every trick at once, and a mebibyte."""
    tricks = (
        "<!channel> <!here> <@UOLAF> <#C0HOME> <https://evil.example/x|safe> https://evil.example/y ```\n"
        "fence `tick` *bold* _it_ ~no~ &lt;!channel&gt; :fire:\n"
        "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example/z\x07link\x1b]8;;\x07 "
        "\ufeff\u202etxt.exe\u202c \x07\x08 \u200b\n"
        f"connect -Password {secret} as OCSGUY\\svc-lync-dr\n"
    )
    return tricks + "\n".join(f"line {n} " + "x" * 90 for n in range(10_500))


@pytest.fixture(scope="module")
def failed(theatre: Theatre) -> Iterator[Failed]:
    """Bo and Chen tap in the same moment, Bo twice; the first call fails in red; Slack limits the bot meanwhile."""
    secret = open_secret(theatre)
    with theatre.open_card() as card:
        text = nasty(secret)
        theatre.control("leeds", "fault", kind="red", cmdlet=MOVING, when="begin", message=text, fqid="Evil`,<!here>")
        dm = card.dm("chen")
        before = {"UBO": theatre.newest(card.channel), "UCHEN": theatre.newest(dm["channel"])}
        theatre.admin("fault", rate_limit={"method": "chat.update", "count": 2, "retry_after": 1})
        at_once(
            lambda: theatre.admin("forge", press=card.button(), user="UBO", times=2),
            lambda: theatre.admin("forge", press=card.button(**dm), user="UCHEN"),
        )
        said = {
            "UBO": theatre.answer("UBO", card.channel, before["UBO"]),
            "UCHEN": theatre.answer("UCHEN", dm["channel"], before["UCHEN"]),
        }
        red = wait_for(
            lambda: next((m for m in theatre.messages() if m["ts"] > card.ts and "FAILED" in words_of(m)), None),
            "the red text", 60,
        )  # fmt: skip
        yield Failed(card, said, secret, red)


def open_secret(theatre: Theatre) -> str:
    """The password with which the workers go to the servers."""
    with open(theatre.place.env["LYNC_DR_CREDENTIAL_LYNC_FILE"], encoding="utf-8") as file:
        return file.read().strip().partition(":")[2]


def one_call(failed: Failed) -> None:
    """The servers saw the approved plan's first call, once, and nothing else."""
    calls = failed.stage.changing_calls()[failed.card.calls :]
    assert len(calls) == 1, calls
    assert calls[0].startswith(f"fe2.ocsguy.local {MOVING} -BackupSqlServerFqdn fe2.ocsguy.local")


def test_b4_of_taps_in_the_same_moment_one_counts_and_one_run_begins(failed: Failed) -> None:
    votes = [r.event for r in failed.stage.records(failed.card.incident) if isinstance(r.event, Voted)]
    assert len(votes) == 1
    assert votes[0].actor is not None
    winner = votes[0].actor.user
    loser = {"UBO": "UCHEN", "UCHEN": "UBO"}[winner]
    name = {"UBO": "Bo Lund", "UCHEN": "Chen Wu"}[winner]
    assert f"Already approved by {name}" in failed.said[loser]
    codes = {r.why for r in failed.stage.refusals(failed.card.incident, 0)}
    assert codes <= {"APR043E", "APR047E"}
    assert "APR043E" in codes
    begun = [r for r in failed.stage.records(failed.card.incident) if isinstance(r.event, RunStarted)]
    assert len(begun) == 1
    failed.card.over("APPROVED", name)
    one_call(failed)


def test_b4_a_late_tap_is_told_who_was_first(failed: Failed) -> None:
    head = failed.card.state.seq
    said = failed.card.old_tap("UDANA")
    assert "Already approved by" in said
    assert "Running" in said
    assert [r.why for r in failed.stage.refusals(failed.card.incident, head)] == ["APR043E"]
    failed.card.over("APPROVED")
    one_call(failed)


def test_b3_the_counted_tap_again_under_another_envelope_counts_nothing(failed: Failed) -> None:
    votes = [r.event for r in failed.stage.records(failed.card.incident) if isinstance(r.event, Voted)]
    assert votes[0].actor is not None
    user = votes[0].actor.user
    place = votes[0].card
    assert place is not None
    at = Card(failed.stage, failed.card.incident, failed.card.number, place.channel, place.ts, 0)
    said = failed.card.old_tap(user, at=at)
    assert "Your approval counted already" in said or "copy of the card" in said
    begun = [r for r in failed.stage.records(failed.card.incident) if isinstance(r.event, RunStarted)]
    assert len(begun) == 1
    one_call(failed)


def test_e7_a_limit_of_slack_hides_neither_answer_nor_outcome(failed: Failed) -> None:
    log = failed.stage.http.get(f"{failed.stage.place.page_url}admin/log", params={"kind": "call"}, timeout=20).json()
    limited = [e for e in log["entries"] if e["method"] == "chat.update" and e["outcome"] == "ratelimited"]
    assert limited
    assert all(failed.said.values())
    failed.card.over("APPROVED")
    one_call(failed)


# --- the server's words ------------------------------------------------------------------------------------


def posts(failed: Failed) -> list[Message]:
    """Everything the bot said since the card was asked with, wherever it said it."""
    places = [CHANNEL, HOME, *{c.channel for c in failed.card.request.cards}]
    return [m for p in places for m in failed.stage.messages(p) if m["user"] == BOT and m["ts"] >= failed.card.ts]


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every object with a type inside blocks and attachments."""
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for value in node.values():
            yield from parts(value)
    elif isinstance(node, list):
        for one in node:
            yield from parts(one)


def test_f1_red_text_calls_nobody_and_links_nowhere(failed: Failed) -> None:
    assert "<!channel> <!here> <@UOLAF>" in words_of(failed.red)
    for post in posts(failed):
        assert not any(live in post["text"] for live in ("<!", "<@", "<#", "<http"))
        for part in parts([post["blocks"], post["attachments"]]):
            assert part["type"] not in ("link", "usergroup", "broadcast", "emoji")
            assert part.get("user_id") != "UOLAF"
            assert part["type"] != "mrkdwn" or not any(live in part["text"] for live in ("<!", "<@", "<#", "<http"))
    olaf = failed.stage.someone("UOLAF").screen(CHANNEL)
    assert next(r for r in olaf["channels"] if r["id"] == CHANNEL)["mentions"] == 0
    one_call(failed)


def test_f2_red_text_does_not_leave_its_block(failed: Failed) -> None:
    boxes = [
        p for p in parts(failed.red["blocks"] + failed.red["attachments"]) if p["type"] == "rich_text_preformatted"
    ]
    inside = "".join(e["text"] for box in boxes for e in box["elements"])
    assert "```" in inside
    assert "fence `tick` *bold* _it_ ~no~" in inside
    drawn = next(s for s in walk(failed.stage.someone("UBO").screen(CHANNEL)) if s.ts == failed.red["ts"])
    assert "Run again" in drawn.labels
    assert "#D92D20" in (drawn.message["colours"] or ())
    one_call(failed)


def test_f3_links_in_red_text_are_fetched_by_nobody(failed: Failed) -> None:
    log = failed.stage.http.get(f"{failed.stage.place.page_url}admin/log", params={"kind": "call"}, timeout=20).json()
    sent = [e["args"] for e in log["entries"] if e["method"] == "chat.postMessage" and "evil.example" in str(e["args"])]
    assert sent
    assert all(str(a["unfurl_links"]).lower() == "false" == str(a["unfurl_media"]).lower() for a in sent)
    assert all("://evil.example" not in str(a["text"]) for a in sent)
    one_call(failed)


def test_f4_no_colour_code_direction_or_control_reaches_the_channel(failed: Failed) -> None:
    for post in posts(failed):
        raw = json.dumps([post["blocks"], post["attachments"], post["text"]])
        assert not any(
            code in raw for code in ("\\u001b", "\\u0007", "\\b", "\\ufeff", "\\u202e", "\\u202c", "\\u200b")
        )
    assert "red" in words_of(failed.red)
    one_call(failed)


def test_f5_a_mebibyte_is_cut_for_the_channel_and_kept_in_the_house(failed: Failed) -> None:
    shown = words_of(failed.red)
    assert "more lines are in the record" in shown
    assert all(len(json.dumps(post["blocks"])) < 13_000 for post in posts(failed))
    blobs = [p for p in (failed.stage.place.out / "state").rglob("*") if p.is_file() and "blob" in str(p)]
    assert any("line 5000 " in p.read_bytes().decode("utf-8", "replace") for p in blobs), blobs
    one_call(failed)


def test_f6_a_password_in_red_text_reaches_neither_slack_nor_record_nor_log(failed: Failed) -> None:
    assert "connect -Password" in words_of(failed.red)
    everything = json.dumps(posts(failed)) + "".join(
        r.line.decode() for r in failed.stage.records(failed.card.incident)
    )
    assert failed.secret not in everything
    ours = failed.stage.place.out
    found = subprocess.run(
        ["grep", "-rlF", failed.secret, str(ours / "log"), str(ours / "state")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""
    one_call(failed)
