"""The node's life: told and untold, again and again, with publishers that come and go."""

from __future__ import annotations

import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from ovsr_ros import srv
from ovsr_ros.demo.scenes import Scene

RELIABLE = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.BEST_EFFORT)


def test_a_managed_node_goes_through_its_states_several_times(start_node, ovsr, client):
    start_node(autostart=False)
    assert ovsr.state() == "unconfigured"
    for cycle in range(3):
        assert ovsr.change_state("configure")
        assert ovsr.state() == "inactive"
        assert ovsr.change_state("activate")
        assert ovsr.state() == "active"
        assert ovsr.label().segments
        assert ovsr.change_state("deactivate")
        num_published = len(ovsr.segments)
        client.wait(lambda: ovsr.diagnostic("segmentation", "state") == "inactive", "the state in /diagnostics")
        client.publisher("/image", Image, RELIABLE, subscribed=False).publish(ovsr.image())
        assert ovsr.change_state("activate")
        assert ovsr.label(), f"cycle {cycle}"
        assert len(ovsr.segments) == num_published + 1, "the image sent while inactive was to be left alone"
        assert ovsr.change_state("deactivate")
        assert ovsr.change_state("cleanup")
        assert ovsr.state() == "unconfigured"


def test_words_and_ids_outlive_a_cleanup(start_node, ovsr):
    start_node(autostart=False)
    ovsr.change_state("configure")
    ovsr.set_vocabulary(srv.SetVocabulary.Request.REPLACE, "wall; paint", "ball")
    before = ovsr.get_vocabulary()
    ovsr.change_state("cleanup")
    ovsr.change_state("configure")
    after = ovsr.get_vocabulary()
    assert [(c.id, c.name, list(c.synonyms)) for c in after.categories] == [
        (c.id, c.name, list(c.synonyms)) for c in before.categories
    ]


def test_shutdown_is_possible_while_active(active_node, ovsr):
    ovsr.label()
    assert ovsr.change_state("shutdown")
    assert ovsr.state() == "finalized"


def test_services_of_an_unconfigured_node_say_what_to_do(start_node, ovsr, client):
    start_node(autostart=False)
    answer = ovsr.set_vocabulary(srv.SetVocabulary.Request.ADD, "wall")
    assert not answer.success
    assert "ros2 lifecycle set /ovsr configure" in answer.message
    answer = client.call("/ovsr/segment_image", srv.SegmentImage, srv.SegmentImage.Request(image=ovsr.image()))
    assert "ros2 lifecycle set /ovsr configure" in answer.message
    assert ovsr.get_vocabulary().version == 0


def test_a_missing_model_leaves_a_managed_node_unconfigured_with_the_remedy(start_node, ovsr, client):
    start_node(autostart=False, features__model="efficientnet_b3.ra2_in1k")
    assert not ovsr.change_state("configure")
    assert ovsr.state() == "unconfigured"
    assert ovsr.errors("ovsr models download efficientnet_b3.ra2_in1k")
    client.wait(lambda: "ovsr models download" in ovsr.status_message("segmentation"), "the remedy in /diagnostics")
    assert ovsr.status("segmentation").level == b"\x02"


def test_a_missing_model_ends_an_autostarted_node(start_node, ovsr, client):
    codes = []
    start_node(request_exit=codes.append, features__model="efficientnet_b3.ra2_in1k")
    client.wait(lambda: codes, "the node's request to end its process")
    assert codes == [1]


@pytest.mark.parametrize("qos", [RELIABLE, BEST_EFFORT], ids=["reliable", "best effort"])
def test_the_subscription_matches_its_publishers(active_node, ovsr, client, qos):
    header = ovsr.send(ovsr.image(), qos=qos)
    ovsr.result("/ovsr/segments", header)
    (subscriber,) = client.node.get_subscriptions_info_by_topic("/image")
    assert subscriber.qos_profile.reliability == qos.reliability


def test_the_subscription_follows_a_publisher_that_comes_back_different(active_node, ovsr, client):
    for qos in (RELIABLE, BEST_EFFORT, RELIABLE):
        header = ovsr.send(ovsr.image(), qos=qos)
        ovsr.result("/ovsr/segments", header)
        client.remove_publisher("/image")


def test_an_image_that_was_latched_before_the_node_came_is_labelled(start_node, ovsr, client):
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    image = ovsr.image()
    client.publisher("/image", Image, latched, subscribed=False).publish(image)
    start_node()
    assert ovsr.result("/ovsr/segments", image.header).segments


def test_compressed_images_are_decoded(start_node, ovsr, client):
    import cv2

    start_node(image_transport="compressed")
    ovsr.wait_until_active()
    pixels = ovsr.image()
    for suffix in (".jpg", ".png"):
        encoded = cv2.imencode(suffix, pixels_of(pixels))[1].tobytes()
        message = CompressedImage(header=ovsr.new_header(), format=suffix[1:], data=encoded)
        client.publisher("/image/compressed", CompressedImage, RELIABLE).publish(message)
        assert ovsr.result("/ovsr/segments", message.header).segments
    broken = CompressedImage(header=ovsr.new_header(), format="jpeg", data=b"no image")
    client.publisher("/image/compressed", CompressedImage, RELIABLE).publish(broken)
    client.wait(lambda: ovsr.errors("data: expected a whole jpeg or png image"), "an error about the broken image")


def test_damaged_jpegs_are_refused_in_the_log_and_in_diagnostics(start_node, ovsr, client):
    import cv2

    start_node(image_transport="compressed")
    ovsr.wait_until_active()
    for number in range(3):
        image = Scene(number, split="test").render(0.0, (320, 240)).image  # no two of one length
        encoded = cv2.imencode(".jpg", image)[1].tobytes()
        message = CompressedImage(header=ovsr.new_header(), format="jpeg")
        message.data = encoded[: len(encoded) // 2] + encoded[len(encoded) * 3 // 4 :]
        client.publisher("/image/compressed", CompressedImage, RELIABLE).publish(message)
        client.wait(lambda n=number: ovsr.diagnostic("segmentation", "failed") == str(n + 1), "the frame to fail")
    said = "data: expected a whole jpeg or png image, got one of format 'jpeg' that is damaged: Corrupt JPEG data"
    assert said in ovsr.status_message("segmentation")
    reasons = {error.partition(" (")[0] for error in client.wait(lambda: ovsr.errors(said), "an error in the log")}
    assert len(reasons) == 1, "what differs from frame to frame would be logged for each"
    assert not ovsr.segments
    whole = CompressedImage(header=ovsr.new_header(), format="jpeg", data=encoded)
    client.publisher("/image/compressed", CompressedImage, RELIABLE).publish(whole)
    assert ovsr.result("/ovsr/segments", whole.header).segments


def pixels_of(message):
    from ovsr_ros.nodes.conversions.images import to_rgb_array

    return to_rgb_array(message)
