"""Publishers that give the executor nothing to look at, and who asks them for what they do not offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import PublisherEventCallbacks

from rclpy.qos import QoSCompatibility, qos_check_compatible

from ovsr_ros.nodes.qos import describe_endpoints, describe_qos

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
    of what it does. All they do is to log that a subscriber asks for what is not offered: `explain_unserved` tells that
    whenever it is asked. Nor can they be destroyed safely under an executor of several threads.
    """
    silent = PublisherEventCallbacks(use_default_callbacks=False)
    return node.create_publisher(message_type, topic, qos, callback_group=group, event_callbacks=silent)


def explain_unserved(node: Node, publisher: Publisher[Any]) -> str:
    """Who subscribes to a topic and gets nothing of it, why, and what to do; empty where everybody is served."""
    topic = publisher.topic_name
    if node.count_subscribers(topic) <= publisher.get_subscription_count():
        return ""
    type_name = "{0}/{1}/{3}".format(*publisher.msg_type.__module__.split("."), publisher.msg_type.__name__)
    offered, found = publisher.qos_profile, node.get_subscriptions_info_by_topic(topic)
    of_other_type = [info for info in found if info.topic_type != type_name]
    asking_more = [
        info
        for info in found
        if info not in of_other_type and qos_check_compatible(offered, info.qos_profile)[0] == QoSCompatibility.ERROR
    ]
    texts = []
    if of_other_type:
        texts.append(f"{describe_endpoints(of_other_type)} expects another type than {type_name}: subscribe with this")
    if asking_more:
        texts.append(
            f"{describe_endpoints(asking_more)} asks for more than is offered, {describe_qos(offered)}: subscribe with "
            "this or less"
        )
    return f"{topic}: {'; '.join(texts)}" if texts else ""
