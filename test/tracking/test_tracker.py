"""Segments over time: what keeps its id, what begins anew, and what the maps say all the while."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from ovsr_ros.backends.contract import FrameEmbeddings, Regions
from ovsr_ros.ops import native
from ovsr_ros.tracking import Tracker, TrackingOptions

SIZE_HW = (120, 160)
PERIOD_S = 0.1
FLOOR, BALL, BOX = 0, 1, 2
EMBEDDINGS = torch.nn.functional.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)), dim=1)
OPTIONS = TrackingOptions()


@pytest.fixture(autouse=True, params=["lists", "maps"])
def evidence(request, monkeypatch):
    """As a CPU keeps it, and as other devices do."""
    if request.param == "maps":
        monkeypatch.setattr(native, "load", lambda: None)


def texture(seed: int, size_hw: tuple[int, int] = SIZE_HW, low: int = 0, high: int = 255) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(low, high, (*size_hw, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2.0)


FLOOR_TEXTURE = texture(0, (240, 320), 0, 160)
BALL_TEXTURE, BOX_TEXTURE = texture(1, (240, 320), 120, 255), texture(2, (240, 320), 60, 200)


def draw(ball_xy=(60, 60), box_xy=None, camera_x=0, hidden=(), size_hw=SIZE_HW):
    """An image of a ball and a box on a textured floor, and which is where: (H, W, 3) uint8, (H, W) int."""
    height, width = size_hw
    image = FLOOR_TEXTURE[:height, camera_x : camera_x + width].copy()
    objects = np.full(size_hw, FLOOR)
    y, x = np.mgrid[:height, :width]
    shapes = {}
    if ball_xy is not None:
        shapes[BALL] = np.hypot(x - ball_xy[0] + camera_x, y - ball_xy[1]) < 18
    if box_xy is not None:
        shapes[BOX] = (np.abs(x - box_xy[0] + camera_x) < 14) & (np.abs(y - box_xy[1]) < 22)
    for number, (inside, pattern) in enumerate(zip(shapes.values(), (BALL_TEXTURE, BOX_TEXTURE), strict=False)):
        image[inside] = pattern[:height, camera_x : camera_x + width][inside]
        objects[inside] = list(shapes)[number]
    for hide in hidden:
        objects[objects == hide] = FLOOR
    return image, objects


def to_frame(objects, noise=0.0, seed=0) -> FrameEmbeddings:
    """The frame that a perfect pipeline finds: one segment per object, ids by area."""
    present, areas = np.unique(objects, return_counts=True)
    order = present[np.argsort(-areas, kind="stable")]
    segment_map = np.zeros(objects.shape, np.int32)
    boxes, centroids = [], []
    for id, which in enumerate(order, 1):
        rows, columns = np.nonzero(objects == which)
        segment_map[rows, columns] = id
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        centroids.append((columns.mean(), rows.mean()))
    embeddings = EMBEDDINGS[torch.from_numpy(order)]
    embeddings = embeddings + noise * torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(seed))
    regions = Regions(
        segment_map=torch.from_numpy(segment_map),
        cluster_ids=np.arange(len(order)),
        boxes_xyxy=np.array(boxes, np.int32),
        areas_px=np.sort(areas)[::-1].astype(np.int32),
        centroids_xy=np.array(centroids, np.float32),
    )
    return FrameEmbeddings(regions, torch.nn.functional.normalize(embeddings, dim=1), {"find": 0.0})


class Stream:
    """A tracker and its clock."""

    def __init__(self, options: TrackingOptions = OPTIONS) -> None:
        self.tracker = Tracker()
        self.options = options
        self.time_s = 10.0

    def show(self, image, objects, passed_s=PERIOD_S, source=None, **noise):
        self.time_s += passed_s
        return self.tracker.follow(image, to_frame(objects, **noise), self.time_s, self.options, source)


def id_at(frame: FrameEmbeddings, xy: tuple[int, int]) -> int:
    """The track that a pixel is part of."""
    return int(frame.track_ids[int(frame.regions.segment_map[xy[1], xy[0]]) - 1])


def check_consistent(frame: FrameEmbeddings, size_hw=SIZE_HW) -> None:
    """The frame's arrays describe its map."""
    segment_map = frame.regions.segment_map.numpy()
    assert segment_map.shape == size_hw
    assert segment_map.dtype == np.int32
    assert set(np.unique(segment_map)) - {0} == set(range(1, len(frame) + 1))
    assert list(frame.regions.areas_px) == sorted(frame.regions.areas_px, reverse=True)
    assert frame.track_ids.dtype == np.uint32
    assert len(set(frame.track_ids)) == len(frame)
    assert np.all(frame.track_ids > 0)
    assert frame.embeddings.shape == (len(frame), EMBEDDINGS.shape[1])
    assert torch.allclose(frame.embeddings.norm(dim=1), torch.ones(len(frame)), atol=1e-5)
    for index in range(len(frame)):
        rows, columns = np.nonzero(segment_map == index + 1)
        assert frame.regions.areas_px[index] == rows.size
        assert tuple(frame.regions.boxes_xyxy[index]) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.allclose(frame.regions.centroids_xy[index], (columns.mean(), rows.mean()), atol=1e-2)


