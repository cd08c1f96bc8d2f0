"""Whatever is done to a record afterwards is found and named, by our verifier and by the stand-alone one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident import standalone_verify
from incident.events import Event, TextStated, event_classes
from incident.export import export_jsonl
from incident.journal import REGISTER
from incident.journals.memory import MemoryStore
from incident.journals.signed import SignedJournal
from incident.keys import Keys, init_key, load_keys, load_writer
from incident.record import write_record
from incident.trailer import read_trailer
from incident.verify import CannotCheck, Verdict, verify_export, verify_file, verify_lines
from tests.incident.desk import (
    BOT,
    CLI,
    HAND,
    KEYS,
    NOON,
    PAIR,
    a_short_incident,
    closed,
    declared,
    hand_taken,
    intent,
    memory_journals,
    note,
    outcome,
    writer,
)

A = "20261122-fe1-a"
STANDALONE = Path(standalone_verify.__file__)
PINNED = {key.name: (key.kind, key.key.public_bytes_raw()) for key in KEYS.values()}


@cache
def whole(incident: str = A) -> bytes:
    """An export of eight records and a trailer."""
    _, make = memory_journals(Path(tempfile.mkdtemp(prefix="ld-")))
    a_short_incident(make, incident)
    return export_jsonl(make(CLI), incident, writer=CLI, keys=KEYS)


def in_memory(*events: tuple[str, Event]) -> SignedJournal:
    """A journal of one opened incident, followed by the given events of bot and hand."""
    store = MemoryStore()
    bot, hand = (SignedJournal(store, keys=KEYS, writer=who, copies=None) for who in (BOT, HAND))
    at = bot.open(A, PAIR, [declared()])
    for who, event in events:
        journal = bot if who == "bot" else hand
        journal.read(A)
        at = journal.append(at, [event], epoch=1 if event.kind == "hand_taken" else None)  # type: ignore[attr-defined]
    return bot


def exported(journal: SignedJournal, incident: str = A) -> bytes:
    return export_jsonl(journal, incident, writer=BOT, keys=KEYS)


def both(content: bytes, *, pinned: bool = True) -> tuple[Verdict, list[str], int]:
    """Our verdict, what the stand-alone verifier says, and its exit code."""
    verdict = verify_export(content, keys=KEYS if pinned else None)
    check = standalone_verify.Check(PINNED if pinned else None, standalone_verify.signed_fast)
    check.file(content)
    codes = {standalone_verify.AREAS[area] for area, _ in check.found}
    return verdict, [text for _, text in check.found], next((c for c in (1, 4, 2) if c in codes), 0)


def broken(content: bytes, *names: str, pinned: bool = True) -> None:
    """Asserts that both find the record broken and name one of these."""
    verdict, said, code = both(content, pinned=pinned)
    for findings, exit_code in (([str(f) for f in verdict.findings], verdict.exit_code), (said, code)):
        assert exit_code == 1, (names, findings)
        assert any(name in finding for name in names for finding in findings), (names, findings)


def lines_of(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def test_the_untouched_record_is_whole() -> None:
    verdict, said, code = both(whole())
    assert (verdict.exit_code, verdict.findings) == (0, [])
    assert (said, code) == (["Record 3: a call was sent, and no run had begun under an approval."], 4)
    assert verdict.summary.startswith(f"Authentic. {A}: 8 records, 2 signers, closed, head ")
    assert both(whole(), pinned=False)[0].summary.startswith("Consistent, signers not pinned. ")
    assert verify_export(exported(in_memory(), REGISTER), keys=KEYS).exit_code == 0


@pytest.mark.parametrize("mask", [0x01, 0x20])
def test_any_changed_byte_of_a_short_record_is_found_and_named(mask: int) -> None:
    """Every position, not a sample, and without keys from elsewhere. 0x20 turns a letter's case."""
    content = exported(in_memory(("bot", closed())))
    ends = [0]
    for line in lines_of(content):
        ends.append(ends[-1] + len(line))
    for number in range(1, len(ends)):
        names = ("railer",) if number == len(ends) - 1 else (f"Record {number}:",)
        for position in range(ends[number - 1], ends[number]):
            changed = bytearray(content)
            changed[position] ^= mask
            broken(bytes(changed), *names, pinned=False)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_done_to_the_lines_is_found_and_named(data: st.DataObject) -> None:
    lines = lines_of(whole())
    place = data.draw(st.integers(0, 7), "place")
    what = data.draw(st.sampled_from(["remove", "swap", "repeat", "insert", "cut", "splice", "half"]), "what")
    named = [f"Record {place + 1}:"]
    if what == "remove":
        del lines[place]
        named += ["The trailer promises 8 records, and 7 are here."] if place == 7 else []
    elif what == "swap":
        other = data.draw(st.integers(0, 7).filter(lambda n: n != place), "other")
        lines[place], lines[other] = lines[other], lines[place]
    elif what == "repeat":
        lines.insert(place, lines[place])
        named = [f"Record {place + 2}:"]
    elif what == "insert":
        lines.insert(place, data.draw(st.sampled_from([b"\n", b"{}\n", lines_of(whole("20261122-fe3-a"))[place]])))
    elif what == "splice":
        lines[place] = lines_of(whole("20261122-fe3-a"))[place]
    elif what == "half":
        lines[place:] = [lines[place][:-20]]
    else:
        del lines[place + 1 :]
        named = ["railer"]
    broken(b"".join(lines), *named, pinned=data.draw(st.booleans()))


