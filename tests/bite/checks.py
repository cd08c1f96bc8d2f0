"""Which checks there are: found in the source itself, so that none is forgotten.

A check is a question whose answer can be no. What a no looks like follows from the function: a refusal, a finding,
an exception, `None` where a value was wanted, `False` from a predicate. Each part that can say no by itself is a check
of its own: every operand of an `or` that leads to a no, every operand of an `and` that leads to a yes, every condition
before an early yes, every call to another judge, every filter over people or votes, the floor in a `max`.
Taking a check away means that it can no longer say no; everything else stays.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).resolve().parents[2]

RULES: Final = ("tests/incident/rules",)
RECORD: Final = ("tests/incident/test_record.py", "tests/incident/test_believed.py")
HANDS: Final = ("tests/workers/test_rebuilt.py", "tests/workers/test_guard.py", "tests/workers/test_trust_nobody.py")
DOORS: Final = ("tests/bot/test_at_the_door.py", "tests/bot/test_doors.py")
GUARDED: Final[dict[str, tuple[str, ...]]] = {
    # file -> the tests that should notice, nearest first
    "incident/decide/__init__.py": RULES,
    "incident/decide/approval.py": RULES,
    "incident/decide/who.py": RULES,
    "incident/decide/requests.py": RULES,
    "incident/decide/running.py": RULES,
    "incident/decide/closing.py": RULES,
    "incident/decide/hands.py": RULES,
    "incident/state.py": RULES,
    "incident/rulings.py": RULES,
    "incident/plans.py": RULES,
    "incident/persons.py": RULES,
    "incident/policy.py": ("tests/incident/test_policy.py", "tests/config"),
    "incident/approvals_check.py": (*RULES, "tests/incident/test_verify_approval.py"),
    "incident/verify_approval.py": ("tests/incident/test_verify_approval.py",),
    "incident/one_time.py": ("tests/incident/test_one_time.py",),
    "incident/events.py": ("tests/incident/test_who_writes.py",),
    "incident/record.py": RECORD,
    "incident/believe.py": RECORD,
    "incident/journals/signed.py": ("tests/incident/test_journal_contract.py",),
    "incident/journals/append.lua": ("tests/incident/test_journal_contract.py", "tests/incident/test_one_rule.py"),
    "workers/check.py": HANDS,
    "workers/fresh.py": HANDS,
    "workers/guard.py": HANDS,
    "bot/identity.py": DOORS,
    "bot/app.py": DOORS,
}

SAYS_NO: Final = frozenset(
    {"no", "hand_no", "refuse", "wrong", "Refusal", "Finding", "NotAllowed", "NOT_BUILT"}
    | {"Lapsed", "Voided", "Revoked", "LockedOut", "RunRefused"}
)
"""What makes an expression a no wherever it stands: refusals, and the events that end a right."""
DROPPED: Final = frozenset(
    {"ge", "le", "pattern", "min_length", "max_length", "extra", "validate", "parse_float", "parse_constant"}
)
"""Keyword arguments that make the called thing strict."""

ROLES: Final = ("watch", "declare", "approve", "operate", "audit")

Way = Literal["judge", "value", "bool", "int", "result", "other"]


@dataclass(frozen=True)
class Check:
    """One check: where it stands, what it asks, and what stands there once it is taken away."""

    file: str
    function: str
    asks: str
    span: tuple[int, int, int, int]
    """First line, column, last line, column; columns count UTF-8 bytes, lines from 1."""
    instead: str
    tests: tuple[str, ...]

    @property
    def key(self) -> str:
        """Stable name: file, function and the question; no line numbers."""
        return f"{self.file} · {self.function} · {self.asks}"


def all_checks() -> list[Check]:
    """Every check of the guarded files, in reading order."""
    files = {file: (ROOT / file).read_text("utf-8") for file in GUARDED}
    trees = {file: ast.parse(text) for file, text in files.items() if file.endswith(".py")}
    senses: set[str] = set()
    written = [(tree, list(_functions_and_methods(tree))) for tree in trees.values()]
    known = {file: _Known(senses).learn(tree, written) for file, tree in trees.items()}
    found: list[Check] = []
    for _ in range(2):
        # Twice: in which sense a predicate is asked is known once its askers were read.
        found = []
        for file, text in files.items():
            tests = tuple(t for t in GUARDED[file] if (ROOT / t).exists())
            if file in trees:
                found += _Reader(file, text, tests, known[file]).read(trees[file])
            else:
                found += _lua(file, text, tests)
    return _distinct(found)


def _distinct(found: Iterable[Check]) -> list[Check]:
    """One check a place and change; equal questions in one function are numbered."""
    once = {(c.file, c.span, c.instead): c for c in found}
    ordered = sorted(once.values(), key=lambda c: (list(GUARDED).index(c.file), c.span))
    seen: Counter[str] = Counter()
    out = []
    for check in ordered:
        seen[check.key] += 1
        number = seen[check.key]
        out.append(check if number == 1 else replace(check, asks=f"{check.asks} ({number})"))
    return out


# --- what the functions are ---------------------------------------------------------------------------------


@dataclass
class _Known:
    """What one file's names for the guarded functions mean: its own functions, and those it imports."""

    bad_when_true: set[str]
    """Predicates whose yes is a no; shared by all files."""
    empty: dict[str, str] = field(default_factory=dict)
    """Judge -> what it returns where nothing is wrong."""
    raising: set[str] = field(default_factory=set)
    """Procedures that return nothing and can raise."""
    predicates: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    """Functions that make nothing but a refusal."""

    def learn(
        self, tree: ast.Module, written: Iterable[tuple[ast.Module, list[tuple[ast.FunctionDef, bool]]]]
    ) -> _Known:
        """Reads the signatures this file can see: its own, what it imports, and every method."""
        imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        for other, functions in written:
            for function, method in functions:
                if other is tree or method or function.name in imported:
                    self._note(function)
        for function, _ in next(functions for other, functions in written if other is tree):
            # A procedure that only calls checking procedures checks as well.
            calls = [_called(s.value) for s in function.body if isinstance(s, ast.Expr)]
            if _returns(function) == "None" and self.raising.intersection(calls):
                self.raising.add(function.name)
        return self

    def _note(self, function: ast.FunctionDef) -> None:
        way, empty = _way(function)
        if way == "judge":
            self.empty[function.name] = empty
        if way == "bool":
            self.predicates.add(function.name)
        if _returns(function) == "Refusal":
            self.refusals.add(function.name)
        if _returns(function) == "None" and any(isinstance(n, ast.Raise) for n in ast.walk(function)):
            self.raising.add(function.name)


