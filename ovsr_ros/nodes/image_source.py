"""The image subscription: its quality of service follows the publishers'."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos import QoSDurabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

from ovsr_ros.nodes.qos import describe_qos, match_publishers, same_policies
from ovsr_ros.nodes.stamps import stamp_key
from ovsr_ros.nodes.topic_hints import COMPRESSED, TYPE_NAMES, explain_silence

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.qos import QoSProfile
    from rclpy.subscription import Subscription
    from rclpy.topic_endpoint_info import TopicEndpointInfo

ImageMessage: TypeAlias = Image | CompressedImage

_TYPES: dict[str, type[Image] | type[CompressedImage]] = {"raw": Image, "compressed": CompressedImage}
_REPLAY_S = 1.0
_NUM_REMEMBERED = 64


class ImageSource:
    """Subscribes to `image` (`image/compressed`), keep last 1.

    transport: raw or compressed, as image_transport names them.
    on_image: called with each message, in order, one at a time.
    """

    def __init__(self, node: Node, transport: str, on_image: Callable[[ImageMessage], None]) -> None:
        self._node = node
        self._transport = transport
        self._on_image = on_image
        # Of its own: encoding a vocabulary must not delay an image, and a second image must not overtake the first.
        self._group = MutuallyExclusiveCallbackGroup()
        self._lock = threading.RLock()  # `match` and `close` come from two threads
        self._closed = False
        self._subscription: Subscription[Any] | None = None
        self._qos: QoSProfile | None = None
        self._received: deque[tuple[int, int] | None] = deque(maxlen=_NUM_REMEMBERED)
        self._replay_end = -float("inf")
        # image_transport appends the transport's name after the remapping: image:=/camera/image_raw does for both.
        self.topic = node.resolve_topic_name("image") + (COMPRESSED if transport == "compressed" else "")

    def match(self) -> bool:
        """Subscribe, or subscribe anew where the publishers' quality of service asks for it. Returns whether it did.

        To be called several times a second: until then, a new publisher that offers less is not heard.
        """
        with self._lock:
            if self._closed:
                return False
            publishers = self._publishers()
            if self._subscription is not None and not publishers:
                return False  # one that is between two lives may come back as it was
            qos = match_publishers([info.qos_profile for info in publishers])
            if self._subscription is not None and self._qos is not None and same_policies(qos, self._qos):
                return False
            self._subscribe(qos)
        self._node.get_logger().info(f"subscribed to {self.describe()}; publishers: {len(publishers)}")
        return True

    def close(self) -> None:
        """End the subscription, for good."""
        with self._lock:
            self._closed = True
            self._unsubscribe()

    def describe(self) -> str:
        """The topic and the quality of service asked for, in words."""
        return f"{self.topic} ({'not subscribed' if self._qos is None else describe_qos(self._qos)})"

    @property
    def num_publishers(self) -> int:
        """How many publishers of the right type the topic has."""
        return len(self._publishers())

    def explain_silence(self) -> str:
        """Why no image may arrive, and what to do: the topic, its publishers, their quality of service."""
        return explain_silence(self._node, self.topic, self._transport)

    def _publishers(self) -> list[TopicEndpointInfo]:
        found = self._node.get_publishers_info_by_topic(self.topic)
        return [info for info in found if info.topic_type == TYPE_NAMES[self._transport]]

    def _subscribe(self, qos: QoSProfile) -> None:
        if self._subscription is not None and qos.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL:
            self._replay_end = time.monotonic() + _REPLAY_S
        self._unsubscribe()
        self._qos = qos
        self._subscription = self._node.create_subscription(
            _TYPES[self._transport],
            self.topic,
            self._receive,
            qos,
            callback_group=self._group,
            # None at all. rclpy's own warn of each publisher that offers less; here the next `match` mends that. And
            # they cannot be destroyed safely under an executor of several threads: one that looks at them just then
            # ends with InvalidHandle, which rclpy catches for every entity but these.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _receive(self, message: ImageMessage) -> None:
        key = stamp_key(message.header.stamp)
        if key is not None and time.monotonic() < self._replay_end and key in self._received:
            return  # a transient local publisher sends its last images again to a subscription made anew
        self._received.append(key)
        self._on_image(message)
