"""Points to cluster: like an image's latents, and real ones."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from ovsr_ros.backends.contract import StageClock
from ovsr_ros.backends.ovsr.backend import describe_image
from ovsr_ros.demo.scenes import Scene
from ovsr_ros.models.timm_features import FeatureExtractor
from ovsr_ros.ops.image import to_tensor
from ovsr_ros.settings import load_settings

NUM_SCENES = 100


@pytest.fixture(scope="session")
def smooth_points():
    """A function (rows, columns, dims, seed): neighbours are alike, later dimensions vary less."""

    def make(rows, columns, dims, seed=0):
        rng = np.random.default_rng(seed)
        maps = [gaussian_filter(rng.normal(size=(rows, columns)), rng.uniform(1, 4)) for _ in range(dims)]
        points = np.stack([m / m.std() for m in maps], -1).reshape(-1, dims) * np.linspace(1, 0.2, dims)
        return torch.from_numpy(points.astype(np.float32))

    return make


@pytest.fixture(scope="session")
def scene_latents():
    """Latents (N, D) float32 of 100 demo scenes, by the embedded model: 24 x 32 cells, half the preset's grid.

    Every tenth is on the preset's whole grid of 48 x 64 cells.
    """
    cpu = torch.device("cpu")
    found = []
    for seed in range(NUM_SCENES):
        rows, size_wh, short_side = (48, (320, 240), 384) if seed % 10 == 0 else (24, (160, 120), 192)
        overrides = {"features.grid_rows": rows, "features.input_short_side": short_side}
        options = load_settings("demo", overrides).pipeline
        if seed == 0:
            extractor = FeatureExtractor(options.features.model, options.features.levels, cpu, "fp32")
        image = to_tensor(Scene(seed, split="val").render(0.0, size_wh).image, cpu)
        with torch.inference_mode():
            _, latents, _ = describe_image(image, extractor, options, StageClock(cpu))
        found.append(latents.clone())
    return found
