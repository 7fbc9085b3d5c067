"""Images in which tracks were embedded, carried along with the camera."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
import torch

from ovsr_ros.ops.motion import MotionEstimator
from ovsr_ros.tracking.keyframes import Keyframe, compare, draw_thumbnail, shrink_origins, thumbnail_size_hw

SIZE_HW = (240, 320)
WIDE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (300, 640, 3), np.uint8), (0, 0), 3.0)
OBJECT = 2
PARTS = np.array([1, 2])
"""Of floor and object; the object's figures are the last."""


def see(left: int, top: int = 0, replaced: bool = False, scale: float = 1.0):
    """A camera's image and map: an object, 2, on a floor, 1; left, top: where the camera looks."""
    image, parts = WIDE.copy(), np.ones(WIDE.shape[:2], np.int32)
    image[100:180, 200:300] = WIDE[100:180, 500:600] // 2 + 120
    if replaced:
        image[100:180, 200:300] = WIDE[10:90, 20:120][::-1] // 2 + 60
    parts[100:180, 200:300] = OBJECT
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    return (
        cv2.warpAffine(image, matrix, SIZE_HW[::-1], flags=cv2.INTER_LINEAR),
        cv2.warpAffine(parts.astype(np.uint8), matrix, SIZE_HW[::-1], flags=cv2.INTER_NEAREST).astype(np.int32),
    )


def draw(image, parts, num_parts=OBJECT):
    return draw_thumbnail(image, torch.from_numpy(parts), num_parts)


def compare_with(keyframe, now, parts):
    return compare([keyframe], now, parts, np.zeros(len(parts), int), parts)


def follow(frames):
    """What the last frame differs by from the first, each an image and its map."""
    keyframe, estimator = Keyframe.of(draw(*frames[0])), MotionEstimator()
    for (previous, _), (image, _) in itertools.pairwise(frames):
        keyframe = keyframe.moved(shrink_origins(estimator.origins(previous, image), thumbnail_size_hw(image)))
    return compare_with(keyframe, draw(*frames[-1]), PARTS)


def test_the_same_image_differs_in_nothing():
    change = follow([see(60), see(60)])
    assert change.levels.max() < 0.1
    assert change.overlap[-1] > 0.95


@pytest.mark.parametrize(
    "steps", [[(60 + 4 * n, n, 1.0) for n in range(12)], [(80, 20, 1 + 0.01 * n) for n in range(12)]]
)
def test_what_the_camera_moves_over_or_zooms_to_is_the_same(steps):
    change = follow([see(left, top, scale=scale) for left, top, scale in steps])
    assert change.levels[-1] < 1.0
    assert change.overlap[-1] > 0.8


def test_a_thing_in_anothers_place_differs_while_the_camera_moves():
    frames = [see(60 + 4 * n, replaced=n == 11) for n in range(12)]
    assert follow(frames).levels[-1] > 4.0


def test_a_light_that_goes_on_differs_while_the_camera_moves():
    frames = [see(60 + 4 * n) for n in range(12)]
    image, parts = frames[-1]
    frames[-1] = np.where(parts[..., None] == OBJECT, np.minimum(image, 240) + 15, image).astype(np.uint8), parts
    change = follow(frames)
    assert change.levels[-1] > 2.5
    assert change.levels[0] < 2.0


def test_a_segment_that_is_cut_in_two_overlaps_less():
    image, parts = see(60)
    cut = parts.copy()
    cut[:, :190][parts[:, :190] == OBJECT] = 1
    assert follow([(image, parts), (image, cut)]).overlap[-1] < 0.7


def test_what_was_not_in_view_is_not_compared():
    keyframe = Keyframe.of(draw(*see(60)))
    outside = np.full_like(keyframe.origins, -50.0)
    change = compare_with(keyframe.moved(outside), draw(*see(60)), PARTS)
    assert change.levels.max() < 0.1, "at the same place it is the same"
    moved = keyframe.moved(outside).moved(keyframe.origins)
    assert (moved.origins < -1).all()


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 200), (33, 47)])
def test_small_images_have_thumbnails(size_hw):
    image = np.random.default_rng(1).integers(0, 255, (*size_hw, 3), np.uint8)
    thumbnail = draw(image, np.ones(size_hw, np.int32), 1)
    keyframe = Keyframe.of(thumbnail)
    places = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in size_hw[::-1])), 2)
    shrunk = shrink_origins(places, thumbnail_size_hw(image))
    assert shrunk.shape == keyframe.origins.shape
    assert np.allclose(shrunk, keyframe.origins, atol=0.05)
    assert compare_with(keyframe.moved(shrunk), thumbnail, np.array([1])).levels.max() < 0.1
