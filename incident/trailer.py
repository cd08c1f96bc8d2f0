"""The last line of an export: what the file must contain, signed, so that a cut tail cannot pass.

The line is the RFC 8785 form of ``{"h":…,"s":…,"t":{…}}`` plus one LF, where ``h`` and ``s`` are made over ``t`` as a
record's are over ``r``. ``t`` says how many records there are, the last one's hash, whether the incident was open or
closed, where the register stood, who exported when, the policy and estate in force, and the public keys of everybody
who signed. Those keys let a file be checked by itself; that they are the right ones only a keys directory from
elsewhere can say.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from incident.journal import Head
from incident.keys import Keys, PublicKey, PublicKeyFile, Writer
from incident.record import BadLine, canonical, format_time, strict_base64

_LINE: Final = re.compile(rb'\{"h":"([0-9a-f]{64})","s":"([^"]{88})","t":(.*)\}\n', re.DOTALL)
TRAILER_MARK: Final = b',"t":{'
"""What tells a trailer from a record at the same place of a line."""

Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class RegisterHead(BaseModel):
    """Where the register stood."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seq: int
    head: Hex64


class Text(BaseModel):
    """A text that was in force, as the register has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    what: Literal["policy", "estate"]
    digest: str
    text: str


class Trailer(BaseModel):
    """The content of the last line."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    v: Literal[1] = 1
    incident: Name
    count: int
    head: Hex64
    state: Literal["open", "closed"]
    register_head: RegisterHead | None
    at: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
    by: Name
    signers: list[PublicKeyFile]
    texts: list[Text]
    """Policy and estate as stated last before the end of the record: what an auditor judges the approvals by."""

    def keys(self) -> Keys:
        """The public keys the file itself names. Raises `BadLine` where one is none."""
        try:
            return Keys(
                PublicKey(s.name, s.kind, Ed25519PublicKey.from_public_bytes(base64.b64decode(s.ed25519)))
                for s in self.signers
            )
        except ValueError:
            raise BadLine("It names a public key that is none.") from None


def write_trailer(
    head: Head,
    *,
    closed: bool,
    register: Head | None,
    signers: Keys,
    texts: Sequence[Text],
    writer: Writer,
    now: datetime,
) -> bytes:
    """The trailer line for an export that ends at `head`."""
    named = {**signers, writer.name: writer.public}
    trailer = Trailer(
        incident=head.incident,
        count=head.seq,
        head=head.h,
        state="closed" if closed else "open",
        register_head=None if register is None else RegisterHead(seq=register.seq, head=register.h),
        at=format_time(now),
        by=writer.name,
        signers=[_file(named[name]) for name in sorted(named)],
        texts=list(texts),
    )
    inner = canonical(trailer.model_dump(mode="json"))
    h = hashlib.sha256(inner).digest()
    signature = base64.b64encode(writer.sign(h))
    return b'{"h":"' + h.hex().encode() + b'","s":"' + signature + b'","t":' + inner + b"}\n"


def read_trailer(line: bytes) -> tuple[Trailer, bytes, bytes]:
    """The trailer, its hash and its signature. Raises `BadLine`; checks the hash, never the signature."""
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise BadLine("It is not spelled as a trailer is.")
    h, signature, inner = parts[1].decode(), strict_base64(parts[2]), parts[3]
    if hashlib.sha256(inner).hexdigest() != h:
        raise BadLine("Its content does not match its hash: it was changed after it was written.")
    try:
        trailer = Trailer.model_validate_json(inner)
        same = canonical(json.loads(inner)) == inner
    except (ValidationError, ValueError):
        raise BadLine("Its content is not a trailer's.") from None
    if not same:
        raise BadLine("It is spelled otherwise than canonical JSON (RFC 8785).")
    return trailer, bytes.fromhex(h), signature


def _file(key: PublicKey) -> PublicKeyFile:
    raw = base64.b64encode(key.key.public_bytes_raw()).decode()
    return PublicKeyFile(name=key.name, kind=key.kind, ed25519=raw)
