"""Data sets of image and mask files: what all of them share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets.class_files import ClassList, Names, builtin_classes, read_classes
from ovsr_ros.evaluation.datasets.decoding import read_image, read_mask
from ovsr_ros.evaluation.sample import IGNORED, Sample

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Labels:
    """How a kind of mask file is read.

    truth_of: the truth (class index, or 255) of each value that the file may hold; any other value is an error.
    """

    truth_of: Mapping[int, int]

    def apply(self, mask: NDArray[np.uint16], source: Path | str) -> NDArray[np.uint8]:
        """Values to truth: (H, W) uint16 -> (H, W) uint8. Raises SampleError for a value that is not foreseen.

        source: what errors name.
        """
        table = np.full(0x10000, -1, np.int16)
        table[list(self.truth_of)] = list(self.truth_of.values())
        truth = table[mask]
        wrong = truth < 0
        if wrong.any():
            values = np.unique(mask[wrong])
            shown = ", ".join(map(str, values[:5])) + (" and others" if len(values) > 5 else "")
            raise SampleError(
                f"{source}: expected values {ranges(self.truth_of)}, came {shown} in {int(wrong.sum())} pixels"
            )
        return truth.astype(np.uint8)


def contiguous(num_classes: int, first: int = 0, ignored: Collection[int] = (IGNORED,)) -> Labels:
    """Masks whose values `first`, `first` + 1, ... are the classes 0, 1, ..."""
    return Labels({**{first + index: index for index in range(num_classes)}, **dict.fromkeys(ignored, IGNORED)})


@dataclass(frozen=True)
class Entry:
    """An image and where its mask may lie: masks[i] is read by the data set's labels[i], the first that exists."""

    name: str
    image: Path
    masks: tuple[Path, ...]


