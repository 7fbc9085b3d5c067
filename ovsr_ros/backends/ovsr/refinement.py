"""Stage 3b, an addition to the paper: the clusters' borders move to the image's edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends.ovsr.features import GridFeatures, describe_cells, grid_size_hw
from ovsr_ros.ops import refine
from ovsr_ros.ops.evidence import find_winners
from ovsr_ros.ops.image import resize
from ovsr_ros.ops.smoothing import rgb_to_lab
from ovsr_ros.options import option

METHODS = ("none", "bilinear", "guided", "pamr")

_PAMR_DILATIONS = (1, 2, 4)


@dataclass(frozen=True)
class RefinementOptions:
    """How clusters of grid cells become masks that follow edges."""

    method: str = option(
        "none",
        help="none: masks keep the grid's edges, as the paper; bilinear: the scores are only interpolated; guided: a "
        "guided filter leads them along the image's colours; pamr: repeated averaging over pixels of like colour does",
        choices=METHODS,
    )
    scores: str = option(
        "clusters",
        help="what is refined: which cluster a cell is in, or how near it is to the mean features of the clusters "
        "around (prototypes), at the finest feature level's own resolution",
        choices=("clusters", "prototypes"),
    )
    rows: int = option(
        240, help="rows of the refined masks along the image's short side, at most the image's own", min=16, max=2160
    )
    guide_rows: int = option(96, help="rows at which the filter works along the image's short side", min=8, max=540)
    radius: float = option(4.0, help="how far the guided filter looks, in grid cells", min=0.1, max=32.0, unit="cells")
    epsilon: float = option(
        1e-5, help="variance of colours, in [0, 1], that the guided filter takes for an edge", min=1e-6, max=1.0
    )
    iterations: int = option(10, help="steps of pamr", min=1, max=100)
    color_sigma: float = option(
        8.0, help="how unlike a neighbour's colour may be in pamr, L*a*b* distance", min=0.1, max=500.0
    )
    temperature: float = option(
        0.05, help="of the prototypes' scores: smaller trusts small differences more", min=0.001, max=10.0
    )
    reach: int = option(
        2, help="how far from its own cells a cluster may gain any by prototypes, in grid cells", min=0, max=32
    )


def refine_clusters(
    clusters: NDArray[np.int64], image: Tensor, grid: GridFeatures, normalization: str, options: RefinementOptions
) -> NDArray[np.int64]:
    """Cluster labels (h, w) of an image (1, 3, H, W) uint8 at up to `rows`, from those of its grid (rows, columns).

    normalization: the features'. A cluster may end up without any cell.
    """
    num_clusters = int(clusters.max()) + 1
    if options.method == "none" or num_clusters == 1:
        return clusters
    image_hw = (image.shape[2], image.shape[3])
    target_hw, guide_hw = grid_size_hw(image_hw, options.rows), grid_size_hw(image_hw, options.guide_rows)
    labels = torch.from_numpy(clusters).to(image.device)
    if options.scores == "prototypes":
        finest = max((level.shape[2], level.shape[3]) for level in grid.levels)
        cells = describe_cells(grid.levels, finest, normalization)  # (h*w, C)
        features = cells.T.reshape(-1, *finest)
        scores = refine.score_by_prototypes(features, labels, num_clusters, options.reach, options.temperature)
    else:
        scores = refine.one_hot(labels, num_clusters)
    scores = _follow_edges(scores, image, guide_hw, target_hw, grid.grid_hw, options)
    return np.asarray(find_winners(scores).cpu().numpy())


def _follow_edges(
    scores: Tensor,
    image: Tensor,
    guide_hw: tuple[int, int],
    target_hw: tuple[int, int],
    grid_hw: tuple[int, int],
    options: RefinementOptions,
) -> Tensor:
    if options.method == "bilinear":
        return refine.upsample(scores, target_hw)
    scores = refine.upsample(scores, guide_hw)
    target = resize(image, target_hw)
    guide = resize(target, guide_hw)
    if options.method == "pamr":
        lab = rgb_to_lab(guide)[0]
        scores = refine.pamr(scores, lab, options.iterations, options.color_sigma, _PAMR_DILATIONS)
        return refine.upsample(scores, target_hw)
    radius = max(1, round(options.radius * max(guide_hw[0] / grid_hw[0], guide_hw[1] / grid_hw[1])))
    return refine.guided_filter(scores, guide[0].float() / 255, target[0].float() / 255, radius, options.epsilon)
