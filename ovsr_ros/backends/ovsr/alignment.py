"""Stage 7: segments meet the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.ovsr.examples import ExampleOptions, join_examples
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
    image_embeddings: Tensor,
    classifier: TextClassifier,
    model_logit_scale: float,
    options: AlignmentOptions,
    example_options: ExampleOptions | None = None,
) -> Tensor:
    """Probability of each of the classifier's texts (T, D) for each segment (N, D): (N, T), each row summing to 1.

    example_options: how the classifier's examples, where it has any, are joined with the texts; None: by the defaults.
    """
    cosines = match_cosines(image_embeddings, classifier, options, example_options or ExampleOptions())
    is_unlabeled = (classifier.class_ids == UNLABELED_ID).float()  # (T,)
    bias = options.unlabeled_bias * is_unlabeled if options.unlabeled_bias else None
    return match_probabilities(cosines, options.logit_scale or model_logit_scale, bias)


def match_cosines(
    images: Tensor, classifier: TextClassifier, options: AlignmentOptions, example_options: ExampleOptions
) -> Tensor:
    """Cosines (N, T) of segments (N, D) and the classifier's texts, in which its examples have their say."""
    texts, examples = classifier.embeddings, classifier.examples
    if examples is None:
        if options.method == "svd":
            return joint_cosines(images, texts, options.energy, options.max_rank)
        return images @ texts.T
    return join_examples(*cosines_with(examples.embeddings, images, texts, options), examples, example_options)


def cosines_with(
    examples: Tensor, images: Tensor, texts: Tensor, options: AlignmentOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines of segments and texts (N, T), of segments and examples (N, E), and of examples and texts (E, T).

    examples: (E, D), images: (N, D), texts: (T, D). All of them in the space that all of them share, with method svd.
    """
    rows = torch.cat((images, texts, examples))
    if options.method == "svd":
        rows = functional.normalize(truncated_svd(rows, options.energy, options.max_rank)[0], dim=1)
    of_images, of_texts, of_examples = torch.split(rows, [len(images), len(texts), len(examples)])
    return of_images @ of_texts.T, of_images @ of_examples.T, of_examples @ of_texts.T


def joint_cosines(images: Tensor, texts: Tensor, energy: float, max_rank: int) -> Tensor:
    """Cosines (N, T) of image (N, D) and text embeddings (T, D), both projected on the latent space that they share.

    That is spanned by the top right-singular vectors of the stack of both, (N + T, D), which is not centred: the
    fewest that hold `energy` of the sum of squared singular values, at most max_rank. Examples are part of the stack.
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
