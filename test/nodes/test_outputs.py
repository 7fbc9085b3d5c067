"""What is drawn and published when nobody, or somebody, looks."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from ovsr_ros import drawing, msg
from ovsr_ros.messages.images import decode_compressed, to_label_array
from ovsr_ros.nodes import outputs as outputs_module
from ovsr_ros.nodes.conversions.images import to_image_message, to_rgb_array
from ovsr_ros.nodes.labelled_frame import LabelledFrame
from ovsr_ros.nodes.outputs import Outputs
from ovsr_ros.nodes.qos import latched_qos
from ovsr_ros.ops.spatial import Intrinsics, RegisteredDepth
from ovsr_ros.pipeline import State
from ovsr_ros.results import Segmentation, Segments
from ovsr_ros.settings import PipelineOptions
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary
from ovsr_ros.vocabulary.registry import VocabularyRegistry

HEADER = Header(frame_id="camera")


def empty_segmentation(size_hw):
    return Segmentation(
        label_map=np.full(size_hw, 255, np.uint8),
        confidence=np.zeros(size_hw, np.uint8),
        segment_map=np.zeros(size_hw, np.uint16),
        segments=Segments.empty(),
        vocabulary_version=0,
    )


def labelled(image, size_hw, depth=None):
    return LabelledFrame(image, empty_segmentation(size_hw), Vocabulary(), HEADER, depth)


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
        lambda: outputs.publish_frame(labelled(not_an_image, (4, 6))) or labels,
        "a label map",
    )
    np.testing.assert_array_equal(to_label_array(labels[0]), np.full((4, 6), 255))


def test_no_message_is_made_that_nobody_gets(outputs, client, monkeypatch):
    encodings = []

    def convert(image, encoding, header):
        encodings.append(encoding)
        return to_image_message(image, encoding, header)

    monkeypatch.setattr(outputs_module, "to_image_message", convert)
    frame = labelled(np.zeros((4, 6, 3), np.uint8), (4, 6))
    outputs.publish_frame(frame)
    assert not encodings
    assert not outputs.has_subscribers()
    maps = client.collect("/ovsr/segment_map", Image)
    client.wait(lambda: outputs.publish_frame(frame) or maps, "a segment map")
    assert outputs.has_subscribers()
    assert set(encodings) == {"mono16"}


def test_nothing_is_made_of_depth_that_nobody_asks_for(outputs, client):
    labels = client.collect("/ovsr/label_map", Image)
    not_the_image_s = RegisteredDepth(np.zeros((1, 1), np.float32), Intrinsics(1.0, 1.0, 0.0, 0.0))  # would raise
    frame = labelled(np.zeros((4, 6, 3), np.uint8), (4, 6), not_the_image_s)
    client.wait(lambda: outputs.publish_frame(frame) or labels, "a label map")
    assert not outputs.wants_depth()
    client.collect("/ovsr/segments", msg.SegmentArray)
    client.wait(outputs.wants_depth, "the subscription of the segments")
    assert not outputs.wants_points()
    assert not outputs.asks_for_depth(), "segments are there without it"
    with pytest.raises(ValueError, match=r"depth_m: expected \(4, 6\)"):
        outputs.publish_frame(frame)


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
        lambda: outputs.publish_frame(labelled(image, (48, 64))) or overlays,
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
        lambda: outputs.publish_frame(labelled(image, (48, 64))) or overlays,
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
        outputs.publish_frame(labelled(image, (48, 64)))

    client.wait(lambda: publish() or (raw and compressed), "the overlay on both topics")
    drawn.clear()
    seen = len(raw), len(compressed)
    publish()
    client.wait(lambda: len(raw) > seen[0] and len(compressed) > seen[1], "one more overlay on both topics")
    assert len(drawn) == 1
    assert np.abs(decode_compressed(compressed[-1]).astype(int) - to_rgb_array(raw[-1])).mean() < 3


def two_things(depth=None):
    """A mug on the left, an unlabeled thing in the middle, a ball on the right, whose depth is to be unknown."""
    segment_map = np.repeat(np.array([1, 2, 3], np.uint16), 20)[None].repeat(30, 0)  # (30, 60)
    registry = VocabularyRegistry()
    requests = [CategoryRequest("mug", color_rgb=(255, 0, 51)), CategoryRequest("ball")]
    vocabulary = registry.commit(registry.propose(Operation.REPLACE, requests))
    segments = Segments(
        ids=np.array([1, 2, 3], np.uint16),
        track_ids=np.array([7, 8, 9], np.uint32),
        class_ids=np.array([0, 255, 1], np.uint8),
        scores=np.array([0.75, 0, 0.5], np.float32),
        runner_up_ids=np.array([[1], [255], [0]], np.uint8),
        runner_up_scores=np.array([[0.25], [0], [0.5]], np.float32),
        boxes_xyxy=np.array([[0, 0, 20, 30], [20, 0, 40, 30], [40, 0, 60, 30]], np.int32),
        areas_px=np.array([600, 600, 600], np.int32),
        centroids_xy=np.array([[9.5, 14.5], [29.5, 14.5], [49.5, 14.5]], np.float32),
    )
    label_map = np.array([255, 0, 255, 1], np.uint8)[segment_map]
    segmentation = Segmentation(label_map, np.zeros_like(label_map), segment_map, segments, 1)
    return LabelledFrame(np.zeros((30, 60, 3), np.uint8), segmentation, vocabulary, HEADER, depth)


def test_markers_are_a_box_and_a_word_for_each_labelled_thing_whose_place_is_known(outputs, client):
    arrays = client.collect("/ovsr/markers", MarkerArray)
    depth_m = np.full((30, 60), 2.0, np.float32)
    depth_m[:, 40:] = np.nan
    frame = two_things(RegisteredDepth(depth_m, Intrinsics(100.0, 100.0, 29.5, 14.5)))
    client.wait(lambda: outputs.publish_frame(frame) or arrays, "markers")
    assert outputs.wants_depth()
    assert outputs.asks_for_depth()
    clear, box, word = arrays[-1].markers
    assert clear.action == Marker.DELETEALL
    assert all(marker.header == HEADER for marker in (clear, box, word))
    assert (box.type, box.action, box.ns) == (Marker.CUBE, Marker.ADD, "boxes")
    assert (word.type, word.action, word.ns, word.text) == (Marker.TEXT_VIEW_FACING, Marker.ADD, "words", "mug 0.75")
    assert (box.color.r, box.color.g) == (1.0, 0.0)
    assert box.color.b == pytest.approx(0.2)
    assert 0 < box.color.a < 1
    # Columns 0 to 19 of a camera whose centre is column 29.5, 2 m away: x from -0.59 to -0.21.
    assert (box.pose.position.x, box.pose.position.z) == (pytest.approx(-0.4, abs=0.01), pytest.approx(2.0, abs=0.01))
    assert box.scale.x == pytest.approx(0.38, abs=0.02)
    assert box.scale.z > 0, "rviz refuses a box without thickness"
    assert box.pose.orientation.w == 1.0
    assert word.pose.position.y < box.pose.position.y - box.scale.y / 2, "above the box: y points down"


def test_without_depth_what_was_shown_goes(outputs, client):
    arrays = client.collect("/ovsr/markers", MarkerArray)
    client.wait(lambda: outputs.publish_frame(two_things()) or arrays, "markers")
    assert [marker.action for marker in arrays[-1].markers] == [Marker.DELETEALL]
