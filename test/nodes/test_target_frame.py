"""Places in another frame, over DDS: by the transforms of tf2, where the image was taken, or nowhere.

Where the package tf2_ros is installed, it is what runs here; else ../support/tf2_stand_in.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import Marker, MarkerArray

from ovsr_ros.demo.scenes import Scene
from ovsr_ros.nodes.conversions.images import to_image_message
from ovsr_ros.nodes.demo.camera import to_camera_info, to_depth_message
from ovsr_ros.nodes.target_frame import to_rigid_transform
from ovsr_ros.ops.spatial import RigidTransform

WARN, OK = b"\x01", b"\x00"
INSTALLED = importlib.util.find_spec("tf2_ros") is not None
STAND_IN = Path(__file__).resolve().parent.parent / "support" / "tf2_stand_in"
KEEP = 100
STATIC = QoSProfile(depth=KEEP, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OPTICAL = (-0.5, 0.5, -0.5, 0.5)
"""Of an optical frame in its camera's: z forward is x, x right is -y, y down is -z; by REP 103."""
CAMERA, BASE, MAP = "some_camera", "base_link", "map"


@pytest.fixture(autouse=True)
def tf2(monkeypatch):
    if not INSTALLED:
        monkeypatch.delitem(sys.modules, "tf2_ros", raising=False)
        monkeypatch.syspath_prepend(str(STAND_IN))


def transform_of(parent, child, stamp, translation=(0.0, 0.0, 0.0), rotation=(0.0, 0.0, 0.0, 1.0)):
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id, message.header.stamp = parent, stamp
    x, y, z = (float(value) for value in translation)
    message.transform.translation.x, message.transform.translation.y, message.transform.translation.z = x, y, z
    x, y, z, w = rotation
    (message.transform.rotation.x, message.transform.rotation.y) = x, y
    (message.transform.rotation.z, message.transform.rotation.w) = z, w
    return message


class Robot:
    """A camera with depth on a base that drives through a map."""

    def __init__(self, node, ovsr):
        self.node, self.ovsr, self.client = node, ovsr, ovsr.client
        self.seen = Scene(3, split="test").render(0.0, (160, 120))
        self.markers = ovsr.watch(node, "/ovsr/markers", MarkerArray)
        ovsr.watch(node, "/ovsr/labeled_points", PointCloud2)
        self.depths = ovsr.client.publisher("/depth", Image, 10)
        self.infos = ovsr.client.publisher("/camera_info", CameraInfo, 10)

    def place(self, *transforms, static=False):
        """Publish transforms until the node has them."""
        topic = "/tf_static" if static else "/tf"
        kind, messages = TransformStamped, transforms
        if INSTALLED:
            from tf2_msgs.msg import TFMessage

            kind, messages = TFMessage, [TFMessage(transforms=transforms)]
        publisher = self.client.publisher(topic, kind, STATIC if static else KEEP)
        last = transforms[-1]

        def is_known():
            for message in messages:
                publisher.publish(message)
            return self.knows(last.header.frame_id, last.child_frame_id, last.header.stamp)

        self.client.wait(is_known, f"the node to have {last.child_frame_id} in {last.header.frame_id}")

    def knows(self, target, source, stamp):
        from rclpy.time import Time
        from tf2_ros import TransformException

        try:
            self.node._target_frame._buffer.lookup_transform(target, source, Time.from_msg(stamp))
        except TransformException:
            return False
        return True

    def place_camera(self):
        header = self.ovsr.new_header()
        self.place(transform_of(BASE, CAMERA, header.stamp, (0.1, 0.2, 0.5), OPTICAL), static=True)

    def drive(self, header, begin, end):
        """A second before the image the base is at `begin`, as long after it at `end`."""
        at = header.stamp
        stamps = [type(at)(sec=at.sec + seconds, nanosec=at.nanosec) for seconds in (-1, 1)]
        self.place(*(transform_of(MAP, BASE, *each) for each in zip(stamps, (begin, end), strict=True)))

    def look(self, header=None, before=lambda header: None):
        """The segments and markers of an image with depth, which may come too late; before: called with its header."""
        for _ in range(20):
            header = header or self.ovsr.new_header()
            before(header)
            self.infos.publish(to_camera_info((120, 160), self.seen.camera_matrix, header))
            self.depths.publish(to_depth_message(self.seen.depth_m, "32FC1", header))
            segments = self.ovsr.label(to_image_message(self.seen.image, "rgb8", header))
            if segments.segments[0].depth_count:
                break
            self.ovsr._next_stamp += 10  # away from the transforms of the last one
            header = None
        found = self.client.wait(lambda: self.markers_of(segments.header), "the markers of the image")
        return segments, found

    def markers_of(self, header):
        return next((each.markers for each in self.markers if each.markers[0].header.stamp == header.stamp), None)

    def wait_for_warning(self, text):
        self.client.wait(lambda: text in self.ovsr.status_message("depth"), f"the warning: {text}")
        assert self.ovsr.status("depth").level == WARN


