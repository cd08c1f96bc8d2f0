"""One-time codes: right, wrong, late, odd digits, and a seed nobody else can read."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest

from incident.one_time import NoSeed, Seeds, digits

NOW = datetime(2026, 11, 22, 3, 7, 12, tzinfo=UTC)


@pytest.fixture
def seeds(tmp_path: Path) -> Seeds:
    found = Seeds(tmp_path / "seeds")
    found.enroll("bo", "Bo Lund")
    return found


def code_at(seeds: Seeds, tmp_path: Path, when: datetime) -> str:
    return pyotp.TOTP((tmp_path / "seeds" / "bo.seed").read_text()).at(when)


@pytest.mark.parametrize(("late_s", "right"), [(0, True), (30, True), (-30, True), (90, False), (-90, False)])
def test_a_code_proves_its_own_step_and_no_far_one(seeds: Seeds, tmp_path: Path, late_s: int, right: bool) -> None:
    typed = code_at(seeds, tmp_path, NOW + timedelta(seconds=late_s))
    step = seeds.check("bo", typed, NOW).step
    assert step == (int((NOW + timedelta(seconds=late_s)).timestamp()) // 30 if right else None)


def test_full_width_digits_and_spaces_are_the_same_code(seeds: Seeds, tmp_path: Path) -> None:
    typed = code_at(seeds, tmp_path, NOW)
    wide = "".join(chr(ord(c) + 0xFEE0) for c in typed)
    assert seeds.check("bo", f" {wide[:3]} {wide[3:]} ", NOW).step is not None


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "１２３", "12 34 5x"])
def test_what_is_no_code_proves_nothing(seeds: Seeds, typed: str) -> None:
    assert digits(typed) == ""
    assert seeds.check("bo", typed, NOW).step is None


def test_the_seed_is_for_this_account_only_and_is_not_replaced_by_accident(seeds: Seeds, tmp_path: Path) -> None:
    path = tmp_path / "seeds" / "bo.seed"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    with pytest.raises(FileExistsError, match="--again"):
        seeds.enroll("bo", "Bo Lund")
    assert path.read_text() == before


def test_nobody_is_proven_without_a_seed(seeds: Seeds) -> None:
    with pytest.raises(NoSeed, match="person enroll chen"):
        seeds.check("chen", "123456", NOW)
    assert ("bo" in seeds, "chen" in seeds) == (True, False)


def test_a_person_is_a_name_and_no_way_to_another_file(seeds: Seeds, tmp_path: Path) -> None:
    (tmp_path / "eve.seed").write_text((tmp_path / "seeds" / "bo.seed").read_text())
    with pytest.raises(NoSeed, match="is no person's id"):
        seeds.check("../eve", code_at(seeds, tmp_path, NOW), NOW)
