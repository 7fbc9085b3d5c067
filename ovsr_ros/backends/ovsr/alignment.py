"""Stage 7: segments meet the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import scipy.linalg
import torch
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.ovsr.latent import eigh
from ovsr_ros.options import option
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

_SMALLEST_SQUARE = 1e-6
"""Of a projected embedding's length: what is left under it is rounding noise of float32."""

_MOST_OF_ALL = 320
"""Rows up to which `extreme_eigenpairs` takes all from PyTorch, in one thread: 254 categories and 64 segments."""


@dataclass(frozen=True)
class AlignmentOptions:
    """How image and text embeddings are compared."""

    method: str = option(
        "svd",
        help="svd: in the latent space of a joint SVD of image and text embeddings; none: as the encoders give them",
        choices=("svd", "none"),
    )
    energy: float = option(
        0.99, help="fraction of the sum of squared singular values that the joint space holds", min=0.01, max=1.0
    )
    max_rank: int = option(512, help="most dimensions of the joint space", min=1, max=4096)
    logit_scale: float = option(
        0.0, help="factor on the cosine similarities before the softmax; 0: the model's own", min=0.0, max=1000.0
    )
    unlabeled_bias: float = option(
        0.0,
        help="added to the logits of what labels nothing, such as something else; under 0 a doubtful segment rather "
        "gets a label, over 0 rather none",
        min=-20.0,
        max=20.0,
    )


def score_segments(
    image_embeddings: Tensor, classifier: TextClassifier, model_logit_scale: float, options: AlignmentOptions
) -> Tensor:
    """Probability of each of the classifier's texts (T, D) for each segment (N, D): (N, T), each row summing to 1."""
    texts = classifier.embeddings
    if options.method == "svd":
        cosines = joint_cosines(image_embeddings, texts, *classifier.spectrum, options.energy, options.max_rank)
    else:
        cosines = image_embeddings @ texts.T
    is_unlabeled = (classifier.class_ids == UNLABELED_ID).float()  # (T,)
    bias = options.unlabeled_bias * is_unlabeled if options.unlabeled_bias else None
    return match_probabilities(cosines, options.logit_scale or model_logit_scale, bias)


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
        values, vectors = eigh(matrix)
        values, vectors = (values[-count:], vectors[:, -count:]) if largest else (values[:count], vectors[:, :count])
    if largest:
        values, vectors = values.flip(0), vectors.flip(1)
    return values.clamp_min(0).double(), vectors.float()
