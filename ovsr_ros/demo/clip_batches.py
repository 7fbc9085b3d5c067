"""What a step of CLIP's training looks at: crops, views of whole scenes, and captions with what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.demo.captions import (
    SOMETHING_ELSE,
    TRAINING_TEMPLATES,
    Concept,
    concept_of,
    describe,
    generalise,
    random_concept,
)
from ovsr_ros.demo.pool import CROP_MARGIN, Pool, draw_window

IMAGE_PX, PATCH_PX = 64, 8
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
NUM_OTHER_CONCEPTS, NUM_NONSENSE = 40, 8
SCENE_HW = (192, 256)
SCENE_ZOOM = (0.42, 0.75)
"""Size of what the image encoder sees of a scene, and how much larger than in the pool things appear there."""
MIN_PATCHES = 0.75
"""Least area that an instance must show there, in patches."""


class CropSource:
    """Stored crops with their concepts, drawn so that walls and floors together are a quarter."""

    def __init__(self, crops: NDArray[np.uint8], names: NDArray[np.str_]) -> None:
        self.crops, self.concepts = crops, [concept_of(str(name)) for name in names]
        surface = np.array([concept.kind in ("wall", "floor") for concept in self.concepts])
        self._weights = np.where(surface, 0.25 / max(surface.sum(), 1), 0.75 / max((~surface).sum(), 1))
        self._weights /= self._weights.sum()

    def draw(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[Concept]]:
        """Crops (count, 96, 96, 4) and their concepts."""
        chosen = rng.choice(len(self.concepts), count, p=self._weights)
        return self.crops[chosen], [self.concepts[i] for i in chosen]


def augment(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Stored crops (B, 96, 96, 4) uint8 -> images (B, 3, 64, 64), normalised.

    Scale, shift, mirror; the mask grown, shrunk or cut as an imperfect segment's would be; one of three surroundings.
    """
    batch = crops.permute(0, 3, 1, 2).float() / 255
    count, device = len(batch), batch.device

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, *shape)).astype(np.float32)).to(device)

    tight = 1 / (1 + CROP_MARGIN)
    scale = draw(tight * 0.92, tight * 1.38)
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1] = scale * mirror, scale
    theta[:, :, 2] = draw(-0.09, 0.09, 2)
    grid = F.affine_grid(theta, [count, 4, IMAGE_PX, IMAGE_PX], align_corners=False)
    small = F.interpolate(batch, (72, 72), mode="bilinear", antialias=True, align_corners=False)
    warped = F.grid_sample(small, grid, mode="bilinear", padding_mode="border", align_corners=False)
    image, mask = warped[:, :3], _spoil_masks(warped[:, 3:], rng, draw)
    tint = torch.exp(
        0.05 * torch.randn(count, 3, 1, 1, device=device) + 0.13 * torch.randn(count, 1, 1, 1, device=device)
    )
    image = (image * tint).clamp(0, 1)
    noise = draw(0, 0.025)[:, None, None, None] * torch.randn_like(image)
    soft = F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    image = torch.where((draw(0, 1) < 0.3)[:, None, None, None], soft, image) + noise
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, STD))
    coarse = F.interpolate(F.avg_pool2d(image, 16), (IMAGE_PX, IMAGE_PX), mode="bilinear", align_corners=False)
    style = draw(0, 1)[:, None, None, None]
    around = torch.where(style < 0.22, image, torch.where(style < 0.55, coarse, mean.expand_as(image)))
    return ((image * mask + around * (1 - mask)) - mean) / std


def _spoil_masks(masks: Tensor, rng: np.random.Generator, draw: Any) -> Tensor:
    """Soft masks (B, 1, S, S) as a segmentation would give them: some grown, some shrunk, some cut by a line."""
    grown = F.max_pool2d(masks, 5, 1, 2)
    shrunk = -F.max_pool2d(-masks, 3, 1, 1)
    choice = draw(0, 1)[:, None, None, None]
    masks = torch.where(choice < 0.35, grown, torch.where(choice > 0.8, shrunk, masks))
    axis = torch.linspace(-1, 1, masks.shape[-1], device=masks.device)
    angle, offset = draw(0, 2 * np.pi)[:, None, None], draw(0.0, 0.6)[:, None, None]
    line = axis[None, None, :] * torch.cos(angle) + axis[None, :, None] * torch.sin(angle) < offset
    cut = (draw(0, 1) < 0.15)[:, None, None]
    return masks * torch.where(cut, line, torch.ones_like(line))[:, None].float()


