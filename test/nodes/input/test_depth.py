"""Depth beside the images: every segment has its place, every pixel its point; without depth, words for why."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from depth_codec import compress, quantise
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, RegionOfInterest
from std_msgs.msg import Header

from ovsr_ros.demo.scenes import Scene
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.conversions.images import to_image_message
from ovsr_ros.nodes.conversions.stamps import to_ns
from ovsr_ros.nodes.demo.camera import to_camera_info, to_depth_message

WARN, OK = b"\x01", b"\x00"
SIZE_WH = (160, 120)


@pytest.fixture(scope="module")
def frame():
    return Scene(3, split="test").render(0.0, SIZE_WH)


def true_points(frame):
    """(H, W, 3) points in the camera's frame, by the inverse of its matrix."""
    height, width = frame.depth_m.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    return (pixels @ np.linalg.inv(frame.camera_matrix).T) * frame.depth_m[..., None].astype(float)


def xyz(point):
    return np.array([point.x, point.y, point.z])


class Rig:
    """A colour camera and a depth camera that look at one frame, as an RGB-D driver publishes them."""

    def __init__(self, node, ovsr, frame):
        self.node, self.ovsr, self.client, self.frame = node, ovsr, ovsr.client, frame

    def header(self):
        return self.ovsr.new_header()

    def send_image(self, header):
        self.ovsr.send(to_image_message(self.frame.image, "rgb8", header))

    def send_depth(self, header, encoding="32FC1", bigendian=False, padding=0, offset_ms=0.0, frame_id=None, **fields):
        message = to_depth_message(self.frame.depth_m, encoding, self.shifted(header, offset_ms))
        message.header.frame_id = frame_id or message.header.frame_id
        if bigendian:
            message.is_bigendian = 1
            message.data = type(message.data)(
                "B", np.frombuffer(message.data, f"<{'u2' if encoding == '16UC1' else 'f4'}").byteswap().tobytes()
            )
        if padding:
            rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
            padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
            message.step, message.data = padded.shape[1], type(message.data)("B", padded.tobytes())
        for field, value in fields.items():
            setattr(message, field, value)
        self.publish_depth(message)

    def publish_depth(self, message):
        self.last_depth_ns = to_ns(message.header.stamp)
        self.client.publisher("/depth", Image, 10).publish(message)

    def send_info(self, header, **fields):
        # Only with depth is there a subscription of camera_info.
        self.client.publisher("/depth", Image, 10)
        self.last_info_ns = to_ns(header.stamp)
        info = to_camera_info(self.frame.image.shape[:2], self.frame.camera_matrix, header)
        for field, value in fields.items():
            setattr(info, field, value)
        self.client.publisher("/camera_info", CameraInfo, 10).publish(info)

    def shifted(self, header, offset_ms):
        nanoseconds = header.stamp.sec * 10**9 + header.stamp.nanosec + round(offset_ms * 1e6)
        stamp = Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
        return Header(frame_id=header.frame_id, stamp=stamp)

    def segments(self, header):
        return self.ovsr.result("/ovsr/segments", header)

    def labelled(self, info_fields=None, **depth):
        """The segments of an image that came with depth and camera_info."""
        header = self.header()
        self.send_info(header, **(info_fields or {}))
        self.send_depth(header, **depth)
        self.wait_until_arrived()
        self.send_image(header)
        return self.segments(header)

    def wait_until_arrived(self):
        """Until the node has the depth and the camera_info sent last: three topics have no order among each other."""
        source, stamp_ns = self.node._listening.depth, self.last_depth_ns

        def arrived():
            return all(buffer.newest_ns == stamp for buffer, stamp in wanted)

        wanted = [(source._depths, stamp_ns), (source._infos, self.last_info_ns)]
        self.client.wait(arrived, "depth and camera_info to arrive")

    def wait_for_warning(self, text):
        self.client.wait(lambda: text in self.ovsr.status_message("depth"), f"'{text}' in the status of depth")
        assert self.ovsr.status("depth").level == WARN


