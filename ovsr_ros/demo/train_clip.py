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
from torch import Tensor, nn

from ovsr_ros.demo.captions import Concept, reserved_words
from ovsr_ros.demo.clip_batches import IMAGE_PX, MEAN, PATCH_PX, STD, CropSource, augment, draw_captions, draw_scenes
from ovsr_ros.demo.materials import COLORS, PATTERNS
from ovsr_ros.demo.pool import Pool, cut_fragment
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.demo.segment_crops import SegmentCrops
from ovsr_ros.demo.training import Phase, Run, decay_groups, phase_of
from ovsr_ros.models.device import training_precision
from ovsr_ros.models.untrained import encode, encode_regions, new_clip, new_tokenizer, whole_words

CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": IMAGE_PX, "layers": 6, "width": 192, "head_width": 64, "patch_size": PATCH_PX},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 96, "heads": 3, "layers": 3},
    },
    "preprocess_cfg": {
        "mean": list(MEAN),
        "std": list(STD),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}


@dataclass(frozen=True)
class ClipPhase(Phase):
    """What a step's batch is made of.

    crops: share of the batch size that comes as crops. fragments: share of these that are pieces of walls and floors,
    as a clustering would leave them. segments: share of these that are segments as the pipeline finds them. scenes:
    whole images beside the crops, whose instances are embedded together.
    """

    crops: float = 1.0
    fragments: float = 0.0
    segments: float = 0.0
    scenes: int = 0


PHASES = (
    ClipPhase(3000 / 6200, 1e-3),
    ClipPhase(700 / 6200, 4e-4, fragments=0.3),
    ClipPhase(300 / 6200, 5e-4, crops=0.6, fragments=0.3, scenes=3),
    ClipPhase(1300 / 6200, 6e-4, crops=0.75, fragments=0.1, segments=0.5, scenes=2),
    ClipPhase(900 / 6200, 5e-4, fragments=0.08, segments=0.6),
)
"""First whole instances, then pieces of the background among them, then whole scenes beside the crops, and last
segments with the imperfect masks that the pipeline gives them, with scenes and without."""


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


def contrast(logits: Tensor, truth: Tensor, own: Tensor) -> Tensor:
    """Loss of a batch.

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
    return loss - 0.5 * ((by_text * true_of).sum(1) / true_of.sum(1)).mean()


def is_right(logits: Tensor, truth: Tensor, own: Tensor) -> Tensor:
    """Whether each image's own caption beats all captions that are false of it: (B,) 0 or 1. See `contrast`."""
    best_false = logits.masked_fill(truth.to(logits.device) != 0, -1e4).amax(1)
    return (logits.gather(1, own[:, None].to(logits.device))[:, 0] > best_false).float()


def train(
    pool: Pool,
    segments: SegmentCrops,
    checkpoint: Path,
    num_steps: int,
    batch_size: int,
    seed: int,
    device: torch.device,
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
    instances, found = CropSource(pool.crops, pool.names), CropSource(segments.crops, segments.names)
    networks.train()
    logit_scale: Any = networks["clip"].logit_scale

    def rate(step: int) -> float:
        return phase_of(PHASES, step, num_steps)[1]

    for finish in run.steps(num_steps, rate, label="clip"):
        rng = run.rng()
        phase = phase_of(PHASES, run.step, num_steps)[0]
        num_crops = round(phase.crops * batch_size)
        num_fragments, num_segments = round(phase.fragments * num_crops), round(phase.segments * num_crops)
        crops, batch = instances.draw(num_crops - num_fragments - num_segments, rng)
        for _ in range(num_fragments):
            crop, kind = cut_fragment(pool, rng)
            crops, batch = np.concatenate([crops, crop[None]]), [*batch, Concept(kind)]
        if num_segments:
            more, concepts = found.draw(num_segments, rng)
            crops, batch = np.concatenate([crops, more]), [*batch, *concepts]
        images = augment(torch.from_numpy(crops).to(device), rng)
        scenes, masks, seen = draw_scenes(pool, phase.scenes, rng)
        batch += seen
        texts, truth, own = draw_captions(batch, rng, fillers)
        with training_precision(device):
            image_embeddings, text_embeddings = encode(networks["clip"], images, tokenize(texts).to(device))
            if masks:
                regions = encode_regions(networks["clip"], scenes.to(device), [mask.to(device) for mask in masks])
                image_embeddings = torch.cat([image_embeddings, regions])
        image_embeddings, text_embeddings = image_embeddings.float(), text_embeddings.float()
        scale = logit_scale.exp().clamp(max=100)
        logits = scale * F.normalize(image_embeddings, dim=1) @ F.normalize(text_embeddings, dim=1).T
        loss = contrast(logits, torch.from_numpy(truth).to(device), own.to(device))
        attributes = networks["heads"](image_embeddings, batch)
        right = is_right(logits, torch.from_numpy(truth), own)
        figures = {"crops": right[:num_crops].mean(), "regions": right[num_crops:].mean()}
        finish(loss + 0.6 * attributes, contrast=loss.detach(), attributes=attributes.detach(), **figures)
    return {key: value.cpu() for key, value in run.average.state.items()}


def config_json() -> str:
    """The text of the open_clip_config.json that belongs to the weights."""
    return json.dumps(CONFIG, indent=2) + "\n"
