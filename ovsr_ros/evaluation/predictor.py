"""What can be judged: whatever finds regions in an image and, perhaps, names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.evaluation.sample import Sample

UNLABELED = 255
"""Value in `Prediction.label_map` of a pixel that no word labels."""


@dataclass(frozen=True)
class Prediction:
    """What was made of a sample's image; every map has the image's H and W.

    clusters: (H, W) integers from 0: the region of each pixel, as clustering saw it, whatever it is called. Need not
        be connected.
    label_map: (H, W) uint8, index into the sample's words, 255 unlabeled; None from what cannot name regions.
    segment_map: (H, W) integers, 0 none, from 1: connected segments; None: the clusters are the segments.
    """

    clusters: NDArray[Any]
    label_map: NDArray[np.uint8] | None = None
    segment_map: NDArray[Any] | None = None

    @property
    def num_segments(self) -> int:
        """How many segments there are, of those that have a pixel."""
        if self.segment_map is None:
            return int(np.count_nonzero(np.bincount(self.clusters.ravel())))
        return int(np.count_nonzero(np.bincount(self.segment_map.ravel())[1:]))


class Predictor(Protocol):
    """Answers for one image at a time. A sample's truth and instances are not to be looked at."""

    def predict(self, sample: Sample) -> Prediction: ...


class PredictorFactory(Protocol):
    """Builds a predictor, in each worker process its own; can be pickled (a frozen dataclass at module level, say)."""

    def __call__(self) -> Predictor: ...

    def describe(self) -> dict[str, object]:
        """Everything that decides its predictors' answers, as plain values that JSON can hold."""
        ...
