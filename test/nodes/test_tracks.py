"""Track ids as the node publishes them: kept in view and through a short occlusion, not given twice, switched off."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image

from ovsr_ros import srv
from ovsr_ros.demo.scenes import CATEGORIES, Scene
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.conversions.images import to_image_message

SIZE_WH = (320, 240)
PERIOD_NS = 10**8
SEED = 35


class Camera:
    """The demo's room, frame by frame, sent to a node; each call gives the tracks' ids by object."""

    def __init__(self, ovsr) -> None:
        self.ovsr = ovsr
        self.time_ns = 100 * 10**9
        self.scene = Scene(SEED, split="test")
        ovsr.client.collect("/ovsr/segment_map", Image)

    def show(self, number: int, hide: int | None = None, stamp_s: int | None = None):
        """Send a frame, an object covered by a card or not. Returns the segments and each object's most frequent id."""
        frame = self.scene.render(number * PERIOD_NS / 1e9, SIZE_WH)
        image = frame.image.copy()
        if hide is not None:
            rows, columns = np.nonzero(frame.instance_map == hide)
            top, left = max(rows.min() - 6, 0), max(columns.min() - 6, 0)
            image[top : rows.max() + 6, left : columns.max() + 6] = (20, 200, 30)
        self.time_ns = self.time_ns + PERIOD_NS if stamp_s is None else stamp_s * 10**9
        header = self.ovsr.new_header()
        header.stamp.sec, header.stamp.nanosec = divmod(self.time_ns, 10**9)
        self.ovsr.send(to_image_message(image, "rgb8", header))
        segments = self.ovsr.result("/ovsr/segments", header)
        segment_map = to_label_array(self.ovsr.result("/ovsr/segment_map", header))
        ids = np.array([0, *(segment.track_id for segment in segments.segments)])[segment_map]
        return segments, {
            int(instance): int(np.bincount(ids[frame.instance_map == instance]).argmax())
            for instance in np.unique(frame.instance_map)
            if (frame.instance_map == instance).sum() > 500
        }


def assert_kept(before: dict[int, int], after: dict[int, int]) -> None:
    both = before.keys() & after.keys()
    assert len(both) >= 4
    assert {instance: after[instance] for instance in both} == {instance: before[instance] for instance in both}


@pytest.fixture
def camera(start_node, ovsr):
    start_node(config="demo", categories=list(CATEGORIES), text__cache_directory="none")
    ovsr.wait_until_active()
    return Camera(ovsr)


def test_ids_stay_with_their_objects_as_long_as_the_stream_goes_on(camera, ovsr):
    segments, first = camera.show(0)
    given = {segment.track_id for segment in segments.segments}
    assert given == set(range(1, len(given) + 1))
    assert len(set(first.values())) >= 4
    for number in range(1, 8):
        assert_kept(first, camera.show(number)[1])

    hidden = max(
        (instance for instance in first if instance > 1),
        key=lambda instance: camera.scene.names[instance - 2].kind == "car",
    )
    for number in range(8, 13):
        camera.show(number, hide=hidden)
    ids = camera.show(13)[1]
    assert ids[hidden] == first[hidden], "after five frames behind a card"

    # Words change what a segment is called, not which one it is.
    assert ovsr.set_vocabulary(srv.SetVocabulary.Request.ADD, "sofa").success
    segments, ids = camera.show(14)
    assert segments.vocabulary_version == 2
    assert_kept(first, ids)

    # A call beside the stream has no tracks, and leaves those of the stream alone.
    request = srv.SegmentImage.Request(
        image=to_image_message(np.zeros((240, 320, 3), np.uint8), "rgb8", ovsr.new_header())
    )
    answer = ovsr.client.call("/ovsr/segment_image", srv.SegmentImage, request)
    assert answer.success
    assert {segment.track_id for segment in answer.segments.segments} == {0}
    assert_kept(ids, camera.show(15)[1])

    # A bag that loops: new ids, none of the old ones.
    before = set(ids.values())
    again = camera.show(0, stamp_s=50)[1]
    assert min(again.values()) > max(before)

    assert ovsr.set_parameters(tracking__enabled=False).successful
    assert {segment.track_id for segment in camera.show(1)[0].segments} == {0}
    assert ovsr.set_parameters(tracking__enabled=True).successful
    anew = camera.show(2)[1]
    assert min(anew.values()) > max(again.values())


def test_ids_are_not_given_twice_over_the_nodes_life(start_node, ovsr):
    start_node()
    ovsr.wait_until_active()
    seen: set[int] = set()
    for transitions in ((), ("deactivate", "activate"), ("deactivate", "cleanup", "configure", "activate")):
        for transition in transitions:
            assert ovsr.change_state(transition)
        ids = {segment.track_id for segment in ovsr.label().segments}
        assert 0 not in ids
        assert not ids & seen
        seen |= ids
