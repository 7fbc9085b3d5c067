"""Segment masks: their connected components, and what can be measured on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components as graph_components
from torch import Tensor

_PIXELS_AT_ONCE = 2**19
"""Pixels that are counted at once on a CPU: what that takes stays in a cache, and need not be mapped for each frame."""


def connected_components(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the 4-connected components of equal labels (H, W) from 0, in the order of their first pixel."""
    height, width = labels.shape
    # Pixels stand apart by one, with a bridge between where two labels are equal: one binary image holds them all.
    bridged = np.zeros((2 * height - 1, 2 * width - 1), np.uint8)
    bridged[::2, ::2] = 1
    bridged[::2, 1::2] = labels[:, 1:] == labels[:, :-1]
    bridged[1::2, ::2] = labels[1:] == labels[:-1]
    count, found = cv2.connectedComponents(bridged, connectivity=4)
    components = found[::2, ::2].ravel() - 1
    if _is_in_order(components):  # as a rule
        return components.astype(np.int64).reshape(height, width)
    first = np.empty(count - 1, np.int64)
    first[components[::-1]] = np.arange(labels.size)[::-1]  # the last assignment stays: the first pixel of each
    rank = np.empty(count - 1, np.int64)
    rank[np.argsort(first)] = np.arange(count - 1)
    numbered: NDArray[np.int64] = rank[components].reshape(height, width)
    return numbered


def _is_in_order(components: NDArray[Any]) -> bool:
    """Whether components (N,) from 0 appear in the order of their numbers."""
    highest = np.maximum.accumulate(components)
    return bool(components[0] == 0 and (highest[1:] - highest[:-1] <= 1).all())


