"""Whether a record is whole: from a file alone, or from the lines of a store.

Every verdict stands for itself and is never mixed into one yes: the chain, the signatures, completeness, approval.
Each finding is a sentence that names the record. Exit codes: 0 all good · 1 integrity broken · 2 incomplete run ·
3 no anchor where one was demanded · 4 approval rule broken · 5 cannot be checked (usage).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from incident.believe import NotBelieved, in_place, may_be_written, signed
from incident.events import Closed, IncidentClosed, IncidentOpened, Intent, Outcome
from incident.journal import REGISTER
from incident.keys import Keys
from incident.record import GENESIS, BadLine, Record, read_line
from incident.trailer import TRAILER_MARK, Trailer, read_trailer

Area = Literal["chain", "signatures", "completeness", "anchor", "approval"]
_EXIT: Final[dict[Area, int]] = {"chain": 1, "signatures": 1, "approval": 4, "completeness": 2, "anchor": 3}
_GRAVEST_FIRST: Final = (1, 4, 2, 3)
_FINDINGS_SHOWN: Final = 50
_PORTION: Final = 200
_TRAILER_MARK_AT: Final = slice(70, 270)
"""Behind the hash and the signature, before anything a record could hold."""

CheckApprovals = Callable[[Sequence[Record]], Sequence[tuple[int, str]]]
"""Folds verified records and judges every approval again; gives (record number, sentence) for each breach."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `seq` is the record's number; None for the whole or the trailer."""

    area: Area
    seq: int | None
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass
class Verdict:
    """What was found about one record."""

    incident: str = ""
    count: int = 0
    head: str = GENESIS
    state: Literal["open", "closed"] = "open"
    signers: tuple[str, ...] = ()
    pinned: bool = False
    """True when the public keys came from elsewhere than from the file itself."""
    anchored_to: int | None = None
    """The last record whose hash somebody holds elsewhere; None when no anchor was given."""
    findings: list[Finding] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """Policy and estate in force, as the trailer has them; empty without a trailer."""

    @property
    def exit_code(self) -> int:
        """The gravest finding's code, 0 without findings."""
        codes = {_EXIT[finding.area] for finding in self.findings}
        return next((code for code in _GRAVEST_FIRST if code in codes), 0)

    @property
    def summary(self) -> str:
        """One line: what can be said of this record, and no more."""
        what = f"{self.incident or 'the record'}: {self.count} records, {len(self.signers)} signers, {self.state}"
        if self.exit_code == 1:
            return f"NOT WHOLE. {what}."
        known = "authentic" if self.pinned else "consistent, signers not pinned"
        if self.exit_code:
            return f"{known}, BUT NOT IN ORDER. {what}.".capitalize()
        anchor = "" if self.anchored_to is None else f", anchored to record {self.anchored_to}"
        return f"{known.capitalize()}. {what}{anchor}, head {self.head[:12]}."

    def add(self, area: Area, seq: int | None, sentence: str) -> None:
        """Notes a finding; what is beyond fifty says nothing new."""
        if len(self.findings) < _FINDINGS_SHOWN:
            self.findings.append(Finding(area, seq, sentence))


class CannotCheck(Exception):
    """The file cannot be read at all (exit code 5)."""


def verify_file(
    path: Path,
    *,
    keys: Keys | None = None,
    anchors: Sequence[str] = (),
    need_anchor: bool = False,
    approvals: CheckApprovals | None = None,
) -> Verdict:
    """Checks an export. Raises `CannotCheck` where there is nothing to check."""
    try:
        content = path.read_bytes()
    except OSError as bad:
        raise CannotCheck(f"{path} cannot be read ({bad.strerror}).") from None
    if content and not any(line.startswith(b"{") for line in _split(content)):
        raise CannotCheck(
            f"{path} is no record: not one of its lines begins as a record does. Give the .jsonl file that "
            "lync-dr audit export wrote."
        )
    return verify_export(content, keys=keys, anchors=anchors, need_anchor=need_anchor, approvals=approvals)


def verify_export(
    content: bytes,
    *,
    keys: Keys | None = None,
    anchors: Sequence[str] = (),
    need_anchor: bool = False,
    approvals: CheckApprovals | None = None,
) -> Verdict:
    """Checks the bytes of an export: records, then the trailer. See `verify_lines` for the parameters."""
    verdict = Verdict(pinned=keys is not None)
    lines = _split(content)
    trailer = _take_trailer(lines, verdict, keys)
    known = keys if keys is not None or trailer is None else trailer.keys()
    _verify(verdict, lines, trailer.incident if trailer else None, known, anchors, need_anchor, approvals)
    if trailer is not None:
        _compare(verdict, trailer)
    return verdict


