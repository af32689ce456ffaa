"""Which small changes of the code does no test notice?

    python benchmarks/mutants.py src/deepix/finder --tests tests/test_finder.py tests/test_locating.py --count 60
    python benchmarks/mutants.py src/deepix/finder --tests tests/test_finder.py --count 60 --first 60   # the next ones

First the tests are run once, and it is noted which lines each of them goes through. Then mutants are drawn at random
(`--seed`): a comparison turned round, + for −, a number changed, a condition negated, a call left out, `min` for
`max`, a test function that always says yes or no. Each is put into a copy of the sources, and the tests that go
through its line are run, the quickest first, until one fails. What survives is printed: a line that no test goes
through, a change that makes no difference, or one that no test notices.

The sources themselves are not touched. The notes are kept in `--notes`, to go on with without running all tests again;
throw them away when sources or tests have changed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

NOTES, TRACED = "MUTANTS_NOTES", "MUTANTS_TRACED"
"""Variables of the environment by which the run that takes notes is told where to write them, and of which files."""
PATIENCE, LEAST_PATIENCE = 10.0, 60.0
"""A mutant is stopped, and counts as noticed, after so many times its tests' usual time, or seconds at least."""
COMPARISONS = {"Lt": "<=", "LtE": "<", "Gt": ">=", "GtE": ">", "Eq": "!=", "NotEq": "==", "In": "not in"}
COMPARISONS |= {"NotIn": "in", "Is": "is not", "IsNot": "is"}
OPERATORS = {"Add": "-", "Sub": "+", "Mult": "/", "Div": "*", "FloorDiv": "*", "Mod": "+", "Pow": "*"}
OPERATORS |= {"BitAnd": "|", "BitOr": "&", "LShift": ">>", "RShift": "<<", "MatMult": "+"}
OTHERS = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}


@dataclass(frozen=True, order=True)
class Mutant:
    """A change of one place of a file: what stands between two offsets (in characters) is replaced."""

    file: str
    line: int
    start: int
    stop: int
    text: str
    what: str

    def applied(self, source: str) -> str:
        """Return the file's text with the change."""
        return source[: self.start] + self.text + source[self.stop :]


# ── mutants of a file ────────────────────────────────────────────────────────────────────────────


