"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from ovsr_ros.errors import DatasetError
from ovsr_ros.evaluation.datasets.ade20k import open_ade20k
from ovsr_ros.evaluation.datasets.camvid import open_camvid
from ovsr_ros.evaluation.datasets.cityscapes import open_cityscapes
from ovsr_ros.evaluation.datasets.class_files import Names
from ovsr_ros.evaluation.datasets.coco import open_coco_obj_80, open_coco_object, open_coco_stuff
from ovsr_ros.evaluation.datasets.context import open_context
from ovsr_ros.evaluation.datasets.folder import open_folder
from ovsr_ros.evaluation.datasets.nyuv2 import open_nyuv2
from ovsr_ros.evaluation.datasets.scenes import HeldOutScenesDataset, ScenesDataset
from ovsr_ros.evaluation.datasets.voc import open_voc
from ovsr_ros.evaluation.sample import Dataset

_Open = Callable[[Path | None, str, Names, Path | None], Dataset]

_PUBLISHED: dict[str, _Open] = {
    "voc20": partial(open_voc, with_background=False),
    "voc21": partial(open_voc, with_background=True),
    "context59": partial(open_context, with_background=False),
    "context60": partial(open_context, with_background=True),
    "coco-object": open_coco_object,
    "coco-obj-80": open_coco_obj_80,
    "coco-stuff": open_coco_stuff,
    "ade20k": open_ade20k,
    "cityscapes": open_cityscapes,
    "camvid": open_camvid,
    "nyuv2": partial(open_nyuv2, num_classes=37),
    "nyuv2-40": partial(open_nyuv2, num_classes=40),
    "nyuv2-13": partial(open_nyuv2, num_classes=13),
}
_RENDERED: dict[str, Callable[[str], Dataset]] = {"scenes": ScenesDataset, "scenes-held-out": HeldOutScenesDataset}

DATASETS: tuple[str, ...] = (*_RENDERED, *_PUBLISHED, "folder")


def open_dataset(
    name: str, root: Path | None = None, split: str = "val", names: Names = "plain", class_file: Path | None = None
) -> Dataset:
    """A data set of DATASETS.

    root: the folder that holds it, in the layout that its module describes; not used for rendered scenes.
    split: "val", and whatever else the data set has; "scenes-held-out" has "test" only, "nyuv2" "test" and "train", and
        a folder what it lists.
    names: "engineered" or "plain" class names; only one kind exists for rendered scenes and folders.
    class_file: names of one's own instead (see `class_files`); for a folder the default is classes.txt in it.

    Raises DatasetError, naming the missing path and where such data comes from.
    """
    if name in _RENDERED:
        if class_file is not None:
            raise DatasetError(f"{name}: expected no class file: its scenes name their own objects; leave it out")
        return _RENDERED[name](split)
    if name == "folder":
        return open_folder(root, split, class_file)
    if name in _PUBLISHED:
        return _PUBLISHED[name](root, split, names, class_file)
    near = get_close_matches(name, DATASETS, 1)
    raise DatasetError(
        f"expected a data set of {', '.join(DATASETS)}, got {name!r}{f'; {near[0]} is near' if near else ''}"
    )
