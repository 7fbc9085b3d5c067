"""How a pipeline is judged: the open-vocabulary protocol, the Hungarian one, and top-1 per instance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.backends import FrameEmbeddings
from ovsr_ros.evaluation.metrics import IGNORED, ClassCounts, count_labels, match_clusters, overlap
from ovsr_ros.evaluation.scenes_data import Sample
from ovsr_ros.pipeline import Pipeline, PreparedVocabulary
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary import parse_category


@dataclass(frozen=True)
class Judged:
    """A sample with what the pipeline made of it.

    predicted: (H, W) uint8, index into the sample's classes, 255 unlabeled. clusters: (H, W), cluster per pixel.
    """

    sample: Sample
    segmentation: Segmentation
    predicted: NDArray[np.uint8]
    clusters: NDArray[np.int64]


def judge(pipeline: Pipeline, sample: Sample) -> Judged:
    """Segment a sample's image with its own words."""
    vocabulary = pipeline.classifier_for([parse_category(word) for word in sample.words])
    frame = pipeline.embed(sample.image)
    segmentation = pipeline.label(frame, vocabulary)
    return Judged(sample, segmentation, _as_classes(segmentation, vocabulary, sample), _clusters(frame))


def _as_classes(segmentation: Segmentation, prepared: PreparedVocabulary, sample: Sample) -> NDArray[np.uint8]:
    """The label map's ids translated to indices into the sample's classes."""
    table = np.full(256, IGNORED, np.uint8)
    for category in prepared.vocabulary.categories:
        table[category.id] = sample.classes.index(category.name)
    return table[segmentation.label_map]


def _clusters(frame: FrameEmbeddings) -> NDArray[np.int64]:
    """The cluster of each pixel: segments of one cluster count as one region, as the clustering saw them."""
    of_segment = np.concatenate([[0], frame.cluster_ids + 1])
    return np.asarray(of_segment[frame.segment_map.cpu().numpy()])


@dataclass(frozen=True)
class CategoryScores:
    """labelled: counts of the open-vocabulary protocol. hungarian: counts of clusters matched per image."""

    labelled: ClassCounts
    hungarian: ClassCounts
    num_images: int
    mean_segments: float


def score_categories(judged: Iterable[Judged], num_classes: int) -> CategoryScores:
    """Both protocols over a data set, at the truth's own resolution."""
    labelled, hungarian = ClassCounts.zeros(num_classes), ClassCounts.zeros(num_classes)
    num_images = num_segments = 0
    for item in judged:
        truth = item.sample.truth
        labelled += count_labels(item.predicted, truth, num_classes)
        hungarian += count_labels(match_clusters(item.clusters, truth, num_classes), truth, num_classes)
        num_images += 1
        num_segments += len(item.segmentation.segments)
    return CategoryScores(labelled, hungarian, num_images, num_segments / max(num_images, 1))


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


def score_objects(judged: Iterable[Judged], min_area_px: int = 200) -> TopOne:
    """Top-1 of the best-overlapping segment, per object that shows at least `min_area_px` pixels."""
    num_objects = num_found = num_right = 0
    for item in judged:
        sample, segmentation = item.sample, item.segmentation
        num_segments = len(segmentation.segments)
        table = overlap(sample.instance_map, segmentation.segment_map, (len(sample.instance_names), num_segments + 1))
        areas, segment_areas = table.sum(1), table.sum(0)
        for instance in range(2, len(sample.instance_names)):
            if areas[instance] < min_area_px:
                continue
            union = areas[instance] + segment_areas - table[instance]
            fits = np.where(np.arange(num_segments + 1) > 0, table[instance] / np.maximum(union, 1), -1)
            best = int(np.argmax(fits))
            inside = (segmentation.segment_map == best) & (sample.instance_map == instance)
            answer = item.predicted[inside][0] if inside.any() else IGNORED
            num_objects += 1
            num_found += bool(fits[best] >= 0.5)
            num_right += bool(answer != IGNORED and sample.classes[answer] == sample.instance_names[instance])
    return TopOne(num_objects, num_found, num_right)