def _functions_and_methods(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """Each function, and whether it is a method of a class of the module."""
    methods = {m for c in tree.body if isinstance(c, ast.ClassDef) for m in c.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node, node in methods


def _returns(function: ast.FunctionDef) -> str:
    return ast.unparse(function.returns) if function.returns else ""


def _way(function: ast.FunctionDef) -> tuple[Way, str]:
    """What kind of answer the function gives, and a judge's empty answer."""
    returns = _returns(function)
    if returns == "bool":
        return "bool", ""
    if returns == "int":
        return "int", ""
    if re.fullmatch(r"(Refusal|Voided|tuple\[str, str(, bool)?\]) \| None", returns):
        return "judge", "None"
    if returns in ("list[Finding]", "list[str]", "Breaches"):
        return "judge", "[]"
    if returns == "tuple[Finding, ...]":
        return "judge", "()"
    if returns == "str" and any(_text(n) == "" for n in ast.walk(function) if isinstance(n, ast.Return)):
        return "judge", '""'
    if returns == "Result" or "Refusal" in returns or "NotAllowed" in returns:
        return "result", ""
    if returns.endswith("| None"):
        return "value", ""
    return "other", ""


def _text(node: ast.Return) -> object:
    return node.value.value if isinstance(node.value, ast.Constant) else None


def _called(call: ast.expr | None) -> str:
    if not isinstance(call, ast.Call):
        return ""
    if isinstance(call.func, ast.Attribute) and _called(call.func.value) == "super":
        return ""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


# --- reading one file ---------------------------------------------------------------------------------------


class _Reader:
    """Finds the checks of one Python file."""

    def __init__(self, file: str, source: str, tests: tuple[str, ...], known: _Known) -> None:
        self._file, self._source, self._tests, self._known = file, source, tests, known
        self._lines = source.encode().splitlines(keepends=True)
        self._name, self._found = "", list[Check]()

    def read(self, tree: ast.Module) -> list[Check]:
        """Every check of the file, in no order."""
        self._tree = tree
        self._classes(tree)
        for self._name, function in _functions(tree):
            _Function(self, function, self._known).read()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                self._strictness(node)
        return self._found

    def take(self, node: ast.AST, instead: str, asks: str = "") -> None:
        """Notes that this node may be replaced."""
        span = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
        text = asks or " ".join(_cut(self._lines, span)[1].decode().split())
        self._found.append(Check(self._file, self._name, text, span, instead, self._tests))

    def _strictness(self, call: ast.Call) -> None:
        """Keyword arguments that make something strict: each dropped."""
        for keyword in call.keywords:
            if keyword.arg in DROPPED:
                fewer = ast.Call(call.func, call.args, [k for k in call.keywords if k is not keyword])
                self._name = self._around(call)
                self.take(call, ast.unparse(fewer), ast.unparse(keyword))

    def _around(self, node: ast.AST) -> str:
        """The names of the classes, fields and functions around a node."""
        return ".".join(_path(self._tree, node.lineno, node.col_offset)) or "module"  # type: ignore[attr-defined]

    def _classes(self, tree: ast.Module) -> None:
        """Who may write an event stands in its class; and a property that answers None for good."""
        for node in tree.body:
            if not isinstance(node, ast.ClassDef):
                continue
            for statement in node.body:
                self._name = node.name
                self._writers(statement)
                if isinstance(statement, ast.FunctionDef) and _always_none(statement):
                    self._name = f"{node.name}.{statement.name}"
                    statement.lineno = statement.decorator_list[0].lineno
                    self.take(statement, "pass", "always None")

    def _writers(self, statement: ast.stmt) -> None:
        if not isinstance(statement, ast.Assign):
            return
        target, value = statement.targets[0], statement.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        for name, given in pairs:
            if isinstance(name, ast.Name) and name.id == "WRITERS":
                self.take(given, "ANYONE", f"WRITERS = {ast.unparse(given)}")


def _always_none(function: ast.FunctionDef) -> bool:
    body = [s for s in function.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    only = body[0] if len(body) == 1 else None
    decorated = any(getattr(d, "id", "") == "property" for d in function.decorator_list)
    return decorated and isinstance(only, ast.Return) and getattr(only.value, "value", 0) is None


def _path(node: ast.AST, line: int, column: int) -> list[str]:
    for child in ast.iter_child_nodes(node):
        begins, ends = getattr(child, "lineno", None), getattr(child, "end_lineno", None)
        if begins is None or ends is None or not begins <= line <= ends:
            continue
        if begins == line == ends and not child.col_offset <= column <= child.end_col_offset:  # type: ignore[attr-defined]
            continue
        name = getattr(child, "name", None) or getattr(getattr(child, "target", None), "id", None)
        return ([name] if isinstance(name, str) else []) + _path(child, line, column)
    return []


def _functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield f"{within}{node.name}", node
            yield from _functions(node, f"{within}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{within}{node.name}.")
        elif isinstance(node, ast.stmt):
            yield from _functions(node, within)


def _own(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every node of a function, without those of functions inside it."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        yield node
        yield from _own(ast.iter_child_nodes(node))


# --- reading one function -----------------------------------------------------------------------------------


class _Function:
    """Finds the checks of one function."""

    def __init__(self, reader: _Reader, function: ast.FunctionDef, known: _Known) -> None:
        self._take, self._known, self._function = reader.take, known, function
        self._way, _ = _way(function)
        self._nodes = list(_own(function.body))
        self._assigned: dict[str, list[ast.expr]] = {}
        for node in self._nodes:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self._assigned.setdefault(node.targets[0].id, []).append(node.value)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple | ast.List):
                for target in node.targets[0].elts:
                    self._assigned.setdefault(getattr(target, "id", ""), []).append(node.value)
            elif isinstance(node, ast.NamedExpr):
                self._assigned.setdefault(node.target.id, []).append(node.value)
        self._returned = {n.value for n in self._nodes if isinstance(n, ast.Return)}
        self._asked: set[str] = set()
        self._around: list[ast.AST] = []
        self._in_questions: set[ast.AST] = set()

    def read(self) -> None:
        """Every check of this function."""
        for node in self._nodes:
            if isinstance(node, ast.If):
                self._fork(node.test, self._says(node.body), self._says(node.orelse))
            elif isinstance(node, ast.IfExp):
                if _smaller(node.body, node.orelse):
                    self._weaken(node.test, no=False)
                returned = node in self._returned
                self._fork(node.test, self._means(node.body, returned=returned),
                           self._means(node.orelse, returned=returned))  # fmt: skip
            elif isinstance(node, ast.Return) and self._way == "bool" and not self._plain(node.value):
                self._weaken(node.value, self._function.name in self._known.bad_when_true)
            elif isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Expr) and _called(node.value) in self._known.raising:
                self._take(node, "pass")
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and isinstance(node.right, ast.Set):
                self._take(node, ast.unparse(node.left))
        for node in self._nodes:
            if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
                for generator in node.generators:
                    for condition in generator.ifs:
                        if condition not in self._in_questions and not _only_narrows(condition, [node]):
                            self._around = [node]
                            self._weaken(condition, no=False)
                            self._around = []
        for name in list(self._assigned):
            question = self._question(name)
            fallback = isinstance(question, ast.BoolOp) and isinstance(question.op, ast.Or)
            if name not in self._asked and question is not None and not fallback:
                self._weaken(question, no=False)

    def _plain(self, value: ast.expr | None) -> bool:
        """An answer that is no question: a constant, or one that was asked of something else."""
        handed_on = isinstance(value, ast.Call) and self._function.name == _called(value)
        return value is None or isinstance(value, ast.Constant) or handed_on

    def _call(self, call: ast.Call) -> None:
        name = _called(call)
        if name in self._known.empty and name not in SAYS_NO:
            self._take(call, self._known.empty[name])
        elif name == "authorise":
            for argument in call.args:
                if isinstance(argument, ast.Tuple):
                    everybody = ", ".join(f'"{role}"' for role in ROLES)
                    self._take(argument, f"({everybody})", f"{ast.unparse(argument)} of {ast.unparse(call)}")
        elif name == "max" and len(call.args) > 1:
            for argument in call.args:
                rest = [a for a in call.args if a is not argument]
                text = ast.unparse(rest[0]) if len(rest) == 1 else ast.unparse(ast.Call(call.func, rest, []))
                self._take(call, text, f"{ast.unparse(argument)} in {ast.unparse(call)}")
        elif name == "bool" and isinstance(call.args[0], ast.BoolOp):
            self._weaken(call.args[0], no=True)
        elif name in ("next", "any", "all") and isinstance(call.args[0], ast.GeneratorExp):
            self._in_questions.update(c for g in call.args[0].generators for c in g.ifs)

    # --- what leads to a no --------------------------------------------------------------------------------

    def _fork(self, test: ast.expr, then: bool | None, otherwise: bool | None) -> None:
        """`then`, `otherwise`: True where that way says no, False where it says yes, None where neither."""
        if then is True or (otherwise is False and then is not False):
            self._weaken(test, no=True)
        elif then is False or otherwise is True:
            self._weaken(test, no=False)

    def _says(self, body: list[ast.stmt]) -> bool | None:
        """Whether these statements say no (True), end in a yes (False), or neither."""
        if not body:
            return None
        last = body[-1]
        if isinstance(last, ast.Raise) or any(self._notes_a_no(s) for s in body):
            return True
        if isinstance(last, ast.Return):
            if last.value is None:
                # Turned away, at most with a word; what does more before it returns has done its work.
                return True if self._way == "other" and len(body) <= 2 else None
            return self._means(last.value, returned=True)
        return None

    def _notes_a_no(self, statement: ast.stmt) -> bool:
        if isinstance(statement, ast.Assign):
            return self._holds_no(statement.value)
        if isinstance(statement, ast.Expr):
            call = statement.value
            if _called(call) in ("append", "extend", "add") and self._way == "judge":
                return True
            return _called(call) in SAYS_NO or (
                isinstance(call, ast.Call) and any(self._holds_no(a) for a in call.args)
            )
        return False

    def _means(self, value: ast.expr, *, returned: bool = False) -> bool | None:
        if self._holds_no(value):
            return True
        if isinstance(value, ast.IfExp) or not returned:
            return None
        if self._of_nothing(value) or any(self._of_nothing(r) and _called(r) == _called(value) for r in self._returned):
            return self._of_nothing(value)
        empty = (isinstance(value, ast.Constant) and value.value in (None, "")) or (
            isinstance(value, ast.List | ast.Tuple) and not value.elts
        )
        if self._way == "judge":
            return not empty
        if self._way == "value":
            return empty
        if self._way == "bool" and isinstance(value, ast.Constant):
            return bool(value.value) is (self._function.name in self._known.bad_when_true)
        if self._way == "int" and isinstance(value, ast.Constant) and type(value.value) is int:
            return value.value == max(_whole_numbers(self._function), default=0)
        if self._way == "result" and returned:
            fewer = isinstance(value, ast.Tuple) and any(self._longer(value, other) for other in self._returned)
            return True if fewer or isinstance(value, ast.Name) else None
        return None

    def _of_nothing(self, value: ast.expr | None) -> bool:
        """`Code(None)`: an answer that says there is none."""
        first = value.args[0] if isinstance(value, ast.Call) and value.args else None
        return isinstance(first, ast.Constant) and first.value is None

    def _longer(self, value: ast.Tuple, other: ast.expr | None) -> bool:
        """Whether another return of this function brings these events and more; every event is more than none."""
        if not value.elts:
            return True
        these = [ast.unparse(e) for e in value.elts]
        more = [ast.unparse(e) for e in other.elts] if isinstance(other, ast.Tuple) else []
        return len(more) > len(these) and more[: len(these)] == these

    def _holds_no(self, value: ast.expr) -> bool:
        """Something that says no: alone, first of others, in a list or tuple."""
        if isinstance(value, ast.List | ast.Tuple | ast.Set):
            return any(self._holds_no(item) for item in value.elts)
        if isinstance(value, ast.Name):
            return value.id in SAYS_NO and value.id.isupper()
        if isinstance(value, ast.Call):
            says = _called(value) in SAYS_NO or _called(value) in self._known.refusals
            return says or any(isinstance(a, ast.Name) and self._holds_no(a) for a in value.args)
        return False

    # --- taking a question away -------------------------------------------------------------------------------

    def _weaken(self, node: ast.expr, no: bool) -> None:
        """Each part of a question that leads to a no when true (`no`) or to a yes when true."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._weaken(node.operand, not no)
        elif isinstance(node, ast.BoolOp):
            each_alone = isinstance(node.op, ast.Or) is no
            if not each_alone:
                self._whole(node, no)
            for operand in node.values:
                if _only_narrows(operand, [*node.values[node.values.index(operand) + 1 :], *self._around]):
                    continue
                if each_alone or not self._simple(operand):
                    self._inside(operand, no, whole=each_alone)
        else:
            self._inside(node, no, whole=True)

    def _inside(self, node: ast.expr, no: bool, *, whole: bool) -> None:
        if isinstance(node, ast.BoolOp) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            self._weaken(node, no)
        elif isinstance(node, ast.Name) and self._question(node.id) is not None:
            question = self._assigned.pop(node.id)
            self._asked.add(node.id)
            self._weaken(question[0], no)
            self._assigned[node.id] = question
        elif isinstance(node, ast.Compare):
            self._compare(node, no, whole=whole)
        else:
            if _called(node) in self._known.predicates and no:
                self._known.bad_when_true.add(_called(node))
            if isinstance(node, ast.Call) and _called(node) == ("any" if no else "all"):
                one = node.args[0]
                if isinstance(one, ast.GeneratorExp) and isinstance(one.elt, ast.BoolOp):
                    self._weaken(one.elt, no)
            if whole:
                self._whole(node, no)

    def _whole(self, node: ast.expr, no: bool) -> None:
        if any(isinstance(n, ast.NamedExpr) for n in ast.walk(node)) and not no:
            return
        if no and self._about_a_judge(node):
            return
        self._take(node, "(False)" if no else "(True)")

    def _about_a_judge(self, node: ast.expr) -> bool:
        """Whether only another judge's answer is asked about; then the call to that judge is the check."""
        if isinstance(node, ast.Compare):
            node = node.left
        if isinstance(node, ast.NamedExpr):
            node = node.value
        values = self._assigned.get(node.id, []) if isinstance(node, ast.Name) else [node]
        return bool(values) and any(self._from_judges(v) for v in values)

    def _from_judges(self, value: ast.expr) -> bool:
        if isinstance(value, ast.BoolOp):
            return any(self._from_judges(v) for v in value.values)
        if isinstance(value, ast.IfExp):
            return self._from_judges(value.body)
        return _called(value) in self._known.empty

    def _question(self, name: str) -> ast.expr | None:
        values = self._assigned.get(name, [])
        one = values[0] if len(values) == 1 else None
        asks = isinstance(one, ast.BoolOp | ast.Compare) or (
            isinstance(one, ast.UnaryOp) and isinstance(one.op, ast.Not)
        )
        if isinstance(one, ast.BoolOp) and any(_called(v) in self._known.empty for v in one.values):
            return None
        return one if asks else None

    def _simple(self, node: ast.expr) -> bool:
        """Without parts that can say no by themselves."""
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node = node.operand
        named = isinstance(node, ast.Name) and self._question(node.id) is not None
        return not (named or isinstance(node, ast.BoolOp) or _parts(node))

    def _compare(self, node: ast.Compare, no: bool, *, whole: bool) -> None:
        if whole and not (len(node.ops) > 1 and not no):
            self._whole(node, no)
        if len(node.ops) > 1:
            self._each_end(node, no)
        else:
            self._one_of_several(node, no)
            self._pairs(node, no)
            self._whom_next_finds(node, no)

    def _each_end(self, node: ast.Compare, no: bool) -> None:
        """`least <= it <= most`: each end alone."""
        middle = node.comparators[0]
        first = ast.unparse(ast.Compare(node.left, node.ops[:1], [middle]))
        last = ast.unparse(ast.Compare(middle, node.ops[1:], node.comparators[1:]))
        if not no:
            self._take(node, f"({last})", f"{first} in {ast.unparse(node)}")
            self._take(node, f"({first})", f"{last} in {ast.unparse(node)}")

    def _one_of_several(self, node: ast.Compare, no: bool) -> None:
        """One of several words: each word alone."""
        several = node.comparators[0]
        if not _parts(node) or not isinstance(node.ops[0], ast.In if no else ast.NotIn):
            return
        assert isinstance(several, ast.Tuple | ast.Set | ast.List)
        for item in several.elts:
            rest = ", ".join(ast.unparse(e) for e in several.elts if e is not item)
            self._take(several, f"({rest},)", f"{ast.unparse(item)} in {ast.unparse(node)}")

    def _pairs(self, node: ast.Compare, no: bool) -> None:
        """Two tuples: each pair alone."""
        left, right = node.left, node.comparators[0]
        if not (isinstance(left, ast.Tuple) and isinstance(right, ast.Tuple)):
            return
        if isinstance(node.ops[0], ast.NotEq if no else ast.Eq):
            for one, other in zip(left.elts, right.elts, strict=True):
                self._take(one, ast.unparse(other), f"{ast.unparse(one)} in {ast.unparse(node)}")

    def _whom_next_finds(self, node: ast.Compare, no: bool) -> None:
        """No where nothing fits: each part of what has to fit."""
        if not (isinstance(node.ops[0], ast.Is) and no and isinstance(node.left, ast.Name)):
            return
        for value in self._assigned.get(node.left.id, []):
            if isinstance(value, ast.Call) and _called(value) == "next" and isinstance(value.args[0], ast.GeneratorExp):
                for condition in (c for g in value.args[0].generators for c in g.ifs):
                    self._weaken(condition, no=False)


def _smaller(one: ast.expr, other: ast.expr) -> bool:
    """`q - 1` beside `q`, or `1` beside `0` (which is taken off): fewer people where the answer is yes."""
    less = isinstance(one, ast.BinOp) and isinstance(one.op, ast.Sub) and ast.unparse(one.left) == ast.unparse(other)
    return less or (ast.unparse(one), ast.unparse(other)) == ("1", "0")


def _only_narrows(node: ast.expr, later: Iterable[ast.AST]) -> bool:
    """Whether there is something at all, asked only so that the next question can be asked of it."""
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Is | ast.IsNot):
        return False
    about = ast.unparse(node.left.target if isinstance(node.left, ast.NamedExpr) else node.left)
    inside = list(ast.walk(node))
    used = [n for v in later for n in ast.walk(v) if isinstance(n, ast.Attribute) and n not in inside]
    return any(ast.unparse(n).startswith(about) for n in used)


def _parts(node: ast.expr) -> bool:
    """A question whether something is one of several words."""
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.In | ast.NotIn):
        return False
    several = node.comparators[0]
    return isinstance(several, ast.Tuple | ast.Set | ast.List) and len(several.elts) > 1


