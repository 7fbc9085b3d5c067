"""Photographs with a class for each pixel, in memory, as training draws them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.sample import IGNORED, Sample
from ovsr_ros.pocket.class_words import training_words

_RARITY = -0.4
_SLICE = re.compile(r"^(?P<path>.*)\[(?P<start>\d*):(?P<stop>\d*)(?::(?P<step>\d*))?\]$")


@dataclass(frozen=True)
class PhotoFolder:
    """Which images of which folder: FOLDER, or FOLDER[START:STOP:STEP], as Python slices."""

    path: Path
    start: int | None = None
    stop: int | None = None
    step: int | None = None

    @staticmethod
    def parse(text: str) -> PhotoFolder:
        """From the command line. Raises ConfigError for a step of 0."""
        match = _SLICE.match(text)
        if match is None:
            return PhotoFolder(Path(text))
        start, stop, step = (int(match[name]) if match[name] else None for name in ("start", "stop", "step"))
        if step == 0:
            raise ConfigError(f"{text}: expected a step of 1 or more, got 0; [::2] takes every second image")
        return PhotoFolder(Path(match["path"]), start, stop, step)


@dataclass(frozen=True)
class PhotoSet:
    """The photographs of one folder.

    images: (H, W, 3) uint8 RGB each. masks: (H, W) uint8, index into words, IGNORED elsewhere. words: what each class
    may be called, the first is its name. weights: (C,) float32, a class's pixels count the more the rarer they are; 0
    for a class that no pixel shows.
    """

    name: str
    images: list[NDArray[np.uint8]]
    masks: list[NDArray[np.uint8]]
    words: tuple[tuple[str, ...], ...]
    weights: NDArray[np.float32]


def load_photos(folder: PhotoFolder, short_side: int, left_out: Collection[str] = ()) -> PhotoSet:
    """Read a folder in the layout of `ovsr evaluate --dataset folder`.

    short_side: larger images are made that small. left_out: classes by their first names, whose pixels are ignored and
    whose names are no word.

    Raises DatasetError and SampleError as `open_folder`, ConfigError where no image is chosen.
    """
    dataset = open_dataset("folder", folder.path)
    indices = range(len(dataset))[folder.start : folder.stop : folder.step]
    if not indices:
        raise ConfigError(
            f"{folder.path}: expected images to train on, got none of its {len(dataset)} between the brackets"
        )
    samples = [dataset.load(index) for index in indices]
    called = _words_of(samples[0])
    kept = [number for number, words in called.items() if words[0] not in left_out]
    new_numbers = np.full(256, IGNORED, np.uint8)
    new_numbers[kept] = np.arange(len(kept))
    images, masks = [], []
    for sample in samples:
        image, mask = _shrink(sample.image, new_numbers[sample.truth], short_side)
        images.append(image)
        masks.append(mask)
    words = tuple(called[number] for number in kept)
    return PhotoSet(folder.path.name, images, masks, words, class_weights(masks, len(kept)))


def class_words(folder: PhotoFolder) -> dict[int, tuple[str, ...]]:
    """What each class of a folder may be called, by its number; one image is read. Raises as `load_photos`."""
    return _words_of(open_dataset("folder", folder.path).load(0))


def _words_of(sample: Sample) -> dict[int, tuple[str, ...]]:
    spelled = sorted(zip(sample.word_classes, sample.words, strict=True))
    return {number: training_words(word) for number, word in spelled}


def class_weights(masks: list[NDArray[np.uint8]], num_classes: int) -> NDArray[np.float32]:
    """(C,): a class's share of the pixels to the power of -.4, their mean over pixels 1, at most 8; 0 without any."""
    counts = np.zeros(num_classes)
    for mask in masks:
        counts += np.bincount(mask[mask != IGNORED], minlength=num_classes)
    shares = counts / max(counts.sum(), 1)
    weights = np.where(counts > 0, np.maximum(shares, 1e-4) ** _RARITY, 0)
    return np.asarray(np.minimum(weights / max((weights * shares).sum(), 1e-9), 8), np.float32)


def _shrink(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], short_side: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    scale = min(short_side / min(image.shape[:2]), 1.0)
    size_wh = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    smaller = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8), np.asarray(cv2.resize(mask, size_wh, interpolation=cv2.INTER_NEAREST))