def verify_lines(
    incident: str,
    lines: Sequence[bytes],
    *,
    keys: Keys,
    anchors: Sequence[str] = (),
    need_anchor: bool = False,
    approvals: CheckApprovals | None = None,
) -> Verdict:
    """Checks the lines as a store gives them, without a trailer.

    `anchors` are head hashes (or at least 12 leading digits) that somebody holds elsewhere: in a channel, a receipt,
    a mailbox; with `need_anchor` the record must be anchored to its end. `approvals` judges who approved what (see
    `incident.verify_approval`); it is only asked where chain and signatures hold.
    """
    verdict = Verdict(pinned=True)
    _verify(verdict, list(lines), incident, keys, anchors, need_anchor, approvals)
    return verdict


def _verify(
    verdict: Verdict,
    lines: Sequence[bytes],
    incident: str | None,
    keys: Keys | None,
    anchors: Sequence[str],
    need_anchor: bool,
    approvals: CheckApprovals | None,
) -> None:
    _chain(verdict, lines, incident)
    if keys is not None:  # else there is no trailer, which is said already
        _signatures(verdict, keys)
    records = verdict.records
    verdict.incident = incident or (records[0].incident if records else "")
    verdict.count = len(lines)
    verdict.head = records[-1].h if records else GENESIS
    verdict.signers = tuple(sorted({record.by for record in records}))
    verdict.state = "closed" if any(record.kind == "closed" for record in records) else "open"
    _anchors(verdict, anchors)
    if need_anchor and verdict.anchored_to != verdict.count:
        verdict.add(
            "anchor",
            None,
            f"Records {(verdict.anchored_to or 0) + 1} to {verdict.count} are in no head that was kept elsewhere.",
        )
    if verdict.exit_code == 1:
        return
    if verdict.incident == REGISTER:
        _register(verdict)
        return
    _complete(verdict)
    for seq, sentence in approvals(records) if approvals is not None else ():
        verdict.add("approval", seq, f"Record {seq}: {sentence}")


def _chain(verdict: Verdict, lines: Sequence[bytes], incident: str | None) -> None:
    """Form and place of every line; after a bad one the next is judged by what it says of itself."""
    if not lines:
        verdict.add("chain", None, "There is no record at all.")
    previous: Record | None = None
    torn = False
    for number, line in enumerate(lines, 1):
        try:
            record = read_line(line)
        except BadLine as bad:
            verdict.add("chain", number, f"Record {number}: {bad}")
            torn = True
            continue
        try:
            if torn:
                # The record before is unreadable, so only what this one says of itself can be compared.
                torn = False
                if record.seq != number:
                    raise NotBelieved(f"It bears number {record.seq} in place {number}.")
            else:
                in_place(record, incident or record.incident, previous)
        except NotBelieved as bad:
            verdict.add("chain", number, f"Record {number}: {bad}")
        incident = incident or record.incident
        previous = record
        verdict.records.append(record)


def _signatures(verdict: Verdict, keys: Keys) -> None:
    """Who wrote each record, on all processors: checking a signature is most of the work and can run side by side."""

    def wrong(records: Sequence[Record]) -> list[tuple[int, str]]:
        found = []
        for record in records:
            try:
                signed(record, keys)
            except NotBelieved as bad:
                found.append((record.seq, str(bad)))
        return found

    portions = [verdict.records[at : at + _PORTION] for at in range(0, len(verdict.records), _PORTION)]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        checking = pool.map(wrong, portions)
        for record in verdict.records:
            try:
                if record.by in keys:
                    may_be_written(record, keys[record.by].kind)
            except NotBelieved as bad:
                verdict.add("signatures", record.seq, f"Record {record.seq}: {bad}")
        for seq, why in (finding for found in checking for finding in found):
            verdict.add("signatures", seq, f"Record {seq}: {why}")


