"""The tables of docs/performance.md are what the results say."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tables():
    return load_script("tables")


def test_the_page_is_up_to_date(tables):
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert tables.fill(page) == page, "run `python bench/tables.py`"


def test_a_figure_carries_where_it_comes_from(tables):
    for path in (ROOT / "bench" / "results").glob("*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        assert {"command", "commit", "machine", "versions"} <= set(result), path.name
        assert str(Path.home()) + "/" not in path.read_text(encoding="utf-8")


def test_the_clustering_benchmark_measures_and_its_table_has_all_ways(tables, tmp_path, monkeypatch):
    script = load_script("clustering")
    monkeypatch.setattr(script, "CASES", (("ward", 1000, 8, "smooth", 1), ("average", 1000, 8, "smooth", 1)))
    monkeypatch.setattr("sys.argv", ["clustering.py", "--output", str(tmp_path / "clustering.json")])
    script.main()
    table = tables.clustering(json.loads((tmp_path / "clustering.json").read_text(encoding="utf-8")))
    rows = [line for line in table.splitlines() if line.startswith(("| ward | 1000 |", "| average | 1000 |"))]
    assert len(rows) == 2
    for row in rows:
        assert row.count(" | ") == table.splitlines()[0].count(" | ")
        assert row.count("x (") >= 2
