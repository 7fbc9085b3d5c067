"""A long bag in pieces: which images each has, and that its labels are those of the bag in one piece."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from room_bags import (
    IMAGE,
    INFO,
    ROS2,
    START_NS,
    STEP_NS,
    header,
    image_message,
    images_of,
    room_images,
    write_ros2,
)
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin

from ovsr_ros.cli import main
from ovsr_ros.node_options import DepthOptions
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.chunks import WHOLE, Chunk, lead_in_s, match_tracks, plan_chunks
from ovsr_ros.recordings.frames import Oddities, Sampling, take_images, take_places
from ovsr_ros.recordings.journal import Journal
from ovsr_ros.recordings.run_lengths import to_runs
from ovsr_ros.recordings.table import FrameRow, FrameTable
from ovsr_ros.recordings.topics import choose_topics
from ovsr_ros.tracking import TrackingOptions

RNG = np.random.default_rng(0)
NUM_SMALL = 150
SHORT_MEMORY = {"lost_s": 1.0, "border_memory_s": 0.15, "score_memory_s": 0.15, "refresh_s": 0.5}
OPTIONS = ["--config", "demo", "--set", "text.cache_directory=none", "--device", "cpu"]
OPTIONS += [word for name, value in SHORT_MEMORY.items() for word in ("--set", f"tracking.{name}={value}")]
WORDS = ["--categories", "wall", "floor", "ball", "box"]
NUM_FRAMES = 60


@pytest.fixture(scope="module", params=[StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def small_bag(request, tmp_path_factory) -> Path:
    """15 s of tiny images with depth; camera_info once, stamps now and then out of order, or twice the same."""
    types = ROS2.types
    image, depth = np.zeros((16, 16, 3), np.uint8), np.full((16, 16), 900, np.uint16)
    roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k, p = np.eye(3).reshape(-1), np.eye(4)[:3].reshape(-1)
    info = types[INFO](
        header(types, START_NS), 16, 16, "plumb_bob", np.zeros(5), k, np.eye(3).reshape(-1), p, 0, 0, roi
    )
    messages = [("/camera/camera_info", INFO, START_NS, info)]
    for index in range(NUM_SMALL):
        stamp_ns = START_NS + (index - (index % 7 == 3)) * STEP_NS - (index % 11 == 5) * 3 * STEP_NS // 2
        log_ns = START_NS + index * STEP_NS
        messages.append(("/camera/image_raw", IMAGE, log_ns, image_message(types, image, stamp_ns)))
        messages.append(("/camera/depth", IMAGE, log_ns + 1, image_message(types, depth, stamp_ns, "16UC1")))
    return write_ros2(tmp_path_factory.mktemp("small") / "small", messages, request.param)


def keys(images) -> list:
    return [
        (
            image.number,
            image.stamp_ns,
            image.log_ns,
            None if image.depth is None else image.depth.log_ns,
            None if image.info is None else image.info.log_ns,
        )
        for image in images
    ]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(every=3), Sampling(rate_hz=4)])
def test_from_any_place_a_bag_is_read_as_from_its_start(small_bag: Path, sampling: Sampling) -> None:
    with Bag(small_bag) as bag:
        chosen = choose_topics(bag)
        assert chosen.depth
        every = list(take_places(bag, chosen, sampling, DepthOptions(), Oddities()))
        expected = keys(image for _, image in every)
        assert len({key[3] for key in expected}) > len(expected) // 2
        assert {key[4] for key in expected} == {START_NS}
        for start in range(0, len(every), 7):
            place = Chunk.from_dict(json.loads(json.dumps(Chunk(every[start][0]).to_dict()))).place
            found = keys(take_images(bag, chosen, sampling, DepthOptions(), Oddities(), place))
            assert found == expected[start:]


def test_pieces_follow_each_other_and_each_has_its_lead_in(small_bag: Path) -> None:
    with Bag(small_bag) as bag:
        every = list(take_places(bag, choose_topics(bag), Sampling(), DepthOptions(), Oddities()))
        chunks = plan_chunks(every, 4.0, 1.5)
        assert plan_chunks(every, 100.0, 1.5) == [WHOLE]
    times_s = [image.time_ns / 1e9 for _, image in every]
    assert [chunk.first for chunk in chunks[1:]] == [chunk.stop for chunk in chunks[:-1]]
    assert (chunks[0].place, chunks[-1].stop, len(chunks)) == (None, None, 4)
    for chunk in chunks[1:]:
        assert 1.3 <= times_s[chunk.first] - times_s[chunk.start] <= 1.6
    starts = [times_s[chunk.first] for chunk in chunks]
    assert all(3.9 <= after - before <= 4.3 for before, after in pairwise(starts))


def test_a_short_rest_is_part_of_the_piece_before_it(small_bag: Path) -> None:
    with Bag(small_bag) as bag:
        every = list(take_places(bag, choose_topics(bag), Sampling(), DepthOptions(), Oddities()))
    assert len(plan_chunks(every, 7.2, 1.5)) == 2


def test_a_lead_in_is_as_long_as_the_tracker_remembers() -> None:
    assert lead_in_s(TrackingOptions()) == 12.0
    assert lead_in_s(TrackingOptions(lost_s=20.0)) == 20.0
    assert lead_in_s(TrackingOptions(enabled=False)) == 0.0


def row(segment_map: list[list[int]], track_ids: list[int], stamp_ns: int = 1) -> FrameRow:
    count = len(track_ids)
    values, lengths = to_runs(np.array(segment_map, np.uint16))
    return FrameRow(
        stamp_ns,
        stamp_ns,
        "",
        np.shape(segment_map),
        values,
        lengths,
        np.array(track_ids, np.uint32),
        np.zeros((count, 4), np.int32),
        np.zeros(count, np.int32),
        np.zeros((count, 2), np.float32),
        np.zeros((count, 2), np.float16),
    )


def test_tracks_at_one_place_in_both_pieces_are_one() -> None:
    before = [row([[1, 1, 1, 2, 2, 0, 3, 3]], [7, 9, 4], stamp) for stamp in (1, 2)]
    lost = row([[0, 0, 0, 0, 0, 0, 1, 1]], [9], 1)
    after = [lost, row([[2, 2, 2, 2, 1, 3, 3, 0]], [1, 2, 5], 2)]
    assert match_tracks(before, after) == {2: 7, 1: 9, 5: 4}
    assert match_tracks(before, [row([[1, 1, 1, 2, 2, 0, 3, 3]], [7, 9, 4], 3)]) == {}
    assert match_tracks([], []) == {}


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return write_ros2(tmp_path_factory.mktemp("bags") / "room", images_of(room_images(NUM_FRAMES, (160, 120), seed=35)))


def label(bag: Path, out: Path, *arguments: str) -> int:
    return main(["bags", "label", str(bag), "--out", str(out), *OPTIONS, *WORDS, *arguments])


@pytest.fixture(scope="module")
def cut(bag, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cut")
    assert label(bag, out, "--chunk", "2") == 0
    return out / "room"


def label_maps(folder: Path) -> np.ndarray:
    with AnyReader([folder / "labels"]) as reader:
        connections = [each for each in reader.connections if each.topic == "/ovsr/label_map"]
        found = [reader.deserialize(data, kind.msgtype) for kind, _, data in reader.messages(connections)]
    return np.stack([message.data.reshape(message.height, message.width) for message in found])


def rows_of(folder: Path) -> list[FrameRow]:
    with FrameTable(folder / "frames.parquet") as table:
        return list(table.rows())


def test_a_bag_in_pieces_is_labelled_as_in_one(bag: Path, cut: Path, tmp_path: Path) -> None:
    assert label(bag, tmp_path, "--chunk", "0") == 0
    assert json.loads((cut / "recording.json").read_text())["frames"] == NUM_FRAMES
    assert (label_maps(cut) != label_maps(tmp_path / "room")).mean() <= 0.005
    rows, whole = rows_of(cut), rows_of(tmp_path / "room")
    assert [each.stamp_ns for each in rows] == [START_NS + index * STEP_NS for index in range(NUM_FRAMES)]
    # A track is one in all pieces: what is one thing to the other run is one thing here, but for a small part.
    ids = np.concatenate([each.track_ids[each.segment_map().reshape(-1) - 1] for each in rows])
    others = np.concatenate([each.track_ids[each.segment_map().reshape(-1) - 1] for each in whole])
    pairs, counts = np.unique(np.stack((ids, others)), axis=1, return_counts=True)
    best = sum(counts[pairs[1] == other].max() for other in np.unique(others))
    assert best / len(ids) > 0.95
    assert {path.name for path in cut.iterdir()} == {"frames.parquet", "labels", "recording.json"}


class Killed(BaseException):
    """As a signal ends a process, for tests: nobody catches it."""


def test_pieces_that_are_done_are_not_done_again(bag: Path, cut: Path, tmp_path: Path, monkeypatch) -> None:
    append, appended = Journal.append, []

    def killed(self, row):
        append(self, row)
        appended.append(row.stamp_ns)
        if len(appended) == 40:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", killed)
        with pytest.raises(Killed):
            label(bag, tmp_path, "--chunk", "2")
        assert len(list(tmp_path.glob("room/.chunks/*/frames.parquet"))) == 1
        assert label(bag, tmp_path, "--chunk", "2") == 0
    assert max(appended.count(stamp_ns) for stamp_ns in appended) <= 3, "but for two lead-ins and the frame in work"
    for name in ("frames.parquet", "labels/labels.mcap"):
        assert (tmp_path / "room" / name).read_bytes() == (cut / name).read_bytes()


def test_seconds_that_cannot_be_are_refused(bag: Path, tmp_path: Path, capsys) -> None:
    assert label(bag, tmp_path, "--chunk", "-1") == 2
    assert "--chunk: expected seconds, 0 or more, got -1" in capsys.readouterr().err