class Finder(ast.NodeVisitor):
    """Collects the mutants of a file."""

    def __init__(self, file: str, source: str) -> None:
        self.file, self.source = file, source
        self.mutants: list[Mutant] = []
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self.visit(ast.parse(source))

    def _offset(self, line: int, column: int) -> int:
        start = self._lines[line - 1]
        text = self.source[start : self._lines[line]]
        return start + len(text.encode()[:column].decode())  # columns are of bytes

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _text(self, node: ast.expr) -> str:
        start, stop = self._span(node)
        return self.source[start:stop]

    def _add(self, node: ast.expr | ast.stmt, text: str, what: str) -> None:
        self.mutants.append(Mutant(self.file, node.lineno, *self._span(node), text, what))

    def visit_Compare(self, node: ast.Compare) -> None:
        """`a < b` becomes `a <= b`, `==` becomes `!=` …"""
        if len(node.ops) == 1 and (other := COMPARISONS.get(type(node.ops[0]).__name__)):
            left, right = self._text(node.left), self._text(node.comparators[0])
            self._add(node, f"(({left}) {other} ({right}))", f"{ast.unparse(node)} with {other}")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """`a + b` becomes `a - b` …"""
        if other := OPERATORS.get(type(node.op).__name__):
            text = f"(({self._text(node.left)}) {other} ({self._text(node.right)}))"
            self._add(node, text, f"{ast.unparse(node)} with {other}")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """`and` becomes `or`."""
        other = "or" if isinstance(node.op, ast.And) else "and"
        text = f" {other} ".join(f"({self._text(value)})" for value in node.values)
        self._add(node, f"({text})", f"{ast.unparse(node)} with {other}")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """A sign or `not` is left out."""
        self._add(node, f"({self._text(node.operand)})", f"{ast.unparse(node)} without its sign")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Another number."""
        value = node.value
        if isinstance(value, bool):
            self._add(node, repr(not value), f"{value} is {not value}")
        elif isinstance(value, int):
            self._add(node, repr(value + 1), f"{value} is {value + 1}")
        elif isinstance(value, float):
            self._add(node, repr(2 * value or 1.0), f"{value} is {2 * value or 1.0}")

    def visit_Call(self, node: ast.Call) -> None:
        """`min` becomes `max` …"""
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in OTHERS:
            text = self._text(node.func)
            self._add(node.func, text[: len(text) - len(name)] + OTHERS[name], f"{ast.unparse(node)}: {OTHERS[name]}")
        self.generic_visit(node)

    def _condition(self, node: ast.If | ast.While | ast.IfExp) -> None:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            return
        self._add(node.test, f"(not ({self._text(node.test)}))", f"not ({ast.unparse(node.test)})")
        self.generic_visit(node)

    visit_If = visit_While = visit_IfExp = _condition

    def visit_Expr(self, node: ast.Expr) -> None:
        """A call of which nothing is used is left out; texts are left alone."""
        if isinstance(node.value, ast.Call):
            self._add(node, "pass", f"without {ast.unparse(node)}")
            self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """A change in place is left out."""
        self._add(node, "pass", f"without {ast.unparse(node)}")
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """What returns bool always returns the same; annotations are left alone."""
        if isinstance(node.returns, ast.Name) and node.returns.id == "bool":
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                start, _ = self._span(body[0])
                for value in (True, False):
                    text = f"return {value}\n{' ' * body[0].col_offset}"
                    self.mutants.append(
                        Mutant(self.file, body[0].lineno, start, start, text, f"{node.name} is always {value}")
                    )
        for child in (*node.args.defaults, *(d for d in node.args.kw_defaults if d), *node.body):
            self.visit(child)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Only the value counts."""
        if node.value:
            self.visit(node.value)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Left alone: what they claim is for readers."""


def mutants_of(path: Path, root: Path) -> list[Mutant]:
    """Return the mutants of a file, in a fixed order, those only that can be compiled."""
    source = path.read_text(encoding="utf-8")
    found = sorted(Finder(path.relative_to(root).as_posix(), source).mutants)
    result = []
    for mutant in found:
        try:
            compile(mutant.applied(source), str(path), "exec")
        except SyntaxError:
            continue
        result.append(mutant)
    return result


# ── which test goes through which line: a plugin of pytest ───────────────────────────────────────


class Notes:
    """A plugin that notes the lines and seconds of each test that passes; written when all are done."""

    def __init__(self, path: Path, traced: str) -> None:
        self.path, self.traced = path, traced
        self.tests: dict[str, dict[str, Any]] = {}
        self._lines: set[tuple[str, int]] = set()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(self.traced):
            return None
        self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._trace

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Begin to note lines, of all threads that start from now on, too."""
        self._lines = set()
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep tests that pass, with their seconds."""
        if report.when == "call" and report.passed:
            self.tests[report.nodeid] = {"seconds": report.duration}

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Keep the lines."""
        sys.settrace(None)
        threading.settrace(None)
        if nodeid in self.tests:
            prefix = len(self.traced) + 1
            self.tests[nodeid]["lines"] = sorted((file[prefix:], line) for file, line in self._lines)

    def pytest_sessionfinish(self) -> None:
        """Write the notes."""
        self.path.write_text(json.dumps(self.tests), encoding="utf-8")


def pytest_configure(config: Any) -> None:
    """Pytest calls this if it is told `-p mutants`."""
    config.pluginmanager.register(Notes(Path(os.environ[NOTES]), os.environ[TRACED]))


# ── the runs ─────────────────────────────────────────────────────────────────────────────────────


