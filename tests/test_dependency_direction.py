"""Holds lab -> cli -> nodes -> models -> latent_ops -> torch, by reading every import."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("latent_ops", "models", "nodes", "cli", "lab")

# Commands run the node classes by the names the host sees, so they read the root's mappings.
MAPPINGS = {"NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"}
# What each part of the package may import from the package.
ALLOWED: dict[str, set[str]] = {
    "latent_ops": {"latent_ops"},
    "models": {"models", "latent_ops"},
    "nodes": {"nodes", "models", "latent_ops"},
    "cli": {"cli", "nodes", "models", "latent_ops", *MAPPINGS},
    "lab": {"lab", "cli", "nodes", "models", "latent_ops", *MAPPINGS},
    "__init__.py": {"nodes"},
    "__main__.py": {"cli"},
}

# Top-level modules of ComfyUI. "nodes", "models" and "cli" would find the host's, not ours.
HOST = {
    "app",
    "comfy",
    "comfy_api",
    "comfy_api_nodes",
    "comfy_config",
    "comfy_execution",
    "comfy_extras",
    "execution",
    "folder_paths",
    "latent_preview",
    "nodes",
    "server",
    "utils",
}
REFERENCES = "lab/references/"  # imports modules of other programs, which have such names
HOST_FILE = "nodes/host.py"
OWN_NAMES = {"face_latents", "latent_ops", "models", "cli", "lab"}
ROOMS = {"models": 20, "nodes": 16}  # files and folders side by side that a newcomer can survey


def package_files() -> list[Path]:
    """Return every Python file that belongs to the package."""
    files = [ROOT / "__init__.py", ROOT / "__main__.py"]
    for layer in LAYERS:
        files += sorted((ROOT / layer).rglob("*.py"))
    return [path for path in files if path.is_file()]


def imports(tree: ast.AST) -> Iterator[tuple[int, str, bool, int]]:
    """Yield relative level, dotted name, whether it runs at import time, and line of each import.

    ``from .. import models`` counts as an import of ``..models``; calls of ``import_module`` and
    ``__import__`` with a literal name count too.
    """

    def visit(node: ast.AST, lazy: bool) -> Iterator[tuple[int, str, bool, int]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, not lazy, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            for alias in node.names:
                name = f"{base}.{alias.name}" if base else alias.name
                yield node.level, name, not lazy, node.lineno
        elif isinstance(node, ast.Call):
            function = node.func
            called = getattr(function, "attr", getattr(function, "id", ""))
            first = node.args[0] if node.args else None
            if (
                called in ("import_module", "__import__")
                and isinstance(first, ast.Constant)
                and isinstance(first.value, str)
            ):
                name = first.value.lstrip(".")
                yield len(first.value) - len(name), name, not lazy, node.lineno
        inside = lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(tree, False)


def violations(location: str, source: str) -> list[str]:
    """Return what a file at ``location`` (relative to the package) imports and must not."""
    found = []
    parts = location.split("/")
    owner = parts[0]
    for level, name, at_import, line in imports(ast.parse(source)):
        top = name.split(".")[0]
        where = f"{location}:{line} imports {'.' * level}{name}"
        if level:
            depth = len(parts) - level
            if depth < 0:
                found.append(f"{where}, outside the package")
                continue
            target = [*parts[:depth], *name.split(".")][0]
            if target not in ALLOWED[owner]:
                found.append(f"{where}; {owner} may import {sorted(ALLOWED[owner])}")
        elif top in HOST or top.startswith("comfy"):
            if location != HOST_FILE:
                found.append(f"{where}; only {HOST_FILE} may import the host")
            elif at_import:
                found.append(f"{where} on import; the host is imported lazily, in a function")
        elif top in OWN_NAMES and not location.startswith(REFERENCES):
            found.append(f"{where}; inside the package imports are relative")
        elif owner == "latent_ops" and top != "torch" and top not in sys.stdlib_module_names:
            found.append(f"{where}; latent_ops imports torch only")
    return found


def test_every_import_follows_the_dependency_direction() -> None:
    files = package_files()
    assert {path.relative_to(ROOT).parts[0] for path in files} >= {"__init__.py", "latent_ops"}
    problems = []
    for path in files:
        location = path.relative_to(ROOT).as_posix()
        problems += violations(location, path.read_text(encoding="utf-8"))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("location", "source"),
    [
        ("latent_ops/distance.py", "import numpy"),
        ("latent_ops/distance.py", "from ..models import space"),
        ("latent_ops/distance.py", "from .. import models"),
        ("models/space.py", "from ..nodes.host import device"),
        ("models/fit/report.py", "from ...cli import main"),
        ("models/judge.py", "from ..lab.training import judge"),
        ("cli/commands.py", "from ..lab import commands"),
        ("models/space.py", "def f():\n    from ..nodes import edit"),
        ("models/space.py", "import comfy.model_management"),
        ("models/space.py", "import importlib\nimportlib.import_module('folder_paths')"),
        ("models/space.py", "from ... import something"),
        ("models/space.py", "from .. import NODE_CLASS_MAPPINGS"),
        ("nodes/draw.py", "def f():\n    import folder_paths"),
        ("nodes/draw.py", "from comfy_execution.graph import ExecutionBlocker"),
        ("nodes/draw.py", "from ..cli import main"),
        ("nodes/host.py", "import comfy.utils"),
        ("nodes/host.py", "class A:\n    import comfy.utils"),
        ("nodes/draw.py", "from face_latents.models import space"),
        ("cli/main.py", "from models import space"),
        ("cli/main.py", "import nodes"),
        ("__init__.py", "from .models import space"),
        ("__main__.py", "from .nodes import edit"),
    ],
)
def test_the_check_finds(location: str, source: str) -> None:
    assert len(violations(location, source)) == 1


@pytest.mark.parametrize(
    ("location", "source"),
    [
        ("latent_ops/distance.py", "import math\nimport torch.nn\nfrom ._geometry import dot"),
        ("models/space.py", "import numpy\nfrom ..latent_ops import lerp\nfrom . import errors"),
        ("models/fit/report.py", "from ...latent_ops import lerp\nfrom ..space import X"),
        (
            "nodes/draw.py",
            "from .. import latent_ops\nfrom ..models.space import LatentSpace",
        ),
        ("nodes/host.py", "def f():\n    import comfy.utils\n    import folder_paths"),
        ("nodes/host.py", "def f():\n    import importlib\n    importlib.import_module('server')"),
        ("cli/main.py", "from ..nodes import edit\nfrom ..models import io"),
        ("cli/main.py", "from .. import NODE_CLASS_MAPPINGS"),
        ("__init__.py", "from .nodes import NODE_CLASS_MAPPINGS"),
        ("__main__.py", "from .cli.main import main"),
    ],
)
def test_the_check_allows(location: str, source: str) -> None:
    assert violations(location, source) == []


def rooms_of(place: str) -> dict[str, set[str]]:
    """Files and folders directly in a part of the package, with those that each imports."""
    names = {p.name.removesuffix(".py") for p in (ROOT / place).iterdir() if holds_code(p)}
    rooms: dict[str, set[str]] = {name: set() for name in names}
    for path in sorted((ROOT / place).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if len(parts) < 3 and parts[1] == "__init__":
            continue  # the front of the part shows what lies behind it
        for level, name, _, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
            base = list(parts[: len(parts) - level]) if level else []
            target = [*base, *name.split(".")]
            if level and target[0] == place and len(target) > 1 and target[1] in names:
                rooms[parts[1]].add(target[1])
    return {name: others - {name} for name, others in rooms.items()}


def holds_code(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))


@pytest.mark.parametrize("place", LAYERS)
def test_rooms_form_no_circle(place: str) -> None:
    rooms = rooms_of(place)
    assert len(rooms) <= ROOMS.get(place, len(rooms))
    while free := {name for name, others in rooms.items() if not others & rooms.keys()}:
        rooms = {name: others for name, others in rooms.items() if name not in free}
    assert not rooms, f"these import each other in a circle: {rooms}"


def test_a_prefix_shared_by_three_files_is_a_folder() -> None:
    problems = []
    for folder in {path.parent for path in package_files()}:
        prefixes = Counter(p.stem.split("_")[0] for p in folder.glob("[a-z]*_*.py"))
        problems += [f"{folder.name}/{prefix}_*" for prefix, n in prefixes.items() if n > 2]
    assert not problems, problems
