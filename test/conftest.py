"""Networks for tests that need a loaded model but no knowledge: real architectures, seeded weights."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.models.untrained import new_clip, new_feature_network

CLIP_CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
PREPROCESSING = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}


@dataclass(frozen=True)
class SeededModels:
    """Folders of an EfficientNet-B0 and of a small CLIP, in the layout that a model option takes."""

    features: str
    clip: str


@pytest.fixture(scope="session")
def seeded_models(tmp_path_factory) -> SeededModels:
    """An EfficientNet-B0 and a small CLIP with random weights that are the same in each run."""
    folder = tmp_path_factory.mktemp("seeded_models")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _write_efficientnet(folder / "efficientnet_b0")
        _write_clip(folder / "clip")
    return SeededModels(str(folder / "efficientnet_b0"), str(folder / "clip"))


def _write_efficientnet(folder: Path) -> None:
    network = new_feature_network("efficientnet_b0", num_classes=4).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # average over the batches: without it, activations shrink layer by layer to nothing
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 3, 96, 96))
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architecture": "efficientnet_b0", "num_classes": 4}))
    save_tensors(network.state_dict(), folder / "model.safetensors")


def _write_clip(folder: Path) -> None:
    folder.mkdir()
    config = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_tensors(new_clip(CLIP_CONFIG).state_dict(), folder / "open_clip_model.safetensors")
