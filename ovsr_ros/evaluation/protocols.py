"""How one image is judged: the open-vocabulary protocol, the Hungarian ones, borders, and top-1 per object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.assignment import match_clusters
from ovsr_ros.evaluation.boundaries import boundary_score, class_boundary_scores
from ovsr_ros.evaluation.metrics import Counts, center_square, confusion, overlap, resize_nearest
from ovsr_ros.evaluation.predictor import UNLABELED, Prediction
from ovsr_ros.evaluation.sample import IGNORED, NO_CLASS, Dataset, Sample
from ovsr_ros.names import name_key
from ovsr_ros.vocabulary.category import parse_category

OPENVOCAB, HUNGARIAN, HUNGARIAN_DATASET = PROTOCOLS = ("openvocab", "hungarian", "hungarian-dataset")
MIN_OBJECT_AREA_PX = 200

SparseCounts = tuple[tuple[int, int, int], ...]
"""A confusion matrix's entries that are not 0: (true class, predicted class or C for none, pixels)."""


@dataclass(frozen=True)
class ProtocolOptions:
    """What is measured.

    names: of PROTOCOLS; () measures the objects' top-1 alone.
    merge_background: in `hungarian`, clusters left over become one cluster that is matched to the background.
    size: in `hungarian`, the maps' centre square is brought to this side, nearest, before the matching (128 in DiffCut,
        512 in DiffSeg); None: the truth's own resolution, whole. The predictor sees the whole image in any case.
    boundary_px: how far a border may lie from a true one.
    """

    names: tuple[str, ...] = (OPENVOCAB, HUNGARIAN)
    merge_background: bool = False
    size: int | None = None
    boundary_px: float = 3.0

    @property
    def needs_labels(self) -> bool:
        """Whether anything is measured that segments without names do not give."""
        return set(self.names) != {HUNGARIAN}

    def check(self, dataset: Dataset) -> None:
        """Raises ConfigError for an unknown protocol, or one that the data set cannot be judged by."""
        for name in self.names:
            if name not in PROTOCOLS:
                raise ConfigError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {name!r}")
        if self.merge_background and dataset.background is None:
            raise ConfigError(f"background merging: data set {dataset.name} has no class for the background")
        if self.size is not None and self.size < 1:
            raise ConfigError(f"size: expected at least 1 pixel, or None for native, got {self.size}")


@dataclass(frozen=True)
class TopOne:
    """Objects seen, those some segment covers best with intersection over union at least 0.5, and right answers.

    An object is right when the segment that overlaps it best carries its full name, whether or not it fits well.
    """

    num_objects: int
    num_found: int
    num_right: int

    @property
    def accuracy(self) -> float:
        """Right answers over all objects, [0, 1]; NaN without objects."""
        return self.num_right / self.num_objects if self.num_objects else float("nan")

    def __add__(self, other: TopOne) -> TopOne:
        return TopOne(
            self.num_objects + other.num_objects, self.num_found + other.num_found, self.num_right + other.num_right
        )


@dataclass(frozen=True)
class ImageRow:
    """What one image adds to the figures; None where it was not measured. Holds plain numbers only, as a journal does.

    index: in the data set. labelled: of the label map. hungarian: of the clusters as matched.
    boundary, cluster_boundary: precision and recall of the borders of the label map, and of the clusters.
    class_boundary: (class, F1 of its border) for each class in the truth.
    seconds: that were spent on it, reading included.
    """

    index: int
    name: str
    labelled: SparseCounts | None
    hungarian: SparseCounts | None
    boundary: tuple[float, float] | None
    class_boundary: tuple[tuple[int, float], ...] | None
    cluster_boundary: tuple[float, float] | None
    objects: tuple[int, int, int] | None
    num_segments: int
    seconds: float


