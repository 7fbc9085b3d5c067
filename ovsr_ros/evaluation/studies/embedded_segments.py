"""Images as a study needs them: as segments with their embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.backends import FrameEmbeddings
from ovsr_ros.errors import ConfigError
from ovsr_ros.pipeline import Pipeline


def embed_segments(pipeline: Pipeline, image_rgb: NDArray[np.uint8]) -> FrameEmbeddings:
    """`Pipeline.embed` of an image (H, W, 3). Raises ConfigError for a backend that finds no segments before words."""
    frame = pipeline.embed(image_rgb)
    if not isinstance(frame, FrameEmbeddings):
        raise ConfigError(f"backend: this study needs 'ovsr', got {pipeline.options.backend!r}")
    return frame
