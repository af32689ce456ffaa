"""The rules of the house: which room may import which, and how long a function and a module may be.

`docs/design.md` describes the rooms; this file keeps what it says. A room is a module or a package right inside
`deepix`. Every import counts, also those inside functions, under `TYPE_CHECKING`, and by `import_module("…")`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import deepix

SOURCE = Path(deepix.__file__).parent

# ── the rules ────────────────────────────────────────────────────────────────────────────────────

BASE = {"errors", "files", "threads"}
DOING = {*BASE, "mosaic", "images", "draw", "inference", "restorer", "finder"}
WHOLE = {*DOING, "processes", "options", "named_areas", "restoration", "pipeline", "api"}
ROOMS: dict[str, set[str]] = {
    # what everything stands on
    "errors": set(),
    "threads": {"errors"},
    "files": {"errors"},
    "processes": {"errors"},
    "mosaic": {"errors", "threads"},
    "images": BASE,
    "draw": {*BASE, "mosaic", "images"},
    "sources": {*BASE, "images"},
    # networks at work, and what is done with them
    "inference": BASE,
    "restorer": {*BASE, "mosaic", "inference"},
    "finder": {*BASE, "mosaic", "inference"},
    # the way of a picture, and of many
    "options": {*BASE, "mosaic"},
    "named_areas": {*BASE, "mosaic", "images", "finder", "options"},
    "restoration": {*BASE, "mosaic", "images", "options"},
    "pipeline": {*DOING, "options", "named_areas", "restoration"},
    "api": {*DOING, "options", "named_areas", "restoration", "pipeline"},
    "jobs": WHOLE,
    "demonstration": WHOLE,
    # the 64x64 challenge, training, the page, the command line
    "challenge": {*WHOLE, "sources"},
    "training": {*WHOLE, "sources", "challenge", "deepix"},
    "web": {*WHOLE, "jobs", "deepix"},
    "cluster": {*WHOLE, "jobs"},
    "cli": {*WHOLE, "sources", "challenge", "jobs", "demonstration", "deepix"},
    "__main__": {"cli"},
    # the package itself offers what it is for
    "deepix": {"errors", "mosaic", "restoration", "pipeline", "api"},
}
"""Rooms, and which other rooms each may import. A room that is not named here fails the test: name it, and where its
arrows point, here and in `docs/design.md`."""

LAZILY: dict[str, set[str]] = {
    "cli": {"training", "web", "cluster"},  # they take seconds to import; none is part of the core
}
"""… and what they may import only while a function runs, or for types …"""

EARLY: dict[str, tuple[str, ...]] = {
    "cli": ("training.engine.settings", "training.stages"),  # what the flags of `deepix train` are made from
}
"""… but for these modules, which import no network's framework themselves."""

ENGINES: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("inference.session", "training"),
    "torch": ("training",),
    "lightning": ("training",),
    "onnx": ("training",),
    "starlette": ("web",),
    "uvicorn": ("web",),
    "ray": ("cluster",),
    "fsspec": ("cluster",),
    "typer": ("cli",),
    "rich": ("cli",),
}
"""Packages that only these rooms or modules may import, and what is inside them."""

APART: tuple[str, ...] = ("training.stages",)
"""Packages whose parts know neither each other nor are known outside: others import the package itself only."""

FUNCTION_LINES, MODULE_LINES = 60, 500
"""The most lines of a function, without its docstring, and of a module."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions ("room.module.function") that may be longer, each with its reason."""

LONG_MODULES: dict[str, str] = {}
"""Modules that may be longer, each with its reason."""


# ── reading a tree of modules ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Module:
    """A module of the package: its name without `deepix.` (the package's own is "deepix"), and its code."""

    name: str
    code: ast.Module
    lines: int
    is_package: bool

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Import:
    """What a line imports: a module's name as above, or another package's with `foreign`; and the name taken from it.

    `late` : inside a function, or for types only
    """

    importer: str
    target: str
    name: str
    line: int
    foreign: bool
    late: bool

    def __str__(self) -> str:
        what = self.target + (f".{self.name}" if self.name else "")
        return f"{self.importer} (line {self.line}) imports {what}"


def modules(source: Path) -> dict[str, Module]:
    """Return the modules of the package in a folder, by name."""
    result = {}
    for path in sorted(source.rglob("*.py")):
        parts = list(path.relative_to(source).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts) or "deepix"
        text = path.read_text(encoding="utf-8")
        result[name] = Module(name, ast.parse(text, str(path)), len(text.splitlines()), is_package)
    return result


