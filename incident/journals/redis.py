"""The store in Redis (or Valkey): streams for the lines, hashes for the rest, one Lua script for every append.

What is known about the server's behaviour comes from its documentation: a script runs alone and is written to
the append-only file as one piece (redis.io, "Scripting with Lua"); stream entries with explicit ids are refused
when repeated (XADD); ``appendfsync always`` answers after the data is on the disk ("Redis persistence").

redis-py repeats commands by itself in some constructors and not in others, so its retries are set explicitly:
none. What is repeated here is repeated knowingly, because the script can be repeated without harm.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as Late
from redis.retry import Retry

from incident.journal import REGISTER, Bell, Listed, NotStored, Unconfirmed, Unreachable, WeakStore
from incident.journals.memory import BELLS_KEPT
from incident.journals.store import (
    Answer,
    Batch,
    EpochOld,
    HeadMoved,
    HoldTaken,
    PairClaimed,
    Part,
    Stored,
)
from incident.record import GENESIS, is_name

ANSWER_S: Final = 2.0
"""How long one answer of the server may take."""
PATIENCE_S: Final = 5.0
"""How long an append is repeated before it is given up as not stored or not confirmed."""
_LINES_AT_ONCE: Final = 500
_BLOCK_MS: Final = 1000
_T = TypeVar("_T")


def place(url: str) -> str:
    """The store's address for people: host, port or path, never user or password."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return f"the socket {parts.path}"
        return f"{parts.hostname or 'localhost'} port {parts.port or 6379}"
    except ValueError:
        return "the configured address"


def connect(url: str, *, answer_s: float = ANSWER_S) -> redis.Redis:
    """A client that repeats nothing by itself and waits `answer_s` seconds at most. Opens no connection yet.

    Raises `Unreachable` for an address that is none; the address itself is not repeated, it may hold a password.
    """
    try:
        return redis.Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=answer_s,
            socket_connect_timeout=answer_s,
            health_check_interval=0,
            decode_responses=False,
        )
    except (ValueError, TypeError):
        raise Unreachable(
            "The address of Redis is not one (it is not shown here, because it may hold a password). "
            "Expected redis://host:6379/0, rediss://… with TLS, or unix:///path/to/socket."
        ) from None


def trouble(bad: Exception, where: str) -> str:
    """What a Redis error means, in one or two sentences without a secret."""
    if isinstance(bad, AuthenticationError):
        return f"Redis at {where} refused user or password. Check the credentials in the store's address."
    if isinstance(bad, Late):
        return f"Redis at {where} does not answer in time. Check that it runs and that nothing blocks the way."
    if isinstance(bad, Disconnected):
        if "CERTIFICATE" in str(bad).upper() or "SSL" in str(bad).upper():
            return f"The TLS connection to Redis at {where} failed: its certificate is not accepted here."
        return f"Redis at {where} cannot be reached. Start it (lync-dr store), or check its address and the network."
    text = str(bad)
    for kind, word, sentence in _REFUSALS:
        if isinstance(bad, kind) and word in text:
            return f"Redis at {where} refuses: {sentence}"
    return f"Redis at {where} refuses: {text.splitlines()[0][:160] if text else type(bad).__name__}."


# redis-py makes classes of some first words of an error and leaves the others in the text.
_REFUSALS: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (OutOfMemoryError, "", "it is full. Raise maxmemory; journals are never evicted."),
    (ReadOnlyError, "", "it is a replica now. Point the store's address at the primary."),
    (NoPermissionError, "", "this user lacks a right. It needs streams, hashes and scripts on the keys of lync-dr."),
    (ResponseError, "MISCONF", "it cannot write to its disk. Make room on the server."),
    (ResponseError, "NOREPLICAS", "it has fewer replicas than it demands."),
    (ResponseError, "WRONGTYPE", "a key of lync-dr holds something else. Give lync-dr a database of its own."),
)


