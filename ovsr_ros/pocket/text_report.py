"""How well the text tower reproduces the teacher: on nouns that it never learned, and on synonyms of class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from ovsr_ros.pocket.word_lists import SYNONYMS

Encode = Callable[[Sequence[str]], Tensor]
"""N texts -> (N, D) float32, L2-normalised."""


def report(student: Encode, teacher: Encode, held_out: Sequence[str], candidates: Sequence[str]) -> dict[str, object]:
    """Figures of a text tower, to be written as JSON.

    held_out: nouns that it never learned, at least one. candidates: names of classes, 5 at least, and with them every
    class of SYNONYMS.

    cosine: to the teacher, over the held-out nouns, and over those of one word. top1: share of the held-out nouns whose
    nearest candidate is the teacher's nearest; top5: mean share of the teacher's five nearest that are among its five.
    synonyms: per pair, the rank of the class among the candidates, from 1, by student and by teacher.
    """
    names = list(dict.fromkeys([*candidates, *(name for _, name in SYNONYMS)]))
    own, known = student(names), teacher(names)
    mine, theirs = student(held_out), teacher(held_out)
    cosine = (mine * theirs).sum(1)
    near, true = (mine @ own.T).topk(5).indices, (theirs @ known.T).topk(5).indices
    ranks = {}
    for word, name in SYNONYMS:
        others = [place for place, other in enumerate(names) if other != word.lower()]
        place = others.index(names.index(name))
        pair = [_rank(encode([word]) @ by[others].T, place) for encode, by in ((student, own), (teacher, known))]
        ranks[f"{word} -> {name}"] = pair
    best = [[min(pair[side] - 1, 99) for pair in ranks.values()] for side in (0, 1)]
    return {
        "held_out": len(held_out),
        "candidates": len(names),
        "cosine": _summary(cosine),
        "cosine_one_word": _summary(cosine[[" " not in noun for noun in held_out]]),
        "known_names_cosine": _rounded((own * known).sum(1).mean()),
        "top1": _rounded((near[:, 0] == true[:, 0]).float().mean()),
        "top5": _rounded((near[:, :, None] == true[:, None, :]).any(2).float().mean()),
        "synonyms_first": {"student": best[0].count(0), "teacher": best[1].count(0), "of": len(SYNONYMS)},
        "synonyms": ranks,
    }


def _summary(cosine: Tensor) -> dict[str, float]:
    if not len(cosine):
        return {"count": 0}
    values = {"mean": cosine.mean(), "median": cosine.median(), "lowest_tenth": cosine.quantile(0.1)}
    return {"count": len(cosine), **{name: _rounded(value) for name, value in values.items()}}


def _rank(similarities: Tensor, place: int) -> int:
    """Rank from 1 of one candidate: (1, N) similarities."""
    return 1 + int((similarities[0] > similarities[0, place]).sum())


def _rounded(value: Tensor) -> float:
    return round(float(value), 4)
