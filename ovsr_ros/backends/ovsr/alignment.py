"""Stage 7: segments meet the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.ovsr.latent import truncated_svd
from ovsr_ros.options import option
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.text_embeddings import TextClassifier


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
        cosines = joint_cosines(image_embeddings, texts, options.energy, options.max_rank)
    else:
        cosines = image_embeddings @ texts.T
    is_unlabeled = (classifier.class_ids == UNLABELED_ID).float()  # (T,)
    bias = options.unlabeled_bias * is_unlabeled if options.unlabeled_bias else None
    return match_probabilities(cosines, options.logit_scale or model_logit_scale, bias)


def joint_cosines(images: Tensor, texts: Tensor, energy: float, max_rank: int) -> Tensor:
    """Cosines (N, T) of image (N, D) and text embeddings (T, D), both projected on the latent space that they share.

    That is spanned by the top right-singular vectors of the stack of both, (N + T, D), which is not centred: the
    fewest that hold `energy` of the sum of squared singular values, at most max_rank.
    """
    rows, _ = truncated_svd(torch.cat((images, texts)), energy, max_rank)
    of_images, of_texts = torch.split(functional.normalize(rows, dim=1), [len(images), len(texts)])
    return of_images @ of_texts.T


def match_probabilities(cosines: Tensor, logit_scale: float, text_bias: Tensor | None = None) -> Tensor:
    """Softmax over the texts of the scaled cosines (N, T): (N, T).

    text_bias: (T,), added to the logits; None: nothing.
    """
    logits = logit_scale * cosines
    return (logits if text_bias is None else logits + text_bias).softmax(1)
