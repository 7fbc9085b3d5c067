"""A loaded pipeline at work: frames in, outputs out, vocabulary changes between two frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage

from ovsr_ros.backends import Frame
from ovsr_ros.errors import OvsrError
from ovsr_ros.nodes.conversions import decode_compressed, to_rgb_array
from ovsr_ros.nodes.image_source import ImageMessage
from ovsr_ros.nodes.monitor import StreamMonitor
from ovsr_ros.nodes.out_of_memory import OutOfMemory, enlarge, free_device_memory, halve
from ovsr_ros.nodes.outputs import Outputs
from ovsr_ros.pipeline import Pipeline, PreparedVocabulary
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary import CategoryRequest, Operation, Vocabulary

if TYPE_CHECKING:
    from rclpy.node import Node


@dataclass(frozen=True)
class LabelledImage:
    """A segmentation with the vocabulary that labelled it."""

    segmentation: Segmentation
    vocabulary: Vocabulary


class Segmenter:
    """Embeds frames outside of any lock; labels, publishes and changes the vocabulary under one lock.

    So a frame is labelled by exactly one vocabulary, and once `change_vocabulary` has returned, whatever is published
    is labelled by the new one.
    """

    def __init__(self, node: Node, pipeline: Pipeline, outputs: Outputs, monitor: StreamMonitor) -> None:
        self.pipeline = pipeline
        self._node = node
        self._outputs = outputs
        self._monitor = monitor
        self._vocabulary = pipeline.vocabulary
        self._publishing = False
        self._frame_lock = threading.Lock()
        # The models serve one image at a time: two at once would need twice the memory and be no faster.
        self._embed_lock = threading.Lock()

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary in force; after `close`, the last one."""
        return self._vocabulary

    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to what is published of a frame."""
        return self._outputs.has_subscribers()

    def start(self) -> None:
        """Let frames be published."""
        with self._frame_lock:
            self._publishing = True

    def stop(self) -> None:
        """After this returns, no frame is published, though one may still be in work."""
        with self._frame_lock:
            self._publishing = False

    def process(self, message: ImageMessage, arrival: float) -> None:
        """Segment one image message and publish the outputs under its header.

        arrival: monotonic time at which the message came in.

        Raises ImageError for a message that is no usable image, and whatever the pipeline raises.
        """
        begin = time.monotonic()
        image = decode_compressed(message) if isinstance(message, CompressedImage) else to_rgb_array(message)
        converted = time.monotonic()
        frame = self._embed(image)
        with self._frame_lock:
            if not self._publishing:
                return
            labelled = self._label(frame, image.shape[:2], None)
            segmentation = labelled.segmentation
            labelled_at = time.monotonic()
            self._outputs.publish_frame(image, segmentation, labelled.vocabulary, message.header)
        published = time.monotonic()
        stages = {
            "wait": begin - arrival,
            "convert": converted - begin,
            **segmentation.stage_seconds,
            "publish": published - labelled_at,
        }
        now = self._node.get_clock().now()
        age_s = (now - Time.from_msg(message.header.stamp, clock_type=now.clock_type)).nanoseconds / 1e9
        self._monitor.frame_published(published - arrival, age_s, stages)

    def change_vocabulary(
        self, operation: Operation, requests: Sequence[CategoryRequest], before_commit: Callable[[], None] | None = None
    ) -> Vocabulary:
        """Change the vocabulary whole or not at all, and publish it before any frame that it labels.

        before_commit: called once the change is known to be possible; what it raises prevents the change.

        Raises VocabularyError with every reason against the change. Calls must not overlap: of two changes prepared
        from one vocabulary, the later is refused.
        """
        prepared = self.pipeline.prepare_vocabulary(operation, requests)
        if before_commit is not None:
            before_commit()
        with self._frame_lock:
            self._vocabulary = self.pipeline.commit_vocabulary(prepared)
            self._outputs.publish_vocabulary(self._vocabulary)
            return self._vocabulary

    def segment_once(self, image: NDArray[np.uint8], requests: Sequence[CategoryRequest]) -> LabelledImage:
        """Segment an image beside the stream, by categories of its own or (none given) by those in force.

        image: (H, W, 3) uint8 RGB.

        Raises ImageError, and VocabularyError when the categories cannot be used.
        """
        one_off = self.pipeline.classifier_for(requests) if requests else None
        frame = self._embed(image)
        with self._frame_lock:
            return self._label(frame, image.shape[:2], one_off)

    def close(self) -> None:
        """Free the models and take the topics back."""
        with self._embed_lock, self._frame_lock:
            self._publishing = False
            self._outputs.close()
            self.pipeline.close()

    def _embed(self, image: NDArray[np.uint8]) -> Frame:
        with self._embed_lock:
            try:
                return self.pipeline.embed(image)
            except OutOfMemory as error:
                reason = str(error)
            # Outside the except clause: until it ends, the exception keeps the failed call's tensors alive.
            free_device_memory()
            self._node.get_logger().warning(f"{reason}; trying once more at half the size", throttle_duration_sec=10.0)
            try:
                return self.pipeline.embed(halve(image))
            except OutOfMemory as error:
                reason = str(error)
            free_device_memory()
        is_trident = self.pipeline.options.backend == "trident"
        size = "trident.windows.memory_mb" if is_trident else "features.input_short_side"
        raise OvsrError(f"{reason}; at half the size as well: lower {size}, free the device, or use device:=cpu")

    def _label(self, frame: Frame, size_hw: tuple[int, int], one_off: PreparedVocabulary | None) -> LabelledImage:
        segmentation = self.pipeline.label(frame, one_off)
        if segmentation.label_map.shape != size_hw:
            segmentation = enlarge(segmentation, size_hw)
        return LabelledImage(segmentation, self._vocabulary if one_off is None else one_off.vocabulary)
