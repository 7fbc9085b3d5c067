"""A frame's segments, before any is known to be a track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends.contract import FoundSegments, FrameEmbeddings, Regions
from ovsr_ros.ops.evidence import sample_cells


@dataclass(frozen=True)
class Detections:
    """What a frame shows, on the evidence's grid.

    image: (h, w, 3) uint8, as small as the grid. cells: (h, w) int64 on the device, which segment each cell is in: ids
    from 1, 0 none. embeddings: the segments', made as they are needed. passed_s: since the frame before.
    """

    image: NDArray[np.uint8]
    regions: Regions
    cells: Tensor
    embeddings: SegmentEmbeddings
    time_s: float
    passed_s: float

    def __len__(self) -> int:
        return len(self.regions)

    @classmethod
    def of(
        cls, frame: FrameEmbeddings | FoundSegments, image: NDArray[np.uint8], time_s: float, passed_s: float
    ) -> Detections:
        """The frame's segments on the grid of its small image."""
        cells = sample_cells(frame.regions.segment_map, (image.shape[0], image.shape[1]))
        return cls(image, frame.regions, cells, SegmentEmbeddings(frame), time_s, passed_s)

    @property
    def scale(self) -> np.float32:
        """Cells per pixel."""
        scale: np.float32 = np.float32(self.cells.shape[0] / self.regions.segment_map.shape[0])
        return scale

    @property
    def positions_xy(self) -> NDArray[np.float32]:
        """Centroids (N, 2) in cells."""
        return self.to_cells(self.regions.centroids_xy)

    def to_cells(self, places_xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Places (N, 2), in pixels, in cells."""
        return (places_xy + 0.5) * self.scale - 0.5


class SegmentEmbeddings:
    """A frame's embeddings, made when they are asked for.

    table: (N, D), rows of 0 where not known. known: (N,) bool.
    """

    def __init__(self, frame: FrameEmbeddings | FoundSegments) -> None:
        self._found = frame if isinstance(frame, FoundSegments) else None
        if isinstance(frame, FrameEmbeddings):
            self.table = frame.embeddings
        else:
            self.table = torch.zeros(len(frame), frame.width, device=frame.regions.segment_map.device)
        self.known = np.full(len(frame), self._found is None)

    def want(self, rows: NDArray[np.int64]) -> None:
        """Make the embeddings of these segments known; all of them, where they come from one look at the image."""
        rows = np.unique(rows[~self.known[rows]])
        if not len(rows) or self._found is None:
            return
        if self._found.all_at_once:
            rows = np.arange(len(self.known))
        self.table[torch.from_numpy(rows).to(self.table.device)] = self._found.embed_rows(rows)
        self.known[rows] = True

    def of(self, rows: NDArray[np.int64]) -> Tensor:
        """The embeddings of these segments, (M, D)."""
        self.want(rows)
        return self.table[torch.from_numpy(rows).to(self.table.device)]

    @property
    def all_at_once(self) -> bool:
        """Whether all embeddings cost no more than one."""
        return self._found is not None and self._found.all_at_once

    @property
    def on_demand(self) -> bool:
        """Whether embeddings are made when asked for, not there from the start."""
        return self._found is not None
