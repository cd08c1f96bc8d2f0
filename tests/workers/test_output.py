"""Output on its way to the record: batches, bounds, and the whole beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from workers.output import BATCH_BYTES, STEP_BYTES, Batch, Blobs, StepOutput
from workers.redact import Redactor
from workers.remote.door import Frame, RedLine


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def collect(tmp_path: Path) -> tuple[StepOutput, list[Batch], Clock]:
    batches: list[Batch] = []
    clock = Clock()
    return StepOutput(batches.append, Redactor(["hunter2-secret"]), Blobs(tmp_path), clock=clock), batches, clock


def verbose(text: str) -> Frame:
    return Frame("verbose", text, "1")


def test_lines_go_once_a_second_and_errors_at_once(tmp_path: Path) -> None:
    output, batches, clock = collect(tmp_path)
    output(Frame("hello", "began"))
    for n in range(5):
        output(verbose(f"line {n}"))
    assert [len(b.lines) for b in batches] == [1]
    clock.now = 1.0
    output(Frame("tick"))
    assert [len(b.lines) for b in batches] == [1, 4]
    output(verbose("before"))
    output(Frame("error", "red", "1", RedLine("m", "red hunter2-secret", raw="\x1b[31mred hunter2-secret")))
    assert batches[-1].urgent
    assert [line.text for line in batches[-1].lines] == ["before", "red [removed]"]
    blob = output.close()
    assert blob is not None
    whole = blob.path.read_bytes()
    assert hashlib.sha256(whole).hexdigest() == blob.sha256 == blob.path.name
    assert b"line 3" in whole
    assert b"\x1b[31mred [removed]" in whole
    assert blob.path.stat().st_mode & 0o077 == 0


def test_a_flood_is_batched_bounded_and_counted_but_kept_whole(tmp_path: Path) -> None:
    output, batches, _ = collect(tmp_path)
    line = "x" * 1000
    for _ in range(2000):
        output(verbose(line))
    output(Frame("error", "the end", "1", RedLine("m", "the end")))
    blob = output.close()
    assert blob is not None
    kept = sum(len(one.text) for b in batches for one in b.lines)
    assert STEP_BYTES - 2000 < kept <= STEP_BYTES + 4096
    assert all(sum(len(one.text) for one in b.lines) <= BATCH_BYTES for b in batches)
    assert batches[-1].lines[-1].text == "the end"
    assert batches[-1].left_out == 2000 * 1000 - (kept - len("the end"))
    assert blob.size > 2_000_000


def test_one_giant_record_is_cut_into_parts(tmp_path: Path) -> None:
    output, batches, _ = collect(tmp_path)
    output(verbose("ä" * 20_000))
    output.close()
    assert "".join(one.text for b in batches for one in b.lines) == "ä" * 20_000
    assert max(sum(len(one.text.encode()) for one in b.lines) for b in batches) <= BATCH_BYTES
