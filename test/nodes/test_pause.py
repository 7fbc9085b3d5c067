"""~/set_enabled: frames pause and go on, and everybody is told."""

from __future__ import annotations

import threading

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from std_srvs.srv import SetBool

from ovsr_ros import srv
from ovsr_ros.nodes.health.statistics import read_statistics

PAUSED = "paused: no image is labelled until ~/set_enabled is called with true"
RUNNING = "not paused: images are labelled"


@pytest.fixture
def set_enabled(ovsr):
    def set_enabled(enabled):
        answer = ovsr.client.call("/ovsr/set_enabled", SetBool, SetBool.Request(data=enabled))
        assert answer.success
        return answer.message

    return set_enabled


def test_paused_no_frame_is_published_and_then_they_are_again(active_node, ovsr, set_enabled):
    ovsr.label()
    assert set_enabled(False) == PAUSED
    published = len(ovsr.segments)
    count = active_node._worker.counts.received
    for number in range(1, 4):
        ovsr.send(ovsr.image())
        ovsr.client.wait(
            lambda number=number: active_node._worker.counts.received >= count + number, "the image to arrive"
        )
    last = ovsr.send(ovsr.image())
    assert len(ovsr.segments) == published
    ovsr.client.wait(lambda: ovsr.status_message("segmentation").startswith("paused: "), "diagnostics that say so")
    assert ovsr.status("segmentation").level == DiagnosticStatus.OK
    assert ovsr.diagnostic("segmentation", "paused") == "true"
    assert set_enabled(True) == RUNNING
    assert ovsr.result("/ovsr/segments", last).segments, "the newest image is labelled at once"
    assert ovsr.label().segments
    assert len(ovsr.segments) == published + 2, "those between are not"
    ovsr.client.wait(lambda: ovsr.diagnostic("segmentation", "paused") == "false", "diagnostics that say so")


def test_twice_is_as_good_as_once(active_node, ovsr, set_enabled):
    assert set_enabled(True) == f"{RUNNING}, as before"
    assert set_enabled(False) == PAUSED
    assert set_enabled(False) == f"{PAUSED}, as before"
    assert set_enabled(True) == RUNNING
    assert ovsr.label().segments


def test_services_work_meanwhile(active_node, ovsr, set_enabled):
    segments = ovsr.label()
    set_enabled(False)
    assert ovsr.set_vocabulary(1, "wall").success
    request = srv.SegmentImage.Request(image=ovsr.image())
    assert ovsr.client.call("/ovsr/segment_image", srv.SegmentImage, request).segments.segments
    taught = srv.TeachCategory.Request(
        name="drill", stamp=segments.header.stamp, track_id=segments.segments[0].track_id
    )
    assert ovsr.client.call("/ovsr/teach", srv.TeachCategory, taught).success, "what was published is remembered"
    set_enabled(True)
    assert ovsr.label().vocabulary_version == 3


def test_statistics_say_it_in_a_number(active_node, ovsr, client, set_enabled):
    statistics = client.collect("/ovsr/statistics", DiagnosticArray)

    def is_paused(value):
        return statistics and read_statistics(statistics[-1])["stream"]["paused"] == value

    client.wait(lambda: is_paused(0.0), "the first numbers")
    set_enabled(False)
    client.wait(lambda: is_paused(1.0), "1 for paused")


def test_a_pause_outlives_the_lifecycle(start_node, ovsr, set_enabled):
    start_node(autostart=False)
    assert set_enabled(False) == f"{PAUSED}; but the node is unconfigured"
    for transition in ("configure", "activate"):
        assert ovsr.change_state(transition)
    ovsr.wait_until_active()
    header = ovsr.send(ovsr.image())
    ovsr.client.wait(lambda: ovsr.status_message("segmentation").startswith("paused: "), "diagnostics that say so")
    assert not ovsr.segments
    set_enabled(True)
    assert ovsr.result("/ovsr/segments", header)
    assert ovsr.change_state("deactivate")
    assert set_enabled(True) == f"{RUNNING}, as before; but the node is inactive"


def test_under_fire_nothing_comes_after_the_answer(active_node, ovsr, set_enabled):
    stop = threading.Event()

    def flow():
        while not stop.wait(0.01):
            ovsr.send(ovsr.image((48, 64)))

    ovsr.label()
    thread = threading.Thread(target=flow)
    thread.start()
    try:
        for _ in range(5):
            count = len(ovsr.segments)
            ovsr.client.wait(lambda count=count: len(ovsr.segments) > count, "frames")
            set_enabled(False)
            published = active_node._monitor.snapshot().num_frames
            received = active_node._worker.counts.received
            ovsr.client.wait(
                lambda received=received: active_node._worker.counts.received > received, "an image that arrives"
            )
            assert active_node._monitor.snapshot().num_frames <= published + 1, "at most one that was out already"
            set_enabled(True)
    finally:
        stop.set()
        thread.join()


def test_each_camera_pauses_alone(start_node, ovsr, client, new_ovsr):
    other = start_node(arguments=["-r", "__ns:=/rear", "-r", "image:=/rear/image"])
    start_node()
    ovsr.wait_until_active()
    client.wait(lambda: other._state == "active", "the other node")
    answer = client.call("/rear/ovsr/set_enabled", SetBool, SetBool.Request(data=False))
    assert answer.message == PAUSED
    assert ovsr.label().segments
    assert ovsr.diagnostic("segmentation", "paused") == "false"
