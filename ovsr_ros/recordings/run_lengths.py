"""Segment maps as runs of one value, row after row: small, and quick to paint with other values."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_LONGEST = 0xFFFF


def to_runs(segment_map: NDArray[np.uint16]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The runs of a map (H, W) in its pixels' order: values (R,) uint16, lengths (R,) uint16, of 65535 at most."""
    flat = segment_map.reshape(-1)
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    lengths = np.diff(np.concatenate((starts, [flat.size])))
    values = flat[starts]
    if (pieces := -(-lengths // _LONGEST)).max() > 1:
        values = np.repeat(values, pieces)
        last = np.cumsum(pieces) - 1
        split = np.full(len(values), _LONGEST)
        split[last] = lengths - (pieces - 1) * _LONGEST
        lengths = split
    return values, lengths.astype(np.uint16)


Value = TypeVar("Value", np.uint8, np.uint16)


def paint_runs(values: NDArray[Value], lengths: NDArray[np.uint16], size_hw: tuple[int, int]) -> NDArray[Value]:
    """A map (H, W) of runs: what `to_runs` took apart, or with other values of another type.

    Raises ValueError where the runs are not as many pixels.
    """
    flat = np.repeat(values, lengths)
    if flat.size != size_hw[0] * size_hw[1]:
        raise ValueError(f"lengths: expected {size_hw[0] * size_hw[1]} pixels in all, got {flat.size}")
    painted: NDArray[Value] = flat.reshape(size_hw)
    return painted
