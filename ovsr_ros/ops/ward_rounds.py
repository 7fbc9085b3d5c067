"""Ward's linkage in PyTorch, on any device, by rounds of reciprocal nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovsr_ros.ops.dendrogram import Dendrogram, sort_merges

_CPU_ROWS_AT_ONCE = 128
"""Rows of the distance matrix formed at once: 128 x 5504 float64 is 6 MB, which stays in a cache."""

_GPU_ROWS_AT_ONCE = 2048

_NEVER = 1e300
"""Squared distance to a cluster that is gone: finite, so that no product of it is NaN."""


@dataclass
class _Clusters:
    """M clusters, some of them gone since they were last compacted."""

    centers: Tensor  # (M, D) float64, on the lattice that makes ties exact
    true_centers: Tensor  # (M, D) float64, for the heights
    sizes: Tensor  # (M,) float64
    ids: Tensor  # (M,) int64
    formed: Tensor  # (M,) squared height at which each was made
    nearest: Tensor  # (M,) int64
    distances: Tensor  # (M,) squared, to the nearest
    is_stale: Tensor  # (M,) bool: the nearest has to be looked for
    is_gone: Tensor  # (M,) bool


@dataclass
class _Made:
    """The merges so far, on the device; one more row takes what is not to be kept."""

    merges: Tensor  # (N, 2) int64
    heights: Tensor  # (N,) float64, squared
    count: Tensor  # () int64


def ward_rounds(points: Tensor, look_every: int | None = None) -> Dendrogram:
    """The exact Ward dendrogram of points (N, D), N >= 1, by rounds of reciprocal nearest neighbours.

    Ward's linkage is reducible: merging two clusters never brings the union nearer to a third than the nearer of them
    was. So every pair of mutual nearest neighbours is a merge of the tree, all such pairs can merge in one round, and
    a cluster whose neighbour did not merge keeps it. Distances come from one matrix product per round, in float64.

    To find out who is nearest, coordinates are rounded to 2^-27 of the largest, a little finer than float32's own
    precision: points that differ by rounding noise only are equal, and merge first. Heights are not rounded.

    look_every: rounds between two looks at how many clusters are left, which is when the host waits for the device; by
    default 1 on a CPU, 4 elsewhere. Between looks all clusters look for their nearest, since choosing some would be a
    look.
    """
    num_points = len(points)
    if num_points < 2:
        return Dendrogram(np.zeros((0, 2), np.int64), np.zeros(0))
    on_cpu = points.device.type == "cpu"
    look_every = look_every or (1 if on_cpu else 4)
    rows_at_once = _CPU_ROWS_AT_ONCE if on_cpu else _GPU_ROWS_AT_ONCE
    clusters, made = _start(points)
    while len(clusters.ids) > 1:
        all_rows = torch.arange(len(clusters.ids), device=points.device)
        for _ in range(look_every):
            rows = all_rows[clusters.is_stale] if look_every == 1 else all_rows
            _find_nearest(clusters, rows, rows_at_once)
            _merge_pairs(clusters, made, num_points)
        _compact(clusters)
    heights = made.heights[: num_points - 1].sqrt().cpu().numpy()
    return sort_merges(made.merges[: num_points - 1].cpu().numpy(), heights)


def _start(points: Tensor) -> tuple[_Clusters, _Made]:
    num_points, device = len(points), points.device
    centered = points.double() - points.double().mean(0, keepdim=True)
    largest = centered.abs().max() if centered.numel() else centered.new_zeros(())
    step = torch.where(largest > 0, largest * 2.0**-27, 1.0)
    lattice, true_centers, sizes, ids, merges = _merge_equal((centered / step).round(), centered)
    made = _Made(
        torch.zeros(num_points, 2, dtype=torch.int64, device=device),
        centered.new_zeros(num_points),
        torch.tensor(len(merges), device=device),
    )
    made.merges[: len(merges)] = merges
    nothing = torch.zeros_like(sizes)
    is_gone = torch.zeros_like(ids, dtype=torch.bool)
    everything = _Clusters(
        lattice, true_centers, sizes, ids, nothing, torch.zeros_like(ids), nothing.clone(), ~is_gone, is_gone
    )
    return everything, made


def _find_nearest(clusters: _Clusters, rows: Tensor, rows_at_once: int) -> None:
    # Ward's squared distance is 2 |a||b| / (|a| + |b|) * ||c_a - c_b||^2, and one product gives ||c_a - c_b||^2 for a
    # block of rows: [-2 c_a, 1, |c_a|^2] . [c_b, |c_b|^2, 1]
    centers = clusters.centers
    squares = (centers * centers).sum(1, keepdim=True)  # (M, 1)
    ones = torch.ones_like(squares)
    left = torch.cat((-2.0 * centers, ones, squares), 1)  # (M, D + 2)
    reachable = squares.masked_fill(clusters.is_gone[:, None], _NEVER)
    right = torch.cat((centers, reachable, ones), 1).T.contiguous()  # (D + 2, M)
    half_inverse_sizes = 0.5 / clusters.sizes
    for block in torch.split(rows, rows_at_once):
        squared = left[block] @ right  # (rows, M)
        squared /= half_inverse_sizes[block, None] + half_inverse_sizes
        squared.scatter_(1, block[:, None], torch.inf)  # no cluster is its own neighbour
        smallest, nearest = squared.min(1)
        clusters.distances[block] = smallest.clamp_min_(0.0)
        clusters.nearest[block] = nearest


def _merge_pairs(clusters: _Clusters, made: _Made, num_points: int) -> None:
    """One round; nothing here waits for the device, so that what merges is a mask and not a list."""
    nearest, sizes, formed = clusters.nearest, clusters.sizes, clusters.formed
    order = torch.arange(len(nearest), device=nearest.device)
    distances = clusters.distances.masked_fill(clusters.is_gone, torch.inf)
    # Ties can chase one another in a ring (a -> b -> c -> a); the closest pair is always a merge of the tree.
    is_mutual = (nearest[nearest] == order) & (order < nearest) & (distances < _NEVER / 2)
    is_closest = (order == distances.argmin()) & (distances < _NEVER / 2)
    is_first = torch.where(is_mutual.any(), is_mutual, is_closest)
    nobody = torch.full_like(nearest, len(nearest))
    is_second = torch.zeros(len(nearest) + 1, dtype=torch.bool, device=nearest.device)
    is_second = is_second.scatter(0, torch.where(is_first, nearest, nobody), True)[:-1]

    union = sizes + sizes[nearest]
    share = torch.where(is_first, sizes[nearest] / union, 0.0)[:, None]
    difference = clusters.true_centers[nearest] - clusters.true_centers
    # Rounding must not put a merge below those that made its parts.
    heights = 2.0 * sizes * sizes[nearest] / union * (difference * difference).sum(1)
    heights = torch.maximum(heights, torch.maximum(formed, formed[nearest]))
    rank = is_first.cumsum(0) - 1
    place = torch.where(is_first, made.count + rank, num_points - 1)  # the last row takes those that do not merge
    made.merges.index_put_((place,), torch.stack((clusters.ids, clusters.ids[nearest]), 1))
    made.heights.index_put_((place,), heights)

    clusters.ids = torch.where(is_first, num_points + made.count + rank, clusters.ids)
    made.count = made.count + is_first.sum()
    clusters.centers = clusters.centers + share * (clusters.centers[nearest] - clusters.centers)
    clusters.true_centers = clusters.true_centers + share * difference
    clusters.sizes = torch.where(is_first, union, sizes)
    clusters.formed = torch.where(is_first, heights, formed)
    has_changed = is_first | is_second
    clusters.is_stale = has_changed | has_changed[nearest]
    clusters.is_gone = clusters.is_gone | is_second


def _compact(clusters: _Clusters) -> None:
    is_left = ~clusters.is_gone
    clusters.nearest = (is_left.cumsum(0) - 1)[clusters.nearest]
    left = is_left.nonzero()[:, 0]
    for name, value in vars(clusters).items():
        setattr(clusters, name, value[left])


def _merge_equal(lattice: Tensor, centers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    # Without this, a thousand equal points would be a thousand rounds of one pair each. Points are equal on the
    # lattice; their cluster's true center is their mean.
    num_points, device = len(lattice), lattice.device
    ids = torch.arange(num_points, device=device)
    sizes = lattice.new_ones(num_points)
    nothing = torch.zeros((0, 2), dtype=torch.int64, device=device)
    _, order = torch.sort(lattice @ torch.linspace(1.0, 2.0, lattice.shape[1], device=device).double())
    if not (lattice[order[1:]] == lattice[order[:-1]]).all(1).any():
        return lattice, centers, sizes, ids, nothing
    unique, group, counts = torch.unique(lattice, dim=0, return_inverse=True, return_counts=True)
    counts = counts.double()
    means = torch.zeros_like(unique).index_add_(0, group, centers) / counts[:, None]
    cluster_of_group: dict[int, int] = {}
    merges = []
    for point, index in enumerate(group.tolist()):
        if index in cluster_of_group:
            merges.append((cluster_of_group[index], point))
            cluster_of_group[index] = num_points + len(merges) - 1
        else:
            cluster_of_group[index] = point
    ids = torch.tensor([cluster_of_group[index] for index in range(len(unique))], device=device)
    return unique, means, counts, ids, torch.tensor(merges, device=device)