def test_a_cut_tail_with_the_trailer_kept_is_found() -> None:
    lines = lines_of(whole())
    broken(b"".join([*lines[:6], lines[-1]]), "The trailer promises 8 records, and 6 are here.")
    broken(whole()[:-1], "railer")
    broken(whole() + b"{}\n", "railer")
    broken(b"", "railer")


def test_a_record_signed_afresh_with_other_keys_is_only_consistent() -> None:
    """The same events by other hands: nothing to see in the file itself, everything against known keys."""
    thief, worker = writer("bot", "bot"), writer("act1", "worker")
    keys = Keys([thief.public, worker.public])
    store = MemoryStore()
    bot, hand = (SignedJournal(store, keys=keys, writer=who, copies=None) for who in (thief, worker))
    at = bot.open(A, PAIR, [declared()])
    at = hand.append(bot.head(A), [hand_taken()], epoch=1)
    bot.read(A)
    bot.append(at, [closed()])
    forged = export_jsonl(bot, A, writer=thief, keys=keys)
    assert both(forged, pinned=False)[0].exit_code == 0
    for number in (1, 2, 3):
        broken(forged, f"Record {number}: Its signature is not", f"Record {number}: its signature is not")


def test_an_anchor_shows_a_rewritten_record() -> None:
    """The head in somebody's receipt is in the true record, and in no rewritten one."""
    receipt = verify_export(whole(), keys=KEYS).records[5].h[:14]
    verdict = verify_export(whole(), keys=KEYS, anchors=[receipt])
    assert (verdict.exit_code, verdict.anchored_to) == (0, 6)
    assert verify_export(exported(in_memory(("bot", closed()))), keys=KEYS, anchors=[receipt]).exit_code == 1
    demanded = verify_export(whole(), keys=KEYS, anchors=[receipt], need_anchor=True)
    assert (demanded.exit_code, str(demanded.findings[0])) == (
        3,
        "Records 7 to 8 are in no head that was kept elsewhere.",
    )
    with pytest.raises(CannotCheck, match="at least 12"):
        verify_export(whole(), anchors=["7c1e"])


@pytest.mark.parametrize(
    ("who", "event"),
    [(HAND, note()), (BOT, intent()), (BOT, outcome()), (CLI, hand_taken())],
    ids=lambda x: str(x)[:12],
)
def test_a_true_key_of_the_other_kind_is_refused(who: object, event: Event) -> None:
    """Writing what belongs to another kind of writer does not help, however well it is signed."""
    first = in_memory().read(A)[0]
    forged = write_record(
        event,
        incident=A,
        seq=2,
        prev=first.h,
        not_before=first.at,
        now=NOON,
        mono_ms=1,
        boot="0a1b2c3d",
        by=who.name,  # type: ignore[attr-defined]
        sign=who.sign,  # type: ignore[attr-defined]
    )
    verdict = verify_lines(A, [first.line, forged.line], keys=KEYS)
    assert verdict.exit_code == 1
    assert f"may not write {event.kind}" in verdict.findings[0].sentence  # type: ignore[attr-defined]
    check = standalone_verify.Check(PINNED, standalone_verify.signed_fast)
    check.file(first.line + forged.line)
    assert any(f"Record 2: a {who.kind} may not write" in text for _, text in check.found)  # type: ignore[attr-defined]


def test_the_stand_alone_verifier_knows_who_may_write_what() -> None:
    """It keeps tables of its own; this is where they would fall behind."""
    kinds = event_classes()
    assert {k for k, c in kinds.items() if {"worker"} == c.WRITERS} == standalone_verify.HANDS
    assert {k for k, c in kinds.items() if {"bot", "cli"} == c.WRITERS} == standalone_verify.PEOPLE
    assert {k for k, c in kinds.items() if {"bot"} == c.WRITERS} == standalone_verify.BOT


