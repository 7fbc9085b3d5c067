"""Examples of a category: what an operator pointed at, beside the category's words."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import VocabularyError

MAX_EXAMPLES = 16
"""Most examples of one category."""

MAX_EXAMPLES_IN_FORCE = 256
"""Most examples of all categories in force: each is compared with every segment of every frame."""

_UNIT = 1e-3
"""How far an embedding's length may be from 1."""


@dataclass(frozen=True)
class Example:
    """Something that was pointed at. Two with the same id are the same.

    embedding: (D,) float32, of length 1: the segment's, as CLIP's image tower saw it.
    model_id: names that CLIP and its weights' checksum. To any other the embedding means nothing.
    id: from 1, given once by a registry; 0: not yet given.
    thumbnail: a jpeg of it, or empty.

    Raises VocabularyError for an embedding that is none.
    """

    embedding: NDArray[np.float32] = field(compare=False)
    model_id: str
    id: int = 0
    thumbnail: bytes = field(default=b"", compare=False, repr=False)

    def __post_init__(self) -> None:
        embedding = self.embedding
        if embedding.ndim != 1 or embedding.dtype != np.float32 or not len(embedding):
            raise VocabularyError(
                f"example: expected an embedding (D,) of float32, got {embedding.shape} of {embedding.dtype.name}"
            )
        length = float(np.linalg.norm(embedding))
        if not abs(length - 1.0) < _UNIT:  # NaN is not either
            raise VocabularyError(f"example: expected an embedding of length 1, got {length:g}")
