"""NYU Depth v2: nyuv2 (37 classes), nyuv2-40 and nyuv2-13, in the layouts in which it is handed around.

40 classes are Gupta et al.'s (CVPR 2013); 37 are those without the three that say what a thing is not ("other
structure", "other furniture", "other prop"), which are ignored; 13 are Couprie et al.'s (ICLR 2013).

    image/SPLIT, seg40/SPLIT, seg13/SPLIT         as VainF/nyuv2-python-toolkit writes it
    RGB, Label, train.txt, test.txt               as RGB-D networks such as CMX and DFormer take it
    nyu_depth_v2_labeled.mat                      the release: see nyuv2_labeled.py
    nyu_SPLIT_rgb, SPLIT_labels_13                the 13 classes of ankurhanda/nyuv2-meta-data, and its images

In each of them the training split has 795 images and the test split 654, and pixels without a label are ignored. Masks
hold 0 for those and classes from 1, but for what the toolkit wrote since 2020: 255 for those and classes from 0. What
a folder of it holds is told by its masks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets.class_files import Names
from ovsr_ros.evaluation.datasets.decoding import read_mask
from ovsr_ros.evaluation.datasets.files import (
    IMAGE_SUFFIXES,
    MASK_SUFFIXES,
    Entry,
    Labels,
    check_split,
    choose_names,
    each_once,
    file_dataset,
    files_by_stem,
    find_root,
    read_list,
    require_folder,
)
from ovsr_ros.evaluation.datasets.nyuv2_labeled import LABELED, RELEASE, open_labeled
from ovsr_ros.evaluation.sample import IGNORED, Dataset

SOURCE = (
    f"{RELEASE}; folders of PNG are made from it by https://github.com/VainF/nyuv2-python-toolkit (image/, seg40/, "
    "seg13/) or come with RGB-D networks (RGB/, Label/, train.txt, test.txt)"
)
SOURCE_13 = "masks of 13 classes are in https://github.com/ankurhanda/nyuv2-meta-data, which names the images' archives"
FOLDERS = ("NYUv2", "NYUDepthv2")
"""What the toolkit and the RGB-D networks call the folder."""

COARSE = (
    *(12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5),
    *(7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7),
)
"""The one of the 13 classes, from 1, of each of the 40: class13Mapping.mat of nyuv2-meta-data."""

TRUTH = {
    40: tuple(range(40)),
    37: (*range(37), IGNORED, IGNORED, IGNORED),
    13: tuple(coarse - 1 for coarse in COARSE),
}
"""By number of classes, the truth of each of the 40."""
NAMES = {40: "nyuv2-40", 37: "nyuv2", 13: "nyuv2-13"}
FAMILIES = {40: "nyuv2_40", 37: "nyuv2", 13: "nyuv2_13"}


def open_nyuv2(
    root: Path | None, split: str, names: Names, class_file: Path | None = None, num_classes: int = 37
) -> Dataset:
    """nyuv2, or nyuv2-40 or nyuv2-13. root: the folder of one of the layouts, or the one that holds it.

    split: train or test. Where a folder has several layouts, folders of PNG come before the release's file.
    Raises DatasetError; OvsrError where the release's file needs h5py, which is not installed.
    """
    name = NAMES[num_classes]
    check_split(name, split, ("test", "train"))
    chosen = choose_names(FAMILIES[num_classes], names, class_file)
    outer = find_root(name, root, "", SOURCE)
    folder = next((outer / inner for inner in FOLDERS if (outer / inner).is_dir()), outer)
    truth = TRUTH[num_classes]
    if (folder / "image").is_dir():
        entries, labels = _toolkit(folder, split, truth, prefer_coarse=num_classes == 13)
    elif (folder / "RGB").is_dir():
        entries, labels = _network(folder, split), from_one(truth)
    elif (folder / LABELED).is_file():
        return open_labeled(name, split, chosen, folder, truth)
    elif num_classes == 13 and (pair := _numbered_folders(folder, split)):
        entries, labels = _numbered(*pair), from_one(tuple(range(13)))
    else:
        wanted = [LABELED, "image/ with seg40/", "RGB/ with Label/"]
        if num_classes == 13:
            wanted.append(f"nyu_{split}_rgb/ with {split}_labels_13/")
        raise DatasetError(
            f"{folder}: expected one of {'; '.join(wanted)}; came none of them; {SOURCE}"
            + (f"; {SOURCE_13}" if num_classes == 13 else "")
        )
    return file_dataset(name, split, chosen, entries, [labels])


def from_one(truth: Sequence[int]) -> Labels:
    """Masks that hold 0 where there is no label, and 1, 2, ... for truth[0], truth[1], ..."""
    return Labels({0: IGNORED, **{index + 1: value for index, value in enumerate(truth)}})


def from_zero(truth: Sequence[int]) -> Labels:
    """Masks that hold 255 where there is no label, and 0, 1, ... for truth[0], truth[1], ..."""
    return Labels({255: IGNORED, **dict(enumerate(truth))})


def _toolkit(folder: Path, split: str, truth: Sequence[int], prefer_coarse: bool) -> tuple[list[Entry], Labels]:
    """image/SPLIT with seg40/SPLIT, or with seg13/SPLIT where that will do and is there."""
    kind = "seg40"
    if prefer_coarse and (folder / "seg13" / split).is_dir():
        kind, truth = "seg13", tuple(range(13))
    images = files_by_stem(require_folder(folder / "image" / split, SOURCE), IMAGE_SUFFIXES)
    masks = files_by_stem(require_folder(folder / kind / split, SOURCE), MASK_SUFFIXES)
    if not images:
        raise DatasetError(f"{folder / 'image' / split}: expected images, came none; {SOURCE}")
    entries = [
        Entry(stem, image, (masks.get(stem, folder / kind / split / f"{stem}.png"),)) for stem, image in images.items()
    ]
    return entries, _told_by_masks(masks.values(), truth, folder / kind / split)


def _told_by_masks(masks: Iterable[Path], truth: Sequence[int], folder: Path) -> Labels:
    """What the masks of the toolkit's folder hold: 255 in some, or in some the last class's number from 1.

    As a rule the first mask tells it: every photograph has pixels without a label. Raises DatasetError where none does.
    """
    for path in masks:
        try:
            values = read_mask(path)
        except SampleError:
            continue  # it will be named when it is loaded
        if (values == 255).any():
            return from_zero(truth)
        if (values == len(truth)).any():
            return from_one(truth)
    raise DatasetError(
        f"{folder}: expected masks of 0 to {len(truth) - 1} and 255 for no label, or 1 to {len(truth)} and 0 for "
        f"no label; which of both cannot be told: no mask that can be read holds 255 or {len(truth)}; {SOURCE}"
    )


def _network(folder: Path, split: str) -> list[Entry]:
    """RGB and Label, whose files a list names: "RGB/12.jpg Label/12.png" or "12" a line."""
    image_folder = require_folder(folder / "RGB", SOURCE)
    mask_folder = require_folder(folder / "Label", SOURCE)
    path = folder / f"{split}.txt"
    stems = each_once([Path(word).stem for word in read_list(path, SOURCE)], path)
    images = files_by_stem(image_folder, IMAGE_SUFFIXES)
    return [
        Entry(stem, images.get(stem, image_folder / f"{stem}.jpg"), (mask_folder / f"{stem}.png",)) for stem in stems
    ]


def _numbered_folders(folder: Path, split: str) -> tuple[Path, Path] | None:
    """Images and masks of 13 classes, under the names that loaders ask for; None where one of both is not there."""
    images = (f"nyu_{split}_rgb", f"{split}_rgb", split)
    masks = (f"{split}_labels_13", f"nyuv2_{split}_class13", f"{split}_seg13", f"{split}_labels")
    found = [next((folder / name for name in names if (folder / name).is_dir()), None) for names in (images, masks)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _numbered(image_folder: Path, mask_folder: Path) -> list[Entry]:
    """Pairs of one number: nyu_rgb_0012.png and new_nyu_class13_0012.png, or both 0012.png."""
    images, masks = (_by_number(folder) for folder in (image_folder, mask_folder))
    if not images:
        raise DatasetError(f"{image_folder}: expected images such as nyu_rgb_0012.png, came none; {SOURCE_13}")
    return [
        Entry(f"{number:04}", image, (masks.get(number, mask_folder / f"new_nyu_class13_{number:04}.png"),))
        for number, image in sorted(images.items())
    ]


def _by_number(folder: Path) -> dict[int, Path]:
    """The image files of a folder by the number at the end of their names. Raises DatasetError when two share it."""
    found: dict[int, Path] = {}
    for stem, path in files_by_stem(folder, IMAGE_SUFFIXES).items():
        digits = re.search(r"\d+$", stem)
        if digits is None:
            raise DatasetError(f"{path}: expected a name that ends in the image's number, as nyu_rgb_0012.png")
        number = int(digits[0])
        if number in found:
            raise DatasetError(f"{path}: expected one file of this number, came {found[number].name} beside it")
        found[number] = path
    return found
