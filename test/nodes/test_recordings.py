"""A bag's frames get the labels that a node gives them when the bag is played into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from room_bags import images_of, room_images, write_ros2
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Image

from ovsr_ros.cli import main
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.conversions.images import to_image_message


def test_a_bag_is_labelled_as_the_node_that_it_is_played_into(start_node, ovsr, tmp_path: Path) -> None:
    bag = write_ros2(tmp_path / "room", images_of(room_images(6, (320, 240), seed=35)))
    words = ["--config", "demo", "--set", "text.cache_directory=none", "--categories", *CATEGORIES]
    assert main(["bags", "label", str(bag), "--out", str(tmp_path / "out"), *words]) == 0
    expected: dict[tuple[str, int], object] = {}
    with AnyReader([tmp_path / "out" / "room" / "labels"]) as reader:
        for connection, log_ns, data in reader.messages():
            expected[connection.topic, log_ns] = reader.deserialize(data, connection.msgtype)

    start_node(config="demo", categories=list(CATEGORIES), text__cache_directory="none")
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
        for field in ("id", "track_id", "class_id", "label", "x_min", "y_min", "x_max", "y_max", "area_px"):
            ours, theirs = ([getattr(each, field) for each in array.segments] for array in (found, segments))
            assert ours == theirs, field
        scores = [np.array([segment.score for segment in array.segments]) for array in (found, segments)]
        np.testing.assert_allclose(*scores, atol=5e-3)  # embeddings are kept as 16 bits
        label_map = to_label_array(ovsr.result("/ovsr/label_map", header))
        np.testing.assert_array_equal(expected["/ovsr/label_map", log_ns].data.reshape(240, 320), label_map)
        confidence = to_label_array(ovsr.result("/ovsr/confidence", header)).astype(int)
        assert np.abs(expected["/ovsr/confidence", log_ns].data.reshape(240, 320) - confidence).max() <= 2