def _whole_numbers(function: ast.FunctionDef) -> list[int]:
    return [
        n.value for r in ast.walk(function) if isinstance(r, ast.Return) and r.value is not None
        for n in ast.walk(r.value) if isinstance(n, ast.Constant) and type(n.value) is int
    ]  # fmt: skip


# --- Lua, and the change itself -----------------------------------------------------------------------------


def _lua(file: str, source: str, tests: tuple[str, ...]) -> list[Check]:
    """Every `if` that answers instead of writing, and every one before something is taken out."""
    found = []
    for pattern, instead in (
        (r"if (.+?) then\s+return \{'(\w+)'", "false"),
        (r"if (.+?) then redis.call\('(HDEL)'", "true"),
    ):
        for match in re.finditer(pattern, source):
            line = source.count("\n", 0, match.start(1)) + 1
            column = match.start(1) - (source.rfind("\n", 0, match.start(1)) + 1)
            span = (line, column, line, column + len(match[1]))
            found.append(Check(file, match[2], match[1], span, instead, tests))
    return found


def without(check: Check, source: str) -> str:
    """The source with this check taken away."""
    before, _, after = _cut(source.encode().splitlines(keepends=True), check.span)
    return (before + check.instead.encode() + after).decode()


def _cut(lines: list[bytes], span: tuple[int, int, int, int]) -> tuple[bytes, bytes, bytes]:
    """What stands before, in and behind a place."""
    first, begins, last, ends = span
    before = b"".join(lines[: first - 1]) + lines[first - 1][:begins]
    rest = lines[first - 1 : last]
    rest[-1] = rest[-1][:ends]
    rest[0] = rest[0][begins:]
    return before, b"".join(rest), lines[last - 1][ends:] + b"".join(lines[last:])
