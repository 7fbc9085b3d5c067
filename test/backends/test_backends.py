"""What holds for every backend: an image in, a labelled result out, by whatever frames lie between."""

import dataclasses

import numpy as np
import pytest
import torch

from ovsr_ros.backends import BACKENDS, load_backend
from ovsr_ros.backends.ovsr.backend import OvsrOptions
from ovsr_ros.backends.trident.backend import TridentOptions
from ovsr_ros.errors import ConfigError
from ovsr_ros.options import replace_flat
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

CPU = torch.device("cpu")
SIZES_HW = {
    "smallest": (16, 16),
    "small": (48, 64),
    "portrait": (320, 240),
    "very wide": (40, 900),
    "very tall": (700, 30),
    "odd": (97, 131),
    "4K": (2160, 3840),
}


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request, seeded_models, trident_models):
    coarse = {"features.grid_rows": 32, "features.input_short_side": 128}
    ovsr = {"features.model": seeded_models.features, "clip.model": seeded_models.clip, **coarse}
    options = {
        "ovsr": replace_flat(OvsrOptions(), ovsr),
        "trident": replace_flat(TridentOptions(), trident_models.options()),
    }
    return load_backend(request.param, options[request.param], CPU, "fp32", False)


def scene(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), (90, 110, 70))
    image[height // 3 :, width // 4 : width // 2] = (220, 40, 30)
    image[height // 5 : height // 2, 2 * width // 3 : 5 * width // 6] = (30, 60, 230)
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def classifier_of(backend, class_ids=(4, 9, 255), version=3):
    rows = torch.randn(len(class_ids), backend.text_encoder.embedding_dim, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor(class_ids, dtype=torch.uint8)
    return TextClassifier(torch.nn.functional.normalize(rows, dim=1), ids, tuple(map(str, class_ids)), version)


def run(backend, image, class_ids=(4, 9, 255), threshold=0.0, runners_up=2) -> Segmentation:
    return backend.label(backend.embed(image), classifier_of(backend, class_ids), threshold, runners_up)


@pytest.mark.parametrize("size_hw", SIZES_HW.values(), ids=SIZES_HW.keys())
def test_every_size_is_labelled(backend, size_hw):
    found = run(backend, scene(*size_hw))
    assert found.label_map.shape == size_hw
    assert np.isin(found.label_map, (4, 9, 255)).all()
    assert 1 <= len(found.segments) == len(np.unique(found.segment_map[found.segment_map > 0]))


def test_segments_say_what_their_pixels_say(backend):
    found = run(backend, scene(120, 160))
    segments = found.segments
    inside = found.segment_map > 0
    assert inside.mean() > 0.95
    of_pixel = segments.class_ids[found.segment_map[inside].astype(int) - 1]
    assert np.array_equal(found.label_map[inside], of_pixel)
    assert (found.confidence[found.label_map == 255] == 0).all()
    assert np.isin(segments.runner_up_ids, (4, 9, 255)).all()
    assert segments.runner_up_ids.shape == (len(segments), 2)
    assert found.vocabulary_version == 3
    for index in range(len(segments)):
        y, x = np.nonzero(found.segment_map == index + 1)
        assert segments.areas_px[index] == len(y)
        assert segments.boxes_xyxy[index].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        np.testing.assert_allclose(segments.centroids_xy[index], [x.mean(), y.mean()], rtol=1e-4)


def test_a_threshold_that_nothing_reaches_takes_every_label_away(backend):
    # By probability, not by masks: where SAM redraws regions, it redraws unlabeled ones, too.
    assert (run(backend, scene(120, 160), (4, 9), threshold=1.0).label_map == 255).all()


def test_a_vocabulary_of_nothing_labels_nothing(backend):
    for class_ids in ((255,), (255, 255)):
        found = run(backend, scene(60, 80), class_ids)
        assert (found.label_map == 255).all()
        assert len(found.segments) >= 1


def test_one_frame_can_be_labelled_many_times(backend):
    image = scene(120, 160)
    before = image.copy()
    frame = backend.embed(image)
    assert np.array_equal(image, before)
    image[:] = 0
    first = backend.label(frame, classifier_of(backend, (4, 9)), 0.0, 1)
    backend.label(frame, classifier_of(backend, (1, 2, 3, 255)), 0.5, 3)
    again = backend.label(backend.embed(before), classifier_of(backend, (4, 9)), 0.0, 1)
    for name in ("label_map", "confidence", "segment_map"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert np.array_equal(first.segments.scores, again.segments.scores)


def test_a_read_only_image_is_fine(backend):
    image = scene(48, 64)
    image.flags.writeable = False
    assert run(backend, image).label_map.shape == (48, 64)


def test_stage_seconds_are_named_in_order_and_cover_both_halves(backend):
    frame = backend.embed(scene(60, 80))
    found = backend.label(frame, classifier_of(backend), 0.0, 1)
    names = list(found.stage_seconds)
    assert names[: len(frame.stage_seconds)] == list(frame.stage_seconds)
    assert len(names) > len(frame.stage_seconds)
    assert all(seconds >= 0 for seconds in found.stage_seconds.values())


def test_a_backend_is_immutable(backend):
    with pytest.raises(dataclasses.FrozenInstanceError):
        backend.options = None


def test_an_unknown_backend_is_refused():
    with pytest.raises(ConfigError, match="expected one of ovsr, trident"):
        load_backend("sam", None, CPU, "fp32", False)
