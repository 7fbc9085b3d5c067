"""Hierarchical clustering by Ward's or average linkage, of distances or their squares, by the fastest way at hand."""

from __future__ import annotations

import numpy as np
import torch
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist
from torch import Tensor

from ovsr_ros.ops import native
from ovsr_ros.ops.dendrogram import Dendrogram
from ovsr_ros.ops.ward_rounds import ward_rounds

METHODS = native.METHODS


def linkage(points: Tensor, method: str = "ward", num_threads: int | None = None) -> Dendrogram:
    """The exact dendrogram of points (N, D), N >= 1, by "ward", "average" or "average_squared" linkage.

    Distances are Euclidean; those of average_squared are means of their squares, which for points of length 1 are twice
    the means of one minus the cosine. All run in compiled code where the package was built with it, on num_threads
    threads (by default as many as PyTorch uses). Elsewhere, and for a GPU's points, Ward runs in PyTorch on the points'
    device. What is left runs in SciPy. Compiled, all but average take memory linear in N. Where distances tie, ways may
    choose differently.

    Raises ValueError for a method that is none of these, and for NaN or infinity.
    """
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    _require_finite(points)
    points = points.detach()
    on_cpu = points.device.type == "cpu"
    library = native.load() if on_cpu or method != "ward" else None
    if library is not None:
        return native.linkage(library, method, points.double().cpu().numpy(), num_threads)
    if method == "ward":
        return ward_rounds(points)
    if len(points) < 2:
        return Dendrogram(np.zeros((0, 2), np.int64), np.zeros(0))
    distances = pdist(points.double().cpu().numpy(), "sqeuclidean" if method == "average_squared" else "euclidean")
    tree = hierarchy.linkage(distances, "average")
    return Dendrogram(tree[:, :2].astype(np.int64), tree[:, 2].copy())


def _require_finite(points: Tensor) -> None:
    if points.ndim != 2 or points.numel() == 0:
        raise ValueError(f"points: expected (N, D) with N, D >= 1, got {tuple(points.shape)}")
    if not torch.isfinite(points).all():
        raise ValueError("points: expected finite coordinates, got NaN or infinity")
