"""docs/architecture.md begins with the ways of a frame and of a word: what they name exists, and they are short."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
STOP = re.compile(r"^(\d+)\. `([\w/]+\.py)`, `([\w.]+)`: \S", re.MULTILINE)


def stops(heading: str) -> list[tuple[str, str]]:
    page = PAGE.read_text(encoding="utf-8")
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = STOP.findall(section)
    assert [int(number) for number, _, _ in found] == list(range(1, len(found) + 1))
    assert len(found) == len(re.findall(r"^\d+\. ", section, re.MULTILINE)), "a stop is written otherwise"
    return [(file, function) for _, file, function in found]


def test_the_page_begins_with_the_two_ways() -> None:
    headings = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["The way of a frame", "The way of a word"]


@pytest.mark.parametrize(("heading", "most"), [("The way of a frame", 20), ("The way of a word", 10)])
def test_each_stop_is_a_function_that_exists(heading: str, most: int) -> None:
    way = stops(heading)
    assert 5 < len(way) <= most
    for file, function in way:
        tree: ast.AST = ast.parse((ROOT / "ovsr_ros" / file).read_text(encoding="utf-8"))
        for name in function.split("."):
            named = [
                node
                for node in ast.iter_child_nodes(tree)
                if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name
            ]
            assert named, f"{file} has no {function}"
            tree = named[0]
        assert isinstance(tree, ast.FunctionDef), f"{file}: {function} is no function"
