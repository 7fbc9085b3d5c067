"""What examples of a class are worth beside its words, on photographs.

    PYTHONPATH=. python bench/photo_examples.py --config CONFIG --teach ../shared/photos/nyuv2-train \
        --judge ../shared/photos/nyuv2-val

An example is what an operator would point at: a segment that the pipeline finds in an image of the first folders, of
which most pixels are of one class. Classes of several folders are one where they share a name. The second folder is
then labelled with k examples of a class, the same images found and embedded once. By each rule of `examples.rule`, and
each margin and reach, two tables show:

- one class taught at a time, means over the classes (and over --draws choices of the examples): its own IoU, and by how
  much the other classes' mean IoU changes, on the mean and where it falls most; rule `none` is the words alone, `alone`
  the examples alone;
- all classes taught at once: labelled mIoU.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends.contract import FrameEmbeddings
from ovsr_ros.backends.decision import decide
from ovsr_ros.backends.ovsr.alignment import AlignmentOptions, cosines_with, match_probabilities
from ovsr_ros.backends.ovsr.backend import OvsrBackend
from ovsr_ros.backends.ovsr.examples import ALONE, MAXIMUM, MEAN, NONE, WEIGHTS, ExampleOptions, join_examples
from ovsr_ros.cli.config_arguments import add_config_arguments, load_chosen_settings
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.metrics import ClassCounts, overlap, resize_nearest
from ovsr_ros.evaluation.pipeline_predictor import PipelinePredictor
from ovsr_ros.evaluation.sample import IGNORED, Sample
from ovsr_ros.names import name_key
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.pocket.photos import PhotoFolder
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.category import parse_category
from ovsr_ros.vocabulary.example_rows import ExampleRows
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

PHOTOS = Path(os.environ.get("OVSR_PHOTOS", "../shared/photos"))
MIN_PURITY, MIN_AREA = 0.8, 0.005
"""Of a segment that is pointed at: the share of its pixels that are of its class, and its share of the image."""

RULES = (WEIGHTS, MAXIMUM, MEAN, ALONE)
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """An image's segments. embeddings: (N, D). pixels: (N, C), of each class in each segment. size: in pixels."""

    embeddings: Tensor
    pixels: Counts
    size: int


@dataclass(frozen=True)
class Labels:
    """What labels: the texts, the C classes they stand for, and how cosines become a decision.

    class_of_text: (T,), the text's class, C for none.
    """

    classifier: TextClassifier
    class_of_text: NDArray[np.int64]
    num_classes: int
    alignment: AlignmentOptions
    logit_scale: float
    score_threshold: float

    def decide(self, cosines: Tensor) -> NDArray[np.int64]:
        """(N, T) -> (N,): each segment's class, C for none."""
        of_unlabeled = (self.classifier.class_ids == UNLABELED_ID).float()
        bias = self.alignment.unlabeled_bias * of_unlabeled
        scale = self.alignment.logit_scale or self.logit_scale
        probabilities = match_probabilities(cosines, scale, bias)
        rows = torch.arange(len(of_unlabeled), dtype=torch.uint8)  # each text by its row
        ids = torch.where(of_unlabeled > 0, rows.new_full((), UNLABELED_ID), rows)
        chosen = decide(probabilities, ids, self.score_threshold, 0).class_ids.numpy()
        classes = np.full(256, self.num_classes)
        classes[: len(self.class_of_text)] = self.class_of_text
        return classes[chosen]


# --- Images ---


def see(pipeline: Pipeline, sample: Sample, num_classes: int, classes: NDArray[np.int64]) -> Seen:
    """classes: (256,), the class of each value of the truth, num_classes for none."""
    frame = pipeline.embed(sample.image)
    if not isinstance(frame, FrameEmbeddings):
        raise ConfigError("backend: expected one that embeds segments, such as ovsr")
    shape = (sample.truth.shape[0], sample.truth.shape[1])
    segment_map = resize_nearest(frame.regions.segment_map.cpu().numpy(), shape)
    pixels = overlap(segment_map, classes[sample.truth], (len(frame) + 1, num_classes + 1))
    return Seen(frame.embeddings.float().cpu(), pixels[1:, :num_classes], sample.truth.size)


def see_folder(pipeline: Pipeline, folder: PhotoFolder, class_of: Mapping[str, int]) -> Iterator[tuple[Sample, Seen]]:
    """The images of a folder. class_of: the number of the class of each name, by its key."""
    dataset = open_dataset("folder", folder.path)
    num_classes = max(class_of.values()) + 1
    for index in range(len(dataset))[folder.start : folder.stop : folder.step]:
        sample = dataset.load(index)
        classes = np.full(256, num_classes, np.int64)
        for word, number in zip(sample.words, sample.word_classes, strict=True):
            found = [class_of[key] for key in keys_of(word) if key in class_of]
            if found and 0 <= number < IGNORED:
                classes[number] = found[0]
        yield sample, see(pipeline, sample, num_classes, classes)


def keys_of(word: str) -> list[str]:
    """Of a category as text, its name's and its synonyms'."""
    request = parse_category(word)
    return [name_key(name) for name in (request.name, *request.synonyms)]


