"""A subscription whose quality of service follows that of the topic's publishers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

from ovsr_ros.nodes.input.gate import Gate
from ovsr_ros.nodes.input.losses import LossCounter
from ovsr_ros.nodes.qos import describe_qos, match_publishers, same_policies

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.qos import QoSProfile
    from rclpy.subscription import Subscription
    from rclpy.topic_endpoint_info import TopicEndpointInfo


class MatchedSubscription:
    """Subscribes to a topic of sensor_msgs. Not thread-safe: its owner sees to that.

    topic: resolved. depth: how many messages are kept.
    callback: called with each message, in order, one at a time.
    before_renewal: called with the new quality of service before one subscription takes another's place.

    last_publishers: those that the last `match` saw.
    gate: while it is shut, the middleware keeps the newest messages and nothing is called.
    """

    def __init__(
        self,
        node: Node,
        message_type: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        depth: int = 1,
        before_renewal: Callable[[QoSProfile], None] = lambda qos: None,
    ) -> None:
        self._node = node
        self._type = message_type
        self._callback = callback
        self._depth = depth
        self._before_renewal = before_renewal
        # Of its own: encoding a vocabulary must not delay a message, and a second one must not overtake the first.
        self.gate = Gate()
        self._subscription: Subscription[Any] | None = None
        self._losses: LossCounter | None = None
        self._qos: QoSProfile | None = None
        self.last_publishers: list[TopicEndpointInfo] = []
        self.topic = topic
        self.type_name = f"sensor_msgs/msg/{message_type.__name__}"

    @property
    def is_subscribed(self) -> bool:
        """Whether there is a subscription now."""
        return self._subscription is not None

    def publishers(self) -> list[TopicEndpointInfo]:
        """The topic's publishers of the right type."""
        found = self._node.get_publishers_info_by_topic(self.topic)
        return [info for info in found if info.topic_type == self.type_name]

    def match(self) -> bool:
        """Subscribe, or subscribe anew where the publishers' quality of service asks for it. Returns whether it did."""
        self.last_publishers = publishers = self.publishers()
        if self._subscription is not None and not publishers:
            return False  # one that is between two lives may come back as it was
        qos = match_publishers([info.qos_profile for info in publishers])
        qos.depth = self._depth
        if self._subscription is not None:
            if self._qos is not None and same_policies(qos, self._qos):
                return False
            self._before_renewal(qos)
        self.close()
        self._qos = qos
        self._subscription = self._node.create_subscription(
            self._type,
            self.topic,
            self._callback,
            qos,
            callback_group=self.gate,
            # None at all. rclpy's own warn of each publisher that offers less; here the next `match` mends that. And
            # they cannot be destroyed safely under an executor of several threads: one that looks at them just then
            # ends with InvalidHandle, which rclpy catches for every entity but these.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )
        self._losses = LossCounter(self._subscription)
        return True

    def take_losses(self) -> int:
        """How many messages were lost on the way since the last call; 0 where the middleware does not count."""
        return 0 if self._losses is None else self._losses.take()

    def close(self) -> None:
        """End the subscription; `match` makes another."""
        if self._losses is not None:
            self._losses.close()
            self._losses = None
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def describe(self) -> str:
        """The topic and the quality of service asked for, in words."""
        return f"{self.topic} ({'not subscribed' if self._qos is None else describe_qos(self._qos)})"
