"""What becomes of an object whose word is not in the vocabulary, over the score threshold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ovsr_ros.backends.contract import Frame
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.metrics import overlap
from ovsr_ros.evaluation.pipeline_predictor import word_of_id
from ovsr_ros.evaluation.predictor import UNLABELED
from ovsr_ros.evaluation.sample import IGNORED, Sample
from ovsr_ros.evaluation.studies.plots import Curve, plot_thresholds
from ovsr_ros.evaluation.studies.study import Study, StudyRequest, rows_table
from ovsr_ros.pipeline import Pipeline, State
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.category import parse_category

THRESHOLDS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(20))
"""0 to 0.95."""


@dataclass(frozen=True)
class Subject:
    """What is left out in turn, of which images, and what is hoped for.

    min_area: of an image's pixels; a class of which less is in view is not left out. num_surroundings: classes from
    here on are objects; those before are never left out. unlabeled, kept: targets, of a left-out object's pixels, and
    of the pixels that were right with its word in the vocabulary.
    """

    min_area: float
    num_surroundings: int
    unlabeled: float
    kept: float = 0.90


SCENES = Subject(200 / (480 * 640), 2, 0.70)
"""Rendered rooms: all but the wall and the floor, for models that were trained to know what they do not know."""
PHOTOGRAPHS = Subject(0.01, 0, 0.50)
"""Every class that is in view."""


@dataclass
class Pixels:
    """Pixels of one group, summed; the lists have one entry per threshold.

    num: all. right_before: those labelled right with the whole vocabulary and no threshold. right: those labelled
    right. kept: those right before that still are. unlabeled: those without a label.
    """

    num: int = 0
    right_before: int = 0
    right: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    kept: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    unlabeled: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def none(cls, num_thresholds: int) -> Pixels:
        """No pixels seen yet."""
        return cls(0, 0, *(np.zeros(num_thresholds, np.int64) for _ in range(3)))

    @property
    def share_unlabeled(self) -> NDArray[np.float64]:
        """Unlabeled of all: (T,), NaN without pixels."""
        return self.unlabeled / self.num if self.num else np.full(len(self.unlabeled), np.nan)

    @property
    def share_right(self) -> NDArray[np.float64]:
        """Right of all: (T,), NaN without pixels."""
        return self.right / self.num if self.num else np.full(len(self.right), np.nan)

    @property
    def share_kept(self) -> NDArray[np.float64]:
        """Still right of those right before: (T,), NaN without such."""
        return self.kept / self.right_before if self.right_before else np.full(len(self.kept), np.nan)


@dataclass
class Rejection:
    """What happened when each object's word was left out once.

    left_out: pixels of the objects left out, and by_kind those of each kind, by class. objects: pixels of the other
    objects; surroundings: of what is never left out. Each counts once per word left out. mistaken_for: (C,) left-out
    pixels that got the label of a class at the threshold 0. num_left_out: how often a word was left out.
    """

    thresholds: tuple[float, ...]
    subject: Subject
    left_out: Pixels
    objects: Pixels
    surroundings: Pixels
    by_kind: dict[int, Pixels] = field(default_factory=dict)
    mistaken_for: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    num_left_out: int = 0
    num_images: int = 0


def measure_rejection(
    pipeline: Pipeline,
    samples: Iterable[Sample],
    num_classes: int,
    thresholds: Sequence[float] = THRESHOLDS,
    subject: Subject = SCENES,
) -> Rejection:
    """Leave each object's word out once, and label at every threshold. Each image is embedded once.

    The samples' truth has the images' resolution. The pipeline's own threshold does not matter.
    """
    left_out, objects, surroundings = (Pixels.none(len(thresholds)) for _ in range(3))
    result = Rejection(tuple(thresholds), subject, left_out, objects, surroundings)
    for sample in samples:
        _measure_one(pipeline, sample, num_classes, result)
    return result


def _measure_one(pipeline: Pipeline, sample: Sample, num_classes: int, result: Rejection) -> None:
    frame = pipeline.embed(sample.image)
    areas = np.bincount(sample.truth.ravel(), minlength=256)[:num_classes]
    whole = _prepare(pipeline, sample, None)
    right_before = _label(pipeline, frame, whole, 0.0) == sample.truth
    # A class twice: its pixels that were right before, and the others, so that one table tells both.
    truth = np.where(sample.truth == IGNORED, 2 * num_classes, sample.truth + num_classes * right_before)
    first, min_area_px = result.subject.num_surroundings, round(result.subject.min_area * sample.truth.size)
    kinds = [c for c in range(first, num_classes) if areas[c] >= min_area_px and c in sample.word_classes]
    reduced = {kind: _prepare(pipeline, sample, kind) for kind in kinds}
    result.num_images += 1
    result.num_left_out += len(kinds)
    num_thresholds = len(result.thresholds)
    for place, threshold in enumerate(result.thresholds):
        for kind in kinds:
            labels = _label(pipeline, frame, reduced[kind], float(threshold))
            table = overlap(truth, labels, (2 * num_classes + 1, 256))[:-1].reshape(2, num_classes, 256)
            seen = Counted(place, table)
            seen.add_to(result.left_out, [kind])
            seen.add_to(result.by_kind.setdefault(kind, Pixels.none(num_thresholds)), [kind])
            seen.add_to(result.surroundings, range(first))
            seen.add_to(result.objects, [c for c in range(first, num_classes) if c != kind])
            if place == 0:
                mistaken = result.mistaken_for.setdefault(kind, np.zeros(num_classes, np.int64))
                mistaken += table[:, kind, :num_classes].sum(0)


@dataclass(frozen=True)
class Counted:
    """One labelling's pixels: table (2, C, 256), by whether they were right before, true class and label."""

    place: int
    table: NDArray[np.int64]

    def add_to(self, pixels: Pixels, classes: Iterable[int]) -> None:
        """Add the pixels of these classes. Totals are the same at each threshold, and count at the first."""
        for c in classes:
            both = self.table[:, c]  # (2, 256)
            if self.place == 0:
                pixels.num += int(both.sum())
                pixels.right_before += int(both[1].sum())
            pixels.right[self.place] += both[:, c].sum()
            pixels.kept[self.place] += both[1, c]
            pixels.unlabeled[self.place] += both[:, UNLABELED_ID].sum()


