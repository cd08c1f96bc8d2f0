"""`python -m bench [verify] [ack] [failover]`: all of them without a name."""

from __future__ import annotations

import sys

from bench import rehearsal
from bench.figures import machine
from bench.verify import verify

BENCHES = {"verify": verify, "ack": rehearsal.ack, "failover": rehearsal.failover}
PARTS_OF = {"tap": "failover", "overhead": "failover", "red": "failover", "boards": "failover"}


def main(names: list[str]) -> None:
    """Run what was asked for; figures of one machine at one time."""
    wanted = [PARTS_OF.get(name, name) for name in names] or list(BENCHES)
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        raise SystemExit(f"There is no bench {', '.join(unknown)}. Known: {', '.join([*BENCHES, *PARTS_OF])}.")
    print(f"machine  {machine()}")
    for name in dict.fromkeys(wanted):
        BENCHES[name]()
    print(f"machine  {machine()}")


if __name__ == "__main__":
    main(sys.argv[1:])
