"""The release of NYU Depth v2 as it is downloaded: nyu_depth_v2_labeled.mat, 1,449 images in one HDF5 file.

Of it, as h5py shows MATLAB's arrays: `images` (N, 3, W, H) uint8 RGB and `labels` (N, W, H) uint16, 0 for no label, 1
to 894 for the names. Beside it: `splits.mat` with the numbers of the images, from 1, of the official training and test
split, and `classMapping40.mat`, whose mapClass says which of Gupta et al.'s 40 classes, from 1, each of the 894 is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets.files import ClassNames, Labels, each_once
from ovsr_ros.evaluation.extras import import_extra
from ovsr_ros.evaluation.sample import IGNORED, Sample

LABELED, SPLITS, MAPPING = "nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"
RELEASE = f"{LABELED} is at https://cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html"
META_DATA = f"{SPLITS} and {MAPPING} are in https://github.com/ankurhanda/nyuv2-meta-data; they lie beside {LABELED}"
NUM_IDS = 40

# What h5py raises on a file that is cut short or damaged.
_BROKEN = (OSError, KeyError, RuntimeError, ValueError, TypeError)


@dataclass(frozen=True)
class LabeledFile:
    """Images of nyu_depth_v2_labeled.mat; see `sample.Dataset`.

    numbers: those of the split, from 1. labels: what the 894 names' numbers stand for.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    names_used: str
    words: tuple[str, ...]
    path: Path
    numbers: tuple[int, ...]
    labels: Labels

    background: ClassVar[int | None] = None
    background_names: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def name_of(self, index: int) -> str:
        """The image's number in the file, from 1, such as "0017"."""
        return f"{self.numbers[index]:04}"

    def load(self, index: int) -> Sample:
        """Read an image and its labels. Raises SampleError when the file does not give them."""
        number = self.numbers[index]
        place = f"{self.path}, image {number}"
        try:
            with import_extra("h5py").File(self.path, "r") as file:
                image = np.asarray(file["images"][number - 1], np.uint8)
                labels = np.asarray(file["labels"][number - 1], np.uint16)
        except _BROKEN as error:
            raise SampleError(f"{place}: expected pixels and labels, came data that cannot be read: {error}") from error
        truth = self.labels.apply(labels.T, place)  # (H, W)
        words = tuple(range(len(self.words)))
        return Sample(self.name_of(index), np.ascontiguousarray(image.transpose(2, 1, 0)), truth, self.words, words)


def open_labeled(name: str, split: str, chosen: ClassNames, folder: Path, truth: Sequence[int]) -> LabeledFile:
    """The data set of a folder that has nyu_depth_v2_labeled.mat. truth: that of each of the 40 classes.

    Raises DatasetError for a file that is missing or holds something else, OvsrError without h5py.
    """
    path = folder / LABELED
    count = _count_images(path)
    numbers = _numbers(folder / SPLITS, split, count)
    mapping = _whole_numbers(folder / MAPPING, "mapClass", 1, NUM_IDS)
    ids = {0: IGNORED, **{number: truth[id - 1] for number, id in enumerate(mapping, start=1)}}
    return LabeledFile(
        name=name,
        split=split,
        classes=chosen.titles,
        names_used=chosen.names_used,
        words=chosen.classes.words,
        path=path,
        numbers=numbers,
        labels=Labels(ids),
    )


def _count_images(path: Path) -> int:
    """How many images the file has. Raises DatasetError unless its arrays are those of the release."""
    h5py = import_extra("h5py")
    try:
        with h5py.File(path, "r") as file:
            images, labels = file["images"], file["labels"]
            shapes, kinds = (tuple(images.shape), tuple(labels.shape)), (images.dtype, labels.dtype)
    except _BROKEN as error:
        raise DatasetError(
            f"{path}: expected an HDF5 file (MATLAB 7.3) with images and labels, came {path.stat().st_size} bytes that "
            f"cannot be read so: {error}; {RELEASE}"
        ) from error
    of_images, of_labels = shapes
    fits = len(of_images) == 4 and of_images[1] == 3 and of_labels == (of_images[0], *of_images[2:])
    if not fits or kinds != (np.uint8, np.uint16):
        raise DatasetError(
            f"{path}: expected images (N, 3, W, H) uint8 and labels (N, W, H) uint16, came {of_images} {kinds[0]} and "
            f"{of_labels} {kinds[1]}; {RELEASE}"
        )
    return int(of_images[0])


def _numbers(path: Path, split: str, count: int) -> tuple[int, ...]:
    """The numbers of a split's images, from 1, in ascending order."""
    numbers = _whole_numbers(path, f"{split}Ndxs", 1, count)
    each_once([str(number) for number in numbers], path)
    return tuple(sorted(numbers))


def _whole_numbers(path: Path, key: str, least: int, most: int) -> list[int]:
    """An array of a MATLAB file, flat. Raises DatasetError unless it holds whole numbers of `least` to `most`."""
    if not path.is_file():
        raise DatasetError(f"{path}: this file is missing; {META_DATA}")
    values = _read_matlab(path, key)
    if values is None or values.dtype.kind not in "uif" or values.size == 0 or (values != values.round()).any():
        raise DatasetError(f"{path}: expected whole numbers under {key}, came {_described(values)}; {META_DATA}")
    if values.min() < least or values.max() > most:
        raise DatasetError(
            f"{path}: expected numbers of {least} to {most} under {key}, came {values.min()} to {values.max()}; "
            f"{META_DATA}"
        )
    return [int(value) for value in values.ravel()]


def _read_matlab(path: Path, key: str) -> NDArray[Any] | None:
    """An array of a MATLAB file, None where it has none of that name. Raises DatasetError for a file that is none."""
    from scipy.io import loadmat  # on demand: of all data sets only this one is in need of it

    try:
        content = loadmat(path, variable_names=[key])
    except Exception as error:  # on damaged files it raises whatever the bytes lead to
        raise DatasetError(
            f"{path}: expected a MATLAB file (before 7.3), came {path.stat().st_size} bytes that cannot be read so: "
            f"{error}; {META_DATA}"
        ) from error
    return np.asarray(content[key]) if key in content else None


def _described(values: NDArray[Any] | None) -> str:
    return "nothing" if values is None else f"an array {values.shape} of {values.dtype}"
