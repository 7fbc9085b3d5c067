"""Publishers that give the executor nothing to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import PublisherEventCallbacks

if TYPE_CHECKING:
    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node
    from rclpy.publisher import Publisher
    from rclpy.qos import QoSProfile


def offer(
    node: Node, message_type: type[Any], topic: str, qos: QoSProfile, group: CallbackGroup | None = None
) -> Publisher[Any]:
    """A publisher without rclpy's events.

    By default each has two, at which the executor looks before every callback: of a node with ten topics, that is half
    of what it does. All they do is to log that a subscriber asks for what is not offered, and that is said by the
    subscriber's own. Nor can they be destroyed safely under an executor of several threads.
    """
    silent = PublisherEventCallbacks(use_default_callbacks=False)
    return node.create_publisher(message_type, topic, qos, callback_group=group, event_callbacks=silent)
