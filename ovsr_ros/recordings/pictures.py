"""Pictures of a labelled recording: the folder that `ovsr evaluate --dataset folder` reads, and a sheet for people."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.drawing import draw_text
from ovsr_ros.drawing import overlay as draw_overlay
from ovsr_ros.errors import ImageError
from ovsr_ros.image_files import encode_jpeg
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.frames import decode
from ovsr_ros.recordings.table import FrameRow
from ovsr_ros.results import UNLABELED_ID, Segmentation
from ovsr_ros.vocabulary.category import Vocabulary

SHEET_FRAMES = 12
_TILE_WIDTH, _CAPTION_PX = 320, 20
_JPEG_QUALITY = 92


def stem_of(index: int) -> str:
    """What the files of a frame are called, by its place in the table, from 0."""
    return f"{index:06d}"


def write_classes(path: Path, vocabulary: Vocabulary) -> None:
    """The class file of the masks: value, name, synonyms. Raises OSError."""
    lines = [f"ignored: {UNLABELED_ID}"]
    for category in vocabulary.categories:
        lines.append(f"{category.id}: {'; '.join((category.name, *category.synonyms))}")
    with write_atomically(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def write_png(path: Path, values: NDArray[np.uint8]) -> None:
    """A map (H, W) uint8. Raises OSError."""
    with write_atomically(path) as file:
        file.write(cv2.imencode(".png", values)[1].tobytes())


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    """An image (H, W, 3) uint8 RGB. Raises OSError."""
    encoded = encode_jpeg(image, _JPEG_QUALITY)
    with write_atomically(path) as file:
        file.write(encoded)


def spread(count: int, most: int = SHEET_FRAMES) -> list[int]:
    """Frames of a sheet: at most so many of `count`, evenly."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(most, count)).tolist()}) if count else []


def read_images(bag: Bag, topic: str, places: Sequence[tuple[int, int]]) -> Iterator[NDArray[np.uint8] | None]:
    """The images, (H, W, 3) uint8 RGB, with these stamps, recorded then: (stamp_ns, log_ns) each, in this order.

    None for one that is not there any more, or cannot be read.
    """
    for stamp_ns, log_ns in places:
        yield next(_images_at(bag, topic, stamp_ns, log_ns), None)


def all_images(
    bag: Bag, topic: str, wanted: Collection[tuple[int, int]]
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Of a whole bag, one after the other, those with these stamps and times: stamp_ns, log_ns, image."""
    for record in bag.messages({topic}):
        key = (bag.stamp_ns(record), record.log_ns)
        if key in wanted:
            try:
                yield (*key, decode(bag, record)[0])
            except ImageError:
                continue


def _images_at(bag: Bag, topic: str, stamp_ns: int, log_ns: int) -> Iterator[NDArray[np.uint8]]:
    for record in bag.messages({topic}, log_ns, log_ns + 1):
        if bag.stamp_ns(record) == stamp_ns:
            try:
                yield decode(bag, record)[0]
            except ImageError:
                continue


def draw_frame(image: NDArray[np.uint8], segmentation: Segmentation, vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 RGB with its labels."""
    return draw_overlay(image, segmentation, vocabulary)


def draw_sheet(tiles: Sequence[tuple[NDArray[np.uint8], str]]) -> NDArray[np.uint8]:
    """Images (H, W, 3) uint8 RGB, each with a line under it, side by side: (H', W', 3) uint8 RGB."""
    columns = min(4, max(1, len(tiles)))
    shrunk = [(_fit(image), text) for image, text in tiles]
    height = max((image.shape[0] for image, _ in shrunk), default=1) + _CAPTION_PX
    sheet = np.full((height * math.ceil(max(1, len(tiles)) / columns), columns * _TILE_WIDTH, 3), 24, np.uint8)
    for number, (image, text) in enumerate(shrunk):
        top, left = number // columns * height, number % columns * _TILE_WIDTH
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
        draw_text(sheet, text, left + 4, top + height - _CAPTION_PX + 2, 8)
    return sheet


def _fit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(_TILE_WIDTH / image.shape[1], _TILE_WIDTH / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def row_key(row: FrameRow) -> tuple[int, int]:
    """What tells a frame's image from the others of its bag."""
    return (row.stamp_ns, row.log_ns)
