"""The compiled clustering of native/, where it was built; it runs without Python's lock.

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
ABI_VERSION = 2
"""Of native/clustering.h; a library that says another one is left alone."""

METHODS = ("ward", "average")

ANY_VECTORS = 99
"""The widest vectors that the machine has."""

_OUT_OF_MEMORY = 1
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
    _log.info("no compiled clustering (%s) was found: PyTorch and SciPy do it, more slowly", LIBRARY)
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
    if status == _OUT_OF_MEMORY:
        raise MemoryError(f"clustering {num_points} points of {num_dims} dimensions: not enough memory")
    if status != 0:
        raise ValueError(f"points: expected 1 to 2^31 - 1 of them, got {num_points}")
    return Dendrogram(merges, heights)
