"""Stage 5: the places' likeness to the words becomes each pixel's label."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ovsr_ros.ops.upsampling import bands, upsample_rows
from ovsr_ros.options import option
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

_WHOLE_BYTES = 2**28
"""Memory that all words' maps at full resolution may take; beyond it they are made in bands and by need. 4K images with
150 categories would take 5 GB."""

_BAND_BYTES = 2**26
"""Memory of all words' maps for one band of rows."""

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
    """An image's classes: each pixel's probabilities, kept, or made from the places' cosines on demand.

    cosines: (T, h, w) float32, at the image's size or any lower resolution. size_hw: the image's. scale: logit scale.
    rows_of_class: of each class the rows of its words; the first class, the background, has those of "something else",
    which may be none. class_ids: (C,) uint8. kept: (C, H, W) float32, or None where log_sum, (H, W) float32, the log of
    the softmax's denominator, serves to make them.
    """

    cosines: Tensor
    size_hw: tuple[int, int]
    scale: float
    rows_of_class: tuple[tuple[int, ...], ...]
    class_ids: Tensor
    kept: Tensor | None
    log_sum: Tensor | None

    def __len__(self) -> int:
        return len(self.rows_of_class)

    def probability(self, index: int) -> Tensor:
        """(H, W) float32: a class's probability, the highest of its words'; zeros for a class without words."""
        if self.kept is not None:
            return self.kept[index]
        rows = self.rows_of_class[index]
        if self.log_sum is None or not rows:
            return torch.zeros(self.size_hw, device=self.cosines.device)
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
    if not ids:
        cosines = cosines.new_zeros(1, *cosines.shape[1:])  # nothing to say, said evenly
    class_ids = torch.tensor([UNLABELED_ID, *(ids[row] for row in categories)], dtype=torch.uint8)
    rows_of_class = (background, *((row,) for row in categories))
    keeps = 4 * len(cosines) * size_hw[0] * size_hw[1] <= _WHOLE_BYTES
    labels, confidences, log_sums, kept = [], [], [], None
    for first, end in [(0, size_hw[0])] if keeps else bands(3 * len(cosines), size_hw, _BAND_BYTES):
        logits = upsample_rows(cosines, size_hw, first, end) * options.logit_scale  # (T, n, W)
        words = logits.softmax(0)
        if not keeps:
            log_sums.append(logits.logsumexp(0))
        del logits
        of_background = words[list(background)].amax(0) if background else torch.zeros_like(words[0])
        kept = torch.cat((of_background[None], words[list(categories)]))  # (C, n, W)
        confidence, label = kept.max(0)
        labels.append(label)
        confidences.append(confidence)
    confidence = torch.cat(confidences)
    maps = ClassMaps(
        cosines,
        size_hw,
        options.logit_scale,
        rows_of_class,
        class_ids.to(cosines.device),
        kept=kept if keeps else None,
        log_sum=None if keeps else torch.cat(log_sums),
    )
    return Decided(torch.cat(labels).masked_fill(confidence < threshold, BACKGROUND), confidence, maps)
