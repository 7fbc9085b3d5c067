"""The node's output topics of one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ovsr_ros import drawing, msg
from ovsr_ros.nodes.conversions import to_image_message
from ovsr_ros.nodes.messages import to_segment_array, to_vocabulary_message
from ovsr_ros.nodes.qos import latched_qos, output_qos
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary import Vocabulary

if TYPE_CHECKING:
    from rclpy.node import Node


class Outputs:
    """Publishers of label_map, confidence, segment_map, segments, overlay and vocabulary, all under the node's name."""

    def __init__(self, node: Node) -> None:
        self._node = node
        qos = output_qos()
        self._label_map = node.create_publisher(Image, "~/label_map", qos)
        self._confidence = node.create_publisher(Image, "~/confidence", qos)
        self._segment_map = node.create_publisher(Image, "~/segment_map", qos)
        self._segments = node.create_publisher(msg.SegmentArray, "~/segments", qos)
        self._overlay = node.create_publisher(Image, "~/overlay", qos)
        self._vocabulary = node.create_publisher(msg.Vocabulary, "~/vocabulary", latched_qos())

    def publish_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Make the vocabulary known, also to those who subscribe later."""
        self._vocabulary.publish(to_vocabulary_message(vocabulary, self._node.get_clock().now().to_msg()))

    def publish_frame(
        self, image: NDArray[np.uint8], segmentation: Segmentation, vocabulary: Vocabulary, header: Header
    ) -> None:
        """Publish a frame's outputs under the input image's header.

        image: (H, W, 3) uint8 RGB. vocabulary: the one that labelled the frame.
        """
        self._publish_image(self._label_map, segmentation.label_map, "mono8", header)
        self._publish_image(self._confidence, segmentation.confidence, "mono8", header)
        self._publish_image(self._segment_map, segmentation.segment_map, "mono16", header)
        self._segments.publish(to_segment_array(segmentation, vocabulary, header))
        if self._overlay.get_subscription_count():
            overlay = drawing.overlay(image, segmentation, vocabulary)
            self._publish_image(self._overlay, overlay, "rgb8", header)

    def close(self) -> None:
        """Take the topics back."""
        for publisher in (
            self._label_map,
            self._confidence,
            self._segment_map,
            self._segments,
            self._overlay,
            self._vocabulary,
        ):
            self._node.destroy_publisher(publisher)

    @staticmethod
    def _publish_image(publisher: Any, image: NDArray[Any], encoding: str, header: Header) -> None:
        publisher.publish(to_image_message(image, encoding, header))
