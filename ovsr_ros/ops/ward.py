"""Hierarchical clustering: the tree of merges, apart from its cut into a number of clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster import hierarchy
from torch import Tensor

METHODS = ("ward", "average", "complete")

_ROWS_AT_ONCE = 128
"""Rows of the distance matrix formed at once: 128 x 5504 float64 is 6 MB, which stays in a cache."""


@dataclass(frozen=True)
class Dendrogram:
    """The tree of merges of N points, in ascending order of height.

    merges: (N-1, 2) int64; a value below N is a point, N + i the cluster that merge i made.
    heights: (N-1,) float64, never descending; for Ward as SciPy gives them: sqrt(2 * increase of the sum of squares).
    """

    merges: NDArray[np.int64]
    heights: NDArray[np.float64]

    @property
    def num_points(self) -> int:
        return len(self.heights) + 1

    def cut(self, num_clusters: int) -> NDArray[np.int64]:
        """The partition into num_clusters: (N,) labels from 0, in the order in which they first appear.

        Raises ValueError unless 1 <= num_clusters <= N.
        """
        num_points = self.num_points
        if not 1 <= num_clusters <= num_points:
            raise ValueError(f"num_clusters: expected 1 to {num_points}, got {num_clusters}")
        num_merges = num_points - num_clusters
        root = np.arange(num_points + num_merges)
        root[self.merges[:num_merges].ravel()] = np.repeat(np.arange(num_points, num_points + num_merges), 2)
        while True:  # each pass doubles how far up the tree a point sees
            above = root[root]
            if np.array_equal(above, root):
                return relabel_by_appearance(root[:num_points])
            root = above


def relabel_by_appearance(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same partition, labels (N,) numbered from 0 in the order in which they first appear."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.reshape(-1)]


def linkage(points: Tensor, method: str = "ward") -> Dendrogram:
    """The dendrogram of points (N, D) under "ward", "average" or "complete" linkage of Euclidean distances.

    Ward runs on the points' device; the others run in SciPy, on the CPU, and take O(N^2) memory.
    """
    if method == "ward":
        return ward(points)
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if len(points) < 2:
        return Dendrogram(np.zeros((0, 2), np.int64), np.zeros(0))
    tree = hierarchy.linkage(points.double().cpu().numpy(), method)
    return Dendrogram(tree[:, :2].astype(np.int64), tree[:, 2].copy())


def ward(points: Tensor) -> Dendrogram:
    """The exact Ward dendrogram of points (N, D), N >= 1, by rounds of reciprocal nearest neighbours.

    Ward's linkage is reducible: merging two clusters never brings the union nearer to a third than the nearer of them
    was. So every pair of mutual nearest neighbours is a merge of the tree, all such pairs can merge in one round, and
    a cluster whose neighbour did not merge keeps it. Distances come from one matrix product per round, in float64.

    Coordinates are rounded to 2^-24 of the largest, float32's own precision: then products are exact, and points that
    differ by rounding noise only are equal, which merge first.
    """
    num_points = len(points)
    if num_points < 2:
        return Dendrogram(np.zeros((0, 2), np.int64), np.zeros(0))
    centers, step = _round_to_lattice(points)
    centers, sizes, ids, merges = _merge_equal(centers)
    heights = [centers.new_zeros(num_points - len(ids))]
    num_made = num_points - len(ids)
    formed = torch.zeros_like(sizes)  # squared height at which each cluster was made
    nearest = torch.zeros_like(ids)
    distances = torch.zeros_like(sizes)
    stale = torch.ones_like(ids, dtype=torch.bool)
    while len(ids) > 1:
        rows = stale.nonzero()[:, 0]
        distances[rows], nearest[rows] = _nearest_neighbors(centers, sizes, rows)
        first = _reciprocal_pairs(nearest, distances)  # (P,)
        second = nearest[first]
        # Rounding must not put a merge below those that made its parts.
        formed[first] = torch.maximum(distances[first], torch.maximum(formed[first], formed[second]))
        merges.append(torch.stack((ids[first], ids[second]), 1))  # (P, 2)
        heights.append(formed[first])

        ids[first] = torch.arange(len(first), device=ids.device) + (num_points + num_made)
        num_made += len(first)
        union = sizes[first] + sizes[second]
        centers[first] += (sizes[second] / union)[:, None] * (centers[second] - centers[first])
        sizes[first] = union

        changed = torch.zeros_like(stale)
        changed[first] = True
        changed[second] = True
        kept = torch.ones_like(stale)
        kept[second] = False
        stale = (changed | changed[nearest])[kept]
        nearest = (kept.cumsum(0) - 1)[nearest[kept]]
        centers, sizes, ids, formed, distances = (t[kept] for t in (centers, sizes, ids, formed, distances))
    squared = torch.cat(heights).cpu().numpy() * float(step) ** 2
    return _sort_merges(torch.cat(merges).cpu().numpy(), np.sqrt(squared), num_points)


def _nearest_neighbors(centers: Tensor, sizes: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    # Ward's squared distance is 2 |a||b| / (|a| + |b|) * ||c_a - c_b||^2, and one product gives ||c_a - c_b||^2 for a
    # block of rows: [-2 c_a, 1, |c_a|^2] . [c_b, |c_b|^2, 1]
    squares = (centers * centers).sum(1, keepdim=True)  # (M, 1)
    ones = torch.ones_like(squares)
    right = torch.cat((centers, squares, ones), 1).T.contiguous()  # (D + 2, M)
    left = torch.cat((-2.0 * centers, ones, squares), 1)  # (M, D + 2)
    half_inverse_sizes = 0.5 / sizes
    all_single = bool(sizes.max() == 1)
    found_distances, found_columns = [], []
    for block in torch.split(rows, _ROWS_AT_ONCE):
        squared = left[block] @ right  # (rows, M)
        if not all_single:
            squared /= half_inverse_sizes[block, None] + half_inverse_sizes
        squared.scatter_(1, block[:, None], torch.inf)  # no cluster is its own neighbour
        smallest, columns = squared.min(1)
        found_distances.append(smallest)
        found_columns.append(columns)
    return torch.cat(found_distances).clamp_min_(0.0), torch.cat(found_columns)


def _reciprocal_pairs(nearest: Tensor, distances: Tensor) -> Tensor:
    order = torch.arange(len(nearest), device=nearest.device)
    first = ((nearest[nearest] == order) & (order < nearest)).nonzero()[:, 0]
    if len(first) == 0:
        # Ties can chase one another in a ring (a -> b -> c -> a); the closest pair is always a merge of the tree.
        return distances.argmin()[None]
    return first


def _round_to_lattice(points: Tensor) -> tuple[Tensor, Tensor]:
    centers = points.double()
    centers = centers - centers.mean(0, keepdim=True)
    largest = centers.abs().max() if centers.numel() else centers.new_zeros(())
    step = torch.where(largest > 0, largest * 2.0**-24, 1.0)
    return (centers / step).round(), step


def _merge_equal(centers: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    # Without this, a thousand equal points would be a thousand rounds of one pair each.
    num_points = len(centers)
    ids = torch.arange(num_points, device=centers.device)
    sizes = centers.new_ones(num_points)
    _, order = torch.sort(centers @ torch.linspace(1.0, 2.0, centers.shape[1], device=centers.device).double())
    if not (centers[order[1:]] == centers[order[:-1]]).all(1).any():
        return centers, sizes, ids, []
    unique, group, counts = torch.unique(centers, dim=0, return_inverse=True, return_counts=True)
    cluster_of_group: dict[int, int] = {}
    merges = []
    for point, index in enumerate(group.tolist()):
        if index in cluster_of_group:
            merges.append((cluster_of_group[index], point))
            cluster_of_group[index] = num_points + len(merges) - 1
        else:
            cluster_of_group[index] = point
    ids = torch.tensor([cluster_of_group[index] for index in range(len(unique))], device=centers.device)
    return unique, counts.double(), ids, [torch.tensor(merges, device=centers.device)]


def _sort_merges(merges: NDArray[np.int64], heights: NDArray[np.float64], num_points: int) -> Dendrogram:
    order = np.argsort(heights, kind="stable")  # equal heights keep the order in which they were made
    new_id = np.arange(2 * num_points - 1)
    new_id[num_points + order] = np.arange(num_points, 2 * num_points - 1)
    return Dendrogram(new_id[merges[order]], heights[order])
