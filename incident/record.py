"""One record, one line: what is written, how it is hashed and signed, and how a line is read back.

A line is exactly the RFC 8785 (JSON Canonicalization Scheme) form of ``{"h":…,"r":{…},"s":…}`` plus one LF:

* ``r`` is the record: ``v``, ``incident``, ``seq``, ``prev``, ``at``, ``mono_ms``, ``boot``, ``by``, ``code``,
  ``cause``, ``actor``, ``body``;
* ``h`` is the SHA-256 of the RFC 8785 bytes of ``r``, in lower-case hexadecimal;
* ``s`` is the Ed25519 signature (RFC 8032) over the 32 bytes that ``h`` spells, in standard Base64 (RFC 4648) or
  ``null`` for a batch of output, which the next signed record seals.

Because a line has one spelling only, reading compares bytes before it believes anything: another order of keys,
a duplicate key, a space, CRLF, upper-case hexadecimal or lenient Base64 is refused, and the refusal says which.
There are no floats anywhere: two programs may print the same float differently.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import rfc8785

from incident.events import Event, body_of, parse_event

VERSION: Final = 1
GENESIS: Final = "0" * 64
"""What the first record of a journal names as its predecessor."""
UNSIGNED_KINDS: Final = frozenset({"output"})
"""Only batches of output may go unsigned; the next signed record seals them through the chain."""

_FIELDS: Final = frozenset(
    {"v", "incident", "seq", "prev", "at", "mono_ms", "boot", "by", "code", "cause", "actor", "body"}
)
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_AT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEAD: Final = b'{"h":"'
_MIDDLE: Final = b'","r":'
_R_STARTS: Final = len(_HEAD) + 64 + len(_MIDDLE)
_UNSIGNED_END: Final = b',"s":null}\n'
_SIGNED_END: Final = len(b',"s":""}\n') + 88
_SAFE_INTEGER: Final = 2**53 - 1


class BadLine(ValueError):
    """A line that is not a record as this format spells it. The text is a whole sentence without the place."""


class NotCanonical(ValueError):
    """A value that cannot be written: a float, a lone surrogate, an integer beyond 2^53-1, a key that is no text."""


Sign = Callable[[bytes], bytes]
"""Takes the 32 bytes of a hash, gives the 64 bytes of an Ed25519 signature."""


@dataclass(frozen=True)
class Record:
    """One verified line. ``line`` is the bytes as stored, LF included; everything else was read from it."""

    incident: str
    seq: int
    prev: str
    at: str
    mono_ms: int
    boot: str
    by: str
    code: str
    cause: tuple[int, ...]
    actor: Mapping[str, Any] | None
    body: Mapping[str, Any]
    h: str
    s: bytes | None
    line: bytes

    @property
    def kind(self) -> str:
        """The event's kind, as its writer spelled it."""
        return str(self.body["kind"])

    @cached_property
    def event(self) -> Event:
        """The event that was written. Raises pydantic.ValidationError if the body is none of this version."""
        return parse_event(dict(self.body), None if self.actor is None else dict(self.actor), self.cause)

    @property
    def when(self) -> datetime:
        """The record's time, in UTC with milliseconds."""
        return parse_time(self.at)


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value without floats. Raises `NotCanonical`."""
    _refuse_floats(value)
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as bad:
        raise NotCanonical(f"This cannot be written in canonical JSON: {bad}.") from bad


def digest(value: Any) -> str:
    """SHA-256 over the canonical bytes of `value`, in lower-case hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, cut, not rounded: a record never claims a time that has not come."""
    if moment.tzinfo is None:
        raise ValueError("A time without a zone cannot be recorded; give it in UTC.")
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def parse_time(text: str) -> datetime:
    """Reads what `format_time` wrote. Raises ValueError on any other spelling."""
    if not _AT.fullmatch(text):
        raise ValueError(f"{text!r} is not a time like 2026-11-22T03:07:12.345Z.")
    return datetime.fromisoformat(text)


def is_name(text: str) -> bool:
    """Whether a journal, a process or a code can be called this: short, plain ASCII, and part of no path."""
    return _NAME.fullmatch(text) is not None


def write_record(
    event: Event,
    *,
    incident: str,
    seq: int,
    prev: str,
    not_before: str,
    now: datetime,
    mono_ms: int,
    boot: str,
    by: str,
    sign: Sign,
) -> Record:
    """Makes the next line of a journal.

    `not_before` is the previous record's time (empty for the first): a record's time is the later of the two, so
    that a clock set back cannot put an answer before its question. Raises `NotCanonical`.
    """
    body = body_of(event)
    r = {
        "v": VERSION,
        "incident": incident,
        "seq": seq,
        "prev": prev,
        "at": max(format_time(now), not_before),
        "mono_ms": mono_ms,
        "boot": boot,
        "by": by,
        "code": event.code,
        "cause": list(event.cause),
        "actor": None if event.actor is None else event.actor.model_dump(mode="json"),
        "body": body,
    }
    inner = canonical(r)
    h = hashlib.sha256(inner).digest()
    signature = sign(h) if event.SIGNED else None
    return read_line(_line(h.hex(), inner, signature))


def read_line(line: bytes) -> Record:
    """Reads one line strictly. Raises `BadLine` naming what is wrong; checks the hash, never the signature."""
    inner, h, signature = _cut(line)
    if hashlib.sha256(inner).hexdigest() != h:
        raise BadLine("Its content does not match its hash: it was changed after it was written.")
    r = _parse(inner)
    if _canonical_text(r) != inner:
        raise BadLine(_why_not_canonical(inner))
    return _record(r, h, signature, line)


def _line(h: str, inner: bytes, signature: bytes | None) -> bytes:
    if signature is None:
        return _HEAD + h.encode() + _MIDDLE + inner + _UNSIGNED_END
    return _HEAD + h.encode() + _MIDDLE + inner + b',"s":"' + base64.b64encode(signature) + b'"}\n'


def _cut(line: bytes) -> tuple[bytes, str, bytes | None]:
    """The bytes of ``r``, the hash and the signature, by position: the frame has one spelling only."""
    if line.endswith(b"\r\n"):
        raise BadLine("It ends with CR LF; a record ends with LF alone.")
    if not line.endswith(b"\n"):
        raise BadLine("It does not end with a line feed: the end was cut off or something was put behind it.")
    if b"\n" in line[:-1]:
        raise BadLine("It holds more than one line.")
    h = line[len(_HEAD) : len(_HEAD) + 64].decode("latin-1")
    if not line.startswith(_HEAD) or line[len(_HEAD) + 64 : _R_STARTS] != _MIDDLE:
        raise BadLine("It does not begin as a record begins.")
    if not _HEX64.fullmatch(h):
        raise BadLine("Its hash is not 64 lower-case hexadecimal digits.")
    if line.endswith(_UNSIGNED_END):
        return line[_R_STARTS : -len(_UNSIGNED_END)], h, None
    if line[-_SIGNED_END : -_SIGNED_END + 6] != b',"s":"' or line[-3:] != b'"}\n':
        raise BadLine("Its signature is not where a record has it.")
    return line[_R_STARTS:-_SIGNED_END], h, strict_base64(line[-_SIGNED_END + 6 : -3])


def strict_base64(text: bytes) -> bytes:
    """Decodes the 88 characters of a signature. Raises `BadLine` where another spelling would decode to the same."""
    try:
        # Lenient about strange characters; writing it again is not.
        signature = base64.b64decode(text)
    except (binascii.Error, ValueError):
        raise BadLine("Its signature is not standard Base64.") from None
    if len(signature) != 64 or base64.b64encode(signature) != text:
        raise BadLine("Its signature is not the one Base64 spelling of 64 bytes.")
    return signature


def _parse(inner: bytes) -> dict[str, Any]:
    try:
        r = _DECODER.decode(inner.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadLine("It is not UTF-8 text.") from None
    except RecursionError:
        raise BadLine("It is nested too deeply to be a record.") from None
    except json.JSONDecodeError as bad:
        raise BadLine(f"It is not JSON: {bad.msg} at character {bad.pos} of the record.") from None
    if not isinstance(r, dict):
        raise BadLine("Its content is not a JSON object.")
    return r


def _record(r: dict[str, Any], h: str, signature: bytes | None, line: bytes) -> Record:
    """Checks the shape of every field; a record that cannot have been written by us is refused by its field."""
    if r.keys() != _FIELDS:
        odd = ", ".join(sorted(r.keys() ^ _FIELDS))
        raise BadLine(f"Its fields are not those of a record; look at: {odd}.")
    if r["v"] != VERSION or isinstance(r["v"], bool):
        raise BadLine(f"It has format version {r['v']!r}; this program reads version {VERSION}.")
    for field in ("incident", "boot", "by", "code"):
        if not isinstance(r[field], str) or not is_name(r[field]):
            raise BadLine(f"Its field {field} is not a plain name.")
    for field, least in (("seq", 1), ("mono_ms", 0)):
        if type(r[field]) is not int or not least <= r[field] <= _SAFE_INTEGER:
            raise BadLine(f"Its field {field} is not a whole number from {least} on.")
    if not isinstance(r["prev"], str) or not _HEX64.fullmatch(r["prev"]):
        raise BadLine("Its field prev is not 64 lower-case hexadecimal digits.")
    try:
        parse_time(r["at"])
    except (TypeError, ValueError):
        raise BadLine("Its field at is not a UTC time with milliseconds.") from None
    if not isinstance(r["cause"], list) or any(type(seq) is not int or seq < 1 for seq in r["cause"]):
        raise BadLine("Its field cause is not a list of record numbers.")
    if not (r["actor"] is None or isinstance(r["actor"], dict)):
        raise BadLine("Its field actor is neither a person nor null.")
    if not isinstance(r["body"], dict) or not isinstance(r["body"].get("kind"), str):
        raise BadLine("Its body is not an event with a kind.")
    if signature is None and r["body"]["kind"] not in UNSIGNED_KINDS:
        raise BadLine(f"It is not signed, and a record of kind {r['body']['kind']} must be.")
    return Record(
        incident=r["incident"],
        seq=r["seq"],
        prev=r["prev"],
        at=r["at"],
        mono_ms=r["mono_ms"],
        boot=r["boot"],
        by=r["by"],
        code=r["code"],
        cause=tuple(r["cause"]),
        actor=r["actor"],
        body=r["body"],
        h=h,
        s=signature,
        line=line,
    )


def _canonical_text(r: dict[str, Any]) -> bytes:
    """The canonical bytes of a parsed record, by the standard encoder where it agrees with RFC 8785.

    Python sorts keys by code point and RFC 8785 by UTF-16 unit; both agree where every character is one unit, and
    the C encoder is ten times faster, which lets a year-old record of thousands of lines be checked in a breath.
    """
    try:
        text = _ENCODER.encode(r)
        within_one_unit = text.isascii() or len(text.encode("utf-16-le")) == 2 * len(text)
        return text.encode("utf-8") if within_one_unit else rfc8785.dumps(r)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as bad:
        raise BadLine(f"It holds a value that cannot be written canonically: {bad}.") from None


def _why_not_canonical(inner: bytes) -> str:
    """Names the other spelling, so that the reader knows what kind of hand wrote it."""
    twice: list[str] = []

    def pairs(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                twice.append(key)
            seen[key] = value
        return seen

    json.loads(inner, object_pairs_hook=pairs)
    if twice:
        return f"The key {twice[0]!r} stands twice in one object."
    return "It is spelled otherwise than canonical JSON (RFC 8785): keys out of order, a space, or an escape."


def _no_float(text: str) -> Any:
    raise BadLine(f"It holds the number {text}; a record holds whole numbers only.")


_DECODER: Final = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float)
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise NotCanonical(f"The number {value!r} is a float; records hold whole numbers and text only.")
    if isinstance(value, Mapping):
        for inner in value.values():
            _refuse_floats(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_floats(inner)
