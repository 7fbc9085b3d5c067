"""How much speaks for each track at each place: gathered from image to image, carried along with the camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.ops import evidence as votes
from ovsr_ros.ops import native
from ovsr_ros.ops.threads import one_thread
from ovsr_ros.tracking.sparse_evidence import SparseEvidence, to_maps


class Evidence(Protocol):
    """K maps of values in [0, 1] on a grid (h, w), which sum to 1 at most in each cell. Is never written into.

    The first map speaks for there being no segment, each other one for a track in sight.
    """

    @property
    def size_hw(self) -> tuple[int, int]: ...

    @property
    def num_maps(self) -> int:
        """K, 1 or more."""

    def emptied(self) -> Evidence:
        """The first map alone, which says nothing."""

    def carried(self, origins: NDArray[np.float32], belief: NDArray[np.float32]) -> Evidence:
        """Where it is now: interpolated at each cell's origin (h, w, 2) x, y in cells, times belief (h, w)."""

    def gathered(self, cells: Tensor, map_of_label: NDArray[np.int64], num_maps: int, memory: float) -> Evidence:
        """Times memory, and what is then missing to 1 for the map of each cell's label (h, w) int64, from 0.

        map_of_label: (L,), of num_maps, which may be more than K.
        """

    def take(self, maps: NDArray[np.int64]) -> Evidence:
        """Some of the maps, in ascending order."""

    def lent(self, maps: NDArray[np.int64], share: float) -> Evidence:
        """The first map has this share of these maps' evidence beside its own."""

    def overlaps(self, cells: Tensor, num_labels: int, stride: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How much of each map lies on each label (h, w) int64, from 0, over every so many-th cell of every so
        many-th row: (K, num_labels); and each map's highest value in any cell, (K,)."""

    def winners(self) -> tuple[Tensor, NDArray[np.int64], NDArray[np.float32]]:
        """Which map has most in each cell, the first of equals, (h, w) int64 on the device; in how many cells each one
        wins, (K,), and its highest value, (K,)."""

    def upsampled(self, winners: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Winners (h, w) as (H, W) int32 with smooth borders; see `ovsr_ros.ops.evidence.upsample_labels`."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` reads."""


class DenseEvidence:
    """Every map as a tensor (K, h, w) float32, on any device; see `Evidence`."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps

    @property
    def size_hw(self) -> tuple[int, int]:
        return (self.maps.shape[1], self.maps.shape[2])

    @property
    def num_maps(self) -> int:
        return len(self.maps)

    def emptied(self) -> DenseEvidence:
        return DenseEvidence(torch.zeros_like(self.maps[:1]))

    @one_thread()
    def carried(self, origins: NDArray[np.float32], belief: NDArray[np.float32]) -> DenseEvidence:
        device = self.maps.device
        moved = votes.carry(self.maps, torch.from_numpy(origins).to(device))
        return DenseEvidence(moved.mul_(torch.from_numpy(belief).to(device)))

    @one_thread()
    def gathered(self, cells: Tensor, map_of_label: NDArray[np.int64], num_maps: int, memory: float) -> DenseEvidence:
        maps = self.maps.new_zeros(num_maps, *cells.shape)
        torch.mul(self.maps, memory, out=maps[: len(self.maps)])
        gain = 1 - maps.sum(0).clamp_max(1)
        map_of_cell = torch.from_numpy(map_of_label).to(maps.device)[cells]
        return DenseEvidence(maps.scatter_add_(0, map_of_cell[None], gain[None]))

    @one_thread()
    def take(self, maps: NDArray[np.int64]) -> DenseEvidence:
        return self if len(maps) == len(self.maps) else DenseEvidence(self.maps[torch.from_numpy(maps)])

    def lent(self, maps: NDArray[np.int64], share: float) -> DenseEvidence:
        seen = self.maps.clone()
        seen[0] += share * self.maps[torch.from_numpy(maps)].sum(0)
        return DenseEvidence(seen)

    def overlaps(self, cells: Tensor, num_labels: int, stride: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sums = votes.overlaps(self.maps[:, ::stride, ::stride], cells[::stride, ::stride], num_labels)
        table = torch.cat((sums, self.maps.flatten(1).amax(1)[:, None]), 1).cpu().numpy()
        return table[:, :-1], table[:, -1]

    def winners(self) -> tuple[Tensor, NDArray[np.int64], NDArray[np.float32]]:
        winners = votes.find_winners(self.maps)
        num_won = torch.bincount(winners.flatten(), minlength=len(self.maps))
        numbers = torch.stack((num_won.float(), self.maps.flatten(1).amax(1))).cpu().numpy()
        return winners, numbers[0].astype(np.int64), numbers[1]

    @one_thread()
    def upsampled(self, winners: Tensor, size_hw: tuple[int, int]) -> Tensor:
        return votes.upsample_labels(winners.int(), size_hw, self.maps)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {"dense": self.maps.cpu().numpy()}


def no_evidence(size_hw: tuple[int, int], device: torch.device) -> Evidence:
    """What is known before the first image."""
    library = native.load() if device.type == "cpu" else None
    if library is not None:
        return SparseEvidence.none(library, size_hw)
    return DenseEvidence(torch.zeros(1, *size_hw, device=device))


def from_arrays(arrays: Mapping[str, NDArray[Any]], device: torch.device) -> Evidence:
    """Evidence that was written down, equal in every bit where this machine would keep it alike.

    Raises KeyError or ValueError for anything else.
    """
    none = no_evidence((1, 1), device)
    if isinstance(none, SparseEvidence):
        if "dense" in arrays:
            return SparseEvidence.of_maps(none.library, arrays["dense"])
        return SparseEvidence.from_arrays(none.library, arrays)
    maps = arrays["dense"] if "dense" in arrays else to_maps(arrays)
    return DenseEvidence(torch.from_numpy(maps).to(device))
