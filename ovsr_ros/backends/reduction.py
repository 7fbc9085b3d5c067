"""Less memory for a frame: smaller batches first, which cost nothing but time, then a lower resolution."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.backends.contract import Backend

MAX_BATCH_HALVINGS, MAX_SIZE_HALVINGS = 3, 3

BackendT = TypeVar("BackendT", bound=Backend[Any])


@dataclass(frozen=True)
class Reduction:
    """How often batches, and how often the sides of the image and of every stage's input, were halved."""

    batch: int = 0
    size: int = 0

    def __bool__(self) -> bool:
        return self.batch > 0 or self.size > 0

    def __str__(self) -> str:
        """Such as "batches 1/4, resolution 1/2"; "none"."""
        parts = [
            f"{name} 1/{2**halvings}"
            for name, halvings in (("batches", self.batch), ("resolution", self.size))
            if halvings
        ]
        return ", ".join(parts) or "none"

    def more(self, backend: Backend[Any]) -> Reduction | None:
        """The next one for this backend, unreduced: batches while they can be halved, then the resolution.

        None where nothing is left to halve.
        """
        if self.size == 0 and self.batch < MAX_BATCH_HALVINGS and reduce(backend, self).halve_batch() is not None:
            return dataclasses.replace(self, batch=self.batch + 1)
        return dataclasses.replace(self, size=self.size + 1) if self.size < MAX_SIZE_HALVINGS else None

    def less(self) -> Reduction:
        """The one before."""
        if self.size:
            return dataclasses.replace(self, size=self.size - 1)
        return dataclasses.replace(self, batch=max(0, self.batch - 1))


FULL = Reduction()


def reduce(backend: BackendT, reduction: Reduction) -> BackendT:
    """The backend in smaller batches and at a lower resolution."""
    for _ in range(reduction.batch):
        backend = backend.halve_batch() or backend
    for _ in range(reduction.size):
        backend = backend.smaller()
    return backend


def halve(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) -> (H / 2, W / 2, 3), both sides at least 16."""
    height, width = (max(16, side // 2) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
