"""What is pointed at becomes an example, and what the embedded models make of one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from small_pipeline import small_options, striped_image

from ovsr_ros.backends.reduction import Reduction
from ovsr_ros.errors import ImageError, VocabularyError
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings
from ovsr_ros.teaching import (
    THUMBNAIL_PX,
    Pointed,
    check_teachable,
    draw_thumbnail,
    explain_unused,
    mask_of_box,
    point_at_mask,
    to_example,
)
from ovsr_ros.vocabulary.category import CategoryRequest, Operation
from ovsr_ros.vocabulary.change import Forgetting, Teaching
from ovsr_ros.vocabulary.example import Example

MUG, BALL = CategoryRequest("mug; cup"), CategoryRequest("ball")


@pytest.fixture(scope="module")
def options(seeded_models):
    return small_options(seeded_models)


@pytest.fixture
def pipeline(options):
    pipeline = Pipeline(options)
    pipeline.set_vocabulary(Operation.REPLACE, [MUG, BALL])
    yield pipeline
    pipeline.close()


def teach(pipeline, name, pointed):
    example = to_example(pointed, pipeline.state)
    pipeline.commit(pipeline.prepare(change=Teaching(CategoryRequest(name), example)))
    return pipeline.vocabulary


def test_the_mask_of_a_segment_is_seen_as_the_segment_is(pipeline):
    frame = pipeline.embed(striped_image())
    segment_map = pipeline.label(frame).segment_map
    pointed = point_at_mask(pipeline, striped_image(), segment_map == 1)
    np.testing.assert_allclose(pointed.embedding, frame.embeddings[0].numpy(), atol=1e-5)


def test_a_frame_is_relabelled_by_what_was_taught_and_by_what_was_forgotten(pipeline):
    frame = pipeline.embed(striped_image())
    before = pipeline.label(frame)
    other = "ball" if before.segments.class_ids[0] == 0 else "mug"
    vocabulary = teach(pipeline, other, Pointed(frame.embeddings[0].numpy(), b""))
    taught = pipeline.label(frame)
    assert taught.vocabulary_version == vocabulary.version == 2
    assert vocabulary.by_id(int(taught.segments.class_ids[0])).name == other
    pipeline.commit(pipeline.prepare(change=Forgetting([1])))
    again = pipeline.label(frame)
    np.testing.assert_array_equal(again.label_map, before.label_map)
    np.testing.assert_array_equal(again.segments.scores, before.segments.scores)


def test_words_for_a_single_call_know_their_examples(pipeline):
    frame = pipeline.embed(striped_image())
    teach(pipeline, "drill", Pointed(frame.embeddings[0].numpy(), b""))
    state = pipeline.state_for([MUG, CategoryRequest("drill")])
    assert pipeline.label(frame, state).segments.class_ids[0] == 2


def test_options_that_change_leave_the_examples_and_the_rule_counts_at_once(pipeline):
    frame = pipeline.embed(striped_image())
    before = pipeline.label(frame)
    other = "ball" if before.segments.class_ids[0] == 0 else "mug"
    teach(pipeline, other, Pointed(frame.embeddings[0].numpy(), b""))
    pipeline.update_options({"examples.rule": "none"})
    assert pipeline.label(frame).segments.class_ids[0] == before.segments.class_ids[0]
    pipeline.update_options({"examples.rule": "maximum", "text.templates": "plain"})
    assert pipeline.label(frame).segments.class_ids[0] != before.segments.class_ids[0]
    assert len(pipeline.vocabulary.examples) == 1


def test_a_small_mask_survives_a_lower_resolution(pipeline):
    mask = np.zeros((120, 160), bool)
    mask[60, 80] = True
    pointed = point_at_mask(pipeline, striped_image(), mask, Reduction(size=1))
    assert np.linalg.norm(pointed.embedding) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros((120, 160), bool), "mask: expected a pixel of the thing, got none"),
        (np.ones((160, 120), bool), "mask: expected the image's size, 160x120, got 120x160"),
    ],
)
def test_a_mask_that_is_none_is_refused(pipeline, mask, said):
    with pytest.raises(ImageError, match=said):
        point_at_mask(pipeline, striped_image(), mask)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (-1, 0, 5, 5), (150, 0, 161, 5), (0, 100, 5, 121), (9, 0, 5, 5)])
def test_a_box_that_is_not_in_the_image_is_refused(box):
    with pytest.raises(ImageError, match="box: expected one within the image, 160x120, got columns"):
        mask_of_box((120, 160), box)


def test_a_box_is_its_pixels():
    mask = mask_of_box((4, 5), (1, 2, 3, 4))
    assert np.argwhere(mask).tolist() == [[2, 1], [2, 2], [3, 1], [3, 2]]


@pytest.mark.parametrize("box", [(10, 10, 14, 12), (0, 0, 160, 120), (159, 119, 160, 120)])
def test_a_thumbnail_is_small_and_shows_the_thing(box):
    picture = np.full((120, 160, 3), (200, 30, 30), np.uint8)
    left, top, right, bottom = box
    picture[top:bottom, left:right] = (30, 200, 30)
    data = np.frombuffer(draw_thumbnail(picture, mask_of_box((120, 160), box)), np.uint8)
    shown = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert max(shown.shape[:2]) <= THUMBNAIL_PX
    assert shown[..., 1].max() > 150, "the thing, at its own brightness"
    if (right - left, bottom - top) != (160, 120):
        assert shown[..., 2].max() < 130, "what is around it, dimmed"


def test_a_backend_without_segments_cannot_be_taught(trident_models):
    options = {f"trident.{name}": value for name, value in trident_models.options().items()}
    trident = Pipeline(load_settings(None, {"backend": "trident", "device": "cpu", **options}).pipeline)
    assert trident.state.example_model_id == ""
    for refused in (
        lambda: check_teachable(trident.state),
        lambda: point_at_mask(trident, striped_image(), np.ones((120, 160), bool)),
        lambda: to_example(Pointed(np.ones(1, np.float32), b""), trident.state),
    ):
        with pytest.raises(VocabularyError, match="the backend trident has no embeddings of segments"):
            refused()
    other = Example(np.ones(1, np.float32), "clip/1")
    trident.commit(trident.prepare(change=Teaching(MUG, other)))
    assert explain_unused(trident.state) == (
        "1 of 1 examples is not used ('mug'): the backend trident compares images with words only; they are kept"
    )
    assert trident.state.classifier.examples is None
    trident.close()


def test_examples_of_other_weights_are_kept_and_said_and_not_used(pipeline):
    frame = pipeline.embed(striped_image())
    before = pipeline.label(frame)
    other = "ball" if before.segments.class_ids[0] == 0 else "mug"
    foreign = Example(frame.embeddings[0].numpy(), "another/weights")
    pipeline.commit(pipeline.prepare(change=Teaching(CategoryRequest(other), foreign)))
    np.testing.assert_array_equal(pipeline.label(frame).label_map, before.label_map)
    said = explain_unused(pipeline.state)
    assert said.startswith(f"1 of 1 examples is not used ('{other}'): they were taught to other weights")
    teach(pipeline, other, Pointed(frame.embeddings[0].numpy(), b""))
    assert pipeline.label(frame).segments.class_ids[0] != before.segments.class_ids[0]
    assert explain_unused(pipeline.state).startswith("1 of 2 examples is not used")


def test_the_embedded_models_know_a_thing_again_that_was_pointed_at_once():
    """A nonsense word, taught by one mug, names the mugs of other rooms; without the example it names none."""
    pipeline = Pipeline(load_settings("demo", {"device": "cpu", "text.cache_directory": "none"}).pipeline)
    dataset = open_dataset("scenes")
    name = "mug"
    number = dataset.classes.index(name)
    rooms = [dataset.load(index) for index in (17, 23, 26, 51)]  # in which it is large
    assert all((room.truth == number).mean() > 0.03 for room in rooms)
    words = [CategoryRequest(word) for word in dataset.classes if word != name]
    pipeline.set_vocabulary(Operation.REPLACE, [*words, CategoryRequest("gizmo")])
    gizmo = len(words)
    frames = [(pipeline.embed(room.image), room.truth == number) for room in rooms[1:]]

    def iou():
        """Of all these rooms together."""
        pairs = [(pipeline.label(frame).label_map == gizmo, truth) for frame, truth in frames]
        return sum((found & truth).sum() for found, truth in pairs) / sum(
            (found | truth).sum() for found, truth in pairs
        )

    before = iou()
    teach(pipeline, "gizmo", point_at_mask(pipeline, rooms[0].image, rooms[0].truth == number))
    after = iou()
    print(f"IoU {before:.3f} before, {after:.3f} after")
    assert before < 0.1
    assert after > 0.4
    pipeline.close()
