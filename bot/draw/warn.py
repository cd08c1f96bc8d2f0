"""What the bot says of itself and its people: a warning at home, somebody locked out, and the plain sentence that
stands where a drawing failed."""

from __future__ import annotations

from collections.abc import Sequence

from bot.draw import story
from bot.draw.post import Bold, Code, Post, lines, post
from bot.draw.reader import Reader
from incident.state import Incident


def warning(about: str, said: Sequence[str], *, over: bool = False) -> Post:
    """A warning that belongs to no incident: what it is about, then sentences. `over`: it is the end of one."""
    mark = "✅" if over else "⚠️"
    return post("people", f"{about}: {' '.join(said)}", [lines(Bold(f"{mark} {about}"), *said)])


def locked_out(state: Incident, person: str, reader: Reader) -> Post:
    """Somebody typed too many wrong codes: who it is, what it may mean, and who can approve instead."""
    name = reader.name(person)
    asker = state.declared.actor.person if state.declared.actor else ""
    others = [p.id for p in reader.approvers(asker or "") if p.id != person]
    said = f"{name} typed too many wrong one-time codes and may decide nothing more in this incident."
    doubt = f"Do: call {name} and ask. If it was not them, somebody else uses their account: have it closed."
    instead = f"Others who may approve: {reader.names(others)}."
    return post(
        "locked",
        f"LOCKED OUT: {said} {story.way(state)}. {doubt} {instead}",
        [lines(Bold(f"🔒 {said}"), story.way(state), doubt, instead)],
    )


def undrawn(incident: str, key: str) -> Post:
    """What stands in place of a post whose drawing failed."""
    said = f"There is news of {incident} that could not be drawn ({key}): a fault of this program, which its log names."
    known = "What is recorded and what runs is not touched by this."
    read, whole = "lync-dr status", f"lync-dr audit show {incident}"
    return post(
        "undrawn", f"{said} {known} Read it on a host: {read}, or {whole}",
        [lines(Bold(f"⚠️ {said}"), known, "Read it on a host:", Code(read), Code(whole))],
    )  # fmt: skip