@pytest.fixture
def rig(start_node, ovsr, frame):
    node = start_node(depth__wait_s=0.0)
    ovsr.wait_until_active()
    return Rig(node, ovsr, frame)


def check_places(segments, segment_map, points):
    """Every segment is where its pixels' points are."""
    assert segments.segments
    for segment in segments.segments:
        own = points[segment_map == segment.id]
        assert segment.depth_count == segment.area_px == len(own)
        distances = np.linalg.norm(own, axis=1)
        assert segment.distance == pytest.approx(np.median(distances), abs=0.02)
        np.testing.assert_allclose(xyz(segment.position), own.mean(0), atol=2e-3)
        np.testing.assert_allclose(xyz(segment.box_min), np.quantile(own, 0.02, axis=0), atol=0.05)
        np.testing.assert_allclose(xyz(segment.box_max), np.quantile(own, 0.98, axis=0), atol=0.05)


def assert_nowhere(segments):
    assert segments.segments
    for segment in segments.segments:
        assert segment.depth_count == 0
        assert math.isnan(segment.distance)
        for point in (segment.position, segment.box_min, segment.box_max):
            assert np.isnan(xyz(point)).all()


# --- Segments ---


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_every_segment_is_where_the_scene_has_it(rig, encoding):
    segment_maps = rig.client.collect("/ovsr/segment_map", Image)
    for form in ({}, {"padding": 6}, {"bigendian": True, "padding": 2}):
        segments = rig.labelled(encoding=encoding, **form)
        segment_map = rig.ovsr.result("/ovsr/segment_map", segments.header)
        check_places(segments, to_label_array(segment_map), true_points(rig.frame))
    assert len(segment_maps) == 3
    rig.client.wait(lambda: rig.ovsr.diagnostic("depth", "frames with depth") == "3", "three frames with depth")
    assert rig.ovsr.status("depth").level == OK
    assert rig.ovsr.diagnostic("depth", "frames without") == "0"


def test_depth_may_come_after_the_image(start_node, ovsr, frame):
    node = start_node(depth__wait_s=1.0, rate_hz=100.0)
    ovsr.wait_until_active()
    rig = Rig(node, ovsr, frame)
    earlier, header = rig.header(), rig.header()
    rig.send_info(header)
    rig.client.publisher("/image", Image, 10)
    rig.send_depth(earlier)  # a camera that sends is worth waiting for
    rig.wait_until_arrived()
    rig.send_image(header)
    time.sleep(0.15)
    rig.send_depth(header)
    assert all(segment.depth_count for segment in rig.segments(header).segments)


def test_depth_may_come_long_before_its_image_is_processed(rig):
    header = rig.header()
    rig.send_info(header)
    rig.send_depth(header)
    for _ in range(8):
        rig.wait_until_arrived()
        rig.send_depth(rig.header())
    rig.wait_until_arrived()
    rig.send_image(header)
    assert all(segment.depth_count for segment in rig.segments(header).segments)


def test_stamps_must_agree_as_far_as_the_parameters_say(rig):
    assert all(segment.depth_count for segment in rig.labelled(offset_ms=-12.0).segments)
    assert rig.ovsr.set_parameters(depth__sync="exact").successful
    assert_nowhere(rig.labelled(offset_ms=12.0))
    rig.wait_for_warning("12.0 ms later; set depth.sync to approximate")
    assert all(segment.depth_count for segment in rig.labelled().segments)
    rig.client.wait(lambda: rig.ovsr.status("depth").level == OK, "all to be well again")
    assert rig.ovsr.set_parameters(depth__sync="approximate", depth__slop_s=0.001).successful
    assert_nowhere(rig.labelled(offset_ms=-12.0))
    rig.wait_for_warning("expected a stamp within 1 ms as the image's, got one 12.0 ms earlier; raise depth.slop_s")
    assert rig.ovsr.diagnostic("depth", "frames without") == "2"


