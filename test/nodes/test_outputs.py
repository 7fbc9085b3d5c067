"""What is drawn and published when nobody, or somebody, looks."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from ovsr_ros import drawing, msg
from ovsr_ros.nodes import outputs as outputs_module
from ovsr_ros.nodes.conversions.images import decode_compressed, to_image_message, to_label_array, to_rgb_array
from ovsr_ros.nodes.outputs import Outputs
from ovsr_ros.nodes.qos import latched_qos
from ovsr_ros.ops.spatial import Intrinsics, RegisteredDepth
from ovsr_ros.pipeline import State
from ovsr_ros.results import Segmentation, Segments
from ovsr_ros.settings import PipelineOptions
from ovsr_ros.vocabulary.category import Vocabulary

HEADER = Header(frame_id="camera")


def empty_segmentation(size_hw):
    return Segmentation(
        label_map=np.full(size_hw, 255, np.uint8),
        confidence=np.zeros(size_hw, np.uint8),
        segment_map=np.zeros(size_hw, np.uint16),
        segments=Segments.empty(),
        vocabulary_version=0,
    )


@pytest.fixture
def outputs(context):
    node = Node("ovsr", context=context, use_global_arguments=False)
    yield Outputs(node, jpeg_quality=lambda: 85)
    node.destroy_node()


def test_no_overlay_is_drawn_while_nobody_looks(outputs, client):
    labels = client.collect("/ovsr/label_map", Image)
    client.wait(lambda: client.node.count_publishers("/ovsr/label_map"), "the label map's publisher")
    not_an_image = np.zeros(0, np.uint8)  # drawing on it would raise
    client.wait(
        lambda: outputs.publish_frame(not_an_image, empty_segmentation((4, 6)), Vocabulary(), HEADER) or labels,
        "a label map",
    )
    np.testing.assert_array_equal(to_label_array(labels[0]), np.full((4, 6), 255))


def test_no_message_is_made_that_nobody_gets(outputs, client, monkeypatch):
    encodings = []

    def convert(image, encoding, header):
        encodings.append(encoding)
        return to_image_message(image, encoding, header)

    monkeypatch.setattr(outputs_module, "to_image_message", convert)
    frame = np.zeros((4, 6, 3), np.uint8), empty_segmentation((4, 6)), Vocabulary(), HEADER
    outputs.publish_frame(*frame)
    assert not encodings
    assert not outputs.has_subscribers()
    maps = client.collect("/ovsr/segment_map", Image)
    client.wait(lambda: outputs.publish_frame(*frame) or maps, "a segment map")
    assert outputs.has_subscribers()
    assert set(encodings) == {"mono16"}


def test_nothing_is_made_of_depth_that_nobody_asks_for(outputs, client):
    labels = client.collect("/ovsr/label_map", Image)
    not_the_image_s = RegisteredDepth(np.zeros((1, 1), np.float32), Intrinsics(1.0, 1.0, 0.0, 0.0))  # would raise
    frame = np.zeros((4, 6, 3), np.uint8), empty_segmentation((4, 6)), Vocabulary(), HEADER, not_the_image_s
    client.wait(lambda: outputs.publish_frame(*frame) or labels, "a label map")
    assert not outputs.wants_depth()
    client.collect("/ovsr/segments", msg.SegmentArray)
    client.wait(outputs.wants_depth, "the subscription of the segments")
    assert not outputs.wants_points()
    with pytest.raises(ValueError, match=r"depth_m: expected \(4, 6\)"):
        outputs.publish_frame(*frame)


def test_who_looks_at_the_vocabulary_only_asks_for_no_frames(outputs, client):
    vocabularies = client.collect("/ovsr/vocabulary", msg.Vocabulary, latched_qos())
    before, after = (State(PipelineOptions(), None, Vocabulary(version), None, None) for version in (0, 1))
    outputs.announce(before, after)
    client.wait(lambda: vocabularies, "the vocabulary")
    assert vocabularies[0].version == 1
    assert not outputs.has_subscribers()


def test_closed_outputs_have_no_subscribers(outputs, client):
    client.collect("/ovsr/label_map", Image)
    client.wait(outputs.has_subscribers, "the subscription of the label map")
    outputs.close()
    assert not outputs.has_subscribers()


def test_an_overlay_is_drawn_for_who_looks(outputs, client):
    overlays = client.collect("/ovsr/overlay", Image)
    image = np.full((48, 64, 3), 90, np.uint8)
    client.wait(
        lambda: outputs.publish_frame(image, empty_segmentation((48, 64)), Vocabulary(), HEADER) or overlays,
        "an overlay",
    )
    assert (overlays[0].height, overlays[0].width, overlays[0].encoding) == (48, 64, "rgb8")
    assert overlays[0].header == HEADER


@pytest.fixture
def drawn(monkeypatch):
    """A list that grows by one with each overlay that is drawn."""
    calls, draw = [], drawing.overlay

    def overlay(*arguments):
        calls.append(arguments)
        return draw(*arguments)

    monkeypatch.setattr(drawing, "overlay", overlay)
    return calls


def test_the_compressed_overlay_is_drawn_for_itself(outputs, client, drawn):
    overlays = client.collect("/ovsr/overlay/compressed", CompressedImage)
    image = np.full((48, 64, 3), (200, 90, 30), np.uint8)
    client.wait(
        lambda: outputs.publish_frame(image, empty_segmentation((48, 64)), Vocabulary(), HEADER) or overlays,
        "a compressed overlay",
    )
    assert (overlays[0].format, overlays[0].header) == ("jpeg", HEADER)
    expected = drawing.overlay(image, empty_segmentation((48, 64)), Vocabulary())
    difference = np.abs(decode_compressed(overlays[0]).astype(int) - expected)
    assert difference.mean() < 3, "the colours are to be in their order"


def test_the_overlay_is_drawn_once_for_both_topics(outputs, client, drawn):
    raw = client.collect("/ovsr/overlay", Image)
    compressed = client.collect("/ovsr/overlay/compressed", CompressedImage)
    image = np.full((48, 64, 3), 90, np.uint8)

    def publish():
        outputs.publish_frame(image, empty_segmentation((48, 64)), Vocabulary(), HEADER)

    client.wait(lambda: publish() or (raw and compressed), "the overlay on both topics")
    drawn.clear()
    seen = len(raw), len(compressed)
    publish()
    client.wait(lambda: len(raw) > seen[0] and len(compressed) > seen[1], "one more overlay on both topics")
    assert len(drawn) == 1
    assert np.abs(decode_compressed(compressed[-1]).astype(int) - to_rgb_array(raw[-1])).mean() < 3
