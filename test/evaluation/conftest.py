"""A small data set of files, and a pipeline of seeded models, for tests of the whole path."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ovsr_ros.settings import load_settings


@pytest.fixture
def seeded_config(tmp_path, seeded_models) -> str:
    """A configuration of models with random weights: real networks that know nothing, small and the same each run."""
    path = tmp_path / "seeded.yaml"
    path.write_text(
        f"device: cpu\nscore_threshold: 0.0\nfeatures: {{model: {seeded_models.features}, input_short_side: 64, "
        f"grid_rows: 16}}\nclip: {{model: {seeded_models.clip}}}\ntext: {{cache_directory: none}}\n",
        encoding="utf-8",
    )
    return str(path)


@pytest.fixture
def seeded_options(seeded_config):
    return load_settings(seeded_config).pipeline


def write_folder(root: Path, num_images: int = 4, size_wh: tuple[int, int] = (80, 60)) -> Path:
    """A data set in the layout of `folder`: a disc and a bar on a ground, with a rim of ignored pixels."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    (root / "classes.txt").write_text("ground\ndisc; circle\nbar\nnothing of the kind\n", encoding="utf-8")
    width, height = size_wh
    for number in range(num_images):
        rng = np.random.default_rng(number)
        mask = np.zeros((height, width), np.uint8)
        cv2.circle(mask, (int(rng.integers(15, 35)), int(rng.integers(15, 45))), 12, 1, -1)
        cv2.rectangle(mask, (50, 5 + 2 * number), (60, 40), 2, -1)
        mask[-3:] = 255
        image = np.array([(90, 140, 90), (220, 60, 40), (40, 60, 220)], np.uint8)[np.where(mask == 255, 0, mask)]
        image += rng.integers(0, 20, image.shape, np.uint8)
        assert cv2.imwrite(str(root / "images" / f"{number}.png"), image)
        assert cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
    return root


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_folder(tmp_path / "data")


@pytest.fixture
def make_folder(tmp_path):
    """Makes data sets by name, as `write_folder` does, beside each other."""
    return lambda name, **size: write_folder(tmp_path / name, **size)
