"""One node that browsers look at: what is subscribed to, and what of it is kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterEvent
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos import QoSProfile, qos_profile_parameter_events
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from ovsr_ros import msg
from ovsr_ros.console.drawn import to_jpeg
from ovsr_ros.console.frames import Newest, Picture, pack, to_runs
from ovsr_ros.console.heard_parameters import HeardParameters
from ovsr_ros.console.link import OVERLAY, PLAIN
from ovsr_ros.console.state import FrameSegments, NodeRecord
from ovsr_ros.errors import ImageError
from ovsr_ros.messages.images import decode_compressed, to_label_array
from ovsr_ros.messages.stamps import read_stamp_ns
from ovsr_ros.nodes.console.reading import to_frame, to_health, to_set_parameters, to_speed, to_vocabulary
from ovsr_ros.nodes.console.teaching import to_examples
from ovsr_ros.nodes.conversions.images import to_rgb_array
from ovsr_ros.nodes.conversions.stamps import to_ns
from ovsr_ros.nodes.qos import latched_qos, match_publishers, output_qos
from ovsr_ros.vocabulary.category import Vocabulary

if TYPE_CHECKING:
    from rclpy.node import Node

_SEGMENTS_PERIOD_S = 0.4
_KEPT_MESSAGES = 24
_KEPT_IMAGE_BYTES = 64 * 2**20
_PICK_S = 20.0


class WatchedNode:
    """What is heard of one node. `reconcile`, called by one thread, subscribes to what is wanted, and to no more.

    The segments are read two or three times a second, however often they come; of pictures, what nobody asks for is
    not read at all.
    """

    def __init__(self, node: Node, name: str, on_vocabulary: Callable[[str, Vocabulary, Vocabulary], None]) -> None:
        self.record = NodeRecord(name)
        self.parameters = HeardParameters()
        self.pictures = {OVERLAY: Newest(), PLAIN: Newest()}
        self._node = node
        self._name = name
        self._on_vocabulary = on_vocabulary
        self._group = MutuallyExclusiveCallbackGroup()
        self._subscriptions: dict[str, tuple[str, Any]] = {}
        self._changed = threading.Condition()
        self._num_watching = 0
        self._num_looking = {OVERLAY: 0, PLAIN: 0}
        self._map_until = self._image_until = 0.0
        self._segments: deque[tuple[int, bytes]] = deque(maxlen=_KEPT_MESSAGES)
        self._maps: deque[tuple[int, bytes]] = deque(maxlen=4)
        self._images: deque[tuple[int, bytes, bool]] = deque()
        self._next_segments = 0.0
        self._camera: tuple[str, bool] | None = None

    # --- Wishes, from any thread ---

    def watch(self, step: int) -> None:
        """step: 1 for one more who watches, -1 for one less."""
        with self._changed:
            self._num_watching += step

    def look(self, kind: str, step: int) -> None:
        """As `watch`, for pictures of a kind."""
        with self._changed:
            self._num_looking[kind] += step

    @property
    def is_wanted(self) -> bool:
        """Whether anybody watches, or looks at pictures."""
        return self._num_watching > 0 or any(self._num_looking.values())

    def wait_for_map(self, stamp_ns: int, timeout_s: float) -> tuple[int, Any, FrameSegments] | None:
        """The map of segments, (H, W) uint16, of the frame of that stamp or the next one that comes, and its segments.

        None where none came in time.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._map_until = time.monotonic() + _PICK_S
            while True:
                found = self._find_frame(stamp_ns)
                left = deadline - time.monotonic()
                if found is not None or left <= 0:
                    break
                self._changed.wait(left)
        if found is None:
            return None
        stamp, packed_map, packed_segments = found
        frame = to_frame(deserialize_message(packed_segments, msg.SegmentArray))
        return stamp, to_label_array(deserialize_message(packed_map, Image)), frame

    def wait_for_image(self, timeout_s: float) -> tuple[int, Any] | None:
        """The camera's next image, (H, W, 3) uint8 RGB, and its stamp; None where none came in time.

        Raises ImageError where it cannot be read.
        """
        begin = time.monotonic()
        with self._changed:
            self._image_until = begin + timeout_s
            self._images.clear()
            while not self._images and time.monotonic() < begin + timeout_s:
                self._changed.wait(begin + timeout_s - time.monotonic())
            if not self._images:
                return None
            stamp, data, is_compressed = self._images[-1]
        return stamp, _to_rgb(data, is_compressed)

    @property
    def camera(self) -> str:
        """The topic of the camera's images as far as it is known, else empty."""
        return self._camera[0] if self._camera else ""

    # --- What is subscribed to, from one thread ---

    def reconcile(self) -> None:
        """Subscribe to what is wanted now, and to nothing else."""
        now = time.monotonic()
        with self._changed:
            watching, looking = self._num_watching > 0, dict(self._num_looking)
            maps = looking[PLAIN] > 0 or now < self._map_until
            images = looking[PLAIN] > 0 or now < self._image_until
        name = self._name
        seen = watching and "vocabulary" in self._subscriptions
        if watching != seen:
            self.record.set_watched(watching)
        any_looking = any(looking.values())
        self._want(
            "vocabulary", watching, msg.Vocabulary, f"{name}/vocabulary", self._on_vocabulary_message, latched_qos()
        )
        # The node's health says where its images come from.
        self._want(
            "diagnostics",
            watching or images,
            DiagnosticArray,
            "/diagnostics",
            self._on_diagnostics,
            QoSProfile(depth=10),
        )
        self._want(
            "statistics", watching, DiagnosticArray, f"{name}/statistics", self._on_statistics, QoSProfile(depth=10)
        )
        events = qos_profile_parameter_events
        self._want("parameters", watching, ParameterEvent, "/parameter_events", self._on_parameter_event, events)
        self._want(
            "segments", any_looking or maps, msg.SegmentArray, f"{name}/segments", self._on_segments, output_qos(), True
        )
        self._want(
            "overlay",
            looking[OVERLAY] > 0,
            CompressedImage,
            f"{name}/overlay/compressed",
            self._on_overlay,
            output_qos(),
        )
        self._want("maps", maps, Image, f"{name}/segment_map", self._on_map, output_qos(), True)
        self._reconcile_camera(images)

    def close(self) -> None:
        """End every subscription."""
        for key in list(self._subscriptions):
            self._end(key)

    def set_present(self, is_present: bool) -> None:
        """Whether the node is on the network."""
        self.record.set_present(is_present)
        if not is_present:
            for newest in self.pictures.values():
                newest.clear()

    def _want(
        self,
        key: str,
        wanted: bool,
        type: Any,
        topic: str,
        callback: Callable[[Any], None],
        qos: Any,
        raw: bool = False,
    ) -> None:
        if key in self._subscriptions and (not wanted or self._subscriptions[key][0] != topic):
            self._end(key)
        if wanted and key not in self._subscriptions:
            subscription = self._node.create_subscription(
                type, topic, callback, qos, callback_group=self._group, raw=raw
            )
            self._subscriptions[key] = (topic, subscription)

    def _end(self, key: str) -> None:
        _, subscription = self._subscriptions.pop(key)
        self._node.destroy_subscription(subscription)
        with self._changed:
            if key == "maps":
                self._maps.clear()
            elif key == "segments":
                self._segments.clear()
            elif key == "images":
                self._images.clear()

    def _reconcile_camera(self, wanted: bool) -> None:
        health = self.record.snapshot().find_health("image input")
        topic = health.value("topic").partition(" ")[0] if health else ""  # its quality of service follows
        publishers = self._node.get_publishers_info_by_topic(topic) if wanted and topic else []
        types = {info.topic_type for info in publishers}
        is_compressed = "sensor_msgs/msg/CompressedImage" in types
        if not publishers:
            self._want("images", wanted and "images" in self._subscriptions, Image, self.camera, self._on_image, 1)
            return
        self._camera = (topic, is_compressed)
        qos = match_publishers([info.qos_profile for info in publishers])
        qos.depth = 5
        self._want("images", wanted, CompressedImage if is_compressed else Image, topic, self._on_image, qos, True)

    # --- What comes ---

    def _on_vocabulary_message(self, message: msg.Vocabulary) -> None:
        vocabulary = to_vocabulary(message)
        before = self.record.set_vocabulary(vocabulary, to_examples(message))
        self._on_vocabulary(self._name, before, vocabulary)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        health = to_health(message, self._name)
        if health:
            self.record.set_health(health)

    def _on_statistics(self, message: DiagnosticArray) -> None:
        self.record.set_speed(to_speed(message, self._name))

    def _on_parameter_event(self, event: ParameterEvent) -> None:
        values = to_set_parameters(event, self._name)
        if values:
            self.parameters.put(values)

    def _on_segments(self, data: bytes) -> None:
        stamp = read_stamp_ns(data)
        with self._changed:
            self._segments.append((stamp, data))
            self._changed.notify_all()
        self._put_plain(stamp)
        now = time.monotonic()
        if now >= self._next_segments:
            self._next_segments = now + _SEGMENTS_PERIOD_S
            self.record.set_segments(to_frame(deserialize_message(data, msg.SegmentArray)))

    def _on_overlay(self, message: CompressedImage) -> None:
        stamp_ns = to_ns(message.header.stamp)
        header: dict[str, object] = {"kind": OVERLAY, "stamp": str(stamp_ns)}
        self.pictures[OVERLAY].put(Picture(stamp_ns, pack(header, bytes(memoryview(message.data)))))

    def _on_map(self, data: bytes) -> None:
        stamp = read_stamp_ns(data)
        with self._changed:
            self._maps.append((stamp, data))
            self._changed.notify_all()
        self._put_plain(stamp)

    def _on_image(self, data: bytes) -> None:
        _, is_compressed = self._camera or ("", False)
        with self._changed:
            self._images.append((read_stamp_ns(data), data, is_compressed))
            while sum(len(each[1]) for each in self._images) > _KEPT_IMAGE_BYTES and len(self._images) > 1:
                self._images.popleft()
            self._changed.notify_all()

    def _put_plain(self, stamp: int) -> None:
        """Make the picture for browsers that draw themselves, once image, map and segments of a frame are there."""
        with self._changed:
            segments = next((data for when, data in self._segments if when == stamp), None)
            segment_map = next((data for when, data in self._maps if when == stamp), None)
            image = next((each for each in self._images if each[0] == stamp), None)
            if not self._num_looking[PLAIN] or segments is None or segment_map is None or image is None:
                return
            while self._images[0][0] != stamp:
                self._images.popleft()  # older ones are labelled, or never will be
        try:
            jpeg = as_jpeg(image[1], image[2])
        except ImageError:
            return  # the node says what is wrong with the camera's images
        ids = to_label_array(deserialize_message(segment_map, Image))
        frame = to_frame(deserialize_message(segments, msg.SegmentArray))
        header: dict[str, object] = {
            "kind": PLAIN,
            "stamp": str(stamp),
            "height": ids.shape[0],
            "width": ids.shape[1],
            "classes": [[each.id, each.class_id, each.label, round(each.score, 2)] for each in frame.segments],
        }
        self.pictures[PLAIN].put(Picture(stamp, pack(header, jpeg, to_runs(ids))))

    def _find_frame(self, stamp_ns: int) -> tuple[int, bytes, bytes] | None:
        segments = dict(self._segments)
        for stamp, data in self._maps:
            if stamp >= stamp_ns and stamp in segments:
                return stamp, data, segments[stamp]
        return None


def as_jpeg(data: bytes, is_compressed: bool) -> bytes:
    """A serialized image as a jpeg: as it came, where it is one. Raises ImageError where it cannot be read."""
    if is_compressed:
        content = bytes(memoryview(deserialize_message(data, CompressedImage).data))
        if content.startswith(b"\xff\xd8"):
            return content
    return to_jpeg(_to_rgb(data, is_compressed))


def _to_rgb(data: bytes, is_compressed: bool) -> Any:
    if is_compressed:
        return decode_compressed(deserialize_message(data, CompressedImage))
    return to_rgb_array(deserialize_message(data, Image))
