"""COCO 2017 with COCO-Stuff's masks: coco-stuff, coco-object and coco-obj-80.

COCO-Stuff's own masks hold 0 to 90 for things, of which 11 were never drawn, 91 to 181 for stuff, 255 for nothing. Of
these, MMSegmentation's converter makes *_labelTrainIds.png (171 classes in a row, 255 for nothing) and GroupViT's makes
*_instanceTrainIds.png (80 things as 1 to 80; stuff and nothing are 0, so that every pixel is judged). Any of the three
will do where it says enough.
"""

from __future__ import annotations

from pathlib import Path

from ovsr_ros.errors import DatasetError
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

IMAGES_SOURCE = "the images are COCO 2017's (val2017.zip), https://cocodataset.org/#download"
LABELS_SOURCE = (
    "the masks are COCO-Stuff's (stuffthingmaps_trainval2017.zip), https://github.com/nightrome/cocostuff; the "
    "conversions *_labelTrainIds.png and *_instanceTrainIds.png are not needed beside them"
)
NEVER_DRAWN = frozenset({11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90})
"""Ids of things that COCO names and has no masks of: street sign, hat, shoe, eye glasses, plate, and so on."""
NUM_THINGS = 80

OWN_IDS = tuple(id for id in range(182) if id not in NEVER_DRAWN)
"""COCO-Stuff's ids; the index is the class among the 171, the things first."""

OWN, ALL_CLASSES, THINGS = ".png", "_labelTrainIds.png", "_instanceTrainIds.png"


def open_coco_stuff(root: Path | None, split: str, names: Names, class_file: Path | None = None) -> FileDataset:
    """coco-stuff: 80 things and 91 kinds of stuff; pixels without a label are ignored.

    root: the folder that holds images/val2017 and annotations/val2017. split: val or train. Raises DatasetError.
    """
    kinds = {ALL_CLASSES: contiguous(len(OWN_IDS)), OWN: Labels(_own({}))}
    return _open("coco-stuff", root, split, names, class_file, kinds)


def open_coco_object(root: Path | None, split: str, names: Names, class_file: Path | None = None) -> FileDataset:
    """coco-object: 80 things as classes 1 to 80, all other pixels background; none is ignored. See coco-stuff."""
    as_things = {index: index + 1 if index < NUM_THINGS else 0 for index in range(len(OWN_IDS))}
    return _open("coco-object", root, split, names, class_file, _thing_kinds(as_things, background=0))


def open_coco_obj_80(root: Path | None, split: str, names: Names, class_file: Path | None = None) -> FileDataset:
    """coco-obj-80: the 80 things of coco-object as classes 0 to 79, all other pixels ignored."""
    as_things = {index: index if index < NUM_THINGS else IGNORED for index in range(len(OWN_IDS))}
    return _open("coco-obj-80", root, split, names, class_file, _thing_kinds(as_things, background=IGNORED))


def _own(truth_of_class: dict[int, int], nothing: int = IGNORED) -> dict[int, int]:
    """Truth of COCO-Stuff's own ids, by the truth of the 171 classes (a class not named keeps its index)."""
    return {**{id: truth_of_class.get(index, index) for index, id in enumerate(OWN_IDS)}, 255: nothing}


def _thing_kinds(truth_of_class: dict[int, int], background: int) -> dict[str, Labels]:
    things = {0: background, **{index + 1: truth_of_class[index] for index in range(NUM_THINGS)}}
    return {
        THINGS: Labels(things),
        OWN: Labels(_own(truth_of_class, background)),
        ALL_CLASSES: Labels({**truth_of_class, 255: background}),
    }


def _open(
    name: str, root: Path | None, split: str, names: Names, class_file: Path | None, kinds: dict[str, Labels]
) -> FileDataset:
    check_split(name, split, ("val", "train"))
    family = "coco_stuff" if name == "coco-stuff" else "coco_object"
    chosen = choose_names(family, names, class_file, with_background=name == "coco-object")
    folder = find_root(name, root, "", IMAGES_SOURCE)
    images = find_images(folder / "images" / f"{split}2017", "*.jpg", IMAGES_SOURCE)
    masks = require_folder(folder / "annotations" / f"{split}2017", LABELS_SOURCE)
    if not any((masks / f"{image.stem}{kind}").is_file() for image in images for kind in kinds):
        wanted = " or ".join(f"{images[0].stem}{kind}" for kind in kinds)
        raise DatasetError(f"{masks}: expected a mask for each image, such as {wanted}, came none; {LABELS_SOURCE}")
    entries = [Entry(image.stem, image, tuple(masks / f"{image.stem}{kind}" for kind in kinds)) for image in images]
    return file_dataset(name, split, chosen, entries, list(kinds.values()))
