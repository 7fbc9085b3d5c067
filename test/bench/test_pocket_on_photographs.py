"""What the embedded models `pocket` make of real photographs, by the pipeline and place by place.

The photographs are no part of the repository: they lie in OVSR_PHOTOS, or in ../shared/photos beside the checkout. No
picture that is judged here was trained on. The figures below are those of these images alone; the model card has those
of all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ovsr_ros.models.clip import ClipModel
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.pocket.photos import PhotoFolder
from ovsr_ros.settings import load_settings

PHOTOS = Path(os.environ.get("OVSR_PHOTOS") or Path(__file__).parents[3] / "shared" / "photos")


@dataclass(frozen=True)
class Measured:
    """Which images of a folder, and what came of them.

    pixels: right, and mean IoU by names and by words never seen, all by the pipeline. largest: how often the largest
    class's place is named first by its cells. gain: of the pipeline's mean IoU over that of the cells.
    """

    brackets: str
    num_images: int
    pixels: float
    miou: float
    unseen_miou: float
    largest: float
    gain: float


MEASURED = {
    "nyuv2-val": Measured("[::8]", 25, 0.681, 0.368, 0.336, 0.800, 0.017),
    "camvid-val": Measured("[::5]", 21, 0.887, 0.593, 0.554, 1.000, -0.035),
    "coco-dev": Measured("[1::4]", 32, 0.539, 0.248, 0.249, 0.719, 0.028),
}
TOLERANCE = 0.02
"""Another processor's bfloat16 moves a border here and there."""
each_set = pytest.mark.parametrize("name", MEASURED)


@dataclass(frozen=True)
class Judged:
    num_images: int
    tallies: Any

    def figure(self, way: str, words: str, name: str) -> float:
        return float(self.tallies[way, words].by_pixel.summary()[name])


@pytest.fixture(scope="module")
def judged(load_script) -> dict[str, Judged]:
    missing = [name for name in MEASURED if not (PHOTOS / name).is_dir()]
    if missing:
        pytest.skip(f"no photographs: no folder {', '.join(missing)} in {PHOTOS}; OVSR_PHOTOS says where they are")
    script = load_script("photo_words")
    model = ClipModel("pocket")
    pipeline = Pipeline(load_settings("pocket", {"device": "cpu", "text.cache_directory": "none"}).pipeline)
    found = {}
    for name, measured in MEASURED.items():
        photos = script.Photos.load(PhotoFolder.parse(f"{PHOTOS / name}{measured.brackets}"))
        ways = script.find_ways(photos, model, pipeline)
        found[name] = Judged(len(photos.samples), script.count(photos, ways))
    return found


@each_set
def test_every_photograph_is_judged(judged, name):
    assert judged[name].num_images == MEASURED[name].num_images
    assert sum(measured.num_images for measured in MEASURED.values()) >= 40


@each_set
def test_labels_are_as_good_as_measured(judged, name):
    measured = MEASURED[name]
    assert judged[name].figure("pipeline", "names", "pixel_accuracy") > measured.pixels - TOLERANCE
    assert judged[name].figure("pipeline", "names", "miou") > measured.miou - TOLERANCE
    assert np.mean(judged[name].tallies["pair", "names"].largest) > measured.largest - 1.5 / measured.num_images


@each_set
def test_words_that_no_training_saw_work_as_measured(judged, name):
    unseen = judged[name].figure("pipeline", "never seen", "miou")
    assert unseen > MEASURED[name].unseen_miou - TOLERANCE
    assert unseen > 0.85 * judged[name].figure("pipeline", "names", "miou")


@each_set
def test_segments_against_the_same_network_s_words_pixel_by_pixel(judged, name):
    """Borders are better everywhere; of the streets' thin things some are lost."""
    tallies = judged[name].tallies
    assert np.mean(tallies["pipeline", "names"].borders) > np.mean(tallies["pair", "names"].borders)
    pair = judged[name].figure("pair", "names", "miou")
    assert judged[name].figure("pipeline", "names", "miou") - pair > MEASURED[name].gain - 0.015
