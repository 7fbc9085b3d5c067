"""Masks that come on a topic, over DDS: what moves in front of the camera is no part of anything."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.conversions.images import to_image_message

WARN, OK = b"\x01", b"\x00"
SIZE_HW = (120, 160)
REMAPPED = ("-r", "ignore_mask:=/arm/mask")
LATCHED = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
VOLATILE = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)


def mask(columns: slice, size_hw=(60, 80)):
    ignored = np.zeros(size_hw, np.uint8)
    ignored[20:, columns] = 255
    return ignored


ARM, MOVED, EVERYTHING = mask(slice(20, 50)), mask(slice(50, 75)), np.full((60, 80), 1, np.uint8)


class Arm:
    """Publishes masks, and looks at what the node leaves out."""

    def __init__(self, node, ovsr, topic="/ignore_mask"):
        self.node, self.ovsr, self.topic = node, ovsr, topic

    def publish(self, pixels, qos=VOLATILE, encoding="mono8", until_received=True, subscribed=True):
        publisher = self.ovsr.client.publisher(self.topic, Image, qos, subscribed=subscribed)
        publisher.publish(to_image_message(pixels, encoding, Header()))
        if until_received:
            # A mask is known by its content: what was received before it may be another.
            data = pixels.tobytes()
            self.ovsr.client.wait(lambda: self._received() == data, "the mask to be received")

    def _received(self):
        newest = self.node._listening.masks._newest
        return None if newest is None else bytes(newest.data)

    def ignored(self):
        """Where the next image is in no segment."""
        header = self.ovsr.send(self.ovsr.image(SIZE_HW))
        label_map, segment_map = (
            to_label_array(self.ovsr.result(f"/ovsr/{topic}", header)) for topic in ("label_map", "segment_map")
        )
        assert np.all(label_map[segment_map == 0] == 255)
        return segment_map == 0

    def expect(self, pixels):
        enlarged = cv2.resize(pixels, SIZE_HW[::-1], interpolation=cv2.INTER_NEAREST) > 0
        ignored = self.ignored()
        assert ignored[enlarged].all()
        assert (ignored & ~enlarged).mean() < 0.2, "more is gone than what the mask has for its greater part"

    def wait_for_warning(self, text):
        self.ovsr.client.wait(lambda: text in self.ovsr.status_message("image input"), f"the warning: {text}")
        assert self.ovsr.status("image input").level == WARN
        self.ovsr.client.wait(lambda: any(text in log.msg for log in self.ovsr.logs), f"in the log: {text}")


@pytest.fixture
def start_arm(start_node, ovsr):
    def start(topic="/ignore_mask", **parameters):
        node = start_node(image_timeout_s=3600.0, **parameters)
        ovsr.wait_until_active()
        ovsr.watch(node, "/ovsr/segment_map", Image)
        return Arm(node, ovsr, topic)

    return start


def test_an_arm_that_moves_is_ignored_where_it_is(start_arm):
    arm = start_arm("/arm/mask", arguments=REMAPPED, rotation=180)
    for pixels in (ARM, MOVED, np.zeros_like(ARM), (ARM // 255).astype(np.uint8)):
        arm.publish(pixels)
        arm.expect(pixels)
    arm.ovsr.client.wait(
        lambda: arm.ovsr.diagnostic("image input", "ignore_mask").startswith("/arm/mask (reliable, volatile)"),
        "the topic in /diagnostics",
    )
    assert float(arm.ovsr.diagnostic("image input", "since last mask [s]")) >= 0
    assert not [log.msg for log in arm.ovsr.logs if "ignore_mask:" in log.msg]


@pytest.mark.parametrize("qos", [LATCHED, BEST_EFFORT])
def test_a_mask_published_once_counts_for_all_images(start_arm, qos):
    arm = start_arm()
    arm.publish(ARM, qos)
    arm.expect(ARM)
    arm.ovsr.client.remove_publisher("/ignore_mask")
    arm.expect(ARM)


def test_a_latched_mask_that_was_published_before_the_node_was_started_counts(start_arm, ovsr, client):
    publisher = client.publisher("/ignore_mask", Image, LATCHED, subscribed=False)
    publisher.publish(to_image_message(ARM, "mono8", Header()))
    arm = start_arm()
    client.wait(lambda: arm._received() == ARM.tobytes(), "the mask to be received")
    arm.expect(ARM)
    assert ovsr.change_state("deactivate")
    assert ovsr.change_state("activate")
    client.wait(lambda: arm.node._listening is not None and arm._received() is not None, "the mask to be received anew")
    arm.expect(ARM)


def test_the_file_s_mask_and_the_topic_s_are_ignored_both(start_arm, tmp_path):
    cv2.imwrite(str(tmp_path / "body.png"), ARM)
    arm = start_arm(ignore_mask=str(tmp_path / "body.png"))
    arm.expect(ARM)
    arm.publish(MOVED)
    arm.expect(ARM | MOVED)
    arm.publish(255 - ARM)
    arm.expect(ARM | MOVED)
    arm.wait_for_warning("ignore_mask: the mask on /ignore_mask: covers the whole image")


def test_what_is_no_mask_is_told_and_the_last_good_one_stays(start_arm):
    arm = start_arm()
    for pixels, encoding, said in (
        (np.zeros((60, 60), np.uint8), "mono8", "is 60x60, which is not the image's aspect, 160x120"),
        (EVERYTHING, "8UC1", "covers the whole image, so that nothing is left"),
    ):
        arm.publish(pixels, encoding=encoding)
        assert not arm.ignored().any(), "none was good yet"
        arm.wait_for_warning(f"ignore_mask: the mask on /ignore_mask: {said}")
    arm.publish(ARM)
    arm.expect(ARM)
    arm.publish(MOVED, encoding="label8")
    arm.expect(ARM)
    arm.wait_for_warning("ignore_mask: the mask on /ignore_mask: encoding: expected one that")
    arm.publish(MOVED)
    arm.expect(MOVED)
    assert arm.ovsr.label(arm.ovsr.image((120, 120))).segments, "images of another aspect are labelled without a mask"


def test_before_the_first_mask_nothing_is_ignored_and_that_is_said(start_arm):
    arm = start_arm("/arm/mask", arguments=REMAPPED)
    assert not arm.ignored().any()
    arm.wait_for_warning(
        "ignore_mask: no mask has come yet, and none is in use: /arm/mask has 0 publishers: start one, or remap it "
        "(--ros-args -r ignore_mask:=/your/topic)"
    )
    arm.publish(ARM)
    arm.expect(ARM)
    arm.ovsr.client.wait(lambda: arm.ovsr.status("image input").level == OK, "the warning's end")


def test_whose_topic_nobody_uses_is_told_nothing(start_arm, ovsr):
    arm = start_arm()
    assert not arm.ignored().any()
    assert ovsr.diagnostic("image input", "ignore_mask") == ""
    assert ovsr.diagnostic("image input", "since last mask [s]") == "-"
    assert arm.node.count_subscribers("/ignore_mask") == 0


def test_a_mask_that_comes_while_the_node_rests_counts_for_the_first_image_after_it(start_node, new_ovsr, client):
    ovsr = new_ovsr(client, subscribe=False)
    arm = Arm(start_node(image_timeout_s=3600.0), ovsr)
    ovsr.wait_until_active()
    client.wait(lambda: ovsr.status_message("segmentation") == "no subscribers: resting", "the node to rest")
    arm.publish(ARM)
    assert arm.node._worker.is_resting
    for topic in ("label_map", "segment_map"):
        ovsr.watch(arm.node, f"/ovsr/{topic}", Image)
    arm.expect(ARM)