def pointed_at(seen: Seen) -> Iterator[tuple[int, int]]:
    """Segments that are of one class: row, class."""
    areas = seen.pixels.sum(1)
    for row, number in enumerate(seen.pixels.argmax(1)):
        if areas[row] >= MIN_AREA * seen.size and seen.pixels[row, number] >= MIN_PURITY * areas[row]:
            yield row, int(number)


def stack(images: Sequence[Seen]) -> Seen:
    """The segments of several images as if they were one's."""
    return Seen(
        torch.cat([seen.embeddings for seen in images]),
        np.concatenate([seen.pixels for seen in images]),
        sum(seen.size for seen in images),
    )


def draw(candidates: Sequence[tuple[int, Tensor]], count: int, rng: np.random.Generator) -> Tensor | None:
    """(k, D): of candidates (image, embedding), k of different images; None where there are not so many."""
    by_image: dict[int, list[Tensor]] = {}
    for image, embedding in candidates:
        by_image.setdefault(image, []).append(embedding)
    if len(by_image) < count:
        return None
    images = rng.permutation(sorted(by_image))[:count]
    return torch.stack([by_image[image][rng.integers(len(by_image[image]))] for image in images])


# --- Figures ---


@dataclass(frozen=True)
class Taught:
    """Examples, and of which of the texts. embeddings: (E, D)."""

    embeddings: Tensor
    text_rows: Tensor

    @property
    def rows(self) -> ExampleRows:
        return ExampleRows(self.embeddings, self.text_rows)


def judge(judged: Sequence[Seen], labels: Labels, taught: Taught, ways: Sequence[ExampleOptions]) -> list[ClassCounts]:
    """The judged images labelled in each way: pixels right and wrong by class. Cosines are found once."""
    num_classes = judged[0].pixels.shape[1]
    tables = [torch.zeros(num_classes + 1, num_classes, dtype=torch.int64) for _ in ways]  # by what was chosen
    for seen in judged:
        pixels = torch.from_numpy(seen.pixels)
        cosines = cosines_with(taught.embeddings, seen.embeddings, labels.classifier.embeddings, labels.alignment)
        for table, way in zip(tables, ways, strict=True):
            chosen = labels.decide(join_examples(*cosines, taught.rows, way))
            table.index_add_(0, torch.from_numpy(chosen), pixels)
    return [ClassCounts.from_confusion(table.numpy().T) for table in tables]


def others_change(before: ClassCounts, after: ClassCounts, taught: int) -> float:
    """By how much the mean IoU of the classes in the truth but one changes."""
    others = before.present()
    others[taught] = False
    return float((after.iou() - before.iou())[others].mean()) if others.any() else float("nan")


@dataclass
class Row:
    """Of one way: the taught classes' IoU by words alone and with examples, and the others' change, one each."""

    before: list[float] = dataclasses.field(default_factory=list)
    after: list[float] = dataclasses.field(default_factory=list)
    others: list[float] = dataclasses.field(default_factory=list)

    def add(self, before: ClassCounts, after: ClassCounts, taught: int) -> None:
        self.before.append(float(before.iou()[taught]))
        self.after.append(float(after.iou()[taught]))
        self.others.append(others_change(before, after, taught))

    def cells(self) -> str:
        own = f"{np.mean(self.before):.3f} | {np.mean(self.after):.3f}"
        return f"{own} | {np.mean(self.others):+.4f} | {np.min(self.others):+.4f} | {len(self.before)}"


class Study:
    """Examples to draw from, images to judge, and what labels them.

    candidates: by class, (image, embedding) of segments that show it. mistaken: by class, of segments that the words
    alone call so and that are another.
    """

    def __init__(
        self,
        names: Sequence[str],
        labels: Labels,
        judged: Sequence[Seen],
        teaching: Sequence[Seen],
    ) -> None:
        self.names, self.labels, self.judged = names, labels, judged
        self.candidates: dict[int, list[tuple[int, Tensor]]] = {}
        nothing = Taught(torch.zeros(0, teaching[0].embeddings.shape[1]), torch.zeros(0, dtype=torch.int64))
        for image, seen in enumerate(teaching):
            for row, number in pointed_at(seen):
                self.candidates.setdefault(number, []).append((image, seen.embeddings[row]))
        (self.by_words,) = judge(judged, labels, nothing, [ExampleOptions(rule=NONE)])

    def row_of(self, number: int) -> int:
        """The text of a class."""
        return int(np.flatnonzero(self.labels.class_of_text == number)[0])

    def taught(self, number: int, embeddings: Tensor) -> Taught:
        return Taught(embeddings, torch.full((len(embeddings),), self.row_of(number)))

    def one_at_a_time(self, count: int, draws: int, ways: Sequence[ExampleOptions]) -> list[Row]:
        """Each class in view taught alone, by each way."""
        rows = [Row() for _ in ways]
        present = self.by_words.present()
        for number, index in itertools.product(sorted(self.candidates), range(draws)):
            embeddings = draw(self.candidates[number], count, np.random.default_rng([number, index]))
            if embeddings is None or not present[number]:
                continue
            found = judge(self.judged, self.labels, self.taught(number, embeddings), ways)
            for row, counts in zip(rows, found, strict=True):
                row.add(self.by_words, counts, number)
        return rows

    def all_at_once(self, count: int, draws: int, ways: Sequence[ExampleOptions]) -> list[list[float]]:
        """Every class taught that has so many examples: the mIoU by each way, one for each draw."""
        figures: list[list[float]] = [[] for _ in ways]
        for index in range(draws):
            parts = [
                self.taught(number, embeddings)
                for number in sorted(self.candidates)
                if (embeddings := draw(self.candidates[number], count, np.random.default_rng([number, index])))
                is not None
            ]
            if not parts:
                continue
            taught = Taught(
                torch.cat([part.embeddings for part in parts]), torch.cat([part.text_rows for part in parts])
            )
            for figure, counts in zip(figures, judge(self.judged, self.labels, taught, ways), strict=True):
                figure.append(counts.summary()["miou"])
        return figures


