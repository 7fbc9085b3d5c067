"""How well each segment matches each text: cosine similarity, plain or in a joint latent space, and its softmax."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ovsr_ros.ops.latent import extreme_eigenpairs

_SMALLEST_SQUARE = 1e-6
"""Of a projected embedding's length: what is left under it is rounding noise of float32."""


def joint_cosines(
    images: Tensor, texts: Tensor, text_gram: Tensor, text_eigenvalues: Tensor, energy: float, max_rank: int
) -> Tensor:
    """Cosines (N, T) of image (N, D) and text embeddings (T, D), both projected on the latent space that they share.

    That is spanned by the top right-singular vectors of the stack of both, (N + T, D), which is not centred: the
    fewest that hold `energy` of the sum of squared singular values, at most max_rank. Embeddings are float32 and
    L2-normalised. text_gram: the texts' own Gram matrix, float32, (D, D) where T >= D, else (T, T); text_eigenvalues:
    its eigenvalues, float64, ascending. See `TextClassifier.spectrum`; they are the same for every image.

    The vectors that are left out, as a rule few, say as much as those that are kept. Only the fewer are asked for: the
    eigenvalues of the texts alone bound how many they can be, as each row that is added to a matrix moves its Gram
    matrix's eigenvalues past one neighbour at most.
    """
    num_images, num_texts = len(images), len(texts)
    cosines = images @ texts.T
    if num_images == 0 or num_texts == 0:
        return cosines
    is_tall = num_texts >= texts.shape[1]
    if is_tall:
        gram = text_gram + images.T @ images
    else:
        gram = torch.cat((torch.cat((images @ images.T, cosines), 1), torch.cat((cosines.T, text_gram), 1)))
    total, size = float(gram.diagonal().double().sum()), len(gram)
    to_drop = total * (1.0 - energy * (1.0 - 1e-12))  # the slack: energy = 1.0 asks for no value more than there is
    alone, fewest_dropped = text_eigenvalues.clamp_min(0), max(0, size - max_rank)
    # One more than the bound, for the values are rounded.
    most_dropped = int((alone.cumsum(0) <= to_drop).sum()) + (0 if is_tall else num_images) + 1
    most_dropped = min(max(most_dropped, fewest_dropped), size - 1)
    least_alone = alone[num_images:] if is_tall else alone
    most_kept = size - max(int((least_alone.cumsum(0) <= to_drop).sum()) - 1, fewest_dropped, 0)
    keeps = most_kept < most_dropped
    values, vectors = extreme_eigenpairs(gram, most_kept if keeps else most_dropped, largest=keeps)
    if keeps:
        count = min(int((values.cumsum(0) < total - to_drop).sum()) + 1, max_rank, len(values))
    else:
        count = max(int((values.cumsum(0) <= to_drop).sum()), fewest_dropped)
    values, vectors = values[:count], vectors[:, :count]
    if is_tall:
        of_images, of_texts = images @ vectors, texts @ vectors
    else:
        of_images, of_texts = torch.split(vectors * values.sqrt().float(), [num_images, num_texts])
    if keeps:
        return functional.normalize(of_images, dim=1) @ functional.normalize(of_texts, dim=1).T
    left = cosines - of_images @ of_texts.T
    lengths = [
        (whole.square().sum(1) - dropped.square().sum(1)).clamp_min(_SMALLEST_SQUARE).sqrt()
        for whole, dropped in ((images, of_images), (texts, of_texts))
    ]
    return (left / (lengths[0][:, None] * lengths[1])).clamp(-1, 1)


def match_probabilities(cosines: Tensor, logit_scale: float, text_bias: Tensor | None = None) -> Tensor:
    """Softmax over the texts of the scaled cosines (N, T): (N, T).

    text_bias: (T,), added to the logits; None: nothing.
    """
    logits = logit_scale * cosines
    return (logits if text_bias is None else logits + text_bias).softmax(1)
