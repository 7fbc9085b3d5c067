"""Which places an attention's heads agree to belong together: one row-normalised matrix, built head by head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class FilteredAttention:
    """A mean over heads of an attention's probabilities, without those of keys whose values are unlike the query's.

    Trident (Shi et al., arXiv 2411.09219, section 3.3, and its code): with C the cosines of a head's values, query i
    keeps key j in that head where C_ij > t_i. t_i is shared by the heads: factor times the mean of C_i over heads and
    keys; negative_threshold takes its place where it is under 0; it is at most max_threshold.

    values: (heads, N, d), what the attention averages. factor: of the mean. negative_threshold: None leaves negative
    thresholds as they are.

    Probabilities are added piece by piece, so that those of one head are never held whole.
    """

    def __init__(
        self, values: Tensor, factor: float, negative_threshold: float | None = None, max_threshold: float = 0.9
    ) -> None:
        self._directions = functional.normalize(values.float(), dim=-1)  # (heads, N, d)
        self.thresholds = similarity_thresholds(self._directions, factor, negative_threshold, max_threshold)
        num_tokens = values.shape[1]
        self._sum = values.new_zeros((num_tokens, num_tokens), dtype=torch.float32)

    def add(self, head: int, first: int, probabilities: Tensor) -> None:
        """Add one head's probabilities (n, N) of the queries from the `first` on; they are left as they are."""
        rows = slice(first, first + len(probabilities))
        directions = self._directions[head]
        cosines = directions[rows] @ directions.T  # (n, N)
        self._sum[rows] += torch.where(cosines > self.thresholds[rows, None], probabilities.float(), 0.0)

    def matrix(self) -> Tensor:
        """(N, N) float32, each row summing to 1, once every head's rows were added.

        A query always keeps itself; where its own probability is too small to be represented, it takes itself alone.
        """
        sums = self._sum.sum(1, keepdim=True)
        matrix = self._sum / torch.where(sums > 0, sums, 1.0)
        matrix.diagonal().add_((sums[:, 0] == 0).float())
        return matrix


def similarity_thresholds(
    directions: Tensor, factor: float, negative_threshold: float | None, max_threshold: float
) -> Tensor:
    """Per query, (N,), the least cosine that `FilteredAttention` keeps, from directions (heads, N, d) of length 1.

    A mean of cosines with all keys is the product with the keys' mean, so no N x N matrix is needed.
    """
    means = torch.einsum("hnd,hd->n", directions, directions.mean(1)) / len(directions)
    thresholds = factor * means
    if negative_threshold is not None:
        thresholds = torch.where(thresholds < 0, negative_threshold, thresholds)
    return thresholds.clamp(max=max_threshold)
