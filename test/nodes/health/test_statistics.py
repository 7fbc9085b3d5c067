"""~/statistics: numbers with units, over a window, that agree with each other."""

from __future__ import annotations

import math

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy

from ovsr_ros.nodes.health.monitor import StreamMonitor
from ovsr_ros.nodes.health.statistics import to_statistics
from ovsr_ros.nodes.worker import WorkerCounts

DURATION_KEYS = ["mean [ms]", "p50 [ms]", "p95 [ms]", "max [ms]"]
TOPIC = "/ovsr/statistics"


def to_values(array):
    """The numbers by status and key, in the message's order."""
    return {
        status.name.removeprefix("ovsr: "): {value.key: float(value.value) for value in status.values}
        for status in array.status
    }


def test_statistics_hold_what_was_measured():
    monitor = StreamMonitor(window_s=20.0)
    for latency_s in (0.1, 0.2, 0.3, 0.4, 1.0):
        monitor.frame_published(latency_s, 2 * latency_s, {"features": latency_s / 2}, 10, 2)
    counts = WorkerCounts(received=20, processed=5, dropped=12, rested=2, repeated=1)
    array = to_statistics("/ovsr", monitor.snapshot(), counts, WorkerCounts(received=9, dropped=4), "cpu")
    values = to_values(array)
    assert list(values) == ["stream", "latency", "age", "stage features"]
    assert values["latency"] == dict(zip(DURATION_KEYS, (400.0, 300.0, 880.0, 1000.0), strict=True))
    assert values["stage features"] == dict(zip(DURATION_KEYS, (200.0, 150.0, 440.0, 500.0), strict=True))
    stream = values["stream"]
    assert (stream["window [s]"], stream["frames in window"], stream["dropped in window"]) == (20.0, 5.0, 8.0)
    assert (stream["segments in window"], stream["embedded in window"]) == (50.0, 10.0)
    assert (stream["received"], stream["dropped"], stream["rested"], stream["repeated"]) == (20.0, 12.0, 2.0, 1.0)
    assert {status.hardware_id for status in array.status} == {"cpu"}


def test_before_the_first_frame_there_is_nothing_to_tell():
    values = to_values(to_statistics("/ovsr", StreamMonitor().snapshot(), WorkerCounts(), WorkerCounts(), "auto"))
    assert list(values) == ["stream", "latency", "age"]
    assert all(math.isnan(value) for value in values["latency"].values())
    assert values["stream"]["frames in window"] == 0
    assert values["stream"]["segments in window"] == 0


@pytest.fixture
def statistics(client):
    return client.collect(TOPIC, DiagnosticArray)


def test_the_running_nodes_stages_add_up_to_its_latency(active_node, ovsr, client, statistics):
    for _ in range(4):
        ovsr.label()
    client.wait(
        lambda: statistics and to_values(statistics[-1])["stream"]["frames in window"] == 4, "four frames in statistics"
    )
    values = to_values(statistics[-1])
    stages = {name.removeprefix("stage "): value for name, value in values.items() if name.startswith("stage ")}
    assert list(stages)[:2] == ["wait", "convert"]
    assert list(stages)[-1] == "publish"
    assert {"features", "clusters", "clip"} <= stages.keys()
    for name, durations in [("latency", values["latency"]), *stages.items()]:
        assert list(durations) == DURATION_KEYS, name
        assert 0 <= durations["p50 [ms]"] <= durations["p95 [ms]"] <= durations["max [ms]"], name
        assert 0 <= durations["mean [ms]"] <= durations["max [ms]"], name
    total = sum(stage["mean [ms]"] for stage in stages.values())
    latency = values["latency"]["mean [ms]"]
    assert 0.5 * latency <= total <= latency + 0.1, "what a frame takes is in one of its stages"
    assert statistics[-1].header.stamp.sec > 0
    (publisher,) = client.node.get_publishers_info_by_topic(TOPIC)
    assert publisher.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE
    assert publisher.qos_profile.durability == QoSDurabilityPolicy.VOLATILE


def test_the_window_is_a_live_parameter(active_node, ovsr, client, statistics):
    ovsr.label()
    client.wait(lambda: statistics and to_values(statistics[-1])["stream"]["frames in window"] == 1, "one frame")
    assert to_values(statistics[-1])["stream"]["window [s]"] == 10.0
    assert ovsr.set_parameters(statistics_window_s=1.0).successful
    client.wait(lambda: to_values(statistics[-1])["stream"]["frames in window"] == 0, "the frame to be too old")
    assert to_values(statistics[-1])["stream"]["window [s]"] == 1.0
    result = ovsr.set_parameters(statistics_window_s=0.5)
    assert not result.successful
    assert "statistics_window_s" in result.reason


def test_images_that_come_faster_than_they_are_taken_are_counted_as_dropped(start_node, ovsr, client, statistics):
    node = start_node(rate_hz=0.5)
    ovsr.wait_until_active()
    client.wait(node.segmenter.has_subscribers, "the node to see that its results are wanted")
    for count in range(1, 7):
        ovsr.send(ovsr.image())
        client.wait(lambda count=count: node._worker.counts.received == count, "the image to arrive")
    client.wait(lambda: to_values(statistics[-1])["stream"]["received"] == 6, "six images in statistics")
    stream = to_values(statistics[-1])["stream"]
    assert stream["dropped"] >= 3
    assert stream["dropped in window"] == stream["dropped"]
    assert stream["rested"] == 0
