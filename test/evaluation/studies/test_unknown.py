"""Objects whose word is left out: that the counts add up, and that the threshold does what it says."""

import json

import cv2
import numpy as np
import pytest
import yaml

from ovsr_ros.cli import main
from ovsr_ros.demo.scenes import CATEGORIES, Scene
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.studies.unknown import (
    SCENES,
    best_threshold,
    kind_rows,
    measure_rejection,
    operating_point,
)
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings
from ovsr_ros.vocabulary.category import parse_category

SMALL = "{device: cpu, features.input_short_side: 256, features.grid_rows: 32, text.cache_directory: none}"
THRESHOLDS = (0.0, 0.5, 0.9, 1.0)


@pytest.fixture(scope="module")
def dataset():
    return open_dataset("scenes")


@pytest.fixture(scope="module")
def samples(dataset):
    return [dataset.load(index) for index in (0, 1)]


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline(load_settings("demo", yaml.safe_load(SMALL)).pipeline)


@pytest.fixture(scope="module")
def result(pipeline, samples, dataset):
    return measure_rejection(pipeline, samples, len(dataset.classes), THRESHOLDS)


def objects_of(sample):
    """Class and pixels of each kind of object that is in view enough to be left out."""
    areas = np.bincount(sample.truth.ravel(), minlength=256)
    return {
        int(c): int(areas[c])
        for c in np.flatnonzero(areas >= round(SCENES.min_area * sample.truth.size))
        if SCENES.num_surroundings <= c < 255
    }


def test_every_object_is_left_out_once_with_all_its_pixels(result, samples):
    expected = [objects_of(sample) for sample in samples]
    assert result.num_images == len(samples)
    assert result.num_left_out == sum(map(len, expected))
    assert result.left_out.num == sum(sum(objects.values()) for objects in expected)
    for kind, pixels in result.by_kind.items():
        assert pixels.num == sum(objects.get(kind, 0) for objects in expected)


def test_the_others_count_once_per_word_left_out(result, samples):
    surroundings = objects = 0
    for sample in samples:
        left_out = objects_of(sample)
        areas = np.bincount(sample.truth.ravel(), minlength=256)
        surroundings += len(left_out) * int(areas[: SCENES.num_surroundings].sum())
        objects += sum(int(areas[SCENES.num_surroundings : 255].sum()) - pixels for pixels in left_out.values())
    assert result.surroundings.num == surroundings
    assert result.objects.num == objects


def test_a_word_that_is_not_there_is_never_right(result):
    assert not result.left_out.right.any()
    assert not result.left_out.kept.any()


def test_a_higher_threshold_unlabels_more_and_keeps_less(result):
    for pixels in (result.left_out, result.objects, result.surroundings):
        assert (np.diff(pixels.unlabeled) >= 0).all()
        assert (np.diff(pixels.kept) <= 0).all()
        assert (pixels.kept <= pixels.right).all()
        assert (pixels.right + pixels.unlabeled <= pixels.num).all()
        assert pixels.right_before <= pixels.num


def test_a_threshold_of_one_leaves_everything_unlabeled(result):
    for pixels in (result.left_out, result.objects, result.surroundings):
        assert pixels.unlabeled[-1] == pixels.num > 0
    assert operating_point(result, 1.0)["unlabeled"] == 1.0
    assert operating_point(result, 1.0)["objects_right"] == 0.0


def test_the_counts_are_those_of_the_product_itself(pipeline, samples, result):
    """One object, counted by hand on what `segment` answers with its word left out, at the middle threshold."""
    unlabeled = 0
    before = pipeline.options.score_threshold
    pipeline.update_options({"score_threshold": 0.5})
    try:
        for sample in samples:
            for kind in objects_of(sample):
                pairs = zip(sample.words, sample.word_classes, strict=True)
                words = [parse_category(word) for word, word_class in pairs if word_class != kind]
                label_map = pipeline.segment(sample.image, words).label_map
                unlabeled += int((label_map[sample.truth == kind] == 255).sum())
    finally:
        pipeline.update_options({"score_threshold": before})
    assert result.left_out.unlabeled[1] == unlabeled > 0


def test_the_pipelines_threshold_is_put_back(pipeline, result):
    assert pipeline.options.score_threshold == load_settings("demo").pipeline.score_threshold


def test_what_is_told_of_it_agrees_with_the_counts(result, dataset):
    point = operating_point(result, 0.5)
    assert point["unlabeled"] == result.left_out.unlabeled[1] / result.left_out.num
    assert point["objects_kept"] == result.objects.kept[1] / result.objects.right_before
    rows = kind_rows(result, dataset.classes, 0.5)
    assert sum(row["pixels"] for row in rows) == result.left_out.num
    weighted = sum(row["pixels"] * row["unlabeled"] for row in rows) / result.left_out.num
    assert weighted == pytest.approx(point["unlabeled"])
    found = best_threshold(result)
    assert found is None or operating_point(result, found)["objects_kept"] >= 0.9


def test_the_command_writes_table_figures_and_curve(tmp_path, capsys):
    out = tmp_path / "out"
    options = [f"--set={key}={value}" for key, value in yaml.safe_load(SMALL).items()]
    assert main(["evaluate", "--study", "unknown", "--limit", "1", "--out", str(out), *options]) == 0
    printed = capsys.readouterr().out
    figures = json.loads((out / "unknown_val.json").read_text())
    assert figures["images"] == 1
    assert [point["threshold"] for point in figures["thresholds"]] == [round(0.05 * i, 2) for i in range(20)]
    assert {"command", "commit", "machine", "weights", "options", "note"} <= figures.keys()
    assert f"{figures['preset']['unlabeled']:.1%} unlabeled (target 70%)" in printed
    assert (out / "unknown_val_curve.png").read_bytes().startswith(b"\x89PNG")
    assert "unknown_val_curve.png" in (out / "unknown_val.md").read_text()


def test_photographs_leave_out_every_class_that_is_in_view(tmp_path, capsys):
    """A scene as a folder of photographs: the wall and the floor are classes like others there."""
    scene = Scene(35, split="val").render()
    for name, picture in (("images", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)), ("masks", scene.category_map)):
        (tmp_path / "rooms" / name).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / "rooms" / name / "a.png"), picture)
    lines = [f"{number}: {name}" for number, name in enumerate(CATEGORIES)]
    (tmp_path / "rooms" / "classes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    options = [f"--set={key}={value}" for key, value in yaml.safe_load(SMALL).items()]
    data = ["--dataset", "folder", "--root", str(tmp_path / "rooms"), "--config", "demo"]
    assert main(["evaluate", "--study", "unknown", *data, "--out", str(out), *options]) == 0
    (figures,) = (json.loads(path.read_text()) for path in out.glob("unknown_*.json"))
    areas = np.bincount(scene.category_map.ravel(), minlength=256)[: len(CATEGORIES)]
    in_view = [CATEGORIES[c] for c in np.flatnonzero(areas >= 0.01 * scene.category_map.size)]
    assert [row["kind"] for row in figures["kinds"]] == in_view
    assert {"wall", "floor"} <= set(in_view)
    assert figures["targets"] == {"unlabeled": 0.5, "objects_kept": 0.9}
    assert "note" not in figures
    assert "surroundings_kept" not in figures["preset"]
    assert "wall and floor" not in capsys.readouterr().out
