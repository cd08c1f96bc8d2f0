"""The installation that tests of the command line use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.cli.installation import Installation


@pytest.fixture
def installation(store: str) -> Iterator[Installation]:
    """Files, keys and an emptied store."""
    found = Installation(store)
    yield found
    shutil.rmtree(found.home, ignore_errors=True)
