"""How a process opens the journal it was configured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from incident.copies import Copies
from incident.journal import Journal
from incident.journals.file import FileStore
from incident.journals.redis import RedisStore, connect, place
from incident.journals.signed import SignedJournal
from incident.journals.store import Store
from incident.keys import Keys, Writer
from incident.record import Record


def open_journal(
    url: str,
    writer: Writer | None,
    keys: Keys,
    state_dir: Path,
    *,
    weak_ok: bool = False,
    replicas: int = 0,
    prefix: str = "lync-dr:",
    known: Mapping[str, Sequence[Record]] = MappingProxyType({}),
) -> Journal:
    """The journal at `url`: ``redis://``, ``rediss://``, ``unix://``, or ``file:///directory`` for one host.

    `writer` None opens it for reading. `weak_ok` accepts a server that may forget (LYNC_DR_WEAK_STORE=ok), for
    rehearsals. `replicas` is how many must have a record before it counts. `known`: see `SignedJournal`.

    Raises `Unreachable`, `WeakStore`.
    """
    copies = Copies(state_dir / "copies" / ("reader" if writer is None else writer.name))
    if url.startswith("file://"):
        store: Store = FileStore(Path(url.removeprefix("file://")))
        return SignedJournal(store, keys=keys, writer=writer, copies=copies, known=known)
    redis = RedisStore(connect(url), where=place(url), prefix=prefix, replicas=replicas)
    redis.check_durability(weak_ok=weak_ok)
    return SignedJournal(redis, keys=keys, writer=writer, copies=copies, known=known)
