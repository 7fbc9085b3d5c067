"""Crops of segments as the pipeline finds them, for CLIP to learn what imperfect masks look like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.backends.contract import StageClock
from ovsr_ros.backends.ovsr.backend import OvsrOptions, find_segments
from ovsr_ros.demo.pool import Pool, cut_crop
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.models.timm_features import FeatureExtractor
from ovsr_ros.ops.image import to_tensor
from ovsr_ros.settings import backend_options, load_settings

MIN_PURITY = 0.6
"""Share of a segment's pixels that must be of one category, or of one instance, for the segment to bear its name."""
MIN_SHARE = 0.5
"""Share of an instance that a segment must hold to show its colour and pattern."""


@dataclass(frozen=True)
class SegmentCrops:
    """crops: (M, 96, 96, 4) uint8 as `Pool.crops`, with the segments' own masks. names: (M,) full names, or kinds."""

    crops: NDArray[np.uint8]
    names: NDArray[np.str_]


def segment_pool(pool: Pool, num_images: int, features_folder: Path, path: Path) -> SegmentCrops:
    """Segment the pool's first images with the preset `demo` and the feature network in a folder; kept in a file."""
    if not path.exists():
        options: OvsrOptions = backend_options(load_settings("demo", {}).pipeline)
        device = torch.device("cpu")
        extractor = FeatureExtractor(str(features_folder), options.features.levels, device, "fp32")
        crops, names = [], []
        for index in tqdm(range(min(num_images, len(pool.images))), desc="segments", unit="image"):
            with torch.inference_mode():
                regions, _ = find_segments(
                    to_tensor(pool.images[index], device), extractor, options, StageClock(device)
                )
            found = name_segments(
                regions.segment_map.numpy(), pool.instances[index], pool.categories[index], pool.instance_names[index]
            )
            for segment, name in found:
                crops.append(cut_crop(pool.images[index], regions.segment_map.numpy() == segment))
                names.append(name)
        with write_atomically(path) as file:
            np.savez(file, crops=np.stack(crops), names=np.array(names))
    with np.load(path) as stored:
        return SegmentCrops(stored["crops"], stored["names"])


def name_segments(
    segment_map: NDArray[np.int32],
    instances: NDArray[np.uint8],
    categories: NDArray[np.uint8],
    instance_names: NDArray[np.str_],
) -> list[tuple[int, str]]:
    """Segment ids with a name for each that has one: maps (H, W), names (I,).

    The instance's full name where the segment is most of an instance, its kind where it is mostly of one category, and
    no entry where it is a mixture.
    """
    num_segments = int(segment_map.max()) + 1
    by_instance = np.zeros((num_segments, len(instance_names)), np.int64)
    np.add.at(by_instance, (segment_map.ravel(), instances.ravel()), 1)
    by_category = np.zeros((num_segments, len(CATEGORIES)), np.int64)
    np.add.at(by_category, (segment_map.ravel(), categories.ravel()), 1)
    instance_areas = by_instance.sum(0)
    found = []
    for segment in range(1, num_segments):
        area = by_instance[segment].sum()
        instance, category = int(by_instance[segment].argmax()), int(by_category[segment].argmax())
        inside = by_instance[segment, instance]
        if inside >= MIN_PURITY * area and inside >= MIN_SHARE * instance_areas[instance]:
            found.append((segment, str(instance_names[instance])))
        elif by_category[segment, category] >= MIN_PURITY * area:
            found.append((segment, CATEGORIES[category]))
    return found
