"""A tree of merges, and its cut into a number of clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


def sort_merges(merges: NDArray[np.int64], heights: NDArray[np.float64]) -> Dendrogram:
    """The dendrogram of merges (N-1, 2) in the order in which they were made, each after those that made its parts.

    No height may lie below those of the merge's parts; equal heights keep their order.
    """
    num_points = len(heights) + 1
    order = np.argsort(heights, kind="stable")
    new_id = np.arange(2 * num_points - 1)
    new_id[num_points + order] = np.arange(num_points, 2 * num_points - 1)
    return Dendrogram(new_id[merges[order]], heights[order])
