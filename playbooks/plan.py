"""What a plan is: ordered immutable steps, what it leans on, what it warns of, and the digest people approve.

A plan is data. It holds no time, no age and no count that moves by itself, so two surveys of an unchanged estate give
the same plan and the same digest; what moves is shown beside it as readings. Steps say in data how to find out
whether they are already so (``probe``), what to do (``act``) and how to know that it is done (``verify``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import Field, StrictBool, StrictInt, StrictStr

from playbooks.catalogue import CATALOGUE, Call, Effect
from playbooks.estate import Frozen, Seconds
from playbooks.facts import CallLook, Facts, Known, Look, title

Scalar = StrictBool | StrictInt | StrictStr


class Predicate(Frozen):
    """A statement about facts, as data. ``holds`` answers yes, no, or cannot tell."""

    op: Literal["is", "one_of", "has", "lacks", "within", "same_set", "all", "any", "not"]
    fact: str = ""
    values: tuple[Scalar, ...] = ()
    of: tuple[Predicate, ...] = ()

    def facts(self) -> tuple[str, ...]:
        """Every fact the statement is about, each once, in order."""
        named = (self.fact,) if self.fact else ()
        return tuple(dict.fromkeys((*named, *(f for part in self.of for f in part.facts()))))

    @property
    def words(self) -> str:
        """The statement for a person: "PoolState of fe2 is Active or FailedBack"."""
        if self.op in ("all", "any"):
            return (" and " if self.op == "all" else " or ").join(part.words for part in self.of)
        if self.op == "not":
            inner = self.of[0].words
            return inner.replace(" answers ", " does not answer ") if " answers " in inner else f"not: {inner}"
        if self.fact.startswith("answers.") and self.values == (True,):
            return title(self.fact).removeprefix("whether ")
        if self.fact.startswith("services") and self.op == "within":
            host = self.fact.partition(".")[2]
            return (
                f"nothing but {', '.join(map(str, self.values))} is stopped on {host}"
                if self.values
                else (f"no service that the plan needs is stopped on {host}")
            )
        values = [{True: "yes", False: "no"}.get(v, str(v)) if isinstance(v, bool) else str(v) for v in self.values]
        listed, either = ", ".join(values) or "nothing", " or ".join(values)
        verb = {
            "is": f"is {either}",
            "one_of": f"is {either}",
            "has": f"contains {listed}",
            "lacks": f"no longer contains {listed}",
            "within": f"holds nothing but {listed}" if values else "is nothing",
            "same_set": f"is exactly {listed}",
        }[self.op]
        return f"{title(self.fact)} {verb}"


def fact_is(fact: str, *values: Scalar) -> Predicate:
    """The fact has this value, or one of these."""
    return Predicate(op="is" if len(values) == 1 else "one_of", fact=fact, values=values)


def listed(op: Literal["has", "lacks", "within", "same_set"], fact: str, values: Iterable[str]) -> Predicate:
    """The fact, a list, contains all of ``values``, none of them, nothing else, or exactly them."""
    return Predicate(op=op, fact=fact, values=tuple(values))


def every(*of: Predicate) -> Predicate:
    """All of these."""
    return of[0] if len(of) == 1 else Predicate(op="all", of=of)


def either(*of: Predicate) -> Predicate:
    """At least one of these."""
    return of[0] if len(of) == 1 else Predicate(op="any", of=of)


def negated(of: Predicate) -> Predicate:
    """Not this."""
    return Predicate(op="not", of=(of,))


def holds(predicate: Predicate, facts: Facts) -> bool | None:
    """Whether the statement holds; None when the facts cannot tell. Three-valued: a yes or no needs no unknown fact."""
    if predicate.op in ("all", "any"):
        parts = [holds(part, facts) for part in predicate.of]
        decides = predicate.op == "any"
        if decides in parts:
            return decides
        return None if None in parts else not decides
    if predicate.op == "not":
        inner = holds(predicate.of[0], facts)
        return None if inner is None else not inner
    found = facts[predicate.fact]
    if not isinstance(found, Known):
        return None
    value, wanted = found.value, predicate.values
    if predicate.op in ("is", "one_of"):
        # True == 1 in Python; a yes is not a count.
        return any(type(value) is type(w) and value == w for w in wanted)
    if not isinstance(value, tuple):
        return None
    have, want = set(value), set(wanted)
    return {
        "has": want <= have,
        "lacks": not want & have,
        "within": have <= want,
        "same_set": have == want,
    }[predicate.op]


class Check(Frozen):
    """Questions, and what must be so in their answers."""

    looks: tuple[Look, ...]
    so: Predicate


class Poll(Check):
    """A check repeated every ``every_s`` until it holds, given up after ``limit_s`` (unknown then, not failed)."""

    every_s: Seconds
    limit_s: Seconds


class HumanTask(Frozen):
    """What a person does with their own hands, and what they then confirm."""

    text: str
    confirms: str


class Step(Frozen):
    """One step. It has at most one call, so that one intent in the record is one call on one server.

    ``probe``: true means already so, and the step is skipped. False or unknown means act, on a first attempt.
    ``untouched``: over the same looks, true means that nothing has begun. Neither of the two: half done, or nobody can
    tell, which for an effect of ``once`` is a matter for persons. A step without ``act`` only watches (``verify``).
    ``on_failure``: "stop" ends the run at this step; "degraded" keeps the debt on the board and goes on.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,80}$")]
    part: Literal["cms", "edge", "pool", "dns", "proof"]
    title: str
    host: str
    effect: Effect
    rerun: Literal["documented", "undocumented", "harmless"]
    holds: tuple[str, ...] = ()
    probe: Check | None = None
    untouched: Predicate | None = None
    act: Call | HumanTask | None = None
    verify: Poll | None = None
    limit_s: Seconds
    usual_s: tuple[StrictInt, StrictInt]
    on_failure: Literal["stop", "degraded"] = "stop"
    previous: tuple[str, ...] = ()
    note: str = ""

    @property
    def literal(self) -> str:
        """The exact text of the call; empty for a watching step or a person's task."""
        return self.act.literal if isinstance(self.act, Call) else ""

    @property
    def changes(self) -> bool:
        """Whether the step's call changes something on a server."""
        return isinstance(self.act, Call) and self.act.entry.writes


