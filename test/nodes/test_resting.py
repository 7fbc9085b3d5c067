"""Without subscribers nothing is inferred; with the first one, work begins at once."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CompressedImage, Image

from ovsr_ros import msg, srv
from ovsr_ros.nodes import node as node_module

RESTING = "no subscribers: resting"
PER_FRAME = {
    "/ovsr/label_map": Image,
    "/ovsr/confidence": Image,
    "/ovsr/segment_map": Image,
    "/ovsr/segments": msg.SegmentArray,
    "/ovsr/overlay": Image,
    "/ovsr/overlay/compressed": CompressedImage,
    "/ovsr/segment_embeddings": msg.SegmentEmbeddings,
}


@pytest.fixture
def ovsr(client, new_ovsr):
    """Subscribes to no results."""
    return new_ovsr(client, subscribe=False)


@pytest.fixture
def resting_node(start_node, ovsr):
    node = start_node()
    wait_until_resting(ovsr)
    return node


def wait_until_resting(ovsr):
    ovsr.client.wait(lambda: ovsr.status_message("segmentation") == RESTING, "the node to rest")


def processed(ovsr):
    """The number of frames processed, as the next diagnostics say."""
    count = len(ovsr.diagnostics)
    ovsr.client.wait(lambda: len(ovsr.diagnostics) > count + 1, "diagnostics that are news")
    return int(ovsr.diagnostic("segmentation", "processed"))


def test_nothing_is_inferred_without_subscribers_and_diagnostics_say_so(resting_node, ovsr):
    for number in range(1, 6):
        ovsr.send(ovsr.image())
        ovsr.client.wait(lambda number=number: resting_node._worker.counts.received == number, "the image to arrive")
    assert processed(ovsr) == 0
    status = ovsr.status("segmentation")
    assert (status.level, status.message) == (DiagnosticStatus.OK, RESTING)
    assert ovsr.diagnostic("image input", "not processed, at rest") == "4", "the newest is kept"
    assert ovsr.diagnostic("image input", "dropped for a newer one") == "0"


def test_each_output_of_a_frame_alone_ends_the_rest_and_leaving_it_begins_it_anew(resting_node, ovsr, client):
    for topic, message_type in PER_FRAME.items():
        outputs = client.collect(topic, message_type)
        client.wait(resting_node.segmenter.has_subscribers, f"the subscription of {topic}")
        ovsr.result(topic, ovsr.send(ovsr.image()))
        assert outputs, topic
        client.stop_collecting(topic)
        client.wait(lambda: not resting_node.segmenter.has_subscribers(), f"the end of the subscription of {topic}")
    wait_until_resting(ovsr)
    count = processed(ovsr)
    ovsr.send(ovsr.image())
    assert processed(ovsr) == count


def test_a_new_subscriber_does_not_wait_for_the_timer(start_node, ovsr, client):
    node = start_node(rate_hz=0.1)
    wait_until_resting(ovsr)
    client.publisher("/image", Image, 10)
    deadline = time.monotonic() + 15.0
    while not node._worker.is_resting:
        assert time.monotonic() < deadline, "the timer's first tick"
        time.sleep(0.05)
    client.collect("/ovsr/segments", msg.SegmentArray)
    client.wait(node.segmenter.has_subscribers, "the subscription")
    assert ovsr.result("/ovsr/segments", ovsr.send(ovsr.image()), timeout_s=5.0).segments


def test_the_image_kept_while_resting_is_labelled_for_who_comes_later(resting_node, ovsr, client):
    ovsr.send(ovsr.image())
    header = ovsr.send(ovsr.image())
    segments = client.collect("/ovsr/segments", msg.SegmentArray)
    ovsr.result("/ovsr/segments", header)
    assert len(segments) == 1


def test_always_process_is_live(resting_node, ovsr, client):
    assert ovsr.describe_parameter("always_process").description
    assert ovsr.set_parameters(always_process=True).successful
    ovsr.send(ovsr.image())
    client.wait(lambda: ovsr.diagnostic("segmentation", "processed") == "1", "a frame without subscribers")
    assert ovsr.status_message("segmentation") != RESTING
    assert ovsr.set_parameters(always_process=False).successful
    wait_until_resting(ovsr)
    ovsr.send(ovsr.image())
    assert processed(ovsr) == 1


def test_a_resting_node_samples_its_camera_and_knows_its_rate(resting_node, ovsr, client):
    rate_hz, sent, stop = 20.0, [], threading.Event()

    def flow():
        while not stop.wait(1.0 / rate_hz):
            sent.append(ovsr.send(ovsr.image((48, 64))))

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        client.wait(lambda: resting_node._monitor.snapshot().input_rate_hz > 0, "a rate")
        time.sleep(4.0)
        statistics, received = resting_node._monitor.snapshot(), resting_node._worker.counts.received
        assert received < len(sent) / 3, "most images are passed over"
        assert rate_hz / 3 < statistics.input_rate_hz < 3 * rate_hz, "the camera's rate, not that of the samples"
        segments = client.collect("/ovsr/segments", msg.SegmentArray)
        client.wait(lambda: segments, "a result")
        first = segments[0].header
        assert [header == first for header in sent].index(True) > received, "a new image"
        time.sleep(1.0)
        count, number = len(sent), resting_node._worker.counts.received
        client.wait(lambda: len(sent) >= count + 20, "twenty images")
        assert resting_node._worker.counts.received > number + 10, "with a subscriber, every image is received"
    finally:
        stop.set()
        thread.join()


@contextmanager
def camera(ovsr, rate_hz=50.0):
    """Images sent from a thread."""
    stop = threading.Event()

    def flow():
        while not stop.wait(1.0 / rate_hz):
            ovsr.send(ovsr.image((48, 64)))

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def wait_for_frames(client, segments, number=5):
    """More than were in work, or kept, already."""
    count = len(segments)
    client.wait(lambda: len(segments) >= count + number, f"{number} more frames")


def test_who_subscribes_before_the_watch_has_looked_gets_every_frame(monkeypatch, start_node, ovsr, client):
    """The node has just gone to rest; that it still receives every image must not be taken for being at work."""
    monkeypatch.setattr(node_module, "_WATCH_PERIOD_S", 3.0)
    node = start_node()
    ovsr.wait_until_active()
    client.wait(lambda: node._worker.is_resting, "the timer's first tick")
    segments = client.collect("/ovsr/segments", msg.SegmentArray)
    client.wait(node.segmenter.has_subscribers, "the subscription")
    with camera(ovsr):
        wait_for_frames(client, segments)
        time.sleep(3.5)  # the watch looks
        wait_for_frames(client, segments)


def test_however_subscribers_come_and_go_who_stays_gets_every_frame(resting_node, ovsr, client):
    generator = random.Random(0)
    with camera(ovsr):
        for _ in range(25):
            for _ in range(3):
                client.collect("/ovsr/label_map", Image)
                time.sleep(generator.uniform(0.0, 0.05))
                client.stop_collecting("/ovsr/label_map")
                time.sleep(generator.uniform(0.0, 0.25))
            wait_for_frames(client, client.collect("/ovsr/segments", msg.SegmentArray))
            client.stop_collecting("/ovsr/segments")


def test_silence_is_told_while_resting(start_node, ovsr, client):
    start_node(image_timeout_s=0.5)
    wait_until_resting(ovsr)
    for _ in range(30):
        ovsr.send(ovsr.image((48, 64)))
        time.sleep(0.1)
    count = len([log for log in ovsr.logs if log.msg.startswith("no image")])
    assert not ovsr.status_message("image input").startswith("no image")
    client.wait(lambda: ovsr.status_message("image input").startswith("no image"), "the warning")
    for _ in range(25):
        ovsr.send(ovsr.image((48, 64)))
        time.sleep(0.1)
    assert not ovsr.status_message("image input").startswith("no image"), "the end of the warning"
    assert count <= 1, "before the first image"


def test_services_work_while_resting(resting_node, ovsr, client):
    answer = ovsr.set_vocabulary(srv.SetVocabulary.Request.REPLACE, "wall", "floor")
    assert answer.success, answer.message
    request = srv.SegmentImage.Request(image=ovsr.image())
    answer = client.call("/ovsr/segment_image", srv.SegmentImage, request)
    assert answer.success, answer.message
    assert {segment.label for segment in answer.segments.segments} <= {"wall", "floor"}
    assert processed(ovsr) == 0
