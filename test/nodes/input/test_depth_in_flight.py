"""Several images in work, recordings in a loop: each frame has its own depth, or honestly none, never another's."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ovsr_ros import msg
from ovsr_ros.nodes.conversions.images import to_image_message

SIZE_HW = (120, 160)
FRAMES = 50
PERIOD_S = 0.02


class Walls:
    """An RGB-D camera that looks at a wall; how far that is, is another distance in each frame."""

    def __init__(self, ovsr):
        self._ovsr = ovsr
        client = ovsr.client
        self._depths, self._infos, self._images = (
            client.publisher(f"/{topic}", message_type, 10)
            for topic, message_type in (("depth", Image), ("camera_info", CameraInfo), ("image", Image))
        )

    def send(self, stamp_s, distance_m, offset_ms=0.0, depth=True, frame_id="camera"):
        """The three messages of a frame; its header."""
        header, shifted = (Header(frame_id=frame_id, stamp=to_time(stamp_s + s)) for s in (0.0, offset_ms / 1e3))
        if depth:
            wall = np.full(SIZE_HW, distance_m, np.float32)
            self._depths.publish(to_image_message(wall, "32FC1", shifted))
        height, width = SIZE_HW
        k = [100.0, 0.0, width / 2, 0.0, 100.0, height / 2, 0.0, 0.0, 1.0]
        self._infos.publish(CameraInfo(header=header, height=height, width=width, k=k))
        image = self._ovsr.image(SIZE_HW, seed=round(stamp_s * 100))
        image.header = header
        self._images.publish(image)
        return header


def to_time(seconds):
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def key(header):
    return header.stamp.sec, header.stamp.nanosec


def distances(message):
    """How far the segments of a frame are, along the camera's axis; empty without depth."""
    return [segment.position.z for segment in message.segments if segment.depth_count]


@pytest.fixture
def start(start_node, ovsr):
    def start(**parameters):
        node = start_node(rate_hz=100.0, depth__queue=200, depth__wait_s=1.0, **parameters)
        ovsr.wait_until_active()
        walls = Walls(ovsr)
        ovsr.client.wait(lambda: node._listening.depth._info.is_subscribed, "the subscription of camera_info")
        return walls

    return start


@pytest.mark.parametrize("sync", ["exact", "approximate"])
@pytest.mark.parametrize("in_flight", [1, 2, 4])
def test_every_frame_has_its_own_depth(start, ovsr, in_flight, sync):
    walls = start(frames_in_flight=in_flight, depth__sync=sync)
    # 1 m + 1 cm per frame; halfway between two depth images none belongs to a frame, and that is told.
    sent = {}
    for number in range(FRAMES):
        distance = 1.0 + number / 100
        header = walls.send(100 + number * PERIOD_S, distance, offset_ms=1.0 if sync == "approximate" else 0.0)
        sent[key(header)] = distance
        time.sleep(PERIOD_S)
    ovsr.result("/ovsr/segments", header)

    with_depth = 0
    for message in ovsr.segments:
        found = distances(message)
        assert found == pytest.approx([sent[key(message.header)]] * len(found), abs=1e-3)
        with_depth += bool(found)
    assert with_depth >= len(ovsr.segments) / 2 > 0, "nearly every frame's depth was there before it"


@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_recording_in_a_loop_never_meets_the_depth_of_another_round(start, ovsr, in_flight):
    """Every round's stamps are the same; a round is shorter than what is kept, and some of its depth is lost."""
    walls = start(frames_in_flight=in_flight)
    per_round, rounds = 10, 6
    for number in range(rounds):
        for index in range(per_round):
            lost = number % 2 == 1 and index % 3 == 0
            header = walls.send(100 + index * PERIOD_S, 1.0 + number, depth=not lost, frame_id=str(number))
            time.sleep(PERIOD_S)
    ovsr.result("/ovsr/segments", header)

    rounds_with_depth = set()
    for message in ovsr.segments:
        number = int(message.header.frame_id)
        found = distances(message)
        assert found == pytest.approx([1.0 + number] * len(found), abs=1e-3)
        if found:
            rounds_with_depth.add(number)
    assert len(rounds_with_depth) > rounds / 2


def test_a_frame_whose_depth_is_missing_is_honestly_without(start, ovsr):
    walls = start(frames_in_flight=2)
    for stamp_s, distance_m in ((100.0, 1.0), (100.5, None), (101.0, 2.0)):
        header = walls.send(stamp_s, distance_m or 0.0, depth=distance_m is not None)
        message = ovsr.result("/ovsr/segments", header)
        assert message.segments
        if distance_m is None:
            assert not distances(message)
            assert all(math.isnan(segment.distance) for segment in message.segments)
        else:
            assert distances(message) == pytest.approx([distance_m] * len(message.segments), abs=1e-3)


def test_a_node_that_goes_to_rest_does_not_blame_the_depth_camera(start, ovsr, client):
    """Each time the last subscriber leaves, frames in work are still to have their depth, which nobody receives now."""
    walls = start(frames_in_flight=2)
    client.stop_collecting("/ovsr/label_map")
    ended = threading.Event()

    def stream():
        number = 0
        while not ended.wait(PERIOD_S):
            walls.send(100 + number * PERIOD_S, 1.0)
            number += 1

    camera = threading.Thread(target=stream)
    camera.start()
    try:
        for _ in range(4):
            segments = client.collect("/ovsr/segments", msg.SegmentArray)
            client.wait(lambda segments=segments: any(map(distances, segments)), "places of segments")
            client.stop_collecting("/ovsr/segments")
            client.wait(lambda: "resting" in ovsr.status_message("segmentation"), "the node to rest")
            seen = len(ovsr.diagnostics)
            client.wait(lambda seen=seen: len(ovsr.diagnostics) > seen + 1, "diagnostics that are news")
            status = ovsr.status("depth")
            assert status.level == DiagnosticStatus.OK, status.message
    finally:
        ended.set()
        camera.join()
    assert not [log.msg for log in ovsr.logs if "has sent nothing" in log.msg]
