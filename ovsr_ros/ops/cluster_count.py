"""How many clusters an image has, from the singular values of its feature matrix."""

from __future__ import annotations

import torch
from torch import Tensor


def count_by_energy(singular_values: Tensor, fraction: float) -> int:
    """How many singular values exceed `fraction` of the first."""
    if singular_values.numel() == 0:
        return 0
    return int((singular_values > fraction * singular_values[0]).sum())


def count_by_eigengap(singular_values: Tensor, max_count: int) -> int:
    """The count before the largest relative gap, looked for from 2 to max_count.

    DiffCut and Falcon take argmax((v_i - mean(v_1..i-1)) / mean(v_1..i-1)) over the ascending eigenvalues v of a graph
    Laplacian. Here v_i = 1 - s_i / s_1 stands for them: ascending from 0, and near 0 for directions as strong as the
    first. The gap after the first value has no scale (its mean is 0), so the smallest answer is 2.
    """
    if singular_values.numel() < 3 or singular_values[0] <= 0:
        return min(1, singular_values.numel())
    ascending = 1.0 - singular_values.double() / singular_values[0]
    counts = torch.arange(1, len(ascending), device=ascending.device)  # entry j: the mean of the first j + 1
    means = (ascending.cumsum(0)[:-1] / counts).clamp_min(1e-9)
    gaps = (ascending[1:] - means) / means  # (R - 1,), entry j is the gap before value j + 1
    return int(gaps[1 : max(2, max_count)].argmax()) + 2


def count_by_gavish_donoho(singular_values: Tensor, shape: tuple[int, int]) -> int:
    """How many singular values of a matrix of `shape` exceed the optimal hard threshold for unknown white noise.

    Gavish and Donoho, arXiv 1305.5870: omega(beta) times the median singular value, with the paper's cubic for omega
    (its equation 5, within 0.02 of the exact value).
    """
    if singular_values.numel() == 0:
        return 0
    beta = min(shape) / max(shape)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    return int((singular_values > omega * singular_values.median()).sum())


def clamp_count(count: int, k_min: int, k_max: int, num_points: int) -> int:
    """Bring a count into [k_min, k_max], and never above the number of points or below 1."""
    return max(1, min(max(count, k_min), k_max, num_points))