class RedisStore:
    """A store in one Redis database under the prefix. Threads and forked processes may share the object."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        where: str,
        prefix: str = "lync-dr:",
        replicas: int = 0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._client = client
        self._where = where
        self._prefix = prefix
        self._replicas = replicas
        self._patience_s = patience_s
        self._met = False
        source = resources.files("incident.journals").joinpath("append.lua").read_text()
        self._append = client.register_script(source)

    def check_durability(self, *, weak_ok: bool = False) -> None:
        """Refuses a server that would forget what it acknowledged. Raises `WeakStore`, `Unreachable`."""
        found = self._weaknesses()
        if found and not weak_ok:
            raise WeakStore(
                f"Redis at {self._where} could lose what it has acknowledged: {'; '.join(found)}. "
                f"Set appendonly yes, appendfsync always, maxmemory-policy noeviction, on a primary. "
                f"To go on all the same, for a rehearsal only: LYNC_DR_WEAK_STORE=ok"
            )

    def commit(self, batch: Batch) -> Answer:
        """Runs the script until it is certain what became of it, `patience_s` at the longest."""
        until = time.monotonic() + self._patience_s
        uncertain = False
        pause = 0.02
        while True:
            try:
                self._reach()
            except RedisError as bad:
                last = bad
            else:
                try:
                    return self._settle(self._run(batch), batch, uncertain)
                except (Disconnected, Late) as bad:
                    # The command may have arrived: from here on only the journal itself can tell.
                    uncertain, last = True, bad
                except RedisError as bad:
                    last = bad
            if not isinstance(last, Disconnected | Late) or time.monotonic() + pause > until:
                break
            time.sleep(pause)
            pause = min(pause * 2, 0.5)
        why = trouble(last, self._where)
        if uncertain:
            raise Unconfirmed(f"{why} It is not known whether the record was stored, so nothing may follow from it.")
        raise NotStored(f"{why} Nothing was stored.")

    def lines(self, incident: str, after: int) -> Sequence[bytes]:
        """The lines after number `after`, in portions so that none takes long."""
        found: list[bytes] = []
        start = f"{after + 1}-0"
        while True:
            entries = self._ask(
                lambda start=start: self._client.xrange(self._stream(incident), start, "+", _LINES_AT_ONCE)  # type: ignore[misc]
            )
            found.extend(fields.get(b"l", b"") for _, fields in entries)
            if len(entries) < _LINES_AT_ONCE:
                return found
            start = f"({entries[-1][0].decode()}"

    def listed(self) -> Sequence[Listed]:
        """Every incident, all tables as of one moment."""

        def tables() -> Any:
            pipe = self._client.pipeline(transaction=True)
            for name in ("heads", "epochs", "pairs", "open"):
                pipe.hgetall(self._key(name))
            return pipe.execute()

        heads, epochs, pairs, opened = (_text(table) for table in self._ask(tables))
        pair_of = {incident: pair for pair, incident in pairs.items()}
        listed = []
        for name, head in sorted(heads.items()):
            seq, _, h = head.partition(" ")
            if name != REGISTER and re.fullmatch("[0-9]{1,15}", seq):
                epoch = _epoch(epochs.get(name, "0"))
                listed.append(Listed(name, int(seq), h, epoch, name in opened, pair_of.get(name)))
        return listed

    def holds(self) -> Mapping[str, str]:
        """Hold -> incident."""
        return _text(self._ask(lambda: self._client.hgetall(self._key("holds"))))

    def bells(self, after: str, wait_s: float) -> Sequence[Bell]:
        """Blocks on the stream of bells, a second at a time, so that a dead connection is noticed."""
        until = time.monotonic() + wait_s
        stream = self._key("bells")
        while True:
            left_ms = int((until - time.monotonic()) * 1000)
            block = min(max(left_ms, 1), _BLOCK_MS) if wait_s > 0 else None
            reply = self._ask(lambda block=block: self._client.xread({stream: after or "0-0"}, 1000, block))  # type: ignore[misc]
            entries = _entries(reply)
            if entries or left_ms <= _BLOCK_MS:
                return [_bell(bid.decode(), fields) for bid, fields in entries]

    def last_bell(self) -> str:
        """The newest bell's id."""
        entries = self._ask(lambda: self._client.xrevrange(self._key("bells"), count=1))
        return str(entries[0][0].decode()) if entries else "0-0"

    def lease(self, incident: str, owner: str, ttl_s: float) -> bool:
        """Takes the lease if it is free, renews it if it is ours."""
        key, ttl_ms = self._key(f"lease:{incident}"), int(ttl_s * 1000)
        if self._ask(lambda: self._client.set(key, owner, nx=True, px=ttl_ms)):
            return True
        if self.leased_by(incident) != owner:
            return False
        # Between the two it may have run out and passed on; a lease is advice, epochs are the law.
        return bool(self._ask(lambda: self._client.set(key, owner, xx=True, px=ttl_ms)))

    def leased_by(self, incident: str) -> str | None:
        """The owner whose lease has not run out."""
        owner = self._ask(lambda: self._client.get(self._key(f"lease:{incident}")))
        return None if owner is None else owner.decode()

    def release(self, incident: str, owner: str) -> None:
        """Lets go."""
        if self.leased_by(incident) == owner:
            self._ask(lambda: self._client.delete(self._key(f"lease:{incident}")))

    def clock_offset_ms(self) -> int:
        """The server's TIME against the middle of asking."""
        asked = time.time()
        seconds, micros = self._ask(self._client.time)
        answered = time.time()
        return round((int(seconds) + int(micros) / 1e6 - (asked + answered) / 2) * 1000)

    def put_raw(self, incident: str, lines: Sequence[bytes]) -> None:
        """Replaces what stands there, as somebody with a hand in the store would. For tests of what is then said."""
        self._client.delete(self._stream(incident))
        for number, line in enumerate(lines, 1):
            self._client.xadd(self._stream(incident), {"l": line}, id=f"{number}-0")

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _stream(self, incident: str) -> str:
        return f"{self._prefix}journal:{incident}"

    def _reach(self) -> None:
        """Connects if need be; what fails here has certainly sent nothing."""
        pool = self._client.connection_pool
        pool.release(pool.get_connection())

    def _run(self, batch: Batch) -> list[bytes]:
        keys = [self._key(name) for name in ("heads", "epochs", "pairs", "open", "holds", "bells")]
        keys += [self._stream(part.incident) for part in batch.parts]
        lines = [line for part in batch.parts for line in part.lines]
        args: list[bytes | str] = [_instructions(batch), *lines]
        if self._replicas == 0:
            return self._append(keys=keys, args=args)  # type: ignore[no-any-return]
        # WAIT counts the replicas that have everything this very connection wrote, so it must use the same one.
        pipe = self._client.pipeline(transaction=False)
        self._append(keys=keys, args=args, client=pipe)
        pipe.execute_command("WAIT", self._replicas, int(ANSWER_S * 500))  # type: ignore[no-untyped-call]
        reply, reached = pipe.execute()
        if reply[0] == b"STORED" and reached < self._replicas:
            raise Unconfirmed(
                f"Redis at {self._where} stored the record, but only {reached} of {self._replicas} replicas have it. "
                f"Nothing may follow from it until they do."
            )
        return reply  # type: ignore[no-any-return]

    def _settle(self, reply: list[bytes], batch: Batch, uncertain: bool) -> Answer:
        """Reads the script's answer; after a lost one, *moved* may mean that our own record moved it."""
        word, *rest = (part.decode() for part in reply)
        if word == "STORED":
            return Stored()
        if word == "MOVED":
            if uncertain and _leaves_lines(batch) and all(self._stands(part) for part in batch.parts):
                return Stored()
            return HeadMoved(rest[0], int(rest[1]))
        if word == "FENCED":
            return EpochOld(int(rest[0]))
        if word == "BUSY":
            return PairClaimed(rest[0])
        if word == "HELD":
            return HoldTaken(rest[0], rest[1])
        raise NotStored(
            f"In Redis at {self._where} the journal of {rest[0]} ends at {rest[1].removesuffix('-0')}, which its own "
            f"index contradicts: somebody wrote or removed records behind our back. Nothing was stored."
        )

    def _stands(self, part: Part) -> bool:
        entries: Any = self._client.xrange(self._stream(part.incident), f"{part.seq + 1}-0", f"{part.new_seq}-0")
        return tuple(fields.get(b"l") for _, fields in entries) == part.lines

    def _ask(self, question: Callable[[], _T]) -> Any:
        """One read, repeated while the server restarts; reading twice harms nobody.

        A server that has never answered gets no second chance: whoever starts a process wants to know at once.
        """
        until = time.monotonic() + (self._patience_s if self._met else 0)
        pause = 0.0
        while True:
            try:
                answer = question()
            except RedisError as bad:
                hopeless = not isinstance(bad, Disconnected) or isinstance(bad, AuthenticationError)
                if hopeless or time.monotonic() + pause > until:
                    raise Unreachable(trouble(bad, self._where)) from None
            else:
                self._met = True
                return answer
            time.sleep(pause)
            pause = min(pause * 2 or 0.02, 0.5)

    def _weaknesses(self) -> list[str]:
        found = []
        replication: Any = self._ask(lambda: self._client.info("replication"))
        role = replication.get("role")
        if role not in ("master", "primary"):
            found.append("it is a replica")
        for setting, wanted in (
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("maxmemory-policy", "noeviction"),
        ):
            value = self._setting(setting)
            if value != wanted:
                found.append(f"{setting} is {value}" if value else f"{setting} cannot be read by this user")
        return found

    def _setting(self, name: str) -> str | None:
        try:
            answer: Any = self._client.config_get(name)
        except ResponseError:
            return None
        except RedisError as bad:
            raise Unreachable(trouble(bad, self._where)) from None
        return next(iter(_text(answer).values()), None)


