"""Training of the embedded EfficientNet-B0: pixels of one category point one way, those of another another way.

The loss works on what the pipeline clusters: levels 1, 2 and 3 on the stride-4 grid, concatenated, each cell's vector
at length 1. A classifier by cosines draws the cells of a category together over all images; a contrastive loss keeps
the categories of one image apart. Beside them timm's own classifier head is told which categories are in view, so that
every layer of the network is trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovsr_ros.demo.pool import Pool, draw_window
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.demo.training import Phase, Run, decay_groups, phase_of
from ovsr_ros.models.device import training_precision
from ovsr_ros.models.untrained import forward_levels, new_feature_network

ARCHITECTURE = "efficientnet_b0"
LEVELS = (1, 2, 3)
LEVEL_CHANNELS = (24, 40, 112)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NUM_SAMPLES = 320
TEMPERATURE = 0.1
COSINE_SCALE = 16.0


@dataclass(frozen=True)
class ZoomPhase(Phase):
    """zoom: how much larger than in the pool things appear, from and to. crop_hw: size of what the network sees."""

    zoom: tuple[float, float]
    crop_hw: tuple[int, int]


PHASES = (
    ZoomPhase(1600 / 6000, 2e-3, (0.42, 0.7), (192, 256)),
    ZoomPhase(1600 / 6000, 1.2e-3, (0.5, 1.04), (192, 256)),
    ZoomPhase(2800 / 6000, 1.2e-3, (0.62, 1.15), (256, 320)),
)
"""First whole scenes, then larger views: the network is used on images of 384 rows and more, the pool's have 480."""
FIRST_AREA = math.prod(PHASES[0].crop_hw)
"""Pixels of an image of the first phase; larger images come in smaller batches."""
EDGE_WEIGHT = 2.0
"""How much more a cell counts that touches another category: that is where masks get their edges."""


def grid_features(maps: list[Tensor]) -> Tensor:
    """Levels (B, C_l, H_l, W_l) on the first one's grid, each cell's vector at length 1: (B, sum C_l, H, W)."""
    size = maps[0].shape[-2:]
    levels = [maps[0].float()]
    levels += [F.interpolate(level.float(), size, mode="bilinear", align_corners=False) for level in maps[1:]]
    return F.normalize(torch.cat(levels, dim=1), dim=1)


