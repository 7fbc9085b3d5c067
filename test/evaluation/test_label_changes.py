"""What counts as a change: of a point of the scene, of a pixel, of an object."""

import numpy as np
import pytest

from ovsr_ros.demo.scenes import Scene
from ovsr_ros.evaluation.label_changes import (
    Points,
    Share,
    carry_labels,
    changed_objects,
    changed_pixels,
    changed_points,
    object_labels,
    trace_points,
)

SIZE_WH = (160, 120)


def shifted(shift_x: float, size_hw=(8, 12)) -> Points:
    y, x = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float32)
    origins = np.stack((x - np.float32(shift_x), y), 2)
    return Points(origins, (origins[..., 0] >= 0) & (origins[..., 0] <= size_hw[1] - 1))


@pytest.fixture(scope="module")
def filmed():
    scene = Scene(3, split="val")
    times = (0.0, 0.1, 0.2)
    frames, views = [scene.render(t, SIZE_WH) for t in times], [scene.path.at(t) for t in times]
    points = [trace_points(frames[i - 1], views[i - 1], frames[i], views[i]) for i in (1, 2)]
    return frames, points


def test_most_points_are_seen_twice_and_the_truth_changes_at_none(filmed):
    frames, points = filmed
    for number in (1, 2):
        assert points[number - 1].seen.mean() > 0.9
        truth = [frames[number - 1].category_map, frames[number].category_map]
        assert changed_points(*truth, points[number - 1]).count == 0
        moved = np.linalg.norm(points[number - 1].origins_xy - shifted(0.0, SIZE_WH[::-1]).origins_xy, axis=2)
        assert moved.max() > 0.5, "the camera is to move"


def test_labels_carried_exactly_change_at_hardly_any_point_but_at_pixels(filmed):
    frames, points = filmed
    labels = np.roll(frames[0].category_map, 2, 1)  # borders two pixels beside the true ones
    carried = carry_labels(labels, points[0], frames[1].category_map)
    pixels = changed_pixels(labels, carried, frames[0].category_map, frames[1].category_map)
    assert pixels.count > 5 * changed_points(labels, carried, points[0]).count


def test_a_point_whose_label_differs_from_all_around_its_origin_has_changed():
    before = np.zeros((8, 12), np.uint8)
    before[:, 6:] = 1
    border_moved_along = np.zeros((8, 12), np.uint8)
    border_moved_along[:, 9:] = 1  # by 2.5, as the points: neither 8 nor 9 is wrong
    points = shifted(2.5)
    assert changed_points(before, border_moved_along, points).count == 0
    wrong = border_moved_along.copy()
    wrong[3, 2:5] = 2
    share = changed_points(before, wrong, points)
    assert (share.count, share.total) == (2, 8 * 9)  # the third was not in view before


def test_pixels_count_where_the_truth_stays():
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    truth_after = np.array([[0, 1, 1, 1]], np.uint8)
    before, after = np.array([[0, 0, 1, 1]], np.uint8), np.array([[5, 5, 1, 0]], np.uint8)
    assert changed_pixels(before, after, truth, truth_after) == Share(2, 3)


def test_objects_are_what_most_of_their_pixels_are():
    instances = np.zeros((40, 40), np.uint16)
    instances[:, 20:] = 1
    instances[0, 0] = 2  # too small
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 25:] = 7
    one = object_labels(labels, instances)
    assert one == {0: 0, 1: 7}
    assert changed_objects(one, {0: 0, 1: 3, 4: 9}) == Share(1, 2)
    assert np.isnan(Share().value)
