"""Who takes all that a node publishes, compares each frame's outputs with each other, and plays the operator."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ovsr_ros.demo.scenes import CATEGORIES

PARAMETERS: tuple[dict[str, object], ...] = (
    {"score_threshold": 0.4},
    {"clusters.k_max": 16, "overlay_jpeg_quality": 60},
    {"rate_hz": 25.0},
    {"score_threshold": 0.3, "clusters.k_max": 24, "overlay_jpeg_quality": 85, "rate_hz": 30.0},
)
_UNLABELED = 255
_KEPT_FRAMES = 50
"""Frames whose outputs have not all come, or never will: these outputs are best effort."""
_KEPT_VERSIONS = 50


@dataclass
class Outputs:
    """Of one frame: classes and segment ids that stand in its maps, and what its segments say."""

    classes: set[int] | None = None
    segment_ids: set[int] | None = None
    segments: Any = None


def find_mixture(outputs: Outputs, vocabulary: Mapping[int, str]) -> str:
    """What contradicts itself in a frame's outputs, "" where nothing does. vocabulary: of its version, names by id."""
    told = {(segment.id, segment.class_id, segment.label) for segment in outputs.segments.segments}
    labels = {(class_id, label) for _, class_id, label in told if class_id != _UNLABELED}
    if outputs.classes != {class_id for class_id, _ in labels}:
        return f"classes {outputs.classes} in the label map, {labels} among the segments"
    if outputs.segment_ids != {id for id, _, _ in told}:
        return f"ids {outputs.segment_ids} in the segment map, {sorted(id for id, _, _ in told)} among the segments"
    strangers = {(class_id, label) for class_id, label in labels if vocabulary.get(class_id) != label}
    return f"{strangers} in none of its version's categories, {dict(vocabulary)}" if strangers else ""


class Frames:
    """Each frame's outputs, until all have come and its vocabulary is known; then they are compared, and forgotten.

    num_checked: frames that were compared. mixtures: what was wrong with some of them.
    """

    def __init__(self) -> None:
        self.num_checked = 0
        self.mixtures: list[str] = []
        self._frames: dict[tuple[int, int], Outputs] = {}
        self._whole: dict[tuple[int, int], Outputs] = {}  # whose vocabulary has not been taken yet
        self._names: dict[int, Mapping[int, str]] = {}  # by version

    def keep(self, stamp: tuple[int, int], **part: Any) -> None:
        """Take one output of a frame."""
        outputs = self._frames.setdefault(stamp, Outputs())
        for name, value in part.items():
            setattr(outputs, name, value)
        if outputs.segments is not None and None not in (outputs.classes, outputs.segment_ids):
            self._whole[stamp] = self._frames.pop(stamp)
            self._check()
        while len(self._frames) > _KEPT_FRAMES:
            del self._frames[next(iter(self._frames))]

    def learn(self, version: int, names: Mapping[int, str]) -> None:
        """Take a vocabulary. It is sent before the first frame of it, but the two come on different topics: who takes
        both may take the frame first."""
        self._names[version] = names
        while len(self._names) > _KEPT_VERSIONS:
            del self._names[next(iter(self._names))]
        self._check()

    def _check(self) -> None:
        for stamp, outputs in list(self._whole.items()):
            version = outputs.segments.vocabulary_version
            if version in self._names:
                problem = find_mixture(outputs, self._names[version])
            elif len(self._whole) > _KEPT_FRAMES:
                problem = f"version {version} has not come, and {_KEPT_FRAMES} frames have"
            else:
                continue
            del self._whole[stamp]
            self.num_checked += 1
            if problem:
                self.mixtures.append(f"frame {stamp}: {problem}")


