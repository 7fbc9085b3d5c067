"""A vocabulary's examples as the rows that a segment's embedding is compared with, beside its texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovsr_ros.vocabulary.category import Vocabulary


@dataclass(frozen=True)
class ExampleRows:
    """The E examples that count.

    embeddings: (E, D) float32, L2-normalised. text_rows: (E,) int64, the row of the category among the texts.
    """

    embeddings: Tensor
    text_rows: Tensor

    def __len__(self) -> int:
        return len(self.text_rows)

    @classmethod
    def gather(cls, vocabulary: Vocabulary, model_id: str) -> ExampleRows | None:
        """Those of this model's embeddings; the categories' texts are rows in the order of their ids. None: none."""
        found = [
            (example, row)
            for row, category in enumerate(vocabulary.categories)
            for example in category.examples
            if example.model_id == model_id
        ]
        if not found:
            return None
        return cls(
            embeddings=torch.from_numpy(np.stack([example.embedding for example, _ in found])),
            text_rows=torch.tensor([row for _, row in found]),
        )

    def to(self, device: torch.device) -> ExampleRows:
        """The same rows on another device."""
        return ExampleRows(self.embeddings.to(device), self.text_rows.to(device))
