"""The flicker study, on a short clip of the demo's room."""

import numpy as np
import pytest

from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.evaluation.studies import StudyRequest, flicker
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings
from ovsr_ros.tracking import Tracker

NUM_FRAMES = 10


@pytest.fixture(scope="module")
def demo_options():
    return load_settings("demo", {"text.cache_directory": "none"}).pipeline


@pytest.fixture(scope="module")
def demo_clip(demo_options):
    pipeline = Pipeline(demo_options)
    class_of_id = flicker.set_words(pipeline)
    return pipeline, class_of_id, flicker.film(pipeline, flicker.DEMO_SEED, "test", NUM_FRAMES)


def test_tracking_leaves_a_fifth_of_the_flicker_at_most_and_no_less_right(demo_clip):
    pipeline, class_of_id, clip = demo_clip
    alone = flicker.measure(clip, *flicker.label_clip(pipeline, clip, class_of_id, None))
    tracked = flicker.measure(clip, *flicker.label_clip(pipeline, clip, class_of_id, Tracker()))
    assert alone.points.value > 0.001
    assert tracked.points.value <= flicker.TARGET_RATIO * alone.points.value
    assert tracked.pixels.value < alone.pixels.value
    assert tracked.objects.count <= alone.objects.count
    assert tracked.right.value >= alone.right.value - 0.001
    assert tracked.miou >= alone.miou - 0.01


def test_labels_are_right_again_two_frames_after_a_cut_at_most(demo_clip):
    pipeline, class_of_id, clip = demo_clip
    other = flicker.film(pipeline, 2, "test", 3)
    assert flicker.lag_after_cut(pipeline, (clip, other), class_of_id) <= 2


def test_classes_follow_the_vocabulary(demo_options):
    pipeline = Pipeline(demo_options)
    class_of_id = flicker.set_words(pipeline)
    known = [category.id for category in pipeline.vocabulary.categories if category.name in CATEGORIES]
    assert sorted(class_of_id[known]) == list(range(len(CATEGORIES)))
    assert np.all(class_of_id[[c.id for c in pipeline.vocabulary.categories]] < 255)


def test_the_study_tells_each_room_and_all(demo_options, tmp_path, monkeypatch):
    monkeypatch.setattr(flicker, "CLIP_S", 0.2)
    study = flicker.run(StudyRequest(demo_options, tmp_path, split="test", limit=2))
    assert [row["room"] for row in study.figures["rooms"]] == ["test 35", "test 0", "all"]
    assert study.figures["frames"] == 2
    assert len(study.figures["lag_frames"]) == 1
    assert "Lag: " in study.markdown
