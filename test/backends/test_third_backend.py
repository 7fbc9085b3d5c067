"""A backend is one folder and one line: one that none of ours names runs through the library and the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import tiny_backend

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("-m", "tiny_backend", "ovsr_ros.cli")
PIPELINE = """
from ovsr_ros.backends import BACKENDS
BACKENDS["tiny"] = "tiny_backend"
import argparse, numpy as np, pytest
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.arguments import add_arguments, chosen_settings
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings, models_of, values_in_use
from ovsr_ros.vocabulary.category import CategoryRequest, Operation

given = {"backend": "tiny", "device": "cpu", "text.cache_directory": "none", "score_threshold": 0.0}
pipeline = Pipeline(load_settings(None, given).pipeline)
image = np.zeros((48, 64, 3), np.uint8)
image[:, :32, 0] = image[:, 32:, 2] = 255
pipeline.set_vocabulary(Operation.REPLACE, [CategoryRequest("red ball"), CategoryRequest("blue cup")])
red, blue = (category.id for category in pipeline.vocabulary.categories)
found = pipeline.segment(image)
assert (found.label_map[:, :32] == red).all() and (found.label_map[:, 32:] == blue).all()
assert len(found.segments) == 4
pipeline.update_options({"tiny.grid.side": 4})
assert len(pipeline.segment(image).segments) == 16
with pytest.raises(ConfigError, match="tiny.words.default: is 'white' and cannot change while running"):
    pipeline.update_options({"tiny.words.default": "red"})
with pytest.raises(ConfigError, match="the nearest known key is 'tiny.grid.side'"):
    pipeline.update_options({"tiny.grid.sides": 2})
names = list(values_in_use(pipeline.options))
assert names[-2:] == ["tiny.grid.side", "tiny.words.default"]
assert {name.partition(".")[0] for name in names if "." in name} == {"text", "tiny"}
assert models_of(pipeline.options) == {}
with pytest.raises(ConfigError, match="finding segments without words needs one of ovsr, got 'tiny'"):
    models_of(pipeline.options, before_words=True)

parser = argparse.ArgumentParser()
add_arguments(parser)
assert "{ovsr,trident,tiny}" in parser.format_help()
chosen = chosen_settings(parser.parse_args(["--backend", "tiny"]))
assert chosen == load_settings(None, {"backend": "tiny"})
"""


def run(*words: str | Path, cwd: Path) -> str:
    """What a Python that finds the tiny backend prints."""
    path = os.pathsep.join((str(ROOT), str(Path(tiny_backend.__file__).parent), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_runs_in_a_pipeline(tmp_path: Path) -> None:
    run("-c", PIPELINE, cwd=tmp_path)


def test_it_segments_a_picture(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 1] = 255
    assert cv2.imwrite(str(tmp_path / "a.png"), image)
    (tmp_path / "tiny.yaml").write_text("{backend: tiny, text.cache_directory: none, score_threshold: 0.0}")
    words = ("--config", "tiny.yaml", "--set", "tiny.grid.side=3", "--categories", "green", "--categories", "red")
    run(*COMMAND, "segment", "a.png", *words, "--out", "out", cwd=tmp_path)
    (described,) = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("*.json")]
    assert len(described["segments"]) == 9
    (labels,) = (tmp_path / "out").rglob("*label*.png")
    assert len(np.unique(cv2.imread(str(labels), cv2.IMREAD_UNCHANGED))) == 1


def test_it_is_evaluated(tmp_path: Path) -> None:
    words = ("--dataset", "scenes", "--limit", "2", "--backend", "tiny", "--set", "text.cache_directory=none")
    run(*COMMAND, "evaluate", *words, "--json", "a.json", cwd=tmp_path)
    report = json.loads((tmp_path / "a.json").read_text())
    assert (report["images"], report["mean_segments"]) == (2, 4.0)
    assert 0 < report["hungarian_miou"] < 1
    assert report["options"]["tiny.grid.side"] == 2
    assert "clusters.linkage" not in report["options"]
