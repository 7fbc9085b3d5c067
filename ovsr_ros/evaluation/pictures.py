"""The worst images as pictures: input, ground truth, segments and labels side by side, with a legend.

Of what has no labels, the clusters with the classes that they are matched to stand in their place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.drawing import Image, draw_text, measure_text, overlay
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.assignment import match_clusters
from ovsr_ros.evaluation.figures import Figures, image_miou
from ovsr_ros.evaluation.metrics import count_labels, resize_nearest
from ovsr_ros.evaluation.predictor import UNLABELED, Prediction, Predictor
from ovsr_ros.evaluation.sample import IGNORED, NO_CLASS, Dataset, Sample
from ovsr_ros.results import Segmentation, Segments
from ovsr_ros.vocabulary.category import MAX_CATEGORIES, Category, Vocabulary, parse_category
from ovsr_ros.vocabulary.palette import Rgb, default_color

PANEL_HEIGHT_PX = 360
_GAP_PX, _TEXT_PX, _SWATCH_PX = 12, 10, 14
_LINE_PX = 24
_PAPER: Rgb = (24, 24, 26)
_UNLABELED_RGB: Rgb = (90, 90, 90)


def write_pictures(
    folder: Path, figures: Figures, dataset: Dataset, predictor: Predictor, count: int
) -> list[tuple[str, float]]:
    """Draw the `count` images of the lowest mIoU, the worst first: FOLDER/001_NAME_miou_0.123.png and so on.

    predictor: the one that was judged; it answers for these images again. Pictures of earlier runs in the folder go.
    Returns name and mIoU of each image drawn. Raises ConfigError when the folder cannot be written.
    """
    num_classes = len(dataset.classes)
    scored = [(image_miou(row, num_classes), row.index) for row in figures.per_image]
    worst = sorted((miou, index) for miou, index in scored if not np.isnan(miou))[:count]
    drawn = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("[0-9][0-9][0-9]_*_miou_*.png"):
            path.unlink()
        for rank, (miou, index) in enumerate(worst, start=1):
            sample = dataset.load(index)
            picture = draw_sample(sample, predictor.predict(sample), dataset, f"{rank}. {sample.name}, mIoU {miou:.3f}")
            name = re.sub(r"[^\w.-]+", "_", sample.name)
            encoded = cv2.imencode(".png", picture[..., ::-1])[1]
            (folder / f"{rank:03d}_{name}_miou_{miou:.3f}.png").write_bytes(encoded.tobytes())
            drawn.append((sample.name, miou))
    except OSError as error:
        raise ConfigError(f"--pictures: {folder}: cannot be written: {error.strerror or error}") from error
    return drawn


def draw_sample(sample: Sample, prediction: Prediction, dataset: Dataset, title: str) -> Image:
    """One image's four panels under a title, with a legend of the classes in it and their IoU: (H, W, 3) uint8 RGB."""
    labels, entries = _labels(sample, prediction, dataset)
    height, width = sample.image.shape[:2]
    shape = (PANEL_HEIGHT_PX, max(1, round(width * PANEL_HEIGHT_PX / height)))
    method = cv2.INTER_AREA if height > PANEL_HEIGHT_PX else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(sample.image, (shape[1], shape[0]), interpolation=method), np.uint8)
    segments = prediction.clusters + 1 if prediction.segment_map is None else prediction.segment_map
    truth = resize_nearest(sample.truth, shape)
    last = "labels" if prediction.label_map is not None else "clusters as matched"
    panels = {
        "input": image,
        "ground truth": _tinted(image, truth, entries),
        f"{prediction.num_segments} segments": _tinted(image, *_numbered(resize_nearest(segments, shape))),
        last: _tinted(image, resize_nearest(labels, shape), entries),
    }
    rows = _legend_rows(entries, sample.truth, resize_nearest(labels, (sample.truth.shape[0], sample.truth.shape[1])))
    return _compose(panels, rows, title)


@dataclass(frozen=True)
class _Entry:
    """A value of the drawn maps: what it is called, and its colour."""

    name: str
    color: Rgb


def _labels(sample: Sample, prediction: Prediction, dataset: Dataset) -> tuple[NDArray[np.uint8], dict[int, _Entry]]:
    """The prediction as a map that can be drawn beside the truth, and what its values are called.

    Values are classes; words that are no class of the data set take free values above them.
    """
    num_classes = len(dataset.classes)
    entries = {i: _Entry(name, default_color(i)) for i, name in enumerate(dataset.classes)}
    if prediction.label_map is None:
        shape = (sample.truth.shape[0], sample.truth.shape[1])
        return match_clusters(resize_nearest(prediction.clusters, shape), sample.truth, num_classes), entries
    table = np.full(256, IGNORED, np.uint8)
    for word, label in enumerate(sample.word_classes):
        value = label if label != NO_CLASS else len(entries)
        if value < MAX_CATEGORIES:
            name = parse_category(sample.words[word]).name
            table[word] = value
            entries.setdefault(value, _Entry(f"{name} (no class of the data set)", default_color(value)))
    if dataset.background is not None:
        table[UNLABELED] = dataset.background
    return table[prediction.label_map], entries


