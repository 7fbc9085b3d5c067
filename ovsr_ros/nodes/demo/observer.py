"""What the demo sees of camera and node: a client on the same topics as everybody else."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import Image

from ovsr_ros import msg, srv
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.names import name_key
from ovsr_ros.nodes.conversions.images import to_rgb_array
from ovsr_ros.nodes.conversions.stamps import to_ns
from ovsr_ros.nodes.qos import latched_qos
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.category import Operation

_KEPT_FRAMES = 64
_RATE_WINDOW = 20


@dataclass(frozen=True)
class LabelledFrame:
    """One labelled frame.

    latency_s: from the image's stamp to the arrival of its segments here.
    shares: of the labels in the frame, the share of the image's pixels, largest first.
    accuracy: share of right pixels among those whose true category is in the vocabulary; None without ground truth.
    recall: the same per true category, by name, for those that cover at least 1 % of the image.
    """

    number: int
    version: int
    latency_s: float
    shares: dict[str, float]
    accuracy: float | None
    recall: dict[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Labels in the frame, largest area first."""
        return tuple(self.shares)


class DemoObserver(Node):
    """Subscribes to the node's outputs and to the camera's ground truth, if it has any, and compares them by frames.

    ovsr: full name of the node, such as "/ovsr". camera: the camera's namespace.
    on_frame: called with each labelled frame; may be replaced.
    overlay: the newest overlay, (H, W, 3) uint8 RGB. diagnostics: what the node last said of its parts, by name.
    """

    def __init__(self, ovsr: str, camera: str, **node_arguments: Any) -> None:
        super().__init__("ovsr_demo", **node_arguments)
        self.on_frame: Callable[[LabelledFrame], None] = lambda frame: None
        self.vocabulary = msg.Vocabulary()
        self.overlay: NDArray[np.uint8] | None = None
        self.diagnostics: dict[str, str] = {}
        self.last_frame: LabelledFrame | None = None
        self._ovsr = ovsr
        self._names_by_id: dict[int, str] = {}
        self._true_names: list[str] = []
        self._truth: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._labels: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._times: deque[float] = deque(maxlen=_RATE_WINDOW)
        self._num_frames = 0
        qos = QoSProfile(depth=10)  # reliable; both parts of a frame must be here to compare them
        self.create_subscription(
            msg.Vocabulary, f"{camera}/ground_truth/vocabulary", self._on_true_names, latched_qos()
        )
        self.create_subscription(Image, f"{camera}/ground_truth/label_map", self._on_truth, qos)
        self.create_subscription(msg.Vocabulary, f"{ovsr}/vocabulary", self._on_vocabulary, latched_qos())
        self.create_subscription(Image, f"{ovsr}/label_map", self._on_labels, qos)
        self.create_subscription(msg.SegmentArray, f"{ovsr}/segments", self._on_segments, qos)
        self.create_subscription(Image, f"{ovsr}/overlay", self._on_overlay, qos)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._set_vocabulary: Any = self.create_client(srv.SetVocabulary, f"{ovsr}/set_vocabulary")

    @property
    def rate_hz(self) -> float:
        """Labelled frames per second, over the last 20."""
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-9)

    @property
    def largest_object(self) -> msg.Category | None:
        """The category of the vocabulary, neither wall nor floor, that covers most of the last image in truth."""
        if not self._truth or not self._true_names:
            return None
        counts = np.bincount(next(reversed(self._truth.values())).ravel(), minlength=len(self._true_names))
        known = {name_key(category.name): category for category in self.vocabulary.categories}
        for index in np.argsort(-counts):
            name = self._true_names[index]
            if counts[index] and name not in ("wall", "floor") and name_key(name) in known:
                return known[name_key(name)]
        return None

    def change_vocabulary(
        self, operation: Operation, category: msg.Category, done: Callable[[bool, str, int, float], None]
    ) -> None:
        """Ask the node to add or remove a category.

        done: called with success, message, version in force and the seconds that the answer took.
        """
        request = srv.SetVocabulary.Request(operation=int(operation), categories=[category])
        begin = time.monotonic()

        def answered(future: Future[Any]) -> None:
            answer: Any = future.result()
            done(answer.success, answer.message, answer.vocabulary.version, time.monotonic() - begin)

        self._set_vocabulary.call_async(request).add_done_callback(answered)

    def _on_true_names(self, message: msg.Vocabulary) -> None:
        self._true_names = [category.name for category in message.categories]

    def _on_vocabulary(self, message: msg.Vocabulary) -> None:
        self.vocabulary = message
        self._names_by_id.update({category.id: category.name for category in message.categories})

    def _on_truth(self, message: Image) -> None:
        _remember(self._truth, message)

    def _on_labels(self, message: Image) -> None:
        _remember(self._labels, message)

    def _on_overlay(self, message: Image) -> None:
        self.overlay = to_rgb_array(message)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        prefix = self._ovsr.lstrip("/") + ":"
        for status in message.status:
            if status.name.startswith(prefix):
                self.diagnostics[status.name] = status.message

    def _on_segments(self, message: msg.SegmentArray) -> None:
        self._num_frames += 1
        self._times.append(time.monotonic())
        stamp = message.header.stamp
        areas: dict[str, int] = {}
        for segment in message.segments:
            if segment.class_id != UNLABELED_ID:
                areas[segment.label] = areas.get(segment.label, 0) + segment.area_px
        num_pixels = max(1, message.width * message.height)
        accuracy, recall = self._compare((stamp.sec, stamp.nanosec))
        now = self.get_clock().now().nanoseconds
        frame = LabelledFrame(
            number=self._num_frames,
            version=message.vocabulary_version,
            latency_s=(now - to_ns(stamp)) / 1e9,
            shares={name: areas[name] / num_pixels for name in sorted(areas, key=lambda name: -areas[name])},
            accuracy=accuracy,
            recall=recall,
        )
        self.last_frame = frame
        self.on_frame(frame)

    def _compare(self, stamp: tuple[int, int]) -> tuple[float | None, dict[str, float]]:
        """Accuracy and recall per category of the frame with this stamp; None, {} where a part of it is missing."""
        labels, truth = self._labels.get(stamp), self._truth.get(stamp)
        if labels is None or truth is None or not self._true_names or labels.shape != truth.shape:
            return None, {}
        index_by_key = {name_key(name): index for index, name in enumerate(self._true_names)}
        to_truth = np.full(256, UNLABELED_ID, np.uint8)
        for id, name in self._names_by_id.items():
            to_truth[id] = index_by_key.get(name_key(name), UNLABELED_ID)
        present = {name_key(category.name) for category in self.vocabulary.categories}
        known = np.array([name_key(name) in present for name in self._true_names])
        right = to_truth[labels] == truth
        counted = known[truth]
        recall = {
            name: float(right[truth == index].mean())
            for index, name in enumerate(self._true_names)
            if (truth == index).mean() >= 0.01
        }
        return (float(right[counted].mean()) if counted.any() else None), recall


def _remember(frames: OrderedDict[tuple[int, int], NDArray[Any]], message: Image) -> None:
    stamp = message.header.stamp
    frames[(stamp.sec, stamp.nanosec)] = to_label_array(message)
    while len(frames) > _KEPT_FRAMES:
        frames.popitem(last=False)
