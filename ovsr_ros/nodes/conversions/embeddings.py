"""Embeddings as messages have them: one flat array."""

from __future__ import annotations

import array

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header
from torch import Tensor

from ovsr_ros import msg
from ovsr_ros.results import Segments


def to_segment_embeddings(
    segments: Segments, embeddings: Tensor, model_id: str, header: Header
) -> msg.SegmentEmbeddings:
    """embeddings: (M, D) float32, L2-normalised; row i belongs to the segment with the id i + 1."""
    rows = embeddings.float().cpu().numpy()[segments.ids.astype(np.int64) - 1]  # (N, D)
    message = msg.SegmentEmbeddings(header=header, model_id=model_id, dimensions=rows.shape[1])
    message.ids = array.array("H", segments.ids.tolist())
    message.track_ids = array.array("I", segments.track_ids.tolist())
    message.data = to_floats(rows)
    return message


def to_floats(rows: NDArray[np.float32]) -> array.array[float]:
    """(N, D) float32, row by row. rclpy takes an array.array as it is, and anything else value by value."""
    floats = array.array("f")
    floats.frombytes(np.ascontiguousarray(rows, np.float32).tobytes())
    return floats
