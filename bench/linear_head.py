"""A linear classifier of the cells of a frozen EfficientNet-Lite0: what its features know without words.

Trained on the photographs of a folder whose classes are those of the one that is judged; `photo_words.py` has it as
`--linear`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ovsr_ros.evaluation.sample import IGNORED
from ovsr_ros.models.weight_packages import MEAN, STD, packaged_network, weight_package
from ovsr_ros.ops.image import normalize, to_tensor
from ovsr_ros.pocket.image_run import TRUNK_PACKAGE
from ovsr_ros.pocket.photos import PhotoFolder, PhotoSet, load_photos

CELLS = 400
"""Drawn from each photograph."""
STEPS, BATCH, RATE = 2000, 2048, 1e-3
SCALE = 10.0
"""Of the logits: inputs are of length 2, so that steps are large enough."""
LEVELS = (2, 3, 4)
"""At strides 8, 16 and 32; with them the last map, all at stride 8."""


class FrozenMaps:
    """EfficientNet-Lite0 as it came from its package."""

    def __init__(self) -> None:
        self._trunk, _ = packaged_network(weight_package(TRUNK_PACKAGE))
        self._trunk.eval()

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """(1, 3, H, W), normalised -> (C, h, w) float32 at stride 8: each tap L2-normalised, one upon the other."""
        final, levels = self._trunk.forward_intermediates(images, indices=list(LEVELS))
        size = levels[0].shape[2:]
        taps = [functional.normalize(maps.float(), dim=1) for maps in (*levels, final)]
        enlarged = [functional.interpolate(maps, size, mode="bilinear", align_corners=False) for maps in taps]
        return torch.cat(enlarged, 1)[0]


def train_head(folder: PhotoFolder, short_side: int, maps: FrozenMaps, seed: int = 1) -> nn.Linear:
    """The classifier (K, C), cells weighted as `pocket.photos.class_weights` has it."""
    torch.manual_seed(seed)
    photos = load_photos(folder, short_side)
    drawn = list(_cells(photos, maps, np.random.default_rng(seed)))
    cells, labels = torch.cat([some for some, _ in drawn]), torch.cat([some for _, some in drawn])
    head = nn.Linear(cells.shape[1], len(photos.words))
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    weights = torch.from_numpy(photos.weights)
    for _ in range(STEPS):
        chosen = torch.randint(len(cells), (BATCH,))
        loss = functional.cross_entropy(SCALE * head(cells[chosen].float()), labels[chosen], weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head.requires_grad_(False)


def _cells(photos: PhotoSet, maps: FrozenMaps, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    mean, std = torch.full((3,), MEAN), torch.full((3,), STD)
    for image, mask in zip(photos.images, photos.masks, strict=True):
        height, width = (side // 32 * 32 for side in mask.shape)
        cut = np.ascontiguousarray(image[:height, :width])
        found = maps(normalize(to_tensor(cut, torch.device("cpu")), mean, std)).flatten(1).T
        labels = mask[4:height:8, 4:width:8].ravel()
        known = np.flatnonzero(labels != IGNORED)
        if len(known):
            chosen = torch.from_numpy(rng.choice(known, min(CELLS, len(known)), replace=False))
            yield found[chosen].half(), torch.from_numpy(labels.astype(np.int64))[chosen]
