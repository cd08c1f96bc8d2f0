"""Who may write: one Ed25519 key per writer, kept in files, never in the store.

``lync-dr keys init NAME --kind bot|cli|worker`` makes the private key in the state directory (mode 0600) and the
public key as one JSON line in the keys directory, which belongs under version control. The public key carries
its writer's kind: only bot and cli write requests, approvals and rulings; only workers write hands, intents and
outcomes. Whoever has a bot's key can therefore not write what a worker did, and the other way round.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

WriterKind = Literal["bot", "cli", "worker"]
PUBLIC_SUFFIX: Final = ".pub.json"


class KeyTrouble(Exception):
    """A key that is missing, unreadable or in the wrong place. The text says which file and what to do."""


class PublicKeyFile(BaseModel):
    """The one JSON object of a public key file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    kind: WriterKind
    ed25519: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _mono_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def new_boot() -> str:
    """A name for one start of one process, so that records before and after a restart can be told apart."""
    return secrets.token_hex(4)


@dataclass(frozen=True)
class Writer:
    """One process that may write: its name, its kind, its key. `now` and `mono_ms` are its two clocks.

    The key shows neither in `repr` nor in comparisons, so it cannot reach a log by accident.
    """

    name: str
    kind: WriterKind
    key: Ed25519PrivateKey = field(repr=False, compare=False)
    boot: str = field(default_factory=new_boot)
    now: Callable[[], datetime] = field(default=_utc_now, repr=False, compare=False)
    mono_ms: Callable[[], int] = field(default=_mono_ms, repr=False, compare=False)

    def sign(self, h: bytes) -> bytes:
        """The 64-byte Ed25519 signature over a 32-byte hash."""
        return self.key.sign(h)

    @property
    def public(self) -> PublicKey:
        """What others need to check this writer."""
        return PublicKey(self.name, self.kind, self.key.public_key())


@dataclass(frozen=True)
class PublicKey:
    """A known writer."""

    name: str
    kind: WriterKind
    key: Ed25519PublicKey = field(repr=False, compare=False)

    def signed(self, h: bytes, signature: bytes) -> bool:
        """Whether this writer signed this hash."""
        try:
            self.key.verify(signature, h)
        except InvalidSignature:
            return False
        return True


class Keys(Mapping[str, PublicKey]):
    """All writers this installation knows, by name. An empty set knows nobody."""

    def __init__(self, known: Iterable[PublicKey] = ()) -> None:
        self._known = {key.name: key for key in known}

    def __getitem__(self, name: str) -> PublicKey:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def init_key(name: str, kind: WriterKind, *, state_dir: Path, keys_dir: Path) -> Path:
    """Makes a writer's pair of keys and returns the public file. Never overwrites either. Raises `KeyTrouble`."""
    try:
        public = PublicKeyFile(name=name, kind=kind, ed25519="A" * 43 + "=")
    except ValidationError:
        raise KeyTrouble(
            f"{name!r} cannot name a writer. Use lower-case letters, digits, dots and dashes, for example bot-leeds."
        ) from None
    private_path = private_key_path(name, state_dir)
    public_path = keys_dir / f"{name}{PUBLIC_SUFFIX}"
    for path in (private_path, public_path):
        if path.exists():
            raise KeyTrouble(
                f"{path} exists already; nothing was written. A key is never replaced: "
                f"choose another name, and keep the old public key so that old records can still be checked."
            )
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # One by one: a parent that mkdir makes on the way is open to everybody.
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    private_path.parent.mkdir(exist_ok=True, mode=0o700)
    _write_new(private_path, pem, 0o600)
    raw = base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    keys_dir.mkdir(parents=True, exist_ok=True)
    line = json.dumps(public.model_copy(update={"ed25519": raw}).model_dump(), sort_keys=True)
    _write_new(public_path, line.encode() + b"\n", 0o644)
    return public_path


def private_key_path(name: str, state_dir: Path) -> Path:
    """Where the private key of a writer lies."""
    return state_dir / "keys" / f"{name}.pem"


def load_writer(name: str, *, state_dir: Path, keys: Keys) -> Writer:
    """The writer of that name on this host. Raises `KeyTrouble` if its key is missing, open to others or unknown."""
    path = private_key_path(name, state_dir)
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except OSError as bad:
        make = (
            f"Put it back, or make a writer with a new name: lync-dr keys init NAME --kind {keys[name].kind}"
            if name in keys
            else f"Make it: lync-dr keys init {name} --kind KIND (bot, cli or worker)"
        )
        raise KeyTrouble(
            f"The private key of writer {name} cannot be read from {path} ({bad.strerror}). Nothing was written. {make}"
        ) from None
    if mode & 0o077:
        raise KeyTrouble(f"Others can read the private key {path}. Put that right with: chmod 600 {path}")
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyTrouble(f"{path} holds no Ed25519 private key. Restore it, or make a writer with a new name.")
    if name not in keys:
        raise KeyTrouble(
            f"Writer {name} has a private key here, but no public key among those this installation knows. "
            f"Copy {name}{PUBLIC_SUFFIX} into the keys directory of every host."
        )
    known = keys[name]
    if known.key.public_bytes_raw() != key.public_key().public_bytes_raw():
        raise KeyTrouble(
            f"The private key {path} does not belong to the public key of {name}. Nothing was written. "
            f"Find out who replaced one of them before you go on."
        )
    return Writer(name, known.kind, key)


def load_keys(keys_dir: Path) -> Keys:
    """All public keys of a directory. An empty or missing directory is refused: nobody could write or be believed."""
    known: list[PublicKey] = []
    for path in sorted(keys_dir.glob(f"*{PUBLIC_SUFFIX}")):
        known.append(_load_public(path))
    if not known:
        raise KeyTrouble(
            f"There is no public key in {keys_dir}, so no writer is known. Set LYNC_DR_KEYS to the directory that "
            "holds them, or make the first: lync-dr keys init NAME --kind KIND (bot, cli or worker)"
        )
    return Keys(known)


def _load_public(path: Path) -> PublicKey:
    try:
        file = PublicKeyFile.model_validate_json(path.read_bytes(), strict=True)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(file.ed25519, validate=True))
    except OSError as bad:
        raise KeyTrouble(f"The public key {path} cannot be read ({bad.strerror}).") from None
    except (ValidationError, ValueError):
        raise KeyTrouble(
            f'{path} is not a public key file. Expected one line: {{"ed25519": "…44 characters…", '
            f'"kind": "bot|cli|worker", "name": "…"}}'
        ) from None
    if path.name != f"{file.name}{PUBLIC_SUFFIX}":
        raise KeyTrouble(f"{path} holds the key of {file.name}; a key file bears its writer's name.")
    return PublicKey(file.name, file.kind, key)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
