"""The node's output topics of one frame."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from ovsr_ros import drawing, msg
from ovsr_ros.nodes.conversions.embeddings import to_segment_embeddings
from ovsr_ros.nodes.conversions.images import to_image_message, to_jpeg_message
from ovsr_ros.nodes.conversions.labeled_points import to_labeled_points
from ovsr_ros.nodes.conversions.markers import to_markers
from ovsr_ros.nodes.conversions.messages import to_segment_array, to_vocabulary_message
from ovsr_ros.nodes.detections import DetectionTopics
from ovsr_ros.nodes.label_info import LabelInfoTopic
from ovsr_ros.nodes.labelled_frame import LabelledFrame
from ovsr_ros.nodes.publishers import explain_unserved, offer
from ovsr_ros.nodes.qos import latched_qos, output_qos
from ovsr_ros.pipeline import State

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.qos import QoSProfile


class Outputs:
    """Publishers of a frame's topics (label_map to labeled_points) and of its vocabulary, all under the node's name.

    jpeg_quality: asked before each overlay is compressed; 1 to 100. has_embeddings: whether frames come with those of
        their segments; otherwise there is no topic for them.
    """

    def __init__(self, node: Node, jpeg_quality: Callable[[], int], has_embeddings: bool = True) -> None:
        self._node = node
        self._jpeg_quality = jpeg_quality
        qos = output_qos()
        # A group keeps a trace of each entity that was ever in it, and the node's own group outlives these publishers.
        group = MutuallyExclusiveCallbackGroup()

        def create(message_type: Any, topic: str, qos: QoSProfile = qos) -> Any:
            return offer(node, message_type, f"~/{topic}", qos, group)

        self._label_map = create(Image, "label_map")
        self._confidence = create(Image, "confidence")
        self._segment_map = create(Image, "segment_map")
        self._segments = create(msg.SegmentArray, "segments")
        self._overlay = create(Image, "overlay")
        self._compressed_overlay = create(CompressedImage, "overlay/compressed")
        self._labeled_points = create(PointCloud2, "labeled_points")
        self._markers = create(MarkerArray, "markers")
        self._detections = DetectionTopics(node, group)
        self._embeddings = create(msg.SegmentEmbeddings, "segment_embeddings") if has_embeddings else None
        self._per_frame: tuple[Any, ...] = (
            self._label_map,
            self._confidence,
            self._segment_map,
            self._segments,
            self._overlay,
            self._compressed_overlay,
            self._labeled_points,
            self._markers,
            *self._detections.flat,
            *self._detections.spatial,
            *([] if self._embeddings is None else [self._embeddings]),
        )
        self._vocabulary = create(msg.Vocabulary, "vocabulary", latched_qos())
        self._label_info = LabelInfoTopic(node, group)
        # Who asks for subscribers does so from other threads than the one that closes.
        self._open_lock = threading.Lock()
        self._open = True

    def announce(self, before: State, state: State) -> None:
        """Make known in what a state differs from the one before, also to those who subscribe later."""
        stamp = self._node.get_clock().now().to_msg()
        has_words = state.vocabulary is not before.vocabulary
        if has_words:
            self._vocabulary.publish(to_vocabulary_message(state.vocabulary, stamp, state.example_model_id))
        if has_words or state.options.score_threshold != before.options.score_threshold:
            self._label_info.publish(state.vocabulary, state.options.score_threshold, stamp)

    def publish_frame(self, frame: LabelledFrame) -> None:
        """Publish those of a frame's outputs that somebody subscribes to."""
        segmentation, header = frame.segmentation, frame.header
        self._publish_image(self._label_map, segmentation.label_map, "mono8", header)
        self._publish_image(self._confidence, segmentation.confidence, "mono8", header)
        self._publish_image(self._segment_map, segmentation.segment_map, "mono16", header)
        if self._segments.get_subscription_count():
            self._segments.publish(to_segment_array(segmentation, frame.vocabulary, header, frame.locations))
        if self._embeddings is not None and frame.embeddings is not None and self._embeddings.get_subscription_count():
            segments = segmentation.segments
            self._embeddings.publish(to_segment_embeddings(segments, frame.embeddings, frame.model_id, header))
        self._detections.publish(frame)
        if self._markers.get_subscription_count():
            self._markers.publish(to_markers(frame))
        if frame.depth is not None and self.wants_points():
            self._labeled_points.publish(to_labeled_points(frame.image, segmentation, frame.depth, header))
        self._publish_overlay(frame)

    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to a frame's outputs; the vocabulary is none of them. False once closed."""
        return self._is_wanted(*self._per_frame)

    def wants_points(self) -> bool:
        """Whether anybody subscribes to the points. False once closed."""
        return self._is_wanted(self._labeled_points)

    def asks_for_depth(self) -> bool:
        """Whether anybody subscribes to what there is with depth only. False once closed."""
        return self._is_wanted(self._labeled_points, self._markers, *self._detections.spatial)

    def wants_depth(self) -> bool:
        """Whether anybody subscribes to what is made of depth: points, or segments in any form. False once closed."""
        return self._is_wanted(self._labeled_points, self._segments, self._markers, *self._detections.spatial)

    def wants_places(self) -> bool:
        """Whether anybody subscribes to what is placed in the target frame. False once closed."""
        return self._is_wanted(self._markers, *self._detections.spatial)

    def explain_unserved(self) -> str:
        """Who subscribes and gets nothing, why, and what to do; empty where everybody is served, and once closed."""
        with self._open_lock:
            if not self._open:
                return ""
            texts = [explain_unserved(self._node, publisher) for publisher in (*self._per_frame, self._vocabulary)]
        return "; ".join(text for text in texts if text)

    def close(self) -> None:
        """Take the topics back."""
        with self._open_lock:
            self._open = False
            for publisher in (*self._per_frame, self._vocabulary):
                self._node.destroy_publisher(publisher)
            self._label_info.close()

    def _is_wanted(self, *publishers: Any) -> bool:
        with self._open_lock:
            return (
                self._open
                and self._node.context.ok()
                and any(publisher.get_subscription_count() for publisher in publishers)
            )

    def _publish_overlay(self, frame: LabelledFrame) -> None:
        """Draw once what both topics show, if somebody looks at either."""
        raw, compressed = self._overlay.get_subscription_count(), self._compressed_overlay.get_subscription_count()
        if not (raw or compressed):
            return
        overlay = drawing.overlay(frame.image, frame.segmentation, frame.vocabulary)
        if raw:
            self._publish_image(self._overlay, overlay, "rgb8", frame.header)
        if compressed:
            self._compressed_overlay.publish(to_jpeg_message(overlay, self._jpeg_quality(), frame.header))

    @staticmethod
    def _publish_image(publisher: Any, image: NDArray[Any], encoding: str, header: Header) -> None:
        if publisher.get_subscription_count():
            publisher.publish(to_image_message(image, encoding, header))
