"""From what each image added to the figures of a data set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ovsr_ros.evaluation.assignment import match_dataset
from ovsr_ros.evaluation.boundaries import BoundaryScore
from ovsr_ros.evaluation.metrics import ClassCounts, Counts
from ovsr_ros.evaluation.protocols import (
    HUNGARIAN_DATASET,
    OPENVOCAB,
    ImageRow,
    ProtocolOptions,
    SparseCounts,
    TopOne,
    dense,
)


@dataclass(frozen=True)
class BoundaryFigures:
    """precision, recall, f1: of an image's borders, mean over the images.

    class_f1: F1 of one class's border in an image, mean over the images that show the class, then over the classes;
    NaN where borders have no class.
    """

    precision: float
    recall: float
    f1: float
    class_f1: float


@dataclass(frozen=True)
class Figures:
    """The figures of one predictor on one data set; None where that was not measured.

    labelled: open-vocabulary protocol. hungarian: clusters matched per image. hungarian_dataset: labels matched once.
    boundary: borders of the labelled map. cluster_boundary: those of the clusters.
    held_out: top-1 of objects, where instances are known by names that are among the words.
    mean_segments: per image. seconds: spent on the images, over all workers, whenever that was.
    skipped: name and reason of each image that could not be used. per_image: by index.
    """

    classes: tuple[str, ...]
    labelled: ClassCounts | None
    hungarian: ClassCounts | None
    hungarian_dataset: ClassCounts | None
    boundary: BoundaryFigures | None
    cluster_boundary: BoundaryFigures | None
    held_out: TopOne | None
    mean_segments: float
    seconds: float
    skipped: tuple[tuple[str, str], ...]
    per_image: tuple[ImageRow, ...]

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[ImageRow],
        skipped: Sequence[tuple[str, str]],
        classes: tuple[str, ...],
        options: ProtocolOptions,
    ) -> Figures:
        """Add up what each image gave, in the order of the data set: the same figures in whatever order they came."""
        rows = sorted(rows, key=lambda row: row.index)
        num_classes = len(classes)
        labelled = _sum([row.labelled for row in rows], num_classes)
        hungarian = _sum([row.hungarian for row in rows], num_classes)
        by_dataset = match_dataset(labelled) if labelled is not None and HUNGARIAN_DATASET in options.names else None
        objects = [TopOne(*row.objects) for row in rows if row.objects is not None]
        return cls(
            classes=classes,
            labelled=_counts(labelled if OPENVOCAB in options.names else None),
            hungarian=_counts(hungarian),
            hungarian_dataset=_counts(by_dataset),
            boundary=_mean_boundary([row.boundary for row in rows], [row.class_boundary for row in rows]),
            cluster_boundary=_mean_boundary([row.cluster_boundary for row in rows], []),
            held_out=sum(objects, TopOne(0, 0, 0)) if objects else None,
            mean_segments=sum(row.num_segments for row in rows) / max(len(rows), 1),
            seconds=math.fsum(row.seconds for row in rows),
            skipped=tuple(skipped),
            per_image=tuple(rows),
        )

    @property
    def num_images(self) -> int:
        """Images judged, those skipped not counted."""
        return len(self.per_image)

    @property
    def miou(self) -> float:
        """Labelled mIoU over the classes in the truth; NaN where it was not measured."""
        return float("nan") if self.labelled is None else self.labelled.summary()["miou"]

    @property
    def hungarian_miou(self) -> float:
        """Hungarian mIoU, matched per image, over the classes in the truth; NaN where it was not measured."""
        return float("nan") if self.hungarian is None else self.hungarian.summary()["miou"]

    def per_class(self) -> dict[str, dict[str, float | None]]:
        """Per class its figures; None for a class that is not in the truth, and for a figure that has no pixel."""
        table: dict[str, dict[str, float | None]] = {name: {} for name in self.classes}
        for prefix, counts in self._protocols().items():
            present = counts.present()
            columns = {
                "iou": counts.iou(),
                "precision": counts.precision(),
                "recall": counts.recall(),
                "f1": counts.f1(),
            }
            for figure, values in columns.items():
                key = figure if prefix == "labelled" else f"{prefix}_{figure}"
                for name, value, there in zip(self.classes, values, present, strict=True):
                    table[name][key] = float(value) if there and not np.isnan(value) else None
        return table

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        result: dict[str, Any] = {"images": self.num_images}
        if self.labelled is not None:
            result["miou"] = number(self.miou)
        if self.hungarian is not None:
            result["hungarian_miou"] = number(self.hungarian_miou)
        for name, counts in self._protocols().items():
            result[name] = {key: number(value) for key, value in counts.summary().items()}
        for name, boundary in (("boundary", self.boundary), ("cluster_boundary", self.cluster_boundary)):
            if boundary is not None:
                result[name] = {key: number(value) for key, value in vars(boundary).items()}
        if self.held_out is not None:
            result["held_out"] = {
                "top1": number(self.held_out.accuracy),
                "objects": self.held_out.num_objects,
                "objects_with_a_fitting_segment": self.held_out.num_found,
            }
        result["per_class"] = self.per_class()
        result["mean_segments"] = self.mean_segments
        result["skipped"] = [{"name": name, "reason": reason} for name, reason in self.skipped]
        result["seconds"] = round(self.seconds, 1)
        return result

    def _protocols(self) -> dict[str, ClassCounts]:
        found = {
            "labelled": self.labelled,
            "hungarian": self.hungarian,
            "hungarian_dataset": self.hungarian_dataset,
        }
        return {name: counts for name, counts in found.items() if counts is not None}


def image_miou(row: ImageRow, num_classes: int) -> float:
    """mIoU of one image by itself, over the classes in it; of the clusters where it has no labels; NaN with neither."""
    entries = row.labelled if row.labelled is not None else row.hungarian
    if entries is None:
        return float("nan")
    return ClassCounts.from_confusion(dense(entries, num_classes)).summary()["miou"]


def number(value: float) -> float | None:
    """The value for JSON, which has no NaN."""
    return None if math.isnan(value) else float(value)


def _sum(tables: Sequence[SparseCounts | None], num_classes: int) -> Counts | None:
    total = np.zeros((num_classes, num_classes + 1), np.int64)
    measured = [entries for entries in tables if entries is not None]
    for entries in measured:
        total += dense(entries, num_classes)
    return total if measured else None


def _counts(table: Counts | None) -> ClassCounts | None:
    return None if table is None else ClassCounts.from_confusion(table)


def _mean_boundary(
    scores: Sequence[tuple[float, float] | None], per_class: Sequence[tuple[tuple[int, float], ...] | None]
) -> BoundaryFigures | None:
    found = [BoundaryScore(*score) for score in scores if score is not None]
    if not found:
        return None
    by_class: dict[int, list[float]] = {}
    for entries in per_class:
        for label, f1 in entries or ():
            by_class.setdefault(label, []).append(f1)
    return BoundaryFigures(
        precision=float(np.mean([score.precision for score in found])),
        recall=float(np.mean([score.recall for score in found])),
        f1=float(np.mean([score.f1 for score in found])),
        class_f1=float(np.mean([np.mean(by_class[label]) for label in sorted(by_class)])) if by_class else float("nan"),
    )
