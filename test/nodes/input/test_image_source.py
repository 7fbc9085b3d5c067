"""The subscription follows the publishers' quality of service, whenever they come, go, or are replaced."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

BEST_EFFORT = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT_LATCHED = QoSProfile(
    depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL
)
LEASE_S = 20.0
"""How long the middleware takes a killed process for alive."""


class Camera:
    """A publisher of /image; several may be there at once."""

    def __init__(self, client, qos):
        self.qos = qos
        self._client = client
        self._publisher = client.node.create_publisher(
            Image, "/image", qos, event_callbacks=PublisherEventCallbacks(use_default_callbacks=False)
        )

    def send(self, message):
        self._publisher.publish(message)
        return message.header

    def leave(self):
        self._client.node.destroy_publisher(self._publisher)


def subscribed(client):
    """(reliability, durability) that the node asks for now; None while it has no subscription, or two."""
    infos = client.node.get_subscriptions_info_by_topic("/image")
    return (infos[0].qos_profile.reliability, infos[0].qos_profile.durability) if len(infos) == 1 else None


def wait_until_asked(client, qos, timeout_s=10.0):
    wanted = (qos.reliability, qos.durability)
    client.wait(lambda: subscribed(client) == wanted, f"a subscription with {wanted}", timeout_s)


def assert_labelled(ovsr, camera):
    """The camera is heard: images are sent, as a camera does, until one comes back labelled."""
    sent, deadline = [], time.monotonic() + 15.0
    while time.monotonic() < deadline:
        sent.append(camera.send(ovsr.image()))
        with ovsr.client.changed:
            ovsr.client.changed.wait(0.2)
            if any(segments.header in sent for segments in ovsr.segments):
                return
    pytest.fail(f"none of {len(sent)} images was labelled; the node asks for {subscribed(ovsr.client)}")


@pytest.mark.parametrize(
    "qos",
    [BEST_EFFORT, RELIABLE, LATCHED, BEST_EFFORT_LATCHED],
    ids=["best_effort", "reliable", "latched", "be_latched"],
)
def test_a_publisher_that_comes_later_is_matched(active_node, ovsr, client, qos):
    wait_until_asked(client, BEST_EFFORT)
    camera = Camera(client, qos)
    wait_until_asked(client, qos)
    assert_labelled(ovsr, camera)


@pytest.mark.parametrize(
    ("before", "after"),
    [(RELIABLE, BEST_EFFORT), (BEST_EFFORT, RELIABLE), (LATCHED, RELIABLE), (RELIABLE, LATCHED)],
    ids=["to_best_effort", "to_reliable", "to_volatile", "to_latched"],
)
def test_a_publisher_replaced_by_another_is_matched(active_node, ovsr, client, before, after):
    camera = Camera(client, before)
    wait_until_asked(client, before)
    assert_labelled(ovsr, camera)
    camera.leave()
    camera = Camera(client, after)
    assert_labelled(ovsr, camera)
    wait_until_asked(client, after)


def test_what_comes_after_a_killed_publisher_is_heard_long_before_the_middleware_gives_it_up(
    active_node, ovsr, client, run_module
):
    killed = run_module(
        "ovsr_ros.nodes.demo_camera",
        "--ros-args",
        *("-p", "width:=160", "-p", "height:=120"),
        *("-p", "reliability:=reliable", "-r", "image_raw:=/image"),
    )
    wait_until_asked(client, RELIABLE, 30.0)
    client.wait(lambda: ovsr.segments, "a labelled image of the camera that is to be killed")
    killed.popen.send_signal(signal.SIGKILL)
    killed.wait()
    begin = time.monotonic()
    assert_labelled(ovsr, Camera(client, BEST_EFFORT))
    assert time.monotonic() - begin < LEASE_S / 2
    assert client.node.count_publishers("/image") == 2, "the killed one was to be there still"


def test_publishers_of_differing_quality_are_all_heard(active_node, ovsr, client):
    cameras = [Camera(client, qos) for qos in (LATCHED, RELIABLE, BEST_EFFORT)]
    wait_until_asked(client, BEST_EFFORT)
    for camera in cameras:
        assert_labelled(ovsr, camera)


def test_an_image_published_before_the_node_was_there_is_labelled_where_its_publisher_keeps_it(
    start_node, ovsr, client
):
    header = Camera(client, LATCHED).send(ovsr.image())
    start_node()
    ovsr.result("/ovsr/segments", header)


def test_images_that_a_publisher_sends_again_are_not_labelled_again(active_node, ovsr, client):
    latched, volatile = Camera(client, LATCHED), Camera(client, RELIABLE)
    wait_until_asked(client, RELIABLE)
    assert_labelled(ovsr, latched)
    for seed in range(LATCHED.depth):  # so that none of what is sent again was lost before both had found each other
        ovsr.result("/ovsr/segments", latched.send(ovsr.image(seed=seed)))
    count = active_node._worker.counts.received
    volatile.leave()
    wait_until_asked(client, LATCHED)
    header = latched.send(ovsr.image())
    ovsr.result("/ovsr/segments", header)
    assert active_node._worker.counts.received == count + 1
    assert len({segments.header.stamp.sec for segments in ovsr.segments}) == len(ovsr.segments)


def test_quality_changes_all_the_time_while_images_flow(active_node, ovsr, client):
    steady = Camera(client, RELIABLE)
    sent, stop = [], threading.Event()

    def flow():
        while not stop.wait(0.01):
            sent.append(steady.send(ovsr.image((48, 64))))

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        for _ in range(10):
            other = Camera(client, BEST_EFFORT)
            wait_until_asked(client, BEST_EFFORT)
            other.leave()
            wait_until_asked(client, RELIABLE)
    finally:
        stop.set()
        thread.join()
    stamps = [segments.header.stamp.sec for segments in ovsr.segments]
    assert stamps == sorted(set(stamps)), "an image was labelled twice, or after a newer one"
    received = active_node._worker.counts.received
    assert received > 0.7 * len(sent), f"{received} of {len(sent)} images came through"
    assert not ovsr.errors("")
    assert_labelled(ovsr, steady)
