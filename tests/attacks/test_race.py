"""Two hundred taps at the same moment, by twenty people, through two bots over one record.

Both bots stand still while Slack hands them the taps, a hundred each; then both go on at once. Whatever the order,
as many distinct persons count as are needed and not one more, one run starts, every call is sent once, and each tap
is answered to whoever tapped.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from cli.practice import CONFIG, rehearse
from cli.supervise import Part, Supervisor
from incident.events import HandTaken, Intent, RunStarted, Voted
from incident.keys import init_key
from tests.attacks.theatre import BOT, CHANNEL, HOME, Card, Theatre, words_of
from tests.waiting import wait_for

CROWD = {f"p{number:02}": f"UP{number:02}" for number in range(5, 21)}
"""Sixteen approvers beside the four of the practice policy."""
CLICKERS = ("URITA", "UBO", "UCHEN", "UDANA", *CROWD.values())
EACH = 10
PERSON = """
[[persons]]
id = "{id}"
name = "Person {id}"
slack = [{{ team = "TPRACTICE", user = "{user}" }}]
roles = ["approve", "operate"]
order = 50
"""


@pytest.fixture(scope="module")
def crowd() -> Iterator[Theatre]:
    """A rehearsal of its own, with twenty people who may approve and a second bot on the same store."""
    out = Path(tempfile.mkdtemp(prefix="lr-"))
    policy, estate = out / "policy.toml", out / "estate.toml"
    more = "".join(PERSON.format(id=key, user=user) for key, user in CROWD.items())
    policy.write_text((CONFIG / "policy.practice.toml").read_text("utf-8") + more, "utf-8")
    text = (CONFIG / "estate.practice.toml").read_text("utf-8")
    # A dead host is given up after 2 s instead of 3: every declaration waits for that.
    estate.write_text(text.replace("dns_s = 3\nport_s = 3\n", "dns_s = 2\nport_s = 2\n"), "utf-8")
    settings = {"LYNC_DR_POLICY": str(policy), "LYNC_DR_ESTATE": str(estate), "LYNC_DR_RECONCILE_S": "1"}
    # Its key must be known before anybody reads what it writes.
    init_key("bot2", "bot", state_dir=out / "state", keys_dir=out / "keys")
    try:
        with rehearse(out, "zero,heartbeat=0.2", settings, lambda _: None, threading.Event()) as place:
            stage = Theatre(place, policy, estate)
            stage.admin("rates", enabled=False)
            for key, user in CROWD.items():
                stage.admin("user", id=user, name=key, real_name=f"Person {key}")
            for channel in (CHANNEL, HOME):
                members = stage.admin("channel", id=channel)["channel"]["members"]
                stage.admin("channel", id=channel, members=[*members, *CROWD.values()])
            with Supervisor(lambda _: None) as second:
                second.start(second_bot(stage))
                place.pids.update(second.pids())
                wait_for(lambda: two_sockets(stage), "two connections to Slack")
                yield stage
    finally:
        shutil.rmtree(out, ignore_errors=True)


def second_bot(stage: Theatre) -> Part:
    """The bot once more, by another name and with a key of its own, over the same store."""
    out = stage.place.out
    slack = json.loads((out / "slack.json").read_text("utf-8"))
    tokens = {"SLACK_BOT_TOKEN": slack["bot_token"], "SLACK_APP_TOKEN": slack["app_token"]}
    ready = out / "bot2.ready"
    argv = [sys.executable, "-m", "cli", "bot", "--name", "bot2", "--ready", str(ready)]
    env = os.environ | stage.place.env | tokens
    return Part("bot2", argv, env, out / "log" / "bot2.log", ready=ready.exists, restart=False)


def two_sockets(stage: Theatre) -> bool:
    """Whether Slack has two open connections, so that it hands out payloads in turn."""
    entries = slack_log(stage, "socket")[1]
    return bool(entries) and entries[-1]["connections"] == 2


def slack_log(stage: Theatre, kind: str, after: int = 0) -> tuple[int, list[dict[str, Any]]]:
    """The number of Slack's newest log entry, and those of one kind after a number; it keeps the newest only."""
    order: dict[str, str | int] = {"kind": kind, "after": after}
    found = requests.get(f"{stage.place.page_url}admin/log", params=order, timeout=20).json()
    return found["last"], found["entries"]


