"""The images that a sweep file names: of one data set, by keys of the file itself, or of several, each a list's entry.

datasets:
  - {dataset: folder, root: nyuv2-train, name: homes, limit: 200, every: 3}
  - {dataset: folder, root: camvid-train, name: streets, every: 3}

dataset, split, names: as the options of `ovsr evaluate`. name: the title of its columns, and of its journals' folder;
without, the last part of `root`, or the data set and its split. root: relative to `--root DIR` where that is given, to
the working directory where not. every: each Nth image alone, from the first on, so that a part of the images spans the
whole set. limit: of these, at most so many.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.datasets import DATASETS, open_dataset
from ovsr_ros.evaluation.datasets.class_files import Names
from ovsr_ros.evaluation.measurements import file_name
from ovsr_ros.evaluation.sample import Dataset
from ovsr_ros.evaluation.sweep.yaml_file import check_keys, nearest

SET_KEYS: Mapping[str, type] = {"dataset": str, "root": str, "split": str, "names": str, "limit": int, "every": int}
"""What chooses images, in the file itself or in an entry of `datasets`."""


@dataclass(frozen=True)
class ImageSet:
    """Images of one data set. name: "" where it is the only one and has none. limit: None: all. every: from 1."""

    name: str = ""
    dataset: str = "scenes"
    root: Path | None = None
    split: str = "val"
    names: Names = "engineered"
    limit: int | None = None
    every: int = 1

    def open(self, base: Path | None = None) -> Dataset:
        """The whole data set. base: what its `root` is relative to; without a `root`, itself. Raises DatasetError."""
        root = self.root if base is None else base / (self.root or "")
        return open_dataset(self.dataset, root, self.split, self.names)

    def indices(self, num_images: int, limit: int | None = None) -> range:
        """Its images among a data set's num_images. limit: stronger than its own."""
        chosen = range(0, num_images, self.every)
        return chosen[: limit or self.limit]


def read_sets(content: Mapping[str, Any], where: str) -> tuple[ImageSet, ...]:
    """The sets of a sweep file, its content given. Raises ConfigError, which begins with `where`."""
    if content.get("datasets") is None:
        return (_read_set({key: content.get(key) for key in SET_KEYS}, "", where),)
    beside = [key for key in SET_KEYS if content.get(key) is not None]
    if beside:
        raise ConfigError(f"{where}: expected either `datasets` or keys of one data set, got both: {', '.join(beside)}")
    if not content["datasets"]:
        raise ConfigError(f"{where}: datasets: expected at least one entry, got none")
    sets: dict[str, ImageSet] = {}
    for i, entry in enumerate(content["datasets"]):
        place = f"{where}: datasets[{i}]"
        if not isinstance(entry, dict) or not entry.get("dataset"):
            raise ConfigError(f"{place}: expected keys, `dataset` among them, got {entry!r}")
        check_keys(entry, {**SET_KEYS, "name": str}, place)
        root = entry.get("root")
        default = Path(root).name if root else f"{entry['dataset']}-{entry.get('split') or 'val'}"
        found = _read_set(entry, entry.get("name") or default, place)
        key = file_name(found.name).casefold()
        if key in sets:
            raise ConfigError(
                f"{place}: its name '{found.name}' is another's, or is written to the same folder: "
                f"'{sets[key].name}'; give each its own `name`"
            )
        sets[key] = found
    return tuple(sets.values())


def _read_set(entry: Mapping[str, Any], name: str, where: str) -> ImageSet:
    dataset, names = entry.get("dataset") or "scenes", entry.get("names") or "engineered"
    if dataset not in DATASETS:
        raise ConfigError(
            f"{where}: dataset: expected one of {', '.join(DATASETS)}, got {dataset!r}; the nearest is "
            f"'{nearest(dataset, DATASETS)}'"
        )
    if names not in typing.get_args(Names):
        raise ConfigError(f"{where}: names: expected one of {', '.join(typing.get_args(Names))}, got {names!r}")
    for key in ("limit", "every"):
        value = entry.get(key)
        if value is not None and value < 1:
            raise ConfigError(f"{where}: {key}: expected at least 1 image, got {value}")
    return ImageSet(
        name=name,
        dataset=dataset,
        root=Path(entry["root"]).expanduser() if entry.get("root") else None,
        split=entry.get("split") or "val",
        names=typing.cast(Names, names),
        limit=entry.get("limit"),
        every=entry.get("every") or 1,
    )
