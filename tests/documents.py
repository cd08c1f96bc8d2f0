"""The parts of the documents that are made from the code: `python -m tests.documents` writes them anew."""

from __future__ import annotations

from pathlib import Path

from incident import codes, rulings
from tests.attacks import table
from tests.conftest import ROOT


def parts() -> dict[Path, dict[str, str]]:
    """Document -> mark -> the text that must stand between `<!-- mark -->` and `<!-- /mark -->`."""
    return {ROOT / "docs" / "approval.md": {"rulings": rulings.as_markdown(), "attacks": table.as_markdown()}}


def whole() -> dict[Path, str]:
    """Document -> its whole text, for those that are made from the code alone."""
    return {ROOT / "docs" / "codes.md": codes.as_markdown()}


def filled(text: str, mark: str, made: str) -> str:
    """The document with what was made between its marks. Raises ValueError where a mark is missing."""
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"There is no pair of marks {begin.strip()} … {end}.")
    return f"{before}{begin}{made}\n{end}{after}"


def wanted(path: Path) -> str:
    """The document as it should be."""
    text = path.read_text("utf-8")
    for mark, made in parts().get(path, {}).items():
        text = filled(text, mark, made)
    return whole().get(path, text)


if __name__ == "__main__":
    for each in (*parts(), *whole()):
        each.write_text(wanted(each), "utf-8")
