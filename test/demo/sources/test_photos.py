"""The camera that wanders over scikit-image's photographs."""

from __future__ import annotations

import importlib.metadata
import itertools
from pathlib import Path

import numpy as np
import pytest

from ovsr_ros.demo.sources.photographs import PHOTOGRAPHS, WORDS, find_photographs
from ovsr_ros.demo.sources.photos import PanZoom, PhotoSource
from ovsr_ros.vocabulary.category import CategoryRequest, normalise_requests

SIZE_WH = (160, 120)


def source(seed=3, rate_hz=10.0, each_s=1.0, speed=1.0, size_wh=SIZE_WH):
    return PhotoSource(size_wh, rate_hz, each_s, seed, speed)


def images(source, count):
    return [source.read().image for _ in range(count)]


def difference(image, other):
    return float(np.abs(image.astype(int) - other).mean())


def test_the_photographs_are_in_scikit_image_s_wheel():
    """A file of the installed package, by its own record: none that was downloaded into it later."""
    wheel = {Path(str(file)).as_posix() for file in importlib.metadata.files("scikit-image") or ()}
    assert {f"skimage/data/{name}" for name in PHOTOGRAPHS} <= wheel
    assert [path.name for path in find_photographs()] == list(PHOTOGRAPHS)


def test_the_words_are_a_vocabulary():
    assert len(WORDS) == len(set(WORDS)) > 10
    assert normalise_requests([CategoryRequest(word) for word in WORDS], names_only=False)[1] == []


@pytest.mark.parametrize("size_wh", [(160, 120), (64, 48), (48, 64), (641, 479), (1280, 200)])
def test_images_have_the_size_asked_for_and_know_nothing_else(size_wh):
    frame = source(size_wh=size_wh).read()
    assert frame.image.shape == (size_wh[1], size_wh[0], 3)
    assert frame.image.dtype == np.uint8
    assert frame.camera_matrix is frame.depth_m is frame.category_map is None


def test_the_same_seed_gives_the_same_images_and_another_one_others():
    first, again, other = (images(source(seed), 25) for seed in (3, 3, 4))
    assert all(np.array_equal(image, same) for image, same in zip(first, again, strict=True))
    assert not any(np.array_equal(image, another) for image, another in zip(first, other, strict=True))


def test_within_a_photograph_the_way_is_smooth_and_between_two_there_is_a_cut():
    seen = images(source(each_s=2.0, rate_hz=20.0), 5 * 40)
    changes = [difference(image, after) for image, after in itertools.pairwise(seen)]
    cuts = [changes.pop(index) for index in (159, 119, 79, 39)]
    assert min(cuts) > 2 * max(changes)
    assert min(changes) > 0, "the camera never stands still"


def test_all_photographs_are_seen_and_then_the_first_again_on_another_way():
    seen = images(source(rate_hz=2.0), 6 * 2)
    assert len({image.tobytes() for image in seen}) == 12
    least = min(range(1, 6), key=lambda visit: abs(float(seen[2 * visit].mean()) - float(seen[0].mean())))
    assert least == 5, "the sixth is the first photograph"


def test_a_camera_that_does_not_move_shows_each_photograph_as_one_image():
    seen = images(source(speed=0.0, rate_hz=5.0), 10)
    assert len({image.tobytes() for image in seen[:5]}) == len({image.tobytes() for image in seen[5:]}) == 1


@pytest.mark.parametrize("photo_wh", [(512, 512), (451, 300), (60, 900)])
@pytest.mark.parametrize("size_wh", [(640, 480), (100, 300), (90, 90)])
def test_the_window_is_within_the_photograph_and_of_the_image_s_aspect(photo_wh, size_wh):
    way = PanZoom.draw(np.random.default_rng(0))
    for time_s in np.linspace(0, 60, 200):
        left, top, width, height = way.window_at(time_s, photo_wh, size_wh)
        assert width / height == pytest.approx(size_wh[0] / size_wh[1])
        assert left >= 0
        assert top >= 0
        assert left + width <= photo_wh[0] + 1e-6
        assert top + height <= photo_wh[1] + 1e-6


def test_a_window_of_the_whole_photograph_is_the_photograph():
    from ovsr_ros.demo.sources.photos import _cut_out

    photo = np.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype(np.uint8)
    assert np.array_equal(_cut_out(photo, (0.0, 0.0, 40.0, 30.0), (40, 30)), photo)
    assert np.array_equal(_cut_out(photo, (5.0, 4.0, 20.0, 15.0), (20, 15)), photo[4:19, 5:25])