@dataclass(frozen=True)
class _Words:
    """A vocabulary, and the class of each of its ids: (256,) uint8, 254 for words that are no class of the truth."""

    state: State
    class_of_id: NDArray[np.uint8]


_OTHER_WORD = 254


def _prepare(pipeline: Pipeline, sample: Sample, left_out: int | None) -> _Words:
    pairs = [
        (word, word_class)
        for word, word_class in zip(sample.words, sample.word_classes, strict=True)
        if left_out is None or word_class != left_out
    ]
    state = pipeline.state_for([parse_category(word) for word, _ in pairs])
    classes = np.full(256, _OTHER_WORD, np.uint8)  # by word
    classes[UNLABELED] = UNLABELED_ID
    for index, (_, word_class) in enumerate(pairs):
        classes[index] = word_class if word_class >= 0 else _OTHER_WORD
    return _Words(state, classes[word_of_id(state, [word for word, _ in pairs])])


def _label(pipeline: Pipeline, frame: Frame, words: _Words, threshold: float) -> NDArray[np.uint8]:
    options = dataclasses.replace(words.state.options, score_threshold=threshold)
    state = dataclasses.replace(words.state, options=options)
    labels: NDArray[np.uint8] = words.class_of_id[pipeline.label(frame, state).label_map]
    return labels


# --- What is told of it ---


def operating_point(result: Rejection, threshold: float) -> dict[str, float]:
    """The shares at a threshold that is among those measured."""
    place = result.thresholds.index(threshold)
    point = {
        "threshold": threshold,
        "unlabeled": float(result.left_out.share_unlabeled[place]),
        "objects_kept": float(result.objects.share_kept[place]),
        "objects_right": float(result.objects.share_right[place]),
    }
    if result.subject.num_surroundings:
        point["surroundings_kept"] = float(result.surroundings.share_kept[place])
        point["surroundings_right"] = float(result.surroundings.share_right[place])
    return point


def best_threshold(result: Rejection) -> float | None:
    """The lowest threshold at which both targets are met; None where there is none."""
    for place, threshold in enumerate(result.thresholds):
        unlabeled, kept = result.left_out.share_unlabeled[place], result.objects.share_kept[place]
        if unlabeled >= result.subject.unlabeled and kept >= result.subject.kept:
            return threshold
    return None


