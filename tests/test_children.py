"""The processes that tests start are held to the same as the tests: a warning from our own code ends in an error."""

from __future__ import annotations

import subprocess
import sys

import pytest

WARNS = """
import types
made = types.ModuleType({name!r})
exec("import warnings\\nwarnings.warn('old', DeprecationWarning)", made.__dict__)
"""


@pytest.mark.parametrize(("name", "ends"), [("bot.app", 1), ("workers", 1), ("botanist", 0), ("winrm.protocol", 0)])
def test_a_warning_from_our_own_code_is_an_error_in_a_child(name: str, ends: int) -> None:
    done = subprocess.run([sys.executable, "-c", WARNS.format(name=name)], capture_output=True, text=True, timeout=60)
    assert done.returncode == ends, done.stderr
