"""Regions from colour and position alone: k-means, SLIC superpixels merged, Felzenszwalb and Huttenlocher's graph.

Images are (H, W, 3) uint8 RGB; regions are (H, W) int64 labels from 0. Needs scikit-image and scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

from ovsr_ros.evaluation.extras import import_extra

Image = NDArray[np.uint8]
Labels = NDArray[np.int64]

_FIT_STRIDE = 4
"""k-means finds its centres on every fourth pixel of every fourth row, and then names all pixels."""

_POSITION_SCALE = 100.0
"""With a position weight of 1, the image's longer side counts as much as the distance from black to white."""


def kmeans_regions(image: Image, num_clusters: int, position_weight: float) -> Labels:
    """k-means over L*a*b* colour, slightly blurred against noise, and position. Clusters need not be connected.

    position_weight: 0: colour only; 1: the image's longer side counts as much as the distance from black to white.
    """
    lab = _to_lab(import_extra("skimage.filters").gaussian(image, sigma=1.0, channel_axis=-1))
    height, width = lab.shape[:2]
    y, x = np.mgrid[:height, :width] * (position_weight * _POSITION_SCALE / max(height, width))
    points = np.dstack((lab, y, x)).astype(np.float32)  # (H, W, 5)
    sampled = points[::_FIT_STRIDE, ::_FIT_STRIDE].reshape(-1, 5)
    num_clusters = min(num_clusters, len(np.unique(sampled, axis=0)))
    means = import_extra("sklearn.cluster").KMeans(num_clusters, n_init=3, random_state=0).fit(sampled)
    return _from_zero(means.predict(points.reshape(-1, 5)).reshape(height, width))


def slic_superpixels(image: Image, num_superpixels: int, compactness: float) -> Labels:
    """Superpixels of Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods" (2012)."""
    slic = import_extra("skimage.segmentation").slic
    return _from_zero(slic(image, num_superpixels, compactness, start_label=0, channel_axis=-1))


def merge_by_threshold(image: Image, superpixels: Labels, threshold: float) -> Labels:
    """Merge neighbouring regions, the most alike first, until none differ by less than threshold in mean L*a*b*."""
    graph = import_extra("skimage.graph")
    adjacency = graph.rag_mean_color(_to_lab(image), superpixels)
    merged = graph.merge_hierarchical(
        superpixels,
        adjacency,
        thresh=threshold,
        rag_copy=False,
        in_place_merge=True,
        merge_func=_pool_colors,
        weight_func=_color_difference,
    )
    return _from_zero(merged)


def merge_to_count(image: Image, superpixels: Labels, num_clusters: int) -> Labels:
    """Merge neighbouring regions, Ward's linkage of mean L*a*b* colours, until num_clusters are left."""
    cluster = import_extra("sklearn.cluster")
    num_superpixels = int(superpixels.max()) + 1
    if num_superpixels <= num_clusters:
        return superpixels
    areas = np.bincount(superpixels.ravel())
    lab = _to_lab(image).reshape(-1, 3)
    means = np.stack([np.bincount(superpixels.ravel(), channel) / areas for channel in lab.T], 1)
    tree = cluster.AgglomerativeClustering(num_clusters, connectivity=_adjacency(superpixels), linkage="ward")
    return _from_zero(tree.fit_predict(means)[superpixels])


def felzenszwalb_regions(image: Image, scale: float, sigma: float, min_size: int) -> Labels:
    """Regions of Felzenszwalb and Huttenlocher, "Efficient graph-based image segmentation" (2004)."""
    felzenszwalb = import_extra("skimage.segmentation").felzenszwalb
    return _from_zero(felzenszwalb(image, scale=scale, sigma=sigma, min_size=min_size, channel_axis=-1))


def _to_lab(image: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(import_extra("skimage.color").rgb2lab(image), np.float64)


def _from_zero(labels: NDArray[Any]) -> Labels:
    return np.asarray(np.unique(labels, return_inverse=True)[1].reshape(labels.shape), np.int64)


def _color_difference(graph: Any, source: int, target: int, neighbor: int) -> dict[str, float]:
    difference = graph.nodes[target]["mean color"] - graph.nodes[neighbor]["mean color"]
    return {"weight": float(np.linalg.norm(difference))}


def _pool_colors(graph: Any, source: int, target: int) -> None:
    kept, gone = graph.nodes[target], graph.nodes[source]
    for key in ("total color", "pixel count"):
        kept[key] = kept[key] + gone[key]
    kept["mean color"] = kept["total color"] / kept["pixel count"]


def _adjacency(labels: Labels) -> Any:
    """Which regions touch: a symmetric sparse matrix (N, N)."""

    starts = np.concatenate((labels[:, :-1].ravel(), labels[:-1].ravel()))
    ends = np.concatenate((labels[:, 1:].ravel(), labels[1:].ravel()))
    differ = starts != ends
    starts, ends = starts[differ], ends[differ]
    size = int(labels.max()) + 1
    matrix = coo_matrix((np.ones(len(starts)), (starts, ends)), shape=(size, size)).tocsr()
    return matrix + matrix.T
