"""Attention weights from the likeness of another network's tokens (Lan et al., arXiv 2408.04883; Trident)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mean_cosine(tokens: Tensor) -> Tensor:
    """Mean over all pairs of tokens of one window, and over the windows, of their cosines: a scalar; tokens (B, N, C).

    The mean of a window's N x N cosines is the squared length of its mean direction.
    """
    return functional.normalize(tokens, dim=-1).mean(1).square().sum(-1).mean()


def proxy_attention(tokens: Tensor, mean: Tensor, beta: float, gamma: float) -> Tensor:
    """Weights (B, N, N), each row summing to 1, from tokens (B, N, C): softmax(gamma * (cosine - beta * mean)).

    mean: of the cosines over all windows of the image. Pairs less alike than beta * mean get no weight; should that be
    all pairs of a token, which takes beta * mean above 1, the token keeps its own value alone.
    """
    directions = functional.normalize(tokens, dim=-1)
    scores = (directions @ directions.transpose(1, 2) - beta * mean) * gamma  # (B, N, N)
    nobody = (scores.amax(-1) < 0)[..., None]  # (B, N, 1)
    own = torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device)
    return scores.masked_fill((scores < 0) & ~(nobody & own), -torch.inf).softmax(-1)
