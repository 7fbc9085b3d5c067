"""The node's side of a bond with a lifecycle manager, such as Nav2's: a heartbeat that says that it lives."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from ovsr_ros.nodes.publishers import offer

try:
    from bond.msg import Status
except ImportError:  # not installed
    Status = None

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.timer import Timer

TOPIC = "bond"
"""That of bond's and Nav2's; in the node's namespace."""
_PERIOD_S = 0.5
"""Of the heartbeat: a manager waits some seconds for the first, and for each."""
_TIMEOUT_S = 4.0
"""What the other side is told to wait for the next; the default of bond's and of Nav2's."""


class Bond:
    """While it is tied, publishes bond/Status as bondcpp does, whose other side the manager keeps; where the package
    bond is not installed, nothing happens.

    create_timer: makes a timer of a period in seconds, on a steady clock.
    """

    def __init__(self, node: Node, create_timer: Callable[[float, Callable[[], None]], Timer]) -> None:
        self._node = node
        self._create_timer = create_timer
        self._lock = threading.Lock()  # a heartbeat may be under way when the bond is broken off
        self._publisher: Any = None
        self._timer: Timer | None = None
        self._instance = ""

    def tie(self) -> None:
        """A bond of its own, whose first heartbeat is at once."""
        if Status is None or self._timer is not None:
            return
        self._instance = str(uuid.uuid4())
        if self._publisher is None:  # it outlives the bond, whose end would be lost with it
            self._publisher = offer(self._node, Status, TOPIC, QoSProfile(depth=30))
        self._timer = self._create_timer(_PERIOD_S, self._beat)
        self._beat()

    def break_off(self) -> None:
        """Tell the other side that this one goes on purpose."""
        with self._lock:
            timer, self._timer = self._timer, None
            if timer is None:
                return
            self._node.destroy_timer(timer)
            if self._node.context.ok():
                self._tell(is_active=False)

    def _beat(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._tell(is_active=True)

    def _tell(self, is_active: bool) -> None:
        self._publisher.publish(
            Status(
                header=Header(stamp=self._node.get_clock().now().to_msg()),
                id=self._node.get_name(),
                instance_id=self._instance,
                active=is_active,
                heartbeat_timeout=_TIMEOUT_S,
                heartbeat_period=_PERIOD_S,
            )
        )
