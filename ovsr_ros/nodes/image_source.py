"""The image subscription: quality of service matched to the publishers, and words for why nothing arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import CompressedImage, Image

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

from ovsr_ros.nodes.qos import describe_publishers, describe_qos, match_publishers, same_policies

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.qos import QoSProfile
    from rclpy.subscription import Subscription
    from rclpy.topic_endpoint_info import TopicEndpointInfo

ImageMessage: TypeAlias = Image | CompressedImage

_TYPES: dict[str, type[Image] | type[CompressedImage]] = {"raw": Image, "compressed": CompressedImage}


class ImageSource:
    """Subscribes to `image` (`image/compressed`), keep last 1.

    transport: raw or compressed, as image_transport names them.
    on_image: called with each message, in order, one at a time.
    """

    def __init__(self, node: Node, transport: str, on_image: Callable[[ImageMessage], None]) -> None:
        self._node = node
        self._type = _TYPES[transport]
        self._transport = transport
        self._on_image = on_image
        # Of its own: encoding a vocabulary must not delay an image, and a second image must not overtake the first.
        self._group = MutuallyExclusiveCallbackGroup()
        self._subscription: Subscription[Any] | None = None
        self._qos: QoSProfile | None = None
        # image_transport appends the transport's name after the remapping: image:=/camera/image_raw does for both.
        self.topic = node.resolve_topic_name("image") + ("/compressed" if transport == "compressed" else "")

    def match(self) -> bool:
        """Subscribe, or subscribe anew where the publishers' quality of service asks for it. Returns whether it did."""
        publishers = self._publishers()
        if self._subscription is not None and not publishers:
            return False  # one that is between two lives may come back as it was
        qos = match_publishers([info.qos_profile for info in publishers])
        if self._subscription is not None and self._qos is not None and same_policies(qos, self._qos):
            return False
        self.close()
        self._qos = qos
        self._subscription = self._node.create_subscription(
            self._type,
            self.topic,
            self._on_image,
            qos,
            callback_group=self._group,
            # By default rclpy warns of each publisher that offers less; here the next `match` mends that.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )
        return True

    def close(self) -> None:
        """End the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def describe(self) -> str:
        """The topic and the quality of service asked for, in words."""
        return f"{self.topic} ({'not subscribed' if self._qos is None else describe_qos(self._qos)})"

    @property
    def num_publishers(self) -> int:
        """How many publishers of the right type the topic has."""
        return len(self._publishers())

    def explain_silence(self) -> str:
        """Why no image may arrive, and what to do: the topic, its publishers, their quality of service."""
        found = self._node.get_publishers_info_by_topic(self.topic)
        matching = self._publishers()
        if matching:
            return (
                f"{self.topic} has {_count(matching)}, {describe_publishers(matching)}, which sends nothing: "
                f"check the camera (ros2 topic hz {self.topic})"
            )
        if found:
            return (
                f"{self.topic} has {_count(found)} of another type than {self._type_name}, "
                f"{describe_publishers(found)}: remap to another topic, or set image_transport "
                f"(now {self._transport})"
            )
        return (
            f"{self.topic} has 0 publishers: start the camera, or remap the topic "
            f"(--ros-args -r image:=/your/topic); {self._describe_candidates()}"
        )

    @property
    def _type_name(self) -> str:
        return f"sensor_msgs/msg/{self._type.__name__}"

    def _publishers(self) -> list[TopicEndpointInfo]:
        found = self._node.get_publishers_info_by_topic(self.topic)
        return [info for info in found if info.topic_type == self._type_name]

    def _describe_candidates(self) -> str:
        own = self._node.get_fully_qualified_name()
        topics = [
            name
            for name, types in self._node.get_topic_names_and_types()
            if self._type_name in types and not name.startswith(f"{own}/") and self._node.count_publishers(name)
        ]
        if not topics:
            return f"no topic carries {self._type_name} now"
        return f"topics that carry {self._type_name} now: {', '.join(sorted(topics))}"


def _count(publishers: list[TopicEndpointInfo]) -> str:
    return f"{len(publishers)} publisher{'s' if len(publishers) != 1 else ''}"