class Imports(ast.NodeVisitor):
    """Collects what a module imports, wherever in it."""

    def __init__(self, module: Module, known: dict[str, Module]) -> None:
        self.module, self.known = module, known
        self.found: list[Import] = []
        self._late = False
        self.visit(module.code)

    def _add(self, full: str, name: str, line: int) -> None:
        first, _, rest = full.partition(".")
        inner = rest or "deepix"
        if first != "deepix":
            inner = full
        elif name and (below := name if inner == "deepix" else f"{inner}.{name}") in self.known:
            inner, name = below, ""
        self.found.append(Import(self.module.name, inner, name, line, first != "deepix", self._late))

    def visit_Import(self, node: ast.Import) -> None:
        for one in node.names:
            self._add(one.name, "", node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        parts = ["deepix", *([] if self.module.name == "deepix" else self.module.name.split("."))]
        base = parts[: len(parts) - node.level + self.module.is_package] if node.level else []
        for one in node.names:
            self._add(".".join([*base, *([node.module] if node.module else [])]), one.name, node.lineno)

    def visit_Call(self, node: ast.Call) -> None:
        match node.args:
            case [ast.Constant(value=str(text)), *_] if _called(node.func) in ("import_module", "__import__"):
                self._add(text, "", node.lineno)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        before = self._late
        self._late = before or _called(node.test) == "TYPE_CHECKING"
        for child in node.body:
            self.visit(child)
        self._late = before
        for child in (node.test, *node.orelse):
            self.visit(child)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        before, self._late = self._late, True
        self.generic_visit(node)
        self._late = before

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function


def imports(module: Module, known: dict[str, Module]) -> list[Import]:
    """Return what a module imports, wherever in it."""
    return Imports(module, known).found


def _called(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def within(name: str, place: str) -> bool:
    """Whether a module is the place, or in it."""
    return name == place or name.startswith(f"{place}.")


# ── what breaks the rules ────────────────────────────────────────────────────────────────────────


def wrong_directions(source: Path) -> list[str]:
    """Return the imports that `ROOMS` does not allow, and the rooms that it does not know."""
    known = modules(source)
    unknown = {m.room for m in known.values()} - set(ROOMS)
    faults = [f"the room {room} is not named in ROOMS" for room in sorted(unknown)]
    for module in known.values():
        allowed, later = ROOMS.get(module.room, set()), LAZILY.get(module.room, set())
        for one in imports(module, known):
            room = one.target.partition(".")[0]
            if one.foreign or room == module.room or room in allowed:
                continue
            if room in later:
                if one.late or one.target in EARLY.get(module.room, ()):
                    continue
                faults.append(f"{one} before it is needed: import it where it is used")
            else:
                faults.append(str(one))
    return faults


def cycles(source: Path) -> list[str]:
    """Return the rooms that import each other, as a way round."""
    known = modules(source)
    graph: dict[str, set[str]] = {m.room: set() for m in known.values()}
    for module in known.values():
        graph[module.room] |= {one.target.partition(".")[0] for one in imports(module, known) if not one.foreign} - {
            module.room
        }
    faults: list[str] = []
    done: set[str] = set()

    def visit(room: str, way: tuple[str, ...]) -> None:
        if room in way:
            faults.append(" -> ".join((*way[way.index(room) :], room)))
        elif room not in done:
            for other in sorted(graph.get(room, ())):
                visit(other, (*way, room))
            done.add(room)

    for room in sorted(graph):
        visit(room, ())
    return faults


def wrong_engines(source: Path) -> list[str]:
    """Return the imports of a package in `ENGINES` from elsewhere."""
    known = modules(source)
    return [
        str(one)
        for module in known.values()
        for one in imports(module, known)
        if one.foreign
        and (places := ENGINES.get(one.target.partition(".")[0])) is not None
        and not any(within(module.name, place) for place in places)
    ]


def not_apart(source: Path) -> list[str]:
    """Return the imports of a part of a package in `APART` from outside this part."""
    known = modules(source)
    faults = []
    for module in known.values():
        for one in imports(module, known):
            for place in APART:
                part = ".".join(one.target.split(".")[: place.count(".") + 2])
                if not one.foreign and one.target.startswith(f"{place}.") and not within(module.name, part):
                    faults.append(str(one))
    return faults


def private(source: Path) -> list[str]:
    """Return the uses of another module's private names and modules."""
    known = modules(source)
    faults = []
    for module in known.values():
        for one in imports(module, known):
            parent, _, last = one.target.rpartition(".")
            if not one.foreign and (_is_private(one.name) or (_is_private(last) and not within(module.name, parent))):
                faults.append(str(one))
        aliases: dict[str, str] = {}
        for node in ast.walk(module.code):
            if isinstance(node, ast.Import | ast.ImportFrom):
                aliases.update(_modules_bound(node, known))
        for node in ast.walk(module.code):
            if isinstance(node, ast.Attribute) and _is_private(node.attr) and ast.unparse(node.value) in aliases:
                faults.append(f"{module.name} (line {node.lineno}) uses {aliases[ast.unparse(node.value)]}.{node.attr}")
    return faults


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _modules_bound(node: ast.Import | ast.ImportFrom, known: dict[str, Module]) -> Iterator[tuple[str, str]]:
    """Yield the names that an import binds to modules of the package."""
    for one in node.names:
        full = one.name if isinstance(node, ast.Import) else f"{node.module}.{one.name}"
        inner = full.removeprefix("deepix.")
        if inner in known and (full == "deepix" or full.startswith("deepix.")):
            yield one.asname or (full if isinstance(node, ast.Import) else one.name), inner


def too_long(source: Path) -> list[str]:
    """Return the functions and modules with too many lines; and exceptions that are none any more."""
    faults, exceptional = [], set()
    for module in modules(source).values():
        if module.lines > MODULE_LINES:
            exceptional.add(module.name)
            if module.name not in LONG_MODULES:
                faults.append(f"{module.name} has {module.lines} lines")
        for name, lines in _functions(module.code, module.name):
            if lines > FUNCTION_LINES:
                exceptional.add(name)
                if name not in LONG_FUNCTIONS:
                    faults.append(f"{name} has {lines} lines")
    return faults + [f"{n} is no exception any more" for n in {*LONG_FUNCTIONS, *LONG_MODULES} - exceptional]


def _functions(node: ast.AST, place: str) -> Iterator[tuple[str, int]]:
    """Yield the functions' names and how many lines they have without their docstrings."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _functions(child, place)
            continue
        name = f"{place}.{child.name}"
        if not isinstance(child, ast.ClassDef):
            first = child.body[0]
            documented = isinstance(first, ast.Expr) and ast.get_docstring(child, clean=False) is not None
            text = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            yield name, (child.end_lineno or 0) - child.lineno + 1 - text
        yield from _functions(child, name)


# ── the house keeps them ─────────────────────────────────────────────────────────────────────────

RULES = (wrong_directions, cycles, wrong_engines, not_apart, private, too_long)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rules(rule):
    assert rule(SOURCE) == []


def test_the_table_of_rooms_has_no_way_round():
    def reach(room: str, way: tuple[str, ...]) -> None:
        assert room not in way, " -> ".join((*way, room))
        for other in ROOMS[room] | LAZILY.get(room, set()):
            reach(other, (*way, room))

    for room in ROOMS:
        if room != "deepix":  # read by the command line and training for its version
            reach(room, ())


def test_every_room_is_described():
    """The page that people read names the same rooms as the table."""
    page = SOURCE.parents[1] / "docs" / "design.md"
    if not page.exists():
        pytest.skip("installed without its documentation")
    text = page.read_text(encoding="utf-8")
    rooms = {m.room for m in modules(SOURCE).values()} - {"deepix", "__main__"}
    assert not [room for room in sorted(rooms) if not re.search(rf"(?<![\w/.]){room}(/|\.py)", text)]


# ── the rules find what breaks them ──────────────────────────────────────────────────────────────


@pytest.fixture
def house(tmp_path):
    """What writes a package of these files; all rooms exist, empty."""

    def build(**files: str) -> Path:
        for name in ("__init__", "errors", "mosaic", "cli/__init__", "finder/__init__", "training/__init__"):
            files.setdefault(name, "")
        for name, text in files.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if not (path.parent / "__init__.py").exists():
                (path.parent / "__init__.py").write_text("")
        return tmp_path

    return build


def test_a_house_of_allowed_imports_is_in_order(house):
    source = house(
        **{
            "__init__": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from deepix.mosaic import Mosaic",
            "finder/search": "from __future__ import annotations\nimport numpy\nfrom deepix.mosaic import Mosaic",
            "finder/__init__": "from deepix.finder.search import find\nfrom . import search\nfrom .search import find",
            "cli/train": "def train():\n    from deepix.training import fit",
            "training/fit": "import torch, onnxruntime\nfrom deepix import finder\nimport deepix.mosaic as m\nm.a",
        }
    )
    assert [fault for rule in RULES for fault in rule(source)] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from deepix.training import fit", "imports training.fit"),
        ("from deepix.training.fit import run", "imports training.fit.run"),
        ("import deepix.training.fit", "imports training.fit"),
        ("from deepix import training", "imports training"),
        ("from ..training import fit", "imports training.fit"),
        ("from .. import training", "imports training"),
        ("def f():\n    from deepix.training import fit", "imports training.fit"),
        ("def f():\n    import_module('deepix.training.fit')", "imports training.fit"),
        ("importlib.import_module('deepix.training')", "imports training"),
        ("if TYPE_CHECKING:\n    from deepix.training import fit", "imports training.fit"),
        ("try:\n    from deepix.training import fit\nexcept ImportError:\n    pass", "imports training.fit"),
        ("class A:\n    from deepix.cli import main", "imports cli.main"),
        ("from deepix import restore", "imports deepix.restore"),
    ],
)
def test_a_wrong_direction_is_found_wherever_it_is(house, line, message):
    source = house(**{"finder/search": line, "training/fit": ""})
    (fault,) = wrong_directions(source)
    assert message in fault
    assert fault.startswith("finder.search (line ")


def test_what_may_only_be_imported_late_is_not_imported_early(house):
    source = house(**{"cli/train": "from deepix.training import fit", "training/fit": ""})
    (fault,) = wrong_directions(source)
    assert "before it is needed" in fault
    assert wrong_directions(house(**{"cli/train": "async def f():\n    from deepix.training import fit"})) == []


def test_help_needs_no_framework():
    """What `cli` imports early stays light: else `deepix --help` would take seconds."""
    code = f"import sys, deepix.cli; print(sorted(set(sys.modules) & {set(ENGINES) - {'typer', 'rich'}!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_an_unknown_room_is_named(house):
    source = house(attic="from deepix import mosaic")
    assert wrong_directions(source)[0] == "the room attic is not named in ROOMS"


def test_rooms_that_import_each_other_are_found(house):
    source = house(
        **{
            "mosaic": "def f():\n    from deepix import errors",
            "errors": "from deepix.finder import find",
            "finder/__init__": "import deepix.mosaic",
        }
    )
    assert cycles(source) == ["errors -> finder -> mosaic -> errors"]


@pytest.mark.parametrize(
    ("name", "line", "fault"),
    [
        ("inference/session", "import onnxruntime", None),
        ("inference/models", "def f():\n    from onnxruntime import InferenceSession", "inference.models"),
        ("inference/session_pool", "import onnxruntime", "inference.session_pool"),
        ("training/networks/unet", "import torch.nn.functional as F", None),
        ("finder/search", "def f():\n    import_module('torch')", "finder.search"),
        ("mosaic", "if TYPE_CHECKING:\n    from torch import Tensor", "mosaic"),
        ("finder/search", "import torchless", None),
        ("jobs/work", "import rich.progress", "jobs.work"),
    ],
)
def test_engines_stay_in_their_rooms(house, name, line, fault):
    found = wrong_engines(house(**{name: line}))
    assert [f.split()[0] for f in found] == ([fault] if fault else [])


def test_stages_know_neither_each_other_nor_are_known(house):
    source = house(
        **{
            "training/stages/one/stage": "from deepix.training.stages.one import loss",
            "training/stages/one/loss": "",
            "training/stages/two/stage": "from deepix.training.stages.one import loss",
            "training/engine/run": "from deepix.training import stages\nfrom deepix.training.stages.two.stage import A",
        }
    )
    assert [fault.split()[0] for fault in not_apart(source)] == ["training.engine.run", "training.stages.two.stage"]


@pytest.mark.parametrize(
    ("line", "faulty"),
    [
        ("from deepix.mosaic import _bands", True),
        ("from deepix import mosaic as maths\nmaths._bands()", True),
        ("import deepix.mosaic\ndeepix.mosaic._bands()", True),
        ("def f():\n    from deepix import mosaic\n    return mosaic._bands", True),
        ("from deepix.training import _secret", True),
        ("from deepix.finder import _fast", False),  # a private module of the same room
        ("from deepix.mosaic import __doc__", False),
        ("from numpy import _core", False),
        ("self._bands = mosaic = 1\nmosaic._bands", False),
    ],
)
def test_private_names_stay_at_home(house, line, faulty):
    source = house(**{"finder/search": line, "finder/_fast": "", "training/_secret": ""})
    assert bool(private(source)) == faulty


def test_long_functions_and_modules_are_found(house, monkeypatch):
    body = "    a = 1\n" * 59
    source = house(
        errors=f'def short():\n    """Text.\n\n    {"x" * 9}\n    """\n{body}',
        mosaic=f"class A:\n    def long(self):\n{body.replace('    a', '        a')}        a = 1\n",
        **{"finder/search": "a = 1\n" * 501, "finder/find": f"@cache\ndef f():\n    def g():\n        pass\n{body}"},
    )
    expected = ["finder.find.f has 62 lines", "finder.search has 501 lines", "mosaic.A.long has 61 lines"]
    assert too_long(source) == expected
    monkeypatch.setitem(LONG_FUNCTIONS, "mosaic.A.long", "a reason")
    monkeypatch.setitem(LONG_MODULES, "finder.search", "a reason")
    monkeypatch.setitem(LONG_MODULES, "errors", "it was long once")
    assert too_long(source) == [expected[0], "errors is no exception any more"]
