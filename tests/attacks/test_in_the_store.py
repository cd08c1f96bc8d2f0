"""Somebody who can write to the store, and a bot that has to talk all the same: what they plant beside the record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from tests.attacks.theatre import HOME, Theatre, words_of
from tests.waiting import wait_for

NOWHERE = ("20000101-fe1-a", "../keys")
"""Names in the index of which no record stands; they come before every true one."""


@pytest.fixture
def planted(theatre: Theatre) -> Iterator[Any]:
    """The store with an index that lists what stands nowhere, and bells that are none."""
    store: Any = redis.Redis.from_url(theatre.settings.store_url)
    try:
        for name in NOWHERE:
            store.hset("lync-dr:heads", name, "3 " + "0" * 64)
            store.hset("lync-dr:open", name, "1")
            store.hset("lync-dr:epochs", name, "a thief")
        for bell in ({"x": "1"}, {"i": "../keys", "s": "1"}, {"i": "register", "s": "\u00b2"}):
            store.xadd("lync-dr:bells", bell)
        yield store
    finally:
        for name in NOWHERE:
            for table in ("heads", "open", "epochs"):
                store.hdel(f"lync-dr:{table}", name)
        store.close()


def test_b8_what_is_planted_in_index_and_bells_neither_starts_nor_silences_anything(
    theatre: Theatre, planted: Any
) -> None:
    def halted() -> list[str]:
        return [words_of(m) for m in theatre.messages(HOME) if "HALT" in words_of(m)]

    with ExitStack() as night:
        # The card stands in the channel and in each approver's messages in spite of it.
        card = night.enter_context(theatre.open_card())
        wait_for(lambda: any(NOWHERE[0] in said for said in halted()), "a word about what stands nowhere")
        assert any("no name of ours" in said for said in halted())
        assert not any("../keys" in said for said in halted())
        planted.xadd("lync-dr:bells", {"x": "1"})
        card.refuses(lambda: card.press("UOLAF"), "APR021E", "not an approver", who="UOLAF")
        for name in NOWHERE:
            planted.hdel("lync-dr:open", name)
            planted.hdel("lync-dr:heads", name)
