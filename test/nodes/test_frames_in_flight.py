"""Two images in work at once: what needs no other image runs side by side, results come in order, nothing is mixed."""

from __future__ import annotations

import os
import threading
import time

import pytest

IMAGES = 24
TIMEOUT_S = 10.0


class Meeting:
    """Lets the first images into `find` only once as many as expected are there; the work is the pipeline's."""

    def __init__(self, pipeline, expected):
        self.threads = set()
        self.most_at_once = 0
        self._at_once = 0
        self._expected = expected
        self._condition = threading.Condition()
        self._find = pipeline.find
        pipeline.find = self

    def __call__(self, image, reduction, ignored=None):
        with self._condition:
            self.threads.add(threading.get_ident())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._condition.notify_all()
            self._condition.wait_for(lambda: self.most_at_once >= self._expected, TIMEOUT_S)
        try:
            return self._find(image, reduction, ignored)
        finally:
            with self._condition:
                self._at_once -= 1


def send_stream(ovsr, count=IMAGES):
    """Send different images, 50 a second, until the last is labelled; their headers."""
    headers = []
    for number in range(count):
        headers.append(ovsr.send(ovsr.image(seed=number)))
        time.sleep(0.02)
    ovsr.result("/ovsr/segments", headers[-1])
    return headers


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_as_many_images_as_asked_for_are_in_work_and_results_come_in_their_order(start_node, ovsr, in_flight):
    node = start_node(frames_in_flight=in_flight, rate_hz=100.0)
    ovsr.wait_until_active()
    assert node.segmenter.models.frames_in_flight == in_flight
    ovsr.label()
    meeting = Meeting(node.segmenter.pipeline, in_flight)
    headers = send_stream(ovsr)

    stamps = [segments.header.stamp.sec for segments in ovsr.segments]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] == headers[-1].stamp.sec
    assert meeting.most_at_once == in_flight
    assert len(meeting.threads) == in_flight
    track_ids = [segment.track_id for segments in ovsr.segments for segment in segments.segments]
    assert track_ids
    assert all(track_ids)


def test_an_image_that_cannot_be_used_holds_up_none_after_it(start_node, ovsr, client):
    node = start_node(frames_in_flight=2, rate_hz=100.0)
    ovsr.wait_until_active()
    ovsr.label()
    for number in range(6):
        bad = ovsr.image(seed=number)
        bad.encoding = "rgb99"
        ovsr.send(bad)
        client.wait(lambda number=number: node._worker.counts.failed == number + 1, "the image's refusal")
        last = ovsr.send(ovsr.image(seed=number))
    ovsr.result("/ovsr/segments", last)
    assert ovsr.errors("rgb99")


def test_left_alone_it_is_two_where_there_are_cores_for_two(active_node):
    segmenter = active_node.segmenter
    assert segmenter.pipeline.device.type == "cpu"
    assert segmenter.models.frames_in_flight == (2 if len(os.sched_getaffinity(0)) > 1 else 1)
