"""Bags of every kind give the same images, in the order of their stamps; what is wrong with one is said."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from depth_codec import compress
from room_bags import (
    COMPRESSED,
    IMAGE,
    INFO,
    ROS1,
    ROS2,
    START_NS,
    STEP_NS,
    header,
    image_message,
    images_of,
    jpeg_message,
    write_ros1,
    write_ros2,
)
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from ovsr_ros.errors import ConfigError, ImageError, RecordingError
from ovsr_ros.node_options import DepthOptions
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.frames import Oddities, Sampling, decode, decode_depth, take_images
from ovsr_ros.recordings.topics import choose_topics

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 255, (24, 32, 3), np.uint8) for _ in range(6)]
EVERY = Sampling()
MCAP, SQLITE3 = StoragePlugin.MCAP, StoragePlugin.SQLITE3
BAGS = Path(os.environ.get("OVSR_PHOTOS") or Path(__file__).parents[3] / "shared" / "photos") / "bags"


def take(bag: Bag, sampling: Sampling = EVERY, **topics: str):
    oddities = Oddities()
    images = list(take_images(bag, choose_topics(bag, **topics), sampling, DepthOptions(), oddities))
    return images, oddities


def write(path: Path, kind: str, images=IMAGES) -> Path:
    if kind.startswith("ros1"):
        compression = {"bz2": Writer1.CompressionFormat.BZ2, "lz4": Writer1.CompressionFormat.LZ4}.get(kind[5:])
        return write_ros1(path / "a.bag", images_of(images, types=ROS1.types), compression)
    storage, _, compression = kind.partition(" ")
    mode = CompressionMode[compression.upper() or "NONE"]
    return write_ros2(path / "a", images_of(images), StoragePlugin[storage.upper()], mode)


@pytest.mark.parametrize(
    "kind",
    [
        *("ros1", "ros1 bz2", "ros1 lz4", "mcap", "mcap storage", "mcap message", "mcap file"),
        *("sqlite3", "sqlite3 message", "sqlite3 file"),
    ],
)
def test_every_kind_of_bag_gives_the_images_that_were_put_in(tmp_path: Path, kind: str) -> None:
    with Bag(write(tmp_path, kind)) as bag:
        images, oddities = take(bag)
        assert [image.stamp_ns for image in images] == [START_NS + index * STEP_NS for index in range(6)]
        assert [image.log_ns - image.stamp_ns for image in images] == [5_000_000] * 6
        for image, expected in zip(images, IMAGES, strict=True):
            decoded, frame_id = decode(bag, image.record)
            np.testing.assert_array_equal(decoded, expected)
            assert frame_id == "camera"
        assert (bag.damage, oddities.describe()) == ("", [])


@pytest.mark.parametrize("storage", [MCAP, SQLITE3])
def test_a_single_storage_file_is_a_bag_and_so_is_a_folder_without_metadata(tmp_path: Path, storage) -> None:
    folder = write_ros2(tmp_path / "a", images_of(IMAGES), storage)
    (file,) = (path for path in folder.iterdir() if path.suffix != ".yaml")
    with Bag(file) as bag:
        assert len(take(bag)[0]) == 6
    (folder / "metadata.yaml").unlink()  # as a recorder that was killed leaves it
    with Bag(folder) as bag:
        assert len(take(bag)[0]) == 6
        assert "has no whole index" in bag.damage


@pytest.mark.parametrize(
    ("kind", "share"),
    # SQLite's tree of pages is read from its root down: of one that is cut in half, a small bag has no message left.
    [
        *((kind, share) for kind in ("ros1", "ros1 lz4", "mcap", "mcap storage") for share in (0.5, 0.9)),
        ("sqlite3", 0.9),
    ],
)
def test_of_a_bag_that_is_cut_short_what_is_whole_is_read(tmp_path: Path, kind: str, share: float) -> None:
    large = [RNG.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(12)]
    path = write(tmp_path, kind, large)
    file = path if path.is_file() else next(each for each in path.iterdir() if each.suffix != ".yaml")
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with Bag(path) as bag:
        images, _ = take(bag)
        read = [decode(bag, image.record)[0] for image in images]
        assert str(path) in bag.damage
    assert 12 * share - 4 < len(read) < 12
    for image, expected in zip(read, large, strict=False):
        np.testing.assert_array_equal(image, expected)


def test_jpeg_is_read_and_found_by_the_name_of_its_raw_topic(tmp_path: Path) -> None:
    smooth = np.repeat(np.linspace(0, 255, 32, dtype=np.uint8)[None, :, None], 24, 0).repeat(3, 2)
    messages = images_of([smooth], "/camera/image_raw/compressed", make=jpeg_message)
    with Bag(write_ros2(tmp_path / "a", messages)) as bag:
        images, _ = take(bag, topic="/camera/image_raw")
        assert np.abs(decode(bag, images[0].record)[0].astype(int) - smooth).max() < 8


def test_stamps_a_little_out_of_order_are_sorted_and_the_same_image_twice_is_one(tmp_path: Path) -> None:
    messages = list(images_of(IMAGES))
    logs = [message[2] for message in messages]
    order = [1, 0, 2, 4, 3, 5, 5]
    shuffled = [(*messages[place][:2], logs[0] + index, messages[place][3]) for index, place in enumerate(order)]
    with Bag(write_ros2(tmp_path / "a", shuffled)) as bag:
        images, oddities = take(bag)
    assert [image.stamp_ns for image in images] == [START_NS + index * STEP_NS for index in range(6)]
    assert oddities.describe() == ["1 images left out: the stamp of the image before it, which is the same image"]


def test_a_jump_of_the_clock_is_told_and_nothing_is_sorted_across_it(tmp_path: Path) -> None:
    first, second = list(images_of(IMAGES[:3])), list(images_of(IMAGES[3:], start_ns=START_NS - 3600 * 10**9))
    logged = [(*each[:2], START_NS + index, each[3]) for index, each in enumerate([*first, *second])]
    with Bag(write_ros2(tmp_path / "a", logged)) as bag:
        images, oddities = take(bag)
    stamps = [image.stamp_ns for image in images]
    assert stamps == [message[3].header.stamp.sec * 10**9 + message[3].header.stamp.nanosec for message in logged]
    (line,) = oddities.describe()
    assert line.startswith("stamps jump by -3600.2 s, from 1700000000.200 to 1699996400.000")


def test_images_without_stamps_are_ordered_by_when_they_were_recorded(tmp_path: Path) -> None:
    messages = [("/image", IMAGE, START_NS + index, image_message(ROS2.types, IMAGES[index], 0)) for index in range(3)]
    with Bag(write_ros2(tmp_path / "a", messages)) as bag:
        images, _ = take(bag)
    assert [(image.stamp_ns, image.time_ns) for image in images] == [(0, START_NS + index) for index in range(3)]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [(Sampling(every=2), [0, 2, 4]), (Sampling(rate_hz=5), [0, 2, 4]), (Sampling(rate_hz=3), [0, 4])],
)
def test_images_are_taken_as_asked_for(tmp_path: Path, sampling: Sampling, expected: list[int]) -> None:
    with Bag(write_ros2(tmp_path / "a", images_of(IMAGES))) as bag:
        images, _ = take(bag, sampling)
    assert [(image.stamp_ns - START_NS) // STEP_NS for image in images] == expected
    assert [image.number for image in images] == list(range(len(expected)))


@pytest.mark.parametrize(
    ("arguments", "name"), [((-1.0, 1), "--rate"), ((0.0, 0), "--every"), ((5.0, 2), "--rate and --every")]
)
def test_sampling_that_cannot_be_is_refused(arguments: tuple[float, int], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Sampling(*arguments)


def test_of_several_image_topics_one_must_be_named(tmp_path: Path) -> None:
    messages = [*images_of(IMAGES, "/left"), *images_of(IMAGES, "/right")]
    with Bag(write_ros2(tmp_path / "a", messages)) as bag:
        with pytest.raises(RecordingError, match=r"--topic; images are on /left \(Image, 6\), /right \(Image, 6\)"):
            choose_topics(bag)
        assert choose_topics(bag, "/right").image.name == "/right"
        with pytest.raises(RecordingError, match=r"--topic /up: no images there; images are on /left"):
            choose_topics(bag, "/up")


def test_a_bag_without_images_says_what_it_has(tmp_path: Path) -> None:
    info = camera_info(ROS2.types)
    bag = Bag(write_ros2(tmp_path / "a", [("/camera_info", INFO, START_NS, info)]))
    with bag, pytest.raises(RecordingError, match=rf"it has no images; topics: /camera_info \({INFO}\)"):
        choose_topics(bag)
    with Bag(write_ros2(tmp_path / "b", [])) as bag, pytest.raises(RecordingError, match="topics: none"):
        choose_topics(bag)


@pytest.mark.parametrize("name", ["missing.bag", "folder", "text.txt", "broken.mcap", "broken.bag", "broken.db3"])
def test_what_is_no_bag_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    for file in ("text.txt", "broken.mcap", "broken.bag", "broken.db3"):
        (tmp_path / file).write_text("nothing of the kind")
    with pytest.raises(RecordingError, match=name):
        Bag(tmp_path / name)


def test_an_encoding_that_is_not_known_is_the_images_fault(tmp_path: Path) -> None:
    message = image_message(ROS2.types, IMAGES[0], START_NS, "rgb7")
    with Bag(write_ros2(tmp_path / "a", [("/image", IMAGE, START_NS, message)])) as bag:
        (image,), _ = take(bag)
        with pytest.raises(ImageError, match="got 'rgb7' \\(did you mean 'rgb8'\\?\\)"):
            decode(bag, image.record)


def camera_info(types, stamp_ns: int = START_NS):
    roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k = np.array([30.0, 0, 15.5, 0, 30, 11.5, 0, 0, 1])
    p = np.array([30.0, 0, 15.5, 0, 0, 30, 11.5, 0, 0, 0, 1, 0])
    return types[INFO](
        header(types, stamp_ns), 24, 32, "plumb_bob", np.zeros(5), k, np.eye(3).reshape(-1), p, 0, 0, roi
    )


@pytest.mark.parametrize("ros", [1, 2])
def test_depth_and_camera_are_found_and_matched_by_stamp(tmp_path: Path, ros: int) -> None:
    types = (ROS1 if ros == 1 else ROS2).types
    depth = np.full((24, 32), 1500, np.uint16)

    def as_depth(types, image, stamp_ns):
        return image_message(types, depth, stamp_ns + 15_000_000, "16UC1")

    messages = [("/camera/camera_info", INFO, START_NS, camera_info(types))]
    messages += [*images_of(IMAGES, types=types), *images_of(IMAGES[:5], "/camera/depth", types, as_depth)]
    messages.sort(key=lambda message: message[2])
    path = write_ros1(tmp_path / "a.bag", messages) if ros == 1 else write_ros2(tmp_path / "a", messages)
    with Bag(path) as bag:
        chosen = choose_topics(bag)
        assert (chosen.image.name, chosen.depth) == ("/camera/image_raw", "/camera/depth")
        assert choose_topics(bag, depth="none").depth is None
        images, _ = take(bag)
        found = [decode_depth(bag, image, (24, 32), DepthOptions()) for image in images]
        assert found[-1] is None
        for registered in found[:-1]:
            assert registered is not None
            np.testing.assert_allclose(registered.depth_m, 1.5)
            assert registered.intrinsics.fx == 30.0


def test_depth_that_was_recorded_compressed_is_found_and_read(tmp_path: Path) -> None:
    types, topic = ROS2.types, "/camera/depth/compressedDepth"
    data = np.frombuffer(compress(np.full((24, 32), 1500, np.uint16), "rvl"), np.uint8)
    messages = [("/camera/camera_info", INFO, START_NS, camera_info(types)), *images_of(IMAGES[:1], types=types)]
    packed = types[COMPRESSED](header(types, START_NS), "16UC1; compressedDepth rvl", data)
    messages.append((topic, COMPRESSED, START_NS + 1, packed))
    with Bag(write_ros2(tmp_path / "a", sorted(messages, key=lambda message: message[2]))) as bag:
        assert choose_topics(bag).depth == choose_topics(bag, depth=topic).depth == topic
        (image,), _ = take(bag)
        registered = decode_depth(bag, image, (24, 32), DepthOptions())
        assert registered is not None
        np.testing.assert_allclose(registered.depth_m, 1.5)


@pytest.mark.parametrize(
    ("name", "count", "shape"),
    [
        ("jsk_pr2_elevator_button.bag", 19, (480, 640, 3)),
        ("ros2_jsk_pr2_elevator_button", 19, (480, 640, 3)),
        ("fiducials_aruco_images.bag", 1, (960, 1280, 3)),
        ("ros2_fiducials_aruco_images", 1, (960, 1280, 3)),
    ],
)
def test_recordings_of_real_robots_are_read(name: str, count: int, shape: tuple[int, int, int]) -> None:
    if not (BAGS / name).exists():
        pytest.skip(f"no recordings: {BAGS / name} is not there; OVSR_PHOTOS says where photographs and bags are")
    with Bag(BAGS / name) as bag:
        images, oddities = take(bag)
        decoded = [decode(bag, image.record)[0] for image in images]
        assert (len(decoded), bag.damage, oddities.describe()) == (count, "", [])
        assert all(image.shape == shape and image.std() > 10 for image in decoded)
        assert all(first.stamp_ns < second.stamp_ns for first, second in pairwise(images))
