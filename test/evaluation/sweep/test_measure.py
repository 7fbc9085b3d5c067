"""A sweep measured: what its tables say, that it shares what it can, and that a kill costs nothing but time."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from ovsr_ros.cli import main
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.measurements import Measurements, compare_figures
from ovsr_ros.evaluation.sharing import CachedDataset, SharedFactory, SharedPipeline
from ovsr_ros.evaluation.sweep.file import read_sweep
from ovsr_ros.evaluation.sweep.measure import measure_sweep
from ovsr_ros.evaluation.sweep.tables import to_markdown
from ovsr_ros.settings import load_settings

ROOT = Path(__file__).resolve().parents[3]

SMALL = "{device: cpu, features.input_short_side: 256, features.grid_rows: 24, text.cache_directory: none}"


def write_sweep(tmp_path, rest: str) -> Path:
    path = tmp_path / "some.yaml"
    path.write_text(f"config: demo\nbase: {SMALL}\nlimit: 3\n{rest}", encoding="utf-8")
    return path


@pytest.fixture
def small_options():
    return load_settings("demo", yaml.safe_load(SMALL)).pipeline


def test_a_bad_value_is_worse_and_the_base_is_measured_once(tmp_path):
    sweep = read_sweep(
        write_sweep(
            tmp_path,
            "groups:\n"
            "  - {option: clusters.count_rule, values: [energy, fixed]}\n"
            "  - {name: threshold, option: score_threshold, values: [1.0, 0.3]}\n",
        ),
        {"clusters.fixed": 2},
    )
    measurements = Measurements(open_dataset("scenes"), range(3), tmp_path / "out")
    result = measure_sweep(sweep, measurements)
    (adaptive, two), (nothing, base) = result.groups
    assert adaptive.is_base
    assert base.is_base
    assert adaptive.figures is result.base.figures
    assert two.figures.hungarian_miou < adaptive.figures.hungarian_miou - 0.1
    assert two.hungarian_change.value == pytest.approx(two.figures.hungarian_miou - adaptive.figures.hungarian_miou)
    assert two.hungarian_change.high < 0
    assert nothing.figures.miou == 0  # every pixel is unlabeled
    assert nothing.figures.hungarian_miou == base.figures.hungarian_miou  # the threshold does not move clusters
    assert nothing.hungarian_change.value == 0
    assert len(list((tmp_path / "out" / "runs" / "scenes-val").glob("*.jsonl"))) == 3
    assert measurements.shared.pipeline.num_loads == 1

    page = to_markdown(sweep, result)
    assert page.count("(base)") == 2
    row = next(line for line in page.splitlines() if line.startswith("| fixed"))
    assert f"{two.figures.hungarian_miou:.3f}" in row
    assert f"**{two.hungarian_change.value:+.3f} [" in row


def test_models_are_loaded_again_only_for_a_read_only_option(small_options):
    shared = SharedPipeline()
    shared.get(small_options)
    live = dataclasses.replace(small_options, score_threshold=0.9)
    assert shared.get(live).options == live
    assert shared.num_loads == 1
    levels = dataclasses.replace(small_options, features=dataclasses.replace(small_options.features, levels=(0,)))
    assert shared.get(levels).options == levels
    assert shared.num_loads == 2


def test_reused_frames_give_the_figures_that_a_new_pipeline_gives(small_options, tmp_path):
    dataset = open_dataset("scenes")
    other = dataclasses.replace(
        small_options,
        score_threshold=0.5,
        alignment=dataclasses.replace(small_options.alignment, method="none"),
    )
    measurements = Measurements(dataset, range(2), tmp_path / "shared")
    first = measurements.judge(small_options)
    assert len(measurements.shared.pipeline._frames) == 2
    reused = measurements.judge(other)
    assert len(measurements.shared.pipeline._frames) == 2
    alone = Measurements(dataset, range(2), tmp_path / "alone").judge(other)
    strip = [[(r.labelled, r.hungarian, r.boundary) for r in figures.per_image] for figures in (reused, alone)]
    assert strip[0] == strip[1]
    assert compare_figures(first, reused, "hungarian").value == 0
    crops = dataclasses.replace(small_options, crops=dataclasses.replace(small_options.crops, style="box"))
    assert (
        SharedFactory(crops, shared=measurements.shared.pipeline)().pipeline.frames is None
    )  # other crops, other embeddings


def test_a_cached_data_set_is_the_data_set_and_draws_once():
    plain, cached = open_dataset("scenes"), CachedDataset(open_dataset("scenes"))
    assert (cached.name, cached.split, cached.classes, len(cached)) == ("scenes", "val", plain.classes, len(plain))
    assert cached.name_of(3) == plain.name_of(3)
    assert cached.load(3) is cached.load(3)
    assert (cached.load(3).image == plain.load(3).image).all()
    full = CachedDataset(plain, max_bytes=1000)
    assert full.load(3) is not full.load(3)


def command(path: Path, out: Path, *more: str) -> list[str]:
    return ["evaluate", "--sweep", str(path), "--out", str(out), "--limit", "2", *more]


def test_a_killed_sweep_goes_on_and_ends_as_if_it_had_not_been(tmp_path, capsys):
    path = write_sweep(tmp_path, "groups: [{option: crops.style, values: [mean, box]}]\n")
    out = tmp_path / "out"
    # As many threads as here: the last bits of a sum depend on it, and by them a figure.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        [sys.executable, "-m", "ovsr_ros.cli", *command(path, out)], env=environment, stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if sum(len(journal.read_bytes().splitlines()) for journal in out.rglob("*.jsonl")) >= 2:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {journal: journal.read_bytes() for journal in out.rglob("*.jsonl")}
    assert before
    assert not (out / "sweep.json").exists()
    assert main(command(path, out)) == 0
    for journal, content in before.items():
        whole = content[: content.rfind(b"\n") + 1]
        assert journal.read_bytes().startswith(whole), "what was judged before the kill was judged again"
    resumed = json.loads((out / "sweep.json").read_text())
    assert main(command(path, tmp_path / "unbroken")) == 0
    unbroken = json.loads((tmp_path / "unbroken" / "sweep.json").read_text())
    for result in (resumed, unbroken):
        for run in (result["base"], *result["groups"][0]["runs"]):
            run.pop("seconds")
            run.pop("ms")
    assert resumed["groups"] == unbroken["groups"]
    assert resumed["images"] == 2
    assert {"command", "commit", "machine", "weights", "options"} <= resumed.keys()
    assert "## crops.style" in capsys.readouterr().out


def test_the_command_says_what_is_missing(tmp_path, capsys):
    path = write_sweep(tmp_path, "groups: [{option: crops.stile, values: [box]}]\n")
    assert main(["evaluate", "--sweep", str(path)]) == 2
    assert "--out DIR" in capsys.readouterr().err
    assert main(command(path, tmp_path / "out")) == 2
    assert "nearest known key is 'crops.style'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
