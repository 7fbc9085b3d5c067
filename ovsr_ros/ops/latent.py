"""Latent representations: a truncated SVD through the Gram matrix."""

from __future__ import annotations

import scipy.linalg
import torch
from torch import Tensor

from ovsr_ros.ops.threads import one_thread

_MOST_OF_ALL = 320
"""Rows up to which `extreme_eigenpairs` takes all from PyTorch, in one thread: 254 categories and 64 segments."""


def truncated_svd(matrix: Tensor, energy: float, max_rank: int) -> tuple[Tensor, Tensor]:
    """Coordinates of a matrix's rows in its top right-singular basis, and all its singular values.

    matrix: (N, C) float. Returns U_r S_r = M V_r, (N, r) float32, with r from `rank_by_energy`, and the singular values
    (min(N, C),) float32, descending, from the symmetric eigenproblem of the smaller of M^T M and M M^T. Each column's
    sign is such that its entry of largest magnitude in V (in U, where N < C) is positive: equal input, equal output.

    The Gram matrix squares the condition: singular values under about 1e-4 of the first are rounding noise where it is
    formed in float32. They carry under 1e-8 of the energy.
    """
    matrix = matrix.float()
    num_rows, num_columns = matrix.shape
    if num_rows == 0 or num_columns == 0:
        return matrix.new_zeros(num_rows, 0), matrix.new_zeros(0)
    is_tall = num_columns <= num_rows
    values, vectors = _eigh_descending(matrix.T @ matrix if is_tall else matrix @ matrix.T)
    rank = rank_by_energy(values, energy, max_rank)
    kept = vectors[:, :rank]  # of V (C, r), or of U (N, r)
    return (matrix @ kept if is_tall else kept * values[:rank]), values


def _eigh_descending(gram: Tensor) -> tuple[Tensor, Tensor]:
    eigenvalues, vectors = _eigh(gram)
    vectors = vectors.flip(1)
    largest = vectors.abs().argmax(0, keepdim=True)  # (1, R)
    vectors = vectors * torch.where(vectors.gather(0, largest) < 0, -1.0, 1.0)
    return eigenvalues.flip(0).clamp_min(0).sqrt().float(), vectors.float()


def _eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    # Eigenvectors of float32 lose orthogonality between close eigenvalues; float64 costs little at this size.
    with one_thread():  # of a matrix this small, two threads take twice as long
        values, vectors = torch.linalg.eigh(matrix.double())
    return values, vectors


def extreme_eigenpairs(matrix: Tensor, count: int, largest: bool) -> tuple[Tensor, Tensor]:
    """The `count` smallest or largest eigenvalues of a positive semidefinite (R, R) float32, and their vectors.

    (count,) float64, from the outermost inwards, and (R, count), orthonormal; 1 <= count <= R. The vectors' signs are
    any.
    """
    size, is_cpu = len(matrix), matrix.device.type == "cpu"
    if is_cpu and size > _MOST_OF_ALL:
        # A part takes half of the time of all, and float32 half again; PyTorch's own float32 is a hundred times less
        # accurate. SciPy's LAPACK has threads of its own that wait for each other: on a busy machine 20 ms, whatever
        # the size, so that it is only for what takes that long anyway.
        first = size - count if largest else 0
        found = scipy.linalg.eigh(
            matrix.numpy(), subset_by_index=(first, first + count - 1), driver="evr", check_finite=False
        )
        values, vectors = (torch.from_numpy(part) for part in found)
    else:
        values, vectors = _eigh(matrix)
        values, vectors = (values[-count:], vectors[:, -count:]) if largest else (values[:count], vectors[:, :count])
    if largest:
        values, vectors = values.flip(0), vectors.flip(1)
    return values.clamp_min(0).double(), vectors.float()


def rank_by_energy(singular_values: Tensor, energy: float, max_rank: int) -> int:
    """Smallest r whose first r singular values hold the fraction `energy` of the sum of squares; 1 to max_rank."""
    squares = singular_values.double() ** 2
    total = squares.sum()
    if singular_values.numel() == 0 or total <= 0:
        return min(1, singular_values.numel())
    # The small slack keeps energy = 1.0 from asking for one value more than there is.
    rank = int((squares.cumsum(0) < energy * total * (1 - 1e-12)).sum()) + 1
    return max(1, min(rank, max_rank, singular_values.numel()))
