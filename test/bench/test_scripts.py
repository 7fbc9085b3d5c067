"""Each benchmark at its smallest: it measures, and its tables can be made of what it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ovsr_ros.vocabulary.category import Operation
from ovsr_ros.vocabulary.registry import VocabularyRegistry


@pytest.fixture
def page(load_script):
    """The page that these results alone make."""
    tables = load_script("tables")

    def make(**results):
        return tables.fill(tables.PAGE.read_text(encoding="utf-8"), results)

    return make


def rows(page, begin):
    return [line for line in page.splitlines() if line.startswith(begin)]


def test_clustering_has_all_ways(load_script, page, tmp_path, monkeypatch):
    script = load_script("clustering")
    monkeypatch.setattr(script, "CASES", (("ward", 1000, 8, "smooth", 1), ("average", 1000, 8, "smooth", 1)))
    monkeypatch.setattr("sys.argv", ["clustering.py", "--output", str(tmp_path / "clustering.json")])
    script.main()
    result = json.loads((tmp_path / "clustering.json").read_text(encoding="utf-8"))
    found = [row for linkage in ("ward", "average") for row in rows(page(clustering=result), f"| {linkage} | 1000 |")]
    assert len(found) == 2
    assert all(row.count(" | ") == 9 and row.count("x (") >= 2 for row in found)


@pytest.mark.slow
def test_the_frame_has_reference_overhead_stages_and_precision(run_script, load_script, page, monkeypatch):
    monkeypatch.setattr(load_script("frame"), "SIZE_WH", (320, 240))
    words = ("--models", "demo", "--rounds", "1", "--images", "1", "--precision-images", "1", "--device", "cpu")
    result = run_script("frame", *words)
    (case,) = result["cases"]
    assert case["against_reference"]["reference"]["ratio"]["median"] == 1
    assert case["against_reference"]["faithful"]["ratio"]["median"] > 1
    assert case["same_segments"]["ari"] > 0.95
    assert case["overhead"]["ratio"]["median"] > 0.5
    assert [row["precision"] for row in case["precision"]] == ["fp32", "bf16", "auto"]
    assert case["precision"][0]["labels_differ"] == 0
    assert all(level["denormal_share"] == 0 for level in case["calibration"])
    text = page(frame=result)
    assert rows(text, "| demo models | demo, overhead |")
    assert rows(text, "| demo models | faithful |")
    assert rows(text, "| clusters |")
    assert rows(text, "| demo models | bf16 |")
    assert "labels that differ from fp32's, demo models | 1 % or less | not" not in text


@pytest.mark.slow
def test_a_stream_is_followed_with_and_without_reuse(run_script, load_script, page, monkeypatch):
    monkeypatch.setattr(load_script("stream"), "SIZE_WH", (160, 120))
    result = run_script("stream", "--models", "demo", "--frames", "4", "--warm-up", "8", "--device", "cpu")
    assert [row["camera"] for row in result["rows"]] == ["standing still", "moving"]
    for row in result["rows"]:
        assert 0 <= row["seen_by_clip"] <= 1
        assert 0 <= row["labels_differ"] <= 1
    assert result["rows"][0]["seen_by_clip"] < 1
    assert rows(page(stream=result), "| demo models | standing still |")


@pytest.mark.slow
def test_growth_has_every_part_and_a_plot(run_script, load_script, page, tmp_path, monkeypatch):
    script = load_script("growth")
    monkeypatch.setattr(script, "SIZE_WH", (160, 120))
    monkeypatch.setattr(script, "SEGMENTS", (4, 8))
    monkeypatch.setattr(script, "SIZES_WH", ((160, 120), (320, 240)))
    monkeypatch.setattr(script, "TEXTS", (10, 1000))
    monkeypatch.setattr(script, "ROWS", (10, 1000))
    words = ("--models", "demo", "--rounds", "1", "--most-cameras", "2", "--device", "cpu")
    result = run_script("growth", *words)
    (case,) = result["cases"]
    assert [row["size"] for row in case["size"]] == ["160x120", "320x240"]
    assert [row["segments_wanted"] for row in case["segments"]] == [4, 8, 4, 8]
    assert all(1 < row["segments"]["median"] <= row["segments_wanted"] for row in case["segments"])
    assert [row["categories"] for row in case["categories"]["texts"]] == [10, 250]
    assert [row["rows"] for row in case["categories"]["rows"]] == [10, 1000]
    few, many = case["categories"]["texts"]
    assert few["label_more_percent"] == {"median": 0, "low": 0, "high": 0}
    assert 0 < many["label_ms"]["median"] < many["milliseconds"]["median"]
    assert [row["cameras"] for row in case["cameras"]] == [1, 2]
    text = page(growth=result)
    assert len(rows(text, "| demo models | image ")) == 2
    assert "label() alone" in rows(text, "| demo models | 1,000 texts in 250 categories |")[0]
    load_script("tables").draw(result, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 5000


def test_what_more_texts_cost_is_a_share_of_the_same_turns_frame(load_script):
    busy = np.array([1.0, 1.0, 3.0, 1.0, 2.0])  # other work falls on a whole turn
    found = load_script("growth").more_percent(0.012 * busy, 0.002 * busy, 0.2 * busy)
    assert found == {"median": 5.0, "low": 5.0, "high": 5.0}


def test_many_texts_are_synonyms_of_few_categories(load_script):
    growth = load_script("growth")
    for count in growth.TEXTS:
        requests = growth.make_requests(count)
        assert len(requests) == min(count, 250)
        names = [name for request in requests for name in (request.name, *request.synonyms)]
        assert len(set(names)) == len(names) == count
        assert len(VocabularyRegistry().propose(Operation.REPLACE, requests)) == len(requests)


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own(run_script, page):
    words = ("--presets", "demo", "--sizes", "160x120", "--repeats", "1", "--device", "cpu")
    result = run_script("memory", *words)
    (row,) = result["rows"]
    assert row["process_peak_mib"] > 300
    assert rows(page(memory=result), "| demo | 160x120 |")


@pytest.mark.slow
def test_the_node_is_measured_over_dds(load_script, page, tmp_path):
    words = ("--parts", "overhead", "vocabulary", "rate", "--models", "demo", "--sizes", "160x120", "--names", "20")
    few = ("--changes", "2", "--seconds", "1", "--device", "cpu")
    command = [sys.executable, load_script("ros").__file__, *words, *few]
    # A process of its own, as it is always run: ROS imports deprecated modules, and what is a warning there fails here.
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "ros.json")],
        env={"ROS_DOMAIN_ID": str(os.getpid() % 90 + 10), **os.environ},
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "ros.json").read_text(encoding="utf-8"))
    (overhead,) = result["overhead"]
    assert overhead["stages_ms"].keys() >= {"wait", "convert", "publish"}
    assert 0 < overhead["milliseconds"]["median"] <= overhead["latency_ms"]["median"]
    vocabulary = result["vocabulary"]
    assert (vocabulary["names"], vocabulary["categories"]) == (20, 20)
    assert len(vocabulary["changes"]) == 2
    assert all(change["longest_gap_ms"] > 0 and change["frames_meanwhile"] > 0 for change in vocabulary["changes"])
    assert vocabulary["held_back_periods"]["median"] <= vocabulary["most_held_back_periods"]
    assert {row["camera"] for row in result["rate"]} == {"standing still", "moving"}
    assert all(row["rate_hz"] > 0 for row in result["rate"])
    assert rows(page(ros=result), "| 20 new names in 20 categories")


def test_the_oracle_bounds_what_patches_can_say(load_script, tmp_path):
    out = tmp_path / "oracle.json"
    load_script("trident_oracle").main(["--count", "2", "--settings", "2", "--out", str(out)])
    result = json.loads(out.read_text(encoding="utf-8"))
    alone = result["miou_of_instances_alone"]
    for found in result["miou_by_window_stride_short_side"].values():
        assert 0 < found["windows"] < alone["alone, class token"]
        assert 0 < found["outlined"] < alone["alone, class token"]


def test_the_node_with_trident_has_its_table(page):
    spread = {"median": 12.0, "low": 11.0, "high": 13.0}
    row = {"precision": "auto", "method": "sam", "start_s": 8.0, "started_mb": 2000.0, "peak_mb": 2500.0}
    row |= {"frame_s": spread, "frame_cpu_s": 20.0, "frames": 3}
    report = {
        "command": "python",
        "commit": "0",
        "machine": {"processor": "p", "cores": 2},
        "versions": {},
        "gpu": None,
    }
    assert rows(
        page(trident_node={**report, "trident": [row]}), "| auto | sam | 8.0 | 2000 | 2500 | 12.0 (11.0-13.0) |"
    )


def test_a_part_that_fails_is_told_and_the_others_go_on(load_script, tmp_path, monkeypatch, capsys):
    script = load_script("run")
    (tmp_path / "good.py").write_text("print('fine')\n", encoding="utf-8")
    (tmp_path / "bad.py").write_text("raise SystemExit('no such thing')\n", encoding="utf-8")
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)\n", encoding="utf-8")
    (tmp_path / "tables.py").write_text("print('written')\n", encoding="utf-8")
    monkeypatch.setattr(script, "HERE", tmp_path)
    monkeypatch.setattr(script, "PARTS", {"bad": [], "slow": [], "good": []})
    monkeypatch.setattr(script, "TIMEOUT_S", 2.0)
    assert script.main([]) == 1
    out = capsys.readouterr().out
    assert "bad: FAILED (1)" in out
    assert "no such thing" in out
    assert "slow: FAILED (stopped after 2 s)" in out
    assert "good: done" in out
    assert "tables: done" in out
    assert "failed: bad, slow" in out
    assert script.main(["good"]) == 0
    with pytest.raises(SystemExit):
        script.main(["goood"])


def test_tracks_by_lists_and_by_maps_are_compared(load_script, capsys, monkeypatch):
    script = load_script("evidence")
    monkeypatch.setattr(script, "SIZE_WH", (160, 120))
    assert script.main(["--config", "demo", "--frames", "3"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["lists, ms a frame"] > 0
    assert figures["pixels of another track"] < 0.01


@pytest.mark.parametrize("name", ["frame", "growth", "memory", "ros", "run", "stream", "trident_node"])
def test_every_script_explains_itself(load_script, name, capsys):
    with pytest.raises(SystemExit) as caught:
        load_script(name).main(["--help"])
    assert caught.value.code == 0
    assert "usage: bench/" in capsys.readouterr().out
