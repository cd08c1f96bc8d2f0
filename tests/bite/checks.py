"""Which checks there are: found in the source itself, so that none is forgotten.

A check is an `if` that says no: its body returns a refusal or a finding, appends one, or raises. Taking it away
means that its condition is never true. In the small predicates that rights rest on, each operand of an `and` or
`or` is a check of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SAYS_NO = {"no", "Refusal", "Finding", "Trouble", "NotAllowed", "refuse"}
"""Calls that are a no when they are returned, yielded or appended."""

GUARDED: dict[str, tuple[str, ...]] = {
    # file -> the tests that should notice, nearest first
    "incident/decide/approval.py": ("tests/incident/rules", "tests/properties"),
    "incident/decide/who.py": ("tests/incident/rules", "tests/properties"),
    "incident/decide/requests.py": ("tests/incident/rules",),
    "incident/decide/running.py": ("tests/incident/rules",),
    "incident/decide/closing.py": ("tests/incident/rules",),
    "incident/decide/hands.py": ("tests/incident/rules", "tests/workers", "tests/properties"),
    "incident/approvals_check.py": ("tests/incident/rules", "tests/workers", "tests/properties"),
    "incident/persons.py": ("tests/incident/rules", "tests/properties"),
    "workers/check.py": ("tests/workers", "tests/hostile"),
    "workers/guard.py": ("tests/workers", "tests/hostile"),
    "incident/believe.py": ("tests/incident",),
}
PREDICATES: dict[str, tuple[str, ...]] = {
    "incident/policy.py": ("tests/incident/rules", "tests/config"),
}


@dataclass(frozen=True)
class Check:
    """One check: where it stands and what it asks."""

    file: str
    function: str
    asks: str
    line: int
    column: int
    end_line: int
    end_column: int
    instead: str
    tests: tuple[str, ...]

    @property
    def key(self) -> str:
        """Stable name: file, function and the question; no line numbers."""
        return f"{self.file} · {self.function} · {self.asks}"


def all_checks() -> list[Check]:
    """Every check of the guarded files that exist, in reading order."""
    found: list[Check] = []
    for file, tests in {**GUARDED, **PREDICATES}.items():
        path = ROOT / file
        if path.exists():
            here = [t for t in tests if (ROOT / t).exists()]
            found.extend(_checks(file, path.read_text("utf-8"), tuple(here), file in PREDICATES))
    return _distinct(found)


def _distinct(found: list[Check]) -> list[Check]:
    seen: dict[str, int] = {}
    out = []
    for check in found:
        number = seen[check.key] = seen.get(check.key, 0) + 1
        out.append(check if number == 1 else _renamed(check, number))
    return out


def _renamed(check: Check, number: int) -> Check:
    from dataclasses import replace

    return replace(check, asks=f"{check.asks} ({number})")


def _checks(file: str, source: str, tests: tuple[str, ...], predicates: bool) -> Iterator[Check]:
    tree = ast.parse(source)
    for name, function in _functions(tree):
        for node in _own(function):
            refuses = isinstance(node, ast.If) and _refuses(node.body)
            if isinstance(node, ast.If | ast.IfExp) and (refuses or _is_no(node.body)):
                yield _check(file, name, source, node.test, "False", tests)
            elif predicates and isinstance(node, ast.Return) and isinstance(node.value, ast.BoolOp):
                neutral = "True" if isinstance(node.value.op, ast.And) else "False"
                for operand in node.value.values:
                    yield _check(file, name, source, operand, neutral, tests)


def _functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            name = f"{within}{node.name}"
            yield name, node
            yield from _functions(node, f"{name}.")
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{within}{node.name}.")
        elif isinstance(node, ast.stmt):
            yield from _functions(node, within)


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Every node of this function, without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            waiting[:0] = list(ast.iter_child_nodes(node))


def _refuses(body: list[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    if isinstance(last, ast.Return | ast.Expr) and last.value is not None:
        return _is_no(last.value)
    return False


def _is_no(value: object) -> bool:
    """A call that says no, alone, in a list, in a tuple, yielded, or given to append."""
    if isinstance(value, ast.Yield | ast.YieldFrom) and value.value is not None:
        return _is_no(value.value)
    if isinstance(value, ast.List | ast.Tuple):
        return any(_is_no(item) for item in value.elts)
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return name in SAYS_NO or (name in ("append", "extend") and any(_is_no(arg) for arg in value.args))
    return False


def _check(file: str, name: str, source: str, node: ast.expr, instead: str, tests: tuple[str, ...]) -> Check:
    asks = " ".join((ast.get_source_segment(source, node) or "").split())
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return Check(file, name, asks, node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, instead, tests)


def without(check: Check, source: str) -> str:
    """The source with this check taken away. Columns of `ast` count UTF-8 bytes."""
    lines = source.encode().splitlines(keepends=True)
    before = b"".join(lines[: check.line - 1]) + lines[check.line - 1][: check.column]
    after = lines[check.end_line - 1][check.end_column :] + b"".join(lines[check.end_line :])
    return (before + f"({check.instead})".encode() + after).decode()
