"""Stage 7: segments meet the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ovsr_ros.ops.alignment import joint_cosines, match_probabilities
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
        cosines = joint_cosines(image_embeddings, texts, *classifier.spectrum, options.energy, options.max_rank)
    else:
        cosines = image_embeddings @ texts.T
    is_unlabeled = (classifier.class_ids == UNLABELED_ID).float()  # (T,)
    bias = options.unlabeled_bias * is_unlabeled if options.unlabeled_bias else None
    return match_probabilities(cosines, options.logit_scale or model_logit_scale, bias)
