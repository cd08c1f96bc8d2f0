"""Figures of the real processes: bot, workers and store against practice, with cmdlets that take no time.

People act through the practice page; the servers' side of every figure comes from their own log, the product's from
the exported record. All clocks are this machine's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from bench.figures import spread
from cli.practice import Rehearsal, rehearse
from cli.someone import Someone, label_of

CHANNEL = "C0INC"
ROUNDS = 8
COMMANDS = 100
REAL_S = 100 + 4 + 300 + 10 * 0.5
"""What the state-changing cmdlets of one failover take in practice with `real` durations, in seconds."""


@contextmanager
def rehearsal() -> Iterator[Stage]:
    """Everything of one installation, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lync-dr-") as out:
        with rehearse(Path(out), "zero", {}, lambda _: None, threading.Event()) as place:
            yield Stage(place)


def ack() -> None:
    """Slash commands, all at once: from Slack sending the envelope until it is acknowledged."""
    with rehearsal() as stage:
        for how, many in (("one at a time", 1), (f"{COMMANDS} at once", COMMANDS)):
            after = stage.last_note()
            with ThreadPoolExecutor(many) as crowd:
                list(crowd.map(lambda _: stage.rita().type(CHANNEL, "/lync status"), range(COMMANDS)))
            found = stage.deliveries(after)
            late = sum(one["outcome"] != "acked" for one in found)
            print(f"ack      {how:<14} {spread([one['ack_ms'] for one in found])}, not acknowledged: {late}")