def _take_trailer(lines: list[bytes], verdict: Verdict, keys: Keys | None) -> Trailer | None:
    """Takes the trailer off the end and checks who signed it."""
    if not lines or TRAILER_MARK not in lines[-1][_TRAILER_MARK_AT]:
        verdict.add("chain", None, "There is no trailer at the end: the file is not whole, or its tail was cut off.")
        if lines and not lines[-1].endswith(b"\n"):
            verdict.add("chain", len(lines), f"Record {len(lines)}: It is cut off in the middle.")
            lines.pop()
        return None
    line = lines.pop()
    try:
        trailer, h, signature = read_trailer(line)
        signers = trailer.keys()
    except BadLine as bad:
        verdict.add("chain", None, f"The trailer: {bad}")
        return None
    known = keys if keys is not None else signers
    if trailer.by not in known:
        verdict.add("signatures", None, f"The trailer: Its writer {trailer.by} is unknown here.")
    elif not known[trailer.by].signed(h, signature):
        verdict.add("signatures", None, f"The trailer: Its signature is not {trailer.by}'s.")
    if keys is not None:
        for name in signers:
            pinned = keys.get(name)
            if pinned is not None and pinned.key.public_bytes_raw() != signers[name].key.public_bytes_raw():
                verdict.add("signatures", None, f"The trailer: The key it names for {name} is not the one known here.")
    return trailer


def _compare(verdict: Verdict, trailer: Trailer) -> None:
    """What the trailer promises against what is there."""
    if trailer.count != verdict.count:
        verdict.add(
            "chain", verdict.count, f"The trailer promises {trailer.count} records, and {verdict.count} are here."
        )
    elif trailer.head != verdict.head:
        verdict.add("chain", verdict.count, f"Record {verdict.count}: It is not the last one the trailer promises.")
    verdict.texts = {text.what: text.text for text in trailer.texts}
    if trailer.state != verdict.state:
        verdict.add("chain", None, f"The trailer calls the incident {trailer.state}, and by its records it is not.")


def _complete(verdict: Verdict) -> None:
    """An intent without an outcome may have run; a run without an end is not over."""
    due: dict[tuple[str, int, int], int] = {}
    over: set[tuple[str, int, int]] = set()
    ends: list[int] = []
    for record in verdict.records:
        event = record.event
        if isinstance(event, Closed):
            ends.append(record.seq)
        if not isinstance(event, Intent | Outcome):
            continue
        key = (event.step, event.attempt, event.call_no)
        what = f"call {event.call_no} of step {event.step}, attempt {event.attempt}"
        if isinstance(event, Intent):
            if key in due or key in over:
                verdict.add("completeness", record.seq, f"Record {record.seq}: A second intent for {what}.")
            due[key] = record.seq
        elif key in over:
            verdict.add("completeness", record.seq, f"Record {record.seq}: A second outcome for {what}.")
        elif due.pop(key, None) is None:
            verdict.add("completeness", record.seq, f"Record {record.seq}: An outcome without an intent for {what}.")
        else:
            over.add(key)
    for (step, attempt, call_no), seq in due.items():
        verdict.add(
            "completeness",
            seq,
            f"Record {seq}: The intent for call {call_no} of step {step}, attempt {attempt}, has no outcome. "
            f"It may have run.",
        )
    if not ends:
        verdict.add("completeness", None, "The incident is not closed: there is no closing record.")
    for seq in ends[1:]:
        verdict.add("completeness", seq, f"Record {seq}: The incident is closed a second time.")


def _register(verdict: Verdict) -> None:
    """Numbers without a gap, and every end after its beginning."""
    opened: dict[str, int] = {}
    for record in verdict.records:
        event = record.event
        if isinstance(event, IncidentOpened):
            due = len(opened) + 1
            if event.number != due:
                verdict.add(
                    "completeness", record.seq, f"Record {record.seq}: Incident number {event.number}, due is {due}."
                )
            opened[event.incident] = event.number
        elif isinstance(event, IncidentClosed) and opened.get(event.incident) != event.number:
            verdict.add(
                "completeness", record.seq, f"Record {record.seq}: {event.incident} ends under a number it never had."
            )


def _anchors(verdict: Verdict, anchors: Sequence[str]) -> None:
    """Each head held elsewhere must be in the record."""
    for anchor in anchors:
        start = anchor.strip().lower().rstrip("….")
        if not re.fullmatch(r"[0-9a-f]{12,64}", start):
            raise CannotCheck(f"{anchor!r} is not the beginning of a head: give at least 12 hexadecimal digits.")
        found = [record.seq for record in verdict.records if record.h.startswith(start)]
        if found:
            verdict.anchored_to = max(found[0], verdict.anchored_to or 0)
        else:
            verdict.add(
                "chain", None, f"The head {start} that was kept elsewhere is not in this record: it was rewritten."
            )


def _split(content: bytes) -> list[bytes]:
    """Splits at LF only, so that a CR stays where it was put."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