class Copy:
    """A copy of the sources that mutants are put into, and the tests that are run with it."""

    def __init__(self, root: Path, place: Path) -> None:
        self.root, self.place = root, place
        shutil.copytree(root / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__"))
        paths = [str(place / "src"), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}

    def pytest(
        self,
        arguments: Iterable[str],
        patience: float | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> int:
        """Run tests and return the exit status; −1 if they take too long."""
        command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", *arguments]
        process = subprocess.Popen(
            command, cwd=self.root, env=self.environment | dict(variables), stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            return -1

    def take_notes(self, tests: Iterable[str], path: Path) -> None:
        """Run the tests as the code is, and write which of them goes through which lines."""
        self.pytest(["-p", "mutants", *tests], variables={NOTES: str(path), TRACED: str(self.place)})

    def notice(self, mutant: Mutant, tests: dict[str, float]) -> bool:
        """Whether one of the tests (with their seconds) fails with the mutant."""
        path = self.place / mutant.file
        source = path.read_text(encoding="utf-8")
        path.write_text(mutant.applied(source), encoding="utf-8")
        try:
            ordered = sorted(tests, key=tests.__getitem__)
            return self.pytest(["-x", *ordered], LEAST_PATIENCE + PATIENCE * sum(tests.values())) != 0
        finally:
            path.write_text(source, encoding="utf-8")


def concerned(mutant: Mutant, notes: dict[str, Any], code: ast.Module) -> dict[str, float]:
    """Return the tests that go through a mutant's statement, or for what is run at import through its file."""
    there = statement(code, mutant.line)
    at_import = mutant.line in run_at_import(code)
    result = {}
    for test, note in notes.items():
        lines = {line for file, line in note["lines"] if file == mutant.file}
        if lines & there or (at_import and lines):
            result[test] = note["seconds"]
    return result


def statement(code: ast.Module, line: int) -> set[int]:
    """Return the lines of the smallest statement that a line is of; of one with a body without this."""
    spans = [{line}]
    for node in ast.walk(code):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
            if node.lineno <= line <= last:
                spans.append(set(range(node.lineno, last + 1)))
    return min(spans[1:] or spans, key=len)


def run_at_import(code: ast.Module) -> set[int]:
    """Return the lines of a file outside functions: constants, defaults, classes."""
    inside: set[int] = set()
    for node in ast.walk(code):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            first = node.body[0] if isinstance(node, ast.FunctionDef) else node.body
            inside |= set(range(first.lineno, (node.end_lineno or first.lineno) + 1))
    return set(range(1, (code.body[-1].end_lineno or 1) + 1)) - inside if code.body else set()


def chosen(root: Path, sources: Iterable[Path], seed: int) -> list[Mutant]:
    """Return all mutants in an order drawn at random."""
    files = sorted({path for s in sources for path in (s.rglob("*.py") if s.is_dir() else [s])})
    mutants = [mutant for path in files for mutant in mutants_of(path.resolve(), root)]
    random.Random(seed).shuffle(mutants)
    return mutants


def surviving(copy: Copy, mutants: list[Mutant], notes: dict[str, Any]) -> Iterator[tuple[Mutant, int]]:
    """Yield the mutants that no test notices, and how many tests go through their lines."""
    for number, mutant in enumerate(mutants, 1):
        start = time.monotonic()
        tests = concerned(mutant, notes, ast.parse((copy.place / mutant.file).read_text(encoding="utf-8")))
        noticed = bool(tests) and copy.notice(mutant, tests)
        state = "noticed" if noticed else "SURVIVED"
        where = f"{mutant.file}:{mutant.line}"
        seconds = time.monotonic() - start
        print(f"{number}/{len(mutants)} {state} {seconds:.0f} s {where} {mutant.what}", file=sys.stderr, flush=True)
        if not noticed:
            yield mutant, len(tests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+", help="files, or folders of them, that are changed")
    parser.add_argument("--tests", nargs="+", required=True, help="files of tests, as pytest takes them")
    parser.add_argument("--count", type=int, default=60, help="mutants")
    parser.add_argument("--first", type=int, default=0, help="of the drawn ones, to go on after an earlier run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--notes", type=Path, default=Path("mutants.json"), help="which test goes through which line")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout, with src and tests")
    args = parser.parse_args()
    root = args.root.resolve()
    mutants = chosen(root, args.sources, args.seed)
    with tempfile.TemporaryDirectory() as name:
        copy = Copy(root, Path(name).resolve())
        if not args.notes.exists():
            copy.take_notes(args.tests, args.notes.resolve())
        notes = json.loads(args.notes.read_text(encoding="utf-8"))
        some = mutants[args.first : args.first + args.count]
        print(f"{len(mutants)} mutants, of these {len(some)}; {len(notes)} tests; seed {args.seed}, first {args.first}")
        survivors = 0
        for mutant, tests in surviving(copy, some, notes):
            survivors += 1
            print(f"{mutant.file}:{mutant.line}: {mutant.what} ({tests} tests go through it)", flush=True)
    print(f"{survivors} of {len(some)} survive")


if __name__ == "__main__":
    main()
