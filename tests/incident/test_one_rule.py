"""The rule of appending stands twice, in Lua and in Python. Whatever is asked of both, both answer the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incident.journal import NotStored
from incident.journals.memory import MemoryStore
from incident.journals.redis import RedisStore, connect
from incident.journals.store import Batch, Part
from incident.record import GENESIS

NAMES = ("a", "b", "register")
names = st.sampled_from(NAMES)
holds = st.lists(st.sampled_from(["cms", "edge:e1"]), max_size=2, unique=True).map(tuple)
strokes = st.fixed_dictionaries(
    {
        "names": st.lists(names, min_size=1, max_size=3, unique=True),
        "lines": st.integers(0, 2),
        "stale": st.integers(0, 9).map(lambda n: n == 0),
        "opens": st.booleans(),
        "pair": st.sampled_from([None, "p", "q"]),
        "pair_from": st.sampled_from([None, *NAMES]),
        "epoch": st.sampled_from([None, None, 0, 1, 2, 3]),
        "raises_epoch": st.booleans(),
        "take": holds,
        "give": holds,
        "closes": st.lists(names, max_size=2, unique=True).map(tuple),
    }
)


def batch_of(stroke: dict, heads: dict[str, tuple[int, str]], number: int) -> Batch:
    parts = []
    for name in stroke["names"]:
        seq, h = heads.get(name, (0, GENESIS))
        lines = tuple(f"{name} {number} {n} – ü\n".encode() for n in range(stroke["lines"]))
        new_h = f"{number:064x}" if lines else h
        parts.append(Part(name, seq + stroke["stale"], h, lines, new_h))
    rest = {
        key: stroke[key] for key in ("opens", "pair", "pair_from", "epoch", "raises_epoch", "take", "give", "closes")
    }
    return Batch(tuple(parts), **rest)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(strokes, min_size=1, max_size=12))
def test_lua_and_python_answer_the_same(store: str, asked: Sequence[dict]) -> None:
    with redis.Redis.from_url(store) as client:
        client.flushall()
        ours, theirs = MemoryStore(), RedisStore(connect(store), where="the test's store")
        for number, stroke in enumerate(asked, 1):
            heads = {name: (len(ours.lines(name, 0)), _h(ours, name)) for name in NAMES}
            batch = batch_of(stroke, heads, number)
            assert theirs.commit(batch) == ours.commit(batch)
            assert theirs.listed() == ours.listed()
            assert theirs.holds() == ours.holds()
            for name in NAMES:
                assert list(theirs.lines(name, 0)) == list(ours.lines(name, 0))
        assert [(b.incident, b.seq) for b in theirs.bells("", 0)] == [(b.incident, b.seq) for b in ours.bells("", 0)]


def _h(store: MemoryStore, name: str) -> str:
    return store._tables.heads.get(name, (0, GENESIS))[1]


@pytest.mark.parametrize("left", [0, 1, 3])
def test_a_stream_that_contradicts_the_index_takes_nothing(store: str, left: int) -> None:
    """Somebody put a record behind the last one, or took one away, and left the index of heads as it was."""
    with redis.Redis.from_url(store) as client:
        client.flushall()
        kept = RedisStore(connect(store), where="the test's store")
        h = f"{1:064x}"
        kept.commit(Batch((Part("a", 0, GENESIS, (b"one\n", b"two\n"), h),)))
        kept.put_raw("a", [b"one\n", b"two\n", b"a third\n"][:left])
        with pytest.raises(NotStored, match=rf"the journal of a ends at {left}, which its own index contradicts"):
            kept.commit(Batch((Part("a", 2, h, (b"three\n",), f"{2:064x}"),)))
        assert len(list(kept.lines("a", 0))) == left
