"""One practice workspace for the room; a fresh installation for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.stage import Slack, Stage, on_stage


@pytest.fixture(scope="package")
def slack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slack]:
    """A workspace with Slack's rules; its rates are off, because all tests of the room share it."""
    started = Slack(tmp_path_factory.mktemp("slack"), "--rates", "off")
    yield started
    started.stop()


@pytest.fixture
def stage(slack: Slack, tmp_path: Path) -> Iterator[Stage]:
    """A running bot."""
    with on_stage(slack, tmp_path) as made:
        yield made
