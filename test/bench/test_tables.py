"""The tables of docs/performance.md are what the results say; every target has its row."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "bench" / "results"


@pytest.fixture
def tables(load_script):
    return load_script("tables")


def test_the_page_is_up_to_date(tables):
    page = PAGE.read_text(encoding="utf-8")
    assert tables.fill(page, tables.load_results()) == page, "run `python bench/tables.py`"


def test_every_table_has_its_place_once(tables):
    page = PAGE.read_text(encoding="utf-8")
    for marker in (*tables.TABLES, "targets"):
        assert len(re.findall(f"<!-- table: {marker} -->.*?<!-- end: {marker} -->", page, re.DOTALL)) == 1


def test_a_figure_carries_where_it_comes_from():
    for path in RESULTS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        result = json.loads(text)
        assert {"command", "commit", "machine", "versions"} <= set(result), path.name
        assert str(Path.home()) + "/" not in text
        assert "/tmp/" not in text


def test_without_results_every_target_and_table_says_so(tables):
    page = tables.fill(PAGE.read_text(encoding="utf-8"), {})
    assert page.count("Not measured yet: `") == len(tables.TABLES)
    rows = [line for line in page.partition("## The whole frame")[0].splitlines() if line.endswith("| - |")]
    assert len(rows) == len(tables.targets.TARGETS)
    assert sum("no GPU at hand" in row for row in rows) == 3, "what is known to need a GPU"


@pytest.mark.parametrize(("median", "met"), [(6.0, True), (5.9, False)])
def test_a_target_is_met_or_not(tables, median, met):
    ratio = {"median": median, "low": median - 1, "high": median + 1}
    models = tables.targets.REAL
    case = {"models": models, "preset": "ovsr", "against_reference": {"ovsr": {"ratio": ratio}}}
    measured = tables.targets.speed("frame", 6)({"frame": {"cases": [case]}})
    assert (measured.text, measured.is_met) == (f"{median:.1f}x ({median - 1:.1f}-{median + 1:.1f})", met)


@pytest.mark.parametrize(("more", "met"), [(5.0, True), (5.1, False)])
def test_what_texts_cost_is_judged_by_label_alone(tables, more, met):
    def spread(median):
        return {"median": median, "low": median - 0.5, "high": median + 0.5}

    def texts(models, label_more):
        rows = [
            {"texts": 10, "more_percent": spread(0.0), "label_more_percent": spread(0.0)},
            {"texts": 1000, "more_percent": spread(20.0), "label_more_percent": spread(label_more)},
        ]
        return {"models": models, "categories": {"texts": rows}}

    measure = tables.targets.categories("texts", "label_more_percent")
    measured = measure({"growth": {"cases": [texts(tables.targets.REAL, 1.0), texts(tables.targets.DEMO, more)]}})
    assert (measured.text, measured.is_met) == (f"{more:+.1f} % ({more - 0.5:+.1f} to {more + 0.5:+.1f})", met)


def test_a_result_without_what_a_target_asks_for_is_not_measured(tables):
    rows = [{"texts": 1000, "more_percent": {"median": 1.0, "low": 0.0, "high": 2.0}}]
    result = {"growth": {"cases": [{"models": tables.targets.DEMO, "categories": {"texts": rows}}]}}
    measure = tables.targets.categories("texts", "label_more_percent")
    assert tables.targets.answer(measure, result) == tables.targets.Measured("not measured yet")
