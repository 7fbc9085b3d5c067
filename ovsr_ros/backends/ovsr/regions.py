"""Stage 4: clusters, of grid cells or refined, become segments at full resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.ops import masks
from ovsr_ros.options import option


@dataclass(frozen=True)
class RegionOptions:
    """What counts as one segment."""

    split_components: bool = option(
        True, help="whether the parts of a cluster that do not touch are segments of their own"
    )
    min_area: float = option(
        0.002, help="a part under this fraction of the image joins its neighbour; 0: every part stays", min=0.0, max=0.5
    )
    max_segments: int = option(64, help="above this many segments, larger and larger parts join", min=1, max=4096)


@dataclass(frozen=True)
class Regions:
    """Segments with ids from 1 in descending order of area; fields as in `FrameEmbeddings`."""

    segment_map: Tensor
    cluster_ids: NDArray[np.int64]
    boxes_xyxy: NDArray[np.int32]
    areas_px: NDArray[np.int32]
    centroids_xy: NDArray[np.float32]


def find_regions(
    clusters: NDArray[np.int64], size_hw: tuple[int, int], device: torch.device, options: RegionOptions
) -> Regions:
    """Segments of an image of size_hw from cluster labels of its grid, or of any finer one (rows, columns)."""
    parts, cluster_of_part = split_into_parts(clusters, options)
    labels = torch.from_numpy(parts.astype(np.int32)).to(device)
    labels = masks.upsample_labels(labels, size_hw)
    geometry = masks.measure(labels, len(cluster_of_part))
    segment_map, part_of_segment = masks.number_by_area(labels, geometry.areas_px)
    columns = (geometry.areas_px[:, None], geometry.boxes_xyxy, geometry.centroids_xy)
    measured = torch.cat([column.double() for column in columns], 1)[part_of_segment]
    table = torch.cat((part_of_segment.double()[:, None], measured), 1).cpu().numpy()  # (N, 8), one download
    return Regions(
        segment_map=segment_map,
        cluster_ids=cluster_of_part[table[:, 0].astype(np.int64)],
        areas_px=table[:, 1].astype(np.int32),
        boxes_xyxy=table[:, 2:6].astype(np.int32),
        centroids_xy=table[:, 6:8].astype(np.float32),
    )


def split_into_parts(
    clusters: NDArray[np.int64], options: RegionOptions
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Segments on the grid, numbered from 0, and the cluster of each: at most max_segments, none left out."""
    min_cells = math.ceil(options.min_area * clusters.size)
    while True:
        kept, parts = masks.absorb_small_components(clusters, min_cells)
        if not options.split_components:
            parts = np.unique(kept, return_inverse=True)[1].reshape(kept.shape)
        num_parts = int(parts.max()) + 1
        if num_parts <= options.max_segments:
            cluster_of_part = np.zeros(num_parts, np.int64)
            cluster_of_part[parts.ravel()] = kept.ravel()
            return parts, cluster_of_part
        min_cells = max(2, math.ceil(1.5 * min_cells))
