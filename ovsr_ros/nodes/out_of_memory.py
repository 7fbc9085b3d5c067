"""When the device's memory runs out on a frame: recognise it, free what can be freed, enlarge a smaller result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.results import Segmentation, Segments

# PyTorch has a class of its own for a GPU's allocator only; its CPU allocator, the libraries below it, and OpenCV raise
# what they raise for everything else.
_TEXTS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
)
# oneDNN, below PyTorch on a CPU, gives no reason: its kernels and scratch memory are made here. What it cannot compute
# at all it says in more words ("... a primitive descriptor for ...").
_WHOLE_TEXTS = ("could not create a primitive", "could not execute a primitive", "could not create a memory object")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the device or on the machine."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    if isinstance(error, cv2.error):
        return bool(error.code == cv2.Error.STS_NO_MEM)
    if not isinstance(error, RuntimeError):
        return False
    return any(text in str(error) for text in _TEXTS) or str(error).strip() in _WHOLE_TEXTS


def describe_shortage(error: BaseException) -> str:
    """In one line: that memory ran out, and what the allocator said."""
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"out of memory: {first_line}"


_PARAMETERS = {
    "ovsr": "features.input_short_side, features.grid_rows",
    "trident": "trident.windows.memory_mb, trident.windows.short_side",
}


def remedy(device: torch.device, backend: str) -> str:
    """What an operator can do about memory that runs out on this device."""
    lower = f"lower {_PARAMETERS[backend]} or the image's size"
    elsewhere = "end what else uses memory here"
    if device.type == "cpu":
        return f"{lower}, or {elsewhere}"
    return f"{lower}, {elsewhere} (nvidia-smi lists it), or restart the node with device:=cpu"


def enlarge(segmentation: Segmentation, size_hw: tuple[int, int]) -> Segmentation:
    """The segmentation of a smaller image, in the pixels of the image it was made from."""
    segment_map = _resize(segmentation.segment_map, size_hw)
    return replace(
        segmentation,
        label_map=_resize(segmentation.label_map, size_hw),
        confidence=_resize(segmentation.confidence, size_hw),
        segment_map=segment_map,
        segments=_measure(segmentation.segments, segment_map),
    )


def _resize(values: NDArray[Any], size_hw: tuple[int, int]) -> NDArray[Any]:
    return cv2.resize(values, size_hw[::-1], interpolation=cv2.INTER_NEAREST)


def _measure(segments: Segments, segment_map: NDArray[np.uint16]) -> Segments:
    """The segments with boxes, areas and centroids as the map has them."""
    boxes, areas, centroids = segments.boxes_xyxy.copy(), segments.areas_px.copy(), segments.centroids_xy.copy()
    for index, id in enumerate(segments.ids):
        rows, columns = np.nonzero(segment_map == id)
        boxes[index] = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        areas[index] = rows.size
        centroids[index] = (columns.mean(), rows.mean())
    return replace(segments, boxes_xyxy=boxes, areas_px=areas, centroids_xy=centroids)
