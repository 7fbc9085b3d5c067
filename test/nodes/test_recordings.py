"""A bag's frames get the labels that a node gives them when the bag is played into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from room_bags import images_of, room_images, write_ros2
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Image

from ovsr_ros.cli import main
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.conversions.images import to_image_message
from ovsr_ros.recordings.table import FrameTable
from ovsr_ros.vocabulary.category import Operation, parse_category
from ovsr_ros.vocabulary.change import Teaching
from ovsr_ros.vocabulary.example import Example
from ovsr_ros.vocabulary.file import VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry

OPTIONS = ["--config", "demo", "--set", "text.cache_directory=none"]


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_ros2(tmp_path / "room", images_of(room_images(6, (320, 240), seed=35)))


def test_a_bag_is_labelled_as_the_node_that_it_is_played_into(start_node, ovsr, bag: Path, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main(["bags", "label", str(bag), *out, *OPTIONS, "--categories", *CATEGORIES]) == 0
    start_node(config="demo", categories=list(CATEGORIES), text__cache_directory="none")
    compare(ovsr, bag, tmp_path / "out" / "room" / "labels")


def test_a_node_s_vocabulary_file_labels_a_bag_as_the_node_does(start_node, ovsr, bag: Path, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main(["bags", "label", str(bag), *out, *OPTIONS, "--categories", *CATEGORIES]) == 0
    path = tmp_path / "vocabulary.json"
    teach(path, tmp_path / "out" / "room" / "frames.parquet")
    assert main(["bags", "relabel", str(tmp_path / "out"), "--vocabulary", str(path)]) == 0
    start_node(config="demo", vocabulary_file=str(path), text__cache_directory="none")
    names = compare(ovsr, bag, tmp_path / "out" / "room" / "labels")
    assert "thing" in names, "the example counts"


def teach(path: Path, frames: Path) -> None:
    """A vocabulary's file in which a word has the first frame's largest segment as its example."""
    with FrameTable(frames) as table:
        row, model_id = next(table.rows()), table.about["clip"]
    embedding = row.embeddings[int(row.areas_px.argmax())].astype(np.float32)
    registry = VocabularyRegistry()
    words = ["wall=40; ceiling", "floor", "ball", "thing; #ff8000"]
    registry.commit(registry.propose(Operation.REPLACE, [parse_category(word) for word in words]))
    example = Example(embedding / np.linalg.norm(embedding), model_id)
    registry.commit(registry.propose_change(Teaching(parse_category("thing"), example)))
    assert VocabularyFile(path).save(registry) == ""


def compare(ovsr, bag: Path, labels: Path) -> set[str]:
    """Play a bag into the node, and compare what it says with the labels; the words that were found."""
    expected: dict[tuple[str, int], object] = {}
    with AnyReader([labels]) as reader:
        for connection, log_ns, data in reader.messages():
            expected[connection.topic, log_ns] = reader.deserialize(data, connection.msgtype)
    names: set[str] = set()
    ovsr.wait_until_active()
    ovsr.client.collect("/ovsr/confidence", Image)
    with AnyReader([bag]) as reader:
        played = [
            (log_ns, reader.deserialize(data, reader.connections[0].msgtype)) for _, log_ns, data in reader.messages()
        ]
    for log_ns, message in played:
        header = ovsr.new_header()
        header.stamp.sec, header.stamp.nanosec = message.header.stamp.sec, message.header.stamp.nanosec
        header.frame_id = message.header.frame_id
        rgb = message.data.reshape(message.height, message.width, 3)
        ovsr.send(to_image_message(rgb, message.encoding, header))
        segments = ovsr.result("/ovsr/segments", header)
        found = expected["/ovsr/segments", log_ns]
        names |= {segment.label for segment in found.segments}
        for field in ("id", "track_id", "class_id", "label", "x_min", "y_min", "x_max", "y_max", "area_px"):
            ours, theirs = ([getattr(each, field) for each in array.segments] for array in (found, segments))
            assert ours == theirs, field
        scores = [np.array([segment.score for segment in array.segments]) for array in (found, segments)]
        np.testing.assert_allclose(*scores, atol=5e-3)  # embeddings are kept as 16 bits
        label_map = to_label_array(ovsr.result("/ovsr/label_map", header))
        np.testing.assert_array_equal(expected["/ovsr/label_map", log_ns].data.reshape(240, 320), label_map)
        confidence = to_label_array(ovsr.result("/ovsr/confidence", header)).astype(int)
        assert np.abs(expected["/ovsr/confidence", log_ns].data.reshape(240, 320) - confidence).max() <= 2
    return names
