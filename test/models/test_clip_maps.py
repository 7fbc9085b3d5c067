"""Convolutional towers: a region's embedding is that of an image, had from the same map; features come beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch.nn.functional import normalize

from ovsr_ros.errors import ConfigError
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.clip_features import ClipFeatures
from ovsr_ros.models.clip_maps import has_maps
from ovsr_ros.models.tensors import save_tensors

TEXT = {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
TOWERS = {
    "EfficientNet": {"timm_model_name": "test_efficientnet", "timm_pool": "avg", "timm_proj": "linear"},
    "ConvNeXt": {"timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear"},
    "with an MLP": {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "mlp"},
}
WITHOUT_MAPS = {
    "pools by attention": {"timm_model_name": "resnet10t", "timm_pool": "rot_attn", "timm_proj": ""},
    "a transformer of timm's": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear"},
    "the largest instead of the mean": {"timm_model_name": "test_efficientnet", "timm_pool": "max"},
}


def config_of(vision: dict[str, Any]) -> dict[str, Any]:
    model = {"embed_dim": 64, "vision_cfg": {"image_size": 96, **vision}, "text_cfg": TEXT}
    return {"model_cfg": model, "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}}


def network_of(vision: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    return open_clip.CLIP(**config_of(vision)["model_cfg"]).eval()


@pytest.fixture
def write_tower(tmp_path):
    def write(vision: dict[str, Any]) -> Path:
        folder = tmp_path / "tower"
        folder.mkdir()
        (folder / "open_clip_config.json").write_text(json.dumps(config_of(vision)), encoding="utf-8")
        save_tensors(network_of(vision).state_dict(), folder / "open_clip_model.safetensors")
        return folder

    return write


def images(height: int = 96, width: int = 128) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", TOWERS)
def test_all_of_an_images_cells_embed_it_as_the_tower_does(write_tower, kind):
    model = ClipModel(str(write_tower(TOWERS[kind])), precision="fp32")
    (last,) = [model.look(images(), (1,)).last]
    whole = torch.ones(1, *last.shape[2:])
    expected = normalize(network_of(TOWERS[kind]).visual(images()), dim=-1)
    torch.testing.assert_close(model.embed_map(last, whole), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(model.encode_regions(images(), whole), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(model.encode_images(images()), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", TOWERS)
def test_a_region_of_one_cell_has_that_cells_embedding(write_tower, kind):
    model = ClipModel(str(write_tower(TOWERS[kind])), precision="fp32")
    dense = model.encode_dense(images())[0]  # (D, h, w)
    rows, columns = dense.shape[1:]
    assert (rows, columns) == (96 // model.patch_size, 128 // model.patch_size)
    weights = torch.zeros(2, rows, columns)
    weights[0, 0, 1], weights[1, rows - 1, columns - 1] = 3, 1
    found = model.encode_regions(images(), weights)
    torch.testing.assert_close(found, torch.stack((dense[:, 0, 1], dense[:, -1, -1])), atol=1e-4, rtol=0)
    assert model.encode_regions(images(), weights[:0]).shape == (0, 64)


def test_levels_are_the_trunks_own_in_the_order_asked_for(write_tower):
    model = ClipModel(str(write_tower(TOWERS["EfficientNet"])), precision="fp32")
    features = ClipFeatures(model, (3, 1))
    found = features.look(images()).levels
    trunk = network_of(TOWERS["EfficientNet"]).visual.trunk
    with torch.inference_mode():
        expected = trunk.forward_intermediates(images(), indices=[1, 3], intermediates_only=True)
    for level, other in zip(found, reversed(expected), strict=True):
        torch.testing.assert_close(level, other, atol=1e-4, rtol=1e-3)
    assert features.model_id == model.model_id
    assert features.mean is model.mean


@pytest.mark.parametrize("kind", WITHOUT_MAPS)
def test_towers_whose_embedding_is_no_mean_have_no_maps(kind):
    assert not has_maps(network_of(WITHOUT_MAPS[kind]).visual)


def test_what_cannot_be_looked_at_is_refused_with_the_alternative(write_tower, seeded_models):
    with pytest.raises(ConfigError, match=r"features.model: clip .* has one without feature maps; name a timm model"):
        ClipFeatures(ClipModel(seeded_models.clip), (1,))
    model = ClipModel(str(write_tower(TOWERS["EfficientNet"])))
    for levels in ((), (1, 1), (7,)):
        with pytest.raises(ConfigError, match="expected one or more of 0 to 4"):
            ClipFeatures(model, levels)
    with pytest.raises(ConfigError, match=r"clip.recognition: dense needs a plain VisionTransformer"):
        model.check_patches()
    with pytest.raises(ValueError, match="multiples of 32"):
        model.encode_dense(images(100, 128))
    with pytest.raises(ValueError, match="attention: expected one of"):
        model.encode_dense(images(), "other")


def test_known_words_are_named_place_by_place_at_the_models_own_scale(write_tower):
    folder = write_tower(TOWERS["EfficientNet"])
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    words = ["road", "sky", "a tree"]
    path.write_text(json.dumps(config | {"known_words": {"words": words, "share": 0.0, "scale": 40.0}}), "utf-8")
    model = ClipModel(str(folder), precision="fp32")
    (last,) = [model.look(images(), (1,)).last]
    chances = model.name_places(last)
    cosines = torch.einsum("kd,bdhw->bkhw", model.encode_texts(words), model.encode_dense(images()))
    torch.testing.assert_close(chances, (model.logit_scale * cosines).softmax(1), atol=1e-4, rtol=0)
    assert chances.shape == (1, 3, *last.shape[2:])


def test_a_model_without_known_words_says_so(write_tower):
    model = ClipModel(str(write_tower(TOWERS["EfficientNet"])), precision="fp32")
    features = ClipFeatures(model, (1,))
    for call in (model.check_known_words, features.check_known_words, lambda: features.name_places(images())):
        with pytest.raises(ConfigError, match=r"features.known_words: expected 0, or a clip.model with known_words"):
            call()
