"""Evidence as a short list a cell, on a CPU: few maps say anything about a place."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.ops import native

MOST_MAPS = 8
"""Entries of a cell; where there would be more, the smallest are left out. As in native/clustering.h."""


@dataclass(frozen=True, eq=False)
class SparseEvidence:
    """See `Evidence`. Values under 1/4096 of what is carried along are left out, to be told anew by the next image.

    library: of `ovsr_ros.ops.native`. starts: (h * w + 1,) int32, where a cell's entries begin, row by row. maps:
    (E,) uint16, ascending in each cell; values: (E,) float32.
    """

    library: ctypes.CDLL
    size_hw: tuple[int, int]
    num_maps: int
    starts: NDArray[np.int32]
    maps: NDArray[np.uint16]
    values: NDArray[np.float32]

    @classmethod
    def none(cls, library: ctypes.CDLL, size_hw: tuple[int, int]) -> SparseEvidence:
        starts = np.zeros(size_hw[0] * size_hw[1] + 1, np.int32)
        return cls(library, size_hw, 1, starts, np.zeros(0, np.uint16), np.zeros(0, np.float32))

    @classmethod
    def of_maps(cls, library: ctypes.CDLL, maps: NDArray[np.float32]) -> SparseEvidence:
        """Of maps (K, h, w); in each cell those that have most."""
        flat = maps.reshape(len(maps), -1)
        numbers = np.sort(np.argsort(-flat, axis=0, kind="stable")[:MOST_MAPS], axis=0).T
        values = np.take_along_axis(flat.T, numbers, 1)
        says = values > 0
        starts = np.concatenate(([0], np.cumsum(says.sum(1)))).astype(np.int32)
        size_hw = (maps.shape[1], maps.shape[2])
        return cls(library, size_hw, len(maps), starts, numbers[says].astype(np.uint16), values[says])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        about = np.array([self.num_maps, *self.size_hw])
        return {"starts": self.starts, "maps": self.maps, "values": self.values, "about": about}

    @classmethod
    def from_arrays(cls, library: ctypes.CDLL, arrays: Mapping[str, NDArray[Any]]) -> SparseEvidence:
        num_maps, height, width = (int(number) for number in arrays["about"])
        starts, maps, values = arrays["starts"], arrays["maps"], arrays["values"]
        if len(starts) != height * width + 1 or not len(maps) == len(values) == starts[-1]:
            raise ValueError(f"expected lists of {height}x{width} cells, got {len(starts) - 1} and {len(maps)} entries")
        return cls(library, (height, width), num_maps, starts, maps, values)

    def emptied(self) -> SparseEvidence:
        return self.none(self.library, self.size_hw)

    def carried(self, origins: NDArray[np.float32], belief: NDArray[np.float32]) -> SparseEvidence:
        places, weights = (np.ascontiguousarray(each, np.float32) for each in (origins, belief))
        numbers = map(ctypes.c_int64, (*self.size_hw, self.num_maps))
        return self._made("carry", (*numbers, _pointer(places), _pointer(weights)), self.num_maps)

    def gathered(self, cells: Tensor, map_of_label: NDArray[np.int64], num_maps: int, memory: float) -> SparseEvidence:
        labels, chosen = _int64(cells), np.ascontiguousarray(map_of_label, np.int64)
        return self._made(
            "gather",
            (
                ctypes.c_int64(labels.size),
                _pointer(labels),
                ctypes.c_int64(len(chosen)),
                _pointer(chosen),
                ctypes.c_int64(num_maps),
                ctypes.c_float(memory),
            ),
            num_maps,
        )

    def take(self, maps: NDArray[np.int64]) -> SparseEvidence:
        if len(maps) == self.num_maps:
            return self
        number = np.full(self.num_maps, -1, np.int64)
        number[maps] = np.arange(len(maps))
        return self._renumbered(number, np.zeros(self.num_maps, np.float32), len(maps))

    def lent(self, maps: NDArray[np.int64], share: float) -> SparseEvidence:
        shares = np.zeros(self.num_maps, np.float32)
        shares[maps] = share
        return self._renumbered(np.arange(self.num_maps), shares, self.num_maps)

    def overlaps(self, cells: Tensor, num_labels: int, stride: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        labels = _int64(cells)
        sums, peaks = np.empty((self.num_maps, num_labels), np.float32), np.empty(self.num_maps, np.float32)
        numbers = (*self.size_hw, self.num_maps)
        _check(
            self.library.ovsr_evidence_overlaps(
                *self._lists(),
                *map(ctypes.c_int64, numbers),
                _pointer(labels),
                *map(ctypes.c_int64, (num_labels, stride)),
                _pointer(sums),
                _pointer(peaks),
            )
        )
        return sums, peaks

    def winners(self) -> tuple[Tensor, NDArray[np.int64], NDArray[np.float32]]:
        winners = np.empty(self.size_hw, np.int64)
        num_won, peaks = np.empty(self.num_maps, np.int64), np.empty(self.num_maps, np.float32)
        _check(
            self.library.ovsr_evidence_winners(
                *self._lists(),
                *map(ctypes.c_int64, (winners.size, self.num_maps)),
                _pointer(winners),
                _pointer(num_won),
                _pointer(peaks),
            )
        )
        return torch.from_numpy(winners), num_won, peaks

    def upsampled(self, winners: Tensor, size_hw: tuple[int, int]) -> Tensor:
        cells = _int64(winners)
        labels = np.empty(size_hw, np.int32)
        _check(
            self.library.ovsr_evidence_upsample(
                *self._lists(),
                *map(ctypes.c_int64, self.size_hw),
                _pointer(cells),
                *map(ctypes.c_int64, size_hw),
                _pointer(labels),
            )
        )
        return torch.from_numpy(labels)

    def _lists(self) -> list[ctypes.c_void_p]:
        return [_pointer(self.starts), _pointer(self.maps), _pointer(self.values)]

    def _renumbered(self, new_number: NDArray[np.int64], lent: NDArray[np.float32], num_maps: int) -> SparseEvidence:
        numbers = (ctypes.c_int64(self.size_hw[0] * self.size_hw[1]), _pointer(new_number), _pointer(lent))
        return self._made("take", (*numbers, ctypes.c_int64(self.num_maps)), num_maps)

    def _made(self, function: str, arguments: tuple[Any, ...], num_maps: int) -> SparseEvidence:
        """What a function of native/evidence.cpp makes of the lists. arguments: those that stand between."""
        num_cells = self.size_hw[0] * self.size_hw[1]
        starts = np.empty(num_cells + 1, np.int32)
        maps, values = np.empty(num_cells * MOST_MAPS, np.uint16), np.empty(num_cells * MOST_MAPS, np.float32)
        count = getattr(self.library, f"ovsr_evidence_{function}")(
            *self._lists(),
            *arguments,
            *(_pointer(each) for each in (starts, maps, values)),
        )
        _check(-min(count, 0))
        # Copies: what was made for the worst case is given back.
        return SparseEvidence(self.library, self.size_hw, num_maps, starts, maps[:count].copy(), values[:count].copy())


def to_maps(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Of what `SparseEvidence.to_arrays` gives: (K, h, w). Raises KeyError or ValueError for anything else."""
    num_maps, height, width = (int(number) for number in arrays["about"])
    maps = np.zeros((num_maps, height * width), np.float32)
    maps[arrays["maps"], np.repeat(np.arange(height * width), np.diff(arrays["starts"]))] = arrays["values"]
    return maps.reshape(num_maps, height, width)


def _int64(labels: Tensor) -> NDArray[np.int64]:
    return np.ascontiguousarray(labels.numpy(), np.int64)


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _check(status: int) -> None:
    if status == native.OUT_OF_MEMORY:
        raise MemoryError("tracks: not enough memory to paint an image's segments")
    if status:
        raise ValueError("expected lists of maps in ascending order, and labels and maps that are there, got others")
