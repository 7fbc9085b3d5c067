"""Cityscapes: the 19 classes that its benchmark judges.

Masks: *_gtFine_labelTrainIds.png (0 to 18, 255 ignored), or where that is missing *_gtFine_labelIds.png, the 34 ids of
the release, of which 19 are judged.
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
    find_images,
    find_root,
    require_folder,
)
from ovsr_ros.evaluation.sample import IGNORED

SOURCE = (
    "such data is in Cityscapes' leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, "
    "https://www.cityscapes-dataset.com/"
)
JUDGED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The release's ids of the classes that are judged; the index is the class."""
NUM_IDS = 34
IMAGE = "_leftImg8bit.png"


def open_cityscapes(root: Path | None, split: str, names: Names, class_file: Path | None = None) -> FileDataset:
    """cityscapes. root: the folder that holds leftImg8bit and gtFine. split: val or train. Raises DatasetError."""
    check_split("cityscapes", split, ("val", "train"))
    chosen = choose_names("cityscapes", names, class_file)
    folder = find_root("cityscapes", root, "", SOURCE)
    images = find_images(folder / "leftImg8bit" / split, f"*/*{IMAGE}", SOURCE)
    masks = require_folder(folder / "gtFine" / split, SOURCE)
    entries = []
    for image in images:
        stem, city = image.name.removesuffix(IMAGE), masks / image.parent.name
        candidates = (city / f"{stem}_gtFine_labelTrainIds.png", city / f"{stem}_gtFine_labelIds.png")
        entries.append(Entry(stem, image, candidates))
    ids = dict.fromkeys(range(NUM_IDS), IGNORED) | {id: index for index, id in enumerate(JUDGED_IDS)}
    labels = [contiguous(len(JUDGED_IDS)), Labels(ids)]
    return file_dataset("cityscapes", split, chosen, entries, labels)
