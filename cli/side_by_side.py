"""Reading many incidents at once: each record is verified as ever, by as many processes as there are processors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from cli.roots import open_journal_of
from config.load import load_settings
from incident.audit import Brief, read_briefs
from incident.journal import Journal, JournalError

ALONE: Final = 12
"""So many incidents are read sooner than another process is started."""


def read_side_by_side(journal: Journal, names: Sequence[str]) -> Iterable[Brief]:
    """Like `read_briefs`. Raises `JournalError` with the sentence of the first that cannot be read."""
    hands = min(os.cpu_count() or 1, len(names) // ALONE)
    if hands < 2:
        return read_briefs(journal, names)
    # Small shares, so that one long record does not leave the others without work.
    shares = [names[at : at + ALONE] for at in range(0, len(names), ALONE)]
    found: list[Brief] = []
    with ProcessPoolExecutor(hands, mp_context=get_context("spawn"), initializer=_open) as pool:
        for briefs, trouble in pool.map(_read, shares):
            if trouble:
                raise JournalError(trouble)
            found += briefs
    return found


_opened: list[Journal] = []


def _open() -> None:
    """In a process of its own: its own connection to the store."""
    _opened[:] = [open_journal_of(load_settings(), None)[0]]


def _read(names: Sequence[str]) -> tuple[list[Brief], str]:
    """What was read, or the sentence that says why it cannot be."""
    try:
        return read_briefs(_opened[0], names), ""
    except JournalError as trouble:
        return [], str(trouble)
