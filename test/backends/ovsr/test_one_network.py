"""CLIP's own image tower gives the features: each image is looked at once, for its segments and their embeddings."""

import dataclasses
import json

import numpy as np
import open_clip
import pytest
import torch

from ovsr_ros.backends.contract import StageClock
from ovsr_ros.backends.ovsr.backend import OvsrOptions, load, load_segmenter, models_of, segmenter_models_of
from ovsr_ros.errors import ConfigError
from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.ops.image import to_tensor
from ovsr_ros.ops.masks import coverage
from ovsr_ros.options import replace_flat

CPU = torch.device("cpu")
MODEL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 96, "timm_model_name": "test_efficientnet", "timm_pool": "avg"},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tower")
    document = {"model_cfg": MODEL, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.3, 0.3, 0.3]}}
    (folder / "open_clip_config.json").write_text(json.dumps(document), encoding="utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_tensors(open_clip.CLIP(**MODEL).state_dict(), folder / "open_clip_model.safetensors")
    coarse = {"features.grid_rows": 24, "features.input_short_side": 96, "features.levels": (1, 2, 3)}
    return replace_flat(OvsrOptions(), {"features.model": "clip", "clip.model": str(folder), **coarse})


@pytest.fixture(scope="module")
def backend(options):
    return load(options, CPU, "auto", False)


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(90, 110, (120, 160, 3), np.uint8)
    pixels[:, :60, 0] += 120
    pixels[50:, 100:, 2] += 120
    return pixels


def count_looks(backend, monkeypatch):
    looks = []
    trunk = backend.clip._network.visual.trunk
    stem = trunk.conv_stem.forward
    monkeypatch.setattr(trunk.conv_stem, "forward", lambda images: looks.append(images.shape) or stem(images))
    return looks


def test_an_image_is_looked_at_once(backend, image, monkeypatch):
    looks = count_looks(backend, monkeypatch)
    frame = backend.embed(image)
    assert looks == [(1, 3, 96, 128)]
    assert len(frame) >= 3
    found = backend.find(image)
    first = found.embed_rows(np.array([1]))
    both = found.embed_rows(np.array([1, 0]))
    assert len(looks) == 2
    torch.testing.assert_close(first[0], both[0])
    assert not found.all_at_once
    assert {"features", "clip"} <= set(frame.stage_seconds)
    assert "crops" not in frame.stage_seconds


def test_a_segment_has_the_embedding_of_its_part_of_the_map(backend, image):
    frame = backend.embed(image)
    normalized = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.3
    with torch.inference_mode():
        small = torch.nn.functional.interpolate(normalized, (96, 128), mode="bilinear", antialias=True)
        weights = coverage(frame.regions.segment_map, len(frame), (3, 4))
        expected = backend.clip.encode_regions(small, weights)
    assert ((frame.embeddings * expected).sum(1) > 0.98).all()  # another way to make the image smaller
    likeness = frame.embeddings @ frame.embeddings.T
    assert (likeness - torch.eye(len(frame))).max() < 0.99999


def test_crops_stay_possible(backend, image, monkeypatch):
    looks = count_looks(backend, monkeypatch)
    crops = backend.with_options(replace_flat(backend.options, {"clip.recognition": "crops"}))
    frame = crops.embed(image)
    assert looks[1:] == [(len(frame), 3, 96, 96)]
    assert {"crops", "clip"} <= set(frame.stage_seconds)


def test_regions_found_elsewhere_are_embedded_too(backend, image):
    frame = backend.embed(image)
    regions = dataclasses.replace(frame.regions)
    again = backend.embed_regions(to_tensor(image, CPU), regions, StageClock(CPU))
    torch.testing.assert_close(again.embeddings, frame.embeddings, atol=1e-5, rtol=0)


def test_the_stages_before_words_are_the_same(options, backend, image):
    regions = load_segmenter(options, CPU, "auto", False).segment(image)
    assert torch.equal(regions.segment_map, backend.embed(image).regions.segment_map)


def test_one_model_is_named_and_loaded(options, backend):
    assert models_of(options) == segmenter_models_of(options) == {"clip": ("open_clip", options.clip.model)}
    assert backend.extractor.clip is backend.clip
    assert load(options, CPU, "auto", False).clip is backend.clip


def test_a_tower_of_patches_is_refused(options, seeded_models):
    with pytest.raises(ConfigError, match=r"features.model: clip takes the features from CLIP's image tower"):
        load(replace_flat(options, {"clip.model": seeded_models.clip}), CPU, "fp32", False)
