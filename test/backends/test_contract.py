"""What holds for OVSR's two halves, whose frames are segments with embeddings; test_backends.py has what all share."""

import dataclasses

import numpy as np
import pytest
import torch

from ovsr_ros.backends import load_backend
from ovsr_ros.backends.ovsr.backend import OvsrOptions
from ovsr_ros.errors import ConfigError
from ovsr_ros.options import replace_flat
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

CPU = torch.device("cpu")
SIZES_HW = {
    "smallest": (16, 16),
    "small": (48, 64),
    "portrait": (320, 240),
    "camera": (480, 640),
    "very wide": (40, 900),
    "very tall": (700, 30),
    "odd": (97, 131),
}


def options_of(name, models):
    # A coarse grid: what must hold does not depend on it, and the tests take a quarter of the time.
    coarse = {"features.grid_rows": 32, "features.input_short_side": 128}
    ovsr = {"features.model": models.features, "clip.model": models.clip, **coarse}
    return {"ovsr": replace_flat(OvsrOptions(), ovsr)}[name]


@pytest.fixture(scope="module", params=["ovsr"])
def backend(request, seeded_models):
    return load_backend(request.param, options_of(request.param, seeded_models), CPU, "fp32", False)


def scene(height, width, seed=0):
    """Rectangles and disks on a gradient, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = np.stack((60 + 80 * y / height, 90 + 60 * x / width, np.full((height, width), 70)), -1)
    image[(y - height / 2) ** 2 + (x - width / 3) ** 2 < (min(height, width) / 4) ** 2] = (220, 40, 30)
    image[height // 5 : height // 2, 2 * width // 3 : 5 * width // 6] = (30, 60, 230)
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def classifier_of(backend, class_ids=(4, 9, 255), version=3):
    texts = backend.text_encoder.encode_texts([f"text {index}" for index in range(len(class_ids))])
    ids = torch.tensor(class_ids, dtype=torch.uint8)
    return TextClassifier(texts, ids, tuple(map(str, class_ids)), version)


@pytest.mark.parametrize("size_hw", SIZES_HW.values(), ids=SIZES_HW.keys())
def test_every_size_is_segmented_without_holes(backend, size_hw):
    frame = backend.embed(scene(*size_hw))
    assert frame.segment_map.shape == size_hw
    areas = np.bincount(frame.segment_map.numpy().ravel(), minlength=len(frame) + 1)
    assert areas[0] == 0
    assert np.array_equal(areas[1:], frame.areas_px)
    assert len(frame) >= 1
    assert (np.diff(frame.areas_px) <= 0).all()
    assert frame.embeddings.shape == (len(frame), backend.text_encoder.embedding_dim)
    torch.testing.assert_close(frame.embeddings.norm(dim=1), torch.ones(len(frame)), atol=1e-4, rtol=0)


def test_geometry_describes_the_segment_map(backend):
    frame = backend.embed(scene(120, 160))
    for index in range(len(frame)):
        y, x = np.nonzero(frame.segment_map.numpy() == index + 1)
        assert frame.boxes_xyxy[index].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        np.testing.assert_allclose(frame.centroids_xy[index], [x.mean(), y.mean()], rtol=1e-4)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_image_of_one_colour_is_one_segment(backend, level):
    frame = backend.embed(np.full((120, 160, 3), level, np.uint8))
    assert frame.areas_px.tolist() == [120 * 160]
    assert np.isfinite(frame.embeddings.numpy()).all()


def test_embedding_is_deterministic_and_leaves_the_image_alone(backend):
    image = scene(120, 160)
    before = image.copy()
    one, other = backend.embed(image), backend.embed(image)
    assert np.array_equal(image, before)
    assert torch.equal(one.segment_map, other.segment_map)
    assert torch.equal(one.embeddings, other.embeddings)


def test_a_read_only_image_is_fine(backend):
    image = scene(48, 64)
    image.flags.writeable = False
    assert backend.embed(image).segment_map.shape == (48, 64)


def test_a_frame_does_not_share_memory_with_its_image(backend):
    image = scene(48, 64)
    frame = backend.embed(image)
    before = frame.segment_map.clone()
    image[:] = 0
    assert torch.equal(frame.segment_map, before)


def test_a_label_is_its_segments_everywhere(backend):
    frame = backend.embed(scene(120, 160))
    segmentation = backend.label(frame, classifier_of(backend), 0.0, 2)
    segments = segmentation.segments
    assert np.array_equal(segmentation.segment_map, frame.segment_map.numpy())
    assert np.array_equal(segmentation.label_map, segments.class_ids[segmentation.segment_map.astype(int) - 1])
    assert np.isin(segmentation.label_map, (4, 9, 255)).all()
    assert (segmentation.confidence[segmentation.label_map == 255] == 0).all()
    assert np.isin(segments.runner_up_ids, (4, 9, 255)).all()
    assert (np.diff(segments.runner_up_scores, axis=1) <= 0).all()
    assert segments.runner_up_ids.shape == (len(frame), 2)
    assert segmentation.vocabulary_version == 3


def test_the_threshold_only_takes_labels_away(backend):
    frame, classifier = backend.embed(scene(120, 160)), classifier_of(backend, (4, 9))
    low, high = backend.label(frame, classifier, 0.0, 1), backend.label(frame, classifier, 1.0, 1)
    assert (low.label_map != 255).all()
    assert (high.label_map == 255).all()
    assert (high.confidence == 0).all()
    assert np.array_equal(low.segments.scores, high.segments.scores)


def test_a_vocabulary_of_nothing_labels_nothing(backend):
    frame = backend.embed(scene(120, 160))
    for class_ids in ((255,), (255, 255)):
        segmentation = backend.label(frame, classifier_of(backend, class_ids), 0.0, 2)
        assert (segmentation.label_map == 255).all()
        assert len(segmentation.segments) == len(frame)


def test_one_frame_can_be_labelled_many_times(backend):
    frame = backend.embed(scene(120, 160))
    first = backend.label(frame, classifier_of(backend, (4, 9)), 0.0, 1)
    backend.label(frame, classifier_of(backend, (1, 2, 3, 255)), 0.5, 3)
    again = backend.label(frame, classifier_of(backend, (4, 9)), 0.0, 1)
    assert np.array_equal(first.label_map, again.label_map)
    assert np.array_equal(first.segments.scores, again.segments.scores)


def test_stage_seconds_are_named_in_order_and_cover_both_halves(backend):
    frame = backend.embed(scene(120, 160))
    segmentation = backend.label(frame, classifier_of(backend), 0.0, 1)
    names = list(segmentation.stage_seconds)
    assert names[: len(frame.stage_seconds)] == list(frame.stage_seconds)
    assert len(names) > len(frame.stage_seconds)
    assert all(seconds >= 0 for seconds in segmentation.stage_seconds.values())


def test_a_backend_is_immutable(backend):
    with pytest.raises(dataclasses.FrozenInstanceError):
        backend.options = None


def test_an_unknown_backend_is_refused():
    with pytest.raises(ConfigError, match="expected one of ovsr"):
        load_backend("sam", None, CPU, "fp32", False)