class Observer:
    """Subscribes to everything that the node publishes, counts it, and plays the operator."""

    def __init__(self) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from rcl_interfaces.srv import SetParametersAtomically
        from rclpy.node import Node
        from sensor_msgs.msg import CompressedImage, Image

        from ovsr_ros import msg, srv
        from ovsr_ros.nodes.qos import latched_qos

        self.node = Node("soak")
        self.counts: Counter[str] = Counter()
        self.last_label_map = -math.inf
        self.statistics: list[dict[str, dict[str, float]]] = []
        self.answers: Counter[str] = Counter()
        self.answer_s: list[float] = []
        self.num_waiting = self.num_with_depth = 0
        self.frames = Frames()
        self._num_changes = 0
        for topic in ("confidence", "overlay"):
            self.node.create_subscription(Image, f"/ovsr/{topic}", self._counter(topic), 1)
        self.node.create_subscription(CompressedImage, "/ovsr/overlay/compressed", self._counter("jpeg"), 1)
        self.node.create_subscription(Image, "/ovsr/label_map", self._on_label_map, 5)
        self.node.create_subscription(Image, "/ovsr/segment_map", self._on_segment_map, 5)
        self.node.create_subscription(msg.SegmentArray, "/ovsr/segments", self._on_segments, 5)
        self.node.create_subscription(msg.Vocabulary, "/ovsr/vocabulary", self._on_vocabulary, latched_qos())
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._counter("diagnostics"), 10)
        self.node.create_subscription(DiagnosticArray, "/ovsr/statistics", self._on_statistics, 10)
        self._vocabulary: Any = self.node.create_client(srv.SetVocabulary, "/ovsr/set_vocabulary")
        self._parameters: Any = self.node.create_client(SetParametersAtomically, "/ovsr/set_parameters_atomically")

    def change_vocabulary(self) -> None:
        """Take a category out, and the next time put it back."""
        from ovsr_ros import msg, srv

        turn = self._num_changes
        operations = (srv.SetVocabulary.Request.REMOVE, srv.SetVocabulary.Request.ADD)
        request = srv.SetVocabulary.Request(operation=operations[turn % 2])
        word = CATEGORIES[0] if turn % 8 < 6 else CATEGORIES[1]
        request.categories = [msg.Category(name=word)]
        self._num_changes += 1
        self._ask("vocabulary changes", self._vocabulary, request, lambda answer: answer.success)

    def change_parameters(self) -> None:
        """Set the next of PARAMETERS."""
        from rcl_interfaces.srv import SetParametersAtomically
        from rclpy.parameter import Parameter

        values = PARAMETERS[self.answers["parameter changes, asked"] % len(PARAMETERS)]
        request = SetParametersAtomically.Request()
        request.parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        self._ask("parameter changes", self._parameters, request, lambda answer: answer.result.successful)

    def _ask(self, what: str, client: Any, request: Any, succeeded: Callable[[Any], bool]) -> None:
        begin = time.monotonic()
        self.answers[f"{what}, asked"] += 1
        self.num_waiting += 1

        def on_answer(future: Any) -> None:
            self.num_waiting -= 1
            self.answer_s.append(time.monotonic() - begin)
            self.answers[f"{what}, done" if succeeded(future.result()) else f"{what}, refused"] += 1

        client.call_async(request).add_done_callback(on_answer)

    def _counter(self, topic: str) -> Callable[[Any], None]:
        def count(_: Any) -> None:
            self.counts[topic] += 1

        return count

    def _on_label_map(self, message: Any) -> None:
        self.counts["label_map"] += 1
        self.last_label_map = time.monotonic()
        self._keep(message, classes=_values_of(message, np.uint8) - {_UNLABELED})

    def _on_segment_map(self, message: Any) -> None:
        self.counts["segment_map"] += 1
        self._keep(message, segment_ids=_values_of(message, np.uint16) - {0})

    def _on_segments(self, message: Any) -> None:
        self.counts["segments"] += 1
        self.num_with_depth += any(math.isfinite(segment.distance) for segment in message.segments)
        self._keep(message, segments=message)

    def _on_vocabulary(self, message: Any) -> None:
        self.counts["vocabulary"] += 1
        self.frames.learn(message.version, {category.id: category.name for category in message.categories})

    def _on_statistics(self, array: Any) -> None:
        from ovsr_ros.nodes.health.statistics import read_statistics

        self.statistics.append(read_statistics(array))

    def _keep(self, message: Any, **part: Any) -> None:
        self.frames.keep((message.header.stamp.sec, message.header.stamp.nanosec), **part)


def _values_of(message: Any, dtype: type[np.unsignedinteger[Any]]) -> set[int]:
    counts = np.bincount(np.frombuffer(message.data, dtype))
    return set(np.flatnonzero(counts).tolist())
