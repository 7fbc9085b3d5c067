"""Everything that words make of a bag's kept frames: the labels' bag, and on request masks, COCO JSON and a sheet."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.errors import RecordingError
from ovsr_ros.recordings import pictures
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.coco import CocoWriter
from ovsr_ros.recordings.messages import LabelWriter
from ovsr_ros.recordings.table import FrameRow, FrameTable
from ovsr_ros.recordings.words import Wording
from ovsr_ros.results import UNLABELED_ID, Segmentation
from ovsr_ros.vocabulary.category import Vocabulary

LABELS, FRAMES, MASKS, COCO, SHEET = "labels", "frames.parquet", "masks", "coco.json", "sheet.jpg"
OUTPUTS = (LABELS, MASKS, COCO, SHEET)
WANTED = ("masks", "coco", "sheet")
"""What is written on request beside the labels' bag."""


@dataclass(frozen=True)
class Shares:
    """What of all pixels is what. by_name: share of 1 by category, the largest first. unlabeled: of the rest."""

    by_name: dict[str, float] = field(default_factory=dict)
    unlabeled: float = 0.0


def write_labels(
    folder: Path,
    table: FrameTable,
    wording: Wording,
    recording: tuple[Path, str],
    wanted: Sequence[str] = (),
    tell: Callable[[], object] = lambda: None,
) -> tuple[Shares, list[str]]:
    """Label every kept frame, and write it all; what was there is replaced. tell: called after each frame.

    folder: of the bag's files. recording: the bag, and the topic of its images: pictures are made of it. wanted: of
        WANTED; what is not wanted and was there by other words is taken away.

    Returns the shares, and what could not be made. Raises OSError and RecordingError.
    """
    vocabulary = wording.vocabulary
    names = {category.id: category.name for category in vocabulary.categories}
    chosen = set(pictures.spread(len(table)))
    counts = np.zeros(256, np.int64)
    tiles: list[tuple[FrameRow, Segmentation]] = []
    for name in WANTED:
        _remove(folder, name)
    with contextlib.ExitStack() as stack:
        labels = stack.enter_context(LabelWriter(folder / LABELS))
        coco: CocoWriter | None = None
        if "coco" in wanted:
            coco = CocoWriter(stack.enter_context(write_atomically(folder / COCO)))
        for index, row in enumerate(table.rows()):
            segmentation = wording.label(row)
            if not index:
                threshold = wording.options.score_threshold
                labels.write_vocabulary(vocabulary, threshold, row.stamp_ns, row.log_ns, wording.clip.model_id)
            labels.write_frame(row, segmentation, names)
            counts += _count_pixels(row, segmentation)
            if coco is not None:
                coco.add(f"{pictures.stem_of(index)}.jpg", row, segmentation)
            if "masks" in wanted:
                pictures.write_png(folder / MASKS / "masks" / f"{pictures.stem_of(index)}.png", segmentation.label_map)
            if "sheet" in wanted and index in chosen:
                tiles.append((row, segmentation))
            tell()
        if coco is not None:
            coco.finish(vocabulary)
    problems = []
    if "masks" in wanted or "sheet" in wanted:
        try:
            with Bag(recording[0]) as bag:
                _write_pictures(folder, table, bag, recording[1], wanted, tiles, vocabulary)
        except RecordingError as error:
            problems.append(f"no images beside the masks, and no sheet: {error}")
    if "masks" in wanted:
        pictures.write_classes(folder / MASKS / "classes.txt", vocabulary)
    return _to_shares(counts, vocabulary), problems


def _write_pictures(
    folder: Path,
    table: FrameTable,
    bag: Bag,
    topic: str,
    wanted: Sequence[str],
    tiles: Sequence[tuple[FrameRow, Segmentation]],
    vocabulary: Vocabulary,
) -> None:
    if "masks" in wanted:
        stems = {pictures.row_key(row): pictures.stem_of(index) for index, row in enumerate(table.rows())}
        for stamp_ns, log_ns, image in pictures.all_images(bag, topic, stems):
            pictures.write_jpeg(folder / MASKS / "images" / f"{stems[stamp_ns, log_ns]}.jpg", image)
    if "sheet" in wanted:
        drawn: list[tuple[NDArray[np.uint8], str]] = []
        images = pictures.read_images(bag, topic, [pictures.row_key(row) for row, _ in tiles])
        for (row, segmentation), found in zip(tiles, images, strict=True):
            if found is not None:
                drawn.append((pictures.draw_frame(found, segmentation, vocabulary), f"{row.stamp_ns / 1e9:.2f} s"))
        pictures.write_jpeg(folder / SHEET, pictures.draw_sheet(drawn))


def _count_pixels(row: FrameRow, segmentation: Segmentation) -> NDArray[np.int64]:
    """How many pixels have each class, (256,): by the runs, which are far fewer than pixels."""
    class_of_segment = np.concatenate(([UNLABELED_ID], segmentation.segments.class_ids))
    counts = np.bincount(class_of_segment[row.run_values], row.run_lengths, minlength=256)
    return counts.astype(np.int64)


def _to_shares(counts: NDArray[np.int64], vocabulary: Vocabulary) -> Shares:
    total = max(1, int(counts.sum()))
    categories = sorted(vocabulary.categories, key=lambda category: -counts[category.id])
    by_name = {category.name: round(int(counts[category.id]) / total, 4) for category in categories}
    return Shares(by_name, round(int(counts[UNLABELED_ID]) / total, 4))


def _remove(folder: Path, name: str) -> None:
    path = folder / {"masks": MASKS, "coco": COCO, "sheet": SHEET}[name]
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Raises OSError."""
    with write_atomically(path) as file:
        file.write((json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
