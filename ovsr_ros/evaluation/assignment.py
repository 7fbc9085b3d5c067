"""Naming clusters after classes by Hungarian assignment, per image or once for a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ovsr_ros.evaluation.metrics import Counts, overlap
from ovsr_ros.evaluation.sample import IGNORED


def match_table(table: Counts) -> NDArray[np.int64]:
    """The assignment of clusters to classes under which the most pixels agree, one cluster per class.

    table: (K, C), pixels per cluster and class. Returns (K,): the class of each cluster, -1 for one that is left over
    or that shares no pixel with its class.
    Several assignments may be equally good: the one is taken that the solver finds with rows and columns as given,
    always the same one. `match_clusters` brings them into an order that does not depend on what clusters are called.
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    classes = np.full(len(table), -1, np.int64)
    agreed = table[rows, columns] > 0
    classes[rows[agreed]] = columns[agreed]
    return classes


def match_clusters(
    clusters: NDArray[Any], truth: NDArray[np.uint8], num_classes: int, background: int | None = None
) -> NDArray[np.uint8]:
    """Name each cluster of an image after one class so that the most pixels agree (Hungarian assignment).

    clusters: (H, W), any non-negative values. truth: (H, W). Returns the label map (H, W) uint8; clusters left over
    are 255. Ties are broken by the places at which clusters and classes first appear in the image, row by row: neither
    the clusters' names nor the classes' decide.

    background: merge what is left over, as DiffCut does where the truth has a background: clusters are first matched
    to the other classes; those that match none are merged into one; the merged cluster and the matched ones are then
    matched again, with the background as a class.
    """
    dense = _by_appearance(clusters)
    order = _classes_by_appearance(truth, num_classes)
    if background is not None:
        foreground = [c for c in order if c != background]
        classes = match_table(_table(dense, truth, num_classes)[:, foreground])
        dense = _by_appearance(np.where(classes < 0, len(classes), np.arange(len(classes)))[dense])
    columns = match_table(_table(dense, truth, num_classes)[:, order])
    names = np.full(len(columns), IGNORED, np.uint8)
    names[columns >= 0] = np.array(order, np.uint8)[columns[columns >= 0]]
    return names[dense]


def match_dataset(table: Counts) -> Counts:
    """The confusion matrix (C, C + 1) of a data set, its predicted labels renamed by one matching for all images.

    This is the protocol of STEGO and EAGLE, whose clusters are the same in every image. A cluster of ours means
    nothing in another image, so the clusters are the labels: all pixels that were called "mug", whatever they are.
    The figure says how well the labels part the pixels, when it does not matter which label stands for which class.
    Ties are broken by the order of labels and classes. A label left over is moved to the last column, "no class".
    """
    num_classes = len(table)
    names = match_table(table[:, :num_classes].T)
    renamed = np.zeros_like(table)
    renamed[:, num_classes] = table[:, num_classes]
    for label, name in enumerate(names):
        renamed[:, name if name >= 0 else num_classes] += table[:, label]
    return renamed


def _table(dense: NDArray[np.int64], truth: NDArray[np.uint8], num_classes: int) -> Counts:
    judged = truth != IGNORED
    return overlap(dense[judged], truth[judged], (int(dense.max(initial=-1)) + 1, num_classes))


def _by_appearance(labels: NDArray[Any]) -> NDArray[np.int64]:
    """The same regions numbered 0, 1, ... in the order in which they first appear, row by row."""
    values, first, dense = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(first)] = np.arange(len(values))
    return rank[dense.reshape(labels.shape)]


def _classes_by_appearance(truth: NDArray[np.uint8], num_classes: int) -> list[int]:
    """Every class, those in the image first, in the order in which they first appear."""
    values, first = np.unique(truth, return_index=True)
    seen = [int(values[i]) for i in np.argsort(first) if values[i] < num_classes]
    return [*seen, *(c for c in range(num_classes) if c not in set(seen))]
