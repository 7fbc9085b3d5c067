"""A folder of one's own: ROOT/images, ROOT/masks with files of the same stem, and a class file (see class_files.py).

The class file is ROOT/classes.txt when none is named. A mask is a grey or paletted PNG, TIFF or BMP; it may have
another resolution than its image, but must have its shape. Masks without an image are left alone.

Splits are lists of images, one stem or file name a line: ROOT/splits/NAME.txt, any names, or where there is no folder
splits, ROOT/train.txt, val.txt, trainval.txt and test.txt. Without a list all images are the split val.
"""

from __future__ import annotations

from pathlib import Path

from ovsr_ros.errors import DatasetError
from ovsr_ros.evaluation.datasets.class_files import read_classes
from ovsr_ros.evaluation.datasets.files import (
    IMAGE_SUFFIXES,
    MASK_SUFFIXES,
    ClassNames,
    Entry,
    FileDataset,
    Labels,
    check_split,
    each_once,
    file_dataset,
    files_by_stem,
    find_root,
    read_lines,
    require_folder,
)
from ovsr_ros.evaluation.sample import IGNORED

SOURCE = (
    "a data set of one's own is a folder with images/, masks/ (files of the same names, grey or paletted PNG) and a "
    "class file, one class a line"
)
SPLITS = "a split is a list of images, one stem a line: splits/NAME.txt beside images/"
USUAL_SPLITS = ("val", "train", "trainval", "test")


def open_folder(root: Path | None, split: str = "val", class_file: Path | None = None) -> FileDataset:
    """folder. split: a list of images that it has, or "val" where it has none. Raises DatasetError.

    A listed image that is missing is named when it is loaded, and counted as skipped.
    """
    folder = find_root("folder", root, "", SOURCE)
    images = files_by_stem(require_folder(folder / "images", SOURCE), IMAGE_SUFFIXES)
    masks = files_by_stem(require_folder(folder / "masks", SOURCE), MASK_SUFFIXES)
    class_file = class_file or folder / "classes.txt"
    classes = read_classes(class_file)
    if not images:
        raise DatasetError(f"{folder / 'images'}: expected images ({', '.join(IMAGE_SUFFIXES)}), came none; {SOURCE}")
    lists = _split_files(folder)
    check_split("folder", split, tuple(lists) or ("val",), SPLITS)
    stems = _listed(lists[split], images) if lists else list(images)
    entries = [
        Entry(
            stem,
            images.get(stem, folder / "images" / f"{stem}.jpg"),
            (masks.get(stem, folder / "masks" / f"{stem}.png"),),
        )
        for stem in stems
    ]
    values = {value: index for index, value in enumerate(classes.values)} | dict.fromkeys(classes.ignored, IGNORED)
    return file_dataset(
        "folder",
        split,
        ClassNames(classes, classes.titles, class_file.name),
        entries,
        [Labels(values)],
        any_resolution=True,
    )


def _split_files(folder: Path) -> dict[str, Path]:
    """The lists of images by the split that they make: all of splits/, or those of the usual names beside images/."""
    if (folder / "splits").is_dir():
        return {path.stem: path for path in sorted((folder / "splits").glob("*.txt"))}
    usual = {name: folder / f"{name}.txt" for name in USUAL_SPLITS}
    return {name: path for name, path in usual.items() if path.is_file()}


def _listed(path: Path, images: dict[str, Path]) -> list[str]:
    """The stems that a list names, in its order, folders and suffixes left out. Raises DatasetError."""
    stems = []
    for line in read_lines(path, SPLITS):
        file = Path(line)
        # "a.v2" is a stem, and "a.png" is one only where there is an image a.png.jpg.
        is_file_name = file.suffix.lower() in IMAGE_SUFFIXES and file.name not in images
        stems.append(file.stem if is_file_name else file.name)
    return each_once(stems, path)