@pytest.fixture
def robot(start_node, ovsr):
    node = start_node(target_frame=MAP, depth__wait_s=1.0, image_timeout_s=3600.0)
    ovsr.wait_until_active()
    return Robot(node, ovsr)


def xyz(point):
    return np.array([point.x, point.y, point.z])


def test_things_are_where_they_are_in_the_map_when_the_image_was_taken(robot):
    robot.place_camera()
    segments, markers = robot.look(before=lambda header: robot.drive(header, (1000.0, 0.0, 0.0), (1002.0, 4.0, 0.0)))
    assert segments.header.frame_id == CAMERA, "pixels are the camera's"
    cubes = [marker for marker in markers if marker.type == Marker.CUBE and marker.action == Marker.ADD]
    words = [marker for marker in markers if marker.type == Marker.TEXT_VIEW_FACING]
    placed = [each for each in segments.segments if each.class_id != 255 and each.depth_count]
    assert [cube.id for cube in cubes] == [each.id for each in placed] != []
    for cube, word, segment in zip(cubes, words, placed, strict=True):
        assert (cube.header.frame_id, cube.header.stamp) == (MAP, segments.header.stamp)
        low, high = xyz(segment.box_min), xyz(segment.box_max)
        right, down, forward = (low + high) / 2
        expected = np.add((1001.1, 2.2, 0.5), (forward, -right, -down))
        np.testing.assert_allclose(xyz(cube.pose.position), expected, atol=2e-3)
        width, height, length = high - low
        np.testing.assert_allclose(xyz(cube.scale), np.maximum((length, width, height), 1e-3), atol=2e-3)
        assert cube.pose.orientation.w == 1.0
        assert word.pose.position.z > cube.pose.position.z + cube.scale.z / 2, "above it"
    points = robot.ovsr.result("/ovsr/labeled_points", segments.header)
    assert points.header.frame_id == CAMERA
    robot.client.wait(lambda: robot.ovsr.status("depth").level == OK, "all to be well")
    assert robot.ovsr.diagnostic("depth", "target_frame") == MAP


def test_without_a_transform_things_are_nowhere_and_the_reason_is_told(robot):
    segments, markers = robot.look()
    assert segments.segments[0].depth_count, "in the camera's frame they have their place"
    assert [marker.action for marker in markers] == [Marker.DELETEALL]
    assert markers[0].header.frame_id == MAP
    robot.wait_for_warning(f"target_frame: no transform from '{CAMERA}' to '{MAP}' at the image's stamp")
    assert "does not exist" in robot.ovsr.status_message("depth")
    assert f"ros2 run tf2_ros tf2_echo {MAP} {CAMERA}" in robot.ovsr.status_message("depth")
    assert int(robot.ovsr.diagnostic("depth", "frames without a transform")) >= 1

    def is_logged():
        robot.look()
        return [log.msg for log in robot.ovsr.logs if log.msg.startswith("target_frame: no transform")]

    robot.client.wait(is_logged, "the reason in the log, as that lasts")


