"""What every test may use: the repository's root for child processes, and the shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Child processes find the rooms here, and treat a warning from our own code as an error, as pytest does.
os.environ["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "tests" / "children")))
os.environ.setdefault("NO_COLOR", "1")
for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
    os.environ.pop(name, None)

pytest_plugins = ("tests.store_fixture", "tests.browser", "tests.stories.rehearsal")