def test_the_first_frame_is_as_it_was_found_with_ids_from_1():
    image, objects = draw(box_xy=(120, 50))
    found, followed = to_frame(objects), Stream().show(image, objects)
    check_consistent(followed)
    assert torch.equal(followed.regions.segment_map, found.regions.segment_map)
    assert torch.equal(followed.embeddings, found.embeddings)
    assert followed.track_ids.tolist() == [1, 2, 3]
    assert list(followed.stage_seconds) == ["find", "motion", "tracks"]


def test_ids_stay_while_the_camera_and_an_object_move():
    stream = Stream()
    for step in range(15):
        ball_xy = (60 + 2 * step, 60 + step)
        frame = stream.show(*draw(ball_xy, (130, 50), camera_x=4 * step))
        check_consistent(frame)
        assert id_at(frame, (ball_xy[0] - 4 * step, ball_xy[1])) == 3
        assert id_at(frame, (5, 115)) == 1
    assert len(frame) == 3


def test_a_segment_missed_for_a_moment_still_shows():
    stream = Stream()
    for _ in range(8):
        before = stream.show(*draw())
    for _ in range(2):
        frame = stream.show(*draw(hidden=(BALL,)))
        assert torch.equal(frame.regions.segment_map, before.regions.segment_map)
        assert frame.track_ids.tolist() == before.track_ids.tolist()


def test_a_part_that_is_found_for_a_moment_does_not_show():
    stream = Stream()
    image, objects = draw()
    for _ in range(8):
        before = stream.show(image, objects)
    split = objects.copy()
    split[:, 120:] = BOX
    assert torch.equal(stream.show(image, split).regions.segment_map, before.regions.segment_map)


def test_a_change_that_no_motion_explains_shows_after_a_bounded_time():
    stream = Stream()
    image, objects = draw()
    for _ in range(10):
        stream.show(image, objects)
    split = objects.copy()
    split[:, 120:] = BOX
    most = math.ceil(OPTIONS.border_memory_s * math.log(2) / PERIOD_S + 1e-6)
    shown = [len(stream.show(image, split)) == 3 for _ in range(most + 1)]
    assert not shown[0]
    assert shown[most]


def test_what_comes_into_view_shows_at_once():
    stream = Stream()
    for _ in range(10):
        stream.show(*draw(None))
    frame = stream.show(*draw((60, 60)))
    assert id_at(frame, (60, 60)) == 2
    check_consistent(frame)