@dataclass(frozen=True)
class FileDataset:
    """A data set of files; see `sample.Dataset`.

    classes: names for tables, index = truth. words, word_classes: the vocabulary of every image.
    labels: the kinds of masks, in the order in which they are looked for.
    any_resolution: whether a mask may have another resolution than its image; its shape must be the same all the same.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    background: int | None
    background_names: tuple[str, ...]
    names_used: str
    words: tuple[str, ...]
    word_classes: tuple[int, ...]
    entries: tuple[Entry, ...]
    labels: tuple[Labels, ...]
    any_resolution: bool = False

    def __len__(self) -> int:
        return len(self.entries)

    def name_of(self, index: int) -> str:
        """The sample's name, without reading it."""
        return self.entries[index].name

    def load(self, index: int) -> Sample:
        """Read an image and its mask. Raises SampleError, naming the file, when one of them cannot be used."""
        entry = self.entries[index]
        image = read_image(entry.image)
        labels, path = next(
            ((labels, path) for labels, path in zip(self.labels, entry.masks, strict=True) if path.is_file()),
            (self.labels[0], entry.masks[0]),
        )
        mask = read_mask(path)
        (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
        same = (height, width) == (mask_height, mask_width)
        # Of one shape: the ratio of the heights is that of the widths, but for rounding to whole pixels.
        alike = abs(height * mask_width - width * mask_height) <= max(height, width, mask_height, mask_width)
        if not (same or (self.any_resolution and alike)):
            raise SampleError(
                f"{path}: expected {width}x{height} pixels{' or that shape' if self.any_resolution else ''}, as "
                f"{entry.image.name} has, came {mask_width}x{mask_height}"
            )
        return Sample(entry.name, image, labels.apply(mask, path), self.words, self.word_classes)


@dataclass(frozen=True)
class ClassNames:
    """The classes of a data set, with titles for tables and what to call the names that were chosen."""

    classes: ClassList
    titles: tuple[str, ...]
    names_used: str


def file_dataset(
    name: str,
    split: str,
    chosen: ClassNames,
    entries: Sequence[Entry],
    labels: Sequence[Labels],
    any_resolution: bool = False,
) -> FileDataset:
    """A data set whose every image is labelled with all classes but the background."""
    classes = chosen.classes
    word_classes = tuple(index for index in range(len(classes.words)) if index != classes.background)
    return FileDataset(
        name=name,
        split=split,
        classes=chosen.titles,
        background=classes.background,
        background_names=classes.background_names,
        names_used=chosen.names_used,
        words=tuple(classes.words[index] for index in word_classes),
        word_classes=word_classes,
        entries=tuple(entries),
        labels=tuple(labels),
        any_resolution=any_resolution,
    )


def choose_names(family: str, names: Names, class_file: Path | None, with_background: bool = True) -> ClassNames:
    """The built-in names of a family, or those of a file, which must have the same classes in the same order.

    titles are the plain names in either case, so that tables can be laid beside each other. with_background: False
    leaves the background out. Raises DatasetError.
    """
    plain = builtin_classes(family, "plain")
    chosen = builtin_classes(family, names) if class_file is None else read_classes(class_file)
    if not with_background:
        plain, chosen = plain.without_background(), chosen.without_background()
    if class_file is not None:
        if len(chosen.words) != len(plain.words) or chosen.background != plain.background:
            expected, came = _described(plain), _described(chosen)
            raise DatasetError(f"{class_file}: expected {expected} in the data set's order, came {came}")
        if chosen.has_values:
            raise DatasetError(f"{class_file}: expected no values: those of this data set's masks are known; leave out")
    return ClassNames(chosen, plain.titles, names if class_file is None else class_file.name)


def _described(classes: ClassList) -> str:
    count = len(classes.words) - (classes.background is not None)
    where = "" if classes.background is None else f" and a background on line {classes.background + 1}"
    return f"{count} classes{where}"


def check_split(name: str, split: str, known: Collection[str], source: str = "") -> None:
    """Raises DatasetError for a split that the data set lacks. source: what makes a split, where users make them."""
    if split not in known:
        came = f"got {split!r}" + (f"; {source}" if source else "")
        raise DatasetError(f"{name}: expected one of the splits {', '.join(known)}, {came}")


def find_root(name: str, root: Path | None, inner: str, source: str) -> Path:
    """The data set's own folder: `root`, or `root`/`inner` where that exists. Raises DatasetError without a folder."""
    if root is None:
        raise DatasetError(f"{name}: expected a folder that holds the data set, got none; {source}")
    folder = require_folder(root, source)
    return folder / inner if inner and (folder / inner).is_dir() else folder


def require_folder(path: Path, source: str) -> Path:
    """The path, when it is a folder. Raises DatasetError, saying where such data comes from."""
    if not path.is_dir():
        raise DatasetError(f"{path}: {'expected a folder' if path.exists() else 'this folder is missing'}; {source}")
    return path


def read_lines(path: Path, source: str) -> list[str]:
    """The lines of a list of images that are not empty. Raises DatasetError when it is missing, empty or no text."""
    if not path.is_file():
        raise DatasetError(f"{path}: this list of images is missing; {source}")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: expected the name of an image on each line (UTF-8): {error}") from error
    if not lines:
        raise DatasetError(f"{path}: expected the name of an image on each line, came an empty file; {source}")
    return lines


def read_list(path: Path, source: str) -> list[str]:
    """Names from a list file: the first word of each line, as `read_lines` reads them. Raises DatasetError."""
    return each_once([line.split()[0] for line in read_lines(path, source)], path)


def each_once(names: list[str], path: Path) -> list[str]:
    """The names. Raises DatasetError when the list `path` has one of them twice: it would be counted twice."""
    doubled = next((name for name, count in Counter(names).items() if count > 1), None)
    if doubled is not None:
        raise DatasetError(f"{path}: expected each image once, came {doubled} {names.count(doubled)} times")
    return names


def files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """The files of a folder, sorted, by their names without suffix. Raises DatasetError when two share a stem."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in suffixes:
            if path.stem in found:
                raise DatasetError(f"{path}: expected one file of this name, came {found[path.stem].name} beside it")
            found[path.stem] = path
    return found


def find_images(folder: Path, pattern: str, source: str) -> list[Path]:
    """The files in a folder that match, sorted. Raises DatasetError when there are none."""
    paths = sorted(path for path in require_folder(folder, source).glob(pattern) if path.is_file())
    if not paths:
        raise DatasetError(f"{folder}: expected images {pattern}, came none; {source}")
    return paths


def ranges(values: Collection[int]) -> str:
    """Numbers as text: {0, 1, 2, 255} -> "0 to 2 and 255"."""
    parts: list[str] = []
    ordered = sorted(values)
    while ordered:
        length = next((i for i, value in enumerate(ordered) if value != ordered[0] + i), len(ordered))
        parts.append(str(ordered[0]) if length == 1 else f"{ordered[0]} to {ordered[length - 1]}")
        ordered = ordered[length:]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
