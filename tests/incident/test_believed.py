"""What makes a line believable in its place: each reason not to, alone, on a line that is true in all else."""

from __future__ import annotations

from typing import Any

import pytest

from incident.believe import NotBelieved, believe
from incident.events import Event
from incident.keys import Keys, Writer
from incident.record import GENESIS, Record, read_line, write_record
from tests.incident.desk import BOT, HAND, KEYS, NOON, declared, intent, note, output, writer

A = "20261122-fe1-a"
FIRST = write_record(
    declared(), incident=A, seq=1, prev=GENESIS, not_before="", now=NOON, mono_ms=1, boot="b", by="bot", sign=BOT.sign
)


def line(event: Event | None = None, by: Writer = BOT, key: Writer | None = None, **change: Any) -> bytes:
    """The second record of the incident, with this changed."""
    given: dict[str, Any] = {"incident": A, "seq": 2, "prev": FIRST.h, "not_before": FIRST.at, "now": NOON} | change
    made = write_record(event or note(), mono_ms=1, boot="b", by=by.name, sign=(key or by).sign, **given)
    return made.line


def recoded(code: str) -> bytes:
    """A note that bears another event's code, signed by the bot all the same."""

    class Other(type(note())):  # type: ignore[misc]
        CODE = code

    return line(Other(**note().model_dump()))


def test_a_true_line_is_believed() -> None:
    assert believe(line(), A, FIRST, KEYS).seq == 2
    assert believe(line(output(), HAND), A, FIRST, KEYS).s is None


@pytest.mark.parametrize(
    ("changed", "previous", "says"),
    [
        (line(incident="20261122-fe3-a"), FIRST, "put here from another journal"),
        (line(seq=3), FIRST, "a record was taken out"),
        (line(seq=1, prev=GENESIS), FIRST, "put in, repeated or moved"),
        (line(prev="7c" * 32), FIRST, "one of the two was replaced"),
        (line(seq=1), None, "one of the two was replaced"),
        (line(not_before="", now=NOON.replace(hour=1)), FIRST, "before the time of the record before it"),
        (line(note().model_copy(update={"cause": (2,)})), FIRST, "its cause that comes after it"),
        (line(by=writer("stranger")), FIRST, "Its writer stranger is unknown here"),
        (line(key=writer("bot")), FIRST, "Its signature is not bot's"),
        (line(intent()), FIRST, "a bot may not write intent"),
        (line(note(), HAND), FIRST, "a worker may not write noted"),
        (line(output(), BOT), FIRST, "a bot may not write output"),
        (recoded("APR001I"), FIRST, "It bears the code APR001I"),
        (line()[:-1], FIRST, "cut off"),
    ],
)
def test_one_thing_that_is_wrong_is_enough(changed: bytes, previous: Record | None, says: str) -> None:
    with pytest.raises(NotBelieved, match=says):
        believe(changed, A, previous, KEYS)


def test_a_kind_that_is_unknown_is_not_believed() -> None:
    class Strange(type(note())):  # type: ignore[misc]
        kind: str = "blessing"

    made = line(Strange(**{**note().model_dump(), "kind": "blessing"}))
    assert read_line(made).kind == "blessing"
    with pytest.raises(NotBelieved, match="of kind blessing, which this program does not know"):
        believe(made, A, FIRST, KEYS)


def test_without_keys_nobody_is_believed() -> None:
    with pytest.raises(NotBelieved, match="unknown here"):
        believe(line(), A, FIRST, Keys([HAND.public]))