def kind_rows(result: Rejection, classes: Sequence[str], threshold: float) -> list[dict[str, Any]]:
    """Per kind left out: pixels, share unlabeled at a threshold, and what the rest is mostly taken for without one."""
    place = result.thresholds.index(threshold)
    rows = []
    for kind, pixels in sorted(result.by_kind.items()):
        mistaken = result.mistaken_for[kind]
        taken_for = classes[int(mistaken.argmax())] if mistaken.any() else "-"
        rows.append(
            {
                "kind": classes[kind],
                "pixels": pixels.num,
                "unlabeled": float(pixels.share_unlabeled[place]),
                "mostly_taken_for": taken_for,
            }
        )
    return rows


def run(request: StudyRequest) -> Study:
    """Measure on a data set, or the scenes of a split; see `measure_rejection`. limit: all images where not said."""
    preset = request.options.score_threshold
    thresholds = sorted({*THRESHOLDS, preset})
    dataset = request.dataset or open_dataset("scenes", split=request.split)
    count = min(request.limit or len(dataset), len(dataset))
    samples = tqdm(
        (dataset.load(index) for index in range(count)), total=count, unit="image", disable=not request.progress
    )
    subject = SCENES if request.dataset is None else PHOTOGRAPHS
    result = measure_rejection(Pipeline(request.options), samples, len(dataset.classes), thresholds, subject)
    return _to_study(request, result, dataset.classes)


def _to_study(request: StudyRequest, result: Rejection, classes: Sequence[str]) -> Study:
    preset, subject = request.options.score_threshold, result.subject
    points = [operating_point(result, threshold) for threshold in result.thresholds]
    chosen, best = operating_point(result, preset), best_threshold(result)
    kinds = kind_rows(result, classes, preset)
    met = chosen["unlabeled"] >= subject.unlabeled and chosen["objects_kept"] >= subject.kept
    lowest = f"the lowest that does is {best:g}" if best is not None else "none does"
    images = "" if request.dataset is not None else "scenes "
    where = f"{images}{request.part}, {result.num_images} images, {result.num_left_out} words left out one at a time"
    markdown = (
        f"# Objects that the vocabulary does not name: `{request.config}`\n\n{where}. Unlabeled: of the left-out "
        "object's pixels. Kept: of the pixels that were right with the whole vocabulary and no threshold, those still "
        "right. Right: of all pixels.\n\n"
        f"At the preset's threshold {preset:g}: {chosen['unlabeled']:.1%} unlabeled (target {subject.unlabeled:.0%}), "
        f"{chosen['objects_kept']:.1%} of the other objects' pixels kept (target {subject.kept:.0%})"
        + (f", {chosen['surroundings_kept']:.1%} of wall and floor. " if subject.num_surroundings else ". ")
        + ("Both targets are met" if met else "The targets are not both met")
        + f"; of the thresholds, {lowest}.\n\n"
        + rows_table(points)
        + f"\n\nPer kind left out, at the threshold {preset:g}; mostly taken for: without a threshold.\n\n"
        + rows_table(kinds)
    )
    curves = [
        Curve("left-out object: unlabeled", result.left_out.share_unlabeled, subject.unlabeled),
        Curve("other objects: kept", result.objects.share_kept, subject.kept),
        Curve("other objects: right", result.objects.share_right),
    ]
    if subject.num_surroundings:
        curves.insert(2, Curve("wall and floor: kept", result.surroundings.share_kept))
    caption = f"What becomes of pixels when an object's word is left out of the vocabulary: {where}."
    figures = {
        "images": result.num_images,
        "words_left_out": result.num_left_out,
        "targets": {"unlabeled": subject.unlabeled, "objects_kept": subject.kept},
        "preset": chosen,
        "targets_met": met,
        "lowest_threshold_that_meets_them": best,
        "thresholds": points,
        "kinds": kinds,
        "pixels": {"left_out": result.left_out.num, "objects": result.objects.num},
    }
    return Study("unknown", markdown, figures, {"curve": plot_thresholds(result.thresholds, curves, preset, caption)})