def _numbered(segments: NDArray[Any]) -> tuple[NDArray[np.uint8], dict[int, _Entry]]:
    """Segments as values of the palette, used again where there are more; 0 is none."""
    values = np.where(segments == 0, UNLABELED, (segments - 1) % MAX_CATEGORIES).astype(np.uint8)
    return values, {i: _Entry(str(i), default_color(i)) for i in range(MAX_CATEGORIES)}


def _tinted(image: Image, labels: NDArray[np.uint8], entries: dict[int, _Entry]) -> Image:
    """Labels laid over the image and outlined, as the node draws them; without names."""
    categories = tuple(Category(i, entry.name, (), entry.color) for i, entry in entries.items() if i < MAX_CATEGORIES)
    segment_map = labels.astype(np.uint16)
    segmentation = Segmentation(labels, np.zeros_like(labels), segment_map, Segments.empty(), vocabulary_version=0)
    return overlay(image, segmentation, Vocabulary(0, categories), alpha=0.62, legend=False)


def _legend_rows(
    entries: dict[int, _Entry], truth: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> list[tuple[str, Rgb]]:
    """Text and colour of each value in truth or labels: those of the truth first, by area; with their IoU."""
    judged = truth != IGNORED
    counts = count_labels(labels, truth, len(entries))
    iou = counts.iou()
    areas = np.bincount(truth[judged], minlength=256)
    predicted = np.bincount(labels[judged], minlength=256)
    shown = sorted((i for i in entries if areas[i] or predicted[i]), key=lambda i: (-areas[i], -predicted[i]))
    rows = [
        (f"{entries[i].name}  IoU {iou[i]:.2f}" if areas[i] else f"{entries[i].name}  (not there)", entries[i].color)
        for i in shown
    ]
    if (labels[judged] == UNLABELED).any():
        rows.append(("unlabeled", _UNLABELED_RGB))
    if not judged.all():
        rows.append(("ignored, in the ground truth", _UNLABELED_RGB))
    return rows


def _compose(panels: dict[str, Image], legend: list[tuple[str, Rgb]], title: str) -> Image:
    panel_height, panel_width = next(iter(panels.values())).shape[:2]
    width = _GAP_PX + len(panels) * (panel_width + _GAP_PX)
    lines = _legend_lines(legend, width - 2 * _GAP_PX)
    top = _GAP_PX + _LINE_PX
    panel_top = top + _LINE_PX
    height = panel_top + panel_height + _GAP_PX + len(lines) * _LINE_PX + _GAP_PX // 2
    canvas = np.full((height, width, 3), _PAPER, np.uint8)
    draw_text(canvas, title, _GAP_PX, _GAP_PX, _TEXT_PX + 2, halo=False)
    for number, (name, panel) in enumerate(panels.items()):
        left = _GAP_PX + number * (panel_width + _GAP_PX)
        draw_text(canvas, name, left, top + 2, _TEXT_PX, halo=False)
        canvas[panel_top : panel_top + panel_height, left : left + panel_width] = panel
    for row, line in enumerate(lines):
        y = panel_top + panel_height + _GAP_PX + row * _LINE_PX
        for x, text, color in line:
            canvas[y : y + _SWATCH_PX, x : x + _SWATCH_PX] = color
            text_height = measure_text(text, _TEXT_PX)[1]
            draw_text(canvas, text, x + _SWATCH_PX + 4, y + (_SWATCH_PX - text_height) // 2 + 1, _TEXT_PX, halo=False)
    return canvas


def _legend_lines(legend: list[tuple[str, Rgb]], width: int) -> list[list[tuple[int, str, Rgb]]]:
    """Entries from left to right with their x, in as many lines as they need."""
    lines: list[list[tuple[int, str, Rgb]]] = [[]]
    x = _GAP_PX
    for text, color in legend:
        needed = _SWATCH_PX + 4 + measure_text(text, _TEXT_PX)[0] + 2 * _GAP_PX
        if lines[-1] and x + needed > width:
            lines.append([])
            x = _GAP_PX
        lines[-1].append((x, text, color))
        x += needed
    return lines