def judge(
    sample: Sample, prediction: Prediction, dataset: Dataset, options: ProtocolOptions, index: int = 0
) -> ImageRow:
    """Judge one prediction at the truth's resolution; `seconds` is left 0.

    A pixel that no word labels counts as the background where the data set has one, otherwise as missed; one that is
    labelled by a word that is no class of the data set counts as missed.
    """
    shape, num_classes = (sample.truth.shape[0], sample.truth.shape[1]), len(dataset.classes)
    clusters = resize_nearest(prediction.clusters, shape)
    labels = None
    if prediction.label_map is not None:
        labels = resize_nearest(_as_classes(prediction.label_map, sample.word_classes, dataset.background), shape)
    labelled = boundary = class_boundary = hungarian = cluster_boundary = None
    if labels is not None and {OPENVOCAB, HUNGARIAN_DATASET} & set(options.names):
        labelled = _sparse(confusion(labels, sample.truth, num_classes))
    if labels is not None and OPENVOCAB in options.names:
        score = boundary_score(labels, sample.truth, options.boundary_px)
        boundary = (score.precision, score.recall)
        per_class = class_boundary_scores(labels, sample.truth, options.boundary_px)
        class_boundary = tuple((label, item.f1) for label, item in per_class.items())
    if HUNGARIAN in options.names:
        score = boundary_score(clusters, sample.truth, options.boundary_px)
        cluster_boundary = (score.precision, score.recall)
        hungarian = _sparse(_hungarian(clusters, sample.truth, dataset, options))
    return ImageRow(
        index=index,
        name=sample.name,
        labelled=labelled,
        hungarian=hungarian,
        boundary=boundary,
        class_boundary=class_boundary,
        cluster_boundary=cluster_boundary,
        objects=_judge_objects(sample, prediction),
        num_segments=prediction.num_segments,
        seconds=0.0,
    )


def _as_classes(label_map: NDArray[np.uint8], word_classes: Sequence[int], background: int | None) -> NDArray[np.uint8]:
    """A map of word indices translated to classes, 255 for none."""
    table = np.full(256, IGNORED, np.uint8)
    for word, label in enumerate(word_classes):
        if label != NO_CLASS:
            table[word] = label
    if background is not None:
        table[UNLABELED] = background
    return table[label_map]


def _hungarian(clusters: NDArray[Any], truth: NDArray[np.uint8], dataset: Dataset, options: ProtocolOptions) -> Counts:
    if options.size is not None:
        square = (options.size, options.size)
        clusters, truth = (resize_nearest(center_square(labels), square) for labels in (clusters, truth))
    background = dataset.background if options.merge_background else None
    matched = match_clusters(clusters, truth, len(dataset.classes), background)
    return confusion(matched, truth, len(dataset.classes))


def _judge_objects(sample: Sample, prediction: Prediction) -> tuple[int, int, int] | None:
    """Top-1 of the best-overlapping segment, per object that shows enough pixels and whose name is one of the words.

    None where labels or instances are not known, or where no object's name is among the words.
    """
    if sample.instance_map is None or prediction.label_map is None:
        return None
    word_names = [name_key(parse_category(word).name) for word in sample.words]
    names = [name_key(name) for name in sample.instance_names]
    asked = [i for i in range(2, len(names)) if names[i] in word_names]
    if not asked:
        return None
    shape = (sample.instance_map.shape[0], sample.instance_map.shape[1])
    segment_map = prediction.clusters + 1 if prediction.segment_map is None else prediction.segment_map
    segment_map, label_map = resize_nearest(segment_map, shape), resize_nearest(prediction.label_map, shape)
    num_segments = int(segment_map.max(initial=0))
    table = overlap(sample.instance_map, segment_map, (len(names), num_segments + 1))
    areas, segment_areas = table.sum(1), table.sum(0)
    num_objects = num_found = num_right = 0
    for instance in asked:
        if areas[instance] < MIN_OBJECT_AREA_PX:
            continue
        union = areas[instance] + segment_areas - table[instance]
        fits = np.where(np.arange(num_segments + 1) > 0, table[instance] / np.maximum(union, 1), -1)
        best = int(np.argmax(fits))
        inside = (segment_map == best) & (sample.instance_map == instance)
        answer = label_map[inside][0] if inside.any() else UNLABELED
        num_objects += 1
        num_found += bool(fits[best] >= 0.5)
        num_right += bool(answer != UNLABELED and word_names[answer] == names[instance])
    return num_objects, num_found, num_right


def _sparse(table: Counts) -> SparseCounts:
    rows, columns = np.nonzero(table)
    return tuple((int(r), int(c), int(table[r, c])) for r, c in zip(rows, columns, strict=True))


def dense(entries: SparseCounts, num_classes: int) -> Counts:
    """The confusion matrix (C, C + 1) of an image's entries."""
    table = np.zeros((num_classes, num_classes + 1), np.int64)
    for truth, predicted, pixels in entries:
        table[truth, predicted] = pixels
    return table
