"""Imports run downward only and never in circles; ROS stays in nodes/, the model libraries stay in models/.

And the web's libraries stay in console/web/.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ovsr_ros"

# From the bottom up. A part imports from the layers below its own, and from itself: never from its neighbours.
LAYERS = (
    {"atomic_file", "errors", "low_priority", "names", "png_check", "yaml_text"},
    {"image_files", "interpreter", "options", "results"},
    {"config", "node_options", "vocabulary"},
    {"drawing", "ops", "models"},
    {"backends", "console", "messages"},
    {"tracking"},
    {"settings"},
    {"pipeline"},
    {"teaching"},
    {"demo"},
    {"evaluation"},
    {"benchmark", "pocket", "recordings"},
    {"cli", "nodes"},
)
RANKS = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
BUILD_TIME = {"msg", "srv"}  # generated from msg/ and srv/

ROS = {
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "launch",
    "launch_ros",
    "rcl_interfaces",
    "rclpy",
    "std_srvs",
    "tf2_ros",
}
MODEL_LIBRARIES = {
    *("huggingface_hub", "open_clip", "safetensors", "segment_anything", "timm", "tokenizers", "transformers"),
}
WEB_LIBRARIES = {"fastapi", "nicegui", "starlette", "uvicorn"}

FILES = sorted(PACKAGE.rglob("*.py"))


def to_module(path: Path) -> str:
    """ovsr_ros/demo/scenes.py -> ovsr_ros.demo.scenes; ovsr_ros/demo/__init__.py -> ovsr_ros.demo."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {to_module(path): path for path in FILES}


def find_imports(path: Path) -> set[str]:
    """Every module that the file imports, wherever the import stands; `from a import b` gives a.b where b is one."""
    imports: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it absolute"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_module = name in MODULES or name in {f"ovsr_ros.{part}" for part in BUILD_TIME}
                imports.add(name if is_module else node.module)
    return imports


def is_ros(module: str) -> bool:
    top = module.partition(".")[0]
    return top in ROS or top.endswith("_msgs") or module.split(".")[:2] in (["ovsr_ros", "msg"], ["ovsr_ros", "srv"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_keep_to_the_layers(path: Path) -> None:
    module = to_module(path).split(".")
    part = module[1] if len(module) > 1 else ""
    assert part in RANKS or part == "", f"{part}: a new part of the package; give it a layer in {Path(__file__).name}"
    for imported in find_imports(path):
        if is_ros(imported):
            assert part == "nodes", f"{imported}: only nodes/ imports ROS"
        if imported.partition(".")[0] in MODEL_LIBRARIES:
            assert part == "models", f"{imported}: only models/ imports model libraries"
        if imported.partition(".")[0] in WEB_LIBRARIES:
            assert module[1:3] == ["console", "web"], f"{imported}: only console/web/ imports the web's libraries"
        if imported.startswith("ovsr_ros."):
            other = imported.split(".")[1]
            if other in BUILD_TIME or other == part:
                continue
            assert part != "", f"{imported}: importing the package must not import its parts"
            assert RANKS[other] < RANKS[part], f"{imported}: {part} stands below {other}, or beside it"


def find_circle(imports: dict[str, set[str]]) -> list[str]:
    """Modules of which each imports the next and the last the first, or none. Local imports count as others do."""
    done: set[str] = set()

    def walk(path: list[str]) -> list[str]:
        for imported in sorted(imports[path[-1]] & imports.keys()):
            if imported in path:
                return path[path.index(imported) :]
            if imported not in done:
                found = walk([*path, imported])
                if found:
                    return found
        done.add(path[-1])
        return []

    for module in sorted(imports):
        if module not in done:
            found = walk([module])
            if found:
                return found
    return []


def test_a_circle_of_imports_is_found_wherever_it_is() -> None:
    assert find_circle({"a": {"b", "torch"}, "b": set()}) == []
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert find_circle({"a": {"a"}}) == ["a"]


def test_no_module_imports_itself_by_way_of_others() -> None:
    circle = find_circle({module: find_imports(path) for module, path in MODULES.items()})
    assert not circle, " imports ".join((*circle, *circle[:1]))


def test_backends_do_not_import_each_other() -> None:
    backends = {folder.name for folder in (PACKAGE / "backends").iterdir() if (folder / "__init__.py").exists()}
    assert backends
    for backend in backends:
        others = tuple(f"ovsr_ros.backends.{other}" for other in backends - {backend})
        for path in (PACKAGE / "backends" / backend).rglob("*.py"):
            for imported in find_imports(path):
                assert not imported.startswith(others), f"{path.relative_to(ROOT)} imports {imported}"


@pytest.mark.parametrize(
    "first",
    [
        "ovsr_ros.demo.scenes",
        "ovsr_ros.demo.sources.opening",
        "ovsr_ros.console.web.server",
        "ovsr_ros.nodes.console.node",
        "ovsr_ros.nodes.console.arguments",
    ],
)
def test_what_camera_and_console_are_made_of_needs_no_torch(first: str) -> None:
    pending, seen = [first], set()
    while pending:
        module = pending.pop()
        parents = [".".join(module.split(".")[:depth]) for depth in range(1, module.count(".") + 1)]
        for name in (*parents, module):
            if name in seen or name not in MODULES:
                continue
            seen.add(name)
            imports = find_imports(MODULES[name])
            assert not {imported.partition(".")[0] for imported in imports} & {"torch", "torchvision"}, name
            pending += [imported for imported in imports if imported.startswith("ovsr_ros")]
    assert first in seen
    assert len(seen) > 3


BLOCK_ROS = """
import importlib, sys

class NoRos:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {blocked!r} or top.endswith("_msgs") or name in ("ovsr_ros.msg", "ovsr_ros.srv"):
            raise ModuleNotFoundError(f"no ROS here: {{name}}", name=name)

sys.meta_path.insert(0, NoRos())
for name in {modules!r}:
    importlib.import_module(name)
"""


def test_everything_but_the_nodes_imports_without_ros() -> None:
    modules = [name for name in MODULES if name.split(".")[1:2] != ["nodes"]]
    script = BLOCK_ROS.format(blocked=sorted(ROS), modules=modules)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
