"""The challenge knows nothing of training: it is told what reads trained networks."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import deepix.challenge

FOLDER = Path(deepix.challenge.__file__).parent


def imported(path: Path) -> Iterator[str]:
    """Yield the full names of all that a module of the challenge imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ["deepix", "challenge"][: 3 - node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_imports_training_or_the_command_line(path: Path) -> None:
    wrong = [name for name in imported(path) if f"{name}.".startswith(("deepix.training.", "deepix.cli."))]
    assert not wrong


def test_the_names_are_found(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(
        "import a.b, c\nfrom deepix import training\nfrom ..training.data import x\nfrom . import y\n"
        "def f():\n    from deepix.training.predict import predict\n"
    )
    assert set(imported(tmp_path / "x.py")) == {
        *("a.b", "c", "deepix.training", "deepix.training.data.x", "deepix.challenge.y"),
        "deepix.training.predict.predict",
    }


def python(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def test_training_is_imported_for_trained_networks_only(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from deepix.training import networks, weights

    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    weights.save(networks.create("deepixv1:2,3,2:3,3"), path)
    code = """
import sys
from deepix import challenge
for name in ("identity", "smooth", "challenge"):
    challenge.restorer(name)
print("imported:", *({"torch", "deepix.training"} & sys.modules.keys()))
print(callable(challenge.restorer(sys.argv[1], "cpu")))
"""
    assert python(code, path).splitlines() == ["imported:", "True"]
