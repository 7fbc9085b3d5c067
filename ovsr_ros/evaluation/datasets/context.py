"""PASCAL Context: its 59 most frequent classes, and everything else as background (context60) or ignored (context59).

Masks are made from the Detail API's annotations: the 59 ids in ascending order, which is the names' alphabetical
order, become 1 to 59, and 0 is the rest.
"""

from __future__ import annotations

from pathlib import Path

from ovsr_ros.evaluation.datasets.class_files import Names
from ovsr_ros.evaluation.datasets.files import (
    FileDataset,
    check_split,
    choose_names,
    file_dataset,
    find_root,
)
from ovsr_ros.evaluation.datasets.voc import background_labels, listed_entries

IMAGES_SOURCE = (
    "the images are in the PASCAL VOC 2010 development kit (VOCtrainval_03-May-2010.tar), "
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/"
)
LABELS_SOURCE = (
    "the labels are PASCAL Context's (https://cs.stanford.edu/~roozbeh/pascal-context/), written as PNGs by "
    "MMSegmentation's converter pascal_context.py from the Detail API's trainval_merged.json"
)


def open_context(
    root: Path | None, split: str, names: Names, class_file: Path | None = None, with_background: bool = True
) -> FileDataset:
    """context60, or context59 without background. root: the folder VOC2010, or the VOCdevkit that holds it.

    split: val or train. Raises DatasetError.
    """
    name = "context60" if with_background else "context59"
    check_split(name, split, ("val", "train"))
    chosen = choose_names("context", names, class_file, with_background)
    folder = find_root(name, root, "VOC2010", IMAGES_SOURCE)
    listed = f"SegmentationContext/{split}.txt"
    entries = listed_entries(folder, "SegmentationClassContext", listed, IMAGES_SOURCE, LABELS_SOURCE)
    return file_dataset(name, split, chosen, entries, [background_labels(59, with_background)])
