"""A line has one spelling, and a refusal says which other one it met."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from incident.events import Output, event_classes
from incident.record import (
    GENESIS,
    UNSIGNED_KINDS,
    BadLine,
    NotCanonical,
    canonical,
    format_time,
    parse_time,
    read_line,
    write_record,
)
from tests.incident.desk import BOT, NOON, declared, note


def line_of(event: Any = None) -> bytes:
    return write_record(
        event or note(),
        incident="20261122-fe1-a",
        seq=7,
        prev=GENESIS,
        not_before="",
        now=NOON,
        mono_ms=12,
        boot="0a1b2c3d",
        by="bot",
        sign=BOT.sign,
    ).line


def rehashed(old: bytes, new: bytes, line: bytes | None = None) -> bytes:
    """The line with something replaced inside the record and a hash that fits again."""
    line = line or line_of()
    assert old in line
    line = line.replace(old, new, 1)
    inner = line[76 : line.rindex(b',"s":')]
    return b'{"h":"' + hashlib.sha256(inner).hexdigest().encode() + b'","r":' + inner + line[line.rindex(b',"s":') :]


def with_inside(inner: bytes) -> bytes:
    """A line around these bytes, with a hash that fits."""
    line = line_of()
    return b'{"h":"' + hashlib.sha256(inner).hexdigest().encode() + b'","r":' + inner + line[line.rindex(b',"s":') :]


def with_field(name: str, value: Any) -> bytes:
    """The line with another value in one field, well spelled."""
    r = json.loads(line_of())["r"]
    return with_inside(rfc8785.dumps({**r, name: value}))


def test_a_record_says_what_was_written() -> None:
    record = read_line(line_of(declared()))
    assert record.line == line_of(declared())
    assert (record.seq, record.code, record.kind, record.by) == (7, "INC001I", "declared", "bot")
    assert record.event == declared()
    assert record.when == NOON.replace(microsecond=345000)
    assert record.h == hashlib.sha256(record.line[76 : record.line.rindex(b',"s":')]).hexdigest()


def test_only_output_goes_unsigned() -> None:
    assert {kind for kind, cls in event_classes().items() if not cls.SIGNED} == UNSIGNED_KINDS
    line = line_of(Output(step="pool", attempt=1, lines=()))
    assert line.endswith(b',"s":null}\n')
    assert read_line(line).s is None
    signed = line_of()
    with pytest.raises(BadLine, match=r"not signed, and a record of kind noted must be"):
        read_line(signed[: signed.rindex(b',"s":')] + b',"s":null}\n')


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (line_of().replace(b"\n", b"\r\n"), "CR LF"),
        (line_of()[:-1], "cut off"),
        (line_of() + line_of(), "more than one line"),
        (b" " + line_of(), "does not begin"),
        (line_of()[:6] + line_of()[6:70].upper() + line_of()[70:], "64 lower-case hexadecimal"),
        (line_of().replace(b"carrier", b"Carrier"), "does not match its hash"),
        (rehashed(b'"seq":7', b'"seq": 7'), "spelled otherwise"),
        (rehashed(b'"seq":7', b'"seq":7.0'), "number 7.0"),
        (rehashed(b'"seq":7', b'"seq":NaN'), "number NaN"),
        (rehashed(b'"seq":7', b'"seq":true'), "field seq"),
        (rehashed(b'"seq":7', b'"seq":0'), "field seq"),
        (rehashed(b'"seq":7', b'"seq":7,"seq":7'), "'seq' stands twice"),
        (rehashed(b'"seq":7', b'"seq":7,"sez":7'), "look at: sez"),
        (rehashed(b'"v":1}', b'"v":2}'), "version 2"),
        (rehashed(b"carrier", b"\\u0063arrier"), "spelled otherwise"),
        (rehashed(b"carrier", b"\xffarrier"), "not UTF-8"),
        (rehashed(b'"cause":[1]', b'"cause":[0]'), "field cause"),
        (rehashed(b"T03:07:12.345Z", b"T03:07:12.345+"), "field at"),
        (rehashed(b'"kind":"noted"', b'"kund":"noted"'), "event with a kind"),
        (line_of().replace(b'{"h":', b'{"H":'), "does not begin"),
        (line_of().replace(b'","r":', b'","R":'), "does not begin"),
        (line_of().replace(b',"s":"', b',"S":"'), "signature is not where"),
        (line_of()[:-3] + b'"]\n', "signature is not where"),
        (line_of().replace(b"==", b"AA"), "one Base64 spelling of 64 bytes"),
        (rehashed(b'"v":1}', b'"v":true}'), "version True"),
        (rehashed(b'"by":"bot"', b'"by":7'), "field by"),
        (rehashed(b'"by":"bot"', b'"by":"a bot"'), "field by"),
        (rehashed(b'"seq":7', b'"seq":9007199254740992'), "field seq"),
        (rehashed(b'"prev":"0', b'"prev":"X'), "field prev"),
        (rehashed(b'"prev":"' + b"0" * 64 + b'"', b'"prev":null'), "field prev"),
        (rehashed(b'"cause":[1]', b'"cause":["1"]'), "field cause"),
        (rehashed(b'"cause":[1]', b'"cause":{}'), "field cause"),
        (with_inside(b"[]"), "not a JSON object"),
        (with_field("actor", "rita"), "field actor"),
        (with_field("body", []), "event with a kind"),
    ],
)
def test_another_spelling_is_refused_by_name(line: bytes, says: str) -> None:
    with pytest.raises(BadLine, match=says):
        read_line(line)


def test_lenient_base64_is_refused() -> None:
    """The last character before the padding carries bits that decoding drops: sixteen spellings of one signature."""
    line = line_of()
    assert line[-6:-3] != b"==="
    last = line[-6:-5]
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(last) ^ 1 :][:1]
    with pytest.raises(BadLine, match="one Base64 spelling"):
        read_line(line[:-6] + other + line[-5:])
    with pytest.raises(BadLine, match="not standard Base64"):
        read_line(line[:-20] + b"-" + line[-19:])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_any_text_is_written_and_read_in_the_same_spelling(call: dict[str, Any]) -> None:
    """The fast encoder agrees with RFC 8785 on every text there is, astral keys included."""
    from tests.incident.desk import intent

    event = intent().model_copy(update={"call": call})
    assert read_line(line_of(event)).event == event
    assert canonical(call) == rfc8785.dumps(call)


@pytest.mark.parametrize("value", [1.0, {"a": 1.5}, [float("nan")], {"a": ({"b": 1e9},)}, {"a": 2**53}, "\ud800"])
def test_what_two_programs_would_print_differently_is_not_written(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical(value)


def test_a_records_time_is_the_later_of_now_and_the_record_before() -> None:
    def at(not_before: str) -> str:
        return write_record(
            note(), incident="20261122-fe1-a", seq=7, prev=GENESIS, not_before=not_before, now=NOON, mono_ms=12,
            boot="0a1b2c3d", by="bot", sign=BOT.sign,
        ).at  # fmt: skip

    assert at("2026-11-22T02:00:00.000Z") == "2026-11-22T03:07:12.345Z"
    assert at("2026-11-22T04:00:00.000Z") == "2026-11-22T04:00:00.000Z"


def test_times_are_utc_and_never_ahead() -> None:
    moment = datetime(2026, 11, 22, 4, 7, 12, 999999, timezone(timedelta(hours=1)))
    assert format_time(moment) == "2026-11-22T03:07:12.999Z"
    assert parse_time("2026-11-22T03:07:12.999Z") == datetime(2026, 11, 22, 3, 7, 12, 999000, UTC)
    with pytest.raises(ValueError, match="without a zone"):
        format_time(datetime(2026, 11, 22))
    with pytest.raises(ValueError, match="not a time"):
        parse_time("2026-11-22 03:07:12.999Z")