class Assumption(Frozen):
    """What must stay as it was seen. ``firm``: not being able to see it any more counts as broken."""

    predicate: Predicate
    why: str
    step: str = ""
    firm: StrictBool = False

    @property
    def id(self) -> str:
        """Names the assumption by what it says."""
        return self.predicate.words


class Warn(Frozen):
    """Something is not as wished. Red asks for friction before approval, amber is shown. ``why`` then ``do``."""

    level: Literal["red", "amber"]
    code: str
    why: str
    do: str


class Plan(Frozen):
    """Everything that will be done, in order, and what it leans on."""

    v: Literal[1] = 1
    kind: str
    pool: str
    pool_fqdn: str
    pool_site: str
    partner: str
    partner_fqdn: str
    partner_site: str
    rto_s: Seconds
    steps: tuple[Step, ...]
    assumptions: tuple[Assumption, ...]
    warnings: tuple[Warn, ...]
    already: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    not_carried: tuple[str, ...] = ()

    @property
    def red(self) -> bool:
        """Whether any warning is red."""
        return any(w.level == "red" for w in self.warnings)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The state-changing calls, in order."""
        return tuple(s.act for s in self.steps if isinstance(s.act, Call) and s.changes)

    @property
    def usual_s(self) -> tuple[int, int]:
        """How long the whole usually takes, from and to, in seconds."""
        return sum(s.usual_s[0] for s in self.steps), sum(s.usual_s[1] for s in self.steps)

    def step(self, step_id: str) -> Step | None:
        """The step of that id."""
        return next((s for s in self.steps if s.id == step_id), None)

    @classmethod
    def from_data(cls, data: Any) -> Plan:
        """A plan from what ``data()`` gave. Every call is checked against the catalogue again."""
        return cls.model_validate(data)


class Offer(Frozen):
    """A way on: the words on the button and what it would start. ``pool`` is empty when it starts nothing."""

    text: str
    kind: str = ""
    pool: str = ""


class HardStop(Frozen):
    """No plan and no card: why, what to do, and what can be offered instead."""

    code: Literal[
        "unknown-pool", "unpaired", "partner-silent", "partner-mute", "wrong-pool", "partner-failed-over", "unbuilt"
    ]
    why: str
    do: str
    suggestions: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()


# The digest: what exactly two persons agree on.

CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 characters without 0, 1, I and O, which look alike in too many typefaces."""