def test_it_can_be_switched_off_while_it_runs(rig):
    assert all(segment.depth_count for segment in rig.labelled().segments)
    assert rig.ovsr.set_parameters(depth__sync="none").successful
    rig.client.wait(lambda: not rig.client.node.count_subscribers("/depth"), "depth to be left")
    header = rig.header()
    rig.send_image(header)
    assert_nowhere(rig.segments(header))
    rig.client.wait(lambda: rig.ovsr.status_message("depth") == "off: depth.sync is none", "the status of depth")
    assert rig.ovsr.set_parameters(depth__sync="exact").successful
    assert all(segment.depth_count for segment in rig.labelled().segments)


# --- What may be wrong ---


def test_without_a_publisher_of_depth_nothing_is_subscribed_and_all_is_well(rig):
    header = rig.header()
    rig.send_image(header)
    assert_nowhere(rig.segments(header))
    assert rig.client.node.count_subscribers("/depth") == rig.client.node.count_subscribers("/camera_info") == 0
    rig.client.wait(lambda: "0 publishers: no 3D" in rig.ovsr.status_message("depth"), "the status of depth")
    assert rig.ovsr.status("depth").level == OK


def test_who_wants_points_is_told_that_there_is_no_depth(rig):
    points = rig.client.collect("/ovsr/labeled_points", PointCloud2)
    rig.wait_for_warning("/depth has 0 publishers: start the camera's, or remap it (--ros-args -r depth:=/your/topic)")
    header = rig.header()
    rig.send_image(header)
    assert_nowhere(rig.segments(header))
    assert not points


def test_without_camera_info_there_are_labels_and_a_warning(rig):
    header = rig.header()
    rig.send_depth(header)
    rig.send_image(header)
    assert_nowhere(rig.segments(header))
    rig.wait_for_warning("no camera_info: /camera_info has 0 publishers")
    assert all(segment.depth_count for segment in rig.labelled().segments)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"encoding": "rgb8"}, "depth: encoding: expected 16UC1 (mm) or 32FC1 (m), got 'rgb8'"),
        ({"height": 90}, "depth: expected 160x120 pixels as the image, or the same aspect, got 160x90"),
        ({"height": 121}, "depth: data: expected 77440 bytes"),
    ],
)
def test_a_bad_depth_image_costs_its_frame_s_places_and_nothing_else(rig, fields, reason):
    assert_nowhere(rig.labelled(**fields))
    rig.wait_for_warning(reason)
    assert rig.ovsr.diagnostic("segmentation", "failed") == "0"
    assert all(segment.depth_count for segment in rig.labelled().segments)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"p": [math.inf, *[0.0] * 4, 100.0, *[0.0] * 6]}, "camera_info: p[0]: expected a finite number, got inf"),
        ({"p": [100.0, 0.0, math.nan, 0.0, 0.0, 100.0, *[0.0] * 6]}, "camera_info: p[2]: expected a finite number"),
        ({"binning_x": 65535, "binning_y": 65535}, "camera_info: binning_x: expected at most the image's width, 160"),
        ({"roi": RegionOfInterest(x_offset=10**6)}, "camera_info: roi: expected a part of the calibrated image"),
    ],
)
def test_a_calibration_without_sense_costs_its_frame_s_places_and_nothing_else(rig, fields, reason):
    assert_nowhere(rig.labelled(fields))
    rig.wait_for_warning(reason)
    assert rig.ovsr.diagnostic("segmentation", "failed") == "0"
    assert all(segment.depth_count for segment in rig.labelled().segments)


def test_rows_of_depth_whose_step_is_wrong_are_read_with_a_warning(rig):
    assert all(segment.depth_count for segment in rig.labelled(step=0).segments)
    rig.wait_for_warning("depth: step: expected 640, as data's 76800 bytes / (height 120) is, got 0")


