"""Stage 4: clusters, of grid cells or refined, become segments at full resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends.contract import Regions
from ovsr_ros.backends.ovsr.ignored import is_ignored, spread
from ovsr_ros.ops import masks
from ovsr_ros.ops.evidence import upsample_labels
from ovsr_ros.options import option

_HIDDEN = -1
"""The cluster of cells that belong to none."""


@dataclass(frozen=True)
class RegionOptions:
    """What counts as one segment."""

    split_components: bool = option(
        True, help="whether the parts of a cluster that do not touch are segments of their own"
    )
    min_area: float = option(
        0.001, help="a part under this fraction of the image joins its neighbour; 0: every part stays", min=0.0, max=0.5
    )
    max_segments: int = option(64, help="above this many segments, larger and larger parts join", min=1, max=4096)


def find_regions(
    clusters: NDArray[np.int64],
    size_hw: tuple[int, int],
    device: torch.device,
    options: RegionOptions,
    ignored: NDArray[np.bool_] | None = None,
) -> Regions:
    """Segments of an image of size_hw from cluster labels of its grid, or of any finer one (rows, columns).

    ignored: (H, W), True where the image belongs to no segment; what it parts is not joined behind it.
    """
    if ignored is None:
        parts, cluster_of_part = split_into_parts(clusters, options)
    else:
        parts, cluster_of_part = _split_around(clusters, is_ignored(ignored, clusters.shape), options)
    labels = upsample_labels(torch.from_numpy((1 + parts).astype(np.int32)).to(device), size_hw)
    if ignored is not None:
        labels[torch.from_numpy(is_ignored(ignored, size_hw)).to(device)] = 0
    return Regions.from_labels(labels, cluster_of_part)


def _split_around(
    clusters: NDArray[np.int64], hidden: NDArray[np.bool_], options: RegionOptions
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `split_into_parts`, of what is not hidden; hidden cells get the part of the nearest that is not."""
    parts, cluster_of_part = split_into_parts(np.where(hidden, _HIDDEN, clusters), options)
    known = cluster_of_part[parts] != _HIDDEN
    if known.any():
        return spread(parts, known), cluster_of_part
    return split_into_parts(clusters, options)  # what is not hidden is too small to be a part


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