def digest(plan: Plan, slices: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over the RFC 8785 form of the plan, the catalogue entries it uses, and ``slices``: what of
    estate, endpoints and policy concerns this pair. Whatever of these changes, the digest changes."""
    used = sorted({c.cmdlet for c in _calls_in(plan)})
    whole = {"plan": plan.data(), "catalogue": [CATALOGUE[name].data() for name in used], "slices": dict(slices)}
    return hashlib.sha256(rfc8785.dumps(whole)).hexdigest()


def _calls_in(plan: Plan) -> Iterable[Call]:
    for step in plan.steps:
        if isinstance(step.act, Call):
            yield step.act
        for check in (step.probe, step.verify):
            yield from (look.call for look in (check.looks if check else ()) if isinstance(look, CallLook))


@lru_cache(maxsize=1)
def word_list() -> tuple[str, ...]:
    """The 2,048 words of ``words.txt``, read when first needed."""
    return tuple(resources.files("playbooks").joinpath("words.txt").read_text("ascii").split())


def words(digest_hex: str) -> str:
    """Four words for reading aloud. Never decided upon: 44 bits are for the ear, the digest decides."""
    bits = int(digest_hex[:11], 16)
    return " ".join(word_list()[(bits >> shift) & 2047] for shift in (33, 22, 11, 0))


def code(digest_hex: str) -> str:
    """Six characters to type, from another part of the digest than the words."""
    bits = int(digest_hex[-8:], 16)
    return "".join(CODE_ALPHABET[(bits >> shift) & 31] for shift in (25, 20, 15, 10, 5, 0))


# What changed since.


class Broken(Frozen):
    """An assumption that no longer holds, in words."""

    said: str
    now: str
    why: str


def broken(plan: Plan, facts: Facts, step: str | None = None) -> tuple[Broken, ...]:
    """The assumptions that ``facts`` contradict (or, where firm, cannot confirm). With ``step`` only those of it.

    A reading that merely failed to come in does not break an assumption that is not firm: a lost packet is no news.
    """
    found = []
    for assumption in plan.assumptions:
        if step is not None and assumption.step not in ("", step):
            continue
        so = holds(assumption.predicate, facts)
        if so is True or (so is None and not assumption.firm):
            continue
        now = "; ".join(f"{title(f)}: {_shown(facts, f)}" for f in assumption.predicate.facts())
        found.append(Broken(said=assumption.predicate.words, now=now, why=assumption.why))
    return tuple(found)


def _shown(facts: Facts, fact: str) -> str:
    found = facts[fact]
    if not isinstance(found, Known):
        return f"unknown, {found.reason}"
    if isinstance(found.value, tuple):
        return ", ".join(found.value) or "nothing"
    return {True: "yes", False: "no"}[found.value] if isinstance(found.value, bool) else str(found.value)


def altered_calls(old: Plan, new: Plan) -> tuple[str, ...]:
    """State-changing calls of ``new`` that ``old`` did not have: these void an approval. Calls that fell away, because
    something is already so, do not."""
    had = {(s.host, s.literal) for s in old.steps if s.changes}
    return tuple(f"{s.id} on {s.host}: {s.literal}" for s in new.steps if s.changes and (s.host, s.literal) not in had)


def difference(
    old: Plan, new: Plan, old_slices: Mapping[str, Any] | None = None, new_slices: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """What changed from one plan to the next, one line each, for the person who is asked again. Empty: nothing."""
    # Warnings first: they say why the rest changed.
    lines: list[str] = []
    for level in ("red", "amber"):
        lines += _set_lines(level, *([w.why for w in plan.warnings if w.level == level] for plan in (old, new)))
    lines += _step_lines(old, new)
    lines += _set_lines("already so", old.already, new.already)
    lines += _set_lines("left out", old.left_out, new.left_out)
    lines += _set_lines("assumed", [a.id for a in old.assumptions], [a.id for a in new.assumptions])
    before, after = old_slices or {}, new_slices or {}
    lines += [f"changed configuration: {n}" for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
    if not lines and old != new:
        lines.append("changed: a limit, poll or wording of the plan")
    return tuple(lines)


def _step_lines(old: Plan, new: Plan) -> Iterable[str]:
    before, after = {s.id: s for s in old.steps}, {s.id: s for s in new.steps}
    yield from (f"no longer done: {s.title}" for s in old.steps if s.id not in after)
    for step in new.steps:
        was = before.get(step.id)
        if was is None:
            yield f"added: {step.title}, {_does(step)} on {step.host}"
        elif _does(was) != _does(step) or was.host != step.host:
            yield f"altered: {step.id}, was {_does(was)} on {was.host}, is {_does(step)} on {step.host}"
        elif was != step:
            yield f"altered: {step.id}, its checks or limits"
    kept_old, kept_new = [i for i in before if i in after], [i for i in after if i in before]
    if kept_old != kept_new:
        yield f"order: {', '.join(kept_new)}"


def _does(step: Step) -> str:
    return step.literal or (step.act.text if isinstance(step.act, HumanTask) else step.title)


def _set_lines(what: str, old: Sequence[str], new: Sequence[str]) -> list[str]:
    return [f"no longer {what}: {t}" for t in old if t not in new] + [f"now {what}: {t}" for t in new if t not in old]


# Rendering.


def as_json(plan: Plan | HardStop, slices: Mapping[str, Any] | None = None) -> str:
    """The plan or stop as indented JSON, with digest, words and code where there is a plan."""
    data: dict[str, Any] = {"hard_stop": plan.data()} if isinstance(plan, HardStop) else {"plan": plan.data()}
    if isinstance(plan, Plan):
        seal = digest(plan, slices or {})
        data |= {"digest": seal, "words": words(seal), "code": code(seal), "calls": [c.literal for c in plan.calls]}
    return json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True)


def as_markdown(plan: Plan | HardStop, slices: Mapping[str, Any] | None = None, seen: Sequence[str] = ()) -> str:
    """The plan or stop as a page a person can print; `seen` are the lines that say what the look saw."""
    if isinstance(plan, HardStop):
        ways = [f"- {offer.text}" for offer in plan.offers]
        near = [f"Did you mean: {', '.join(plan.suggestions)}?"] if plan.suggestions else []
        return "\n".join([f"# STOP: {plan.code}", "", plan.why, "", plan.do, *near, *ways, "", *seen])
    seal = digest(plan, slices or {})
    lines = [
        f"# {plan.kind}: {plan.pool} {plan.pool_site} → {plan.partner} {plan.partner_site}",
        "",
        f"Plan {words(seal)} · code {code(seal)} · digest `{seal}`",
        "",
    ]
    for level in ("red", "amber"):
        lines += [f"- **{level.upper()}** {w.why} {w.do}" for w in plan.warnings if w.level == level]
    for name, texts in (("Already so", plan.already), ("Left out", plan.left_out)):
        lines += ["", f"{name}:", *(f"- {text}" for text in texts)] if texts else []
    lines += ["", *seen, "## Steps", ""]
    for number, step in enumerate(plan.steps, 1):
        lines += _step_page(number, step)
    lines += ["## Assumed", "", *(f"- {a.id}: {a.why}" for a in plan.assumptions)]
    if plan.not_carried:
        lines += ["", "## Not carried over by this", "", *(f"- {text}" for text in plan.not_carried)]
    return "\n".join([*lines, ""])


def _step_page(number: int, step: Step) -> list[str]:
    low, high = step.usual_s
    page = [f"{number}. **{step.title}** (`{step.id}`, on {step.host}, usually {low}–{high} s)"]
    if step.literal:
        page += ["", "   ```powershell", f"   {step.literal}", "   ```"]
    elif isinstance(step.act, HumanTask):
        page.append(f"   By hand: {step.act.text}")
    if step.previous:
        page.append(f"   Before: {', '.join(step.previous)}")
    if step.probe:
        page.append(f"   Skipped when {step.probe.so.words}.")
    if step.verify:
        page.append(f"   Done when {step.verify.so.words}, asked every {step.verify.every_s} s.")
    if step.note:
        page.append(f"   {step.note}")
    return [*page, ""]
