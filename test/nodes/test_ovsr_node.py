"""The node over real DDS: frames in, labels out, whatever comes in."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from ovsr_ros import msg, srv
from ovsr_ros.messages.images import to_label_array


@pytest.fixture
def ovsr(shared_ovsr):
    return shared_ovsr


def test_every_output_carries_the_images_header_and_size(ovsr):
    topics = {"label_map": "mono8", "confidence": "mono8", "segment_map": "mono16", "overlay": "rgb8"}
    for topic in topics:
        ovsr.client.collect(f"/ovsr/{topic}", Image)
    ovsr.client.wait(lambda: ovsr.client.node.count_subscribers("/ovsr/overlay"), "the subscription of the overlay")
    image = ovsr.image((120, 160))
    header = ovsr.send(image)
    for topic, encoding in topics.items():
        output = ovsr.result(f"/ovsr/{topic}", header)
        assert (output.height, output.width, output.encoding) == (120, 160, encoding), topic
        assert output.step * output.height == len(output.data), topic
    segments = ovsr.result("/ovsr/segments", header)
    assert (segments.height, segments.width, segments.vocabulary_version) == (120, 160, 1)


def test_the_maps_of_a_frame_agree_with_its_segments(ovsr):
    for topic in ("label_map", "confidence", "segment_map"):
        ovsr.client.collect(f"/ovsr/{topic}", Image)
    header = ovsr.send(ovsr.image())
    segments = ovsr.result("/ovsr/segments", header)
    label_map, confidence, segment_map = (
        to_label_array(ovsr.result(f"/ovsr/{topic}", header)) for topic in ("label_map", "confidence", "segment_map")
    )
    assert segments.segments
    for segment in segments.segments:
        mask = segment_map == segment.id
        assert mask.sum() == segment.area_px
        assert set(np.unique(label_map[mask])) == {segment.class_id}
        rows, columns = np.nonzero(mask)
        assert (columns.min(), rows.min()) == (segment.x_min, segment.y_min)
        assert (columns.max() + 1, rows.max() + 1) == (segment.x_max, segment.y_max)
        assert segment.label in ("mug", "ball")
        assert np.all(np.abs(confidence[mask] / 255 - segment.score) < 0.01)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
def test_takes_every_common_encoding(ovsr, encoding):
    assert ovsr.label(ovsr.image(encoding=encoding)).segments


def test_an_image_size_may_change_between_frames(ovsr):
    for size_hw in ((48, 64), (240, 100), (16, 16)):
        segments = ovsr.label(ovsr.image(size_hw))
        assert (segments.height, segments.width) == size_hw


def _short_data(message: Image) -> None:
    message.data = message.data[:-1]


def _zero_width(message: Image) -> None:
    message.width = 0


def _unknown_encoding(message: Image) -> None:
    message.encoding = "rgb7"


def _small_step(message: Image) -> None:
    message.step = message.width
    del message.data[-1:]  # so that its length does not tell either


def _tiny(message: Image) -> None:
    message.width = message.height = 2


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_short_data, "data: expected 57600 bytes (step 480 x height 120), got 57599"),
        (_zero_width, "width: expected more than 0, got 0"),
        (_unknown_encoding, "encoding: expected"),
        (_small_step, "step: expected at least 480"),
        (_tiny, "at least 16"),
    ],
)
def test_a_bad_image_is_reported_and_the_next_good_one_labelled(ovsr, spoil, named):
    for _ in range(3):
        bad = ovsr.image()
        spoil(bad)
        ovsr.send(bad)
    ovsr.client.wait(lambda: ovsr.errors(named), f"an error that says '{named}'")
    assert ovsr.label().segments
    assert len(ovsr.errors(named)) == 1, "the error is to be throttled"
    ovsr.client.wait(lambda: named in ovsr.diagnostic("segmentation", "last error"), "the failure in /diagnostics")


def test_the_same_stamp_is_processed_once(ovsr):
    image = ovsr.image()
    ovsr.label(image)
    ovsr.send(image)
    ovsr.client.wait(
        lambda: ovsr.diagnostic("image input", "skipped, same stamp") == "1", "the repeated frame in /diagnostics"
    )
    ovsr.label()
    assert sum(segments.header == image.header for segments in ovsr.segments) == 1


def test_images_without_a_stamp_are_all_processed(ovsr):
    for count in range(len(ovsr.segments) + 1, len(ovsr.segments) + 4):
        image = ovsr.image()
        image.header.stamp.sec = image.header.stamp.nanosec = 0
        ovsr.send(image)
        ovsr.client.wait(lambda count=count: len(ovsr.segments) >= count, "an image without a stamp to be labelled")


def test_segment_image_labels_one_image_beside_the_stream(ovsr):
    num_published = len(ovsr.segments)
    image = ovsr.image((60, 80))
    answer = ovsr.client.call("/ovsr/segment_image", srv.SegmentImage, srv.SegmentImage.Request(image=image))
    assert answer.success, answer.message
    assert answer.label_map.header == image.header
    assert [category.name for category in answer.vocabulary.categories] == ["mug", "ball"]
    assert {segment.label for segment in answer.segments.segments} <= {"mug", "ball"}
    assert len(ovsr.segments) == num_published, "nothing was to be published"


def test_segment_image_takes_categories_of_its_own(ovsr):
    request = srv.SegmentImage.Request(image=ovsr.image((60, 80)), categories=[msg.Category(name="spoon; fork")])
    answer = ovsr.client.call("/ovsr/segment_image", srv.SegmentImage, request)
    assert answer.success, answer.message
    assert [(category.name, list(category.synonyms)) for category in answer.vocabulary.categories] == [
        ("spoon", ["fork"])
    ]
    assert {segment.label for segment in answer.segments.segments} == {"spoon"}
    assert [category.name for category in ovsr.get_vocabulary().categories] == ["mug", "ball"]


def test_segment_image_says_what_is_wrong(ovsr):
    image = ovsr.image()
    image.encoding = "rgb7"
    answer = ovsr.client.call("/ovsr/segment_image", srv.SegmentImage, srv.SegmentImage.Request(image=image))
    assert not answer.success
    assert "encoding" in answer.message
    request = srv.SegmentImage.Request(image=ovsr.image(), categories=[msg.Category(name=" ")])
    answer = ovsr.client.call("/ovsr/segment_image", srv.SegmentImage, request)
    assert not answer.success
    assert "empty" in answer.message


def test_the_compressed_overlays_quality_changes_while_the_node_runs(ovsr):
    topic = "/ovsr/overlay/compressed"
    overlays = ovsr.client.collect(topic, CompressedImage)
    ovsr.client.wait(lambda: ovsr.label() and overlays, "the first compressed overlay")

    def size_at(quality):
        assert ovsr.set_parameters(overlay_jpeg_quality=quality).successful
        return len(ovsr.result(topic, ovsr.send(ovsr.image(seed=1))).data)

    assert size_at(10) < size_at(95) / 2
    assert not ovsr.set_parameters(overlay_jpeg_quality=0).successful
    limits = ovsr.describe_parameter("overlay_jpeg_quality").integer_range[0]
    assert (limits.from_value, limits.to_value) == (1, 100)
    assert ovsr.set_parameters(overlay_jpeg_quality=85).successful
