"""Quality of service: what the node offers, and what it asks of an image's publishers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSProfile,
    QoSReliabilityPolicy,
)

if TYPE_CHECKING:
    from rclpy.topic_endpoint_info import TopicEndpointInfo


def output_qos() -> QoSProfile:
    """Reliable, depth 1: serves reliable subscribers (rviz) and best-effort ones (costmaps) alike."""
    return _keep_last_one(QoSReliabilityPolicy.RELIABLE, QoSDurabilityPolicy.VOLATILE)


def latched_qos() -> QoSProfile:
    """Reliable and transient local, depth 1: who subscribes late gets the last message."""
    return _keep_last_one(QoSReliabilityPolicy.RELIABLE, QoSDurabilityPolicy.TRANSIENT_LOCAL)


def service_qos() -> QoSProfile:
    """Reliable, depth 1000. ROS's own depth for services is 10: of more at once, the oldest requests are lost."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=1000,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.VOLATILE,
    )


def match_publishers(offered: Sequence[QoSProfile]) -> QoSProfile:
    """The strictest subscription, keep last 1, that every one of these publishers can serve.

    A subscription that asks for more than a publisher offers receives nothing from it; one that asks for less than it
    could have loses large images on a busy network. Without publishers: best effort, which everybody can serve.
    """
    reliable = bool(offered) and all(qos.reliability == QoSReliabilityPolicy.RELIABLE for qos in offered)
    latched = bool(offered) and all(qos.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
    return _keep_last_one(
        QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT,
        QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
    )


def same_policies(one: QoSProfile, other: QoSProfile) -> bool:
    """Whether reliability and durability agree: what decides who hears whom."""
    return bool(one.reliability == other.reliability and one.durability == other.durability)


def describe_qos(qos: QoSProfile) -> str:
    """In words: "reliable, volatile"."""
    return f"{_words(qos.reliability.name)}, {_words(qos.durability.name)}"


def describe_endpoints(endpoints: Iterable[TopicEndpointInfo]) -> str:
    """Each publisher or subscriber in words: "/camera (sensor_msgs/msg/Image, best effort, volatile)"."""
    described = [
        f"{info.node_namespace.rstrip('/')}/{info.node_name} ({info.topic_type}, {describe_qos(info.qos_profile)})"
        for info in endpoints
    ]
    return "; ".join(described)


def _keep_last_one(reliability: QoSReliabilityPolicy, durability: QoSDurabilityPolicy) -> QoSProfile:
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=1, reliability=reliability, durability=durability)


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
