"""How well each segment matches each text: cosine similarity, plain or in a joint latent space, and its softmax."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ovsr_ros.ops.latent import truncated_svd


def joint_projection(
    image_embeddings: Tensor, text_embeddings: Tensor, energy: float, max_rank: int
) -> tuple[Tensor, Tensor]:
    """Project both kinds of embeddings on the top right-singular vectors of their stack, and renormalise.

    image_embeddings: (N, D), text_embeddings: (T, D), float32, L2-normalised. The (N + T, D) stack's singular values
    give the rank r: the smallest that holds `energy` of the sum of squares, at most max_rank. Returns (N, r) and
    (T, r), L2-normalised. The stack is not centred.
    """
    coordinates, _ = truncated_svd(torch.cat((image_embeddings, text_embeddings)), energy, max_rank)
    projected = functional.normalize(coordinates, dim=1)
    return projected[: len(image_embeddings)], projected[len(image_embeddings) :]


def match_probabilities(
    image_embeddings: Tensor, text_embeddings: Tensor, logit_scale: float, text_bias: Tensor | None = None
) -> Tensor:
    """Softmax over the texts of the scaled cosine similarities of L2-normalised (N, D) and (T, D): (N, T).

    text_bias: (T,), added to the logits; None: nothing.
    """
    logits = logit_scale * image_embeddings @ text_embeddings.T
    return (logits if text_bias is None else logits + text_bias).softmax(1)
