"""A backend of a few lines, as one that others add: cells of a grid, named by the colours in their words.

`python -m tiny_backend MODULE ARGUMENTS` runs the `main` of a module of ours in a process that knows it.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros.backends import BACKENDS, BackendType
from ovsr_ros.backends.contract import StageClock
from ovsr_ros.backends.decision import decide
from ovsr_ros.options import option
from ovsr_ros.results import UNLABELED_ID, Segmentation, Segments
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

COLORS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "white": (1, 1, 1)}


@dataclass(frozen=True)
class GridOptions:
    """How the image is cut."""

    side: int = option(2, help="cells along each side", min=1, max=16)


@dataclass(frozen=True)
class WordOptions:
    """What words say."""

    default: str = option("white", help="colour of words that name none", choices=tuple(COLORS), read_only=True)


@dataclass(frozen=True)
class TinyOptions:
    """The options of every stage."""

    grid: GridOptions = field(default_factory=GridOptions)
    words: WordOptions = field(default_factory=WordOptions)


@dataclass(frozen=True)
class ColorWords:
    """Encodes a text as the mean of the colours that it names."""

    default: str
    embedding_dim: int = 3
    model_id: str = "colour words"

    def encode_texts(self, texts: list[str], /) -> Tensor:
        named = [[COLORS[word] for word in text.split() if word in COLORS] or [COLORS[self.default]] for text in texts]
        return normalize(torch.stack([torch.tensor(colors).float().mean(0) for colors in named]), dim=1)


@dataclass(frozen=True)
class TinyFrame:
    """boxes_xyxy: (N, 4) int32, by area, right and bottom exclusive. colors: (N, 3) float32, of length 1."""

    image_hw: tuple[int, int]
    boxes_xyxy: NDArray[np.int32]
    colors: Tensor
    stage_seconds: dict[str, float]


@dataclass(frozen=True)
class TinyBackend:
    """See `Backend`."""

    options: TinyOptions
    text_encoder: ColorWords
    device: torch.device

    def with_options(self, options: TinyOptions) -> TinyBackend:
        return dataclasses.replace(self, options=options)

    def smaller(self) -> TinyBackend:
        return self.with_options(dataclasses.replace(self.options, grid=GridOptions(self.options.grid.side // 2 or 1)))

    def halve_batch(self) -> None:
        return None

    def embed(self, image_rgb: NDArray[np.uint8]) -> TinyFrame:
        clock = StageClock(self.device)
        with clock.stage("grid"):
            (height, width), side = image_rgb.shape[:2], self.options.grid.side
            x, y = (np.arange(side + 1, dtype=np.int32) * length // side for length in (width, height))
            boxes = np.array([(x[i], y[j], x[i + 1], y[j + 1]) for j in range(side) for i in range(side)])
            boxes = boxes[np.argsort(-areas_of(boxes), kind="stable")]
        with clock.stage("colors"):
            means = [image_rgb[top:bottom, left:right].mean((0, 1)) + 1 for left, top, right, bottom in boxes]
            colors = normalize(torch.from_numpy(np.stack(means)).float(), dim=1)
        return TinyFrame((height, width), boxes, colors.to(self.device), clock.seconds)

    def label(
        self, frame: TinyFrame, classifier: TextClassifier, score_threshold: float, num_runners_up: int
    ) -> Segmentation:
        clock = StageClock(self.device)
        with clock.stage("words"):
            probabilities = (5 * frame.colors @ classifier.embeddings.T).softmax(1)
            decided = decide(probabilities, classifier.class_ids, score_threshold, num_runners_up)
            class_ids, scores = decided.class_ids.cpu().numpy(), decided.scores.cpu().numpy()
        with clock.stage("label_map"):
            segment_map = np.zeros(frame.image_hw, np.uint16)
            for row, (left, top, right, bottom) in enumerate(frame.boxes_xyxy):
                segment_map[top:bottom, left:right] = row + 1
            confidences = np.where(class_ids == UNLABELED_ID, 0, 255 * scores).astype(np.uint8)
            segments = Segments(
                ids=np.arange(1, len(class_ids) + 1, dtype=np.uint16),
                track_ids=np.zeros(len(class_ids), np.uint32),
                class_ids=class_ids,
                scores=scores,
                runner_up_ids=decided.runner_up_ids.cpu().numpy(),
                runner_up_scores=decided.runner_up_scores.cpu().numpy(),
                boxes_xyxy=frame.boxes_xyxy,
                areas_px=areas_of(frame.boxes_xyxy),
                centroids_xy=(frame.boxes_xyxy[:, :2] + frame.boxes_xyxy[:, 2:] - 1).astype(np.float32) / 2,
            )
            label_map, confidence = class_ids[segment_map - 1], confidences[segment_map - 1]
        seconds = {**frame.stage_seconds, **clock.seconds}
        return Segmentation(label_map, confidence, segment_map, segments, classifier.vocabulary_version, seconds)


def areas_of(boxes_xyxy: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.prod(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 1, dtype=np.int32)


def load(options: TinyOptions, device: torch.device, precision: str, allow_download: bool) -> TinyBackend:
    """There is nothing to load."""
    return TinyBackend(options, ColorWords(options.words.default), device)


BACKEND = BackendType(TinyOptions, load, lambda options: {}, memory_options=("tiny.grid.side",), unused=("tracking",))

if __name__ == "__main__":
    BACKENDS["tiny"] = "tiny_backend"
    sys.argv = sys.argv[1:]
    raise SystemExit(importlib.import_module(sys.argv[0]).main())
