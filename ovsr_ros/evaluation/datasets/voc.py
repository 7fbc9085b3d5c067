"""PASCAL VOC 2012: 20 kinds of objects, and everything else as background (voc21) or ignored (voc20).

Masks are paletted PNGs: 0 background, 1 to 20 the classes, 255 the outline of objects, ignored.
"""

from __future__ import annotations

from pathlib import Path

from ovsr_ros.evaluation.datasets.class_files import Names
from ovsr_ros.evaluation.datasets.files import (
    Entry,
    FileDataset,
    Labels,
    check_split,
    choose_names,
    contiguous,
    file_dataset,
    find_root,
    read_list,
    require_folder,
)
from ovsr_ros.evaluation.sample import IGNORED

SOURCE = (
    "such data is in the PASCAL VOC 2012 development kit (VOCtrainval_11-May-2012.tar), "
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
)


def open_voc(
    root: Path | None, split: str, names: Names, class_file: Path | None = None, with_background: bool = True
) -> FileDataset:
    """voc21, or voc20 without background. root: the folder VOC2012, or the VOCdevkit that holds it.

    split: val, train or trainval. Raises DatasetError.
    """
    name = "voc21" if with_background else "voc20"
    check_split(name, split, ("val", "train", "trainval"))
    chosen = choose_names("voc", names, class_file, with_background)
    folder = find_root(name, root, "VOC2012", SOURCE)
    entries = listed_entries(folder, "SegmentationClass", f"Segmentation/{split}.txt", SOURCE, SOURCE)
    return file_dataset(name, split, chosen, entries, [background_labels(20, with_background)])


def listed_entries(folder: Path, masks: str, listed: str, images_source: str, labels_source: str) -> list[Entry]:
    """The images of JPEGImages that a list under ImageSets names, and their masks. Raises DatasetError."""
    image_folder = require_folder(folder / "JPEGImages", images_source)
    mask_folder = require_folder(folder / masks, labels_source)
    stems = read_list(folder / "ImageSets" / listed, labels_source)
    return [Entry(stem, image_folder / f"{stem}.jpg", (mask_folder / f"{stem}.png",)) for stem in stems]


def background_labels(num_objects: int, with_background: bool) -> Labels:
    """Masks whose 0 is background: class 0 with a background, otherwise ignored and each other value less 1."""
    if with_background:
        return contiguous(num_objects + 1)
    return contiguous(num_objects, first=1, ignored=(0, IGNORED))
