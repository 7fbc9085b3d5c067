"""Connected parts, their boxes and peaks."""

import numpy as np

from ovsr_ros.backends.trident.refinement import find_components


def test_parts_touch_by_corners_and_small_ones_are_left_out():
    mask = np.zeros((6, 8), bool)
    mask[0, 0] = mask[1, 1] = mask[2, 2] = True  # one part, along a diagonal
    mask[4:6, 5:8] = True
    mask[0, 7] = True  # too small
    values = np.arange(48, dtype=np.float32).reshape(6, 8)
    found = find_components(mask, values, 3)
    assert len(found) == 2
    assert found.boxes_xyxy.tolist() == [[0, 0, 2, 2], [5, 4, 7, 5]]
    assert found.peaks_xy.tolist() == [[2, 2], [7, 5]]
    assert (found.labels > 0).sum() == 9
    assert found.labels[0, 7] == 0


def test_a_peak_is_the_first_of_equals_and_inside_its_part():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    values = np.full((4, 4), 9.0, np.float32)
    values[1:3, 1:3] = [[1, 2], [2, 0]]
    assert find_components(mask, values, 1).peaks_xy.tolist() == [[2, 1]]


def test_nothing_has_no_parts():
    found = find_components(np.zeros((3, 3), bool), np.zeros((3, 3), np.float32), 1)
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)
