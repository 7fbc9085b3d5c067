"""Stage 5: the places' likeness to the words becomes each pixel's label."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ovsr_ros.config import option
from ovsr_ros.ops.upsampling import bands, upsample_rows
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.text_embeddings import TextClassifier

_BAND_BYTES = 2**26
"""Memory of all words' maps for one band of rows: 4K images with 150 categories would need 5 GB whole."""

BACKGROUND = 0
"""Row of `ClassMaps` that stands for no category."""


@dataclass(frozen=True)
class DecisionOptions:
    """How likeness becomes probability."""

    logit_scale: float = option(
        40.0, help="factor of the cosines before the softmax over all words", min=0.1, max=1000.0
    )


@dataclass(frozen=True)
class ClassMaps:
    """Cosines of an image's places with every word, and their softmax at full resolution, class by class on demand.

    cosines: (T, h, w) float32, at the image's size or any lower resolution. size_hw: the image's. scale: logit scale.
    log_sum: (H, W) float32, log of the softmax's denominator. rows_of_class: of each class the rows of its words;
    the first class, the background, has those of "something else", which may be none. class_ids: (C,) uint8.
    """

    cosines: Tensor
    size_hw: tuple[int, int]
    scale: float
    log_sum: Tensor
    rows_of_class: tuple[tuple[int, ...], ...]
    class_ids: Tensor

    def __len__(self) -> int:
        return len(self.rows_of_class)

    def probability(self, index: int) -> Tensor:
        """(H, W) float32: a class's probability, the highest of its words'; zeros for a class without words."""
        rows = self.rows_of_class[index]
        if not rows:
            return torch.zeros_like(self.log_sum)
        best = torch.full_like(self.log_sum, -torch.inf)
        for row in rows:  # one at a time: a background may have thirty
            best = torch.maximum(best, upsample_rows(self.cosines[row : row + 1], self.size_hw, 0, self.size_hw[0])[0])
        return (best * self.scale - self.log_sum).exp()


@dataclass(frozen=True)
class Decided:
    """labels: (H, W) int64, indices of classes, 0 the background. confidence: (H, W) float32, the probability of the
    best class, whatever the threshold made of it. maps: the classes' probabilities.
    """

    labels: Tensor
    confidence: Tensor
    maps: ClassMaps


def decide(
    cosines: Tensor, size_hw: tuple[int, int], classifier: TextClassifier, threshold: float, options: DecisionOptions
) -> Decided:
    """Each pixel's class from cosines (T, h, w), a map for each of the classifier's rows.

    The softmax is over all words; several of the background's count by their best. The most probable class wins, the
    first of equals, the background before all; where it has less than the threshold, the background.
    """
    ids = classifier.class_ids.tolist()
    categories = tuple(row for row, class_id in enumerate(ids) if class_id != UNLABELED_ID)
    background = tuple(row for row, class_id in enumerate(ids) if class_id == UNLABELED_ID)
    device = cosines.device
    if not ids:
        cosines = cosines.new_zeros(1, *cosines.shape[1:])  # nothing to say, said evenly
    log_sums, bests, labels = [], [], []
    for first, end in bands(3 * len(cosines), size_hw, _BAND_BYTES):
        logits = upsample_rows(cosines, size_hw, first, end) * options.logit_scale  # (T, n, W)
        log_sums.append(logits.logsumexp(0))
        of_background = (
            logits[list(background)].amax(0, keepdim=True) if background else torch.full_like(logits[:1], -torch.inf)
        )
        best, label = torch.cat((of_background, logits[list(categories)])).max(0)
        bests.append(best)
        labels.append(label)
    log_sum = torch.cat(log_sums)
    confidence = (torch.cat(bests) - log_sum).exp()
    class_ids = torch.tensor([UNLABELED_ID, *(ids[row] for row in categories)], dtype=torch.uint8, device=device)
    rows_of_class = (background, *((row,) for row in categories))
    maps = ClassMaps(cosines, size_hw, options.logit_scale, log_sum, rows_of_class, class_ids)
    return Decided(torch.cat(labels).masked_fill(confidence < threshold, BACKGROUND), confidence, maps)
