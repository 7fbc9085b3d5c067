"""Writes the tables of docs/performance.md from bench/results/, between the markers that name them, and its plot."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sections
import targets

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "bench" / "results"
PLOT = ROOT / "docs" / "images" / "growth.png"

# By marker: the result that the table is made of, and what makes it.
TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "clustering": ("clustering", sections.clustering),
    "reference": ("frame", sections.reference),
    "stages": ("frame", sections.stages),
    "precision": ("frame", sections.precision),
    "stream": ("stream", sections.stream),
    "growth": ("growth", sections.growth),
    "words": ("words", sections.words),
    "ros": ("ros", sections.ros),
    "memory": ("memory", sections.memory),
    "trident_none": ("trident_none", sections.trident),
    "trident_sam": ("trident_sam", sections.trident),
    "trident_node": ("trident_node", sections.trident_node),
}
COMMANDS = {
    "words": "python bench/growth.py --models pocket --parts categories --texts 5 250 --output bench/results/"
    "words.json",
    "trident_none": "python bench/trident.py --method none --out bench/results/trident_none.json",
    "trident_sam": "python bench/trident.py --method sam --out bench/results/trident_sam.json",
    "trident_node": "python bench/trident_node.py",
}


def main() -> int:
    """Fill the page and draw the plot; 1 when something cannot be made."""
    results = load_results()
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    if "growth" in results:
        try:
            draw(results["growth"], PLOT)
        except ImportError as error:
            print(f'the plot needs matplotlib ({error}): pip install "ovsr_ros[evaluation]"', file=sys.stderr)
            return 1
    return 0


def load_results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Every result, by the name of its file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def fill(page: str, results: dict[str, dict[str, Any]]) -> str:
    """The page with every table written anew."""
    texts = {"targets": targets.table(results)}
    for marker, (result, make) in TABLES.items():
        found = [make(results[name]) for name in (result, f"{result}_gpu") if name in results]
        command = COMMANDS.get(result, f'make bench ARGS="{result}"')
        texts[marker] = "\n\n".join(found) or f"Not measured yet: `{command}`."
    for marker, text in texts.items():
        begin, end = f"<!-- table: {marker} -->", f"<!-- end: {marker} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        page = pattern.sub(lambda _, text=text, begin=begin, end=end: f"{begin}\n{text}\n{end}", page)
    return page


def draw(result: dict[str, Any], path: Path) -> None:
    """The growth's plot: a panel per thing that grows, a line per pair of networks."""
    from ovsr_ros.evaluation.studies.plots import Panel, plot_panels

    panels = [Panel(*panel) for panel in sections.growth_panels(result)]
    caption = f"Median time of a frame. {result['machine']['processor']}, {result['machine']['cores']} cores, "
    caption += f"commit {result['commit'][:12]}."
    path.parent.mkdir(parents=True, exist_ok=True)
    plot_panels(panels, caption).savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    sys.exit(main())
