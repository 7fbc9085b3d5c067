"""Reuse of embeddings: what goes through CLIP anew, and that labels are what they are without reuse."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from ovsr_ros.backends.contract import FoundSegments
from ovsr_ros.demo.scenes import CATEGORIES, DISTRACTORS, Scene
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.settings import load_settings
from ovsr_ros.tracking import Tracker, TrackingOptions
from ovsr_ros.vocabulary.category import CategoryRequest, Operation

SIZE_HW = (120, 160)
PERIOD_S = 0.1
NUM_SEGMENTS = 12
DEMO_SEED = 35
FIRST_LOOKS = 6

rng = np.random.default_rng(0)
TEXTURE = cv2.GaussianBlur(rng.integers(0, 255, (*SIZE_HW, 3), np.uint8), (0, 0), 2.0)
TILES = (np.arange(SIZE_HW[0])[:, None] // 40) * 4 + np.arange(SIZE_HW[1]) // 40  # (H, W), 12 squares
EMBEDDINGS = torch.nn.functional.normalize(
    torch.randn(2, NUM_SEGMENTS, 16, generator=torch.Generator().manual_seed(0)), dim=2
)


class Stream:
    """A tracker, its clock, and a backend that tells what it was asked for."""

    def __init__(self, all_at_once: bool = False, **options) -> None:
        self.tracker, self.time_s = Tracker(), 10.0
        self.options = TrackingOptions(**options)
        self.all_at_once = all_at_once
        self.asked: list[int] = []

    def show(self, image=TEXTURE, tiles=TILES, kind=0, source=None, noise=0.0):
        """Show an image whose segments are the tiles; kind: which embeddings CLIP would give them."""
        self.time_s += PERIOD_S
        self.asked = []
        seed = round(self.time_s * 10)
        noisy = image + np.random.default_rng(seed).normal(0, noise, image.shape) if noise else image
        numbers, areas = np.unique(tiles, return_counts=True)
        places = [np.nonzero(tiles == number) for number in numbers]

        def embed(rows):
            self.asked += rows.tolist()
            return EMBEDDINGS[kind][torch.from_numpy(numbers[rows] % NUM_SEGMENTS)]

        found = FoundSegments(
            segment_map=torch.from_numpy(np.searchsorted(numbers, tiles).astype(np.int32) + 1),
            cluster_ids=np.arange(len(numbers)),
            boxes_xyxy=np.array([(x.min(), y.min(), x.max() + 1, y.max() + 1) for y, x in places], np.int32),
            areas_px=areas.astype(np.int32),
            centroids_xy=np.array([(x.mean(), y.mean()) for y, x in places], np.float32),
            stage_seconds={"clip": 0.0},
            embed_rows=embed,
            width=EMBEDDINGS.shape[2],
            all_at_once=self.all_at_once,
        )
        frame = self.tracker.follow(np.clip(noisy, 0, 255).astype(np.uint8), found, self.time_s, self.options, source)
        assert frame.num_found == len(numbers)
        assert frame.num_embedded == len(self.asked) == len(set(self.asked))
        return frame

    def stand_still(self, num_frames: int = 10) -> None:
        for _ in range(num_frames):
            self.show()


def all_of(frame, kind):
    """Whether each segment has the embedding of its kind (of 12 equal squares, ids go by place)."""
    return torch.allclose(frame.embeddings, EMBEDDINGS[kind], atol=1e-5)


def test_the_first_frames_are_embedded_whole():
    stream = Stream()
    for _ in range(FIRST_LOOKS):
        assert stream.show().num_embedded == NUM_SEGMENTS
    assert stream.show().num_embedded == 0


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_what_stands_still_is_renewed_in_turn_a_tenth_per_frame_at_most(noise):
    stream = Stream()
    for _ in range(FIRST_LOOKS):
        stream.show(noise=noise)
    asked = []
    for _ in range(40):
        frame = stream.show(noise=noise)
        assert frame.num_embedded <= 2
        assert all_of(frame, 0)
        asked += stream.asked
    assert len(asked) <= 0.1 * 40 * NUM_SEGMENTS
    assert set(asked) == set(range(NUM_SEGMENTS))


def test_where_all_cost_no_more_than_one_most_frames_have_none():
    stream = Stream(all_at_once=True)
    stream.stand_still(FIRST_LOOKS)
    counts = [stream.show().num_embedded for _ in range(40)]
    assert set(counts) == {0, NUM_SEGMENTS}
    assert sum(counts) <= 0.1 * 40 * NUM_SEGMENTS


def test_a_segment_that_changes_is_embedded_at_once_until_the_average_has_followed_and_no_other_is():
    stream = Stream(refresh_s=60.0)
    stream.stand_still()
    image = TEXTURE.copy()
    image[TILES == 5] = np.clip(image[TILES == 5].astype(int) + 12, 0, 255)
    for _ in range(20):
        frame = stream.show(image, kind=1)
        assert stream.asked == [5]
    assert float(frame.embeddings[5] @ EMBEDDINGS[1, 5]) > 0.95
    stream.show(image, kind=1)
    assert [stream.show(image, kind=1).num_embedded for _ in range(3)] == [0, 0, 0]


def pan(step, image=None, tiles=TILES):
    """What a camera sees that pans by 3 pixels per step over a wide texture; what leaves on one side comes back."""
    return np.roll(TEXTURE if image is None else image, 3 * step, 1), np.roll(tiles, 3 * step, 1)


def test_of_a_camera_that_moves_what_was_seen_keeps_its_embedding():
    stream = Stream(refresh_s=60.0)
    stream.stand_still()
    counts = []
    for step in range(1, 12):
        frame = stream.show(*pan(step))
        counts.append(frame.num_embedded)
        assert len(frame) == NUM_SEGMENTS
    assert sum(counts) <= 0.1 * NUM_SEGMENTS * len(counts)


@pytest.mark.parametrize("change", ["another thing", "light"])
def test_what_changes_while_the_camera_moves_is_embedded_at_once(change):
    stream = Stream(refresh_s=60.0)
    stream.stand_still()
    for step in range(1, 6):
        stream.show(*pan(step))
    image = TEXTURE.copy()
    where = TILES == 5
    image[where] = (200, 40, 40) if change == "another thing" else np.minimum(image[where], 235) + 20
    frame = stream.show(*pan(6, image), kind=1)
    assert 5 in stream.asked
    assert frame.num_embedded <= 3
    for step in range(7, 12):
        frame = stream.show(*pan(step, image), kind=1)
        if change == "light":
            assert 5 in stream.asked, "until the average has followed"
        else:
            row = int(frame.segment_map[60, 60 + 3 * step]) - 1
            assert torch.allclose(frame.embeddings[row], EMBEDDINGS[1, 5], atol=1e-5)


def test_a_change_of_colours_that_is_none_to_clip_is_looked_at_once():
    stream = Stream(refresh_s=60.0)
    stream.stand_still()
    image = TEXTURE.copy()
    image[TILES == 5] = np.clip(image[TILES == 5].astype(int) + 12, 0, 255)
    asked = []
    for _ in range(10):
        stream.show(image)
        asked += stream.asked
    assert asked == [5]


def test_options_that_make_other_embeddings_leave_none_of_the_old():
    stream = Stream()
    stream.stand_still()
    frame = stream.show(kind=1, source="other")
    assert frame.num_embedded == NUM_SEGMENTS
    assert all_of(frame, 1)


def test_after_a_cut_and_a_restart_every_segment_is_embedded():
    stream = Stream()
    stream.stand_still()
    cut = np.random.default_rng(9).integers(0, 255, (6, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    frame = stream.show(cut, kind=1)
    assert frame.num_embedded == NUM_SEGMENTS
    assert all_of(frame, 1)
    stream.stand_still()
    stream.tracker.restart()
    assert stream.show().num_embedded == NUM_SEGMENTS


def test_a_part_found_for_a_moment_is_not_embedded():
    stream = Stream(refresh_s=60.0)
    stream.stand_still()
    split = TILES.copy()
    split[:20, :40] = NUM_SEGMENTS
    frame = stream.show(tiles=split)
    assert frame.num_found == NUM_SEGMENTS + 1
    assert len(frame) == NUM_SEGMENTS
    assert frame.num_embedded == 0


def test_a_new_segment_has_an_embedding_as_soon_as_it_shows():
    stream = Stream(refresh_s=60.0)
    stream.stand_still()
    image, tiles = TEXTURE.copy(), TILES.copy()
    image[45:75, 45:75], tiles[45:75, 45:75] = (250, 10, 10), 17  # embedded as number 5 of the other kind
    frame = stream.show(image, tiles, kind=1)
    row = int(frame.segment_map[60, 60]) - 1
    assert len(frame) == NUM_SEGMENTS + 1
    assert torch.allclose(frame.embeddings[row], EMBEDDINGS[1, 5], atol=1e-5)
    assert torch.allclose(frame.embeddings.norm(dim=1), torch.ones(len(frame)), atol=1e-5)


# --- Looks at the whole image: all segments cost no more than one ---


def with_a_square(number=17, left=45):
    """The texture and its tiles with a new thing on them."""
    image, tiles = TEXTURE.copy(), TILES.copy()
    image[45:75, left : left + 30], tiles[45:75, left : left + 30] = (250, 10, 10), number
    return image, tiles


def test_a_new_segment_waits_for_the_next_look_and_shows_as_nothing_known_until_then():
    stream = Stream(all_at_once=True, max_wait_s=0.5, refresh_s=60.0)
    assert stream.show().num_embedded == NUM_SEGMENTS
    image, tiles = with_a_square()
    for _ in range(4):
        frame = stream.show(image, tiles, kind=1)
        assert frame.num_embedded == 0
        assert len(frame) == NUM_SEGMENTS
        assert frame.segment_map[60, 60] == 0, "neither a segment without an embedding nor part of the tile behind it"
        assert frame.segment_map[20, 20] > 0
    frame = stream.show(image, tiles, kind=1)
    assert frame.num_embedded == NUM_SEGMENTS + 1
    assert len(frame) == NUM_SEGMENTS + 1
    row = int(frame.segment_map[60, 60]) - 1
    assert torch.allclose(frame.embeddings[row], EMBEDDINGS[1, 5], atol=1e-5)
    assert frame.track_ids[row] == NUM_SEGMENTS + 1


def test_after_a_quiet_while_a_new_segment_does_not_wait():
    stream = Stream(all_at_once=True, max_wait_s=0.5)
    stream.show()
    assert [stream.show().num_embedded for _ in range(6)] == [0] * 6
    frame = stream.show(*with_a_square())
    assert frame.num_embedded == len(frame) == NUM_SEGMENTS + 1


def test_whatever_comes_and_goes_looks_keep_their_distance():
    stream = Stream(all_at_once=True, max_wait_s=0.5)
    stream.show()
    counts = [stream.show(*with_a_square(17 + step, 5 + 4 * step)).num_embedded for step in range(25)]
    looks = np.flatnonzero(counts)
    assert len(looks) >= 4
    assert np.diff(looks).min() >= 5


def test_a_view_that_is_mostly_new_does_not_wait():
    stream = Stream(all_at_once=True, max_wait_s=10.0)
    stream.show()
    cut = np.random.default_rng(9).integers(0, 255, (6, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    assert stream.show(cut, kind=1).num_embedded == NUM_SEGMENTS
    stream.show(cut, kind=1)
    image = cut.copy()
    image[:, :80] = 255 - cut[:, :80]  # a door opens: half of the view
    tiles = np.where(np.arange(160) < 80, TILES % 4 // 2 + 20, TILES)
    stream.options = dataclasses.replace(stream.options, border_memory_s=0.0)
    assert stream.show(image, tiles, kind=1).num_embedded > 0


def test_a_segment_that_had_to_wait_is_found_again_by_what_it_looks_like():
    stream = Stream(all_at_once=True, max_wait_s=0.5, refresh_s=60.0)
    image, tiles = with_a_square()
    stream.stand_still(6)
    for _ in range(6):
        frame = stream.show(image, tiles)
    (id,) = {int(frame.track_ids[int(frame.segment_map[60, 60]) - 1])}
    for _ in range(8):
        stream.show()
    for _ in range(6):
        frame = stream.show(image, tiles)
    row = int(frame.segment_map[60, 60]) - 1
    assert frame.track_ids[row] == id


# --- The demo's models on the demo's camera ---


@pytest.fixture(scope="module")
def pipeline():
    pipeline = Pipeline(load_settings("demo", {"text.cache_directory": "none"}).pipeline)
    pipeline.set_vocabulary(Operation.REPLACE, [CategoryRequest(word) for word in (*CATEGORIES, *DISTRACTORS)])
    return pipeline


@pytest.mark.parametrize(("motion", "most_seen", "most_differing"), [(0.0, 0.2, 0.005), (1.0, 1 / 3, 0.01)])
def test_clip_sees_a_share_of_the_segments_and_labels_are_the_same(pipeline, motion, most_seen, most_differing):
    """After the first second, in which everything is new, of a camera that stands still and of one that moves."""
    scene, trackers = Scene(DEMO_SEED, split="test", motion=motion), (Tracker(), Tracker())
    options = TrackingOptions()
    found = embedded = 0
    differing = []
    for number in range(24):
        image = scene.render(number * PERIOD_S).image
        frame = pipeline.embed(image)
        unknown = FoundSegments(
            *(getattr(frame, field.name) for field in dataclasses.fields(FoundSegments)[:6]),
            embed_rows=lambda rows, frame=frame: frame.embeddings[torch.from_numpy(rows)],
            width=frame.embeddings.shape[1],
            all_at_once=False,
        )
        reused, anew = (
            tracker.follow(image, each, number * PERIOD_S, options)
            for tracker, each in zip(trackers, (unknown, frame), strict=True)
        )
        assert anew.num_embedded == anew.num_found == reused.num_found
        if number >= 10:
            found, embedded = found + reused.num_found, embedded + reused.num_embedded
        labels = [pipeline.label(each).label_map for each in (reused, anew)]
        differing.append(float((labels[0] != labels[1]).mean()))
    assert 0 < embedded <= most_seen * found
    assert np.mean(differing) <= most_differing


def test_one_switch_turns_reuse_off(pipeline):
    scene, tracker, other = Scene(DEMO_SEED, split="test", motion=0.0), Tracker(), Tracker()
    pipeline.update_options({"tracking.reuse_embeddings": False})
    for number in range(8):
        image = scene.render(number * PERIOD_S).image
        frame = pipeline.follow(image, tracker, number * PERIOD_S)
        assert frame.num_embedded == frame.num_found > 0
    whole = other.follow(image, pipeline.embed(image), 0.0, TrackingOptions(reuse_embeddings=False))
    assert list(frame.stage_seconds) == list(whole.stage_seconds)


def test_another_vocabulary_labels_the_next_frame_of_a_still_camera(pipeline):
    pipeline.update_options({"tracking.reuse_embeddings": True})
    image, tracker = Scene(DEMO_SEED, split="test", motion=0.0).render(0.0).image, Tracker()
    for number in range(FIRST_LOOKS + 1):
        frame = pipeline.follow(image, tracker, number * PERIOD_S)
    assert frame.num_embedded == 0
    before = set(np.unique(pipeline.label(frame).label_map))
    other = pipeline.classifier_for([CategoryRequest(word) for word in ("wall", "floor")])
    after = set(np.unique(pipeline.label(frame, other).label_map))
    known = {category.id for category in other.vocabulary.categories}
    assert before - known, "more than the room was named"
    assert known & after
    assert after <= known | {UNLABELED_ID}
