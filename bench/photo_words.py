"""What a pair of towers knows of photographs by their words: place by place, and what the pipeline makes of it.

    PYTHONPATH=. python bench/photo_words.py pocket ../shared/photos/nyuv2-val --config pocket

For each folder and each way to call its classes (its own names; words that training never saw, `NEVER_SEEN`), prints:
pixels right and mean IoU where each pixel takes the word of its cell, and the F1 of the borders between words; pixels
and mean IoU where each connected piece of a class in the truth takes the word of its mean, so that no border is lost;
how often the class that has most of an image is first among all words. `--left-out CLASS...` adds how often pieces of
these classes are named right. Beside the pair, each by itself:

--config: the pipeline of a configuration, the pair in it. A piece has the word that most of its pixels have; and once
    more with the true class of most of a segment's pixels for its word, so that only the segments' borders are judged.
--conse: EfficientNet-Lite0's own classes alone, by the sentence embeddings of what it takes a place for (arXiv
    1312.5650).
--linear FOLDER...: a linear classifier of that network's frozen features, trained on a folder with the same classes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from linear_head import FrozenMaps, train_head
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.cli.config_arguments import add_config_arguments, load_chosen_settings
from ovsr_ros.evaluation.boundaries import boundary_score
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.metrics import ClassCounts, count_labels, overlap
from ovsr_ros.evaluation.pipeline_predictor import word_of_id
from ovsr_ros.evaluation.sample import IGNORED, Sample
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.weight_packages import packaged_network, weight_package
from ovsr_ros.ops.image import normalize, resize, to_tensor
from ovsr_ros.ops.masks import connected_components
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.pocket.class_words import NEVER_SEEN
from ovsr_ros.pocket.image_run import TRUNK_PACKAGE, anchor_embeddings
from ovsr_ros.pocket.naming import WordBook
from ovsr_ros.pocket.photos import PhotoFolder, class_words
from ovsr_ros.pocket.train_image import new_network
from ovsr_ros.vocabulary.category import parse_category

NAMES, UNSEEN = "names", "never seen"
"""Kinds of words: the classes' own, and those of NEVER_SEEN where there are."""
MIN_PIECE = 0.001
"""Of an image's pixels: smaller pieces are not judged as pieces."""

Piece = tuple[int, NDArray[np.bool_]]
"""A connected piece of a class: its number, (H, W)."""

Embed = Callable[[Tensor], Tensor]
"""An image (1, 3, H, W), normalised -> cells (D, h, w), L2-normalised."""


@dataclass(frozen=True)
class Answer:
    """What was said of one image. labels: (H, W) uint8, IGNORED or a class. name: the class of a place (H, W)."""

    labels: NDArray[np.uint8]
    name: Callable[[NDArray[np.bool_]], int]


Way = Callable[[Sample], Mapping[str, Answer]]
"""An image's answers, by the kind of words."""


