"""Images come and nearly none is labelled: said, with the reason and the remedy; everything usual is not."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from ovsr_ros.nodes.health.throughput import Throughput
from ovsr_ros.nodes.worker import WorkerCounts

WARN, OK = DiagnosticStatus.WARN, DiagnosticStatus.OK


def judge(seconds=10, rate_hz=10.0, **per_second):
    """What is said at the end of a number of seconds in which so much happens in each."""
    now = 1000.0
    watched = Throughput(lambda: now)
    text = ""
    for second in range(seconds + 1):
        now = 1000.0 + second
        counts = WorkerCounts(**{name: round(number * second) for name, number in per_second.items()})
        text = watched.judge(counts, rate_hz, "buy a faster one")
    return text


@pytest.mark.parametrize(
    "per_second",
    [
        {},
        {"received": 30, "processed": 10, "dropped": 20},
        {"received": 30, "rested": 30},  # nobody wants them
        {"received": 2, "rested": 1.5, "processed": 0.1},
        {"received": 20, "repeated": 10, "processed": 10},  # each image twice
        {"received": 30, "failed": 10, "dropped": 20},  # told elsewhere
        {"received": 30, "processed": 2, "dropped": 28},
    ],
)
def test_what_is_usual_is_not_said(per_second):
    assert judge(**per_second) == ""


def test_a_rate_far_below_the_camera_that_was_asked_for_is_no_fault():
    assert judge(received=60, processed=0.1, dropped=59.9, rate_hz=0.1) == ""


def test_stamps_that_stay_the_same_are_said():
    text = judge(received=10, repeated=9.9, processed=0.1)
    assert "99 of the last 100 images have the stamp of the image before" in text
    assert "header.stamp" in text


def test_frames_that_take_far_longer_than_the_rate_are_said():
    text = judge(received=30, processed=0.2, dropped=29.8)
    assert "2 of the 100 images that were due in the last 10 s are done" in text
    assert text.endswith("lower rate_hz, or buy a faster one")


def test_only_the_last_seconds_count_and_few_images_tell_nothing():
    assert judge(seconds=1, received=9, repeated=9) == ""
    assert judge(seconds=2, received=9, repeated=9) != ""


def test_a_camera_with_a_constant_stamp_is_warned_of(start_node, ovsr, client):
    node = start_node()
    ovsr.wait_until_active()
    image = ovsr.image()
    ovsr.label(image)
    for number in range(20):
        image.data[0] = number
        ovsr.send(image)
        client.wait(lambda number=number: node._worker.counts.received > number + 1, "the image to arrive")
    client.wait(lambda: "have the stamp of the image before" in ovsr.status_message("segmentation"), "the warning")
    assert ovsr.status("segmentation").level == WARN
    client.wait(lambda: [log for log in ovsr.logs if "have the stamp of the image before" in log.msg], "it in the log")


def test_two_nodes_of_one_name_are_warned_of(start_node, ovsr, client):
    start_node(autostart=False)
    client.wait(lambda: ovsr.status_message("name") == "the only node called /ovsr", "the first to be alone")
    start_node(autostart=False)
    client.wait(lambda: "2 nodes are called /ovsr" in ovsr.status_message("name"), "the warning")
    assert ovsr.status("name").level == WARN
    assert "__node:=NAME" in ovsr.status_message("name")
    client.wait(lambda: [log for log in ovsr.logs if "2 nodes are called /ovsr" in log.msg], "it in the log")


def test_publishers_that_come_later_are_told(start_node, ovsr, client):
    def told(text):
        return [
            log.msg for log in ovsr.logs if log.msg.startswith(("subscribed to /image", "/image; ")) and text in log.msg
        ]

    start_node()
    ovsr.wait_until_active()
    client.wait(lambda: told("publishers: 0"), "the subscription without a publisher")
    ovsr.send(ovsr.image())
    client.wait(lambda: told("publishers: 1 (/test_client (sensor_msgs/msg/Image, reliable, volatile))"), "the camera")
    client.remove_publisher("/image")
    client.wait(lambda: len(told("publishers: 0")) > 1, "the camera's end")