def failover() -> None:
    """Whole failovers: from the tap to the first call, our own share of the run, and red text to the channel."""
    taps, own, rounds = [], [], []
    with rehearsal() as stage:
        for number in range(ROUNDS):
            one = stage.failover(red=False)
            rounds.append(one)
            if number:
                # The first finds cold workers; figures are those of warm ones, and the first is printed beside them.
                taps.append(one.tap_ms)
                own.append(one.own_s * 1000)
        reds = [stage.failover(red=True).red_ms for _ in range(3)]
    print(f"tap      to the first state-changing call  {spread(taps)}; cold {rounds[0].tap_ms:,.0f} ms")
    for name in rounds[0].parts:
        print(f"tap        {name:<38} {spread([r.parts[name] for r in rounds[1:]])}")
    print(f"overhead own time of a whole run           {spread(own)}")
    share = sorted(own)[len(own) // 2] / 1000 / REAL_S
    print(f"overhead of {REAL_S:g} s of cmdlets at real durations: {share:.2%} (median)")
    print(f"red      on the server to in the channel   {spread(reds)}")
    print("boards   not measured: the practised estate has one pair, so one incident at a time")


class Round:
    """One failover, from the servers' log and the record."""

    def __init__(self, tapped: datetime, calls: list[dict[str, Any]], looks: list[dict[str, Any]], record: Path):
        lines = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
        at = [(_when(x["r"]["at"]), x["r"]["body"]) for x in lines if "body" in x.get("r", {})]
        first = _when(calls[0]["at"])
        before = sum(_took(x) for x in looks if tapped <= _when(x["at"]) < first)
        self.tap_ms = _ms(tapped, first) - before * 1000
        moments = {"from the tap until the vote is stored": tapped}
        for label, kind in (
            ("until a hand has taken it", "voted"),
            ("until it is checked and begun", "hand_taken"),
            ("until it has looked, intent stored", "run_started"),
            ("until the call is at the server", "intent"),
        ):
            moments[label] = next(when for when, body in at if body.get("kind") == kind and when >= tapped)
        names, times = list(moments), [*moments.values(), first]
        self.parts = {name: _ms(times[n], times[n + 1]) for n, name in enumerate(names)}
        ended = next(when for when, body in at if body.get("kind") == "run_ended")
        self.own_s = (ended - first).total_seconds() - sum(_took(c) for c in calls)
        self.red_ms = 0.0


class Stage:
    """The people and the trainer of one rehearsal."""

    def __init__(self, place: Rehearsal) -> None:
        self.place = place
        self._count = 0

    def rita(self) -> Someone:
        """Each has a connection of their own."""
        return Someone(self.place.page_url, "URITA", "Rita Berg")

    def _admin(self, after: int, kind: str) -> list[dict[str, Any]]:
        url = f"{self.place.page_url.rstrip('/')}/admin/log"
        return list(requests.get(url, params={"after": str(after), "kind": kind}, timeout=20).json()["entries"])

    def last_note(self) -> int:
        """The number of the last line of the workspace's log."""
        return max((int(one["n"]) for one in self._admin(0, "")), default=0)

    def deliveries(self, after: int) -> list[dict[str, Any]]:
        """Slash commands delivered since, with what became of them."""
        return [one for one in self._admin(after, "delivery") if one["type"] == "slash_commands"]

    def order(self, host: str, what: str, **order: Any) -> Any:
        """To one simulated process."""
        url = f"{self.place.controls[host]}/{what}"
        answer = requests.post(url, json=order, timeout=10) if order else requests.get(url, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def failover(self, *, red: bool) -> Round:
        """London is lost and recovered once; afterwards everything is as it was built."""
        for host in self.place.controls:
            requests.post(f"{self.place.controls[host]}/begin", json={}, timeout=10).raise_for_status()
        seen = {host: len(self.order(host, "log")) for host in self.place.controls}
        self.order("london", "plug", up=False)
        if red:
            self.order("leeds", "fault", kind="red", cmdlet="Invoke-CsPoolFailOver", when="begin")
        rita, bo, chen = self.rita(), self._one("UBO", "Bo Lund"), self._one("UCHEN", "Chen Wu")
        since = f"{time.time():.6f}"
        rita.type(CHANNEL, "/lync declare-disaster fe1 bench")
        card = bo.find("APPROVE?", channel=CHANNEL, button="Approve", since=since, limit_s=60)
        label = label_of(card, "Approve")
        bo.press(card, label, confirm=False)
        tapped = datetime.now(UTC)
        bo._do("press", channel=card.channel, ts=card.ts, action=label, confirm="yes")
        red_ms = self._red(chen, since, seen) if red else 0.0
        rita.find("RECOVERED", channel=CHANNEL, since=since, limit_s=90)
        name = self._closed()
        record = self.place.out / f"{name}.jsonl"
        self._lync_dr("audit", "export", name, "--jsonl", str(record))
        lines = [x for host in self.place.controls for x in self.order(host, "log")[seen[host] :]]
        calls = sorted((x for x in lines if x["changing"]), key=lambda x: x["at"])
        made = Round(tapped, calls, [x for x in lines if not x["changing"] and x["ended"]], record)
        made.red_ms = red_ms
        return made

    def _red(self, chen: Someone, since: str, seen: dict[str, int]) -> float:
        first = chen.find("Cannot fail over pool", channel=CHANNEL, since=since, limit_s=60)
        shown = chen.find("FAILED", channel=CHANNEL, button="Run again", since=since, limit_s=60)
        failed = [x for x in self.order("leeds", "log")[seen["leeds"] :] if x["outcome"] == "red" and x["changing"]]
        delay = float(first.ts) - _when(failed[-1]["ended"]).timestamp()
        chen.press(shown, label_of(shown, "Run again"))
        return delay * 1000

    def _one(self, user: str, name: str) -> Someone:
        return Someone(self.place.page_url, user, name)

    def _closed(self) -> str:
        """The newest incident, once it is closed."""
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            last = json.loads(self._lync_dr("audit", "list", "--json"))["incidents"][-1]
            if last["result"]:
                return str(last["incident"])
            threading.Event().wait(0.3)
        raise SystemExit("The incident was not closed within 60 s, so nothing was measured.")

    def _lync_dr(self, *argv: str) -> str:
        env = {**os.environ, **self.place.env}
        done = subprocess.run([sys.executable, "-m", "cli", *argv], env=env, capture_output=True, text=True, check=True)
        return done.stdout


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _took(entry: dict[str, Any]) -> float:
    return (_when(entry["ended"]) - _when(entry["at"])).total_seconds()


def _ms(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() * 1000
