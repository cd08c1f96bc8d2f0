"""The record as a file that needs nobody: the lines as they stand, and the signed trailer."""

from __future__ import annotations

from typing import Final

from incident.events import Actor, Exported, TextStated
from incident.journal import REGISTER, Journal, Moved, NotStored
from incident.keys import Keys, Writer
from incident.trailer import Text, write_trailer

_TRIES: Final = 20


def export_jsonl(journal: Journal, incident: str, *, writer: Writer, keys: Keys, actor: Actor | None = None) -> bytes:
    """The verified record of an incident (or of the register) as JSON lines with their trailer.

    That it was exported, by whom and up to which head is written into the register first, so that the trailer's
    register head covers it. Raises what `Journal.read` and `Journal.append` raise.
    """
    records = journal.read(incident)
    if not records:
        raise NotStored(f"There is nothing in the journal of {incident} yet, so nothing was exported.")
    if incident != REGISTER:
        _note_export(journal, incident, records[-1].h, actor)
    head = journal.head(incident)
    records = [record for record in journal.read(incident) if record.seq <= head.seq]
    signers = Keys(keys[name] for name in {record.by for record in records})
    trailer = write_trailer(
        head,
        closed=any(record.kind == "closed" for record in records),
        register=None if incident == REGISTER else journal.head(REGISTER),
        signers=signers,
        texts=_in_force(journal, records[-1].at),
        writer=writer,
        now=writer.now(),
    )
    return b"".join([record.line for record in records]) + trailer


def _in_force(journal: Journal, at: str) -> list[Text]:
    """The last text of each kind that was stated by then; where none was, the first stated after."""
    stated: dict[str, TextStated] = {}
    for record in journal.read(REGISTER):
        event = record.event
        if isinstance(event, TextStated) and (record.at <= at or event.what not in stated):
            stated[event.what] = event
    return [Text(what=event.what, digest=event.digest, text=event.text) for _, event in sorted(stated.items())]


def _note_export(journal: Journal, incident: str, head: str, actor: Actor | None) -> None:
    for _ in range(_TRIES):
        try:
            journal.append(journal.head(REGISTER), [Exported(incident=incident, head=head, actor=actor)])
            return
        except Moved:
            continue
    raise NotStored(f"The register was being written by others all the time; {incident} was not exported. Try again.")
