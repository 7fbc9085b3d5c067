"""How many messages were lost on their way to a subscription, as the middleware counts them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rclpy.impl.implementation_singleton import rclpy_implementation

if TYPE_CHECKING:
    from rclpy.subscription import Subscription

_MESSAGE_LOST = rclpy_implementation.rcl_subscription_event_type_t.RCL_SUBSCRIPTION_MESSAGE_LOST
_EventHandle = getattr(
    rclpy_implementation,
    "EventHandle" if hasattr(rclpy_implementation, "EventHandle") else "QoSEvent",  # ROS 2 Humble
)


class LossCounter:
    """Counts what was sent to a subscription and did not arrive whole. Not thread-safe.

    The middleware numbers messages: what is missing between two is lost, and neither a publisher that pauses nor a
    reader that is late counts. It is asked from time to time; a callback would be the executor's, and one of several
    threads ends with InvalidHandle where it looks at an event that is being destroyed.
    """

    def __init__(self, subscription: Subscription[Any]) -> None:
        self._told = 0
        self._event: Any = None
        # A middleware that does not count loses none, as far as anybody knows.
        with contextlib.suppress(rclpy_implementation.UnsupportedEventTypeError), subscription.handle:
            self._event = _EventHandle(subscription.handle, _MESSAGE_LOST)

    def take(self) -> int:
        """How many messages were lost since the last call."""
        if self._event is None:
            return 0
        with self._event:
            status = self._event.take_event()
        if status is None:
            return 0
        told, self._told = self._told, int(status.total_count)
        return self._told - told

    def close(self) -> None:
        """To be called before the subscription is destroyed, which it keeps alive."""
        if self._event is not None:
            self._event.destroy_when_not_in_use()
            self._event = None
