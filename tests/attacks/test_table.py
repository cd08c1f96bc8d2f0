"""The table of attacks leaves none out and names only tests that exist; `docs/approval.md` has it as it is."""

from __future__ import annotations

import re

from incident import codes
from tests.attacks.table import ATTACKS, IDS, TESTS, functions, named


def test_every_attack_has_a_row_and_a_test() -> None:
    assert tuple(ATTACKS) == IDS
    without = [ident for ident, attack in ATTACKS.items() if not named()[ident] and not attack.more]
    assert without == []


def test_every_test_that_is_named_is_there() -> None:
    for attack in ATTACKS.values():
        for place in attack.more:
            file, name = place.split("::")
            assert name in functions(TESTS / file), place


def test_every_code_that_is_named_is_one() -> None:
    known = codes.table()
    for attack in ATTACKS.values():
        for code in re.findall(r"\b[A-Z]{3}\d{3}[IWE]\b", attack.answer):
            assert code in known, attack
