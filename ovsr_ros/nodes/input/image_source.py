"""The image subscription: its quality of service follows the publishers'."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from rclpy.qos import QoSDurabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from ovsr_ros.nodes.conversions.stamps import stamp_key
from ovsr_ros.nodes.health.topic_hints import COMPRESSED, explain_losses, explain_silence
from ovsr_ros.nodes.input.inputs import Inputs
from ovsr_ros.nodes.input.matched_subscription import MatchedSubscription
from ovsr_ros.nodes.qos import describe_endpoints

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.qos import QoSProfile

ImageMessage: TypeAlias = Image | CompressedImage

_TYPES: dict[str, type[Image] | type[CompressedImage]] = {"raw": Image, "compressed": CompressedImage}
_REPLAY_S = 1.0
_NUM_REMEMBERED = 64
_SAMPLE_PERIOD_S = 2.0
_SAMPLE = 3
"""Images of a sample: one that had waited, the next one, and the first whose distance from another is known."""


class ImageSource:
    """Subscribes to `image` (`image/compressed`), keep last 1.

    transport: raw or compressed, as image_transport names them.
    on_image: called with each message, in order, one at a time, and with whether the time since the one before is the
        camera's: it is not after images were passed over.

    base_topic: resolved, without /compressed. topic: what is subscribed to.
    """

    def __init__(
        self, node: Node, inputs: Inputs, transport: str, on_image: Callable[[ImageMessage, bool], None]
    ) -> None:
        self._node = node
        self._inputs = inputs
        self._transport = transport
        self._on_image = on_image
        self._lock = threading.RLock()  # `match` and `close` come from two threads
        self._closed = False
        self._num_told = 0
        self._received: deque[tuple[int, int] | None] = deque(maxlen=_NUM_REMEMBERED)
        self._replay_end = -float("inf")
        self._sample_begin = -float("inf")
        # image_transport appends the transport's name after the remapping: image:=/camera/image_raw does for both. Who
        # gives the topic that carries the images, means it.
        suffix = COMPRESSED if transport == "compressed" else ""
        self.base_topic = node.resolve_topic_name("image").removesuffix(suffix)
        self.topic = self.base_topic + suffix
        self._subscription = MatchedSubscription(
            node, _TYPES[transport], self.topic, self._receive, before_renewal=self._expect_replay
        )

    def match(self) -> bool:
        """Subscribe, or subscribe anew where the publishers' quality of service asks for it. Returns whether it did.

        To be called several times a second: until then, a new publisher that offers less is not heard.
        """
        with self._lock:
            if self._closed:
                return False
            renewed, publishers = self._subscription.match(), self._subscription.last_publishers
            changed, self._num_told = renewed or len(publishers) != self._num_told, len(publishers)
        if changed:
            what = f"subscribed to {self.describe()}" if renewed else self.topic
            whose = f" ({describe_endpoints(publishers)})" if publishers else ""
            self._node.get_logger().info(f"{what}; publishers: {len(publishers)}{whose}")
        return renewed

    @property
    def is_listening(self) -> bool:
        """Whether the next image will be received."""
        return self._subscription.gate.is_open

    @property
    def receives_all(self) -> bool:
        """Whether every image is received, not only a sample."""
        return self._subscription.gate.is_unlimited

    def listen(self) -> None:
        """Receive every image, the newest of those that were passed over first."""
        self._subscription.gate.open()

    def sample(self) -> None:
        """Receive a few images every two seconds, to know the camera's rate. To be called several times a second."""
        now = time.monotonic()
        if now - self._sample_begin >= _SAMPLE_PERIOD_S:
            self._sample_begin = now
            self._subscription.gate.open(_SAMPLE)

    def close(self) -> None:
        """End the subscription, for good."""
        with self._lock:
            self._closed = True
            self._subscription.close()

    def describe(self) -> str:
        """The topic and the quality of service asked for, in words."""
        return self._subscription.describe()

    @property
    def num_publishers(self) -> int:
        """How many publishers of the right type the topic has."""
        return len(self._subscription.publishers())

    def take_losses(self) -> int:
        """How many images were lost on the way since the last call."""
        with self._lock:
            return self._subscription.take_losses()

    def explain_losses(self) -> str:
        """Why images are lost on the way, and what to do."""
        return explain_losses(self._subscription.publishers())

    def explain_silence(self, num_lost: int = 0) -> str:
        """Why no image may arrive, and what to do: the topic, its publishers, their quality of service.

        num_lost: images that were lost on the way lately.
        """
        return explain_silence(self._node, self.topic, self._transport, self._inputs.how_to_remap("image"), num_lost)

    def _expect_replay(self, qos: QoSProfile) -> None:
        if qos.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL:
            self._replay_end = time.monotonic() + _REPLAY_S

    def _receive(self, message: ImageMessage) -> None:
        tells_pace = self._subscription.gate.tells_pace()
        key = stamp_key(message.header.stamp)
        if key is not None and time.monotonic() < self._replay_end and key in self._received:
            return  # a transient local publisher sends its last images again to a subscription made anew
        self._received.append(key)
        self._on_image(message, tells_pace)