def test_an_image_that_is_newer_than_the_transforms_is_left_out(robot):
    robot.place_camera()
    header = robot.ovsr.new_header()
    robot.drive(header, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    late = robot.ovsr.new_header()
    late.stamp.sec += 100
    robot.ovsr._next_stamp += 200
    _, markers = robot.look(late)
    assert [marker.action for marker in markers] == [Marker.DELETEALL]
    robot.wait_for_warning("extrapolation into the future")
    assert "stamp them and images by one clock" in robot.ovsr.status_message("depth")


def test_a_recording_that_begins_anew_is_placed_again(robot):
    robot.place_camera()
    first = robot.ovsr.new_header()
    later = type(first)(frame_id=first.frame_id)
    later.stamp.sec = first.stamp.sec + 500
    robot.drive(later, (5.0, 0.0, 0.0), (5.0, 0.0, 0.0))
    robot.look(later)
    robot.look()  # five hundred seconds earlier
    again = robot.ovsr.new_header()
    robot.drive(again, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    found = robot.client.wait(lambda: robot.node._target_frame.find(again).transform, "a transform")
    np.testing.assert_allclose(found.translation, (0.1, 0.2, 0.5), atol=1e-9)


def test_images_without_a_stamp_are_placed_by_the_newest_transform(robot):
    robot.place_camera()
    robot.drive(robot.ovsr.new_header(), (1.0, 0.0, 0.0), (3.0, 0.0, 0.0))
    header = type(robot.ovsr.new_header())(frame_id=CAMERA)
    for _ in range(2):
        found = robot.node._target_frame.find(header)
        np.testing.assert_allclose(found.transform.translation, (3.1, 0.2, 0.5), atol=1e-9)
        robot.node._target_frame.find(robot.ovsr.new_header())  # one with a stamp between: no step back


def test_the_camera_s_own_frame_needs_no_transform(start_node, ovsr):
    robot = Robot(start_node(target_frame=CAMERA, depth__wait_s=1.0), ovsr)
    ovsr.wait_until_active()
    segments, markers = robot.look()
    cube = next(marker for marker in markers if marker.action == Marker.ADD)
    segment = next(each for each in segments.segments if each.id == cube.id)
    np.testing.assert_allclose(xyz(cube.pose.position), (xyz(segment.box_min) + xyz(segment.box_max)) / 2, atol=2e-3)


def test_transforms_are_remembered_over_the_lifecycle(robot):
    robot.place_camera()
    stamp = robot.ovsr.new_header().stamp
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        assert robot.ovsr.change_state(transition)
    assert robot.knows(BASE, CAMERA, stamp)
    assert robot.client.node.count_subscribers("/tf") == robot.client.node.count_subscribers("/tf_static") == 1


@pytest.mark.skipif(INSTALLED, reason="tf2_ros is installed")
def test_without_tf2_ros_the_node_does_not_start_and_says_what_to_install(start_node, ovsr, monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(STAND_IN)])
    codes = []
    start_node(codes.append, target_frame=MAP)
    ovsr.client.wait(lambda: codes, "the node to ask for its end")
    assert codes == [1]
    said = "target_frame: needs the package tf2_ros, which is not installed (No module named 'tf2_ros'): sudo apt"
    ovsr.client.wait(lambda: ovsr.errors(said), "what to install, in the log")


@pytest.mark.parametrize("frame", ["/map", " map"])
def test_what_is_no_frame_s_name_is_refused(start_node, ovsr, frame):
    codes = []
    start_node(codes.append, target_frame=frame)
    ovsr.client.wait(lambda: codes, "the node to ask for its end")
    ovsr.client.wait(lambda: ovsr.errors(f"without a slash or a blank around it, got '{frame}'"), "the reason")


# --- Messages ---


def test_a_message_s_transform_takes_points_from_child_to_parent():
    message = transform_of(MAP, BASE, robot_stamp(), (1, 2, 3), (0.0, 0.0, 2.0, 2.0))  # a quarter, not of length 1
    found = to_rigid_transform(message)
    np.testing.assert_allclose(found.rotation @ (1, 0, 0) + found.translation, (1, 3, 3), atol=1e-12)
    np.testing.assert_allclose(found.rotation @ (0, 1, 0) + found.translation, (0, 2, 3), atol=1e-12)
    optical = to_rigid_transform(transform_of(BASE, CAMERA, robot_stamp(), (0, 0, 0), OPTICAL))
    np.testing.assert_allclose(optical.rotation @ np.array([1.0, 2.0, 3.0]), (3, -1, -2), atol=1e-12)


@pytest.mark.parametrize("rotation", [(0.0, 0.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 1.0)])
def test_what_is_no_rotation_is_refused(rotation):
    with pytest.raises(ValueError, match="expected a rotation and a translation"):
        to_rigid_transform(transform_of(MAP, BASE, robot_stamp(), rotation=rotation))
    with pytest.raises(ValueError, match="expected a rotation and a translation"):
        RigidTransform.from_quaternion((0, 0, 0, 1), (math.inf, 0, 0))


def robot_stamp():
    return TransformStamped().header.stamp