def absorb_small_components(labels: NDArray[np.int64], min_pixels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give each 4-connected component under min_pixels the label of the neighbour along its longest border.

    labels: (H, W). Small neighbours of each other join first; no pixel is left without a label, and where every
    component is small, the largest ends up with the whole image. Returns the labels and their `connected_components`.
    """
    labels = labels.copy()
    while True:
        components = connected_components(labels)
        areas = np.bincount(components.ravel())
        small = areas < min_pixels
        if len(areas) == 1 or not small.any():
            return labels, components
        chosen = _longest_border(components, len(areas))
        # A small component points at one neighbour, a large one at none: each tree of pointers holds at most one
        # large component, whose label it takes; among small ones only, the largest one's.
        sources = np.flatnonzero(small)
        graph = coo_matrix((np.ones(len(sources), np.int8), (sources, chosen[sources])), shape=(len(areas),) * 2)
        _, trees = graph_components(graph, directed=False)
        by_area = np.argsort(areas, kind="stable")
        winner = np.empty(trees.max() + 1, np.int64)
        winner[trees[by_area]] = by_area  # the last assignment stays: the largest of each tree
        label_of_component = np.empty(len(areas), labels.dtype)
        label_of_component[components.ravel()] = labels.ravel()
        labels = label_of_component[winner[trees]][components]


def _longest_border(components: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    across, down = components[:, 1:] != components[:, :-1], components[1:] != components[:-1]
    starts = np.concatenate((components[:, :-1][across], components[:-1][down]))
    ends = np.concatenate((components[:, 1:][across], components[1:][down]))
    keys = np.concatenate((starts * count + ends, ends * count + starts))
    pairs, lengths = np.unique(keys, return_counts=True)
    order = np.lexsort((-(pairs % count), lengths))  # ties: the neighbour of lowest number
    chosen = np.zeros(count, np.int64)
    chosen[pairs[order] // count] = pairs[order] % count
    return chosen


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of each of N labels lie: tensors on one device.

    areas_px: (N,) int64. boxes_xyxy: (N, 4) int64. centroids_xy: (N, 2) float32; frames as in `Segments`. A
    label without pixels has area 0, box (0, 0, 0, 0) and centroid (0, 0).
    """

    areas_px: Tensor
    boxes_xyxy: Tensor
    centroids_xy: Tensor


def measure(labels: Tensor, num_labels: int) -> Geometry:
    """Areas, boxes and centroids of the labels 0 to num_labels - 1 of a map (H, W) int32."""
    in_row = _counts_per_row(labels, num_labels)  # (N, H) pixels of each label per row
    in_column = _counts_per_column(labels, num_labels)  # (N, W)
    top, bottom, y = _extent_and_mean(in_row)
    left, right, x = _extent_and_mean(in_column)
    return Geometry(
        areas_px=in_row.sum(1),
        boxes_xyxy=torch.stack((left, top, right, bottom), 1),
        centroids_xy=torch.stack((x, y), 1),
    )


def _counts_per_row(labels: Tensor, num_labels: int) -> Tensor:
    counts = []
    for strip in _split(labels, 0):
        rows = torch.arange(strip.shape[0], device=labels.device, dtype=torch.int32)
        counts.append(_counts(strip * strip.shape[0] + rows[:, None], num_labels, strip.shape[0]))
    return torch.cat(counts, 1)


def _counts_per_column(labels: Tensor, num_labels: int) -> Tensor:
    counts = []
    for strip in _split(labels, 1):
        columns = torch.arange(strip.shape[1], device=labels.device, dtype=torch.int32)
        counts.append(_counts(strip * strip.shape[1] + columns, num_labels, strip.shape[1]))
    return torch.cat(counts, 1)


def _split(labels: Tensor, dimension: int) -> tuple[Tensor, ...]:
    """Strips of labels (H, W), of rows (dimension 0) or columns (1), as far as that pays."""
    if labels.device.type != "cpu":
        return (labels,)
    return torch.split(labels, max(1, _PIXELS_AT_ONCE // labels.shape[1 - dimension]), dimension)


def _counts(keys: Tensor, num_labels: int, length: int) -> Tensor:
    return torch.bincount(keys.reshape(-1), minlength=num_labels * length).view(num_labels, length)


def _extent_and_mean(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    length = counts.shape[1]
    present = counts > 0  # (N, L)
    first = present.int().argmax(1)
    end = length - present.flip(1).int().argmax(1)
    position = torch.arange(length, device=counts.device, dtype=torch.float64)
    mean = (counts.double() @ position) / counts.sum(1).clamp_min(1)
    return first, torch.where(present.any(1), end, 0), mean.float()


def number_by_area(labels: Tensor, areas_px: Tensor) -> tuple[Tensor, Tensor]:
    """Renumber labels (H, W) int32, from 0, as segment ids from 1 in descending order of their areas (N,).

    Returns the segment map (H, W) int32 and the label that each segment had, (M,) int64. Labels without pixels get no
    id; equal areas keep the order of their labels.
    """
    order = torch.argsort(areas_px, descending=True, stable=True)
    order = order[: int((areas_px > 0).sum())]
    ids = torch.zeros(len(areas_px), dtype=torch.int32, device=labels.device)
    ids[order] = torch.arange(1, len(order) + 1, dtype=torch.int32, device=labels.device)
    return ids.index_select(0, labels.reshape(-1)).view(labels.shape), order


def coverage(segment_map: Tensor, num_segments: int, grid_hw: tuple[int, int]) -> Tensor:
    """Pixels of each segment in each cell of a grid: (N, rows, columns) int64, from a segment map (H, W), ids from 1.

    A pixel counts for the cell that its centre lies in.
    """
    height, width = segment_map.shape
    rows, columns = grid_hw
    device, num_ids = segment_map.device, num_segments + 1
    row = torch.div((torch.arange(height, device=device) * 2 + 1) * rows, 2 * height, rounding_mode="floor")
    column = torch.div((torch.arange(width, device=device) * 2 + 1) * columns, 2 * width, rounding_mode="floor")
    if device.type != "cpu":
        keys = (segment_map.long() * rows + row[:, None]) * columns + column
        return torch.bincount(keys.flatten(), minlength=num_ids * rows * columns).view(num_ids, rows, columns)[1:]
    counts = torch.zeros(num_ids, rows, columns, dtype=torch.int64)
    starts = torch.searchsorted(row, torch.arange(rows + 1)).tolist()
    for index in range(rows):  # a row of cells at a time: what that takes stays in a cache
        keys = segment_map[starts[index] : starts[index + 1]] * columns + column.int()
        counts[:, index] = _counts(keys, num_ids, columns)
    return counts[1:]
