"""CLIP's own image tower gives the features: each image is looked at once, for its segments and their embeddings."""

import dataclasses
import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from torch.nn import functional

from ovsr_ros.backends.contract import StageClock
from ovsr_ros.backends.ovsr.backend import OvsrOptions, load, load_segmenter, models_of, segmenter_models_of
from ovsr_ros.backends.ovsr.features import compute_features, look_at
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


@pytest.fixture(scope="module")
def taught(options, tmp_path_factory):
    """The same model, with words that it was taught."""
    folder = tmp_path_factory.mktemp("taught")
    shutil.copytree(options.clip.model, folder, dirs_exist_ok=True)
    path = folder / "open_clip_config.json"
    words = {"words": [f"word {number}" for number in range(40)], "share": 0.5, "scale": 40.0}
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"known_words": words}), "utf-8")
    return load(replace_flat(options, {"clip.model": str(folder), "features.known_words": 2.0}), CPU, "auto", False)


def features_of(backend, image, ignored=None):
    return compute_features(to_tensor(image, CPU), backend.extractor, backend.options.features, ignored).features


def test_known_words_are_features_beside_the_levels_the_strongest_32(taught, image):
    plain = features_of(taught.with_options(replace_flat(taught.options, {"features.known_words": 0.0})), image)
    features = features_of(taught, image)
    assert features.shape == (len(plain), plain.shape[1] + 32)
    assert torch.equal(features[:, : plain.shape[1]], plain)
    last = look_at(to_tensor(image, CPU), taught.extractor, taught.options.features)[1].last
    chances = functional.interpolate(taught.clip.name_places(last), (24, 32), mode="bilinear")[0].flatten(1).T
    strongest = torch.argsort(chances.square().sum(0), descending=True)[:32]
    torch.testing.assert_close(features[:, plain.shape[1] :], 2 * chances[:, strongest.sort().values])


def test_known_words_are_features_of_the_cells_that_are_kept(taught, image):
    ignored = np.zeros(image.shape[:2], bool)
    ignored[:, :80] = True
    assert len(features_of(taught, image, ignored)) == 24 * 16
    assert len(taught.find(image, ignored).embed_all()) >= 1


def test_known_words_move_borders_and_all_segments_are_embedded(taught, image):
    without = taught.with_options(replace_flat(taught.options, {"features.known_words": 0.0}))
    frame = taught.embed(image)
    assert len(frame) >= 2
    assert not torch.equal(frame.regions.segment_map, without.embed(image).regions.segment_map)
    torch.testing.assert_close(frame.embeddings.norm(dim=1), torch.ones(len(frame)))


def test_known_words_of_a_model_that_has_none_are_refused_before_any_image(options, backend):
    asked = replace_flat(backend.options, {"features.known_words": 1.0})
    message = r"features.known_words: expected 0, or a clip.model with known_words"
    for call in (
        lambda: load(asked, CPU, "auto", False),
        lambda: load_segmenter(asked, CPU, "auto", False),
        lambda: backend.with_options(asked),
        lambda: load_segmenter(options, CPU, "auto", False).with_options(asked),
    ):
        with pytest.raises(ConfigError, match=message):
            call()


def test_known_words_of_a_timm_network_are_refused(options, seeded_models):
    changes = {"features.model": seeded_models.features, "features.known_words": 1.0}
    with pytest.raises(ConfigError, match=r"features.known_words: expected 0 where features.model names a timm netw"):
        load(replace_flat(options, changes), CPU, "auto", False)


def test_a_tower_of_patches_is_refused(options, seeded_models):
    with pytest.raises(ConfigError, match=r"features.model: clip takes the features from CLIP's image tower"):
        load(replace_flat(options, {"clip.model": seeded_models.clip}), CPU, "fp32", False)
