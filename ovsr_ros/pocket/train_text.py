"""Training of the text tower: a small transformer of open_clip's that gives the teacher's sentence embeddings.

Its loss is 1 - cosine to the teacher's embedding, and how far the similarities within a batch are from the teacher's
(Park et al., "Relational Knowledge Distillation", arXiv 1904.05068, with dot products). Tokens begin with the teacher's
embeddings of their texts, reduced to the tower's width by principal components: words start with meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ovsr_ros.demo.training import Run, cosine_rate, decay_groups
from ovsr_ros.errors import ConfigError
from ovsr_ros.models.byte_pairs import MAX_MERGES, WORD_END
from ovsr_ros.models.causal_texts import encode_causal
from ovsr_ros.models.device import training_precision
from ovsr_ros.models.untrained import new_text_tower
from ovsr_ros.pocket.phrases import form

PEAK_RATE = 2e-3
WARMUP = 50
RELATIONAL_WEIGHT = 4.0
NAMES_SHARE = 0.6
"""Of the texts drawn, those that are names; the others are phrases."""
_TOKEN_SCALE = 0.05
"""Standard deviation of the tokens' first embeddings."""
_QUIET = 0.1
"""Of their usual size: weights that are to add little at first."""
_LENGTHS = (4, 5, 6, 8, 11, 15)
"""Texts of up to as many tokens are drawn together, so that little is computed for padding."""


@dataclass(frozen=True)
class TextOptions:
    """What a training is asked for.

    steps, batch: texts are drawn batch by batch. merges: byte pairs of the vocabulary. width, heads, layers: of the
    transformer; heads divides width. kin: how far names of one thing are brought together, see `with_kin`.

    Raises ConfigError for numbers that cannot be.
    """

    steps: int
    batch: int
    merges: int
    width: int
    heads: int
    layers: int
    seed: int
    kin: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "merges", "width", "heads", "layers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.merges > MAX_MERGES:
            raise ConfigError(f"merges: expected {MAX_MERGES} at most, all that open_clip has, got {self.merges}")
        if not 0 <= self.kin < 1:
            raise ConfigError(f"kin: expected 0 or more and less than 1, got {self.kin}")
        if self.width % self.heads:
            raise ConfigError(f"width: expected a multiple of heads ({self.heads}), got {self.width}")


@dataclass(frozen=True)
class Lessons:
    """Texts as tokens, with what the teacher says of them.

    tokens: (N, L) int64. targets: (N, D) float16, L2-normalised. num_names: the first so many texts are names.
    """

    tokens: Tensor
    targets: NDArray[np.float16]
    num_names: int


class _Groups:
    """Lessons by length, of which each step draws one group: names and phrases by their shares."""

    def __init__(self, lessons: Lessons) -> None:
        lengths = _lengths(lessons.tokens).numpy()
        num_phrases = len(lengths) - lessons.num_names
        weights = np.full(len(lengths), (1 - NAMES_SHARE) / max(num_phrases, 1))
        weights[: lessons.num_names] = NAMES_SHARE / max(lessons.num_names, 1)
        groups = np.searchsorted(_LENGTHS, lengths)
        self.members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        self.lengths = [int(lengths[members].max()) for members in self.members]
        sums = np.array([weights[members].sum() for members in self.members])
        self.shares = sums / sums.sum()
        self.chances = [weights[members] / total for members, total in zip(self.members, sums, strict=True)]

    def draw(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], int]:
        """Indices (count,) of texts, and how long the longest of them can be."""
        group = int(rng.choice(len(self.shares), p=self.shares))
        return rng.choice(self.members[group], count, p=self.chances[group]), self.lengths[group]


def _lengths(tokens: Tensor) -> Tensor:
    """(N, L) -> (N,): up to the end of text, which has the highest id."""
    return tokens.argmax(1) + 1


@dataclass(frozen=True)
class Meanings:
    """What the teacher says of the tokens' texts, by principal components.

    tokens: (T, W) centred. components: (W, D), orthonormal, or 0 beyond what there is. center: (D,).
    """

    tokens: Tensor
    components: Tensor
    center: Tensor


