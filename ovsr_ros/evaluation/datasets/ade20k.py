"""ADE20K as the scene parsing benchmark has it: 150 classes, 1 to 150 in the masks; 0 is "other", ignored."""

from __future__ import annotations

from pathlib import Path

from ovsr_ros.evaluation.datasets.class_files import Names
from ovsr_ros.evaluation.datasets.files import (
    Entry,
    FileDataset,
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
    "such data is in the MIT Scene Parsing Benchmark's ADEChallengeData2016.zip, http://sceneparsing.csail.mit.edu/"
)
FOLDERS = {"val": "validation", "train": "training"}


def open_ade20k(root: Path | None, split: str, names: Names, class_file: Path | None = None) -> FileDataset:
    """ade20k. root: the folder ADEChallengeData2016, or the one that holds it. split: val or train.

    Raises DatasetError.
    """
    check_split("ade20k", split, tuple(FOLDERS))
    chosen = choose_names("ade20k", names, class_file)
    folder = find_root("ade20k", root, "ADEChallengeData2016", SOURCE)
    images = find_images(folder / "images" / FOLDERS[split], "*.jpg", SOURCE)
    masks = require_folder(folder / "annotations" / FOLDERS[split], SOURCE)
    entries = [Entry(image.stem, image, (masks / f"{image.stem}.png",)) for image in images]
    labels = contiguous(150, first=1, ignored=(0, IGNORED))
    return file_dataset("ade20k", split, chosen, entries, [labels])
