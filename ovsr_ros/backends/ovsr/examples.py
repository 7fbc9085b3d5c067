"""How a category's words and its examples say one thing.

Two images of one thing are far more alike, to CLIP, than an image and its word, and so are two images of different
things: the two cosines have different scales, and cannot be compared as they are. Here, an example's is brought to the
scale of the words by what the words say of the example itself: a segment that is the example could not be told from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ovsr_ros.options import option
from ovsr_ros.vocabulary.example_rows import ExampleRows

NONE, ALONE, MEAN, MAXIMUM, WEIGHTS = "none", "alone", "mean", "maximum", "weights"


@dataclass(frozen=True)
class ExampleOptions:
    """How much the examples of a category count beside its words."""

    rule: str = option(
        MAXIMUM,
        help="how words and examples are joined: maximum: the best of words and examples; weights: what is like an "
        "example counts more for its category, the more alike, the more; mean: of all of them; alone: the words of a "
        "category that has examples count for nothing; none: its examples count for nothing",
        choices=(MAXIMUM, WEIGHTS, MEAN, ALONE, NONE),
    )
    margin: float = option(
        0.2,
        help="by how much a segment that is the example itself is nearer to it than to any word, cosine",
        min=0.0,
        max=1.0,
    )
    reach: float = option(
        0.15,
        help="how unlike an example, 1 minus the cosine, a segment can be: a third of the weight is left there "
        "(weights), or no margin (the other rules)",
        min=0.001,
        max=2.0,
    )


@dataclass(frozen=True)
class _Shown:
    """Examples beside N segments.

    text_rows: (E,) of their category's text. unlikeness: (N, E), 1 minus the cosine with the segments. own: (E,), the
    cosine of each with its own text. others: (E,), the largest with another text.
    """

    text_rows: Tensor
    unlikeness: Tensor
    own: Tensor
    others: Tensor

    def weight(self, at_itself: Tensor, options: ExampleOptions) -> Tensor:
        """(N, E): at_itself (E,) for a segment that is the example, less the more unlike it is."""
        return at_itself * torch.exp(-self.unlikeness / options.reach)

    def likeness(self, level: Tensor, options: ExampleOptions) -> Tensor:
        """(N, E), on the scale of the texts: a margin over the level (E,) for the example itself, `reach` away none."""
        return level + options.margin * (1.0 - self.unlikeness / options.reach)

    def best_per_text(self, values: Tensor, without: Tensor) -> Tensor:
        """(N, T): the largest of the values (N, E) of each text's examples; `without` (N, T) where it has none."""
        rows = self.text_rows.expand(len(values), -1)
        return without.scatter_reduce(1, rows, values, "amax", include_self=False)


def join_examples(
    of_texts: Tensor, of_examples: Tensor, texts_of_examples: Tensor, rows: ExampleRows, options: ExampleOptions
) -> Tensor:
    """Cosines (N, T) of segments and texts, with the examples' say in them: (N, T), on the scale of the texts' cosines.

    of_texts: (N, T). of_examples: (N, E) cosines of segments and examples. texts_of_examples: (E, T), of examples and
    texts. rows: what the E examples are.

    A segment that is an example itself takes the example's category by `margin`, under every rule but mean, where the
    words have their say. The rule weights adds to a category's cosine as Tip-Adapter does (Zhang et al., arXiv
    2111.03930), but for its nearest example alone, and by as much as that example needs.
    """
    if options.rule == NONE:
        return of_texts
    own = texts_of_examples.gather(1, rows.text_rows[:, None])[:, 0]  # (E,)
    others = texts_of_examples.scatter(1, rows.text_rows[:, None], -1.0).amax(1)  # (E,)
    shown = _Shown(rows.text_rows, (1.0 - of_examples).clamp_min(0.0), own, others)
    best = torch.maximum(shown.own, shown.others)
    if options.rule == WEIGHTS:
        weight = shown.weight(best - shown.own + options.margin, options)
        return of_texts + shown.best_per_text(weight, torch.zeros_like(of_texts))
    likeness = shown.likeness(best, options)
    if options.rule == MEAN:
        return of_texts.scatter_reduce(1, shown.text_rows.expand(len(likeness), -1), likeness, "mean")
    nearest = shown.best_per_text(likeness, of_texts)
    return nearest if options.rule == ALONE else torch.maximum(of_texts, nearest)
