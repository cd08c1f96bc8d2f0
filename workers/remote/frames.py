"""Reads the framed lines of the runner out of a stream of bytes (`docs/runner-protocol.md` §3).

Bytes may arrive in any pieces. What is not a frame of this run's nonce is noise: kept to be shown, never interpreted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

LONGEST_FRAME = 32 * 1024 * 1024
"""Bytes of one line. More is no answer of the runner but a flood."""

LONGEST_NOISE = 8192
"""Bytes of one line of noise that are given out; a longer line is given out in pieces."""

_TYPE = re.compile(rb"[a-z]{2,16}")


class Broken(Exception):
    """What came with our nonce is not a frame of the protocol; says what is wrong."""


@dataclass(frozen=True)
class RawFrame:
    """One frame: its type and JSON object. Noise has the type `noise` and only `text`."""

    type: str
    body: dict[str, Any]


class FrameReader:
    """Cuts frames out of standard output and keeps count and hash of them."""

    def __init__(self, nonce: str) -> None:
        self._mark = b"@@" + nonce.encode("ascii") + b" "
        self._rest = b""
        self._sha = hashlib.sha256()
        self.frames = 0
        """Frames so far, `bye` not counted."""

    @property
    def sha256(self) -> str:
        """Over all frames so far, `bye` not included."""
        return self._sha.hexdigest()

    def feed(self, piece: bytes) -> list[RawFrame]:
        """Takes the next bytes; returns what is complete by now. Raises :class:`Broken`."""
        found: list[RawFrame] = []
        *lines, rest = piece.split(b"\n")
        for line in lines:
            found += self._line(self._rest + line)
            self._rest = b""
        self._rest += rest
        if len(self._rest) > LONGEST_FRAME:
            raise Broken(f"a line of more than {LONGEST_FRAME:,} bytes")
        if len(self._rest) > LONGEST_NOISE and self._mark not in self._rest:
            # Keeps a tail that may be the beginning of the mark.
            cut = len(self._rest) - len(self._mark)
            found.append(_noise(self._rest[:cut]))
            self._rest = self._rest[cut:]
        return found

    def end(self) -> list[RawFrame]:
        """The stream is over: the last line may lack its end."""
        rest, self._rest = self._rest, b""
        return self._line(rest)

    def _line(self, line: bytes) -> list[RawFrame]:
        before, mark, frame = line.rstrip(b"\r").partition(self._mark)
        found = [_noise(before)] if before.strip() else []
        if mark:
            found.append(self._frame(frame))
        return found

    def _frame(self, frame: bytes) -> RawFrame:
        kind, _, code = frame.partition(b" ")
        if not _TYPE.fullmatch(kind):
            raise Broken("a frame without a type")
        if kind != b"bye":
            self._sha.update(self._mark + frame + b"\n")
            self.frames += 1
        try:
            raw = base64.b64decode(code + b"=" * (-len(code) % 4), altchars=b"-_", validate=True)
            # Fractions have no place in a record: they stay the text they are.
            body = json.loads(raw.decode("utf-8"), parse_float=str, parse_constant=str)
        except (binascii.Error, ValueError, RecursionError) as error:
            raise Broken(f"a {kind.decode()} frame that cannot be read") from error
        if not isinstance(body, dict):
            raise Broken(f"a {kind.decode()} frame that is no object")
        return RawFrame(kind.decode(), body)


def _noise(line: bytes) -> RawFrame:
    return RawFrame("noise", {"text": line.decode("utf-8", "replace")})
