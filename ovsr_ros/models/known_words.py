"""Words that a CLIP's image tower was trained to name, and other words drawn towards them.

A small image tower that learned a hundred names tells these apart by less than a synonym's embedding is away from its
name's: "house" is nearer to "sign" than to what it calls a building. So a text's embedding is moved towards those of
the known words that it is near to, by attention to them, as DeCap (Li et al., arXiv 2303.03032) projects an image's
embedding onto a memory of texts. A known word stays where it is.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros.errors import ModelFormatError

KEY = "known_words"
"""Of an open_clip_config.json; open_clip itself reads model_cfg and preprocess_cfg only."""


@dataclass(frozen=True)
class KnownWords:
    """Which words, and how texts are drawn towards them.

    share: of the known words in what comes out, [0, 1). scale: of the cosines before the softmax over the words; the
    larger, the more the nearest word counts alone.
    """

    words: tuple[str, ...]
    share: float
    scale: float

    @classmethod
    def read(cls, config: Mapping[str, Any], name: str) -> KnownWords | None:
        """From the content of an open_clip_config.json; None where it names none.

        name: the model's, for messages. Raises ModelFormatError for what `write` does not write.
        """
        content = config.get(KEY)
        if content is None:
            return None
        try:
            known = cls(tuple(content["words"]), float(content["share"]), float(content["scale"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFormatError(f"{name}: {KEY}: expected words, share and scale: {error!r}") from error
        if not known.words or not all(isinstance(word, str) and word.strip() for word in known.words):
            raise ModelFormatError(f"{name}: {KEY}: words: expected one word or more, got {content['words']!r}")
        if not 0 <= known.share < 1 or not (math.isfinite(known.scale) and known.scale > 0):
            raise ModelFormatError(
                f"{name}: {KEY}: expected a share in [0, 1) and a scale above 0, got {known.share} and {known.scale}"
            )
        return known

    def write(self) -> dict[str, Any]:
        """What stands under KEY."""
        return {"words": list(self.words), "share": self.share, "scale": self.scale}

    @property
    def digest(self) -> str:
        """12 digits: other words or other values, other digits, since texts are embedded otherwise."""
        return hashlib.sha256(json.dumps(self.write()).encode()).hexdigest()[:12]

    def draw(self, texts: Tensor, known: Tensor) -> Tensor:
        """texts (N, D) moved towards the words' own embeddings, known (K, D); all float32, L2-normalised."""
        near = normalize((self.scale * texts @ known.T).softmax(1) @ known, dim=1)
        return normalize(self.share * near + (1 - self.share) * texts, dim=1)
