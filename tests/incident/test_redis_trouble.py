"""What an append means when the store or the wire to it fails, and what a person is told."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.store import find_server, settings
from incident.copies import Copies
from incident.journal import (
    CopyTrouble,
    JournalDiffers,
    Moved,
    NotStored,
    Unconfirmed,
    Unreachable,
    WeakStore,
)
from incident.journals.opening import open_journal
from incident.journals.redis import RedisStore, connect
from incident.journals.signed import SignedJournal
from incident.keys import Keys, init_key
from tests.incident.desk import BOT, KEYS, PAIR, declared, events_of, note, redis_journals
from tests.incident.wire import Wire
from tests.waiting import wait_for

A = "20261122-fe1-a"


@pytest.fixture
def wire(store: str) -> Iterator[Wire]:
    with Wire(store.removeprefix("unix://")) as between:
        yield between


def over(wire: Wire, tmp_path: Path, patience_s: float = 5.0) -> SignedJournal:
    kept = RedisStore(connect(wire.url, answer_s=0.5), where="127.0.0.1", patience_s=patience_s)
    return SignedJournal(kept, keys=KEYS, writer=BOT, copies=Copies(tmp_path / "far"))


def test_a_lost_answer_is_read_back_and_nothing_is_doubled(wire: Wire, store: str, tmp_path: Path) -> None:
    far = over(wire, tmp_path)
    wire.next_append("lose the answer")
    at = far.open(A, PAIR, [declared()])
    for fault in ("lose the answer", "lose the request", "answer nothing"):
        wire.next_append(fault)  # type: ignore[arg-type]
        at = far.append(at, [note(fault)])
    assert at.seq == 4
    near = redis_journals(tmp_path, store)[1](BOT, "near")
    assert events_of(near, A) == [
        declared(), note("lose the answer"), note("lose the request"), note("answer nothing"),
    ]  # fmt: skip
    assert wire.appends >= 8


def test_after_a_lost_answer_somebody_elses_record_is_not_taken_for_ours(
    wire: Wire, store: str, tmp_path: Path
) -> None:
    near = redis_journals(tmp_path, store)[1](BOT, "near")
    far = over(wire, tmp_path)
    at = far.open(A, PAIR, [declared()])
    near.read(A)
    wire.next_append("lose the request", then=lambda: near.append(at, [note("quicker")]) and None)
    with pytest.raises(Moved):
        far.append(at, [note("lost on the way")])
    at = near.head(A)
    far.read(A)
    wire.next_append("lose the answer", then=lambda: near.append(near.head(A), [note("after it")]) and None)
    assert far.append(at, [note("ours")]).seq == 3
    assert events_of(far, A) == [declared(), note("quicker"), note("ours"), note("after it")]


def test_what_cannot_be_known_is_called_unconfirmed(wire: Wire, tmp_path: Path) -> None:
    far = over(wire, tmp_path, patience_s=0.3)
    at = far.open(A, PAIR, [declared()])
    wire.next_append("lose the request", then=wire.cut)
    with pytest.raises(Unconfirmed, match=r"not known whether the record was stored, so nothing may follow") as told:
        far.append(at, [note()])
    assert "hunter2" not in str(told.value)
    with pytest.raises(NotStored, match=r"Redis at 127.0.0.1 cannot be reached.*Nothing was stored"):
        far.append(at, [note()])
    with pytest.raises(Unreachable, match="lync-dr store"):
        far.read(A)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://:s3cret-hunter2@127.0.0.1:{closed}/0", r"cannot be reached\. Start it \(lync-dr store\)"),
        ("unix:///nowhere/store.sock?password=s3cret-hunter2", r"the socket /nowhere/store\.sock cannot be reached"),
        ("redis://:s3cret-hunter2@127.0.0.1:silent/0", "not one .it is not shown here"),
        ("s3cret-hunter2", "Expected redis://"),
        ("redis://:s3cret-hunter2@127.0.0.1:{silent}/0", "does not answer in time"),
    ],
)
def test_a_store_that_is_not_there_is_said_without_its_password(url: str, says: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = url.replace("{closed}", str(closed.getsockname()[1])).replace(
            "{silent}", str(silent.getsockname()[1])
        )
        with pytest.raises(Unreachable, match=says) as told:
            open_journal(address, BOT, KEYS, tmp_path)
    assert "hunter2" not in str(told.value)
    assert told.value.__suppress_context__


def test_a_wrong_password_is_said_as_such(store: str, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="refused user or password") as told:
        open_journal(f"{store}?username=nobody&password=s3cret-hunter2", BOT, KEYS, tmp_path)
    assert "hunter2" not in str(told.value)


def test_a_store_that_may_forget_is_refused_unless_told_otherwise(store: str, tmp_path: Path) -> None:
    with redis.Redis.from_url(store) as client:
        client.config_set("appendfsync", "everysec")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(WeakStore, match=r"appendfsync is everysec; maxmemory-policy is allkeys-lru.*To go on"):
                open_journal(store, BOT, KEYS, tmp_path)
            open_journal(store, BOT, KEYS, tmp_path, weak_ok=True).open(A, PAIR, [declared()])
        finally:
            client.config_set("appendfsync", "always")
            client.config_set("maxmemory-policy", "noeviction")
    assert len(open_journal(store, BOT, KEYS, tmp_path).read(A)) == 1


def test_a_full_store_stores_nothing_and_still_reads(store: str, tmp_path: Path) -> None:
    journal = open_journal(store, BOT, KEYS, tmp_path)
    at = journal.open(A, PAIR, [declared()])
    with redis.Redis.from_url(store) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(NotStored, match=r"it is full\. Raise maxmemory"):
                journal.append(at, [note()])
            assert len(journal.read(A)) == 1
        finally:
            client.config_set("maxmemory", 0)
    journal.append(at, [note()])


def test_records_put_behind_the_index_stop_the_append(store: str, tmp_path: Path) -> None:
    """Somebody with a hand in the store adds to a stream without the script: at worst the run stops."""
    journal = open_journal(store, BOT, KEYS, tmp_path)
    at = journal.open(A, PAIR, [declared()])
    with redis.Redis.from_url(store) as client:
        client.xadd(f"lync-dr:journal:{A}", {"l": b"{}"}, id="2-0")
    with pytest.raises(NotStored, match="behind our back"):
        journal.append(at, [note()])


def test_a_killed_store_has_every_acknowledged_record_again(tmp_path: Path) -> None:
    state_dir = Path(tempfile.mkdtemp(prefix="ld-"))
    try:
        (state_dir / "store").mkdir()
        (state_dir / "store.conf").write_text(settings(state_dir))
        url = f"unix://{state_dir}/store.sock"

        def start() -> subprocess.Popen[bytes]:
            server = subprocess.Popen([find_server(), str(state_dir / "store.conf")])
            with redis.Redis.from_url(url) as client:
                wait_for(lambda: _answers(client), "the store to answer")
            return server

        server = start()
        journal = open_journal(url, BOT, KEYS, tmp_path)
        at = journal.open(A, PAIR, [declared()])
        for number in range(20):
            at = journal.append(at, [note(str(number))])
        server.kill()
        server.wait(10)
        read: list[int] = []
        reader = threading.Thread(target=lambda: read.append(len(journal.read(A))))
        reader.start()  # while it is down
        server = start()
        try:
            reader.join(10)
            assert read == [21]
            assert journal.append(at, [note("goes on")]).seq == 22
        finally:
            server.terminate()
            server.wait(10)
    finally:
        shutil.rmtree(state_dir)


def test_a_record_counts_when_enough_replicas_have_it(tmp_path: Path) -> None:
    dirs = [Path(tempfile.mkdtemp(prefix="ld-")) for _ in range(2)]
    servers = []
    try:
        port = free_port()
        for place, more in zip(dirs, ("repl-diskless-sync-delay 0\n", f"replicaof 127.0.0.1 {port}\n"), strict=True):
            (place / "store").mkdir()
            (place / "store.conf").write_text(settings(place, port if place == dirs[0] else 0) + more)
            servers.append(subprocess.Popen([find_server(), str(place / "store.conf")]))
        first, second = (redis.Redis.from_url(f"unix://{place}/store.sock") for place in dirs)
        wait_for(lambda: _answers(first) and _answers(second), "both servers to answer")
        wait_for(lambda: second.info("replication").get("master_link_status") == "up", "the replica to follow")  # type: ignore[union-attr]
        with pytest.raises(WeakStore, match="it is a replica"):
            open_journal(f"unix://{dirs[1]}/store.sock", BOT, KEYS, tmp_path)
        journal = open_journal(f"unix://{dirs[0]}/store.sock", BOT, KEYS, tmp_path, replicas=1)
        at = journal.open(A, PAIR, [declared()])
        servers[1].kill()
        servers[1].wait(10)
        with pytest.raises(Unconfirmed, match="only 0 of 1 replicas have it"):
            journal.append(at, [note()])
    finally:
        for server in servers:
            server.kill()
            server.wait(10)
        for place in dirs:
            shutil.rmtree(place)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_two_processes_of_one_host_share_their_copy(store: str, tmp_path: Path) -> None:
    one, two = (open_journal(store, BOT, KEYS, tmp_path) for _ in range(2))
    at = one.open(A, PAIR, [declared()])
    two.read(A)
    one.append(two.append(at, [note("two")]) and one.head(A), [note("one")])
    two.read(A)
    copy = tmp_path / "copies" / "bot" / f"{A}.jsonl"
    assert copy.read_bytes() == b"".join(one.lines(A))
    copy.write_bytes(copy.read_bytes()[:-30])  # a crash in the middle of a line
    assert len(open_journal(store, BOT, KEYS, tmp_path).read(A)) == 3
    assert copy.read_bytes() == b"".join(one.lines(A))


def test_a_record_that_cannot_be_copied_does_not_count(store: str, tmp_path: Path) -> None:
    journal = open_journal(store, BOT, KEYS, tmp_path)
    at = journal.open(A, PAIR, [declared()])
    copy = tmp_path / "copies" / "bot" / f"{A}.jsonl"
    copy.unlink()
    copy.mkdir()
    with pytest.raises(CopyTrouble, match="does not count here until it is copied"):
        journal.append(at, [note()])


def test_another_store_under_the_same_name_is_noticed(store: str, tmp_path: Path) -> None:
    open_journal(store, BOT, KEYS, tmp_path).open(A, PAIR, [declared()])
    with redis.Redis.from_url(store) as client:
        client.flushall()
    open_journal(store, BOT, KEYS, tmp_path / "elsewhere").open(A, PAIR, [declared("fe9")])
    with pytest.raises(JournalDiffers, match="Record 1 of"):
        open_journal(store, BOT, KEYS, tmp_path).read(A)


def test_nobody_is_believed_without_keys(store: str, tmp_path: Path) -> None:
    open_journal(store, BOT, KEYS, tmp_path).open(A, PAIR, [declared()])
    with pytest.raises(Exception, match="Its writer bot is unknown here"):
        open_journal(store, None, Keys(), tmp_path).read(A)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


FORKED = """
import os, sys
from pathlib import Path
from incident.journal import Moved
from incident.journals.opening import open_journal
from incident.keys import load_keys, load_writer
from tests.incident.desk import PAIR, declared, note

state = Path(sys.argv[2])
keys = load_keys(state)
journal = open_journal(sys.argv[1], load_writer("bot", state_dir=state, keys=keys), keys, state)
journal.open("20261122-fe1-a", PAIR, [declared()])
child = os.fork()
for number in range(15):
    while True:
        try:
            journal.append(journal.head("20261122-fe1-a"), [note(f"{child == 0} {number}")])
            break
        except Moved:
            pass
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
records = journal.read("20261122-fe1-a")
copied = (state / "copies" / "bot" / "20261122-fe1-a.jsonl").read_bytes()
assert status == 0 and copied == b"".join(record.line for record in records)
print(len(records), len({record.event.text for record in records[1:]}))
"""


def test_a_forked_worker_goes_on_with_the_journal_it_inherited(store: str, tmp_path: Path) -> None:
    """RQ forks a process for each job; connection, locks and copy must survive that."""
    init_key("bot", "bot", state_dir=tmp_path, keys_dir=tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", FORKED, store, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "31 30\n", done.stderr