@dataclass
class Tally:
    """What is counted of one folder's images, by one set of words for its C classes."""

    num_classes: int
    by_pixel: ClassCounts = field(init=False)
    by_piece: ClassCounts = field(init=False)
    borders: list[float] = field(default_factory=list)
    largest: list[bool] = field(default_factory=list)
    pieces: dict[int, list[bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_pixel = self.by_piece = ClassCounts.zeros(self.num_classes)

    def add(self, answer: Answer, truth: NDArray[np.uint8], pieces: Sequence[Piece]) -> None:
        """truth: (H, W), IGNORED or a class, and its pieces."""
        self.by_pixel += count_labels(answer.labels, truth, self.num_classes)
        self.borders.append(boundary_score(answer.labels, truth).f1)
        pieced = np.full_like(truth, IGNORED)
        for number, piece in pieces:
            pieced[piece] = found = answer.name(piece)
            if piece.sum() >= MIN_PIECE * truth.size:
                self.pieces.setdefault(number, []).append(found == number)
        self.by_piece += count_labels(pieced, truth, self.num_classes)
        sizes = np.bincount(truth[truth != IGNORED], minlength=self.num_classes)
        if sizes.any():
            most = int(sizes.argmax())
            self.largest.append(answer.name(truth == most) == most)

    def row(self, left_out: Sequence[int]) -> str:
        """The figures, as a table has them; right and judged pieces of the classes left out."""
        pixel, piece = self.by_pixel.summary(), self.by_piece.summary()
        judged = [right for number in left_out for right in self.pieces.get(number, [])]
        unknown = f"{np.mean(judged):.3f} of {len(judged)}" if judged else "-"
        figures = [pixel["pixel_accuracy"], pixel["miou"], float(np.mean(self.borders))]
        figures += [piece["pixel_accuracy"], piece["miou"]]
        return " | ".join([*(f"{figure:.3f}" for figure in figures), f"{np.mean(self.largest):.3f}", unknown])


def by_cells(scores: Tensor, shape: tuple[int, int]) -> Answer:
    """Each pixel of an image (H, W) has the best word of its cell: scores (T, h, w), linear in the cells."""
    enlarged = functional.interpolate(scores[None], shape, mode="bilinear", align_corners=False)[0]
    return Answer(enlarged.argmax(0).numpy().astype(np.uint8), lambda place: name_of(place, scores))


def by_labels(labels: NDArray[np.uint8]) -> Answer:
    """A place has the label (H, W) that most of its pixels have."""
    return Answer(labels, lambda place: int(np.bincount(labels[place], minlength=256).argmax()))


def name_of(place: NDArray[np.bool_], scores: Tensor) -> int:
    """The best word for the mean of the cells of a place (H, W), by scores (T, h, w): the cosine is linear in them."""
    mask = torch.from_numpy(place).float()[None, None]
    weights = functional.interpolate(mask, scores.shape[1:], mode="area")[0, 0]
    return int((scores * weights).sum((1, 2)).argmax())


def pieces_of(truth: NDArray[np.uint8]) -> list[Piece]:
    """The connected pieces of each class, in the classes' order."""
    components = connected_components(truth.astype(np.int64))
    _, first = np.unique(components, return_index=True)  # a pixel of each
    numbers = truth.ravel()[first]
    order = np.argsort(numbers, kind="stable")
    return [(int(numbers[piece]), components == piece) for piece in order if numbers[piece] != IGNORED]


def class_names(sample: Sample, unseen: bool) -> list[str]:
    """Each class's first name, or the word that no training saw where there is one, in the classes' order."""
    spelled = sorted(zip(sample.word_classes, sample.words, strict=True))
    assert [number for number, _ in spelled] == list(range(len(spelled))), "a word for each class"
    names = [word.split(";")[0].strip() for _, word in spelled]
    return [NEVER_SEEN.get(name, name) for name in names] if unseen else names


def prepare(image: NDArray[np.uint8], short_side: int, model: ClipModel) -> Tensor:
    """(1, 3, h, w) as the network takes it, sides in whole steps of 32."""
    scale = short_side / min(image.shape[:2])
    height, width = (max(round(side * scale / 32), 1) * 32 for side in image.shape[:2])
    return normalize(resize(to_tensor(image, torch.device("cpu")), (height, width)), model.mean, model.std)


def conse(model: ClipModel) -> Embed:
    """What EfficientNet-Lite0 as it came says of each place, in the space of the pair's texts."""
    book = WordBook(lambda words: model.encode_texts(list(words)))
    network = new_network(packaged_network(weight_package(TRUNK_PACKAGE))[0].state_dict(), anchor_embeddings(book))
    network.eval()

    @torch.inference_mode()
    def embed(images: Tensor) -> Tensor:
        chances = network.say(images)[0].softmax(0)
        return functional.normalize(torch.einsum("khw,kd->dhw", chances, network.anchors), dim=0)

    return embed


def of_cells(embed: Embed, texts: Mapping[str, Tensor], short_side: int, model: ClipModel) -> Way:
    """By the cosines of an image's cells to texts (T, D), of each kind of words."""

    def answer(sample: Sample) -> dict[str, Answer]:
        cells = embed(prepare(sample.image, short_side, model))
        scores = {kind: torch.einsum("dhw,td->thw", cells, some) for kind, some in texts.items()}
        return {kind: by_cells(some, sample.truth.shape) for kind, some in scores.items()}

    return answer


def of_linear_head(folder: PhotoFolder, short_side: int, model: ClipModel) -> Way:
    """By a linear classifier of frozen features, which has no words."""
    maps = FrozenMaps()
    head = train_head(folder, short_side, maps)

    def answer(sample: Sample) -> dict[str, Answer]:
        found = maps(prepare(sample.image, short_side, model))
        return {NAMES: by_cells(torch.einsum("chw,kc->khw", found, head.weight), sample.truth.shape)}

    return answer


def of_pipeline(pipeline: Pipeline, words: Mapping[str, Sequence[str]]) -> Way:
    """By a pipeline, an image embedded once. words: of each kind, in the classes' order."""
    states = {kind: pipeline.state_for([parse_category(word) for word in some]) for kind, some in words.items()}
    numbers = {kind: word_of_id(state, words[kind]) for kind, state in states.items()}

    def answer(sample: Sample) -> dict[str, Answer]:
        frame = pipeline.embed(sample.image)
        maps = {kind: pipeline.label(frame, state).label_map for kind, state in states.items()}
        return {kind: by_labels(numbers[kind][labels]) for kind, labels in maps.items()}

    return answer


def of_segments(pipeline: Pipeline, words: Sequence[str]) -> Way:
    """By a pipeline's segments, each with the class that most of its pixels have in the truth."""
    state = pipeline.state_for([parse_category(word) for word in words])

    def answer(sample: Sample) -> dict[str, Answer]:
        segments = pipeline.label(pipeline.embed(sample.image), state).segment_map
        table = overlap(segments, sample.truth, (int(segments.max()) + 1, 256))[:, :IGNORED]
        return {NAMES: by_labels(table.argmax(1).astype(np.uint8)[segments])}

    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pair", help="as for clip.model")
    parser.add_argument("data", nargs="+", metavar="FOLDER", help="FOLDER, or FOLDER[START:STOP:STEP]")
    parser.add_argument("--short-side", type=int, default=384, help="of the network's input, in pixels")
    parser.add_argument("--left-out", nargs="+", default=[], metavar="CLASS", help="that the pair never saw")
    parser.add_argument("--conse", action="store_true")
    parser.add_argument("--linear", nargs="+", default=[], metavar="FOLDER", help="to train a linear classifier on")
    add_config_arguments(parser, None)
    arguments = parser.parse_args()
    model = ClipModel(arguments.pair, precision="fp32")
    pipeline = None
    if arguments.config:
        overrides = {"clip.model": arguments.pair, "text.cache_directory": "none"}
        pipeline = Pipeline(load_chosen_settings(arguments, **overrides).pipeline)
    print("| set | by | words | pixels | mIoU | borders F1 | true pieces: pixels | mIoU | largest first | left out |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    heads = [PhotoFolder.parse(text) for text in arguments.linear]
    for text in arguments.data:
        photos = Photos.load(PhotoFolder.parse(text))
        ways = find_ways(photos, model, pipeline, heads, arguments.short_side, arguments.conse)
        for line in measure(photos, ways, arguments.left_out):
            print(line, flush=True)


@dataclass(frozen=True)
class Photos:
    """A folder's photographs, and what its classes are called by each kind of words, in the classes' order."""

    name: str
    samples: Sequence[Sample]
    words: Mapping[str, Sequence[str]]

    @classmethod
    def load(cls, folder: PhotoFolder) -> Photos:
        """Those that the folder's brackets choose."""
        dataset = open_dataset("folder", folder.path)
        samples = [dataset.load(index) for index in range(len(dataset))[folder.start : folder.stop : folder.step]]
        words = {NAMES: class_names(samples[0], unseen=False), UNSEEN: class_names(samples[0], unseen=True)}
        return cls(folder.path.name, samples, words)


def find_ways(
    photos: Photos,
    model: ClipModel,
    pipeline: Pipeline | None = None,
    heads: Sequence[PhotoFolder] = (),
    short_side: int = 384,
    with_conse: bool = False,
) -> dict[str, Way]:
    """The ways that the arguments choose, for one folder's classes. heads: of these, that with the same classes."""
    texts = {kind: model.encode_texts(list(some)) for kind, some in photos.words.items()}
    ways = {"pair": of_cells(lambda images: model.look(images, (1,)).last[0].float(), texts, short_side, model)}
    if pipeline is not None:
        ways["pipeline"] = of_pipeline(pipeline, photos.words)
        ways["its segments, true labels"] = of_segments(pipeline, photos.words[NAMES])
    if with_conse:
        ways["ConSE"] = of_cells(conse(model), texts, short_side, model)
    for folder in heads:
        classes = [words[0] for _, words in sorted(class_words(folder).items())]
        if classes == list(photos.words[NAMES]):
            ways["linear head"] = of_linear_head(folder, short_side, model)
    return ways


def count(photos: Photos, ways: Mapping[str, Way]) -> dict[tuple[str, str], Tally]:
    """By way and kind of words, what is counted of all images."""
    tallies: dict[tuple[str, str], Tally] = {}
    for sample in photos.samples:
        pieces = pieces_of(sample.truth)
        for way, answer in ways.items():
            for kind, said in answer(sample).items():
                tallies.setdefault((way, kind), Tally(len(photos.words[NAMES]))).add(said, sample.truth, pieces)
    return tallies


def measure(photos: Photos, ways: Mapping[str, Way], left_out: Sequence[str]) -> Iterator[str]:
    """A table's rows of one folder."""
    names = list(photos.words[NAMES])
    numbers = [names.index(name) for name in left_out if name in names]
    for (way, kind), tally in count(photos, ways).items():
        yield f"| {photos.name} | {way} | {kind} | {tally.row(numbers)} |"


if __name__ == "__main__":
    sys.exit(main())