def test_the_unit_of_16_bits_can_be_changed_while_it_runs(rig):
    millimetres = rig.labelled(encoding="16UC1").segments
    assert rig.ovsr.set_parameters(depth__unit_m=0.0001).successful
    tenths = rig.labelled(encoding="16UC1").segments
    metres = rig.labelled(encoding="32FC1").segments
    for in_tenths, in_millimetres, in_metres in zip(tenths, millimetres, metres, strict=True):
        assert in_tenths.distance == pytest.approx(in_millimetres.distance / 10, rel=1e-3)
        assert in_metres.distance == pytest.approx(in_millimetres.distance, abs=0.01)
    for bad in (0.0, -0.001, math.nan, 2.0):
        assert not rig.ovsr.set_parameters(depth__unit_m=bad).successful


def test_depth_of_another_camera_is_used_with_a_warning(rig):
    assert all(segment.depth_count for segment in rig.labelled(frame_id="depth_camera").segments)
    rig.wait_for_warning("depth: expected frame_id 'some_camera' as the image, got 'depth_camera'")


def test_depth_of_another_resolution_is_used(rig, frame):
    header = rig.header()
    rig.send_info(header)
    rig.publish_depth(to_depth_message(frame.depth_m[::2, ::2], "32FC1", header))
    rig.wait_until_arrived()
    rig.send_image(header)
    assert all(segment.depth_count == segment.area_px for segment in rig.segments(header).segments)


# --- Points ---


