"""Stage 2: the feature matrix's truncated SVD."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ovsr_ros.ops.threads import one_thread
from ovsr_ros.options import option


@dataclass(frozen=True)
class LatentOptions:
    """How many latent dimensions describe a grid cell."""

    energy: float = option(
        0.95, help="fraction of the sum of squared singular values that the latent dimensions hold", min=0.01, max=1.0
    )
    max_rank: int = option(32, help="most latent dimensions", min=1, max=512)


def compute_latents(features: Tensor, options: LatentOptions) -> tuple[Tensor, Tensor]:
    """Latents U_r S_r of a feature matrix (N, C), (N, r) float32, and all its singular values, descending."""
    return truncated_svd(features, options.energy, options.max_rank)


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


def singular_values_of(matrix: Tensor) -> Tensor:
    """All singular values of a matrix (N, C) of few columns, (C,) float32, descending, from its Gram matrix."""
    values: Tensor = torch.linalg.eigvalsh((matrix.T @ matrix).double())
    return values.flip(0).clamp_min(0).sqrt().float()


def _eigh_descending(gram: Tensor) -> tuple[Tensor, Tensor]:
    # Eigenvectors of float32 lose orthogonality between close eigenvalues; float64 costs little at this size.
    with one_thread():  # of a matrix this small, two threads take twice as long
        eigenvalues, vectors = torch.linalg.eigh(gram.double())
    vectors = vectors.flip(1)
    largest = vectors.abs().argmax(0, keepdim=True)  # (1, R)
    vectors = vectors * torch.where(vectors.gather(0, largest) < 0, -1.0, 1.0)
    return eigenvalues.flip(0).clamp_min(0).sqrt().float(), vectors.float()


def rank_by_energy(singular_values: Tensor, energy: float, max_rank: int) -> int:
    """Smallest r whose first r singular values hold the fraction `energy` of the sum of squares; 1 to max_rank."""
    squares = singular_values.double() ** 2
    total = squares.sum()
    if singular_values.numel() == 0 or total <= 0:
        return min(1, singular_values.numel())
    # The small slack keeps energy = 1.0 from asking for one value more than there is.
    rank = int((squares.cumsum(0) < energy * total * (1 - 1e-12)).sum()) + 1
    return max(1, min(rank, max_rank, singular_values.numel()))
