"""Percentiles and lines of a table."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float], unit: str = "ms") -> str:
    """p50, p95, p99, the largest, and of how many."""
    parts = (f"p{int(share * 100)} {percentile(values, share):,.0f}" for share in (0.5, 0.95, 0.99))
    return f"{' · '.join(parts)} · most {max(values):,.0f} {unit} (n={len(values)})"


def machine() -> str:
    """Cores and load, as a figure without them says nothing."""
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{os.cpu_count()} cores, load {load}"
