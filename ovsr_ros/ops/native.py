"""The compiled clustering, refinement and evidence of native/, where they were built; they run without Python's lock.

CMakeLists.txt and setup.py build it into the package's folder. Nothing needs it: without it there is a slower way.
"""

from __future__ import annotations

import ctypes
import logging
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import ovsr_ros
from ovsr_ros.ops.dendrogram import Dendrogram

LIBRARY = "libovsr_clustering.so"
ABI_VERSION = 4
"""Of native/clustering.h; a library that says another one is left alone."""

METHODS = ("ward", "average", "average_squared")

ANY_VECTORS = 99
"""The widest vectors that the machine has."""

OUT_OF_MEMORY = 1
_REMEDY = "build the package again (make setup, colcon build or pip install): until then clustering is slower"
_log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def load() -> ctypes.CDLL | None:
    """The library, or None; why not is logged once. It may lie in an install space while the code is a checkout."""
    return find_library([Path(folder) for folder in ovsr_ros.__path__])


def find_library(folders: list[Path]) -> ctypes.CDLL | None:
    """The first usable library of these folders; one that cannot be used is a warning that says what to do."""
    for path in (folder / LIBRARY for folder in folders):
        if not path.is_file():
            continue
        try:
            library = ctypes.CDLL(str(path))
            version = library.ovsr_clustering_abi_version()
        except (OSError, AttributeError) as error:
            _log.warning("%s cannot be loaded (%s); %s", path, error, _REMEDY)
            continue
        if version == ABI_VERSION:
            return library
        _log.warning("%s is of version %d, expected %d; %s", path, version, ABI_VERSION, _REMEDY)
    _log.info("no compiled clustering (%s) was found: PyTorch, SciPy and OpenCV do it, more slowly", LIBRARY)
    return None


def linkage(
    library: ctypes.CDLL,
    method: str,
    points: NDArray[np.float64],
    num_threads: int | None = None,
    vector_level: int = ANY_VECTORS,
) -> Dendrogram:
    """The dendrogram of points (N, D), finite, N >= 1, by one of METHODS.

    num_threads: by default as many as PyTorch uses. vector_level: at most 0 the vectors of every such machine, 1 AVX2,
    2 AVX-512; for tests.
    """
    points = np.ascontiguousarray(points, np.float64)
    num_points, num_dims = points.shape
    merges = np.empty((num_points - 1, 2), np.int64)
    heights = np.empty(num_points - 1)
    status = getattr(library, f"ovsr_{method}")(
        ctypes.c_void_p(points.ctypes.data),
        ctypes.c_int64(num_points),
        ctypes.c_int64(num_dims),
        ctypes.c_int32(torch.get_num_threads() if num_threads is None else num_threads),
        ctypes.c_int32(vector_level),
        ctypes.c_void_p(merges.ctypes.data),
        ctypes.c_void_p(heights.ctypes.data),
    )
    if status == OUT_OF_MEMORY:
        raise MemoryError(f"clustering {num_points} points of {num_dims} dimensions: not enough memory")
    if status != 0:
        raise ValueError(f"points: expected 1 to 2^31 - 1 of them, got {num_points}")
    return Dendrogram(merges, heights)


def guided_labels(
    library: ctypes.CDLL,
    labels: NDArray[np.int64],
    guide: NDArray[np.uint8],
    target: NDArray[np.uint8],
    radius: int,
    epsilon: float,
    num_threads: int | None = None,
    vector_level: int = ANY_VECTORS,
) -> NDArray[np.int64]:
    """Labels (H, W) of a target's pixels, from those of a grid's cells (rows, columns), 0 or more.

    guide: (3, h, w), the image at the size at which the guided filter works; target: (3, H, W), the same image at the
    size of the result. radius: of the filter's windows, 1 or more pixels of the guide. epsilon: its ridge, over 0, a
    variance of colours in [0, 1]. A pixel's label is the one whose filtered score is highest, the first of equals.
    num_threads, vector_level: as for `linkage`. Raises MemoryError, and ValueError for a label, radius or epsilon that
    is none.
    """
    labels = np.ascontiguousarray(labels, np.int64)
    guide, target = np.ascontiguousarray(guide, np.uint8), np.ascontiguousarray(target, np.uint8)
    winners = np.empty(target.shape[1:], np.int64)
    num_labels = int(labels.max()) + 1
    status = library.ovsr_guided_labels(
        ctypes.c_void_p(labels.ctypes.data),
        *map(ctypes.c_int64, (*labels.shape, num_labels)),
        ctypes.c_void_p(guide.ctypes.data),
        *map(ctypes.c_int64, guide.shape[1:]),
        ctypes.c_void_p(target.ctypes.data),
        *map(ctypes.c_int64, (*target.shape[1:], radius)),
        ctypes.c_double(epsilon),
        ctypes.c_int32(torch.get_num_threads() if num_threads is None else num_threads),
        ctypes.c_int32(vector_level),
        ctypes.c_void_p(winners.ctypes.data),
    )
    if status == OUT_OF_MEMORY:
        raise MemoryError(f"refining {num_labels} clusters at {target.shape[1]} rows: not enough memory")
    if status != 0:
        raise ValueError(
            f"expected labels of 0 or more, radius 1 or more and epsilon over 0, got labels from {labels.min()}, "
            f"radius {radius} and epsilon {epsilon}"
        )
    return winners