def test_an_open_intent_or_a_missing_end_is_an_incomplete_run() -> None:
    for events, says in (
        ((("hand", intent()), ("bot", closed())), "Record 2: The intent for call 1 of step pool, attempt 1, has no"),
        ((("hand", intent()), ("hand", outcome())), "The incident is not closed"),
        ((("hand", outcome()), ("bot", closed())), "Record 2: An outcome without an intent"),
        ((("bot", closed()), ("bot", closed())), "Record 3: The incident is closed a second time"),
    ):
        lines = [record.line for record in in_memory(*events).read(A)]
        verdict = verify_lines(A, lines, keys=KEYS)
        assert verdict.exit_code == 2
        assert says in str(verdict.findings[0])


def test_a_broken_approval_rule_weighs_more_than_an_incomplete_run() -> None:
    judge: Callable[..., list[tuple[int, str]]] = lambda records: [(2, "Nobody had approved.")]  # noqa: E731
    lines = [record.line for record in in_memory(("hand", intent())).read(A)]
    verdict = verify_lines(A, lines, keys=KEYS, approvals=judge)
    assert verdict.exit_code == 4
    assert "Record 2: Nobody had approved." in map(str, verdict.findings)
    assert verdict.summary.startswith("Authentic, but not in order.")
    _, said, code = both(exported(in_memory(("hand", intent()), ("hand", outcome()), ("bot", closed()))))
    assert (code, said) == (4, ["Record 2: a call was sent, and no run had begun under an approval."])


def test_by_the_formulas_of_the_standard_alone(tmp_path: Path) -> None:
    """On a machine with nothing but Python, as a process, in a directory without the project."""
    keys_dir = tmp_path / "keys"
    for name, kind in (("bot", "bot"), ("act1", "worker")):
        init_key(name, kind, state_dir=tmp_path, keys_dir=keys_dir)  # type: ignore[arg-type]
    keys = load_keys(keys_dir)
    bot = load_writer("bot", state_dir=tmp_path, keys=keys)
    journal = SignedJournal(MemoryStore(), keys=keys, writer=bot, copies=None)
    journal.append(journal.open(A, PAIR, [declared()]), [closed()])
    content = export_jsonl(journal, A, writer=bot, keys=keys)
    script, record = tmp_path / "verify.py", tmp_path / "record.jsonl"
    shutil.copy(STANDALONE, script)

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        # -I and -S: no environment, no site-packages, so no `cryptography` either.
        command = [sys.executable, "-I", "-S", str(script), str(record), *more]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    record.write_bytes(content)
    assert run("--keys", str(keys_dir)).stdout == "2 records: authentic\n"
    assert run().stdout == "2 records: consistent, signers not pinned\n"
    assert verify_file(record, keys=keys).exit_code == 0
    signature = content.index(b'"s":"') + 20
    record.write_bytes(
        content[:signature] + (b"A" if content[signature : signature + 1] != b"A" else b"B") + content[signature + 1 :]
    )
    done = run("--keys", str(keys_dir))
    assert done.returncode == 1
    assert "Record 1: its signature is not bot's." in done.stdout
    assert run("--nonsense").returncode == 5
    with pytest.raises(CannotCheck, match="cannot be read"):
        verify_file(tmp_path / "nothing.jsonl")


def test_the_trailer_carries_the_policy_that_was_in_force() -> None:
    bot = in_memory()
    for text in ("quorum = 2", "quorum = 3"):
        bot.append(bot.head(REGISTER), [TextStated(what="policy", digest="c" * 64, text=text)])
    bot.append(bot.head(A), [closed()])
    assert verify_export(exported(bot), keys=KEYS).texts == {"policy": "quorum = 3"}


def test_the_trailer_says_where_the_register_stood_and_who_exported() -> None:
    trailer, _, _ = read_trailer(lines_of(whole())[-1])
    assert (trailer.count, trailer.state, trailer.by) == (8, "closed", "cli")
    assert [signer.name for signer in trailer.signers] == ["act1", "bot", "cli"]
    assert trailer.register_head is not None
    assert trailer.register_head.seq == 3


def test_a_long_record_is_checked_in_a_breath() -> None:
    """At least 5,000 signed records a second on two quiet cores; here only that it is of that order."""
    journal = SignedJournal(MemoryStore(), keys=KEYS, writer=BOT, copies=None)
    journal.append(journal.open(A, PAIR, [declared()]), [*(note(f"line {n}") for n in range(1000)), closed()])
    content = exported(journal)
    began = time.perf_counter()
    assert verify_export(content, keys=KEYS).exit_code == 0
    assert time.perf_counter() - began < 2.0
