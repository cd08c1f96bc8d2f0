"""The rule of two persons, judged from outside: by record lines as they lie in the store and bytes as they were sent.

It shares nothing with the product. It reads JSON, keeps its own small books, and has its own idea of who is who and
who might do what at which moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

READS = ("Get-", "Test-")


@dataclass(frozen=True)
class Sent:
    """One start of the runner: how many records stood at that moment, where, and the bytes."""

    after: int
    host: str
    stdin: bytes

    def calls(self) -> list[dict[str, Any]]:
        """The calls in the payload, which is one JSON object behind the runner's text."""
        found: list[dict[str, Any]] = json.loads(self.stdin[self.stdin.rindex(b'{"v":1,"nonce":') :])["calls"]
        return found


@dataclass
class Truth:
    """Who is who in the world, whatever the product's files say: accounts, humans, and rights over time.

    Time is counted in records here: what happened when so many stood holds for every later one.
    """

    humans: Mapping[str, str]
    """Slack user -> human."""
    rights: list[tuple[int, Mapping[str, frozenset[str]]]]
    """(after which record, human -> what they may do), oldest first."""
    gone: dict[str, int] = field(default_factory=dict)
    """Slack user -> after which record the account was deactivated."""

    def may(self, human: str, role: str, seq: int) -> bool:
        """Whether this human held the right when record `seq` was written."""
        now = [rights for since, rights in self.rights if since < seq]
        return bool(now) and role in now[-1].get(human, frozenset())


class Broken(AssertionError):
    """A call that changes something went out without two persons behind it."""


def judge(lines: Sequence[bytes], sent: Sequence[Sent], truth: Truth) -> int:
    """How many state-changing calls went out, each of them rightly. Raises `Broken` for the first that did not."""
    records = [json.loads(line)["r"] for line in lines]
    changing = [(one, call) for one in sent for call in one.calls() if not call["cmdlet"].startswith(READS)]
    for number, (one, call) in enumerate(changing):
        wrong = _wrong(records[: one.after], one, call, truth, first=number == 0)
        if wrong:
            raise Broken(f"{call['cmdlet']} went to {one.host} after record {one.after}: {wrong}")
    return len(changing)


def _wrong(records: list[dict[str, Any]], one: Sent, call: dict[str, Any], truth: Truth, *, first: bool) -> str:
    bodies = [record["body"] for record in records]
    started = [body for body in bodies if body["kind"] == "run_started"]
    plans = [body for body in bodies if body["kind"] == "planned"]
    if len(started) != 1 or not plans:
        return f"{len(started)} starts and {len(plans)} plans stand in the record"
    question, digest = started[0]["request"], started[0]["digest"]
    if plans[-1]["digest"] != digest:
        return "the plan is another one than the one approved"
    if not _holds(plans[-1]["plan"], call):
        return "the approved plan holds no such call"
    intents = [(record, record["body"]) for record in records if record["body"]["kind"] == "intent"]
    if not intents or not _same(intents[-1][1]["call"], call) or records[-1]["body"]["kind"] != "intent":
        return "its intent is not the last record"
    counted, why_not = _voters(records, question, digest, truth)
    declared = records[0]
    asker = truth.humans.get(declared["actor"]["user"], "nobody")
    if not truth.may(asker, "declare", 1):
        return f"{asker} might not declare"
    if first:
        lost = {b["person"] for b in bodies if b["kind"] == "revoked"}
        now = {who for who in counted if who not in lost and truth.may(who, "approve", one.after + 1)}
        why_not += [f"{who} had lost the right by then" for who in sorted(counted - now)]
        counted = now
        ends = [b["window_ends"] for b in bodies if b.get("completes") and b["request"] == question]
        if not ends or _time(intents[-1][0]["at"]) >= _time(ends[-1]):
            why_not.append("the time to begin was over")
            counted = set()
    persons = counted | ({asker} if truth.may(asker, "approve", 1) else set())
    if counted and len(persons) >= 2:
        return ""
    return f"{len(persons)} of 2 persons; {'; '.join(why_not) or 'nobody else approved'}"


def _voters(records: list[dict[str, Any]], question: int, digest: str, truth: Truth) -> tuple[set[str], list[str]]:
    """Everybody but the asker whose approval of this digest counts, and why others' do not."""
    counted: set[str] = set()
    why_not: list[str] = []
    asked: dict[str, Any] = {}
    asker = truth.humans.get(records[0]["actor"]["user"], "nobody")
    over = ""
    for record in records:
        body, at = record["body"], _time(record["at"])
        if body.get("request") != question:
            continue
        if body["kind"] == "asked":
            asked = body
        elif body["kind"] in ("voided", "lapsed", "declined", "revoked"):
            over = body["kind"]
        elif body["kind"] == "voted":
            user = record["actor"]["user"]
            human = truth.humans.get(user, "nobody")
            wrong = (
                f"{user} is the asker" if human == asker
                else f"{human} had lost the right" if not truth.may(human, "approve", record["seq"])
                else f"{user} was deactivated" if truth.gone.get(user, record["seq"]) < record["seq"]
                else f"{human} approved another plan" if body["digest"] != digest or asked.get("digest") != digest
                else f"the question was {over}" if over
                else f"{human} came after the question had expired" if at >= _time(asked["expires"])
                else ""
            )  # fmt: skip
            if wrong:
                why_not.append(wrong)
            else:
                counted.add(human)
    if over:
        why_not.append(f"the question was {over}")
        return set(), why_not
    return counted, why_not


def _holds(plan: Any, call: dict[str, Any]) -> bool:
    if isinstance(plan, dict):
        return ("cmdlet" in plan and _same(plan, call)) or any(_holds(inner, call) for inner in plan.values())
    return isinstance(plan, list) and any(_holds(inner, call) for inner in plan)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """The same cmdlet with the same parameters in the same order."""
    return bool(one["cmdlet"] == other["cmdlet"] and one["params"] == other["params"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
