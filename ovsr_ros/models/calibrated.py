"""Weights that know nothing, for measuring speed: drawn from a seed, and scaled so that nothing fades to nothing.

An EfficientNet as timm draws it shrinks what passes through it, layer by layer, down to denormal numbers, which a CPU
computes many times more slowly: whatever is measured on it is false. Here its batch normalisations hold the statistics
of real activations, as those of a trained network do. Transformers (CLIP, DINO, SAM) normalise every token and need
nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ovsr_ros.models.hub import Kind
from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.models.tokenizer import STAND_IN
from ovsr_ros.models.untrained import new_registered_clip, new_registered_sam

_BATCH = 2


def write_calibrated(name: str, kind: Kind, images: Tensor, folder: Path, seed: int = 0) -> str:
    """Draw weights for a listed model, calibrate them on images, write them, and say what a model option calls them.

    name: as listed by timm or open_clip, its tag included, or a SAM's. images: (B, 3, H, W) uint8 RGB. Returns
    NAME@FILE; of a SAM, whose weights tell its architecture, the file. A CLIP whose tokenizer the hub has gets a
    stand-in beside its file, for nothing is fetched here. Raises ModelError where there is no such network to draw.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind == "sam":
            network = new_registered_sam(name)
        else:
            network = _new_timm(name, images) if kind == "timm" else new_registered_clip(name)
    file = folder / f"{kind}-{name.replace('/', '-')}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(network.state_dict(), file)
    if kind == "open_clip":
        (folder / STAND_IN).touch()
    return str(file) if kind == "sam" else f"{name}@{file}"


def denormal_share(tensor: Tensor) -> float:
    """How many of a float32 tensor's values are too small to be computed with at full speed, 0 to 1."""
    magnitude = tensor.float().abs()
    return float(((magnitude > 0) & (magnitude < torch.finfo(torch.float32).tiny)).float().mean())


@torch.no_grad()
def _new_timm(name: str, images: Tensor) -> nn.Module:
    network: Any = timm.create_model(name, pretrained=False)
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if norms:
        cfg = network.pretrained_cfg
        mean, std = (torch.tensor(cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        for module in norms:
            module.momentum = None  # the plain average over the batches
        network.train()
        for batch in torch.split(images, _BATCH):
            network((batch.float() / 255.0 - mean) / std)
    calibrated: nn.Module = network.eval()
    return calibrated