def draw_batch(
    pool: Pool, size: int, zoom_range: tuple[float, float], crop_hw: tuple[int, int], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Augmented images (B, 3, h, w) of crop_hw, normalised, and their category maps (B, h, w) int64."""
    images, labels = [], []
    for index in rng.integers(len(pool.images), size=size):
        window = (index, *draw_window(pool, crop_hw, zoom_range, rng))
        image = torch.from_numpy(pool.images[window]).permute(2, 0, 1)[None].float()
        label = torch.from_numpy(pool.categories[window])[None, None].float()
        if image.shape[2:] != crop_hw:
            shrinks = image.shape[2] > crop_hw[0]
            image = F.interpolate(image, crop_hw, mode="bilinear", align_corners=False, antialias=shrinks)
            label = F.interpolate(label, crop_hw, mode="nearest-exact")
        if rng.random() < 0.5:
            image, label = image.flip(-1), label.flip(-1)
        image = image / 255
        gain = torch.from_numpy(np.exp(rng.normal(0, 0.06, 3) + rng.normal(0, 0.15)).astype(np.float32))
        image = (image * gain[:, None, None]).clamp(0, 1) ** float(np.exp(rng.normal(0, 0.12)))
        images.append(image + float(rng.uniform(0, 0.02)) * torch.randn_like(image))
        labels.append(label[:, 0].long())
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return ((torch.cat(images) - mean) / std).contiguous(memory_format=torch.channels_last), torch.cat(labels)


def balance(labels: Tensor) -> Tensor:
    """Weight per cell, mean 1: a category's falls with the root of its cells in the batch, edges count more.

    labels and weights: (B, H, W).
    """
    counts = torch.bincount(labels.flatten(), minlength=len(CATEGORIES)).float().clamp(min=1)
    weights = (counts.sum() / counts).sqrt().clamp(max=40)[labels]
    nearby = labels[:, None].float()
    touches = F.max_pool2d(nearby, 3, 1, 1) != -F.max_pool2d(-nearby, 3, 1, 1)
    weights = weights * torch.where(touches[:, 0], EDGE_WEIGHT, 1.0)
    return weights / weights.mean()


def contrast(features: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Supervised contrastive loss over cosines, within each image, samples balanced over its categories.

    features: (B, C, H, W) of length 1; labels: (B, H, W). After Khosla et al., arXiv 2004.11362.
    """
    losses = []
    for image_features, image_labels in zip(features.flatten(2), labels.flatten(1), strict=True):
        counts = torch.bincount(image_labels, minlength=len(CATEGORIES)).float()
        weights = (1 / counts.clamp(min=12))[image_labels]
        seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
        chosen = torch.multinomial(weights.cpu(), NUM_SAMPLES, generator=seed).to(weights.device)
        points, own = image_features[:, chosen].T, image_labels[chosen]  # (S, C), (S,)
        logits = (points @ points.T / TEMPERATURE).fill_diagonal_(-1e4)
        same = (own[:, None] == own[None, :]).float().fill_diagonal_(0)
        log_share = logits - torch.logsumexp(logits, dim=1, keepdim=True)
        losses.append(-((log_share * same).sum(1) / same.sum(1).clamp(min=1)).mean())
    return torch.stack(losses).mean()


class PixelHead(nn.Module):
    """Category logits as cosines to one learned direction per category; used in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(len(CATEGORIES), sum(LEVEL_CHANNELS)))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) of length 1 -> (B, K, H, W)."""
        directions = F.normalize(self.directions, dim=1)
        return COSINE_SCALE * F.conv2d(features, directions[:, :, None, None])


def train(
    pool: Pool, checkpoint: Path, num_steps: int, batch_size: int, seed: int, device: torch.device
) -> dict[str, Tensor]:
    """Train, or go on from the checkpoint; returns the averaged weights on the CPU, in timm's own keys."""
    torch.manual_seed(seed)
    networks = nn.ModuleDict({"network": new_feature_network(ARCHITECTURE, len(CATEGORIES)), "pixels": PixelHead()})
    networks.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(decay_groups(networks, 0.02))
    run = Run(checkpoint, networks, optimizer, shipped="network", seed=seed)
    networks.train()

    def rate(step: int) -> float:
        return phase_of(PHASES, step, num_steps)[1]

    for finish in run.steps(num_steps, rate, label="features"):
        rng = run.rng()
        phase = phase_of(PHASES, run.step, num_steps)[0]
        size = max(round(batch_size * FIRST_AREA / math.prod(phase.crop_hw)), 1)
        images, labels = (tensor.to(device) for tensor in draw_batch(pool, size, phase.zoom, phase.crop_hw, rng))
        with training_precision(device):
            maps, logits = forward_levels(networks["network"], images, LEVELS)
        features = grid_features(maps)
        grid_labels = labels[:, 2::4, 2::4]
        scores = networks["pixels"](features)
        per_cell = F.cross_entropy(scores, grid_labels, reduction="none")
        present = F.one_hot(labels.flatten(1), len(CATEGORIES)).amax(1).float()
        clustering = contrast(features, grid_labels, rng)
        loss = (per_cell * balance(grid_labels)).mean() + 0.3 * clustering
        loss = loss + 0.2 * F.binary_cross_entropy_with_logits(logits.float(), present)
        accuracy = (scores.argmax(1) == grid_labels).float().mean()
        finish(loss, cells=per_cell.detach().mean(), contrast=clustering.detach(), accuracy=accuracy)
    return {key: value.cpu() for key, value in run.average.state.items()}
