"""Points, distances and boxes by hand, and against the plain way to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsr_ros.ops.spatial import (
    Intrinsics,
    RegisteredDepth,
    RigidTransform,
    is_known,
    locate_segments,
    resize_nearest,
    to_coordinates,
)

CAMERA = Intrinsics(fx=2.0, fy=4.0, cx=1.0, cy=0.0)
UNKNOWN = (np.nan, np.inf, -np.inf, 0.0, -1.0)


def depth_of(rows, camera=CAMERA):
    return RegisteredDepth(np.array(rows, np.float32), camera)


def to_points(depth):
    return np.stack(to_coordinates(depth), axis=-1)  # (H, W, 3)


def locate(depth, segment_map, ids):
    return locate_segments(depth, np.array(segment_map, np.uint16), np.array(ids, np.uint16))


def test_no_segments_are_nowhere():
    locations = locate(depth_of([[1.0, 2.0]]), [[0, 0]], [])
    assert locations.depth_counts.shape == (0,)
    assert locations.positions_m.shape == locations.box_min_m.shape == locations.box_max_m.shape == (0, 3)


def test_points_by_hand():
    points = to_points(depth_of([[2.0, 2.0, 2.0], [4.0, 4.0, 4.0]]))
    np.testing.assert_allclose(
        points,
        [[[-1, 0, 2], [0, 0, 2], [1, 0, 2]], [[-2, 1, 4], [0, 1, 4], [2, 1, 4]]],
    )
    assert points.dtype == np.float32


@pytest.mark.parametrize("bad", UNKNOWN)
def test_what_is_no_distance_gives_no_point_and_is_not_counted(bad):
    depth = depth_of([[bad, 3.0]])
    assert is_known(depth.depth_m).tolist() == [[False, True]]
    points = to_points(depth)
    assert np.isnan(points[0, 0]).all()
    np.testing.assert_allclose(points[0, 1], (0, 0, 3))
    locations = locate(depth, [[1, 1]], [1])
    assert locations.depth_counts.tolist() == [1]
    np.testing.assert_allclose(locations.distances_m, [3.0])
    np.testing.assert_allclose(locations.positions_m, [[0, 0, 3]])


@settings(max_examples=60)
@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12))
def test_whatever_the_bytes_places_are_finite_or_none(bits):
    depth = RegisteredDepth(np.array([bits], np.uint32).view(np.float32), Intrinsics(1.0, 1.0, 0.0, 0.0))
    locations = locate(depth, np.ones((1, len(bits))), [1])
    values = np.concatenate([locations.positions_m[0], locations.box_min_m[0], locations.box_max_m[0]])
    assert np.isfinite(values).all() if locations.depth_counts[0] else np.isnan(values).all()
    assert np.isfinite(to_points(depth)[is_known(depth.depth_m)]).all()


def test_a_segment_without_depth_is_counted_as_such():
    locations = locate(depth_of([[np.nan, 3.0, 1.0]]), [[2, 7, 0]], [2, 5, 7])
    assert locations.depth_counts.tolist() == [0, 0, 1]
    for array in (locations.distances_m, locations.positions_m, locations.box_min_m, locations.box_max_m):
        assert np.isnan(array[:2]).all()
        assert np.isfinite(array[2]).all()


def test_distance_is_from_the_camera_s_centre_not_along_its_axis():
    locations = locate(
        depth_of([[9.0, 9.0, 9.0, 4.0]], Intrinsics(fx=1.0, fy=1.0, cx=0.0, cy=0.0)), [[0, 0, 0, 3]], [3]
    )
    np.testing.assert_allclose(locations.distances_m, [np.hypot(12.0, 4.0)], rtol=1e-6)
    np.testing.assert_allclose(locations.positions_m, [[12.0, 0.0, 4.0]])
    np.testing.assert_allclose(locations.box_min_m, locations.box_max_m)


def test_the_box_leaves_outliers_out_and_the_median_does_not_see_them():
    depth = np.full((10, 20), 2.0, np.float32)
    depth[0, :4] = 50.0  # 2 % of the pixels look past the object
    locations = locate(depth_of(depth, Intrinsics(100.0, 100.0, 9.5, 4.5)), np.ones((10, 20)), [1])
    assert locations.depth_counts.tolist() == [200]
    np.testing.assert_allclose(locations.box_min_m[0, 2], 2.0, atol=1e-3)
    np.testing.assert_allclose(locations.box_max_m[0, 2], 2.0, atol=1e-3)
    np.testing.assert_allclose(locations.distances_m, [2.003], atol=0.005)
    assert locations.positions_m[0, 2] == pytest.approx((196 * 2.0 + 4 * 50.0) / 200)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), num_segments=st.integers(1, 12), share_unknown=st.sampled_from((0.0, 0.3, 1.0)))
def test_every_segment_is_where_the_plain_way_finds_it(seed, num_segments, share_unknown):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    segment_map = rng.integers(0, num_segments + 1, (height, width)).astype(np.uint16)
    ids = np.arange(1, num_segments + 1, dtype=np.uint16)
    values = rng.uniform(0.1, rng.choice((1.0, 60.0)), (height, width)).astype(np.float32)
    values[rng.random((height, width)) < share_unknown] = rng.choice(UNKNOWN)
    camera = Intrinsics(*rng.uniform(20, 600, 2), *rng.uniform(-10, 50, 2))
    depth = RegisteredDepth(values, camera)
    before = values.copy(), segment_map.copy()
    locations = locate_segments(depth, segment_map, ids)
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(segment_map, before[1])
    all_points = to_points(depth)
    for index, segment_id in enumerate(ids):
        points = all_points[(segment_map == segment_id) & is_known(values)].astype(np.float64)
        assert locations.depth_counts[index] == len(points)
        if not len(points):
            assert np.isnan(locations.positions_m[index]).all()
            continue
        # Half a step, and float32's own rounding.
        tolerance = np.ptp(points, axis=0).max() / 131070 + 1e-5 * np.abs(points).max()
        np.testing.assert_allclose(locations.positions_m[index], points.mean(0), atol=tolerance)
        ordered, outliers = np.sort(points, axis=0), round(0.02 * (len(points) - 1))
        np.testing.assert_allclose(locations.box_min_m[index], ordered[outliers], atol=tolerance)
        np.testing.assert_allclose(locations.box_max_m[index], ordered[-1 - outliers], atol=tolerance)
        distances = np.sort(np.linalg.norm(points, axis=1))
        assert locations.distances_m[index] == pytest.approx(distances[(len(points) - 1) // 2], abs=2 * tolerance)


def test_of_a_large_image_large_segments_are_sampled_and_small_ones_looked_at_whole():
    size_hw = (1080, 1920)
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    segment_map = (1 + columns // 960 + 2 * (rows // 540)).astype(np.uint16)  # four large ones,
    segment_map[100:103, 200:207] = 9  # a small one,
    segment_map[7, 7] = 60000  # and a single pixel
    depth = RegisteredDepth((2 + 0.001 * columns + 0.002 * rows).astype(np.float32), Intrinsics(1500, 1500, 960, 540))
    depth.depth_m[::3, 1::2] = np.nan  # regular holes, as depth of a lower resolution has once it is registered
    ids = np.array([1, 2, 3, 4, 9, 60000], np.uint16)
    locations = locate_segments(depth, segment_map, ids)
    points = to_points(depth)
    for index, segment_id in enumerate(ids):
        own = points[(segment_map == segment_id) & is_known(depth.depth_m)]
        assert locations.depth_counts[index] == len(own)
        tolerance = 0.01 if segment_id <= 4 else 1e-4
        outliers = round(0.02 * (len(own) - 1))
        ordered = np.sort(own, axis=0)
        np.testing.assert_allclose(locations.positions_m[index], own.mean(0, dtype=float), atol=tolerance)
        np.testing.assert_allclose(locations.box_min_m[index], ordered[outliers], atol=tolerance)
        np.testing.assert_allclose(locations.box_max_m[index], ordered[-1 - outliers], atol=tolerance)
        distances = np.sort(np.linalg.norm(own, axis=1))
        assert locations.distances_m[index] == pytest.approx(distances[(len(own) - 1) // 2], abs=tolerance)


def test_sizes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"expected \(1, 2\) as segment_map, got \(2, 1\)"):
        locate(depth_of([[1.0], [1.0]]), [[1, 1]], [1])


def test_resizing_takes_the_nearest_pixel():
    small = np.array([[1, 2], [3, 4]], np.float32)
    np.testing.assert_array_equal(resize_nearest(small, (2, 4)), [[1, 1, 2, 2], [3, 3, 4, 4]])
    np.testing.assert_array_equal(resize_nearest(np.arange(6, dtype=np.float32)[None], (1, 2)), [[1, 4]])
    assert resize_nearest(small, (2, 2)) is small


@pytest.mark.parametrize("seed", range(5))
def test_along_other_axes_boxes_are_those_of_the_turned_points(seed):
    """Not the turned box of the points, which would be larger: against turning each point."""
    rng = np.random.default_rng(seed)
    depth = RegisteredDepth(rng.uniform(0.5, 4, (30, 40)).astype(np.float32), Intrinsics(40.0, 40.0, 19.5, 14.5))
    segment_map = (np.arange(40)[None].repeat(30, 0) // 14).astype(np.uint16)
    ids = np.array([1, 2], np.uint16)
    turn = RigidTransform.from_quaternion(rng.normal(size=4), (0, 0, 0)).rotation
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    found, unturned = (locate_segments(depth, segment_map, ids, rotation) for rotation in (turn, None))
    points = to_points(depth) @ turn.T
    np.testing.assert_array_equal(found.depth_counts, unturned.depth_counts)
    np.testing.assert_array_equal(found.distances_m, unturned.distances_m)
    np.testing.assert_allclose(found.positions_m, unturned.positions_m @ turn.T, atol=1e-4)
    for row, id in enumerate(ids):
        inside = np.sort(points[segment_map == id], axis=0)
        outliers = round(0.02 * (len(inside) - 1))
        np.testing.assert_allclose(found.box_min_m[row], inside[outliers], atol=1e-3)
        np.testing.assert_allclose(found.box_max_m[row], inside[-1 - outliers], atol=1e-3)
