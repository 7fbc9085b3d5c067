"""Writes the tables of docs/performance.md from bench/results/, between the markers that name them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "bench" / "results"


def main() -> None:
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def fill(page: str) -> str:
    """The page with every table that there are results for written anew."""
    for name, table in TABLES.items():
        results = RESULTS / f"{name}.json"
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        if results.exists() and begin in page:
            text = table(json.loads(results.read_text(encoding="utf-8")))
            pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
            page = pattern.sub(lambda _, text=text, begin=begin, end=end: f"{begin}\n{text}\n{end}", page)
    return page


def clustering(result: dict[str, Any]) -> str:
    names = ["linkage", "points", "dims", "data", "SciPy, ms", "fastcluster", "PyTorch, CPU"]
    names += ["ours, 1 thread", "ours, 2 threads", "GPU"]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in result["rows"]:
        milliseconds = row["milliseconds"]["scipy"]
        ratios = [ratio(row, way) for way in ("fastcluster", "pytorch", "ours_1", "ours_2", "gpu")]
        time = f"{milliseconds['median']:.0f} ({milliseconds['low']:.0f}-{milliseconds['high']:.0f})"
        case = " | ".join(str(row[key]) for key in ("linkage", "points", "dims", "data"))
        lines.append(f"| {case} | {time} | {' | '.join(ratios)} |")
    return "\n".join([*lines, "", origin(result)])


def ratio(row: dict[str, Any], way: str) -> str:
    """How many times as fast as SciPy, with quartiles."""
    found = row["ratios"].get(way)
    if found is None:
        return "not run"
    return f"{found['median']:.1f}x ({found['low']:.1f}-{found['high']:.1f})"


def origin(result: dict[str, Any]) -> str:
    """What a figure must carry: command, commit, machine, versions."""
    machine = result["machine"]
    packages = ", ".join(f"{name} {version or '(not installed)'}" for name, version in result["versions"].items())
    gpu = result["gpu"] or "no GPU at hand"
    return (
        f"`{result['command']}` at commit {result['commit']}; {machine['processor']}, {machine['cores']} cores, {gpu}; "
        f"{packages}."
    )


TABLES = {"clustering": clustering}

if __name__ == "__main__":
    main()
