"""A folder of one's own: ROOT/images, ROOT/masks with files of the same stem, and a class file (see class_files.py).

The class file is ROOT/classes.txt when none is named. A mask is a grey or paletted PNG, TIFF or BMP; it may have
another resolution than its image, but must have its shape. Masks without an image are left alone.
"""

from __future__ import annotations

from pathlib import Path

from ovsr_ros.errors import DatasetError
from ovsr_ros.evaluation.datasets.class_files import read_classes
from ovsr_ros.evaluation.datasets.files import (
    ClassNames,
    Entry,
    FileDataset,
    Labels,
    check_split,
    file_dataset,
    find_root,
    require_folder,
)
from ovsr_ros.evaluation.sample import IGNORED

SOURCE = (
    "a data set of one's own is a folder with images/, masks/ (files of the same names, grey or paletted PNG) and a "
    "class file, one class a line"
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


def open_folder(root: Path | None, split: str = "val", class_file: Path | None = None) -> FileDataset:
    """folder. It has no splits: `split` is the default, "val". Raises DatasetError."""
    check_split("folder", split, ("val",))
    folder = find_root("folder", root, "", SOURCE)
    images = _by_stem(require_folder(folder / "images", SOURCE), IMAGE_SUFFIXES)
    masks = _by_stem(require_folder(folder / "masks", SOURCE), MASK_SUFFIXES)
    class_file = class_file or folder / "classes.txt"
    classes = read_classes(class_file)
    if not images:
        raise DatasetError(f"{folder / 'images'}: expected images ({', '.join(IMAGE_SUFFIXES)}), came none; {SOURCE}")
    entries = [
        Entry(stem, image, (masks.get(stem, folder / "masks" / f"{stem}.png"),)) for stem, image in images.items()
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


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """The files of a folder, sorted, by their names without suffix. Raises DatasetError when two share a stem."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in suffixes:
            if path.stem in found:
                raise DatasetError(f"{path}: expected one file of this name, came {found[path.stem].name} beside it")
            found[path.stem] = path
    return found
