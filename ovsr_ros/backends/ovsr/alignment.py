"""Stage 7: segments meet the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ovsr_ros.config import option
from ovsr_ros.ops.alignment import joint_projection, match_probabilities


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
    image_embeddings: Tensor,
    text_embeddings: Tensor,
    is_unlabeled: Tensor,
    model_logit_scale: float,
    options: AlignmentOptions,
) -> Tensor:
    """Probability of each text (T, D) for each segment (N, D): (N, T), each row summing to 1.

    is_unlabeled: (T,) bool, which of the texts label nothing.
    """
    if options.method == "svd":
        image_embeddings, text_embeddings = joint_projection(
            image_embeddings, text_embeddings, options.energy, options.max_rank
        )
    bias = options.unlabeled_bias * is_unlabeled.float() if options.unlabeled_bias else None
    return match_probabilities(image_embeddings, text_embeddings, options.logit_scale or model_logit_scale, bias)