def test_after_a_cut_each_segment_is_as_found():
    stream = Stream()
    for _ in range(10):
        stream.show(*draw((60, 60)))
    _, objects = draw((110, 40), (40, 80))
    image = np.random.default_rng(9).integers(0, 255, (6, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    frame = stream.show(image, objects, noise=0.1)
    found = to_frame(objects, 0.1)
    assert torch.equal(frame.regions.segment_map, found.regions.segment_map)
    assert torch.allclose(frame.embeddings, found.embeddings, atol=1e-6)


def test_an_object_hidden_for_a_second_gets_its_id_back():
    stream = Stream()
    for step in range(30):
        # The box passes in front of the ball.
        ball = None if 8 <= step < 18 else (70, 60)
        frame = stream.show(*draw(ball, (30 + 3 * step, 60) if ball is None else None))
        if ball is not None:
            assert id_at(frame, (70, 60)) == 2, step
    assert frame.track_ids.tolist() == [1, 2]


def test_an_object_hidden_for_longer_than_remembered_gets_a_new_id():
    stream = Stream(TrackingOptions(lost_s=1.0))
    ids = set()
    for step in range(40):
        frame = stream.show(*draw(None if 8 <= step < 25 else (70, 60)))
        if 8 <= step < 25:
            assert len(frame) == 1
        else:
            ids.add(id_at(frame, (70, 60)))
    assert ids == {2, 3}


def test_something_else_in_an_objects_place_is_not_that_object():
    stream = Stream()
    for _ in range(8):
        stream.show(*draw((70, 60)))
    for _ in range(5):
        stream.show(*draw(None))
    image, objects = draw((70, 60))
    image[objects == BALL] = BOX_TEXTURE[:120, :160][objects == BALL]
    frame = stream.show(image, np.where(objects == BALL, BOX, FLOOR))
    assert id_at(frame, (70, 60)) == 3


@pytest.mark.parametrize("passed_s", [-5.0, 0.0, 3.5, 1e9])
def test_a_stream_that_jumps_in_time_starts_anew(passed_s):
    stream = Stream()
    for step in range(5):
        stream.show(*draw(camera_x=step))
    image, objects = draw((90, 70))
    frame = stream.show(image, objects, passed_s)
    assert torch.equal(frame.regions.segment_map, to_frame(objects).regions.segment_map)
    assert frame.track_ids.tolist() == [3, 4]
    assert stream.show(image, objects).track_ids.tolist() == [3, 4]


def test_another_shape_of_the_image_starts_anew():
    stream = Stream()
    stream.show(*draw())
    frame = stream.show(*draw(size_hw=(100, 160)))
    check_consistent(frame, (100, 160))
    assert frame.track_ids.tolist() == [3, 4]


def test_a_restart_forgets_segments_and_goes_on_with_ids():
    stream = Stream()
    stream.show(*draw())
    stream.tracker.restart()
    assert stream.show(*draw()).track_ids.tolist() == [3, 4]


def test_trackers_can_share_their_ids():
    ids = iter(range(7, 100))
    image, objects = draw()
    given = [Tracker(ids).follow(image, to_frame(objects), 1.0, OPTIONS).track_ids.tolist() for _ in range(2)]
    assert given == [[7, 8], [9, 10]]


def test_a_frame_at_half_the_size_goes_on_with_the_tracks():
    stream = Stream(TrackingOptions(rows=60))
    stream.show(*draw())
    image, objects = draw()
    frame = stream.show(cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA), objects[::2, ::2])
    check_consistent(frame, (60, 80))
    assert frame.track_ids.tolist() == [1, 2]


def test_embeddings_are_averaged_along_a_track():
    stream = Stream()
    errors = {"alone": 0.0, "tracked": 0.0}
    for step in range(20):
        image, objects = draw()
        frame = stream.show(image, objects, noise=0.1, seed=step)
        if step >= 10:
            truth = EMBEDDINGS[[FLOOR, BALL]]
            errors["tracked"] += float((frame.embeddings - truth).norm())
            errors["alone"] += float((to_frame(objects, 0.1, step).embeddings - truth).norm())
    assert errors["tracked"] < 0.5 * errors["alone"]


def test_embeddings_from_another_source_are_not_mixed():
    stream = Stream()
    image, objects = draw()
    for step in range(5):
        stream.show(image, objects, noise=0.3, seed=step, source="one")
    frame = stream.show(image, objects, source="other")
    assert frame.track_ids.tolist() == [1, 2]
    assert torch.allclose(frame.embeddings, EMBEDDINGS[[FLOOR, BALL]], atol=1e-6)


def test_without_memory_each_frame_is_as_found_but_for_its_ids():
    stream = Stream(TrackingOptions(border_memory_s=0.0, score_memory_s=0.0))
    for step in range(6):
        image, objects = draw((60 + 3 * step, 60), (130, 50))
        frame = stream.show(image, objects, noise=0.1, seed=step)
        found = to_frame(objects, 0.1, step)
        assert torch.equal(frame.regions.segment_map, found.regions.segment_map)
        assert torch.allclose(frame.embeddings, found.embeddings, atol=1e-6)
        assert frame.track_ids.tolist() == [1, 2, 3]


def test_pixels_of_no_segment_stay_without():
    stream = Stream()
    image, objects = draw()
    frame = to_frame(objects)
    frame.regions.segment_map[:20] = 0
    for step in range(3):
        followed = stream.tracker.follow(image, frame, 1.0 + step * PERIOD_S, OPTIONS)
        assert torch.equal(followed.regions.segment_map == 0, frame.regions.segment_map == 0)


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 200), (33, 47), (64, 64)])
def test_small_images_can_be_followed(size_hw):
    stream = Stream()
    for step in range(3):
        objects = np.full(size_hw, FLOOR)
        objects[4:12, 4 + step : 12 + step] = BALL
        frame = stream.show(texture(step, size_hw), objects)
        check_consistent(frame, size_hw)


def test_whatever_the_frames_the_maps_agree():
    rng = np.random.default_rng(3)
    stream = Stream()
    given: set[int] = set()
    for step in range(40):
        blocks = rng.integers(0, 6, (int(rng.integers(1, 7)), int(rng.integers(1, 9))))
        objects = cv2.resize(blocks.astype(np.uint8), SIZE_HW[::-1], interpolation=cv2.INTER_NEAREST).astype(np.int64)
        frame = stream.show(texture(step // 4), objects, float(rng.choice([0.03, 0.1, 0.5])))
        check_consistent(frame)
        assert np.count_nonzero(frame.regions.segment_map.numpy()) == frame.regions.segment_map.numel()
        assert all(id <= max(given, default=0) or id not in given for id in frame.track_ids.tolist())
        given |= set(frame.track_ids.tolist())
    assert given == set(range(1, max(given) + 1))
