"""Models that a process loads once for all who use them."""

from __future__ import annotations

import gc
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ovsr_ros.errors import ModelError
from ovsr_ros.models.shared import load_shared
from ovsr_ros.models.timm_features import FeatureExtractor

CPU = torch.device("cpu")


def load(name: object, precision: str = "fp32", levels: tuple[int, ...] = (1, 2, 3)) -> FeatureExtractor:
    return load_shared(FeatureExtractor, "timm", str(name), levels, CPU, precision)


def test_a_model_in_use_is_not_loaded_again(seeded_models: Any) -> None:
    first = load(seeded_models.features)
    assert load(seeded_models.features) is first
    assert load(seeded_models.features, precision="bf16") is not first
    assert load(seeded_models.features, levels=(1, 2)) is not first


def test_a_model_that_nobody_uses_is_freed(seeded_models: Any) -> None:
    loaded = load(seeded_models.features, levels=(3,))
    network = loaded._network
    weight = next(network.parameters())
    del loaded
    gc.collect()
    assert load(seeded_models.features, levels=(3,))._network is not network
    assert weight.numel()


def test_threads_that_ask_at_once_get_one_model(seeded_models: Any) -> None:
    with ThreadPoolExecutor(6) as pool:
        loaded = list(pool.map(lambda _: load(seeded_models.features, levels=(0, 1)), range(6)))
    assert len({id(model) for model in loaded}) == 1


def test_threads_that_use_one_model_at_once_get_what_each_alone_would(seeded_models: Any) -> None:
    model = load(seeded_models.features)
    images = [torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(8)]
    alone = [model(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(model, images))
    for one, other in zip(alone, together, strict=True):
        for expected, got in zip(one, other, strict=True):
            torch.testing.assert_close(got, expected, rtol=0.0, atol=1e-5)


def test_weights_that_were_replaced_are_another_model(seeded_models: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(seeded_models.features, folder)
    before = load(folder)
    weights = next(folder.glob("*.safetensors"))
    save_file(
        {name: value + 1 if value.is_floating_point() else value for name, value in load_file(weights).items()}, weights
    )
    after = load(folder)
    assert after.model_id != before.model_id
    assert load(folder) is after
    weights.unlink()
    with pytest.raises(ModelError):
        load(folder)