def _leaves_lines(batch: Batch) -> bool:
    """Whether a batch can be known again by what it leaves; holds alone leave nothing, and may be repeated."""
    return all(part.lines for part in batch.parts)


def _instructions(batch: Batch) -> str:
    return json.dumps(
        {
            "nothing": f"0 {GENESIS}",
            "bells_kept": BELLS_KEPT,
            "parts": [
                {
                    "incident": part.incident,
                    "seq": part.seq,
                    "h": part.h,
                    "count": len(part.lines),
                    "new_h": part.new_h,
                }
                for part in batch.parts
            ],
            "opens": batch.opens,
            "pair": batch.pair or "",
            "pair_from": batch.pair_from or "",
            "epoch": -1 if batch.epoch is None else batch.epoch,
            "raises_epoch": batch.raises_epoch,
            "take": batch.take,
            "give": batch.give,
            "closes": batch.closes,
        }
    )


def _bell(bid: str, fields: Mapping[bytes, bytes]) -> Bell:
    """One entry of the stream. Anybody who can write there can ring; what is no bell is passed like the register's,
    of which nobody makes anything, so that those behind it are heard."""
    name, seq = fields.get(b"i", b"").decode("utf-8", "replace"), fields.get(b"s", b"")
    if not is_name(name) or not re.fullmatch(rb"[0-9]{1,15}", seq):
        return Bell(bid, REGISTER, 0)
    return Bell(bid, name, int(seq))


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of the one stream asked for, in the answer's RESP2 or RESP3 shape."""
    if not reply:
        return []
    if isinstance(reply, dict):
        (batches,) = reply.values()
        return [entry for batch in batches for entry in batch] if isinstance(batches[0], list) else list(batches)
    return list(reply[0][1])


def _epoch(text: str) -> int:
    """An epoch for the list. Nothing is decided by it: the script compares what the store has."""
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else 0


def _text(table: Mapping[Any, Any]) -> dict[str, str]:
    return {
        (key.decode() if isinstance(key, bytes) else str(key)): (
            value.decode() if isinstance(value, bytes) else str(value)
        )
        for key, value in table.items()
    }