def token_meanings(
    tokens: Sequence[str], unknown: Collection[str], encode: Callable[[Sequence[str]], Tensor], width: int
) -> Meanings:
    """The tokens' meanings, reduced to the tower's width.

    tokens: texts, the last two start and end of a text. unknown: forms of texts whose meaning is not to be given away;
    their tokens lie in the middle of all, as those two do.
    """
    texts = [token.removesuffix(WORD_END) for token in tokens]
    meanings = encode(texts)
    center = meanings.mean(0)
    meanings = meanings - center
    meanings[[form(text) in unknown for text in texts]] = 0
    meanings[-2:] = 0
    found: Tensor = torch.linalg.svd(meanings, full_matrices=False).Vh[:width]
    components = F.pad(found, (0, 0, 0, width - len(found)))  # (W, D)
    return Meanings(meanings @ components.T, components, center)


@torch.no_grad()
def begin_with_meanings(tower: nn.Module, meanings: Meanings) -> None:
    """Set a tower's weights so that it gives the mean of its words' meanings, nearly: the first layer's attention
    averages them, the other layers add little, the projection undoes the reduction."""
    text: Any = tower
    width = len(meanings.components)
    text.token_embedding.weight.copy_(meanings.tokens * (_TOKEN_SCALE / float(meanings.tokens.std())))
    text.positional_embedding.mul_(0.1)
    for block in text.transformer.resblocks:
        block.mlp.c_proj.weight.mul_(_QUIET)
        block.attn.out_proj.weight.mul_(_QUIET)
    first = text.transformer.resblocks[0].attn
    first.in_proj_weight[: 2 * width].mul_(_QUIET)
    first.in_proj_weight[2 * width :].copy_(torch.eye(width))
    first.out_proj.weight.copy_(torch.eye(width))
    text.text_projection.copy_(meanings.components)
    text.ln_final.weight.fill_(width**-0.5)
    text.ln_final.bias.copy_(meanings.components @ meanings.center)


def distance(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (B, D), targets (B, D) L2-normalised: mean cosine, and mean squared difference of similarities."""
    outputs = F.normalize(outputs, dim=1)
    cosine = (outputs * targets).sum(1).mean()
    relations = (outputs @ outputs.T - targets @ targets.T).square().mean()
    return cosine, relations


def train(
    lessons: Lessons,
    model_cfg: dict[str, Any],
    meanings: Meanings,
    checkpoint: Path,
    options: TextOptions,
    device: torch.device,
    save_every: int = 100,
) -> dict[str, Tensor]:
    """Train, or go on from the checkpoint; returns the averaged weights on the CPU, in the tower's own names.

    model_cfg: embed_dim and text_cfg of an open_clip_config.json. meanings: what the tower begins with.
    save_every: steps from one checkpoint to the next.
    """
    torch.manual_seed(options.seed)
    tower: Any = new_text_tower(model_cfg["embed_dim"], model_cfg["text_cfg"])
    begin_with_meanings(tower, meanings)
    networks = nn.ModuleDict({"text": tower}).to(device)
    optimizer = torch.optim.AdamW(decay_groups(networks, 0.02), betas=(0.9, 0.98))
    run = Run(checkpoint, networks, optimizer, shipped="text", seed=options.seed)
    groups = _Groups(lessons)
    networks.train()
    rate = partial(cosine_rate, num_steps=options.steps, peak=PEAK_RATE, warmup=WARMUP)
    for finish in run.steps(options.steps, rate, "text", save_every):
        chosen, length = groups.draw(options.batch, run.rng())
        tokens = lessons.tokens[chosen, :length].to(device)
        targets = torch.from_numpy(lessons.targets[chosen]).to(device).float()
        with training_precision(device):
            outputs = encode_causal(tower, tokens)
        cosine, relations = distance(outputs.float(), targets)
        finish(1 - cosine + RELATIONAL_WEIGHT * relations, cosine=cosine.detach(), relations=relations.detach())
    return {key: value.cpu() for key, value in run.average.state.items()}
