"""Real architectures with weights that the tests draw and write, in the layouts of a hub's snapshot."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

from ovsr_ros.models.open_clip_network import create_clip

CLIP_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 96, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
}

SIGLIP_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 64,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear"},
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 32,
            "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "width": 64,
            "heads": 2,
            "layers": 2,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVSR_MODEL_DIR", str(tmp_path_factory.mktemp("models")))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))


@pytest.fixture(scope="session")
def efficientnet() -> torch.nn.Module:
    torch.manual_seed(0)
    network: torch.nn.Module = timm.create_model("efficientnet_b0", pretrained=False, drop_path_rate=0.0)
    # Without statistics of its own, a deep random network's values decay to denormals, which are slow and all alike.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.inference_mode():
        network.train()(torch.randn(4, 3, 96, 96))
    return network.eval()


@pytest.fixture(scope="session")
def clip_network() -> torch.nn.Module:
    torch.manual_seed(0)
    network: torch.nn.Module = open_clip.CLIP(**CLIP_CONFIG["model_cfg"]).eval()
    return network


Writer = Callable[[Path], Path]


@pytest.fixture
def write_efficientnet(efficientnet: torch.nn.Module) -> Writer:
    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        described = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
        config = {"architecture": "efficientnet_b0", "pretrained_cfg": described}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file(efficientnet.state_dict(), folder / "model.safetensors")
        return folder

    return write


@pytest.fixture
def write_clip(clip_network: torch.nn.Module) -> Writer:
    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "open_clip_config.json").write_text(json.dumps(CLIP_CONFIG), encoding="utf-8")
        half = {name: value.half().contiguous() for name, value in clip_network.state_dict().items()}
        save_file(half, folder / "open_clip_model.safetensors")
        return folder

    return write


@pytest.fixture
def write_siglip() -> Writer:
    """Of SigLIP's kind: a tower of timm's, a bias, a tokenizer of the hub's, which is not in the folder."""

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        network = create_clip(SIGLIP_CONFIG, "siglip")
        torch.nn.init.constant_(network.logit_scale, math.log(117.0))
        (folder / "open_clip_config.json").write_text(json.dumps(SIGLIP_CONFIG), encoding="utf-8")
        save_file(network.state_dict(), folder / "open_clip_model.safetensors")
        return folder

    return write


@pytest.fixture
def weight_bytes():
    """How much memory a loaded model's weights take."""

    def measure(model):
        return sum(tensor.nbytes for tensor in (*model._network.parameters(), *model._network.buffers()))

    return measure
