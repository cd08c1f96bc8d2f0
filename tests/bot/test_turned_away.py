"""Requests that Slack did not send: a flood of them costs one record a minute, and none goes uncounted."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.turned_away import TurnedAway
from incident.events import Refused
from incident.journal import REGISTER, Unreachable
from incident.journals.memory import MemoryStore
from incident.journals.signed import SignedJournal
from incident.journals.store import Answer, Batch
from incident.keys import Keys, Writer
from incident.sentences import sentence
from tests.waiting import wait_for

SAID = "A request without Slack's signature was refused."


class Store(MemoryStore):
    """A store that can be away."""

    away = False

    def commit(self, batch: Batch) -> Answer:
        if self.away:
            raise Unreachable("The store does not answer.")
        return super().commit(batch)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def journal(store: Store) -> SignedJournal:
    bot = Writer("bot", "bot", Ed25519PrivateKey.generate(), "0a1b2c3d", lambda: datetime.now(UTC), lambda: 1)
    return SignedJournal(store, keys=Keys([bot.public]), writer=bot, copies=None)


def written(journal: SignedJournal) -> list[tuple[str, int]]:
    events = [record.event for record in journal.read(REGISTER)]
    return [(event.why, event.count) for event in events if isinstance(event, Refused)]


def flood(turned: TurnedAway, each: int = 50) -> None:
    """From eight threads at once."""
    threads = [threading.Thread(target=lambda: [turned("forged", SAID) for _ in range(each)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_first_is_written_at_once_and_the_others_are_counted_until_the_end(journal: SignedJournal) -> None:
    turned = TurnedAway(journal)
    flood(turned)
    turned("replayed", "A request that was seen before was ignored.")
    assert sorted(written(journal)) == [("REF080E", 1), ("REF081E", 1)]
    turned.stop()
    assert sorted(written(journal)) == [("REF080E", 1), ("REF080E", 399), ("REF081E", 1)]
    last = journal.read(REGISTER)[-1].event
    assert sentence(last) == f"Refused (request): {SAID} 399 times since the record before."


def test_a_minute_later_the_count_is_written_by_itself_and_the_next_one_is_a_first_again(
    journal: SignedJournal,
) -> None:
    turned = TurnedAway(journal, minute_s=0.3)
    flood(turned)
    wait_for(lambda: sum(count for _, count in written(journal)) == 400, "every request counted", 10)
    assert len(written(journal)) < 20
    wait_for(lambda: not turned._minutes, "a quiet minute", 10)
    turned("forged", SAID)
    assert written(journal)[-1] == ("REF080E", 1)
    turned.stop()


def test_while_the_store_is_away_they_are_counted_on(journal: SignedJournal, store: Store) -> None:
    turned = TurnedAway(journal, minute_s=0.1)
    store.away = True
    turned("forged", SAID)
    turned("forged", SAID)
    assert written(journal) == []
    store.away = False
    wait_for(lambda: sum(count for _, count in written(journal)) == 2, "both in the record", 10)
    turned.stop()


def test_after_the_end_nothing_is_left_to_run(journal: SignedJournal) -> None:
    turned = TurnedAway(journal)
    turned("forged", SAID)
    turned.stop()
    turned("forged", SAID)
    assert written(journal) == [("REF080E", 1)]
    assert not turned._minutes