def prepare(pipeline: Pipeline, teach: Sequence[PhotoFolder], folder: PhotoFolder) -> Study:
    """Find and embed the segments of all images."""
    backend = pipeline.state.backend
    if not isinstance(backend, OvsrBackend):
        raise ConfigError(f"backend: expected ovsr, got {pipeline.options.backend}")
    dataset = open_dataset("folder", folder.path)
    class_of: dict[str, int] = {}
    sample = dataset.load(0)
    for word, number in sorted(zip(sample.words, sample.word_classes, strict=True), key=lambda pair: pair[1]):
        class_of.update((key, number) for key in keys_of(word) if number >= 0)
    judged = [seen for _, seen in see_folder(pipeline, folder, class_of)]
    teaching = [seen for each in teach for _, seen in see_folder(pipeline, each, class_of)]
    if not judged or not teaching:
        raise ConfigError("expected images to teach by and images to judge, got none of one of them")
    classifier = PipelinePredictor(pipeline).state_for(sample.words).classifier
    none = len(dataset.classes)
    class_of_text = np.array([class_of.get(name_key(name), none) for name in classifier.names])
    class_of_text[classifier.class_ids.numpy() == UNLABELED_ID] = none
    options = backend.options
    labels = Labels(
        classifier, class_of_text, none, options.alignment, backend.clip.logit_scale, pipeline.options.score_threshold
    )
    # Without the joint SVD of an image's segments, each is called by itself: all images together are faster.
    together = [stack(judged)] if options.alignment.method == "none" else judged
    return Study(dataset.classes, labels, together, teaching)


def report(study: Study, arguments: argparse.Namespace) -> Iterator[str]:
    """The tables' lines."""
    ways = [
        ExampleOptions(rule=rule, margin=margin, reach=reach)
        for rule, margin, reach in itertools.product(arguments.rules, arguments.margins, arguments.reaches)
    ]
    summary = study.by_words.summary()
    yield f"By words alone: mIoU {summary['miou']:.3f}, {study.by_words.present().sum()} classes in view."
    yield "\nOne class taught at a time:\n"
    yield "| k | rule | margin | reach | IoU by words | with examples | others, mean | others, worst | taught |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for count in arguments.shots:
        rows = study.one_at_a_time(count, arguments.draws, ways)
        for way, row in zip(ways, rows, strict=True):
            if row.before:
                yield f"| {count} | {way.rule} | {way.margin:g} | {way.reach:g} | {row.cells()} |"
    yield "\nAll classes taught at once:\n"
    yield "| k | rule | margin | reach | mIoU by words | with examples |"
    yield "|---|---|---|---|---|---|"
    for count in arguments.shots:
        for way, figures in zip(ways, study.all_at_once(count, arguments.draws, ways), strict=True):
            if figures:
                figure = f"{summary['miou']:.3f} | {np.mean(figures):.3f}"
                yield f"| {count} | {way.rule} | {way.margin:g} | {way.reach:g} | {figure} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = "FOLDER, or FOLDER[START:STOP:STEP]"
    parser.add_argument("--teach", nargs="+", default=[str(PHOTOS / "nyuv2-train")], metavar="FOLDER", help=folder)
    parser.add_argument("--judge", default=str(PHOTOS / "nyuv2-val"), metavar="FOLDER", help=folder)
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 3, 5], metavar="K", help="examples of a class")
    parser.add_argument("--rules", nargs="+", default=list(RULES), choices=RULES)
    parser.add_argument("--margins", nargs="+", type=float, default=[0.03, 0.06, 0.1])
    parser.add_argument("--reaches", nargs="+", type=float, default=[0.06, 0.12, 0.2])
    parser.add_argument("--draws", type=int, default=3, help="choices of the examples of each class")
    parser.add_argument("--device", default="cpu")
    add_config_arguments(parser, "ovsr")
    arguments = parser.parse_args()
    settings = load_chosen_settings(arguments, device=arguments.device)
    with torch.inference_mode():
        study = prepare(
            Pipeline(settings.pipeline),
            list(map(PhotoFolder.parse, arguments.teach)),
            PhotoFolder.parse(arguments.judge),
        )
        for line in report(study, arguments):
            print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
