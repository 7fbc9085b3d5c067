"""When no image comes, the node says why and what to do, once in a while; and once that images are back."""

from __future__ import annotations

import re
import time

import pytest
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from ovsr_ros.nodes import node as node_module
from ovsr_ros.nodes.health.silence import SilenceWatch
from ovsr_ros.nodes.health.topic_hints import explain_silence
from ovsr_ros.nodes.middleware import ENOUGH_BYTES, PROFILES, RECEIVE_UDP, UDP, receive_buffer_bytes

LOG_LEVEL_INFO, LOG_LEVEL_WARN = 20, 30


def message(ovsr):
    return ovsr.status_message("image input")


def warnings(ovsr):
    return [log.msg for log in ovsr.logs if log.level == LOG_LEVEL_WARN and log.msg.startswith("no image")]


def returns(ovsr):
    return [log.msg for log in ovsr.logs if log.level == LOG_LEVEL_INFO and log.msg.startswith("images again")]


def test_silence_is_explained_with_topic_publishers_and_remedy(start_node, ovsr, client):
    start_node(image_timeout_s=0.5)
    ovsr.wait_until_active()
    client.wait(lambda: "/image has 0 publishers" in message(ovsr), "a warning that no image comes")
    status = ovsr.status("image input")
    assert status.level == b"\x01"
    assert status.message.startswith("no image")
    assert "-r image:=" in status.message
    client.publisher("/image", Image, qos_profile_sensor_data, subscribed=False)
    client.wait(lambda: "test_client" in message(ovsr), "the publisher's name in the warning")
    assert "/image has 1 publisher, /test_client (sensor_msgs/msg/Image, best effort, volatile)" in message(ovsr)
    client.wait(lambda: warnings(ovsr), "the warning in the log")
    assert "no image for more than 0.5 s: /image has " in warnings(ovsr)[0]


BY_SHARED_MEMORY = "a container or as another user, shared memory does not reach"
BY_UDP = "a container or on another machine, let its UDP packets through"


@pytest.mark.parametrize(
    ("profiles", "said", "not_said"),
    [("", BY_SHARED_MEMORY, BY_UDP), (PROFILES, BY_SHARED_MEMORY, BY_UDP), (UDP, BY_UDP, BY_SHARED_MEMORY)],
)
def test_a_camera_that_is_seen_and_not_heard_may_not_get_through(client, monkeypatch, profiles, said, not_said):
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", str(profiles))
    client.publisher("/image", Image, qos_profile_sensor_data, subscribed=False)
    text = client.wait(lambda: explain_silence(client.node, "/image", "raw", "by a rule"), "the explanation")
    assert "which sends nothing: check the camera (ros2 topic hz /image); if it runs in " in text
    assert said in text
    assert not_said not in text


@pytest.mark.parametrize("profiles", ["", "/own/profiles.xml", PROFILES, RECEIVE_UDP, UDP])
@pytest.mark.parametrize("reliable", [False, True])
def test_images_that_are_lost_are_no_silent_camera_and_the_remedies_are_those_that_help(
    client, monkeypatch, profiles, reliable
):
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", str(profiles))
    client.publisher("/image", Image, QoSProfile(depth=1) if reliable else qos_profile_sensor_data, subscribed=False)
    text = explain_silence(client.node, "/image", "raw", "by a rule", num_lost=7)
    assert "which sends images, 7 of which were lost lately: large images are lost where a buffer " in text
    assert "nothing" not in text
    assert ("let the camera publish reliable" in text) == (not reliable)
    assert (f"start the camera with FASTDDS_DEFAULT_PROFILES_FILE={PROFILES}" in text) == (
        profiles not in (RECEIVE_UDP, UDP)
    )
    if profiles in ("", "/own/profiles.xml"):
        assert "net.core.rmem_max" not in text
    elif receive_buffer_bytes() < ENOUGH_BYTES or profiles != PROFILES:
        assert "sudo sysctl -w net.core.rmem_max=16777216) and restart the node" in text


def test_topics_of_the_right_type_are_suggested_the_nearest_names_first(start_node, ovsr, client):
    for topic in ("/a/thermal/view", "/cameras/image", "/image_raw", "/ovsr/like", "/x/ovsr/overlay"):
        client.publisher(topic, Image, qos_profile_sensor_data, subscribed=False)
    client.publisher("/image_compressed", CompressedImage, qos_profile_sensor_data, subscribed=False)
    start_node(image_timeout_s=0.5)
    wanted = "topics that carry sensor_msgs/msg/Image now: /image_raw, /cameras/image, /a/thermal/view"
    client.wait(lambda: message(ovsr).endswith(wanted), f"'{wanted}', without what such nodes publish themselves")


def test_of_many_topics_the_nearest_are_named_and_the_others_counted(start_node, ovsr, client):
    for number in range(8):
        client.publisher(f"/camera{number}/image", Image, qos_profile_sensor_data, subscribed=False)
    start_node(image_timeout_s=0.5)
    client.wait(lambda: message(ovsr).endswith("/camera4/image and 3 more"), "five topics and a number")