def delivered(stage: Theatre, after: int) -> int:
    """Taps on an approving button that Slack has begun to hand over since a number of its log."""
    return sum("lync.approve" in entry["what"] for entry in slack_log(stage, "delivery", after)[1])


def race(stage: Theatre, card: Card) -> None:
    """Every clicker taps ten times; no bot sees a tap before Slack has all of them under way."""
    taps = [user for _ in range(EACH) for user in CLICKERS]
    button = card.button()
    before, _ = slack_log(stage, "delivery")

    def tap(user: str) -> None:
        order = {"press": button, "user": user}
        answer = requests.post(f"{stage.place.page_url}admin/forge", json=order, timeout=120)
        assert answer.ok, f"{answer.text}\nThe card says: {card.shown()}"

    def under_way() -> bool:
        for one in done:
            if one.done():
                one.result()  # a tap that Slack would not take is said at once
        return delivered(stage, before) == len(taps)

    with ThreadPoolExecutor(len(taps)) as fingers:
        with stage.frozen("bot", "bot2"):
            done = [fingers.submit(tap, user) for user in taps]
            wait_for(under_way, "all taps to be under way", 60, every_s=0.2)
        for one in done:
            one.result(120)


def answers(stage: Theatre, since: str) -> dict[str, list[str]]:
    """What each clicker was told in the channel, seen by nobody else."""
    told: dict[str, list[str]] = {user: [] for user in CLICKERS}
    for message in stage.messages():
        if message["ts"] > since and message["only_for"] in told:
            told[message["only_for"]].append(words_of(message))
    return told


def judged(stage: Theatre, quorum: int) -> None:
    """The race, and everything that must be so after it."""
    with stage.policy(lambda text: text.replace("quorum = 2", f"quorum = {quorum}")), stage.open_card() as card:
        since = stage.newest(CHANNEL)
        race(stage, card)
        wait_for(lambda: sum(map(len, answers(stage, since).values())) >= EACH * len(CLICKERS), "every answer", 60)
        wait_for(lambda: card.state.run_ended, "the run to end", 60)
        told, state, records = answers(stage, since), card.state, stage.records(card.incident)

        # Rita's request is the first of the votes; she can give no second one.
        votes = [r.event for r in records if isinstance(r.event, Voted)]
        persons = [vote.actor.person for vote in votes if vote.actor]
        assert len(persons) == len(set(persons)) == quorum - 1, persons
        assert "rita" not in persons
        assert [vote.completes for vote in votes] == [False] * (quorum - 2) + [True]

        assert {user: len(texts) for user, texts in told.items()} == dict.fromkeys(CLICKERS, EACH)
        said = Counter(kind_of(text) for texts in told.values() for text in texts)
        assert said["counted"] == quorum - 1
        assert said["?"] == 0, [t for texts in told.values() for t in texts if kind_of(t) == "?"]
        winners = {user for user, texts in told.items() if any(kind_of(t) == "counted" for t in texts)}
        assert winners == {vote.actor.user for vote in votes if vote.actor}

        assert state.run_ended == "complete"
        assert sum(isinstance(r.event, RunStarted) for r in records) == 1
        epochs = [r.event.epoch for r in records if isinstance(r.event, HandTaken)]
        assert epochs == list(range(1, len(epochs) + 1))
        calls = stage.changing_calls()[card.calls :]
        assert len(calls) == len(set(calls)), calls
        sent = [r.event for r in records if isinstance(r.event, Intent) and r.event.effect != "observe"]
        assert sorted(calls) == sorted(f"{one.host} {one.literal}" for one in sent)
        # Two bots, one narrator.
        posted = [words_of(m) for m in stage.messages() if m["ts"] > since and m["user"] == BOT and not m["only_for"]]
        assert [text for text, count in Counter(posted).items() if count > 1] == []


def kind_of(text: str) -> str:
    """What an answer to a tap says; "?" where it says nothing that is true here."""
    kinds = {
        "Your approval counted,": "counted",
        "Your approval counted already": "again",
        "Already approved by": "late",
        "You asked for this": "self",
        "was closed at": "closed",
    }
    return next((kind for words, kind in kinds.items() if words in text), "?")


def test_two_hundred_taps_and_one_counts(crowd: Theatre) -> None:
    judged(crowd, 2)


@pytest.mark.all
def test_two_hundred_taps_and_four_count_beside_the_asker(crowd: Theatre) -> None:
    judged(crowd, 5)
