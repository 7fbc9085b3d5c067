"""What a crop's cells are to be called: words drawn for its set's classes, and the loss of naming cells by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.evaluation.sample import IGNORED
from ovsr_ros.pocket.photos import PhotoSet

UNKNOWN = "something else"
"""As the option `text.something_else` has it."""
STRIDE = 8
"""Pixels along a side of a cell of the network's last map."""

_OTHER_WORD = 0.5
_NOISE = 0.25
_STRANGERS = 64
_MAX_KINSHIP = 0.5
_HIDING, _HIDDEN = 0.4, 0.3


@dataclass(frozen=True)
class Names:
    """What the cells of one crop may be called.

    texts: (T, D) float32, L2-normalised. shares: (C, h, w) float32, of each cell that one of the first C texts is right
    for; the others are wrong. weights: (C,), how much a right text's cells count.
    """

    texts: Tensor
    shares: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Names:
        """The same on another device."""
        return Names(self.texts.to(device), self.shares.to(device), self.weights.to(device))


class WordBook:
    """Embeddings of words, each encoded once. encode: N texts -> (N, D) float32, L2-normalised."""

    def __init__(self, encode: Callable[[Sequence[str]], Tensor]) -> None:
        self._encode = encode
        self._known: dict[str, Tensor] = {}

    def __call__(self, words: Sequence[str]) -> Tensor:
        """(N, D) of N words."""
        missing = [word for word in dict.fromkeys(words) if word not in self._known]
        if missing:
            self._known |= dict(zip(missing, self._encode(missing), strict=True))
        return torch.stack([self._known[word] for word in words])


def cell_shares(mask: NDArray[np.uint8], num_classes: int) -> Tensor:
    """(C, h, w) float32: how much of each cell of STRIDE x STRIDE pixels a class has, of a mask (H, W) uint8."""
    labels = torch.from_numpy(mask).long()
    labels = torch.where(labels == IGNORED, num_classes, labels)
    one_hot = functional.one_hot(labels, num_classes + 1)[..., :num_classes].permute(2, 0, 1).float()
    return functional.avg_pool2d(one_hot[None], STRIDE)[0]


def draw_names(
    photos: PhotoSet, mask: NDArray[np.uint8], book: WordBook, strangers: Tensor, rng: np.random.Generator
) -> Names:
    """Names for a crop's cells.

    Each class is called by one of its words, moved a little, so that near words mean the same. Strangers, words that
    are far from all that is there, stand among them. Now and then some classes are hidden: their cells are then
    "something else", which all other crops have as a wrong answer.

    strangers: (S, D), to draw from.
    """
    texts = book([_draw_word(words, rng) for words in photos.words])
    noise = torch.from_numpy(rng.standard_normal(texts.shape)).float()
    sizes = torch.from_numpy(rng.uniform(0, _NOISE, (len(texts), 1))).float()
    texts = functional.normalize(texts + sizes * functional.normalize(noise, dim=1), dim=1)
    drawn = strangers[torch.from_numpy(rng.integers(len(strangers), size=2 * _STRANGERS))]
    far = drawn[(drawn @ texts.T).amax(1) < _MAX_KINSHIP][:_STRANGERS]
    shares = cell_shares(mask, len(texts))
    weights = torch.from_numpy(photos.weights)
    hidden = torch.from_numpy(rng.random(len(texts)) < _HIDDEN)
    unknown = book([UNKNOWN])
    if rng.random() < _HIDING and (~hidden).sum() >= 2:
        shares = torch.cat((shares[~hidden], shares[hidden].sum(0, keepdim=True)))
        weights = torch.cat((weights[~hidden], torch.ones(1)))
        return Names(torch.cat((texts[~hidden], unknown, far)), shares, weights)
    return Names(torch.cat((texts, unknown, far)), shares, weights)


def _draw_word(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))] if rng.random() < _OTHER_WORD else words[0]


def naming_loss(cells: Tensor, names: Names, scale: Tensor) -> Tensor:
    """Cross-entropy of a crop's cells (D, h, w), L2-normalised, with the shares of its names, weighted; 0 without any.

    scale: of the cosines.
    """
    chances = functional.log_softmax(scale * torch.einsum("dhw,td->thw", cells, names.texts), 0)
    weighted = names.shares * names.weights[:, None, None]
    return -(weighted * chances[: len(weighted)]).sum() / weighted.sum().clamp_min(1e-3)
