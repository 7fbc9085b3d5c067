"""Names of one thing, as WordNet has them, brought nearer to each other than a sentence encoder has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.models.imagenet_names import Synset


def with_kin(
    names: Sequence[str], targets: NDArray[np.float16], synsets: Iterable[Synset], share: float
) -> NDArray[np.float16]:
    """The targets (N, D) of names, L2-normalised, each moved towards the mean of the other names of its synsets.

    share: of that mean in what comes out, [0, 1). Another name counts by the square of its cosine, 0 if negative: of
    the several things that a name may mean ("plane"), those count more that the sentence encoder has near. A name
    without others, or without a synset, stays as it is. names: in lower case.
    """
    place = {name: number for number, name in enumerate(names)}
    values = targets.astype(np.float32)
    means, moved = np.zeros_like(values), np.zeros(len(names), bool)
    for synset in synsets:
        rows = sorted({place[name.lower()] for name in synset.names if name.lower() in place})
        if len(rows) < 2:
            continue
        cosines = np.maximum(values[rows] @ values[rows].T, 0) ** 2
        np.fill_diagonal(cosines, 0)
        means[rows] += cosines @ values[rows]
        moved[rows] = True
    kin = means[moved] / np.maximum(np.linalg.norm(means[moved], axis=1, keepdims=True), 1e-6)
    blended = (1 - share) * values[moved] + share * kin
    values[moved] = blended / np.maximum(np.linalg.norm(blended, axis=1, keepdims=True), 1e-6)
    return values.astype(np.float16)
