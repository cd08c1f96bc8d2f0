"""Whether one line may be believed in its place: form, chain, time, writer, signature, content."""

from __future__ import annotations

from pydantic import ValidationError

from incident.events import event_classes
from incident.keys import Keys
from incident.record import GENESIS, BadLine, Record, read_line

WRITERS = {kind: cls.WRITERS for kind, cls in event_classes().items()}
"""Kind of event -> kinds of writer that may write it."""


class NotBelieved(ValueError):
    """Why a line in its place is not believed: one or two whole sentences, without the place."""


def believe(line: bytes, incident: str, previous: Record | None, keys: Keys) -> Record:
    """The record that follows `previous` (None: the first) in the journal of `incident`. Raises `NotBelieved`."""
    try:
        record = read_line(line)
    except BadLine as bad:
        raise NotBelieved(str(bad)) from None
    in_place(record, incident, previous)
    written(record, keys)
    return record


def in_place(record: Record, incident: str, previous: Record | None) -> None:
    """Checks name, number, chain and time against the record before. Raises `NotBelieved`."""
    if record.incident != incident:
        raise NotBelieved(f"It belongs to {record.incident}: it was put here from another journal.")
    due = 1 if previous is None else previous.seq + 1
    if record.seq != due:
        raise NotBelieved(
            f"It bears number {record.seq} where number {due} is due: "
            + ("a record was taken out." if record.seq > due else "a record was put in, repeated or moved.")
        )
    if record.prev != (GENESIS if previous is None else previous.h):
        raise NotBelieved("It does not follow the record before it: one of the two was replaced.")
    if previous is not None and record.at < previous.at:
        raise NotBelieved(f"Its time {record.at} is before the time of the record before it, {previous.at}.")
    if any(cause >= record.seq for cause in record.cause):
        raise NotBelieved("It names a record as its cause that comes after it.")


def written(record: Record, keys: Keys) -> None:
    """Checks that a known writer of the right kind signed it, and that it is an event. Raises `NotBelieved`."""
    signed(record, keys)
    may_be_written(record, keys[record.by].kind)


def signed(record: Record, keys: Keys) -> None:
    """Checks writer and signature alone. Raises `NotBelieved`."""
    if record.by not in keys:
        raise NotBelieved(f"Its writer {record.by} is unknown here: there is no public key of that name.")
    if record.s is not None and not keys[record.by].signed(bytes.fromhex(record.h), record.s):
        raise NotBelieved(f"Its signature is not {record.by}'s: it was signed with another key, or not by them.")


def may_be_written(record: Record, kind: str) -> None:
    """Checks content and code, and that this kind of writer may write such an event. Raises `NotBelieved`."""
    if record.kind not in WRITERS:
        raise NotBelieved(f"It is of kind {record.kind}, which this program does not know.")
    if kind not in WRITERS[record.kind]:
        raise NotBelieved(f"Its writer {record.by} is a {kind}, and a {kind} may not write {record.kind}.")
    try:
        code = record.event.code
    except ValidationError as bad:
        first = bad.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotBelieved(f"It is no {record.kind} as this program knows it: {where}: {first['msg']}.") from None
    if record.code != code:
        raise NotBelieved(f"It bears the code {record.code}, and such a {record.kind} has the code {code}.")
