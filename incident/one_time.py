"""One-time codes: what proves a person in a terminal, and on a card where policy asks for it.

TOTP as RFC 6238 has it, through pyotp. Two things the library leaves to its caller are done here (seen in pyotp
2.12): typed digits are normalised first (it also accepts full-width ones), and the time *step* a code belongs to
is handed back, so that `decide` can refuse a code that was spent before.

Seeds lie one file a person in the state directory, readable by this account only. They never enter a record, a
post or the store.
"""

from __future__ import annotations

import hmac
import os
import re
import unicodedata
from datetime import datetime
from pathlib import Path

import pyotp

from incident.commands import Code

STEP_S = 30
DRIFT_STEPS = 1
"""A phone's clock may be one step early or late."""


class NoSeed(Exception):
    """This person has no seed on this host."""


def digits(typed: str) -> str:
    """The six digits that were meant, or "" where it is no code: spaces and full-width digits are forgiven."""
    plain = re.sub(r"[\s\u2000-\u200f\u00a0\u2060-]+", "", unicodedata.normalize("NFKC", typed))
    return plain if re.fullmatch(r"[0-9]{6}", plain) else ""


class Seeds:
    """The seeds in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __contains__(self, person: str) -> bool:
        return self._path(person).is_file()

    def _path(self, person: str) -> Path:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", person):
            raise NoSeed(f"{person!r} is no person's id.")
        return self._directory / f"{person}.seed"

    def enroll(self, person: str, name: str, *, again: bool = False) -> str:
        """Make a new seed for this person and return its `otpauth://` address, for the QR code.

        Raises FileExistsError where one exists and `again` is not said: enrolling anew silences the old phone.
        """
        path = self._path(person)
        if path.exists() and not again:
            raise FileExistsError(f"{name} is enrolled on this host already. To silence the old phone, say --again.")
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        seed = pyotp.random_base32()
        new = path.with_suffix(".new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, seed.encode("ascii"))
            os.fsync(handle)
        finally:
            os.close(handle)
        new.replace(path)
        return pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name="lync-dr")

    def check(self, person: str, typed: str, now: datetime) -> Code:
        """Which time step `typed` proves; `Code(None)` for a wrong or unreadable one. Raises NoSeed."""
        path = self._path(person)
        try:
            seed = path.read_text("ascii").strip()
        except FileNotFoundError:
            raise NoSeed(f"{person} is not enrolled on this host. Enrol: lync-dr person enroll {person}") from None
        wanted, totp = digits(typed), pyotp.TOTP(seed)
        present = int(now.timestamp()) // STEP_S
        for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1):
            if hmac.compare_digest(totp.generate_otp(step), wanted):
                return Code(step)
        return Code(None)
