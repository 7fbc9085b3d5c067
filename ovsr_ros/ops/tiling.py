"""Windows that cover an image, and the mean of what several of them say about one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """A part of an image or of a grid: rows top to bottom, columns left to right, the ends exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    def scaled(self, numerator: int, denominator: int) -> Window:
        """The same part in other units, which it must hold whole numbers of."""
        edges = (self.top, self.left, self.bottom, self.right)
        return Window(*(edge * numerator // denominator for edge in edges))


def cover(size_hw: tuple[int, int], window: int, stride: int) -> list[Window]:
    """Windows, row by row, that cover size_hw: one every `stride`, the last of each row and column moved back inside.

    Along a side no longer than `window` there is one, of that side's length.
    """
    spans = [_spans(length, window, stride) for length in size_hw]
    return [Window(top, left, bottom, right) for top, bottom in spans[0] for left, right in spans[1]]


def _spans(length: int, window: int, stride: int) -> list[tuple[int, int]]:
    count = max(length - window + stride - 1, 0) // stride + 1
    ends = [min(index * stride + window, length) for index in range(count)]
    return [(max(end - window, 0), end) for end in ends]


def cut(image: Tensor, windows: Sequence[Window]) -> Tensor:
    """Windows of one size as a batch (B, C, h, w) of an image (1, C, H, W)."""
    return torch.cat([image[:, :, w.top : w.bottom, w.left : w.right] for w in windows])


def average(maps: Tensor, windows: Sequence[Window], size_hw: tuple[int, int]) -> Tensor:
    """Maps (B, C, h, w) of windows that cover size_hw as one (C, H, W): each place the mean over its windows."""
    total = maps.new_zeros(maps.shape[1], *size_hw)
    count = maps.new_zeros(size_hw)
    for window, part in zip(windows, maps, strict=True):
        place = (slice(window.top, window.bottom), slice(window.left, window.right))
        total[:, place[0], place[1]] += part
        count[place] += 1
    return total / count
