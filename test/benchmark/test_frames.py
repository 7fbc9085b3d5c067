"""A configuration measured: every stage, nothing of this machine's folders, weights that do not fade."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ovsr_ros.benchmark.frames import measure_frames, random_weights
from ovsr_ros.benchmark.record import configuration, shown_model
from ovsr_ros.benchmark.rooms import calibration_images, parse_size, render_scenes
from ovsr_ros.errors import ConfigError
from ovsr_ros.models.calibrated import denormal_share, write_calibrated
from ovsr_ros.models.proxy_vit import ProxyViT
from ovsr_ros.models.sam import SamModel
from ovsr_ros.models.timm_features import FeatureExtractor
from ovsr_ros.ops.image import normalize
from ovsr_ros.settings import load_settings


@pytest.fixture
def options(seeded_models):
    overrides = {
        "features.model": seeded_models.features,
        "clip.model": seeded_models.clip,
        "features.input_short_side": 64,
        "features.grid_rows": 16,
        "text.cache_directory": "none",
        "device": "cpu",
    }
    return load_settings(None, overrides).pipeline


def test_a_measurement_has_every_stage_and_memory(options):
    measured = measure_frames(options, render_scenes((96, 64), 2), repeats=3, categories=["mug", "ball"])
    stages = measured["stages_ms"]
    assert next(iter(stages)) == "features"
    assert {"clusters", "clip", "alignment", "label_map"} <= stages.keys()
    for spread in (measured["milliseconds"], *stages.values()):
        assert 0 <= spread["low"] <= spread["median"] <= spread["high"]
    assert sum(spread["median"] for spread in stages.values()) <= 1.5 * measured["milliseconds"]["high"]
    assert measured["segments"]["median"] >= 1
    assert measured["memory_mib"]["process_peak"] > 100


def test_a_configuration_names_weights_by_checksum_and_no_folder(options):
    found = configuration(options)
    text = json.dumps(found)
    assert options.features.model not in text
    assert found["options"]["features.model"] == "efficientnet_b0"
    assert len(found["weights"]["clip"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("name", "shown"),
    [("demo", "demo"), ("efficientnet_b0.ra_in1k", "efficientnet_b0.ra_in1k"), ("vit@/a/b/c.pt", "vit@c.pt")],
)
def test_a_models_name_is_shown_without_folders(name, shown):
    assert shown_model(name) == shown


def test_listed_models_get_random_weights_and_local_ones_stay(options):
    listed = load_settings(None, {"clip.model": options.clip.model}).pipeline
    with random_weights(listed) as changed:
        architecture, _, file = changed.features.model.partition("@")
        assert architecture == listed.features.model
        assert changed.clip.model == options.clip.model
        assert changed.features.levels == listed.features.levels
        assert FeatureExtractor(changed.features.model).channels
    assert not Path(file).exists()


def test_tridents_models_get_random_weights_too(trident_models, tmp_path):
    names = {f"trident.{name}": value for name, value in trident_models.options().items()}
    listed = load_settings(
        None, {**names, "backend": "trident", "trident.proxy.model": "vit_tiny_patch16_224"}
    ).pipeline
    with random_weights(listed) as changed:
        architecture, _, file = changed.trident.proxy.model.partition("@")
        assert architecture == "vit_tiny_patch16_224"
        assert ProxyViT(changed.trident.proxy.model).width == 192
        assert (changed.trident.clip, changed.trident.sam) == (listed.trident.clip, listed.trident.sam)
        assert (changed.features, changed.clip) == (listed.features, listed.clip), "the other backend's stay"
        shown = configuration(changed)
    assert not Path(file).exists()
    assert set(shown["weights"]) == {"trident.clip", "trident.proxy", "trident.sam"}
    assert shown["options"]["trident.proxy.model"] == f"vit_tiny_patch16_224@{Path(file).name}"
    assert str(tmp_path.parent) not in str(shown["options"]), "no path of a file"
    sections = {name.partition(".")[0] for name in shown["options"]}
    assert "trident" in sections
    assert not sections & {"features", "clusters", "clip", "tracking"}, "the other backend's options"


@pytest.mark.slow
def test_a_sam_gets_random_weights(tmp_path):
    file = write_calibrated("sam_vit_b", "sam", calibration_images()[:1], tmp_path)
    assert SamModel(file).grid_size == 64
    Path(file).unlink()


def test_calibrated_weights_do_not_fade(tmp_path):
    images = calibration_images()[:2, :, ::2, ::2]
    names = [write_calibrated("efficientnet_b0.ra_in1k", "timm", images, tmp_path / place, seed=1) for place in "ab"]
    extractors = [FeatureExtractor(name, levels=(0, 1, 2, 3, 4)) for name in names]
    inputs = normalize(images, extractors[0].mean, extractors[0].std)
    for level, again in zip(extractors[0](inputs), extractors[1](inputs), strict=True):
        assert denormal_share(level) == 0
        assert 1e-3 < float(level.std()) < 1e3
        assert torch.equal(level, again), "the same seed, the same weights"


def test_denormal_numbers_are_counted():
    assert denormal_share(torch.tensor([0.0, 1.0, 1e-40, -1e-40])) == 0.5


def test_sizes_are_read():
    assert parse_size("640x480") == (640, 480)
    for text in ("640", "640x", "axb", "-1x5", "8x640", "100000x100000"):
        with pytest.raises(ConfigError, match="size: expected"):
            parse_size(text)
