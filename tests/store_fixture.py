"""One real store for each test process, and an empty database of it for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.store import Launcher


@pytest.fixture(scope="session")
def store_server() -> Iterator[str]:
    """The address of a real Valkey with the product's own settings; stopped by its own pid at the end."""
    # Sockets have short paths, and pytest's directories do not.
    state_dir = Path(tempfile.mkdtemp(prefix="ld-"))
    launcher = Launcher(state_dir)
    launcher.start()
    try:
        yield launcher.url
    finally:
        launcher.stop()
        shutil.rmtree(state_dir, ignore_errors=True)


@pytest.fixture
def store(store_server: str) -> str:
    """The address of that server, emptied."""
    with redis.Redis.from_url(store_server) as client:
        client.flushall()
    return store_server
