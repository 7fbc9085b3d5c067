"""Stage 3, its last steps: clusters that look alike merge, those with a long common border first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

from ovsr_ros.ops.dendrogram import relabel_by_appearance


def merge_clusters(
    labels: NDArray[np.int64], points: NDArray[np.float64], num_clusters: int, border_weight: float
) -> NDArray[np.int64]:
    """Merge clusters, the two nearest at a time, until num_clusters are left.

    labels: (rows, columns), from 0, every label taken; -1 where there is no point. points: (N, D), of the other cells,
    row by row. Returns (rows, columns), labels from 0 in the order in which they first appear, and -1 as before.

    Two clusters are as far apart as the root of their points' mean squared distance, over all pairs of one point of
    each, times 1 - border_weight * b. b is the share of the common border in the border of the one whose border is
    shorter, both counted in pairs of cells that touch: [0, 1]. What has no common border can merge, too, as the parts
    of one wall on both sides of a door.
    """
    parts = _Parts(labels, points, border_weight)
    root = np.arange(parts.num_parts)
    distances = np.stack([parts.distances_to(part) for part in range(parts.num_parts)])
    for _ in range(parts.num_parts - num_clusters):
        kept, gone = sorted(divmod(int(distances.argmin()), parts.num_parts))
        parts.merge(kept, gone)
        root[root == gone] = kept
        distances[gone] = distances[:, gone] = np.inf
        distances[kept] = distances[:, kept] = np.where(np.isinf(distances[kept]), np.inf, parts.distances_to(kept))
    merged: NDArray[np.int64] = labels.copy()
    merged[labels >= 0] = relabel_by_appearance(root[labels[labels >= 0]])
    return merged


class _Parts:
    """What the distance of two clusters is made of: their means, mean squared lengths, and common borders."""

    def __init__(self, labels: NDArray[np.int64], points: NDArray[np.float64], border_weight: float) -> None:
        self.num_parts = int(labels.max()) + 1
        self._border_weight = border_weight
        of_point = labels[labels >= 0]
        members = coo_matrix((np.ones(of_point.size), (of_point, np.arange(of_point.size)))).tocsr()
        self._counts = np.asarray(members.sum(1)).ravel()
        self._means = (members @ points) / self._counts[:, None]
        self._squares = (members @ np.square(points).sum(1)) / self._counts
        self._borders = _common_borders(labels, self.num_parts)

    def distances_to(self, part: int) -> NDArray[np.float64]:
        """From every cluster, (P,); infinity from itself."""
        squared = self._squares + self._squares[part] - 2 * self._means @ self._means[part]
        lengths = self._borders.sum(1)
        shares = self._borders[part] / np.maximum(np.minimum(lengths, lengths[part]), 1)
        distances: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0)) * (1 - self._border_weight * shares)
        distances[part] = np.inf
        return distances

    def merge(self, kept: int, gone: int) -> None:
        share = self._counts[gone] / (self._counts[kept] + self._counts[gone])
        self._means[kept] += share * (self._means[gone] - self._means[kept])
        self._squares[kept] += share * (self._squares[gone] - self._squares[kept])
        self._counts[kept] += self._counts[gone]
        self._borders[kept] += self._borders[gone]
        self._borders[:, kept] += self._borders[:, gone]
        self._borders[gone] = self._borders[:, gone] = 0
        self._borders[kept, kept] = 0


def _common_borders(labels: NDArray[np.int64], num_parts: int) -> NDArray[np.float64]:
    """(P, P): how many pairs of cells side by side, or one below the other, two clusters have in common."""
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    ones = np.concatenate((labels[:, :-1][across], labels[:-1][down]))
    others = np.concatenate((labels[:, 1:][across], labels[1:][down]))
    if labels.min() < 0:
        between = np.minimum(ones, others) >= 0
        ones, others = ones[between], others[between]
    counts = np.bincount(ones * num_parts + others, minlength=num_parts**2).reshape(num_parts, num_parts)
    borders: NDArray[np.float64] = (counts + counts.T).astype(np.float64)
    return borders