def draw_scenes(pool: Pool, count: int, rng: np.random.Generator) -> tuple[Tensor, list[Tensor], list[Concept]]:
    """Views of scenes (B, 3, 192, 256), normalised, with a mask per instance, (R_b, 24, 32) in [0, 1], and its concept.

    Some masks are cut by a line, as a clustering would part them.
    """
    height, width = SCENE_HW
    images: list[Tensor] = []
    masks: list[Tensor] = []
    concepts: list[Concept] = []
    while len(images) < count:
        index = int(rng.integers(len(pool.images)))
        window = (index, *draw_window(pool, SCENE_HW, SCENE_ZOOM, rng))
        image = torch.from_numpy(pool.images[window]).permute(2, 0, 1)[None].float() / 255
        image = F.interpolate(image, SCENE_HW, mode="bilinear", antialias=True, align_corners=False)
        instances = cv2.resize(pool.instances[window], (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        present = np.unique(instances)
        parts = torch.from_numpy(instances == present[:, None, None]) * _chance_lines(len(present), rng)
        shares = F.avg_pool2d(parts, PATCH_PX)
        whole = shares.sum((1, 2)) >= MIN_PATCHES
        if not whole.any():
            continue
        if rng.random() < 0.5:
            image, shares = image.flip(-1), shares.flip(-1)
        gain = torch.from_numpy(np.exp(rng.normal(0, 0.05, 3) + rng.normal(0, 0.13)).astype(np.float32))
        image = (image * gain[:, None, None]).clamp(0, 1)
        images.append(image + float(rng.uniform(0, 0.025)) * torch.randn_like(image))
        masks.append(shares[whole])
        names = pool.instance_names[index][present[whole.numpy()]]
        concepts += [concept_of(str(name)) for name in names]
    if not images:
        return torch.zeros(0, 3, height, width), [], []
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (torch.cat(images) - mean) / std, masks, concepts


def _chance_lines(count: int, rng: np.random.Generator) -> Tensor:
    """Half-planes (count, 192, 256) of 0 and 1; seven in ten hold the whole view."""
    height, width = SCENE_HW
    y, x = torch.arange(height)[:, None] / height, torch.arange(width)[None] / width
    planes = []
    for _ in range(count):
        angle = float(rng.uniform(0, 2 * np.pi))
        distance = (x - float(rng.uniform())) * np.cos(angle) + (y - float(rng.uniform())) * np.sin(angle)
        planes.append((distance > 0).float() if rng.random() < 0.3 else torch.ones(height, width))
    return torch.stack(planes)


def draw_captions(
    concepts: Sequence[Concept], rng: np.random.Generator, fillers: Sequence[str]
) -> tuple[list[str], NDArray[np.int8], Tensor]:
    """Captions for a batch: one of each crop's own, others, nonsense, and "something else" last.

    Returns texts (T,); whether each is true of each crop (B, T) int8: 1 true, 0 false, -1 not known, as "brick wall" is
    of a piece of some wall; and each crop's own caption's index (B,).
    """
    own = [generalise(concept, rng) for concept in concepts]
    others = [random_concept(rng) for _ in range(NUM_OTHER_CONCEPTS)]
    asked = list(dict.fromkeys([*own, *others]))
    texts = [describe(concept, rng, fillers) for concept in asked]
    truth = np.array([[_is_true(claim, concept) for claim in asked] for concept in concepts], np.int8)
    template = TRAINING_TEMPLATES
    for word in rng.choice(fillers, NUM_NONSENSE):
        texts.append(str(rng.choice(template)).format(word))
    texts.append(str(rng.choice(template)).format(SOMETHING_ELSE))
    false = np.zeros((len(concepts), NUM_NONSENSE + 1), np.int8)
    positions = {concept: i for i, concept in enumerate(asked)}
    return texts, np.concatenate([truth, false], axis=1), torch.tensor([positions[concept] for concept in own])


def _is_true(claim: Concept, concept: Concept) -> int:
    if claim.kind == concept.kind:
        pairs = ((claim.surface, concept.surface), (claim.color, concept.color), (claim.pattern, concept.pattern))
        if any(said is not None and known is None for said, known in pairs):
            return -1
    return int(claim.covers(concept))
