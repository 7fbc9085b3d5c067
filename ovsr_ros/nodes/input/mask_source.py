"""The topic `ignore_mask`: what is not to be looked at now, such as an arm that moves through the image."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensor_msgs.msg import Image

from ovsr_ros.backends.view import View
from ovsr_ros.errors import ImageError
from ovsr_ros.messages.images import read_mask
from ovsr_ros.nodes.input.inputs import Inputs
from ovsr_ros.nodes.input.matched_subscription import MatchedSubscription

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rclpy.node import Node

_FIRST_S = 2.0
"""How long nothing is said of a first mask that has not come: subscribing takes a moment."""

_RECENT_S = 10.0


@dataclass(frozen=True)
class MaskHealth:
    """How it stands with masks from the topic.

    topic: with the quality of service asked for; empty where nobody publishes masks, or is asked to.
    since_last_s: NaN before the first.
    problem: why the newest mask is not in use, or none has come, and what to do; empty where all is well.
    """

    topic: str
    since_last_s: float
    problem: str


class MaskSource:
    """Subscribes to `ignore_mask` while it has publishers, and lays the newest mask over the node's own view.

    Masks are received while the node rests, too: the first image after a rest is not to meet an old one.

    view: how images are looked at without a mask from the topic.
    """

    def __init__(self, node: Node, inputs: Inputs, view: View) -> None:
        self._inputs = inputs
        self._view = view
        self._is_remapped = inputs.is_remapped("ignore_mask")
        topic = node.resolve_topic_name("ignore_mask")
        self._subscription = MatchedSubscription(node, Image, topic, self._receive)
        self._match_lock = threading.Lock()
        self._closed = False
        self._begin = time.monotonic()
        self._newest: Image | None = None
        self._arrival = float("nan")
        self._lock = threading.Lock()
        self._looked_at: Image | None = None
        self._size_hw = (0, 0)
        self._good: NDArray[np.bool_] | None = None
        self._masked = view
        self._problem, self._noted, self._is_bad = "", -float("inf"), False

    def match(self) -> list[str]:
        """Subscribe as the publishers ask for it. Returns what was newly subscribed to, in words."""
        with self._match_lock:
            if self._closed or not (self._subscription.publishers() or self._subscription.is_subscribed):
                return []
            return [self._subscription.describe()] if self._subscription.match() else []

    def close(self) -> None:
        """End the subscription for good."""
        with self._match_lock:
            self._closed = True
            self._subscription.close()

    def view(self, size_hw: tuple[int, int]) -> View:
        """How an image of that height and width is looked at now: under the newest mask, or the last one that fits.

        Raises ImageError where the mask that the node was started with has another aspect.
        """
        newest = self._newest
        if newest is None:
            return self._view
        with self._lock:
            if newest is not self._looked_at or size_hw != self._size_hw:
                self._masked = self._look_at(newest, size_hw)
                self._looked_at, self._size_hw = newest, size_hw
            return self._masked

    def health(self) -> MaskHealth:
        """The state now."""
        has_publishers, now = bool(self._subscription.publishers()), time.monotonic()
        with self._lock:
            problem = self._problem if self._is_bad or now - self._noted < _RECENT_S else ""
        is_asked = has_publishers or self._is_remapped
        if is_asked and self._newest is None and now - self._begin > _FIRST_S:
            reason = self._inputs.explain_silence("ignore_mask", self._subscription, "one")
            problem = f"ignore_mask: no mask has come yet, and none is in use: {reason}"
        topic = self._subscription.describe() if is_asked or self._newest is not None else ""
        return MaskHealth(topic, now - self._arrival, problem)

    def _receive(self, message: Image) -> None:
        self._newest, self._arrival = message, time.monotonic()

    def _look_at(self, message: Image, size_hw: tuple[int, int]) -> View:
        """The view under this mask; where it cannot be one, under the last that could. To be called under the lock."""
        own = self._view.of_size(size_hw)
        try:
            mask = read_mask(message)
            view = own.with_mask(mask, size_hw)
        except ImageError as error:
            self._problem = f"ignore_mask: the mask on {self._subscription.topic}: {error}"
            self._noted, self._is_bad = time.monotonic(), True
        else:
            self._good, self._is_bad = mask, False
            return view
        try:
            return own if self._good is None else own.with_mask(self._good, size_hw)
        except ImageError:  # images of another aspect than the last mask
            return own
