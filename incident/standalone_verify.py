#!/usr/bin/env python3
"""Check an exported record without trusting the program that wrote it.

    python3 standalone_verify.py RECORD.jsonl [--keys DIRECTORY]

This file needs nothing but Python 3.11. It imports nothing of lync-dr and was written against the description of
the format (docs/record.md), so that an auditor need not trust the audited code. With the package `cryptography` it
is fast; without it, it checks signatures by the formulas of RFC 8032, some milliseconds each.

Exit codes: 0 whole and in order · 1 integrity broken · 2 run incomplete · 4 approval rule broken · 5 usage.
"""

import base64
import datetime
import hashlib
import json
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

Point = tuple[int, int, int, int]
Keys = dict[str, tuple[str, bytes]]
Signed = Callable[[bytes, bytes, bytes], bool]

RECORD = re.compile(rb'\{"h":"([0-9a-f]{64})","r":(\{.*\}),"s":(null|"([A-Za-z0-9+/]{86}==)")\}\n', re.DOTALL)
TRAILER = re.compile(rb'\{"h":"([0-9a-f]{64})","s":"([A-Za-z0-9+/]{86}==)","t":(\{.*\})\}\n', re.DOTALL)
FIELDS = {"v", "incident", "seq", "prev", "at", "mono_ms", "boot", "by", "code", "cause", "actor", "body"}


def words(text: str) -> set[str]:
    return set(text.split())


HANDS = words(
    "surveyed planned hard_stopped hand_taken run_started run_refused waits step_skipped intent output outcome "
    "verified step_failed slow proven run_ended replicas_seen halted halt_over"
)
PEOPLE = words(
    "declared joined outage_set noted lead_taken cancelled closed follow_up_settled asked still_disaster voted "
    "declined lapsed locked_out refused told ruling_voted ruling stop_ordered went_on confirmed reviewed"
)
BOT = {"card_posted", "rechecked", "people_looked"}
AREAS = {"integrity": 1, "completeness": 2, "approval": 4}


# --- Ed25519 by the formulas of RFC 8032, section 5.1.7, in extended coordinates -----------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a: Point, b: Point) -> Point:
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    h, g, e, f = f + e, d + c, f - e, d - c
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(s: int, point: Point) -> Point:
    total = (0, 1, 1, 0)
    while s:
        if s & 1:
            total = add(total, point)
        point, s = add(point, point), s >> 1
    return total