@pytest.mark.parametrize(
    ("transport", "topic", "message_type", "said"),
    [
        (
            "raw",
            "/image/compressed",
            CompressedImage,
            "come compressed, on /image/compressed: restart with image_trans",
        ),
        ("compressed", "/image", Image, "its images come raw, on /image: restart with image_transport:=raw"),
        ("compressed", "/camera/compressed", CompressedImage, "remap the topic (--ros-args -r image:=/your/topic)"),
    ],
)
def test_images_of_another_transport_are_found(start_node, ovsr, client, transport, topic, message_type, said):
    client.publisher(topic, message_type, qos_profile_sensor_data, subscribed=False)
    start_node(image_timeout_s=0.5, image_transport=transport)
    client.wait(lambda: said in message(ovsr), f"'{said}' in the warning")


@pytest.mark.parametrize(
    ("transport", "topic", "said"),
    [
        ("raw", "/cam/compressed", "image_transport:=compressed, and the topic without /compressed (image:=/cam)"),
        (
            "compressed",
            "/cam/compressed",
            "no image for more than 0.5 s: /cam/compressed has 1 publisher, /test_client",
        ),
        ("raw", "/cam", "/cam has 1 publisher of another type than sensor_msgs/msg/Image, /test_client (sensor_msgs/"),
    ],
)
def test_a_topic_of_compressed_images_given_as_it_is(run_module, ovsr, client, node_config, transport, topic, said):
    # A process: one participant of the middleware holds a topic to one type.
    client.publisher(topic, CompressedImage, qos_profile_sensor_data, subscribed=False)
    arguments = ("-p", f"config:={node_config}", "-p", "image_timeout_s:=0.5", "-p", f"image_transport:={transport}")
    run_module("ovsr_ros.nodes.ovsr_node", "--ros-args", *arguments, "-r", f"image:={topic}")
    client.wait(lambda: said in message(ovsr), f"'{said}' in the warning")


def test_the_warning_comes_again_each_period_and_the_return_of_images_once(start_node, ovsr, client, monkeypatch):
    monkeypatch.setattr(node_module, "_WARNING_PERIOD_S", 1.5)
    start_node(image_timeout_s=0.5)
    begin = time.monotonic()
    client.wait(lambda: len(warnings(ovsr)) >= 3, "the warning for the third time")
    assert time.monotonic() - begin > 2 * 1.5
    assert len(set(warnings(ovsr))) == 1
    assert not returns(ovsr)
    for _ in range(30):
        ovsr.send(ovsr.image())
        time.sleep(0.1)
    client.wait(lambda: not message(ovsr).startswith("no image"), "/diagnostics without the warning")
    (said,) = returns(ovsr)
    silent = re.fullmatch(r"images again on /image, after (\d+\.\d) s without any", said)
    assert silent is not None, said
    assert 3.0 < float(silent[1]) < 30.0
    count = len(warnings(ovsr))
    client.wait(lambda: len(warnings(ovsr)) > count, "the warning, now that images have stopped again")
    for _ in range(10):
        ovsr.send(ovsr.image())
        time.sleep(0.1)
    client.wait(lambda: len(returns(ovsr)) == 2, "the return of images, for the second time")


def test_a_node_that_cannot_subscribe_says_why_before_it_gives_up(start_node, ovsr, client):
    # The client's and the node's participant of the middleware is one, which holds a topic to one type.
    client.publisher("/image", CompressedImage, qos_profile_sensor_data, subscribed=False)
    codes = []
    start_node(request_exit=codes.append)
    client.wait(lambda: codes, "the request to end")
    assert codes == [1]
    client.wait(lambda: ovsr.errors("activate failed"), "the reason in the log")
    client.wait(lambda: "activate failed" in ovsr.status_message("segmentation"), "the reason in /diagnostics")
    assert ovsr.state() == "inactive"


def test_a_node_that_is_told_not_to_listen_does_not_complain(start_node, ovsr, client):
    start_node(image_timeout_s=0.5)
    client.wait(lambda: message(ovsr).startswith("no image"), "a warning that no image comes")
    assert ovsr.change_state("deactivate")
    client.wait(lambda: message(ovsr) == "not subscribed: the node is inactive", "the inactive node's own words")


# --- The watch alone ---


class Words:
    def __init__(self, period_s):
        self.warned, self.informed = [], []
        self.watch = SilenceWatch(self.warned.append, self.informed.append, period_s)

    def update(self, since_image_s, explain=lambda: "nobody sends"):
        self.watch.update(since_image_s, 5.0, "/image", explain)


def test_nothing_is_said_while_images_come():
    words = Words(10.0)
    for _ in range(3):
        words.update(4.9, explain=pytest.fail)
    assert (words.warned, words.informed, words.watch.text) == ([], [], "")


def test_a_stream_that_stops_and_starts_all_the_time_is_warned_of_once_a_period():
    words = Words(10.0)
    for _ in range(5):
        words.update(5.1)
        assert words.watch.text == "no image for more than 5 s: nobody sends"
        words.update(0.1)
        assert words.watch.text == ""
    assert words.warned == ["no image for more than 5 s: nobody sends"]
    assert words.informed == ["images again on /image, after 5.0 s without any"]


def test_the_explanation_is_the_newest_one():
    words = Words(0.0)
    words.update(6.0, lambda: "0 publishers")
    words.update(6.5, lambda: "1 publisher")
    assert words.warned[-1] == words.watch.text == "no image for more than 5 s: 1 publisher"
