"""What the shipped models must be able to do, through the very command that publishes their figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ovsr_ros.demo import scenes
from ovsr_ros.demo.objects import KINDS
from ovsr_ros.demo.scenes import CATEGORIES, DISTRACTORS, Scene
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.metrics import ClassCounts, overlap
from ovsr_ros.evaluation.studies.clusters import ADAPTIVE, count_scenes, counted_scenes
from ovsr_ros.evaluation.studies.unknown import measure_rejection, operating_point
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings
from ovsr_ros.vocabulary.category import parse_category

WEIGHTS = Path(scenes.__file__).parent / "weights"
NUM_IMAGES = 64
# Just under what was measured over these images; docs/results/scenes_test.json has the figures over 200.
MIN_MIOU, MIN_HUNGARIAN_MIOU, MIN_HELD_OUT_TOP1 = 0.76, 0.83, 0.82
MIN_BOUNDARY_F1 = 0.83
MIN_LEFT_OUT_UNLABELED, MIN_OTHERS_KEPT = 0.70, 0.90
MIN_COUNT_CORRELATION, MAX_COUNT_ERROR = 0.8, 1.8
MIN_SMALL_FOUND = 0.7
MIN_SYNONYM_SHARE = 0.8


@pytest.fixture(scope="session")
def demo_pipeline():
    pipeline = Pipeline(load_settings("demo", {"text.cache_directory": "none"}).pipeline)
    yield pipeline
    pipeline.close()


@pytest.fixture(scope="session")
def figures(tmp_path_factory):
    """`ovsr evaluate` on the test split, which no choice was made on."""
    path = tmp_path_factory.mktemp("evaluate") / "figures.json"
    words = ["evaluate", "--dataset", "scenes", "--split", "test", "--limit", str(NUM_IMAGES), "--json", str(path)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(path.parent)}
    subprocess.run(
        [sys.executable, "-m", "ovsr_ros.cli", *words], check=True, timeout=900, env=environment, capture_output=True
    )
    return json.loads(path.read_text())


def test_labelled_and_hungarian_miou(figures):
    assert figures["images"] == NUM_IMAGES
    assert figures["distractors"] == 8
    assert figures["miou"] >= MIN_MIOU
    assert figures["hungarian_miou"] >= MIN_HUNGARIAN_MIOU


def test_borders_lie_on_the_objects_edges(figures):
    assert figures["boundary"]["f1"] >= MIN_BOUNDARY_F1


def test_held_out_combinations(figures):
    assert figures["held_out"]["objects"] >= 100
    assert figures["held_out"]["top1"] >= MIN_HELD_OUT_TOP1


def test_figures_carry_what_is_needed_to_repeat_them(figures):
    assert figures["command"].startswith("ovsr evaluate --dataset scenes --split test")
    assert {"commit", "version", "machine", "options", "note"} <= set(figures)
    assert set(figures["per_class"]) == set(CATEGORIES)


def test_the_package_stays_small():
    sizes = [path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(sizes) <= 24 * 2**20


def test_the_preset_looks_for_everything_in_the_scenes_and_for_more():
    assert load_settings("demo").node.categories == (*CATEGORIES, *DISTRACTORS)


def test_something_else_takes_what_no_word_describes(demo_pipeline):
    """Each object's word left out in turn: its pixels lose their label, the other objects keep theirs."""
    dataset = open_dataset("scenes", split="test")
    threshold = demo_pipeline.options.score_threshold
    samples = (dataset.load(index) for index in range(NUM_IMAGES))
    result = measure_rejection(demo_pipeline, samples, len(dataset.classes), (threshold,))
    shares = operating_point(result, threshold)
    assert result.num_left_out >= 200
    assert shares["unlabeled"] >= MIN_LEFT_OUT_UNLABELED
    assert shares["objects_kept"] >= MIN_OTHERS_KEPT


def test_the_number_of_clusters_follows_the_scene(demo_pipeline):
    """65 scenes of 2 to 14 regions: the count goes with theirs, and no fixed number does better."""
    results = count_scenes(demo_pipeline.state.backend.segmenter, counted_scenes("test", 5))
    counted = [result.num_clusters[ADAPTIVE] for result in results]
    true = [result.num_categories for result in results]
    assert len(results) == 65
    assert np.corrcoef(counted, true)[0, 1] >= MIN_COUNT_CORRELATION
    assert np.abs(np.subtract(counted, true)).mean() <= MAX_COUNT_ERROR
    miou = {
        name: sum(counts, ClassCounts.zeros(len(CATEGORIES))).summary()["miou"] for name, counts in by_setting(results)
    }
    assert miou[ADAPTIVE] > max(miou["K = 8"], miou["K = 12"])


def by_setting(results):
    return [(name, [result.hungarian[name] for result in results]) for name in results[0].hungarian]


def test_small_objects_survive(demo_pipeline):
    """Objects of 8 to 12 % of the image's height, in full view: most have a segment of their own that fits."""
    fits = []
    for seed in range(NUM_IMAGES):
        frame = Scene(seed, split="test").render(0.0)
        segments = demo_pipeline.embed(frame.image).regions.segment_map.cpu().numpy()
        num_segments = int(segments.max()) + 1
        table = overlap(frame.instance_map, segments, (len(frame.instance_names), num_segments))
        areas, segment_areas = table.sum(1), table.sum(0)
        for instance in range(2, len(frame.instance_names)):
            rows = np.flatnonzero((frame.instance_map == instance).any(1))
            if len(rows) and 0.08 * 480 <= np.ptp(rows) + 1 <= 0.12 * 480 and rows[-1] < 479:
                fits.append((table[instance] / (areas[instance] + segment_areas - table[instance])).max())
    assert len(fits) >= 30
    assert np.mean(np.array(fits) >= 0.5) >= MIN_SMALL_FOUND


def test_unseen_synonyms_name_their_kind():
    """Names that never occurred in training, such as "beach ball", are read by the word in them that did."""
    kinds = [kind for kind, info in KINDS.items() if info.unseen_synonyms]
    encoder = ClipModel("demo")
    known = encoder.encode_texts([f"a photo of a {kind}." for kind in KINDS])
    right = 0
    for kind in kinds:
        unseen = encoder.encode_texts([f"a photo of a {KINDS[kind].unseen_synonyms[0]}."])
        right += list(KINDS)[int((unseen @ known.T).argmax())] == kind
    assert len(kinds) >= 2
    assert right >= MIN_SYNONYM_SHARE * len(kinds)


def test_another_vocabulary_labels_the_same_pixels(demo_pipeline):
    """Words decide: the same image, asked for by category or not at all, is labelled or left unlabeled."""
    frame = Scene(5, num_objects=3, split="val").render(0.0)
    embedded = demo_pipeline.embed(frame.image)
    everything = demo_pipeline.state_for([parse_category(category) for category in CATEGORIES])
    floor_only = demo_pipeline.state_for([parse_category("floor")])
    by_all, by_floor = demo_pipeline.label(embedded, everything), demo_pipeline.label(embedded, floor_only)
    ids = {category.name: category.id for category in everything.vocabulary.categories}
    floor_id = floor_only.vocabulary.categories[0].id
    table = overlap(frame.category_map, by_all.label_map, (len(CATEGORIES), 256))
    assert table[1, ids["floor"]] > 0.7 * table[1].sum()
    wall = frame.category_map == 0
    assert (by_floor.label_map[wall] == 255).mean() > 0.5
    assert (by_floor.label_map[frame.category_map == 1] == floor_id).mean() > 0.6
