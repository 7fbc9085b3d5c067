"""Training of the image tower: cells of photographs are named by words, and ImageNet's objects are not forgotten.

From EfficientNet-Lite0's ImageNet weights. Its classifier stays: what it says of a cell is a part of the cell's
embedding, by the sentence embeddings of the classes, and a frozen copy of the network says at each place what the
trained one is to say in ImageNet's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ovsr_ros.demo.training import Run, cosine_rate
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.sample import IGNORED
from ovsr_ros.models.device import training_precision
from ovsr_ros.models.pocket_network import PocketNetwork
from ovsr_ros.models.weight_packages import MEAN, STD
from ovsr_ros.ops.image import normalize
from ovsr_ros.pocket.augment import draw_crop
from ovsr_ros.pocket.naming import WordBook, draw_names, naming_loss
from ovsr_ros.pocket.photos import PhotoSet

PEAK_RATE, FURTHER_RATE, TRUNK_RATE = 1e-3, 7e-4, 0.1
"""The pyramid's learning rate at its highest, that of a network that goes on, and the trunk's share of both."""
WARMUP = 60
KEEP_WEIGHT = 0.3
FIRST_SCALE, MAX_SCALE = 30.0, 60.0
_FROZEN = ("conv_stem", "bn1", "blocks.0", "blocks.1")
"""Parts of the trunk that see edges and colours, which photographs have in common."""


@dataclass(frozen=True)
class Start:
    """A pair's image network, to go on from. weights: by the network's names. scale: of the cosines."""

    weights: dict[str, Tensor]
    scale: float


@dataclass(frozen=True)
class ImageOptions:
    """What a training is asked for. steps, batch: crops are drawn batch by batch.

    Raises ConfigError for numbers that cannot be.
    """

    steps: int
    batch: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected 1 or more, got {getattr(self, name)}")


def set_shares(sets: Sequence[PhotoSet]) -> NDArray[np.float64]:
    """(S,): how often each set is drawn from, by the root of how many images it has and the root of that of classes."""
    sizes = np.array([len(photos.images) ** 0.5 * len(photos.words) ** 0.25 for photos in sets], float)
    return np.asarray(sizes / sizes.sum())


def keeping_loss(cells: Tensor, said: Tensor, unnamed: Tensor, anchors: Tensor, scale: Tensor) -> Tensor:
    """Divergence of what cells (B, D, h, w) say in ImageNet's words from what the frozen network says, (B, K, i, j).

    said: logits on its coarser grid, each place counts as far as it is sure. unnamed: (B, H, W), where no class is
    known, 1, else 0; only there anything is kept: that network says "bicycle" of the road around one, too. anchors:
    (K, D), L2-normalised.
    """
    chances = said.softmax(1)
    pooled = functional.normalize(functional.adaptive_avg_pool2d(cells, (said.shape[2], said.shape[3])), dim=1)
    found = functional.log_softmax(scale * torch.einsum("bdhw,kd->bkhw", pooled, anchors), 1)
    divergence = (chances * (chances.clamp_min(1e-6).log() - found)).sum(1)
    counts = chances.amax(1) * functional.adaptive_avg_pool2d(unnamed[:, None], (said.shape[2], said.shape[3]))[:, 0]
    return (divergence * counts).sum() / counts.sum().clamp_min(1.0)


class _Towers(nn.ModuleDict):
    """The network and the scale; the trunk's normalisations keep ImageNet's statistics."""

    def train(self, mode: bool = True) -> _Towers:
        super().train(mode)
        image: Any = self["image"]
        for module in image.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class _Scale(nn.Module):
    def __init__(self, first: float) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(first).log())

    def forward(self) -> Tensor:
        return self.log.exp().clamp(max=MAX_SCALE)


def new_network(trunk_weights: dict[str, Tensor], anchors: Tensor) -> PocketNetwork:
    """The network before its training. anchors: (K, D) float32, L2-normalised."""
    network = PocketNetwork(num_classes=anchors.shape[1], num_anchors=len(anchors))
    network.trunk.load_state_dict(trunk_weights)
    network.anchors.copy_(anchors)
    return network


def _added(network: PocketNetwork) -> dict[str, Tensor]:
    """What networks trained before have not: it begins by changing nothing."""
    return {name: value for name, value in network.state_dict().items() if name.startswith(("detail.", "blocks.2.1."))}


def train(
    sets: Sequence[PhotoSet],
    trunk_weights: dict[str, Tensor],
    book: WordBook,
    anchors: Tensor,
    strangers: Tensor,
    checkpoint: Path,
    options: ImageOptions,
    device: torch.device,
    save_every: int = 50,
    start: Start | None = None,
) -> tuple[dict[str, Tensor], float]:
    """Train, or go on from the checkpoint; returns the averaged weights on the CPU, and the scale of the cosines.

    trunk_weights: timm's tf_efficientnet_lite0. anchors: (K, D), its classes' sentence embeddings. strangers: (S, D),
    words that may be wrong anywhere. start: what to go on from, instead of trunk_weights alone.

    Raises ConfigError where start has another network's weights.
    """
    torch.manual_seed(options.seed)
    network = new_network(trunk_weights, anchors)
    frozen = new_network(trunk_weights, anchors).eval().requires_grad_(False)
    if start is not None:
        try:
            network.load_state_dict({**_added(network), **start.weights})
        except RuntimeError as error:
            words = " ".join(str(error).split())
            raise ConfigError(f"start: expected a pair with this network's weights: {words}") from error
    for name, parameter in network.trunk.named_parameters():
        parameter.requires_grad = not name.startswith(_FROZEN)
    scale = _Scale(FIRST_SCALE if start is None else start.scale)
    towers = _Towers({"image": network, "scale": scale}).to(device).to(memory_format=torch.channels_last)
    frozen.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(_groups(towers), betas=(0.9, 0.98), weight_decay=0.02)
    run = Run(checkpoint, towers, optimizer, shipped="image", seed=options.seed)
    shares = set_shares(sets)
    mean, std = torch.full((3,), MEAN), torch.full((3,), STD)
    towers.train()

    def rate(step: int) -> float:
        return cosine_rate(step, options.steps, PEAK_RATE if start is None else FURTHER_RATE, WARMUP)

    for finish in run.steps(options.steps, rate, "image", save_every):
        rng = run.rng()
        drawn = [sets[index] for index in rng.choice(len(sets), options.batch, p=shares)]
        crops, names, unnamed = [], [], []
        for photos in drawn:
            number = int(rng.integers(len(photos.images)))
            image, mask = draw_crop(photos.images[number], photos.masks[number], rng)
            crops.append(torch.from_numpy(image))
            names.append(draw_names(photos, mask, book, strangers, rng))
            unnamed.append(torch.from_numpy(mask == IGNORED).float())
        images = normalize(torch.stack(crops).permute(0, 3, 1, 2), mean, std)
        images = images.to(device, memory_format=torch.channels_last)
        cells = network.forward_features(images)
        factor = scale()
        naming = torch.stack([naming_loss(cells[i], names[i].to(device), factor) for i in range(len(names))]).mean()
        with torch.no_grad(), training_precision(device):
            said = frozen.say(images).float()
        keeping = keeping_loss(cells, said, torch.stack(unnamed).to(device), network.anchors, factor)
        finish(naming + KEEP_WEIGHT * keeping, naming=naming.detach(), keeping=keeping.detach(), scale=factor.detach())
    weights = {key: value.cpu() for key, value in run.average.state.items()}
    return weights, float(scale().detach())


def _groups(towers: nn.ModuleDict) -> list[dict[str, Any]]:
    trunk = [p for name, p in towers.named_parameters() if ".trunk." in name and p.requires_grad]
    others = [p for name, p in towers.named_parameters() if ".trunk." not in name]
    return [{"params": trunk, "rate": TRUNK_RATE}, {"params": others, "rate": 1.0}]