def read_points(cloud):
    """The fields of a cloud by name, each (H, W), read as the message describes them."""
    numpy_types = {6: "u4", 7: "f4"}
    order = ">" if cloud.is_bigendian else "<"
    dtype = np.dtype(
        {
            "names": [field.name for field in cloud.fields],
            "formats": [order + numpy_types[field.datatype] for field in cloud.fields],
            "offsets": [field.offset for field in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    assert cloud.row_step == cloud.width * cloud.point_step
    assert len(cloud.data) == cloud.height * cloud.row_step
    return np.frombuffer(cloud.data, dtype).reshape(cloud.height, cloud.width)


def test_every_pixel_is_a_point_with_colour_label_and_confidence(rig, frame):
    for topic in ("/ovsr/label_map", "/ovsr/confidence"):
        rig.client.collect(topic, Image)
    rig.client.collect("/ovsr/labeled_points", PointCloud2)
    header = rig.header()
    rig.send_info(header)
    holes = frame.depth_m.copy()
    holes[::3, 1::2] = np.nan
    rig.publish_depth(to_depth_message(holes, "32FC1", header))
    rig.wait_until_arrived()
    rig.send_image(header)
    cloud = rig.ovsr.result("/ovsr/labeled_points", header)
    label_map = to_label_array(rig.ovsr.result("/ovsr/label_map", header))
    confidence = to_label_array(rig.ovsr.result("/ovsr/confidence", header))
    assert (cloud.height, cloud.width) == label_map.shape
    assert not cloud.is_dense
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb", "label", "confidence"]
    points = read_points(cloud)
    expected = np.where(np.isnan(holes)[..., None], np.nan, true_points(frame))
    np.testing.assert_allclose(np.stack([points[axis] for axis in "xyz"], axis=-1), expected, rtol=1e-5, atol=1e-6)
    packed = points["rgb"].copy().view(np.uint32)
    colors = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1)
    np.testing.assert_array_equal(colors, frame.image)
    np.testing.assert_array_equal(points["label"], label_map)
    np.testing.assert_allclose(points["confidence"], confidence / 255, rtol=1e-6)


def test_points_alone_are_reason_enough_to_work(start_node, new_ovsr, client, frame):
    node = start_node(depth__wait_s=0.0)
    ovsr = new_ovsr(client, subscribe=False)
    ovsr.wait_until_active()
    rig = Rig(node, ovsr, frame)
    client.collect("/ovsr/labeled_points", PointCloud2)
    client.wait(node.segmenter.has_subscribers, "the subscription of the points")
    header = rig.header()
    rig.send_info(header)
    rig.send_depth(header)
    rig.wait_until_arrived()
    rig.send_image(header)
    ovsr.result("/ovsr/labeled_points", header)


def test_distortion_of_an_image_that_is_not_called_rectified_is_told_once(rig):
    header = rig.header()
    rig.send_info(header)
    info = to_camera_info(rig.frame.image.shape[:2], rig.frame.camera_matrix, header)
    info.d = [0.1, 0.0, 0.0, 0.0, 0.0]

    def warnings():
        return [log.msg for log in rig.ovsr.logs if "has distortion" in log.msg]

    for _ in range(2):
        header = info.header = rig.header()
        rig.client.publisher("/camera_info", CameraInfo, 10).publish(info)
        rig.send_depth(header)
        rig.last_info_ns = to_ns(header.stamp)
        rig.wait_until_arrived()
        rig.send_image(header)
        assert all(segment.depth_count for segment in rig.segments(header).segments)
    rig.client.wait(warnings, "a warning of distortion")
    assert len(warnings()) == 1
    assert "/camera_info has distortion, and /image is taken for rectified" in warnings()[0]


def test_a_node_that_is_not_active_listens_to_no_depth(rig):
    assert all(segment.depth_count for segment in rig.labelled().segments)
    node = rig.client.node
    assert rig.ovsr.change_state("deactivate")
    rig.client.wait(
        lambda: not (node.count_subscribers("/depth") or node.count_subscribers("/camera_info")),
        "depth and camera_info to be left",
    )
    rig.client.wait(lambda: "the node is inactive" in rig.ovsr.status_message("depth"), "the status of depth")
    assert rig.ovsr.change_state("activate")
    assert all(segment.depth_count for segment in rig.labelled().segments)


def test_the_publisher_of_depth_may_be_replaced_by_one_with_another_quality_of_service(rig):
    assert all(segment.depth_count for segment in rig.labelled().segments)
    rig.client.remove_publisher("/depth")
    rig.client.publisher("/depth", Image, qos_profile_sensor_data)
    assert all(segment.depth_count for segment in rig.labelled().segments)


@pytest.mark.parametrize(("encoding", "method"), [("16UC1", "png"), ("32FC1", "rvl")])
def test_compressed_depth_gives_every_segment_its_place(start_node, ovsr, frame, encoding, method):
    topic = "/depth/compressedDepth"
    node = start_node(depth__wait_s=0.0, arguments=["-r", f"depth:={topic}"])
    ovsr.wait_until_active()
    rig = Rig(node, ovsr, frame)
    ovsr.watch(node, "/ovsr/segment_map", Image)
    header = rig.header()
    publisher = ovsr.client.publisher(topic, CompressedImage, 10)
    ovsr.client.publisher("/camera_info", CameraInfo, 10)
    rig.last_info_ns = rig.last_depth_ns = to_ns(header.stamp)
    ovsr.client.publisher("/camera_info", CameraInfo, 10).publish(
        to_camera_info(frame.image.shape[:2], frame.camera_matrix, header)
    )
    a, b = (20_000.0, 0.0) if encoding == "32FC1" else (0.0, 0.0)
    values = quantise(frame.depth_m, a, b) if a else np.rint(frame.depth_m * 1000).astype(np.uint16)
    data = compress(values, method, (a, b))
    publisher.publish(CompressedImage(header=header, format=f"{encoding}; compressedDepth {method}", data=data))
    rig.wait_until_arrived()
    rig.send_image(header)
    check_places(rig.segments(header), to_label_array(ovsr.result("/ovsr/segment_map", header)), true_points(frame))


def test_depth_that_comes_compressed_only_is_named(rig):
    rig.client.publisher("/depth/compressedDepth", CompressedImage, 10, subscribed=False)
    rig.client.collect("/ovsr/labeled_points", PointCloud2)
    rig.client.wait(
        lambda: (
            rig.ovsr.label()
            and "/depth has 0 publishers, but /depth/compressedDepth has: remap depth to that"
            in rig.ovsr.status_message("depth")
        ),
        "the topic that there is in the status of depth",
    )
