"""Training of the embedded CLIP: crops of instances against captions, and "something else" against what is missing.

Crops come as the pipeline cuts them: surroundings as they are, blurred, or filled. Captions that are true of a crop
besides its own are neither rewarded nor punished. A crop whose true captions are all left out belongs to
"something else"; words that mean nothing in the scenes stand among the captions and must match nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ovsr_ros.demo.captions import (
    SOMETHING_ELSE,
    TRAINING_TEMPLATES,
    Concept,
    concept_of,
    describe,
    generalise,
    random_concept,
    reserved_words,
)
from ovsr_ros.demo.materials import COLORS, PATTERNS
from ovsr_ros.demo.pool import CROP_MARGIN, Pool, cut_fragment
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.demo.training import Phase, Run, decay_groups, phase_of
from ovsr_ros.models.untrained import encode, new_clip, new_tokenizer, whole_words

CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 64, "layers": 6, "width": 192, "head_width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 96, "heads": 3, "layers": 3},
    },
    "preprocess_cfg": {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}
IMAGE_PX = 64
NUM_OTHER_CONCEPTS, NUM_NONSENSE = 40, 8


@dataclass(frozen=True)
class FragmentPhase(Phase):
    """fragments: share of a batch that are pieces of walls and floors, as a clustering would leave them."""

    fragments: float


PHASES = (FragmentPhase(30 / 37, 1e-3, 0.0), FragmentPhase(7 / 37, 4e-4, 0.3))
"""First whole instances, then pieces of the background among them."""


class AttributeHeads(nn.Module):
    """Kind, colour and pattern from an image embedding; used in training only, where they speed learning up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(width, n) for n in (len(CATEGORIES), len(COLORS), len(PATTERNS))])

    def forward(self, embeddings: Tensor, concepts: Sequence[Concept]) -> Tensor:
        """Mean cross-entropy over the attributes that the concepts have."""
        kinds = [CATEGORIES.index(c.kind) for c in concepts]
        colors = [list(COLORS).index(c.color) if c.color else -1 for c in concepts]
        patterns = [PATTERNS.index(c.pattern) if c.pattern else -1 for c in concepts]
        losses = [
            F.cross_entropy(head(embeddings), torch.tensor(target, device=embeddings.device), ignore_index=-1)
            for head, target in zip(self.heads, (kinds, colors, patterns), strict=True)
        ]
        return torch.stack(losses).mean()


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
    mean, std = (torch.tensor(CONFIG["preprocess_cfg"][k], device=device)[:, None, None] for k in ("mean", "std"))
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
    if claim.kind == concept.kind and claim.surface is not None and concept.surface is None:
        return -1
    return int(claim.covers(concept))


def contrast(logits: Tensor, truth: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of a batch.

    logits: (B, T), the last text is "something else"; truth: (B, T), 1 true, 0 false, -1 not known; own: (B,).
    """
    rows = torch.arange(len(own), device=own.device)
    not_judged = truth != 0
    not_judged[rows, own] = False
    present = logits.masked_fill(not_judged, -1e4)
    loss = F.cross_entropy(present, own)
    missing = logits.masked_fill(truth != 0, -1e4)
    last = torch.full_like(own, logits.shape[1] - 1)
    loss = loss + 0.5 * F.cross_entropy(missing, last)
    claims = (truth == 1).any(0).nonzero()[:, 0]
    by_text = F.log_softmax(logits.masked_fill(truth == -1, -1e4)[:, claims].T, dim=1)  # (T', B)
    true_of = (truth[:, claims].T == 1).float()
    loss = loss - 0.5 * ((by_text * true_of).sum(1) / true_of.sum(1)).mean()
    return loss, (present.argmax(1) == own).float().mean()


def train(
    pool: Pool, checkpoint: Path, num_steps: int, batch_size: int, seed: int, device: torch.device
) -> dict[str, Tensor]:
    """Train, or go on from the checkpoint; returns the averaged weights on the CPU, in open_clip's own keys."""
    torch.manual_seed(seed)
    config = CONFIG["model_cfg"]
    networks = nn.ModuleDict(
        {"clip": new_clip(config, patch_dropout=0.4), "heads": AttributeHeads(config["embed_dim"])}
    )
    networks.to(device)
    optimizer = torch.optim.AdamW(decay_groups(networks, 0.05), betas=(0.9, 0.98))
    run = Run(checkpoint, networks, optimizer, shipped="clip", seed=seed)
    tokenize = new_tokenizer(config["text_cfg"]["context_length"])
    fillers = [word for word in whole_words() if word not in reserved_words()]
    concepts = [concept_of(str(name)) for name in pool.names]
    surface = np.array([concept.surface is not None for concept in concepts])
    weights = np.where(surface, 0.25 / surface.sum(), 0.75 / (~surface).sum())
    networks.train()
    logit_scale: Any = networks["clip"].logit_scale

    def rate(step: int) -> float:
        return phase_of(PHASES, step, num_steps)[1]

    for finish in run.steps(num_steps, rate, label="clip"):
        rng = run.rng()
        num_fragments = round(phase_of(PHASES, run.step, num_steps)[0].fragments * batch_size)
        chosen = rng.choice(len(concepts), batch_size - num_fragments, p=weights)
        pieces = [cut_fragment(pool, rng) for _ in range(num_fragments)]
        batch = [*(concepts[i] for i in chosen), *(Concept(kind) for _, kind in pieces)]
        crops = np.concatenate([pool.crops[chosen], *(crop[None] for crop, _ in pieces)])
        images = augment(torch.from_numpy(crops).to(device), rng)
        texts, truth, own = draw_captions(batch, rng, fillers)
        with torch.autocast(device.type, torch.bfloat16):
            image_embeddings, text_embeddings = encode(networks["clip"], images, tokenize(texts).to(device))
        image_embeddings, text_embeddings = image_embeddings.float(), text_embeddings.float()
        scale = logit_scale.exp().clamp(max=100)
        logits = scale * F.normalize(image_embeddings, dim=1) @ F.normalize(text_embeddings, dim=1).T
        loss, accuracy = contrast(logits, torch.from_numpy(truth).to(device), own.to(device))
        attributes = networks["heads"](image_embeddings, batch)
        finish(loss + 0.6 * attributes, contrast=loss.detach(), attributes=attributes.detach(), accuracy=accuracy)
    return {key: value.cpu() for key, value in run.average.state.items()}


def config_json() -> str:
    """The text of the open_clip_config.json that belongs to the weights."""
    return json.dumps(CONFIG, indent=2) + "\n"
