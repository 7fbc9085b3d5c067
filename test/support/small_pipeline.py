"""Options of a pipeline that is quick to run, and an image for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.options import replace_flat
from ovsr_ros.settings import PipelineOptions


def small_options(seeded_models: Any) -> PipelineOptions:
    """On the CPU, a small image on a coarse grid; every segment gets a label, and nothing is kept on disk."""
    return replace_flat(
        PipelineOptions(),
        {
            "device": "cpu",
            "features.model": seeded_models.features,
            "clip.model": seeded_models.clip,
            "features.grid_rows": 24,
            "features.input_short_side": 96,
            "score_threshold": 0.0,
            "text.something_else": (),
            "text.cache_directory": "none",
        },
    )


def striped_image(height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: a red third, a grey one and a blue one, with a little noise."""
    picture = np.random.default_rng(0).integers(90, 110, (height, width, 3), np.uint8)
    picture[:, : width // 3, 0] += 120
    picture[:, 2 * width // 3 :, 2] += 120
    return picture
