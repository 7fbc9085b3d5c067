from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from ovsr_ros.errors import ConfigError, ModelFormatError
from ovsr_ros.models.timm_features import FeatureExtractor

Writer = Callable[[Path], Path]


@pytest.fixture
def folder(tmp_path: Path, write_efficientnet: Writer) -> Path:
    return write_efficientnet(tmp_path / "model")


def test_levels_are_those_of_timms_features_only(folder: Path) -> None:
    # In the same memory order: another order of summation is amplified by a random network.
    reference = timm.create_model(f"local-dir:{folder}", pretrained=True, features_only=True).eval()
    reference = reference.to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 70, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = reference(images.contiguous(memory_format=torch.channels_last))
    for levels in [(0, 1, 2, 3, 4), (1, 2, 3), (3, 0)]:
        extractor = FeatureExtractor(str(folder), levels, precision="fp32")
        maps = extractor(images)
        assert extractor.channels == tuple((16, 24, 40, 112, 320)[level] for level in levels)
        assert extractor.strides == tuple((2, 4, 8, 16, 32)[level] for level in levels)
        for level, feature_map in zip(levels, maps, strict=True):
            assert feature_map.dtype == torch.float32
            assert (feature_map - expected[level]).norm() < 1e-5 * expected[level].norm()


def test_what_lies_behind_the_last_level_is_neither_kept_nor_needed(folder: Path, weight_bytes) -> None:
    whole, short = FeatureExtractor(str(folder), (4,)), FeatureExtractor(str(folder), (1,))
    assert weight_bytes(short) < weight_bytes(whole) / 10
    path = folder / "model.safetensors"
    kept = ("conv_stem", "bn1", "blocks.0", "blocks.1")
    save_file({name: value for name, value in load_file(path).items() if name.startswith(kept)}, path)
    images = torch.ones(1, 3, 32, 32)
    assert torch.equal(FeatureExtractor(str(folder), (1,))(images)[0], short(images)[0])
    with pytest.raises(ModelFormatError, match=r"\d+ missing: blocks\.2"):
        FeatureExtractor(str(folder), (1, 2))


def test_a_classifier_for_other_classes_does_not_matter(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({**weights, "classifier.weight": torch.zeros(7, 1280), "classifier.bias": torch.zeros(7)}, path)
    FeatureExtractor(str(folder), (0,))


def test_half_precision_files_and_the_smallest_image_work(folder: Path) -> None:
    path = folder / "model.safetensors"
    reference = FeatureExtractor(str(folder), (1, 4))
    halves = {n: v.half() if v.is_floating_point() else v for n, v in load_file(path).items()}
    save_file(halves, path)
    extractor = FeatureExtractor(str(folder), (1, 4))
    assert extractor.model_id != reference.model_id
    images = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for half, full in zip(extractor(images), reference(images), strict=True):
        assert half.shape == full.shape
        assert torch.nn.functional.cosine_similarity(half.flatten(), full.flatten(), dim=0) > 0.999


def test_mean_and_deviation_come_from_the_folders_json_or_the_registry(folder: Path) -> None:
    extractor = FeatureExtractor(str(folder), (0,))
    assert extractor.mean.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert extractor.std.tolist() == pytest.approx([0.4, 0.5, 0.6])
    (folder / "config.json").unlink()
    path = folder / "model.safetensors"
    imagenet = FeatureExtractor(f"efficientnet_b0.ra_in1k@{path}", (0,))
    assert imagenet.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
    inception = FeatureExtractor(f"efficientnet_b0.ra4_e3600_r224_in1k@{path}", (0,))
    assert inception.mean.tolist() == pytest.approx([0.5, 0.5, 0.5])


def test_bf16_stays_close_to_fp32(folder: Path) -> None:
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    exact = FeatureExtractor(str(folder), (1,), precision="fp32")(images)[0]
    rough = FeatureExtractor(str(folder), (1,), precision="bf16")(images)[0]
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert torch.nn.functional.cosine_similarity(exact.flatten(), rough.flatten(), dim=0) > 0.99


def test_weights_of_another_architecture_are_refused_with_what_differs(folder: Path) -> None:
    path = folder / "model.safetensors"
    with pytest.raises(ModelFormatError, match=r"model\.safetensors for resnet18.*missing: conv1\.weight.*not in this"):
        FeatureExtractor(f"resnet18@{path}", (1,))
    with pytest.raises(ModelFormatError, match=r"conv_exp.*not in this architecture: blocks\.1\.0"):
        FeatureExtractor(f"efficientnetv2_rw_s@{path}", (1,))
    with pytest.raises(ModelFormatError, match=r"of another shape: .* \(expected \(40,\), file \(32,\)\)"):
        FeatureExtractor(f"efficientnet_b3@{path}", (1,))


def test_a_file_cut_short_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelFormatError, match=r"model\.safetensors: cut short"):
        FeatureExtractor(str(folder))


def test_an_unusable_description_is_refused(folder: Path) -> None:
    config = {"architecture": "efficientnet_b0", "model_args": {"no_such_argument": 1}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelFormatError, match="timm cannot build efficientnet_b0"):
        FeatureExtractor(str(folder))


@pytest.mark.parametrize("levels", [(), (5,), (-1,), (1, 1)])
def test_levels_that_the_network_lacks_are_refused(folder: Path, levels: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="one or more of 0 to 4"):
        FeatureExtractor(str(folder), levels)
