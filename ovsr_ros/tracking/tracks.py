"""What is remembered of each track."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


@dataclass
class Tracks:
    """Tracks, as arrays of one length K, into which may be written: those that `take` and `joined` return are copies.

    ids: uint32, 0 for one that has not shown yet. embeddings: (K, D) float32 on the device, of length 1. weights:
    float32, frames that went into each embedding, 0 for one that is not known. seen_s: float64, when a segment was last
    matched. positions_xy: (K, 2) float32, centroids in cells. areas: float32, cells. observations: the `Observation`
    when each was last embedded, None never.
    """

    ids: NDArray[np.uint32]
    embeddings: Tensor
    weights: NDArray[np.float32]
    seen_s: NDArray[np.float64]
    positions_xy: NDArray[np.float32]
    areas: NDArray[np.float32]
    observations: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls, width: int, device: torch.device) -> Tracks:
        """No tracks, of embeddings (0, width)."""
        return cls.new(width, device, 0.0, np.zeros((0, 2), np.float32), np.zeros(0, np.float32))

    @classmethod
    def new(
        cls,
        width: int,
        device: torch.device,
        time_s: float,
        positions_xy: NDArray[np.float32],
        areas: NDArray[np.float32],
    ) -> Tracks:
        """Tracks of segments seen for the first time, of embeddings (K, width) that are not known yet."""
        count = len(areas)
        return cls(
            ids=np.zeros(count, np.uint32),
            embeddings=torch.zeros(count, width, device=device),
            weights=np.zeros(count, np.float32),
            seen_s=np.full(count, time_s),
            positions_xy=positions_xy,
            areas=areas,
            observations=np.full(count, None, object),
        )

    def take(self, rows: NDArray[np.int64]) -> Tracks:
        """These tracks, in this order."""
        chosen = torch.from_numpy(rows).to(self.embeddings.device)
        arrays = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return Tracks(embeddings=self.embeddings[chosen], **arrays)

    def joined(self, other: Tracks) -> Tracks:
        """These tracks, then the others."""
        arrays = {name: np.concatenate((getattr(self, name), getattr(other, name))) for name in _ARRAYS}
        return Tracks(embeddings=torch.cat((self.embeddings, other.embeddings)), **arrays)

    def without_embeddings(self, width: int) -> Tracks:
        """These tracks, of embeddings (K, width) that are not known."""
        return replace(
            self,
            embeddings=torch.zeros(len(self), width, device=self.embeddings.device),
            weights=np.zeros_like(self.weights),
            observations=np.full(len(self), None, object),
        )

    def moved(self, shift_xy: NDArray[np.float32]) -> Tracks:
        """These tracks elsewhere."""
        return replace(self, positions_xy=self.positions_xy + shift_xy)

    def average(
        self,
        rows: NDArray[np.int64],
        embeddings: Tensor,
        quality: NDArray[np.float32],
        passed_s: NDArray[np.float64],
        memory_s: float,
    ) -> None:
        """Take one more frame into the embeddings of the tracks `rows`: those given, (M, D), of a quality in [0, 1].

        A plain mean over the first frames, from then on one that forgets with the time constant memory_s; passed_s:
        (M,), the time that each one stands for.
        """
        if not len(rows):
            return
        newest = 1 - np.exp(-passed_s / memory_s) if memory_s > 0 else np.ones(len(rows))
        weights = self.weights[rows]
        share = np.maximum(newest, 1 / (weights + 1)) * (quality if memory_s > 0 else 1.0)
        share = np.where(weights > 0, share, 1.0).astype(np.float32)
        device = self.embeddings.device
        chosen, shares = torch.from_numpy(rows).to(device), torch.from_numpy(share).to(device)[:, None]
        mixed = functional.normalize(torch.lerp(self.embeddings[chosen], embeddings, shares), dim=1)
        self.embeddings = self.embeddings.index_copy(0, chosen, mixed)
        self.weights[rows] += np.where(weights > 0, quality, _FIRST)


_FIRST = 2.0
"""Frames that the first one counts as: half of the second one's embedding would be taken for chance."""

_ARRAYS = tuple(field.name for field in fields(Tracks) if field.name != "embeddings")
