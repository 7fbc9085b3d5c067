"""Hierarchical clustering by Ward's, average or complete linkage, by the fastest way that is at hand."""

from __future__ import annotations

import numpy as np
import torch
from scipy.cluster import hierarchy
from torch import Tensor

from ovsr_ros.ops import native
from ovsr_ros.ops.dendrogram import Dendrogram
from ovsr_ros.ops.ward_rounds import ward_rounds

METHODS = ("ward", "average", "complete")


def linkage(points: Tensor, method: str = "ward") -> Dendrogram:
    """The dendrogram of points (N, D) under "ward", "average" or "complete" linkage of Euclidean distances.

    Ward runs on the points' device; the others run on the CPU, in SciPy, and take O(N^2) memory. Raises ValueError when
    a coordinate is not finite.
    """
    if method == "ward":
        return ward(points)
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    _require_finite(points)
    if len(points) < 2:
        return Dendrogram(np.zeros((0, 2), np.int64), np.zeros(0))
    tree = hierarchy.linkage(points.detach().double().cpu().numpy(), method)
    return Dendrogram(tree[:, :2].astype(np.int64), tree[:, 2].copy())


def ward(points: Tensor, num_threads: int | None = None) -> Dendrogram:
    """The exact Ward dendrogram of points (N, D), N >= 1, in memory linear in N. Raises ValueError for NaN or infinity.

    On a CPU by compiled code where the package was built with it, on num_threads threads (by default as many as
    PyTorch uses); else, and on any other device, by PyTorch. Where distances tie, the two may choose differently.
    """
    _require_finite(points)
    points = points.detach()
    library = native.load() if points.device.type == "cpu" else None
    if library is None:
        return ward_rounds(points)
    return native.ward(library, points.double().numpy(), num_threads)


def _require_finite(points: Tensor) -> None:
    if points.ndim != 2 or points.numel() == 0:
        raise ValueError(f"points: expected (N, D) with N, D >= 1, got {tuple(points.shape)}")
    if not torch.isfinite(points).all():
        raise ValueError("points: expected finite coordinates, got NaN or infinity")
