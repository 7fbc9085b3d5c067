"""~/label_info: the vocabulary for consumers that speak vision_msgs, Nav2's semantic segmentation layer for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from ovsr_ros.names import name_key
from ovsr_ros.nodes.publishers import offer
from ovsr_ros.nodes.qos import latched_qos
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.category import Vocabulary

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # not installed, or so old that it lacks them
    LabelInfo = VisionClass = None

if TYPE_CHECKING:
    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node

UNLABELED_NAME = "unlabeled"


class LabelInfoTopic:
    """Publishes LabelInfo, latched; where vision_msgs is not installed there is no topic and `publish` does nothing."""

    def __init__(self, node: Node, group: CallbackGroup) -> None:
        self._node = node
        self._publisher: Any = None
        if LabelInfo is not None:
            self._publisher = offer(node, LabelInfo, "~/label_info", latched_qos(), group)

    def publish(self, vocabulary: Vocabulary, score_threshold: float, stamp: Time) -> None:
        """Make ids and names known, also to those who subscribe later.

        score_threshold: 0 to 1. stamp: when the vocabulary, or the threshold, was applied.
        """
        if self._publisher is not None:
            self._publisher.publish(_to_label_info(vocabulary, score_threshold, stamp))

    def close(self) -> None:
        """Take the topic back."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)


def _to_label_info(vocabulary: Vocabulary, score_threshold: float, stamp: Time) -> Any:
    classes = [VisionClass(class_id=category.id, class_name=category.name) for category in vocabulary.categories]
    # Every value of a label map has an entry: consumers look it up, and some of them fail where there is none. They
    # look up names as well, so that an operator's own "unlabeled" must stay the only one.
    if UNLABELED_NAME not in {name_key(name) for name in vocabulary.names}:
        classes.append(VisionClass(class_id=UNLABELED_ID, class_name=UNLABELED_NAME))
    return LabelInfo(header=Header(stamp=stamp), class_map=classes, threshold=float(score_threshold))