def point_of(raw: bytes) -> Point:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - x2) % P or (x == 0 and sign):
        raise ValueError("not a point")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def signed_slowly(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        a, r, s = point_of(key), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    except ValueError:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(k, a))
    same = (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0
    return s < L and same


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed_fast(key: bytes, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signer() -> Signed:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        return signed_slowly
    return signed_fast


# --- one spelling -----------------------------------------------------------------------------------------------


def sorted_as_rfc8785(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_as_rfc8785(value[key]) for key in sorted(value, key=lambda k: k.encode("utf-16-be"))}
    return [sorted_as_rfc8785(item) for item in value] if isinstance(value, list) else value


def refuse(text: str) -> Any:
    raise ValueError(f"it holds the number {text}, and only whole numbers may stand here")


def read_once_spelled(inner: bytes) -> Any:
    """The value, if these bytes are its one canonical spelling; ValueError otherwise."""
    value = json.loads(inner.decode("utf-8"), parse_float=refuse, parse_constant=refuse)
    again = json.dumps(sorted_as_rfc8785(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    if again != inner:
        raise ValueError("it is not spelled as canonical JSON (RFC 8785)")
    return value


def signature_of(text: bytes) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw) != text:
        raise ValueError("its signature is spelled in lenient Base64")
    return raw


def cut(line: bytes, form: re.Pattern[bytes], name: str) -> tuple[Any, str, bytes | None]:
    """(content, hash, signature) of a line; ValueError where it is not one."""
    found = form.fullmatch(line)
    if found is None:
        raise ValueError(f"it is not spelled as a {name} is")
    h = found[1].decode()
    inner = found[2] if form is RECORD else found[3]
    text = found[4] if form is RECORD else found[2]
    if hashlib.sha256(inner).hexdigest() != h:
        raise ValueError("its content does not match its hash")
    return read_once_spelled(inner), h, None if text is None else signature_of(text)


# --- the record -------------------------------------------------------------------------------------------------


class Check:
    """Reads a file line by line and collects what is wrong."""

    def __init__(self, keys: Keys | None, signed: Signed) -> None:
        self.pinned, self.keys, self.signed = keys is not None, keys or {}, signed
        self.records: list[Any] = []
        self.found: list[tuple[str, str]] = []

    def say(self, area: str, text: str) -> None:
        self.found.append((area, text))

    def file(self, content: bytes) -> None:
        lines = content.split(b"\n")
        lines = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
        last = lines.pop() if lines and TRAILER.fullmatch(lines[-1]) else None
        trailer = self.trailer(last)
        before: tuple[Any, str] | None = None
        torn = False
        for number, line in enumerate(lines, 1):
            try:
                r, h, signature = cut(line, RECORD, "record")
            except (ValueError, RecursionError) as bad:
                self.say("integrity", f"Record {number}: {bad}.")
                torn = True
                continue
            for wrong in self.wrong(r, h, signature, number, None if torn else before, trailer, torn):
                self.say("integrity", f"Record {number}: {wrong}.")
            before, torn = (r, h), False
            self.records.append(r)
        if trailer is not None:
            if trailer["count"] != len(lines):
                self.say("integrity", f"The trailer promises {trailer['count']} records, and {len(lines)} are here.")
            elif before is None or trailer["head"] != before[1]:
                self.say("integrity", f"Record {len(lines)}: it is not the last one the trailer promises.")
            closed = any(r["body"].get("kind") == "closed" for r in self.records)
            if trailer["state"] != ("closed" if closed else "open"):
                self.say("integrity", "The trailer names another state than the records show.")
        if not self.found:
            self.run()

    def trailer(self, line: bytes | None) -> Any:
        try:
            if line is None:
                raise ValueError("there is none at the end: the file is not whole, or its tail was cut off")
            t, h, signature = cut(line, TRAILER, "trailer")
            own = {s["name"]: (s["kind"], base64.b64decode(s["ed25519"], validate=True)) for s in t["signers"]}
            self.keys = self.keys if self.pinned else own
            if t["by"] not in self.keys or not self.signed(self.keys[t["by"]][1], signature or b"", bytes.fromhex(h)):
                raise ValueError(f"its signature is not {t['by']}'s")
            if {"incident", "count", "head", "state"} - t.keys():
                raise ValueError("it is incomplete")
        except (ValueError, KeyError, TypeError, RecursionError) as bad:
            self.say("integrity", f"The trailer: {bad}.")
            return None
        return t

    def wrong(
        self,
        r: Any,
        h: str,
        signature: bytes | None,
        number: int,
        before: tuple[Any, str] | None,
        trailer: Any,
        torn: bool,
    ) -> Iterator[str]:
        """Everything that is wrong with one record in its place."""
        if not isinstance(r, dict) or set(r) != FIELDS or r["v"] != 1 or not isinstance(r["body"], dict):
            yield "its fields are not those of a record"
            return
        if trailer is not None and r["incident"] != trailer["incident"]:
            yield f"it belongs to {r['incident']}"
        due = number if before is None else before[0]["seq"] + 1
        if r["seq"] != due:
            yield f"it bears number {r['seq']} where {due} is due: a record was taken out, put in, repeated or moved"
        if not torn and r["prev"] != (before[1] if before else "0" * 64):
            yield "it does not follow the record before it"
        if before and r["at"] < before[0]["at"]:
            yield "its time is before the time of the record before it"
        kind, writer = r["body"].get("kind"), self.keys.get(r["by"])
        if signature is None and kind != "output":
            yield "it is not signed"
        if writer is None:
            yield f"its writer {r['by']} is unknown"
            return
        if signature is not None and not self.signed(writer[1], signature, bytes.fromhex(h)):
            yield f"its signature is not {r['by']}'s"
        if (kind in HANDS) > (writer[0] == "worker") or (kind in PEOPLE) > (writer[0] in ("bot", "cli")):
            yield f"a {writer[0]} may not write {kind}"
        if (kind in BOT) > (writer[0] == "bot"):
            yield f"a {writer[0]} may not write {kind}"

    def run(self) -> None:
        """Intents and outcomes, the end, and the approval rule for every start and every call."""
        due: dict[Any, int] = {}
        story, ended = Story(), False
        for r in self.records:
            body = r["body"]
            kind, call = body["kind"], tuple(body.get(name) for name in ("step", "attempt", "call_no"))
            ended = ended or kind in ("closed", "incident_opened")
            try:
                wrong = story.read(r)
            except (KeyError, TypeError, ValueError, AttributeError) as strange:
                wrong = [f"nothing can be judged from it ({type(strange).__name__})"]
            for text in wrong:
                self.say("approval", f"Record {r['seq']}: {text}.")
            if kind == "intent":
                due[call] = r["seq"]
            if kind == "outcome" and due.pop(call, None) is None:
                self.say("completeness", f"Record {r['seq']}: an outcome without an intent, or a second one.")
        for seq in due.values():
            self.say("completeness", f"Record {seq}: the intent has no outcome; it may have run.")
        if not ended:
            self.say("completeness", "The incident is not closed.")


# --- the approval rule ------------------------------------------------------------------------------------------


class Story:
    """What has been asked, approved, begun and ruled, up to one record.

    Which roles a person held stands in the policy, not here; what Slack said of their account when they spoke does.
    """

    def __init__(self) -> None:
        self.asker: Any = None
        self.asker_trouble = "nobody had declared anything"
        self.pool = ""
        self.plans: dict[str, Any] = {}
        self.newest: Any = None
        self.asked: dict[int, Any] = {}
        self.cards: set[Any] = set()
        self.insisted: set[int] = set()
        self.votes: dict[int, list[Any]] = {}
        self.bad: dict[int, list[str]] = {}
        self.codes: dict[str, int] = {}
        self.until = ""
        self.over: set[int] = set()
        self.shut: set[str] = set()
        self.begun: Any = None
        self.stopped = self.changed = self.aborted = False
        self.last: dict[str, Any] = {}
        self.failed: dict[str, Any] = {}
        self.words: dict[Any, dict[Any, str]] = {}
        self.again: set[str] = set()

    def read(self, r: Any) -> list[str]:
        """Takes one record in; what was wrong with it, judged by what stood before."""
        body, person = r["body"], (r["actor"] or {}).get("person")
        kind = body["kind"]
        if kind == "declared":
            self.asker, self.asker_trouble, self.pool = person, trouble(r["actor"]), body["pool"]
        elif kind == "planned":
            self.plans[body["digest"]], self.newest = body["plan"], body
        elif kind == "asked":
            self.asked[body["request"]] = body
        elif kind == "card_posted":
            self.cards.add((body["request"], *place(body["card"])))
        elif kind == "still_disaster" and person == self.asker and not trouble(r["actor"]):
            self.insisted.add(body["request"])
        elif kind == "locked_out":
            self.shut.add(body["person"])
        elif kind == "voted":
            self.voted(r, person)
        elif kind in ("declined", "lapsed", "voided", "revoked"):
            self.over.add(body["request"])
            if self.begun is not None and self.begun["request"] == body["request"] and not self.changed:
                self.begun = None
        elif kind == "run_started":
            self.begun = body
            return self.start(r)
        elif kind in ("stop_ordered", "went_on"):
            self.stopped = kind == "stop_ordered"
            if kind == "went_on" and person in self.shut:
                return ["a stop was lifted by somebody who was locked out"]
            if kind == "went_on" and (wrong := trouble(r["actor"])):
                return [f"a stop was lifted, and {wrong}"]
        elif kind == "step_failed":
            ended = self.last.get(body["step"], {}).get("result")
            self.failed[body["step"]] = {**body, "unknown": ended in ("unknown", "not_begun")}
        elif kind == "ruling_voted" and person not in self.shut and not trouble(r["actor"]):
            self.words.setdefault((body["step"], body["attempt"]), {})[person] = body["verdict"]
        elif kind == "ruling":
            return self.ruled(body)
        elif kind == "outcome":
            self.last[body["step"]] = {**self.last.get(body["step"], {}), "result": body["result"]}
        elif kind == "intent":
            return self.sent(body, r["at"])
        return []

    def voted(self, r: Any, person: Any) -> None:
        """One approval from its own record: kept as good, or why it is worth nothing."""
        body, actor = r["body"], r["actor"] or {}
        asked = self.asked.get(body["request"]) or {}
        step, card, slack = actor.get("code_step"), body["card"], actor.get("via") == "slack"
        looked = (actor.get("account") or {}).get("looked_at")
        red = asked.get("level") == "red"
        faults = {
            "an approval came in, and " + (wrong := trouble(r["actor"])): wrong,
            "the asker approved their own request": person == self.asker,
            "an approval of somebody who was locked out": person in self.shut,
            "an approval of another question or another plan": not asked
            or (body["digest"], body["nonce"]) != (asked["digest"], asked["nonce"]),
            "an approval when the question was over": asked and r["at"] >= later(asked["expires"]),
            "an approval from no card of this question": slack if card is None else
            (body["request"], *place(card)) not in self.cards,
            "an approval of an account that had not been looked at within 60 s": slack
            and (not looked or r["at"] > later(looked, 62)),
            "an approval of an account that had not been looked at within 24 hours": not slack
            and looked and r["at"] > later(looked, 24 * 3600 + 2),
            "an approval under red without the pool's name": red
            and (body["typed"] or "").strip().casefold() != self.pool.casefold(),
            "an approval under red before the asker insisted": red and body["request"] not in self.insisted,
            "an approval with a one-time code that was used before": step is not None
            and step <= self.codes.get(person, -1),
        }  # fmt: skip
        if step is not None:
            self.codes[person] = max(step, self.codes.get(person, -1))
        found = [text for text, is_so in faults.items() if is_so]
        if found:
            self.bad.setdefault(body["request"], []).extend(f"record {r['seq']} is {text}" for text in found)
        else:
            self.votes.setdefault(body["request"], []).append((person, body))

    def start(self, r: Any) -> list[str]:
        """Two different people at least, about this plan, while the question was open, and in time."""
        body = r["body"]
        asked = self.asked.get(body["request"])
        if asked is None:
            return ["the run begins under a question that was never asked"]
        said = []
        if asked["digest"] != body["digest"] or self.newest is None or body["digest"] != self.newest["digest"]:
            said.append("the run begins with another plan than was asked about")
        elif shown_otherwise(self.newest, asked["level"]):
            said.append("the colour or the warnings on the card were not those of the plan under it")
        if body["request"] in self.over:
            said.append("the run begins under a question that was over")
        if not self.asker or asked["asker"] != self.asker:
            said.append("the question names another asker than the declaration")
        if self.asker_trouble:
            said.append(f"who asked may not ask: {self.asker_trouble}")
        if asked["level"] == "red" and body["request"] not in self.insisted:
            said.append("under the red warning the asker had not insisted")
        said += self.bad.get(body["request"], [])
        votes = self.votes.get(body["request"], [])
        others = {person for person, _ in votes}
        needed = max(1, asked["others_needed"], max(2, asked["quorum"]) - bool(asked["asker_counts"]))
        if len(others) < needed:
            said.append(f"{len(others)} persons beside the asker had approved this plan, and {needed} are due")
        ends = [vote["window_ends"] for _, vote in votes if vote["window_ends"]]
        self.until = later(max(ends)) if ends else ""
        if not ends:
            said.append("the question was not approved")
        elif r["at"] > self.until:
            said.append("the run begins after its time was over")
        return said

    def sent(self, body: Any, at: str) -> list[str]:
        """The call of the approved plan's own step, whatever the intent says of itself."""
        if self.begun is None:
            return ["a call was sent, and no run had begun under an approval"]
        plan, key = self.plans.get(self.begun["digest"]) or {}, body["step"]
        step = next((s for s in plan.get("steps", ()) if s["id"] == key), None)
        act = (step or {}).get("act") or {}
        planned = ((step or {}).get("host"), act, literal(act), (step or {}).get("effect") or "once")
        if planned != (body["host"], body["call"], body["literal"], body["effect"]):
            return [f"the call of step {key} is not the one of the approved plan"]
        if planned[3] == "observe":
            return []
        said, last = [], self.last.get(key)
        follows = (
            last is not None and body["call_no"] > last.get("call_no", 0) and last.get("result") in ("done", "adopted")
        )
        if self.stopped and not follows:
            said.append(f"step {key} was sent while a stop was standing")
        if not self.changed and at > self.until:
            said.append(f"step {key} was sent first, after the time to begin was over")
        if self.aborted:
            said.append(f"step {key} was sent after people had ended the run")
        fresh = last is None or follows or key in self.again
        never = last is not None and (last.get("result"), last.get("mode")) == ("not_begun", "task")
        if planned[3] == "once" and not fresh and not never:
            said.append(f"step {key} was sent a second time, and people had not ruled that it may be")
        self.again.discard(key)
        self.failed.pop(key, None)
        self.last[key], self.changed = body, True
        return said

    def ruled(self, body: Any) -> list[str]:
        """Each person of a ruling has said so about this failure, and there are as many as the verdict needs."""
        key, verdict, persons = body["step"], body["verdict"], set(body["persons"])
        if verdict == "retry":
            self.again.add(key)
        self.aborted = self.aborted or verdict == "abort"
        words = self.words.get((key, body["attempt"]), {})
        if not persons or any(words.get(person) != verdict for person in persons):
            return [f"the ruling about step {key} names people who had not said so"]
        plan = self.plans.get(self.begun["digest"]) if self.begun else None
        step: Any = next((s for s in (plan or {}).get("steps", ()) if s["id"] == key), {})
        failed = self.failed.get(key)
        if failed is None or failed["attempt"] != body["attempt"]:
            return [f"the ruling about step {key} is not about its present failure"]
        if len(persons) < (due := persons_due(step, failed, verdict)):
            words = {"retry": "runs again", "done": "counts as done", "skip": "is left out", "abort": "ends the run"}
            return [f"{len(persons)} person alone ruled that step {key} {words[verdict]}, and {due} are due"]
        return []


def persons_due(step: Any, failed: Any, verdict: str) -> int:
    """How many persons the verdict needs: two where nobody can be sure what a call sent once has done."""
    begun, once = failed["begun"], (step.get("effect") or "once") == "once"
    certain = not failed["unknown"]
    if verdict == "done":
        return 1 if begun == "done" else 2
    if not once:
        return 1
    if verdict == "retry":
        documented = step.get("rerun") == "documented" and begun in ("not_begun", "done")
        return 1 if certain and (begun == "not_begun" or documented) else 2
    return 1 if verdict == "abort" and certain and begun in ("not_begun", "done") else 2


FLAGS = {
    "bot": "was a bot",
    "stranger": "came through a shared channel",
    "guest": "was a guest",
    "deleted": "was deactivated",
    "invited": "had not joined yet",
}


def trouble(actor: Any) -> str:
    """Why who said this may not say it, as far as their own record shows; empty where nothing speaks against them."""
    if not actor or not actor.get("person"):
        return "who said it is no person"
    account = actor.get("account")
    if account is None and actor.get("via") == "slack":
        return f"the account of {actor['person']} was not looked at"
    if actor.get("via") == "cli" and actor.get("code_step") is None:
        return f"{actor['person']} did not prove who they are in the terminal"
    said = [words for flag, words in FLAGS.items() if (account or {}).get(flag)]
    if account and not account.get("mail_confirmed", True):
        said.append("had no confirmed mail address")
    return f"the account of {actor['person']} {said[0]}" if said else ""


def place(card: Any) -> tuple[Any, Any, Any]:
    """Where a card stands, whoever it was for."""
    return card["team"], card["channel"], card["ts"]


def shown_otherwise(planned: Any, level: str) -> bool:
    """Whether what people saw, which no digest covers, is not what stands in the plan, which its digest covers."""
    plan = planned["plan"]
    if "warnings" not in plan:
        return False
    levels = {w.get("level") for w in plan["warnings"]}
    due = "red" if "red" in levels else "amber" if levels else "green"
    shown = [(w["level"], w["why"], w["do"]) for w in planned["warnings"]]
    return {planned["level"], level} != {due} or shown != [
        (w.get("level"), w.get("text"), w.get("todo")) for w in plan["warnings"]
    ]


def literal(act: Any) -> str:
    """The call as PowerShell text."""
    parts = [str(act.get("cmdlet", ""))]
    for name, value in act.get("params", ()):
        bare = isinstance(value, bool) or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:._+/-]*", str(value))
        text = str(value) if bare else "'" + str(value).replace("'", "''") + "'"
        parts.append(f"-{name}" if value is True else f"-{name}:$false" if value is False else f"-{name} {text}")
    return " ".join(parts)


def later(moment: str, seconds: int = 2) -> str:
    """So much later; two seconds lie between a decision and the time its record has of its own."""
    at = datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")) + datetime.timedelta(seconds=seconds)
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"


def load_keys(directory: str) -> Keys:
    files = [json.loads(path.read_text("utf-8")) for path in sorted(pathlib.Path(directory).glob("*.pub.json"))]
    return {key["name"]: (key["kind"], base64.b64decode(key["ed25519"], validate=True)) for key in files}


def main(argv: list[str]) -> int:
    if len(argv) not in (1, 3) or (len(argv) == 3 and argv[1] != "--keys"):
        print(__doc__, file=sys.stderr)
        return 5
    try:
        content = pathlib.Path(argv[0]).read_bytes()
        check = Check(load_keys(argv[2]) if len(argv) == 3 else None, signer())
    except (OSError, ValueError, KeyError) as bad:
        print(f"This cannot be checked: {bad}", file=sys.stderr)
        return 5
    check.file(content)
    for area, text in check.found[:50]:
        print(f"{area}: {text}")
    worst = [code for code in (1, 4, 2) if code in {AREAS[area] for area, _ in check.found}]
    words = "authentic" if check.pinned else "consistent, signers not pinned"
    print(f"{len(check.records)} records: {'NOT WHOLE OR NOT IN ORDER' if worst else words}")
    return worst[0] if worst else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
