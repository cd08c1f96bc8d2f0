"""A journal that cannot be believed any more: the one post that says so, in plain words."""

from __future__ import annotations

from typing import Final

from bot.draw import untrusted
from bot.draw.post import Bold, Code, Post, lines, post
from bot.draw.reader import Reader
from incident.journal import BadJournal, JournalDiffers, JournalError, JournalShorter, NoSuchIncident
from incident.record import is_name
from incident.register import StandingHalt

RUNBOOK: Final = "Are users still down? Then go on by hand, by the printed runbook."
NOTICE: Final = "HALT: the journal cannot be believed. Nothing runs. This board shows what stood before."


def post_of(incident: str, bad: JournalError, reader: Reader) -> Post:
    """What is wrong, what is certain, what does not happen, what to do."""
    incident = incident if is_name(incident) else "(no name of ours)"
    title = f"\N{OCTAGONAL SIGN} HALT · {incident}"
    first = (
        Bold("Nothing more will run and nothing is decided for this incident: its record cannot be believed."),
        "A call already sent may still be working on its server: look there.",
    )
    said = (
        f"Seen: {_wrong(bad)}",
        f"Certain: {_certain(bad, reader.host)}",
        f"Do: keep the store and the state directory of {reader.host} as they are. Restart, empty and repair nothing. "
        "Compare both:",
    )
    command = f"lync-dr audit verify {incident}"
    return post(
        "halt",
        " ".join((f"{title}.", *first, *said, command)),
        [lines(Bold(title), *first, *said, Code(command), RUNBOOK)],
    )


def _wrong(bad: JournalError) -> str:
    if isinstance(bad, JournalShorter):
        return (
            f"The store ends at record {bad.store_seq}; this host has acknowledged records up to {bad.copy_seq}. The "
            "store lost its end, or somebody cut it."
        )
    if isinstance(bad, JournalDiffers):
        return (
            f"Record {bad.seq} in the store is not the one this host saw and copied. Somebody rewrote the journal, or "
            "this is another store."
        )
    if isinstance(bad, BadJournal):
        return f"Record {bad.seq} cannot be believed. {bad.why}"
    if isinstance(bad, NoSuchIncident):
        return "The store lists it, and nothing of it stands there. Somebody wrote to the store behind our back."
    return str(bad)


def _certain(bad: JournalError, host: str) -> str:
    if isinstance(bad, JournalShorter):
        return f"the missing records {bad.store_seq + 1} to {bad.copy_seq} stand in the copy of {host}."
    if isinstance(bad, JournalDiffers):
        return f"the copy of {host} holds what this host saw, record {bad.seq} included."
    if isinstance(bad, BadJournal) and bad.seq > 1:
        return f"records 1 to {bad.seq - 1} were checked and hold."
    return "nothing that this record says."


def worker_post(seen: StandingHalt, reader: Reader) -> Post:
    """A worker that cannot believe, or cannot keep, the journal, where this bot can: who, what, and what follows."""
    incident = seen.incident if is_name(seen.incident) else "(no name of ours)"
    title = f"\N{OCTAGONAL SIGN} HALT · {incident}" if seen.for_all else f"⚠️ A worker stands still · {incident}"
    said = [f"{untrusted.line(seen.by, 60)} on {untrusted.line(seen.host, 60)} saw at {reader.clock(seen.at)}: "
            f"{untrusted.line(seen.text, 500)}"]  # fmt: skip
    if seen.for_all:
        said += [
            "No worker sends anything more for this incident. A call already sent may still be working on its server.",
            f"Do: keep the store and the state directory of {untrusted.line(seen.host, 60)} as they are, and compare:",
        ]
    else:
        said += [
            "It does nothing on this incident; other workers go on.",
            "Do: mend that host. This says when it is well:",
        ]
    command = f"lync-dr audit verify {incident}"
    last = (RUNBOOK,) if seen.for_all else ()
    return post("halt", " ".join((f"{title}.", *said, command)), [lines(Bold(title), *said, Code(command), *last)])


def worker_notice(seen: StandingHalt) -> str:
    """One line on the board, while it lasts."""
    who = f"{untrusted.line(seen.by, 60)} on {untrusted.line(seen.host, 60)}"
    if seen.for_all:
        return f"HALT: {who} saw records lost or changed. No worker sends anything more."
    return f"{who} cannot use the journal and stands still."
